"""Copies of a device without secure hardware, with clients that nobody of Keyward wrote: the rolling secret, and two programs that take
each other's place."""

import hmac
import json
import shutil
import subprocess

import pytest

from conftest import Client, pause

TOPIC = "$keyward/ratchet"


class Flash:
    """What a device keeps: the name of a chain, a number, a secret."""

    def __init__(self, kept=None):
        self.kept = kept

    def copy(self):
        return Flash(self.kept)

    def answer(self, nonce):
        if self.kept is None:
            return "none"
        chain, number, secret = self.kept.split(" ")
        return f"{chain} {number} {hmac.new(bytes.fromhex(secret), nonce, 'sha256').hexdigest()}"

    def store(self, told):
        if told.startswith("next "):
            self.kept = told.removeprefix("next ")


class Link:
    """A device that speaks 3.1.1 and takes part, a step at a time."""

    def __init__(self, who, flash, number=0):
        self.flash = flash
        self.client = Client(who, version=4, client_id=f"{who.name}-{number}", returns=False).connect()
        assert self.client.subscribe(TOPIC, qos=0) == [0]
        word, digits = self.heard().split(" ")
        assert word == "nonce"
        self.nonce = bytes.fromhex(digits)

    def heard(self):
        topic, text = self.client.receive()
        assert topic == TOPIC
        return text

    def answer(self):
        self.client.publish(TOPIC, self.flash.answer(self.nonce), qos=0)


def connect(who, flash, number=0):
    """Lets a device connect once; returns what it is told, and stores it."""
    link = Link(who, flash, number)
    link.answer()
    told = link.heard()
    flash.store(told)
    link.client.close()
    return told.split(" ")[0]


def found(keyward, kind):
    rows = json.loads(keyward.run("incident", "list", "--json", "--all").stdout)["incidents"]
    return [row for row in rows if row["incident"] == kind]


def restart(keyward):
    keyward.kill()
    keyward.start()


def test_a_copied_flash_falls_behind_and_is_told(keyward):
    who, flash = keyward.device("pump-1", "--chip", "esp8266"), Flash()
    assert [connect(who, flash) for _ in range(3)] == ["next"] * 3
    copy = flash.copy()
    assert [connect(who, flash) for _ in range(2)] == ["next"] * 2
    assert connect(who, copy) == "stale"
    keyward.until(lambda: found(keyward, "stale-ratchet"), "an incident")
    [row] = found(keyward, "stale-ratchet")
    assert (row["scope"], row["severity"]) == ("device:pump-1", "medium"), "a flash that was restored looks like this too"
    restart(keyward)
    assert connect(who, copy) == "stale", "and a restart forgets nothing"
    assert connect(who, flash) == "next", "the device goes on"
    assert [connect(who, Flash()) for _ in range(3)] == ["stale"] * 3, "who says that it has no secret is not let off"
    keyward.until(lambda: found(keyward, "stale-ratchet")[0]["severity"] == "high", "and proves nothing")
    assert connect(who, copy) == "stale"
    keyward.until(lambda: found(keyward, "stale-ratchet")[0]["severity"] == "critical", "the second one is proof")


def test_nothing_that_breaks_accuses_a_device(keyward):
    who, flash = keyward.device("pump-1"), Flash()
    other = keyward.device("pump-2")
    for _ in range(3):
        # The broker is killed when it has asked, when it was answered, and when it has given the next one.
        Link(who, flash)
        restart(keyward)
        Link(who, flash).answer()
        restart(keyward)
        link = Link(who, flash)
        link.answer()
        link.heard()
        restart(keyward)
        # The power of the device fails before it has stored what it was given.
        link = Link(who, flash)
        link.answer()
        link.heard()
        link.client.vanish()
        assert connect(who, flash) == "next"
        # One that takes no part.
        client = Client(other, version=4, returns=False).connect()
        assert client.publish("pump-2/status", "on") == 0
        client.close()
    kept = keyward.dir / "ratchets"
    assert kept.stat().st_mode & 0o777 == 0o600
    backup = keyward.folder / "backup"
    shutil.copy(kept, backup)
    assert [connect(who, flash) for _ in range(3)] == ["next"] * 3
    keyward.stop()
    shutil.copy(backup, kept)
    keyward.start()
    assert connect(who, flash) == "next", "the store is that of before"
    keyward.stop()
    kept.unlink()
    keyward.start()
    assert [connect(who, flash) for _ in range(2)] == ["next"] * 2, "the store is lost"
    assert connect(who, Flash("00" * 8 + " 7 " + "00" * 32)) == "stale", "the watch listens"
    keyward.until(lambda: found(keyward, "stale-ratchet"), "the one that is a copy")
    [row] = found(keyward, "stale-ratchet")
    assert (row["scope"], row["seen"]) == ("device:pump-1", 1), row


def test_what_is_said_there_is_nobody_elses(keyward):
    rule = '[[rule]]\nwho = "user:nosy"\nallow = ["subscribe"]\ntopics = ["#", "$keyward/#"]\n'
    keyward.rules("nosy", rule)
    nosy = Client(keyward.user("nosy")).connect()
    nosy.subscribe("#", "$keyward/#", TOPIC)
    who = keyward.device("pump-1")
    assert connect(who, Flash()) == "next"
    assert nosy.publish(TOPIC, "none") >= 0x80, "users take no part"
    other = Client(keyward.device("pump-2")).connect()
    assert other.publish(TOPIC, "none") >= 0x80, "nor does who did not ask"
    assert other.publish("pump-2/marker", "") == 0
    heard = iter(lambda: nosy.messages.get(timeout=10).topic, "pump-2/marker")
    assert TOPIC not in list(heard)
    other.close()
    nosy.close()


def fight(client, rounds):
    for _ in range(rounds):
        client.closed.get(timeout=20)


@pytest.mark.parametrize("thief", ["another program", "the same program"])
def test_two_programs_at_two_places_that_take_each_others_place_are_told(keyward, thief):
    """A thief who copied the whole device and runs its program says hello like it, and is not told by this."""
    who = keyward.device("pump-1")

    def device(address):
        client = Client(who, version=4, client_id="pump-1", returns=True)
        client.paho.reconnect_delay_set(1, 1)
        client.paho.connect("127.0.0.1", keyward.port, keepalive=30, bind_address=address)
        client.paho.loop_start()
        client.connected.get(timeout=10)
        return client

    mine = device("127.0.1.1")
    if thief == "another program":
        words = ["mosquitto_sub", *who.mosquitto(), "-i", "pump-1", "-A", "127.0.2.1", "-t", "pump-1/x"]
        words[words.index("localhost")] = "127.0.0.1"
        process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
        try:
            fight(mine, 3)
            keyward.until(lambda: found(keyward, "takeover-ping-pong"), "an incident")
        finally:
            process.kill()
            process.wait()
        [row] = found(keyward, "takeover-ping-pong")
        assert row["scope"] == "device:pump-1"
        shown = keyward.run("incident", "show", str(row["number"])).stdout
        assert "network 7f0001" in shown and "network 7f0002" in shown, shown
    else:
        copy = device("127.0.2.1")
        fight(mine, 3)
        pause()
        assert not found(keyward, "takeover-ping-pong")
        copy.close()
    mine.close()
