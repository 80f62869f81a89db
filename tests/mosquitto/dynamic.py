"""A world of dynamic security: clients, groups and roles, made by chance."""

import base64
import hashlib
import json

from access_lists import WORDS, matches
from questions import FILTERS, LET_IN, Asker

PLUGIN = "/usr/lib/{}/mosquitto_dynamic_security.so"
# None is written as no priority: there it is 0 for a rule, and -1 for a role and a member.
PRIORITIES = [-100_000, -1, None, None, 0, 0, 1, 5, 99_999, 100_000]
KINDS = ["publishClientSend"] * 3 + ["publishClientReceive", "subscribeLiteral", "subscribePattern", "subscribePattern",
                                     "unsubscribeLiteral", "unsubscribePattern"]

BOUND = "a client with a fixed client id is left out"
RESERVED = "clients never publish to topics that begin with $"
ENDING = "whoever has a subscription may end it"
LITERAL = "subscribeLiteral with wildcards allows narrower filters too"
WIDER = "a filter is granted if something that it matches may be read, and brings only that"
RECEIVE = "a publishClientReceive that denies holds, also behind one that allows"
NOTHING = "a filter is refused if nothing that it matches may be read"
DOLLAR = "only rules that name $SYS open it, no wildcard and no default"
THROUGH = "what may not be subscribed to is not delivered through a wider filter"
# For each reason rules of one client that differs by it, whatever chance brings: kind, topic, priority, whether it allows.
WRITTEN = {
    RESERVED: [("publishClientSend", "$CONTROL/#", 0, True)],
    ENDING: [("unsubscribePattern", "#", 0, False)],
    LITERAL: [("subscribeLiteral", "+/+/x", 0, True)],
    WIDER: [("subscribePattern", "a/b", 0, True)],
    RECEIVE: [("subscribePattern", "a/b", 0, True), ("publishClientReceive", "a/b", 1, True), ("publishClientReceive", "a/#", 0, False)],
    NOTHING: [("subscribePattern", "a/b", 0, True), ("publishClientReceive", "a/b", 0, False)],
    DOLLAR: [("subscribePattern", "#", 0, True)],
    THROUGH: [("subscribePattern", "#", 0, True), ("subscribePattern", "a/b", 1, False)],
}
WIDE = [text for text in FILTERS if set(text) & set("+#") and not text.startswith("$")]


class Dynamic:
    """Clients, their groups and roles, and who asks. `opens` says whether subscriptions are granted by default."""

    def __init__(self, dice, name, plugin, opens):
        self.dice, self.plugin, self.opens = dice, plugin, opens
        self.admin = f"{name}admin"
        self.users = [f"{name}u{n}" for n in range(8)]
        # One is kept out, one gets in with one client id only.
        self.off, self.bound = self.users[6], self.users[7]
        self.askers = [Asker(user, f"{user}-{version}", version) for user in self.users + [None] for version in (4, 5)]
        self.askers.remove(Asker(self.off, f"{self.off}-5", 5))
        self.topics = self.make_topics()
        self.roles = [self.role(f"{dice.choice('zmb')}{n}") for n in range(6)]
        self.groups = [{"groupname": f"{dice.choice('zmb')}{n}", "roles": self.some(self.roles, "rolename", 1, 3), "clients": []}
                       for n in range(4)]
        self.clients = [self.client(user) for user in self.users]
        for n, acls in enumerate(WRITTEN.values()):
            self.add_written(f"{name}w{n}", acls)
        self.topics = sorted({*self.topics, *self.brought()})
        self.security = self.file()
        self.wills = {asker: dice.choice(self.topics) for asker in self.askers}

    def password(self, user):
        return f"correct horse {user}"

    def topic(self):
        return "/".join(self.dice.choice(WORDS[:4]) for _ in range(self.dice.choice([1, 2, 2, 3])))

    def make_topics(self):
        topics = {"a/b", "a/b/x"}
        while len(topics) < 14:
            topics.add(self.topic())
        return sorted(topics)

    def filter(self):
        dice = self.dice
        if dice.random() < 0.25:
            return dice.choice(["#", "#", "+/#", "$SYS/#", "$SYS/#", "$SYS/broker/version", "$SYS/broker/+", "$CONTROL/#", "a/%u", "%c/#"])
        levels = dice.choice(self.topics).split("/")
        for n in range(len(levels)):
            if dice.random() < 0.25:
                levels[n] = "+"
        if dice.random() < 0.3:
            levels[-1] = "#"
        return "/".join(levels)

    def role(self, name):
        acls = {}
        for _ in range(self.dice.randrange(1, 8)):
            acl = self.acl()
            acls[acl["acltype"], acl["topic"]] = acl
        return {"rolename": name, "acls": list(acls.values())}

    def acl(self):
        dice = self.dice
        kind, allow = dice.choice(KINDS), dice.random() < 0.6
        topic = self.filter()
        if kind.endswith("Literal"):
            topic = dice.choice(self.topics + FILTERS)
            # A literal that denies a filter with wildcards is refused by the import.
            allow = allow or "+" in topic or "#" in topic
        return self.ranked({"acltype": kind, "topic": topic, "allow": allow})

    def some(self, things, key, least, most):
        chosen = self.dice.sample(things, self.dice.randrange(least, most + 1))
        return [self.ranked({key: thing[key]}) for thing in chosen]

    def ranked(self, thing):
        priority = self.dice.choice(PRIORITIES)
        return thing if priority is None else {**thing, "priority": priority}

    def client(self, user):
        it = {"username": user, **hashed(self.password(user)), "roles": self.some(self.roles, "rolename", 0, 2)}
        says_so = self.dice.random() < 0.5
        for group in self.dice.sample(self.groups, self.dice.randrange(3)):
            rank = self.ranked({})
            group["clients"].append({"username": user, **rank})
            if says_so:
                it.setdefault("groups", []).append({"groupname": group["groupname"], **rank})
        if user == self.off:
            it["disabled"] = True
        if user == self.bound:
            it["clientid"] = f"{user}-5"
        return it

    def add_written(self, user, acls):
        """Adds a client with a role of its own."""
        keys = ("acltype", "topic", "priority", "allow")
        self.roles.append({"rolename": user, "acls": [dict(zip(keys, acl)) for acl in acls]})
        self.clients.append({"username": user, **hashed(self.password(user)), "roles": [{"rolename": user, "priority": 0}]})
        self.askers += [Asker(user, f"{user}-{version}", version) for version in (4, 5)]

    def brought(self):
        """Topics that show whether a wide filter brings something: if anything does by some rule, its most general topic does."""
        allowed = {"#"} | {acl["topic"] for role in self.roles for acl in role["acls"]
                           if acl["allow"] and acl["acltype"].startswith("subscribe")}
        return {overlap(one, other) for one in allowed for other in WIDE} - {None}

    def file(self):
        dice = self.dice
        everything = [{"acltype": kind, "topic": topic, "priority": 0, "allow": True}
                      for kind in ("publishClientSend", "publishClientReceive", "subscribePattern") for topic in ("#", "$SYS/#")]
        admin = {"username": self.admin, **hashed(self.password(self.admin)), "roles": [{"rolename": "everything"}]}
        it = {
            "defaultACLAccess": {"publishClientReceive": True, **self.default("publishClientSend", dice.random() < 0.3),
                                 **self.default("subscribe", self.opens), **self.default("unsubscribe", dice.random() < 0.7)},
            "clients": self.clients + [admin], "groups": self.groups,
            "roles": self.roles + [{"rolename": "everything", "acls": everything}],
        }
        if dice.random() < 0.7:
            it["anonymousGroup"] = dice.choice(self.groups)["groupname"]
        return it

    def default(self, key, allows):
        """What is denied is said, or left out."""
        return {key: allows} if allows or self.dice.random() < 0.5 else {}

    def write(self, folder):
        """Writes the file. Returns the settings that name it."""
        path = folder / "dynamic.json"
        path.write_text(json.dumps(self.security, indent=1))
        path.chmod(0o600)
        return f"allow_anonymous true\nplugin {self.plugin}\nplugin_opt_config_file {path}\n"

    def rules(self, user):
        """All rules that a client may have, whatever their order."""
        roles = [role["rolename"] for client in self.clients if client["username"] == user for role in client["roles"]]
        for group in self.groups:
            is_in = any(client["username"] == user for client in group["clients"])
            if is_in or (user is None and self.security.get("anonymousGroup") == group["groupname"]):
                roles += [role["rolename"] for role in group["roles"]]
        return [acl for role in self.roles if role["rolename"] in roles for acl in role["acls"]]

    def has(self, user, kind, allow, topic):
        return any(rule["acltype"] == kind and rule["allow"] == allow and matches(rule["topic"], topic)
                   for rule in self.rules(user))

    def explain(self, question, theirs, ours, said):
        """Says why a difference is meant, or returns None. `said` is all that Keyward answered."""
        asker, what, topic = question
        if asker.user == self.bound and (ours is None or (what == "connect" and theirs == LET_IN)):
            return BOUND
        if what == "publish" and topic.startswith("$"):
            return RESERVED if theirs and not ours else None
        if what == "unsubscribe":
            return ENDING if ours and not theirs else None
        if what in ("kept", "live", "sys", "own", "subscribe"):
            return self.explain_less(question, said) if theirs else self.explain_more(question, said)
        return None

    def explain_less(self, question, said):
        """Why something may not be read here that may be read there."""
        asker, what, topic = question
        if what == "subscribe":
            return NOTHING if not brings(question, said) else None
        if self.has(asker.user, "publishClientReceive", True, topic) and self.has(asker.user, "publishClientReceive", False, topic):
            return RECEIVE
        # There wildcards of a subscribePattern stand for a first level with $ too.
        if topic.startswith("$SYS") and (self.opens or self.has(asker.user, "subscribePattern", True, topic[1:])):
            return DOLLAR
        # What is got by its own name there and not here has no other reason.
        return THROUGH if what != "own" and not said.get(question._replace(what="own")) else None

    def explain_more(self, question, said):
        """Why something may be read here that may not be read there."""
        asker, what, topic = question
        if any(rule["acltype"] == "subscribeLiteral" and rule["allow"] and set(rule["topic"]) & set("+#")
               and matches(rule["topic"], topic) for rule in self.rules(asker.user)):
            return LITERAL
        if what == "subscribe":
            return WIDER if set(topic) & set("+#") and brings(question, said) else None
        # It is got by its own name; where that differs, that question says so.
        return WIDER if what != "own" and said.get(question._replace(what="own")) else None


def overlap(one, other):
    """The topic that both filters match, with `y` for each level that neither names, or None."""
    names = [filter_.split("/") for filter_ in (one, other)]
    length = max(1, *(len(levels) - (levels[-1] == "#") for levels in names))
    names = [levels[:-1] + ["+"] * (length + 1 - len(levels)) if levels[-1] == "#" else levels for levels in names]
    topic = "/".join({a, b}.difference("+").pop() if {a, b} != {"+"} else "y" for a, b in zip(*names))
    return topic if matches(one, topic) and matches(other, topic) else None


def brings(question, said):
    """Whether anything that the filter of a SUBSCRIBE matches is got by its own name."""
    return any(answer and q.asker == question.asker and q.what == "own" and matches(question.topic, q.topic)
               for q, answer in said.items())


def hashed(password):
    salt = hashlib.sha256(password.encode()).digest()[:12]
    key = hashlib.pbkdf2_hmac("sha512", password.encode(), salt, 101)
    return {"password": base64.b64encode(key).decode(), "salt": base64.b64encode(salt).decode(), "iterations": 101}
