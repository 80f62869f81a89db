"""A world with a password file and an `acl_file`, both made by chance."""

import re
import subprocess

from brokers import PATIENCE
from questions import Asker

WORDS = ["a", "b", "c", "status", "set"]
NOT_FIRST = "a client id is never the first level if it begins with $"
SLASH = "an id with / gets nothing of any pattern"


class AccessLists:
    """Users, their rules, and clients that ask. `salt` makes other passwords of the same names."""

    plugin = None

    def __init__(self, dice, name, salt="", anonymous=True):
        self.dice, self.salt, self.anonymous = dice, salt, anonymous
        self.users = [f"{name}u{n}" for n in range(8)] + [f"{name}admin"]
        self.admin = self.users[-1]
        self.lines, self.askers = [], []
        # With Mosquitto a client id is one client's, whoever it is.
        for n, user in enumerate(self.users[:-1] + [None]):
            ids = [f"c{n}", f"dev-{user}", dice.choice(["a", "x y", "{id}", "c1c", "$c", "é"]) + str(n)]
            ids.append(dice.choice(["a/b", "a+b", "#", "b/", "%c", "%u"]) + str(n))
            if user is None and not anonymous:
                # A refusal takes its time.
                ids = ids[:1]
            self.askers += [Asker(user, client_id, dice.choice([4, 5])) for client_id in ids]
        self.make_rules()
        self.topics = self.make_topics()
        self.wills = {asker: dice.choice(self.topics) for asker in self.askers}

    def password(self, user):
        return f"correct horse {user}{self.salt}"

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

    def make_topics(self):
        """Topics that the rules speak of, and some beside them."""
        dice, topics = self.dice, set()
        filters = [line.split(" ", 2 if re.match(r"\w+ (read|write|readwrite|deny) ", line) else 1)[-1]
                   for line in self.lines if not line.startswith("user")]
        while len(topics) < 14:
            chosen = dice.choice(filters + ["a/b", "b", "c/a/b"])
            if chosen.startswith("$SYS"):
                continue
            asker = dice.choice(self.askers)
            text = chosen.replace("%c", asker.client_id).replace("%u", asker.user or "nobody") if dice.random() < 0.8 else chosen
            levels = [dice.choice(WORDS) if level == "+" else level for level in text.split("/")]
            if levels[-1] == "#":
                levels[-1:] = [dice.choice(WORDS) for _ in range(dice.randrange(3))]
            if dice.random() < 0.15:
                levels[dice.randrange(len(levels) or 1):] = [dice.choice(WORDS)]
            topic = "/".join(levels)
            if topic and not set(topic) & set("+#") and not topic.startswith("$"):
                topics.add(topic)
        return sorted(topics)

    def write(self, folder):
        """Writes the files. Returns the settings that name them."""
        passwords, rules = folder / f"passwd{self.salt}", folder / f"acl{self.salt}"
        passwords.write_text("".join(f"{user}:{self.password(user)}\n" for user in self.users))
        subprocess.run(["mosquitto_passwd", "-U", passwords], check=True, timeout=PATIENCE)
        rules.write_text("".join(line + "\n" for line in self.lines))
        for path in (passwords, rules):
            path.chmod(0o600)
        return f"allow_anonymous {str(self.anonymous).lower()}\npassword_file {passwords}\nacl_file {rules}\n"

    def explain(self, question, theirs, ours, _):
        """Says why a difference is meant, or returns None: only of what no rule for the user itself decides."""
        asker = question.asker
        writes = question.what in ("publish", "heard", "will")
        if not theirs or ours or self.has_rule_of_its_own(asker.user, question.topic, writes):
            return None
        if "/" in asker.client_id:
            return SLASH
        return NOT_FIRST if asker.client_id.startswith("$") else None

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
                if writes in allowed and matches(filter_, topic):
                    return True
        return False


class Written(AccessLists):
    """The same with rules that chance seldom makes: clients differ by each reason, and nobody else publishes what they may not."""

    def __init__(self, name):
        self.salt, self.anonymous = "", True
        user, self.admin = self.users = [f"{name}u", f"{name}admin"]
        # Many are plain: links have to reach every thread of a broker, or nobody knows when all is quiet.
        plain = [f"plain{n}" for n in range(20)]
        self.askers = [Asker(user, client_id, 5) for client_id in ["$c", "a/b", *plain]]
        self.lines = ["pattern write %c/x", "pattern readwrite only/%c", f"user {self.admin}", "topic readwrite #", "topic read $SYS/#"]
        self.topics = ["a/b", "only/a/b", "only/plain0", "plain0/x"]
        self.wills = {asker: f"only/{asker.client_id}" for asker in self.askers}


def matches(filter_, topic):
    """Whether a filter matches a topic (MQTT 5.0, 4.7)."""
    levels, topic = filter_.split("/"), topic.split("/")
    if topic[0].startswith("$") and levels[0] in ("+", "#"):
        return False
    for n, level in enumerate(levels):
        if level == "#":
            return True
        if n >= len(topic) or level not in ("+", topic[n]):
            return False
    return len(levels) == len(topic)
