#!/usr/bin/env python3
"""Runs Mosquitto and Keyward on the same generated files with the same clients, and compares what each lets them do.

    compare.py --bin target/release/keyward [--seed N] [--rounds N] [--mutant NAME] [--show]

Each round writes a password file (by `mosquitto_passwd`) and an `acl_file`, starts Mosquitto with them, lets Keyward import them, and
asks both the same: each client publishes (QoS 1: the answer says whether it may), reads what an administrator publishes and has left
retained, subscribes, and leaves a will. A case is one such question. What differs on purpose is counted with its reason (EXPLAINED);
any other difference ends the run with code 1. With `--mutant` the imported rules are spoilt, and the run must find differences.
"""

import argparse
import collections
import json
import os
import pathlib
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time

import wire

PATIENCE = 20.0
WORDS = ["a", "b", "c", "status", "set"]
ADMIN = "admin"
ANONYMOUS = "anonymous"
PASSWORD = "correct horse {}"
CODES = {0x00, 0x10}

# What --mutant does to the text of a rule file.
MUTANTS = {
    "no-denials": lambda name, text: text.replace('deny = ["publish", "subscribe"]', 'deny = ["share"]'),
    "patterns-first": lambda name, text: text.replace("tier = 40", "tier = 20"),
    "any-client": lambda name, text: re.sub(r'[^"/]*\{client\}[^"/]*', "+", text),
    "wildcard-ids": lambda name, text: text.replace("plain_client_id = true\n", ""),
    "early-subscriptions": lambda name, text: re.sub(r"\[\[decide-late\]\].*", "", text, flags=re.S),
    "write-is-read": lambda name, text: text.replace('allow = ["publish"]', 'allow = ["publish", "subscribe"]'),
}


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Round:
    """The files of one round, and the clients that ask."""

    def __init__(self, dice, number):
        self.dice = dice
        self.users = [f"r{number}u{n}" for n in range(8)] + [f"{ADMIN}{number}"]
        self.admin = self.users[-1]
        self.lines = []
        self.clients = []
        # With Mosquitto a client id is one client's, whoever it is.
        for n, user in enumerate(self.users[:-1] + [None]):
            ids = [f"c{n}", f"dev-{user}", dice.choice(["a", "x y", "{id}", "c1c", "$c", "é"]) + str(n)]
            ids.append(dice.choice(["a/b", "a+b", "#", "b/", "%c", "%u"]) + str(n))
            self.clients += [(user, client_id) for client_id in ids]
        self.make_rules()
        self.topics = self.make_topics()

    def level(self, placeholders):
        dice = self.dice
        kinds = ["word"] * 6 + ["plus"] + (["whole"] * 4 + ["part"] * 3 if placeholders else ["literal"])
        kind = dice.choice(kinds)
        if kind == "word":
            return dice.choice(WORDS)
        if kind == "plus":
            return "+"
        if kind == "whole":
            return dice.choice(["%c", "%u"])
        if kind == "part":
            return dice.choice(["dev-%u", "%c-x", "%u%c", "x%cx", "%c%c"])
        return dice.choice(["%u", "%c", "{x}", "a b", ""])

    def filter(self, placeholders=False):
        dice = self.dice
        if dice.random() < 0.06:
            return "#"
        if dice.random() < 0.08:
            return dice.choice(["$SYS/#", "$SYS/broker/+", "$SYS/broker/version", "$SYS/broker/clients/#", "+/broker/version"])
        levels = [self.level(placeholders) for _ in range(dice.choice([1, 2, 2, 3]))]
        if dice.random() < 0.3:
            levels.append("#")
        return "/".join(levels) or "a"

    def rule(self, word, placeholders=False):
        access = self.dice.choice(["read ", "write ", "readwrite ", "", "deny ", "deny "])
        topic = self.filter(placeholders)
        if " " in topic and not access:
            access = "readwrite "
        self.lines.append(f"{word} {access}{topic}")

    def make_rules(self):
        dice = self.dice
        for _ in range(dice.randrange(3)):
            self.rule("topic")
        blocks = self.users[:-1] + dice.sample(self.users[:-1], 2)
        dice.shuffle(blocks)
        for user in blocks:
            if dice.random() < 0.2:
                continue
            self.lines.append(f"user {user}")
            for _ in range(dice.randrange(5)):
                self.rule("topic")
            if dice.random() < 0.25:
                self.rule("pattern", True)
        for _ in range(dice.randrange(1, 4)):
            self.rule("pattern", True)
        self.lines += [f"user {self.admin}", "topic readwrite #", "topic read $SYS/#"]

    def has_rule_of_its_own(self, user, topic, writes):
        """Whether a `topic` line for the user says something of this: then no pattern is asked."""
        whose, bits = None, {"read": {False}, "write": {True}, "readwrite": {False, True}, "deny": {False, True}}
        for line in self.lines:
            word, _, rest = line.partition(" ")
            access, _, text = rest.partition(" ")
            if word == "user":
                whose = rest
            elif word == "topic" and whose == user:
                filter_, allowed = (text, bits[access]) if access in bits else (rest, {False, True})
                if writes in allowed and matches(filter_.split("/"), topic.split("/")):
                    return True
        return False

    def make_topics(self):
        """Topics that the rules speak of, and some beside them."""
        dice, topics = self.dice, set()
        filters = [line.split(" ", 2 if re.match(r"\w+ (read|write|readwrite|deny) ", line) else 1)[-1]
                   for line in self.lines if not line.startswith("user")]
        while len(topics) < 14:
            chosen = dice.choice(filters + ["a/b", "b", "c/a/b"])
            if chosen.startswith("$SYS"):
                continue
            user, client = dice.choice(self.clients)
            text = chosen.replace("%c", client).replace("%u", user or "nobody") if dice.random() < 0.8 else chosen
            levels = [dice.choice(WORDS) if level == "+" else level for level in text.split("/")]
            if levels[-1] == "#":
                levels[-1:] = [dice.choice(WORDS) for _ in range(dice.randrange(3))]
            if dice.random() < 0.15:
                levels[dice.randrange(len(levels) or 1):] = [dice.choice(WORDS)]
            topic = "/".join(levels)
            if topic and not set(topic) & set("+#") and not topic.startswith("$"):
                topics.add(topic)
        return sorted(topics)


class Mosquitto:
    def __init__(self, folder):
        self.port, self.folder = free_port(), folder
        # Started by root, Mosquitto would give its rights up before it reads the files.
        (folder / "run.conf").write_text((folder / "mosquitto.conf").read_text().replace("PORT", str(self.port))
                                         + "user root\nsys_interval 1\n")
        program = shutil.which("mosquitto", path=os.environ["PATH"] + ":/usr/sbin")
        self.log = open(folder / "mosquitto.log", "w")
        self.process = subprocess.Popen([program, "-c", folder / "run.conf"], stdout=self.log, stderr=self.log)
        wait_for_port(self.port)

    def stop(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


class Keyward:
    def __init__(self, program, folder):
        self.program, self.dir, self.port = program, folder / "keyward", free_port()
        self.dir.mkdir(mode=0o700)
        (self.dir / "policy.d").mkdir(mode=0o700)
        # Each of eight users logs in a dozen times in a moment, from one address.
        self.head = (f'[server]\nsys_interval = "1 s"\n[limits]\nconnections_per_identity = 1000\n[store]\ndurability = "memory"\n'
                     f'[[listener]]\nname = "tls"\naddress = "127.0.0.1"\nport = {free_port()}\n')
        self.write_config(self.head)
        self.log = open(folder / "keyward.log", "w")
        self.process = subprocess.Popen([program, "--dir", self.dir, "up"], stdin=subprocess.DEVNULL, stdout=self.log,
                                        stderr=self.log)
        end = time.monotonic() + PATIENCE
        while self.run("status").returncode:
            assert time.monotonic() < end, (folder / "keyward.log").read_text()

    def write_config(self, text):
        path = self.dir / "keyward.toml"
        path.write_text(text)
        path.chmod(0o600)

    def run(self, *words):
        return subprocess.run([self.program, "--dir", self.dir, *words], capture_output=True, text=True, timeout=PATIENCE)

    def must(self, *words):
        ran = self.run(*words)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def take_over(self, folder, mutant):
        """Imports the files. Returns the report."""
        (folder / "import.conf").write_text((folder / "mosquitto.conf").read_text().replace("PORT", str(self.port)))
        report = json.loads(self.must("--json", "import", "mosquitto", str(folder / "import.conf")))["import"]
        if mutant:
            for path in (self.dir / "policy.d").glob("*.toml"):
                path.write_text(MUTANTS[mutant](path.name, path.read_text()))
            self.must("reload")
        wait_for_port(self.port)
        return report

    def forget(self, users):
        """Makes room for the next round."""
        for path in (self.dir / "policy.d").glob("mosquitto-*.toml"):
            path.unlink()
        self.write_config(self.head)
        self.must("reload")
        for user in users:
            self.run("user", "remove", user)
        self.port = free_port()

    def stop(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()


def wait_for_port(port):
    end = time.monotonic() + PATIENCE
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError:
            assert time.monotonic() < end, f"nobody listens on {port}"
            time.sleep(0.01)


SYS = ["$SYS/broker/version", "$SYS/broker/uptime", "$SYS/broker/clients/connected", "$SYS/broker/messages/received"]
FILTERS = ["#", "$SYS/#", "a/b", "none/of/these", "+/+/x"]


def ask(world, port):
    """Asks one broker everything. Returns {question: answer}."""
    answers = {}

    def login(user, client_id, **more):
        return wire.Client(port, client_id, user, user and PASSWORD.format(user), **more)

    admin = login(world.admin, "admin")
    admin.subscribe(["#", "$SYS/#"])
    while not {topic for topic, _, _ in admin.arrived} >= set(SYS):
        admin.flush()
    for topic in world.topics:
        admin.publish(topic, "kept", retain=True)
    admin.flush()
    admin.take()
    links = []
    for user, client_id in world.clients:
        try:
            link = login(user, client_id)
        except (wire.Refused, ConnectionError) as error:
            answers[user, client_id, "connect"] = f"refused: {type(error).__name__}"
            continue
        links.append((user, client_id, link))
        codes = link.subscribe(FILTERS)
        for text, code in zip(FILTERS, codes):
            answers[user, client_id, "subscribe", text] = code < 0x80
        link.flush()
    # The replay of retained messages follows SUBACK; what is published after it comes behind it.
    for topic in world.topics:
        admin.publish(topic, "live")
    admin.publish("the/end", "end")
    for user, client_id, link in links:
        # Once its own answer is there, what came before it is there too.
        settle(link)
        arrived = link.take()
        for topic in world.topics:
            answers[user, client_id, "kept", topic] = any(t == topic and p == "kept" for t, p, _ in arrived)
            answers[user, client_id, "live", topic] = any(t == topic and p == "live" for t, p, _ in arrived)
        for topic in SYS:
            answers[user, client_id, "sys", topic] = any(t == topic for t, _, _ in arrived)
    for user, client_id, link in links:
        for topic in world.topics:
            code = link.publish(topic, f"{user} {client_id}", retain=True)
            answers[user, client_id, "publish", topic] = code in CODES
        answers[user, client_id, "publish", "$SYS/broker/x"] = link.publish("$SYS/broker/x", "x") in CODES
        link.take()
    checker = login(world.admin, "checker")
    checker.subscribe(["#"])
    settle(checker)
    last = {topic: payload for topic, payload, retain in checker.take() if retain}
    for topic in world.topics:
        answers["retained", topic] = last.get(topic)
    for link in [link for _, _, link in links]:
        link.close()
    admin.take()
    ask_wills(world, admin, login, answers)
    admin.close()
    checker.close()
    return answers


def settle(link):
    """Waits until a link is quiet: two answers in a row between which nothing came."""
    while True:
        before = len(link.arrived)
        link.flush()
        time.sleep(0.002)
        link.flush()
        if len(link.arrived) == before:
            return


def ask_wills(world, admin, login, answers):
    dice = random.Random(len(world.lines))
    asked = []
    for user, client_id in world.clients:
        topic = dice.choice(world.topics)
        try:
            login(user, client_id, will=(topic, f"will {user} {client_id}")).break_off()
        except (wire.Refused, ConnectionError):
            answers[user, client_id, "will", topic] = "refused"
            continue
        asked.append((user, client_id, topic))
    admin.publish("the/end", "last will")
    admin.wait_for("last will")
    end = time.monotonic() + 0.3
    while time.monotonic() < end:
        settle(admin)
    payloads = {payload for _, payload, _ in admin.take()}
    for user, client_id, topic in asked:
        answers[user, client_id, "will", topic] = f"will {user} {client_id}" in payloads


def explain(question, theirs, ours, world):
    """Says why a difference is meant, or returns None: only of what no rule for the user itself decides."""
    if question[0] == "retained":
        topic = question[1]
        user, _, client_id = theirs.partition(" ") if isinstance(theirs, str) else ("", "", "")
        user = None if user == "None" else user
        is_more = "/" in client_id
    else:
        user, client_id, what, *topic = question
        topic = topic[0] if topic else ""
        is_more = theirs and not ours
    writes = question[0] == "retained" or what in ("publish", "will")
    if not is_more or world.has_rule_of_its_own(user, topic, writes):
        return None
    if "/" in client_id:
        return "an id with / gets nothing of any pattern"
    if client_id.startswith("$"):
        return "a client id is never the first level if it begins with $"
    return None


def matches(levels, topic):
    """Whether a filter matches a topic, both as lists of levels (MQTT 5.0, 4.7)."""
    if topic[0].startswith("$") and levels[0] in ("+", "#"):
        return False
    for n, level in enumerate(levels):
        if level == "#":
            return True
        if n >= len(topic) or level not in ("+", topic[n]):
            return False
    return len(levels) == len(topic)


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--bin", required=True, type=pathlib.Path)
    arguments.add_argument("--seed", type=int, default=1)
    arguments.add_argument("--rounds", type=int, default=3)
    arguments.add_argument("--mutant", choices=[*MUTANTS, "all"])
    arguments.add_argument("--show", action="store_true", help="print the files of each round")
    options = arguments.parse_args()
    program = options.bin.resolve()
    with tempfile.TemporaryDirectory() as folder:
        keyward = Keyward(program, pathlib.Path(folder))
        try:
            if options.mutant:
                names = MUTANTS if options.mutant == "all" else [options.mutant]
                return max(caught(keyward, folder, options, name) for name in names)
            return compare(keyward, folder, options)
        finally:
            keyward.stop()


def caught(keyward, folder, options, mutant):
    """Looks for a difference with spoilt rules, round by round."""
    for number in range(options.rounds):
        differences, _, _ = play(keyward, folder, options, number, mutant)
        if differences:
            print(f"mutant {mutant}: caught in round {number} by {len(differences)} differences")
            return 0
    print(f"mutant {mutant}: NOT caught in {options.rounds} rounds")
    return 1


def compare(keyward, folder, options):
    cases, explained, found = collections.Counter(), collections.Counter(), []
    for number in range(options.rounds):
        differences, reasons, counts = play(keyward, folder, options, number, None)
        explained.update(reasons)
        cases.update(counts)
        found += differences
    print(f"seed {options.seed}: {sum(cases.values())} cases in {options.rounds} rounds: "
          + ", ".join(f"{count} {kind}" for kind, count in sorted(cases.items())))
    for reason, count in explained.items():
        print(f"  {count} differ as they should: {reason}")
    for line in found[:40]:
        print(f"  DIFFERENCE {line}")
    print(f"  {len(found)} unexplained differences")
    return 1 if found else 0


def play(keyward, folder, options, number, mutant):
    seed = f"{options.seed}/{number}/{mutant or ''}"
    world = Round(random.Random(f"{options.seed}/{number}"), f"{number}{(mutant or '').replace('-', '')}")
    place = pathlib.Path(folder) / seed.replace("/", "-")
    place.mkdir()
    write_files(world, place)
    if options.show:
        print((place / "acl").read_text())
    mosquitto = Mosquitto(place)
    try:
        keyward.take_over(place, mutant)
        theirs, ours = ask(world, mosquitto.port), ask(world, keyward.port)
    finally:
        mosquitto.stop()
    keyward.forget([*world.users, ANONYMOUS])
    differences, reasons = [], collections.Counter()
    for question in sorted(theirs.keys() | ours.keys(), key=str):
        a, b = theirs.get(question), ours.get(question)
        if a == b:
            continue
        reason = None if mutant else explain(question, a, b, world)
        if reason:
            reasons[reason] += 1
        else:
            differences.append(f"seed {seed} {question}: mosquitto {a}, keyward {b}")
    if mutant:
        differences = [line for line in differences if not re.search(r"'(a/b|b/|\$c)\d", line)]
    counts = collections.Counter(q[0] if q[0] == "retained" else q[2] for q in theirs)
    return differences, reasons, counts


def write_files(world, place):
    passwords = place / "passwd"
    passwords.write_text("".join(f"{user}:{PASSWORD.format(user)}\n" for user in world.users))
    subprocess.run(["mosquitto_passwd", "-U", passwords], check=True, timeout=PATIENCE)
    passwords.chmod(0o600)
    (place / "acl").write_text("".join(line + "\n" for line in world.lines))
    (place / "acl").chmod(0o600)
    (place / "mosquitto.conf").write_text(
        f"listener PORT 127.0.0.1\nallow_anonymous true\npassword_file {passwords}\nacl_file {place / 'acl'}\n"
    )


if __name__ == "__main__":
    sys.exit(main())
