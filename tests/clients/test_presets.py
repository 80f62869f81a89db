"""The software of homes at work with its preset, as presets.toml has it from its sources: birth, will, discovery and its end,
commands, states; the broker is restarted in the middle. Not one thing is denied to it, and a neighbour's topic is."""

import pathlib
import tomllib
from concurrent.futures import ThreadPoolExecutor

import pytest

from conftest import Client, Keyward

STORIES = tomllib.loads((pathlib.Path(__file__).parent / "presets.toml").read_text())["story"]
NAMES = [f"{story['preset']}-{story['account'].split(':')[1]}" for story in STORIES]


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """One broker for all stories: each is told up to the restart, then all of them go on."""
    folder = tmp_path_factory.mktemp("house")
    folder.chmod(0o700)
    broker = Keyward(folder)
    broker.start()
    try:
        with ThreadPoolExecutor(2 * len(STORIES)) as pool:
            yield House(broker, pool)
    finally:
        broker.stop()


class House:
    """Everybody's accounts, and what was denied before and after the restart."""

    def __init__(self, broker, pool):
        self.broker, self.pool, self.who, self.denied = broker, pool, {}, []
        for story in STORIES:
            self.add(story)
        clients = self.act("first")
        self.denied += self.denials()
        broker.stop()
        list(self.leave(clients))
        broker.start()
        clients = self.act("again")
        self.denied += self.denials()
        list(self.leave(clients))

    def add(self, story):
        kind, name = story["account"].split(":")
        options = ["--preset", story["preset"], *story.get("options", [])]
        add = self.broker.device(name, *options) if kind == "device" else self.broker.user(name, options=options)
        self.who[story["account"]] = add

    def act(self, part):
        others = {"told": self.client("user:ha", "teller"), "asked": self.client("user:house", "asker")}
        clients = [self.of(story) for story in STORIES]
        for client, story in zip(clients, STORIES, strict=True):
            for step in story[part]:
                play(client, step, others)
        return [*clients, *others.values()]

    def leave(self, clients):
        """They vanish, all at once: paho takes a second to stop one."""
        return self.pool.map(Client.vanish, clients)

    def client(self, account, client_id, version=5, **options):
        return Client(self.who[account], version, client_id=client_id, **options).connect()

    def of(self, story):
        will = story.get("will")
        return self.client(
            story["account"], story["client"], story["version"], clean=story.get("clean", True), will=will
        )

    def denials(self):
        return [(row["who"], row["action"], row["topic"]) for row in self.broker.json("denials")["denials"]["denials"]]


def play(client, step, others):
    what, topic, *rest = step
    if what == "subscribe":
        return client.subscribe(topic)[0]
    if what == "publish":
        return client.publish(topic, *rest)
    assert others[what].publish(topic, *rest) < 0x80, step
    while client.receive() != (topic, rest[0]):
        pass
    return 0


def test_every_preset_has_a_story(house):
    presets = {row["name"] for row in house.broker.json("preset", "list")["presets"]}
    assert {story["preset"] for story in STORIES} == presets


@pytest.mark.parametrize("story", STORIES, ids=NAMES)
def test_nothing_is_denied_to_what_the_preset_is_for(house, story):
    assert [denied for denied in house.denied if denied[0] == story["account"]] == []


def test_the_will_of_a_client_that_vanishes_is_published(house):
    with_will = [story for story in STORIES if story.get("will")]
    clients = [house.of(story) for story in with_will]
    for client, story in zip(clients, with_will, strict=True):
        topic, _, qos, retain = story["will"]
        assert client.publish(topic, "there", qos, retain) < 0x80
    witness = house.client("user:eye", "witness")
    witness.subscribe("#")
    house.leave(clients)
    missing = {tuple(story["will"][:2]) for story in with_will}
    while missing:
        missing.discard(witness.receive())
    house.leave([witness])


def test_discovery_that_was_cleared_is_gone_and_the_rest_outlived_the_restart(house):
    witness = house.client("user:eye", "witness")
    witness.subscribe("#")
    marker = house.client("user:house", "marker")
    marker.publish("marker", "end")
    seen = dict(witness.heard_nothing_before("marker"))
    cleared = [step[1] for story in STORIES for step in story["again"] if step[0] == "publish" and step[2] == ""]
    assert len(cleared) >= 8 and not set(cleared) & set(seen)
    assert {"homeassistant/light/porch/lamp/config", "zigbee2mqtt/bridge/info", "shellies/shelly1-A1B2C3/relay/0"} <= set(seen)
    house.leave([witness, marker])


@pytest.mark.parametrize("story", STORIES, ids=NAMES)
def test_a_neighbours_topics_are_refused(house, story):
    before = set(house.denials())
    client = house.of(story)
    answers = [play(client, step, {}) for step in story["refused"]]
    if story["version"] == 5:
        assert set(answers) == {0x87}
    # A story of its own account alone: what else is denied meanwhile is none of it.
    now = {denied for denied in set(house.denials()) - before if denied[0] == story["account"]}
    assert now == {(story["account"], step[0], step[1]) for step in story["refused"]}
    house.leave([client])


def test_the_listings_say_which_preset_an_account_has(house):
    users = {row["name"]: row["preset"] for row in house.broker.json("user", "list")["users"]}
    devices = {row["id"]: row["preset"] for row in house.broker.json("device", "list")["devices"]}
    for story in STORIES:
        kind, name = story["account"].split(":")
        assert (devices if kind == "device" else users)[name] == story["preset"]
    told = house.broker.run("user", "list").stdout
    assert "preset home: a shared login" in told, told
