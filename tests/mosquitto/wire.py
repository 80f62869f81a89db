"""MQTT 3.1.1 and 5 as the comparison speaks it: one client, QoS 0 and 1, blocking."""

import pathlib
import socket
import struct
import sys
import time

sys.path.append(str(pathlib.Path(__file__).parents[1]))
from packets import cut, packet, text  # noqa: E402

CONNACK, PUBLISH, PUBACK, SUBACK, UNSUBACK, PINGRESP, DISCONNECT = 2, 3, 4, 9, 11, 13, 14
PATIENCE = 20.0


class Refused(Exception):
    """The broker did not let the client in; the code says why."""

    def __init__(self, code):
        super().__init__(code)
        self.code = code


class Client:
    """A client that connects. `will` is (topic, payload)."""

    def __init__(self, port, client_id, version=5, user=None, password=None, will=None, waits=True):
        self.socket = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.buffer, self.number, self.arrived = b"", 0, []
        # What only MQTT 5 has: no properties.
        self.version, self.none = version, b"\0" if version == 5 else b""
        flags = 2 | (0x80 if user is not None else 0) | (0x40 if password is not None else 0) | (4 if will else 0)
        body = text("MQTT") + bytes([version, flags]) + struct.pack("!H", 60) + self.none + text(client_id)
        if will:
            body += self.none + text(will[0]) + text(will[1])
        body += text(user) if user is not None else b""
        body += text(password) if password is not None else b""
        self.socket.sendall(packet(1, 0, body))
        if waits:
            self.enter()

    def enter(self):
        """Waits until it is let in, or raises Refused."""
        kind, _, answer = self.receive()
        if kind != CONNACK or answer[1]:
            self.close()
            raise Refused(answer[1])

    def receive(self):
        while True:
            found, self.buffer = cut(self.buffer)
            if found:
                return found
            more = self.socket.recv(65536)
            if not more:
                raise ConnectionError("closed by the broker")
            self.buffer += more

    def answer(self, kind, number=None):
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
        self.arrived.append((topic, self.behind_properties(rest).decode(errors="replace"), bool(flags & 1)))

    def behind_properties(self, body):
        """What follows the properties, which only MQTT 5 has."""
        if self.version < 5:
            return body
        length, used = body[0], 1
        if length >= 128:
            length, used = (length & 127) | body[1] << 7, 2
        return body[used + length:]

    def next_number(self):
        self.number = self.number % 60_000 + 1
        return self.number

    def subscribe(self, filters):
        """The codes of all filters."""
        number = self.next_number()
        body = struct.pack("!H", number) + self.none + b"".join(text(f) + b"\0" for f in filters)
        self.socket.sendall(packet(8, 2, body))
        return list(self.behind_properties(self.answer(SUBACK, number)))

    def unsubscribe(self, filters):
        """The codes of all filters; 3.1.1 has none."""
        number = self.next_number()
        self.socket.sendall(packet(10, 2, struct.pack("!H", number) + self.none + b"".join(text(f) for f in filters)))
        return list(self.behind_properties(self.answer(UNSUBACK, number)))

    def publish(self, messages, payload, retain=False):
        """Sends a message of QoS 1 to each topic, and returns the codes of the answers; in 3.1.1 they are 0."""
        numbers = [self.next_number() for _ in messages]
        self.socket.sendall(b"".join(
            packet(PUBLISH, 2 | (1 if retain else 0), text(topic) + struct.pack("!H", number) + self.none + payload.encode())
            for topic, number in zip(messages, numbers)))
        return [(self.answer(PUBACK, number) or b"\0")[0] for number in numbers]

    def flush(self):
        """Waits until what the broker sent before has come."""
        self.socket.sendall(packet(12, 0, b""))
        self.answer(PINGRESP)

    def wait_until(self, holds):
        """Waits until what has arrived is enough."""
        end = time.monotonic() + PATIENCE
        while not holds(self.arrived):
            if time.monotonic() > end:
                raise TimeoutError(f"only {self.arrived[-5:]} came")
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


def settle(links):
    """Waits until all links are quiet: twice in a row each has asked and been answered, and nothing else came to any.

    A broker of several threads answers one link before another thread has handed it a retained message; when links of all threads have
    been answered twice, every thread has run often enough since.
    """
    quiet = 0
    while quiet < 2:
        before = sum(len(link.arrived) for link in links)
        for link in links:
            link.flush()
        quiet = quiet + 1 if before == sum(len(link.arrived) for link in links) else 0
