"""Kills a broker under load again and again, starts it on what is on disk, and compares what it had acknowledged with
what it still has.

Publishers with stored sessions send at QoS 1 and 2 and remember what was acknowledged; a reader that is away and one
that is there get all of it; one client takes its own session over without end. At a random instant the process is
killed (SIGKILL). After the restart every client goes on as MQTT has it: the same session, unanswered packets again.
Then everything that was ever acknowledged must arrive at both readers: QoS 1 at least once, QoS 2 exactly once, each
publisher's messages of a topic in their order; retained messages and subscriptions must be there.

    tests/survival/kill.py --rounds 20 --bin target/release/keyward
    tests/survival/kill.py --rounds 3 --durability memory --must-lose      # the control
"""

import argparse
import collections
import json
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import wire  # noqa: E402

PATIENCE = 30.0
WINDOW = 8
RULES = '[[rule]]\nwho = "user:load"\nallow = ["publish", "subscribe"]\ntopics = ["k/#"]\n'
CONFIG = """
[[listener]]
name = "plain"
address = "127.0.0.1"
port = {port}
tls = false

[limits]
queue_messages = 1000000
queue_bytes = "256 MB"
queue_messages_per_identity = 4000000
queue_bytes_per_identity = "1 GB"

[store]
durability = "{durability}"
"""


class Broker:
    def __init__(self, program, folder, durability):
        self.program, self.dir, self.log = program, folder / "keyward", open(folder / "log", "a+")
        self.port = random.randrange(20_000, 32_000)
        self.dir.mkdir(mode=0o700)
        (self.dir / "keyward.toml").write_text(CONFIG.format(port=self.port, durability=durability))
        (self.dir / "policy.d").mkdir(mode=0o700)
        (self.dir / "policy.d" / "load.toml").write_text(RULES)
        self.start()
        made = subprocess.run([program, "--dir", self.dir, "--json", "user", "add", "load"], capture_output=True, text=True)
        assert made.returncode == 0, made.stdout + made.stderr
        self.password = find_password(json.loads(made.stdout))

    def start(self):
        begun = time.monotonic()
        self.process = subprocess.Popen([self.program, "--dir", self.dir, "up"], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        while True:
            try:
                wire.Link(self.port).close()
                return time.monotonic() - begun
            except OSError:
                assert self.process.poll() is None, "the broker ended:\n" + self.said()
                assert time.monotonic() < begun + PATIENCE, "the broker does not listen:\n" + self.said()
                time.sleep(0.005)  # between two looks

    def kill(self):
        self.process.kill()
        self.process.wait()

    def said(self):
        self.log.flush()
        return pathlib.Path(self.log.name).read_text()[-4000:]


def find_password(made):
    if isinstance(made, dict):
        for key, value in made.items():
            if key == "password" and isinstance(value, str):
                return value
            found = find_password(value)
            if found:
                return found
    return None


class Client:
    """A client with a stored session; what it knows of it outlives its links, as MQTT wants."""

    def __init__(self, broker, name):
        self.broker, self.name, self.link = broker, name, None

    def connect(self, clean=False):
        self.link = wire.Link(self.broker.port)
        self.link.send(wire.connect(self.name, "load", self.broker.password, clean))
        kind, _, body = self.link.receive(PATIENCE) or (None, None, b"??")
        assert kind == wire.CONNACK and body[1] == 0, f"{self.name}: refused with {body!r}"
        return bool(body[0] & 1)


class Publisher(Client):
    """Sends numbered messages at one quality of service and keeps what is unanswered."""

    def __init__(self, broker, name, qos):
        super().__init__(broker, name)
        self.qos, self.topic = qos, f"k/{name}"
        self.number, self.unanswered, self.released = 0, collections.OrderedDict(), collections.OrderedDict()
        self.acknowledged = 0

    def begin(self):
        self.had_session = self.connect()
        for number in self.unanswered:
            self.send(number, dup=True)
        for number in self.released:
            self.link.send(wire.ack(wire.PUBREL, number % 60_000 + 1))

    def send(self, number, dup=False):
        payload = f"{self.name} {number}".encode()
        self.link.send(wire.publish(self.topic, payload, self.qos, number % 60_000 + 1, dup, retain=self.qos == 1 and number % 7 == 0))

    def fill(self, until=None):
        while len(self.unanswered) + len(self.released) < WINDOW and (until is None or self.number < until):
            self.number += 1
            self.unanswered[self.number] = True
            self.send(self.number)

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
                self.released[number] = True
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
                    self.held[by_id] = True
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

    def drain(self, publishers):
        deadline = time.monotonic() + PATIENCE
        while any(publisher.number not in self.came[publisher.name][-50:] for publisher in publishers):
            if not self.read(0.5) and time.monotonic() > deadline:
                break


class Taker(Client):
    """Takes its own session over, again and again."""

    def __init__(self, broker):
        super().__init__(broker, "taker")
        self.is_taking = False

    def load(self, stop):
        older = None
        try:
            while not stop.is_set():
                self.is_taking = older is not None
                self.connect()
                self.is_taking = False
                if older:
                    older.close()
                older = self.link
        except (OSError, AssertionError):
            pass


def judge(publishers, readers, losses):
    """Compares what was acknowledged with what came."""
    for reader in readers:
        for publisher in publishers:
            came = reader.came[publisher.name]
            missing = [number for number in range(1, publisher.number + 1) if number not in set(came)]
            if missing:
                losses.append(f"{reader.name} misses {len(missing)} of {publisher.name}: {missing[:5]}")
            first = list(dict.fromkeys(came))
            if first != sorted(first):
                losses.append(f"{reader.name} got {publisher.name} out of order")
            twice = [number for number, times in collections.Counter(came).items() if times > 1]
            if publisher.qos == 2 and twice:
                losses.append(f"{reader.name} got {publisher.name} twice at QoS 2: {twice[:5]}")


def run(options):
    counts, losses = collections.Counter(), []
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    dice = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o700)
        broker = Broker(options.bin, pathlib.Path(folder), options.durability)
        publishers = [Publisher(broker, f"p{number}-{qos}", qos) for number in range(options.publishers) for qos in (1, 2)]
        away, here = Reader(broker, "away"), Reader(broker, "here")
        for reader in (away, here):
            reader.connect()
            reader.subscribe()
            reader.link.close()
        restarts = []
        for number in range(options.rounds):
            taker, stop = Taker(broker), threading.Event()
            sessions = [here.connect()]
            for publisher in publishers:
                publisher.begin()
                sessions.append(publisher.had_session or number == 0)
            if not all(sessions):
                losses.append(f"round {number}: {sessions.count(False)} sessions are gone")
            threads = [threading.Thread(target=who.load, args=(stop,)) for who in (*publishers, here, taker)]
            for thread in threads:
                thread.start()
            time.sleep(dice.uniform(0.15, 0.6))  # the random instant
            broker.kill()
            stop.set()
            for thread in threads:
                thread.join()
            counts["kills"] += 1
            counts["unacknowledged publish"] += any(publisher.unanswered for publisher in publishers)
            counts["QoS 2 exchange"] += any(publisher.released for publisher in publishers if publisher.qos == 2) or bool(here.held)
            counts["takeover"] += taker.is_taking
            restarts.append(broker.start())
            if losses and options.must_lose:
                break
        for publisher in publishers:
            publisher.finish()
        for reader in (away, here):
            if not reader.connect():
                losses.append(f"the session of {reader.name} is gone")
            reader.drain(publishers)
        judge(publishers, (away, here), losses)
        retained = Reader(broker, "retained")
        retained.connect(clean=True)
        retained.subscribe()
        while retained.read(1.0):
            pass
        for publisher in (publisher for publisher in publishers if publisher.qos == 1):
            kept = max(retained.came[publisher.name], default=0)
            if kept != publisher.number - publisher.number % 7:
                losses.append(f"the retained message of {publisher.name} is {kept} of {publisher.number}")
        size = sum(file.stat().st_size for file in (broker.dir / "messages").rglob("*") if file.is_file()) if (broker.dir / "messages").exists() else 0
        log = broker.said()
        broker.kill()
    sent = sum(publisher.number for publisher in publishers)
    print(f"seed {seed}: {sent} messages, {dict(counts)}, slowest restart {max(restarts):.2f} s, store {size} bytes at the end")
    for loss in losses[:20]:
        print(" ", loss)
    if options.must_lose:
        print("loss was seen, as it must be" if losses else "NO LOSS WAS SEEN: this harness cannot fail")
        return 0 if losses else 1
    if losses:
        print(log)
    for what, least in (("unacknowledged publish", 0.75), ("QoS 2 exchange", 0.5), ("takeover", 0.25)):
        if counts[what] < least * options.rounds:
            losses.append(what)
            print(f"too few kills met a {what}: {counts[what]} of {options.rounds}")
    return 1 if losses else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="target/release/keyward")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--publishers", type=int, default=3)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--durability", default="synced", choices=["synced", "os", "memory"])
    parser.add_argument("--must-lose", action="store_true", help="fail if nothing is lost: a control of this harness")
    sys.exit(run(parser.parse_args()))


if __name__ == "__main__":
    main()
