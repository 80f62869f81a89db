#!/usr/bin/env python3
"""Runs Mosquitto and Keyward on the same generated files with the same clients, and compares what each lets them do.

    compare.py --bin target/release/keyward [--seed N] [--rounds N] [--mutants] [--show]

Each round is five worlds: a password file (by `mosquitto_passwd`) with an `acl_file`, by chance and written; two listeners with files of their own
(`per_listener_settings`); and dynamic security twice. Mosquitto is started with the files, Keyward imports them, and both are asked the same by
clients of MQTT 3.1.1 and 5: each subscribes, reads what an administrator publishes and has left retained, ends its subscriptions,
publishes (5 says whether it may, and the administrator hears it or not), and leaves a will. A case is one such question. What differs
on purpose is counted with its reason; any other difference ends the run with code 1, and so does a reason that excused nothing in a round.

With --mutants the imported rules are then spoilt in each way of MUTANTS, and the same comparison must find it.
"""

import argparse
import collections
import concurrent.futures
import glob
import pathlib
import random
import re
import sys
import tempfile

from access_lists import NOT_FIRST, SLASH, AccessLists, Written
from brokers import Keyward, mosquitto
from dynamic import BOUND, PLUGIN, WRITTEN, Dynamic
from questions import SOMEBODYS, ask

# What is done to the text of each rule file, by the kind of world in which it must be found.
MUTANTS = {
    AccessLists: {
        "no-denials": lambda text: text.replace('deny = ["publish", "subscribe"]', 'deny = ["share"]'),
        "patterns-first": lambda text: text.replace("tier = 40", "tier = 20"),
        "any-client": lambda text: re.sub(r'[^"/]*\{client\}[^"/]*', "+", text),
        "wildcard-ids": lambda text: text.replace("plain_client_id = true\n", ""),
        "early-subscriptions": lambda text: re.sub(r"\[\[decide-late\]\].*", "", text, flags=re.S),
        "write-is-read": lambda text: text.replace('allow = ["publish"]', 'allow = ["publish", "subscribe"]'),
    },
    Dynamic: {
        "last-comes-first": lambda text: re.sub(r"tier = (\d+)", lambda tier: f"tier = {99 - int(tier[1])}", text),
        "no-receive-denials": lambda text: text.replace('deny = ["receive"]', 'deny = ["share"]'),
        "no-publish-denials": lambda text: text.replace('deny = ["publish"]', 'deny = ["share"]'),
        "publish-is-read": lambda text: text.replace('allow = ["publish"]', 'allow = ["publish", "subscribe"]'),
        "early-wills": lambda text: re.sub(r"\[\[decide-late\]\].*", "", text, flags=re.S),
        # What it opens is no topic of any world, so every wildcard is granted and brings nothing more.
        "any-wildcard": lambda text: text + EVERYBODYS * ("[roles." in text),
    },
}
EVERYBODYS = """
[[rule]]
who = ["role:mosquitto-1", "user:anonymous"]
allow = ["subscribe"]
topics = ["of/no/world/x", "of/no/x", "$SYS/of/no/world"]
"""

SILENT = "who may not publish leaves nothing retained"
WRONG = "a wrong password is answered as one, where Mosquitto says that the client is not authorised"
REASONS = [SILENT, WRONG, NOT_FIRST, SLASH, BOUND, *WRITTEN]


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--bin", required=True, type=pathlib.Path)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--mutants", action="store_true")
    arguments.add_argument("--show", action="store_true", help="print the files of each round")
    options = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        keyward = Keyward(options.bin.resolve(), folder)
        try:
            return Comparison(keyward, folder, options).run()
        finally:
            keyward.stop()


class Comparison:
    def __init__(self, keyward, folder, options):
        self.keyward, self.folder, self.options = keyward, folder, options
        self.cases, self.explained, self.found = collections.Counter(), collections.Counter(), []
        # How many differences each mutant made, by the version of the clients that saw them.
        self.caught = {name: collections.Counter() for kind in MUTANTS.values() for name in kind}
        (self.plugin,) = glob.glob(PLUGIN.format("*"))

    def run(self):
        for number in range(self.options.rounds):
            before = self.explained.copy()
            self.one_list(number)
            self.two_listeners(number)
            for opens in (False, True):
                self.dynamic(number, opens)
            idle = [reason for reason in REASONS if self.explained[reason] == before[reason]]
            self.found += [f"{number}: nothing differs because {reason}" for reason in idle]
        print(f"seed {self.options.seed}: {sum(self.cases.values())} cases in {self.options.rounds} rounds: "
              + ", ".join(f"{count} {kind}" for kind, count in sorted(self.cases.items())))
        for reason, count in sorted(self.explained.items()):
            print(f"  {count} differ as they should: {reason}")
        for line in self.found[:40]:
            print(f"  DIFFERENCE {line}")
        print(f"  {len(self.found)} unexplained differences")
        missed = self.missed() if self.options.mutants else []
        return 1 if self.found or missed else 0

    def missed(self):
        for name, by in self.caught.items():
            seen = ", ".join(f"{count} by clients of {'3.1.1' if version == 4 else '5'}" for version, count in sorted(by.items()))
            print(f"mutant {name}: {'caught: ' + seen if by else 'NOT caught'}")
        return [name for name, by in self.caught.items() if not by]

    def dice(self, number, kind):
        return random.Random(f"{self.options.seed}/{number}/{kind}")

    def place(self, number, kind):
        place = self.folder / f"{number}-{kind}"
        place.mkdir()
        return place

    def one_list(self, number):
        world = AccessLists(self.dice(number, "list"), f"l{number}")
        for kind, world in (("list", world), ("written", Written(f"w{number}"))):
            place = self.place(number, kind)
            conf = "listener PORT0 127.0.0.1\n" + world.write(place)
            self.compare([(world, conf)], place, conf, f"{number}/{kind}")

    def two_listeners(self, number):
        """The same names on both listeners, with passwords and rules that differ. Keyward imports one at a time."""
        dice = self.dice(number, "listeners")
        worlds = [AccessLists(dice, f"p{number}", f"-{n}", anonymous=n == 0) for n in range(2)]
        place = self.place(number, "listeners")
        head = "per_listener_settings true\n"
        settings = [world.write(place) for world in worlds]
        both = head + "".join(f"listener PORT{n} 127.0.0.1\n{text}" for n, text in enumerate(settings))
        refused = self.keyward.refusal(place, both)
        if "per_listener_settings" not in refused:
            self.found.append(f"{number}/listeners: refused for another reason: {refused}")
        alone = [(world, f"{head}listener PORT0 127.0.0.1\n{text}") for world, text in zip(worlds, settings)]
        self.compare(alone, place, both, f"{number}/listeners")

    def dynamic(self, number, opens):
        """One world in which subscriptions are denied by default, and one in which they are granted."""
        name = f"dynamic-{'open' if opens else 'shut'}"
        world = Dynamic(self.dice(number, name), f"d{number}", self.plugin, opens)
        place = self.place(number, name)
        conf = "listener PORT0 127.0.0.1\n" + world.write(place)
        self.compare([(world, conf)], place, conf, f"{number}/{name}")

    def compare(self, worlds, place, conf, name):
        """Asks Mosquitto and Keyward at the same time: both wait more than they compute."""
        if self.options.show:
            for path in sorted(place.iterdir()):
                print(f"── {path}\n{path.read_text()}")
        with mosquitto(place, conf) as ports, concurrent.futures.ThreadPoolExecutor(1) as other:
            theirs = other.submit(lambda: [ask(world, port) for (world, _), port in zip(worlds, ports)])
            for number, (world, alone) in enumerate(worlds):
                with self.keyward.imported(place, alone) as (port, _):
                    ours = ask(world, port)
                    said = theirs.result()[number]
                    self.count(world, said, ours, f"seed {self.options.seed} {name}")
                    if self.options.mutants:
                        self.plant(world, said, port)

    def count(self, world, theirs, ours, name):
        self.cases.update(question.what for question in theirs)
        for question, a, b, reason in differences(world, theirs, ours):
            if reason:
                self.explained[reason] += 1
            else:
                self.found.append(f"{name} {question}: mosquitto {a}, keyward {b}")

    def plant(self, world, theirs, port):
        """Asks Keyward with spoilt rules, once for each mutant that was not caught yet."""
        for name, spoil in MUTANTS.get(type(world), {}).items():
            if self.caught[name]:
                continue
            with self.keyward.spoilt(spoil) as is_other:
                found = differences(world, theirs, ask(world, port)) if is_other else []
            self.caught[name].update(question.asker.version for question, _, _, reason in found
                                     if question.asker and not reason)


def differences(world, theirs, ours):
    """Every question that was answered differently, both answers, and the reason or None."""
    for question in sorted(theirs.keys() | ours.keys(), key=str):
        a, b = theirs.get(question), ours.get(question)
        if a == b:
            continue
        if question.what == "connect" and (a, b) in ((5, 4), (0x87, 0x86)):
            yield question, a, b, WRONG
        elif question.what == "retained":
            was_heard = any(answer for other, answer in ours.items() if other.what == "heard" and other.topic == question.topic)
            yield question, a, b, SILENT if (a, b) == (SOMEBODYS, "kept") and not was_heard else None
        else:
            yield question, a, b, world.explain(question, a, b, ours)


if __name__ == "__main__":
    sys.exit(main())
