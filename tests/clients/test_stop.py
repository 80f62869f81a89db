"""Stopping by signal: clients are told, it is over in time, and nothing that was acknowledged is lost."""

import signal
import socket
import threading
import time

from conftest import PATIENCE, Client

STOP = 5  # seconds within which it is over


def text(value):
    return len(value).to_bytes(2, "big") + value.encode()


def packet(first, *parts):
    body = b"".join(parts)
    length, rest = b"", len(body)
    while True:
        length += bytes([rest % 128 | (128 if rest > 127 else 0)])
        rest //= 128
        if rest == 0:
            return bytes([first]) + length + body


def stalled(bundle, port, number, web):
    """A client that asks for much and takes nothing of it."""
    raw = socket.create_connection(("localhost", port))
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    raw.settimeout(PATIENCE)
    link = bundle.tls().wrap_socket(raw, server_hostname="localhost")
    if web:
        link.sendall(
            b"GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n"
            b"Sec-WebSocket-Protocol: mqtt\r\n\r\n"
        )
        assert link.recv(4096).startswith(b"HTTP/1.1 101 ")
    framed = (lambda data: b"\x82" + bytes([0x80 | len(data)]) + bytes(4) + data) if web else bytes
    link.sendall(framed(packet(0x10, text("MQTT"), b"\x04\x02\x00\x00", text(f"stalled-{number}"))))
    assert link.recv(4096)
    link.sendall(framed(packet(0x82, b"\x00\x01", text("a1/flood"), b"\x00")))
    assert link.recv(4096)
    return link


def test_a_stop_tells_all_clients_and_is_over_in_time_though_some_take_nothing(keyward):
    bundle, web = keyward.device("a1"), keyward.web()
    keyward.rules("flood", '[[rule]]\nwho = "user:anna"\nallow = ["publish"]\ntopics = ["a1/#"]\n')
    at = [("mqtts", keyward.port), ("wss", web)]
    good = [Client(bundle, client_id=f"good-{n}", way=at[n % 2][0], at=at[n % 2][1], returns=False) for n in range(40)]
    [client.connect() for client in good]
    deaf = [stalled(bundle, at[n % 2][1], n, n % 2) for n in range(20)]
    sender = Client(keyward.user("anna"), returns=False).connect()
    for _ in range(60):
        sender.publish("a1/flood", "x" * 100_000)
    began = time.monotonic()
    keyward.process.send_signal(signal.SIGTERM)
    for client in good:
        code, _ = client.closed.get(timeout=PATIENCE)
        assert code.value == 0x8B
    assert keyward.process.wait(PATIENCE) == 0
    took = time.monotonic() - began
    print(f'stopped in {took:.2f} s')
    assert took < STOP
    for client in good:
        client.paho.loop_stop()
    [link.close() for link in deaf]


def test_what_was_acknowledged_before_a_stop_is_there_after_it(keyward):
    bundle, web = keyward.device("a1"), keyward.web()
    away = Client(bundle, client_id="reader", clean=False, expiry=3600).connect()
    away.subscribe("a1/x")
    away.close()
    acknowledged, sent, senders = [], {}, []

    def send(index):
        way, port = [("mqtts", keyward.port), ("wss", web)][index % 2]
        sender = Client(bundle, client_id=f"sender-{index}", way=way, at=port, returns=False)
        sender.paho.on_publish = lambda c, u, mid, code, props: acknowledged.append((index, mid, code.value))
        sender.connect()
        senders.append(sender)
        for number in range(60_000):
            if not sender.closed.empty():
                return
            payload = f"{index}-{number}"
            sent[index, sender.paho.publish("a1/x", payload, 1).mid] = payload
            time.sleep(0.001)  # as fast as some devices, not as fast as can be

    threads = [threading.Thread(target=send, args=(index,)) for index in range(4)]
    [thread.start() for thread in threads]
    keyward.until(lambda: len(acknowledged) > 300, "some hundred acknowledgements")
    began = time.monotonic()
    keyward.process.send_signal(signal.SIGTERM)
    assert keyward.process.wait(PATIENCE) == 0
    assert time.monotonic() - began < STOP
    [thread.join(PATIENCE) for thread in threads]
    [sender.paho.loop_stop() for sender in senders]
    missing = {sent[index, mid] for index, mid, code in acknowledged if code < 0x80}
    assert len(missing) > 300
    keyward.start()
    back = Client(bundle, client_id="reader", clean=False, expiry=3600).connect()
    while missing:
        missing.discard(back.receive()[1])
    back.close()
