"""What both brokers are asked, with the same clients."""

import collections

import wire

CODES = {0x00, 0x10}
DENIED = 0x80
LET_IN = "let in"
SOMEBODYS = "somebody's"
AT_ONCE = 6
SYS = ["$SYS/broker/version", "$SYS/broker/uptime", "$SYS/broker/clients/connected", "$SYS/broker/messages/received"]
FILTERS = ["#", "$SYS/#", "a/b", "none/of/these", "+/+/x"]
RESERVED = ["$SYS/broker/x", "$CONTROL/x"]

# Who asks: a user name or None, a client id, and 4 (MQTT 3.1.1) or 5.
Asker = collections.namedtuple("Asker", "user client_id version")
# One case. `asker` is None where the world as a whole is asked.
Question = collections.namedtuple("Question", "asker what topic")


def ask(world, port):
    """Asks one broker everything. Returns {question: answer}.

    `world` has `askers`, `topics`, `filters`, `admin` (a user that may do everything), `password(user)` and `wills`, a topic for
    each asker.
    """
    return Asking(world, port).all()


class Asking:
    def __init__(self, world, port):
        self.world, self.port, self.answers, self.links = world, port, {}, []

    def all(self):
        admin = self.connect(Asker(self.world.admin, "admin", 5))
        admin.subscribe(["#", "$SYS/#"])
        admin.wait_until(lambda arrived: {topic for topic, _, _ in arrived} >= set(SYS))
        admin.publish(self.world.topics, "kept", retain=True)
        self.ask_who_gets_in()
        self.ask_what_is_read(admin)
        self.ask_what_is_subscribed(admin)
        self.ask_what_is_published(admin)
        self.ask_wills(admin)
        return self.answers

    def note(self, asker, what, topic, answer):
        self.answers[Question(asker, what, topic)] = answer

    def connect(self, asker, password=None, **more):
        if asker.user is not None and password is None:
            password = self.world.password(asker.user)
        return wire.Client(self.port, asker.client_id, asker.version, asker.user, password, **more)

    def settle(self, link):
        wire.settle([link] + [link for _, link in self.links])

    def ask_who_gets_in(self):
        """A few knock at once, for who is refused is told so late; more would be too many for Keyward from one address."""
        wrong = [(Asker(self.world.admin, f"wrong{version}", version), "wrong") for version in (4, 5)]
        knocking = wrong + [(asker, None) for asker in self.world.askers]
        for start in range(0, len(knocking), AT_ONCE):
            links = [(asker, self.connect(asker, password, will=self.will(asker), waits=False))
                     for asker, password in knocking[start:start + AT_ONCE]]
            for asker, link in links:
                answer = refusal(link.enter)
                self.note(asker, "connect", "", answer)
                if answer == LET_IN:
                    self.links.append((asker, link))

    def will(self, asker):
        return self.world.wills.get(asker, "none"), f"will {asker}"

    def ask_what_is_read(self, admin):
        """Subscriptions, the retained messages that they bring, and what is published then."""
        for asker, link in self.links:
            for text, code in zip(FILTERS, link.subscribe(FILTERS)):
                self.note(asker, "subscribe", text, code < DENIED)
        # Retained messages come after SUBACK, and before what is published then.
        self.settle(admin)
        admin.publish(self.world.topics, "live")
        self.settle(admin)
        for asker, link in self.links:
            arrived = link.take()
            for topic in self.world.topics:
                self.note(asker, "kept", topic, (topic, "kept", True) in arrived)
                self.note(asker, "live", topic, (topic, "live", False) in arrived)
            for topic in SYS:
                self.note(asker, "sys", topic, any(t == topic for t, _, _ in arrived))

    def ask_what_is_subscribed(self, admin):
        """Each topic by its name, and the end of each subscription."""
        topics = self.world.topics + SYS
        for asker, link in self.links:
            for topic, code in zip(topics, link.subscribe(topics)):
                self.note(asker, "subscribe", topic, code < DENIED)
        self.settle(admin)
        for asker, link in self.links:
            # What a new subscription brings is marked as retained, what others bring is not.
            arrived = {topic for topic, _, retain in link.take() if retain}
            for topic in topics:
                self.note(asker, "own", topic, topic in arrived)
            for text, code in zip(FILTERS, link.unsubscribe(FILTERS)):
                self.note(asker, "unsubscribe", text, code < DENIED)

    def ask_what_is_published(self, admin):
        admin.take()
        for asker, link in self.links:
            # With such an id a pattern may name a topic that is reserved too.
            reserved = RESERVED + [f"{asker.client_id}/x"] * asker.client_id.startswith("$")
            for topics, retain in ((self.world.topics, True), (reserved, False)):
                codes = link.publish(topics, str(asker), retain)
                # 3.1.1 acknowledges whatever becomes of a message.
                for topic, code in zip(topics, codes):
                    self.note(asker, "publish", topic, code in CODES)
        self.settle(admin)
        heard = {(topic, payload) for topic, payload, _ in admin.take()}
        for asker, _ in self.links:
            for topic in self.world.topics:
                self.note(asker, "heard", topic, (topic, str(asker)) in heard)
        checker = self.connect(Asker(self.world.admin, "checker", 5))
        checker.subscribe(["#"])
        self.settle(checker)
        last = {topic: payload for topic, payload, retain in checker.take() if retain}
        for topic in self.world.topics:
            # Between two publishers Keyward keeps no order: whose message is kept may differ, but it was heard.
            kept = last.get(topic)
            self.note(None, "retained", topic, SOMEBODYS if (topic, kept) in heard else kept)
        checker.close()

    def ask_wills(self, admin):
        """Breaks all links. Who came again with its client id has a will that was sent or dropped before it was let in."""
        for _, link in self.links:
            link.break_off()
        for asker, _ in self.links:
            self.connect(asker).close()
        admin.publish(["the/end"], "the end")
        admin.wait_until(lambda arrived: any(payload == "the end" for _, payload, _ in arrived))
        payloads = {payload for _, payload, _ in admin.take()}
        for asker, _ in self.links:
            self.note(asker, "will", self.world.wills[asker], f"will {asker}" in payloads)
        admin.close()


def refusal(act):
    """The code with which somebody is not let in, or LET_IN."""
    try:
        act()
    except wire.Refused as refused:
        return refused.code
    except ConnectionError:
        return "closed"
    return LET_IN
