"""Kills a broker under load again and again, starts it on what is on disk, and compares what it had acknowledged with
what it still has.

Publishers with stored sessions send at QoS 1 and 2 and remember what was acknowledged; a reader that is away and one
that is there get all of it; one client takes its own session over without end. At a random instant the process is
killed (SIGKILL). After the restart every client goes on as MQTT has it: the same session, unanswered packets again.
At the end, and after each 50 rounds, everything that was ever acknowledged must arrive at both readers: QoS 1 at least
once, QoS 2 exactly once, each publisher's messages of a topic in their order; retained messages and subscriptions must be
there.

With --power the directory of the broker is on a file system that loses at each kill what was not synced (crates/cut): in
one round all of it, in the next all but a random part, and the last write that is kept is torn. In every other pair of
rounds the power goes first, and the broker meets errors before it is killed.

    tests/survival/kill.py --rounds 20 --bin target/release/keyward
    tests/survival/kill.py --rounds 300 --bin target/release/keyward
    tests/survival/kill.py --rounds 3 --durability memory --must-lose      # the control
    tests/survival/kill.py --rounds 10 --power target/debug/keyward-cut
    tests/survival/kill.py --rounds 10 --power target/debug/keyward-cut --durability os --must-lose
"""

import argparse
import collections
import math
import os
import pathlib
import random
import sys
import tempfile
import threading
import time

from broker import Broker
from clients import Publisher, Reader, Taker, judge, met
from disk import Disk


# A takeover lasts a millisecond or less: so many go on at a time that most kills meet one.
TAKERS = 6

# The part of the rounds whose kills have to meet each of these; else the harness looked at too little. Of 20: 15, 10 and 5.
LEAST = (("unacknowledged publish", 0.75), ("QoS 2 exchange", 0.5), ("takeover", 0.25))

# What a kill meets is chance, and a busy machine has less of it: so many times the rounds are played at most until all was met.
MOST_ROUNDS = 3


class Run:
    """One broker, its clients, and what was lost."""

    def __init__(self, options, folder, disk, dice):
        self.options, self.disk, self.dice = options, disk, dice
        self.broker = Broker(options.bin, disk.folder if disk else folder, options.durability, log=folder / "log")
        self.publishers = [Publisher(self.broker, f"p{number}-{qos}", qos, options.size) for number in range(options.publishers) for qos in (1, 2)]
        self.away, self.here = Reader(self.broker, "away"), Reader(self.broker, "here")
        self.counts, self.losses, self.restarts = collections.Counter(), [], []
        for reader in (self.away, self.here):
            reader.connect()
            reader.subscribe()
            reader.link.close()

    def round(self, number):
        """Goes on where the last round ended, and ends at a random instant."""
        takers, stop = [Taker(self.broker, f"taker-{number}") for number in range(TAKERS)], threading.Event()
        self.resume(number)
        threads = [threading.Thread(target=who.load, args=(stop,)) for who in (*self.publishers, self.here, *takers)]
        for thread in threads:
            thread.start()
        time.sleep(self.dice.uniform(0.15, 0.6))  # the random instant
        moment = self.end(number)
        stop.set()
        for thread in threads:
            thread.join()
        self.counts.update(kills=1, **met(moment, self.publishers, self.here, takers))
        if self.disk:
            self.disk.power_on()
        self.restarts.append(self.broker.start())

    def end(self, number):
        """Kills, and gives the moment at which the broker, or the power before it, was gone."""
        seed = self.dice.randrange(1 << 32) if number % 2 else None
        if not self.disk:
            return self.broker.kill()
        if number % 4 < 2:
            moment = self.broker.kill()
            self.disk.cut(seed)
            return moment
        self.disk.cut(seed)
        moment = time.monotonic()
        time.sleep(self.dice.uniform(0, 0.1))  # how long the broker goes on without a disk
        self.broker.kill()
        return moment

    def resume(self, number):
        sessions = [self.here.connect()]
        for publisher in self.publishers:
            publisher.begin()
            sessions.append(publisher.had_session or number == 0)
        if not all(sessions):
            self.losses.append(f"round {number}: {sessions.count(False)} sessions are gone")

    def compare(self):
        """Has everything answered and read, and notes what is missing."""
        for publisher in self.publishers:
            publisher.finish()
        for reader in (self.away, self.here):
            if not reader.connect():
                self.losses.append(f"the session of {reader.name} is gone")
            # A control knows that something is missing and need not wait long for it.
            reader.drain(self.publishers, patience=1.0 if self.options.must_lose else 10.0)
            reader.link.close()
        judge(self.publishers, (self.away, self.here), self.losses)
        self.compare_retained()

    def compare_retained(self):
        retained = Reader(self.broker, "retained")
        retained.connect(clean=True)
        retained.subscribe()
        while retained.read(1.0):
            pass
        retained.link.close()
        for publisher in (publisher for publisher in self.publishers if publisher.qos == 1):
            kept = max(retained.came[publisher.name], default=0)
            if kept != publisher.number - publisher.number % 7:
                self.losses.append(f"the retained message of {publisher.name} is {kept} of {publisher.number}")

    def stored(self):
        messages = self.broker.dir / "messages"
        return sum(file.stat().st_size for file in messages.rglob("*") if file.is_file())


def run(options):
    seed = options.seed if options.seed is not None else random.randrange(1 << 32)
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o700)
        folder = pathlib.Path(folder)
        disk = Disk(options.power, folder / "disk") if options.power else None
        try:
            return run_on(options, folder, disk, seed)
        finally:
            if disk:
                disk.close()


def run_on(options, folder, disk, seed):
    run = Run(options, folder, disk, random.Random(seed))
    try:
        for number in range(MOST_ROUNDS * options.rounds):
            if number >= options.rounds and (options.must_lose or not missing(run.counts, options.rounds)):
                break
            run.round(number)
            if run.losses and options.must_lose:
                break
            # What waits for the reader who is away must fit into its queue.
            if number % options.drain == options.drain - 1:
                run.compare()
        run.compare()
        size, log = run.stored(), run.broker.said()
    finally:
        run.broker.kill()
    sent = sum(publisher.number for publisher in run.publishers)
    print(f"seed {seed}: {sent} messages, {dict(run.counts)}, slowest restart {max(run.restarts):.2f} s, store {size} bytes at the end")
    return verdict(options, run, log)


def verdict(options, run, log):
    for loss in run.losses[:20]:
        print(" ", loss)
    if options.must_lose:
        print("loss was seen, as it must be" if run.losses else "NO LOSS WAS SEEN: this harness cannot fail")
        return 0 if run.losses else 1
    if run.losses:
        print(log)
    missed = missing(run.counts, options.rounds)
    for what, least in missed:
        print(f"too few kills met a {what}: {run.counts[what]} of {run.counts['kills']}, {least} wanted")
    return 1 if run.losses or missed else 0


def missing(counts, rounds):
    """What too few kills met, and how many should have."""
    wanted = [(what, math.ceil(part * rounds)) for what, part in LEAST]
    return [(what, least) for what, least in wanted if counts[what] < least]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="target/release/keyward")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--drain", type=int, default=50, help="rounds after which everything is read and compared, beside the end")
    parser.add_argument("--publishers", type=int, default=3)
    parser.add_argument("--size", type=int, default=0, help="bytes of a message: large ones make the store flush and compact")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--durability", default="synced", choices=["synced", "os", "memory"])
    parser.add_argument("--power", metavar="KEYWARD_CUT", help="the program of the file system whose power is cut at each kill")
    parser.add_argument("--must-lose", action="store_true", help="fail if nothing is lost: a control of this harness")
    sys.exit(run(parser.parse_args()))


if __name__ == "__main__":
    main()
