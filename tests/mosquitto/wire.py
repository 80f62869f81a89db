"""MQTT 5 as the comparison speaks it: one client, QoS 0 and 1, blocking."""

import pathlib
import socket
import struct
import sys
import time

sys.path.append(str(pathlib.Path(__file__).parents[1]))
from packets import cut, packet, text  # noqa: E402

CONNACK, PUBLISH, PUBACK, SUBACK, PINGRESP, DISCONNECT = 2, 3, 4, 9, 13, 14
PATIENCE = 20.0


class Refused(Exception):
    """The broker did not let the client in."""


class Client:
    """A connected client. `will` is (topic, payload)."""

    def __init__(self, port, client_id, user=None, password=None, will=None):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer, self.number, self.arrived = b"", 0, []
        flags = 2 | (0x80 if user is not None else 0) | (0x40 if password is not None else 0) | (4 if will else 0)
        body = text("MQTT") + bytes([5, flags]) + struct.pack("!H", 60) + b"\0" + text(client_id)
        if will:
            body += b"\0" + text(will[0]) + text(will[1])
        body += text(user) if user is not None else b""
        body += text(password) if password is not None else b""
        self.socket.sendall(packet(1, 0, body))
        kind, _, answer = self.receive()
        if kind != CONNACK or answer[1]:
            self.close()
            raise Refused(f"{client_id}: {answer.hex()}")

    def receive(self):
        while True:
            found = self.cut()
            if found:
                return found
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError("closed by the broker")
            self.buffer += more

    def cut(self):
        found, self.buffer = cut(self.buffer)
        return found

    def answer(self, kind, number):
        """The answer with this packet id; keeps messages that come before it."""
        while True:
            found, flags, body = self.receive()
            if found == PUBLISH:
                self.keep(flags, body)
            elif found == DISCONNECT:
                raise ConnectionError(f"disconnected: {body.hex()}")
            elif found == kind and (number is None or struct.unpack("!H", body[:2])[0] == number):
                return body[2:]

    def keep(self, flags, body):
        size = struct.unpack("!H", body[:2])[0]
        topic, rest = body[2:2 + size].decode(), body[2 + size:]
        rest = rest[2:] if flags & 6 else rest
        length, used = rest[0], 1
        if length >= 128:
            length, used = (length & 127) | rest[1] << 7, 2
        self.arrived.append((topic, rest[used + length:].decode(errors="replace"), bool(flags & 1)))

    def subscribe(self, filters):
        """The codes of all filters."""
        self.number += 1
        body = struct.pack("!H", self.number) + b"\0" + b"".join(text(f) + b"\0" for f in filters)
        self.socket.sendall(packet(8, 2, body))
        return list(self.answer(SUBACK, self.number)[1:])

    def publish(self, topic, payload, retain=False):
        """The reason code of a message of QoS 1."""
        self.number = self.number % 60_000 + 1
        body = text(topic) + struct.pack("!H", self.number) + b"\0" + payload.encode()
        self.socket.sendall(packet(PUBLISH, 2 | (1 if retain else 0), body))
        rest = self.answer(PUBACK, self.number)
        return rest[0] if rest else 0

    def flush(self):
        """Waits until what the broker sent before has come."""
        self.socket.sendall(packet(12, 0, b""))
        self.answer(PINGRESP, None)

    def wait_for(self, payload):
        """Waits until a message with this payload has come."""
        end = time.monotonic() + PATIENCE
        while not any(found == payload for _, found, _ in self.arrived):
            if time.monotonic() > end:
                raise TimeoutError(payload)
            kind, flags, body = self.receive()
            if kind == PUBLISH:
                self.keep(flags, body)

    def take(self):
        arrived, self.arrived = self.arrived, []
        return arrived

    def close(self):
        self.socket.close()

    def break_off(self):
        """Ends without a word, so that the will is due."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()
