"""Measures what a connection, a session, a subscription and a waiting message take of the broker's memory: the growth
of its resident set by many of each, beside what the broker itself counts against `memory_total`.

Not a test. cargo build --release -p keyward, then: python tests/clients/memory.py"""

import pathlib
import socket
import struct
import tempfile

from conftest import Keyward

CONFIG = """
[server]
sys_interval = "0 s"
[limits]
connections_per_identity = 100000
connections_per_address = 100000
handshake_rate_per_address = 0
sessions_per_identity = 100000
subscriptions_per_session = 100000
subscriptions_per_identity = 100000
subscription_bytes_per_identity = "1 GB"
queue_messages = 1000000
queue_messages_per_identity = 1000000
queue_bytes = "1 GB"
queue_bytes_per_identity = "1 GB"
"""

CONNECT, PUBLISH_1, PUBLISH_1_RETAINED, SUBSCRIBE, DISCONNECT = 0x10, 0x32, 0x33, 0x82, 0xE0


def text(value):
    return struct.pack(">H", len(value)) + value.encode()


def packet(kind, body=b""):
    length, header = len(body), bytearray([kind])
    while True:
        length, low = divmod(length, 128)
        header.append(low | 0x80 if length else low)
        if not length:
            return bytes(header) + body


class Device:
    """A link of the one device, in 3.1.1 and without a library that has memory of its own."""

    def __init__(self, bundle, client_id, clean=True):
        self.link = bundle.tls_context.wrap_socket(
            socket.create_connection(("127.0.0.1", bundle.keyward.port)), server_hostname="localhost"
        )
        self.requests = 0
        flags = 2 if clean else 0
        assert self.ask(CONNECT, text("MQTT") + bytes([4, flags, 0, 0]) + text(client_id), 4)[3] == 0

    def ask(self, kind, body, length):
        self.link.sendall(packet(kind, body))
        answer = b""
        while len(answer) < length:
            more = self.link.recv(length - len(answer))
            assert more, "the broker closed the link"
            answer += more
        return answer

    def number(self):
        self.requests = self.requests % 65_000 + 1
        return struct.pack(">H", self.requests)

    def subscribe(self, topic):
        assert self.ask(SUBSCRIBE, self.number() + text(topic) + b"\x01", 5)[4] == 1

    def publish(self, topic, kind=PUBLISH_1):
        self.ask(kind, text(topic) + self.number() + b"x" * 100, 4)

    def leave(self):
        self.link.sendall(packet(DISCONNECT))
        self.link.close()


class Scale:
    def __init__(self, keyward):
        self.keyward = keyward
        print(f"{'bytes each':44} {'count':>7} {'resident':>9} {'counted':>9}")

    def read(self):
        status = pathlib.Path(f"/proc/{self.keyward.process.pid}/status").read_text()
        resident = int(next(line for line in status.splitlines() if line.startswith("VmRSS:")).split()[1]) * 1024
        return resident, self.keyward.json("status")["status"]["running"]["memory_bytes"]

    def weigh(self, what, count, make):
        before = self.read()
        kept = [make(number) for number in range(count)]
        resident, counted = ((now - then) / count for now, then in zip(self.read(), before))
        print(f"{what:44} {count:7} {resident:9.0f} {counted:9.0f}", flush=True)
        return kept


def weigh_all(keyward):
    bundle = keyward.device("dev")
    bundle.tls_context = bundle.tls()
    scale = Scale(keyward)
    for number in range(50):
        Device(bundle, f"warm-{number}").leave()
    scale.weigh("stored session without connection", 1_500, lambda n: Device(bundle, f"session-{n}", False).leave())
    links = scale.weigh("connection with TLS and its clean session", 1_000, lambda n: Device(bundle, f"link-{n}"))
    for link in links:
        link.leave()
    reader = Device(bundle, "reader", False)
    scale.weigh("subscription of five levels", 20_000, lambda n: reader.subscribe(f"dev/room/{n}/sensor/value"))
    reader.subscribe("dev/queue")
    reader.leave()
    publisher = Device(bundle, "publisher")
    scale.weigh("waiting message of 100 bytes", 20_000, lambda n: publisher.publish("dev/queue"))
    scale.weigh(
        "retained message of 100 bytes", 15_000, lambda n: publisher.publish(f"dev/retained/{n}", PUBLISH_1_RETAINED)
    )


with tempfile.TemporaryDirectory() as folder:
    pathlib.Path(folder).chmod(0o700)
    keyward = Keyward(pathlib.Path(folder))
    keyward.dir.mkdir(mode=0o700)
    (keyward.dir / "keyward.toml").write_text(CONFIG)
    try:
        weigh_all(keyward.start())
    finally:
        keyward.stop()
