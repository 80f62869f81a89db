"""The clients of the harness: what each of them knows of its session outlives its links, and the verdict compares it."""

import collections
import math
import time

import wire
from broker import PATIENCE

WINDOW = 8


class Client:
    """A client with a stored session; what it knows of it outlives its links, as MQTT wants."""

    def __init__(self, broker, name):
        self.broker, self.name, self.link = broker, name, None
        # When the CONNECT was sent that has no answer yet.
        self.asked = math.inf

    def connect(self, clean=False):
        self.link = wire.Link(self.broker.port)
        self.link.send(wire.connect(self.name, "load", self.broker.password, clean))
        self.asked = time.monotonic()
        kind, _, body = self.link.receive(PATIENCE) or (None, None, b"??")
        assert kind == wire.CONNACK and body[1] == 0, f"{self.name}: refused with {body!r}"
        self.asked = math.inf
        return bool(body[0] & 1)


class Publisher(Client):
    """Sends numbered messages at one quality of service and keeps what is unanswered, with the moment at which it was sent."""

    def __init__(self, broker, name, qos, size=0):
        super().__init__(broker, name)
        self.qos, self.topic, self.size = qos, f"k/{name}", size
        self.number, self.unanswered, self.released = 0, collections.OrderedDict(), collections.OrderedDict()
        self.acknowledged = 0

    def begin(self):
        self.had_session = self.connect()
        for number in self.unanswered:
            self.send(number, dup=True)
        for number in self.released:
            self.link.send(wire.ack(wire.PUBREL, number % 60_000 + 1))

    def send(self, number, dup=False):
        payload = f"{self.name} {number}".ljust(self.size).encode()
        self.link.send(wire.publish(self.topic, payload, self.qos, number % 60_000 + 1, dup, retain=self.qos == 1 and number % 7 == 0))

    def fill(self, until=None):
        while len(self.unanswered) + len(self.released) < WINDOW and (until is None or self.number < until):
            self.number += 1
            self.unanswered[self.number] = math.inf
            self.send(self.number)
            self.unanswered[self.number] = time.monotonic()

    def answer(self, seconds):
        found = self.link.receive(seconds)
        if not found:
            return False
        kind, _, body = found
        by_id = int.from_bytes(body[:2], "big")
        if kind == wire.PUBACK:
            self.done(self.take(self.unanswered, by_id))
        elif kind == wire.PUBREC:
            number = self.take(self.unanswered, by_id)
            self.done(number)
            if number is not None:
                self.released[number] = time.monotonic()
            self.link.send(wire.ack(wire.PUBREL, by_id))
        elif kind == wire.PUBCOMP:
            self.take(self.released, by_id)
        return True

    @staticmethod
    def take(waiting, by_id):
        for number in waiting:
            if number % 60_000 + 1 == by_id:
                del waiting[number]
                return number
        return None

    def done(self, number):
        if number is not None:
            self.acknowledged = max(self.acknowledged, number)

    def load(self, stop):
        try:
            while not stop.is_set():
                self.fill()
                self.answer(0.01)
        except OSError:
            pass

    def finish(self):
        """Sends one message more and waits until all is answered."""
        self.begin()
        self.fill(until=self.number + 1)
        deadline = time.monotonic() + PATIENCE
        while self.unanswered or self.released:
            assert time.monotonic() < deadline, f"{self.name}: unanswered {list(self.unanswered)} {list(self.released)}"
            self.answer(0.5)
        self.link.close()


class Reader(Client):
    """Reads at QoS 2 and remembers what came, over all its links."""

    def __init__(self, broker, name):
        super().__init__(broker, name)
        self.came, self.held = collections.defaultdict(list), {}

    def subscribe(self):
        self.link.send(wire.subscribe(1, "k/#", 2))
        while (self.link.receive(PATIENCE) or [None])[0] != wire.SUBACK:
            pass

    def read(self, seconds):
        found = self.link.receive(seconds)
        if not found:
            return False
        kind, flags, body = found
        if kind == wire.PUBLISH:
            _, payload, qos, by_id, _ = wire.parse_publish(flags, body)
            if qos == 1:
                self.take(payload)
                self.link.send(wire.ack(wire.PUBACK, by_id))
            elif qos == 2:
                if by_id not in self.held:
                    self.held[by_id] = time.monotonic()
                    self.take(payload)
                self.link.send(wire.ack(wire.PUBREC, by_id))
        elif kind == wire.PUBREL:
            by_id = int.from_bytes(body[:2], "big")
            self.held.pop(by_id, None)
            self.link.send(wire.ack(wire.PUBCOMP, by_id))
        return True

    def take(self, payload):
        name, number = payload.decode().split()
        self.came[name].append(int(number))

    def load(self, stop):
        try:
            while not stop.is_set():
                self.read(0.01)
        except OSError:
            pass

    def drain(self, publishers, patience):
        """Reads until the last message of each publisher came, or until nothing came for so many seconds."""
        while any(publisher.number not in self.came[publisher.name][-50:] for publisher in publishers):
            if not self.read(patience):
                break


class Taker(Client):
    """Takes its own session over, again and again."""

    def __init__(self, broker, name="taker"):
        super().__init__(broker, name)
        self.older = None

    def load(self, stop):
        try:
            while not stop.is_set():
                self.connect()
                if self.older:
                    self.older.close()
                self.older = self.link
        except (OSError, AssertionError):
            pass


def met(moment, publishers, reader, takers):
    """What was under way at a moment and never answered. What a client did later, before it noticed, does not count."""
    def began_before(moments):
        return any(began < moment for began in moments)

    released = [began for publisher in publishers if publisher.qos == 2 for began in publisher.released.values()]
    return {
        "unacknowledged publish": any(began_before(publisher.unanswered.values()) for publisher in publishers),
        "QoS 2 exchange": began_before([*released, *reader.held.values()]),
        "takeover": any(taker.older is not None and taker.asked < moment for taker in takers),
    }


def judge(publishers, readers, losses):
    """Compares what was acknowledged with what came."""
    for reader in readers:
        for publisher in publishers:
            came = reader.came[publisher.name]
            missing = sorted(set(range(1, publisher.number + 1)) - set(came))
            if missing:
                losses.append(f"{reader.name} misses {len(missing)} of {publisher.name}: {missing[:5]}")
            first = list(dict.fromkeys(came))
            if first != sorted(first):
                losses.append(f"{reader.name} got {publisher.name} out of order")
            twice = [number for number, times in collections.Counter(came).items() if times > 1]
            if publisher.qos == 2 and twice:
                losses.append(f"{reader.name} got {publisher.name} twice at QoS 2: {twice[:5]}")
