"""MQTT 3.1.1, and as much of 5.0, as this harness speaks it: a codec of its own, so that it knows of each packet whether it
was sent and answered."""

import pathlib
import socket
import struct
import sys

sys.path.append(str(pathlib.Path(__file__).parents[1]))
from packets import cut, packet, text  # noqa: E402

CONNACK, PUBLISH, PUBACK, PUBREC, PUBREL, PUBCOMP, SUBACK = 2, 3, 4, 5, 6, 7, 9


def connect(client_id, user, password, clean, version=4):
    flags = 0xC0 | (2 if clean else 0)
    # A session that is not clean is kept for ever, which 5.0 has to be told.
    expiry = b"" if clean else b"\x11\xff\xff\xff\xff"
    properties = bytes([len(expiry)]) + expiry if version == 5 else b""
    head = text("MQTT") + bytes([version, flags]) + struct.pack("!H", 60) + properties
    return packet(1, 0, head + text(client_id) + text(user) + text(password))


def publish(topic, payload, qos, number, dup=False, retain=False, version=4):
    flags = (8 if dup else 0) | qos << 1 | (1 if retain else 0)
    head = text(topic) + (struct.pack("!H", number) if qos else b"") + (b"\0" if version == 5 else b"")
    return packet(PUBLISH, flags, head + payload)


def ack(kind, number):
    return packet(kind, 2 if kind == PUBREL else 0, struct.pack("!H", number))


def subscribe(number, topic, qos, version=4):
    return packet(8, 2, struct.pack("!H", number) + (b"\0" if version == 5 else b"") + text(topic) + bytes([qos]))


class Link:
    """A connection that sends packets and gives what arrives as (kind, flags, body)."""

    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), 5)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer = b""

    def send(self, data):
        self.socket.sendall(data)

    def receive(self, seconds):
        """The next packet; nothing if none came in time. ConnectionError when the broker is gone."""
        while True:
            found = self.cut()
            if found:
                return found
            self.socket.settimeout(max(seconds, 0.001))
            try:
                more = self.socket.recv(65536)
            except (TimeoutError, socket.timeout):
                return None
            if not more:
                raise ConnectionError
            self.buffer += more

    def cut(self):
        found, self.buffer = cut(self.buffer)
        return found

    def close(self):
        self.socket.close()


def parse_publish(flags, body):
    size = struct.unpack("!H", body[:2])[0]
    topic, rest = body[2:2 + size].decode(), body[2 + size:]
    qos = flags >> 1 & 3
    number = struct.unpack("!H", rest[:2])[0] if qos else 0
    return topic, rest[2 if qos else 0:], qos, number, bool(flags & 8)
