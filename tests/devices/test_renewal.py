"""Certificates and keys for messages that a device renews by itself, as days pass: broker and agent are given a time of day that the story
moves (clock.c), and nothing else of them is changed.
"""

import json
import os
import pathlib
import random
import struct
import subprocess
import time

import pytest
from clients import Client
from test_devices import next_reading, number_of, plain

DAYS = 9  # for which certificates of devices are good here; from two thirds on they are renewed


class Clock:
    def __init__(self, folder):
        self.file, library = folder / "clock", folder / "clock.so"
        self.file.write_bytes(bytes(8))
        source = pathlib.Path(__file__).parent / "clock.c"
        subprocess.run(["cc", "-shared", "-fPIC", "-Wall", "-Werror", "-o", str(library), str(source)], check=True)
        self.environment = {"LD_PRELOAD": str(library), "KEYWARD_CLOCK": str(self.file)}
        self.seconds = 0

    def moves(self, seconds):
        self.seconds += int(seconds)
        self.file.write_bytes(struct.pack("=q", self.seconds))


@pytest.fixture
def clock(tmp_path, monkeypatch):
    """A time of day for all programs that the story starts from here on."""
    moved = Clock(tmp_path)
    for name, value in moved.environment.items():
        monkeypatch.setenv(name, value)
    return moved


@pytest.fixture
def keyward(clock, tmp_path, monkeypatch, dynamic):
    # A static program is not told another time.
    monkeypatch.setattr("clients.BIN", dynamic)
    tmp_path.chmod(0o700)
    from conftest import RULES, clients

    broker = clients.Keyward(tmp_path)
    broker.start()
    settings = broker.dir / "keyward.toml"
    settings.write_text(settings.read_text().replace("[certificates]\n", f'[certificates]\ndevice_lifetime = "{DAYS} days"\n', 1))
    broker.rules("devices", RULES)
    yield broker
    broker.stop()


def kept(agent):
    return json.loads((agent.folder / "membership.json").read_text())


def certificate(agent):
    return kept(agent)["certificate"], kept(agent)["message_key"]


def keys_of(agent):
    """How the keys stand by which messages of a device are verified, the oldest first."""
    rows = agent.keyward.json("keys", "list", agent.name)["message_keys"]
    return [row["state"] for row in rows if row["purpose"] == "sign"]


@pytest.fixture
def listener(keyward):
    """An application whose session is stored: what comes while broker or connection are away, it gets then."""
    client = Client(keyward.user("listener"), clean=False, expiry=0xFFFFFFFF).connect()
    client.subscribe("devices/#")
    yield client
    client.close()


def flow(listener, agent, last):
    """What came on the topic `flow` of a device, to the `last` of it. What a broker that was killed delivers again counts once, by its number."""
    came = {}
    while last not in came.values():
        message = next_reading(listener, agent, "flow")
        came.setdefault(number_of(message.payload), plain(message.payload))
    return list(came.values())


def test_a_device_renews_by_itself_when_two_thirds_are_over_and_what_it_signed_before_still_arrives(
    device, keyward, listener, clock, dynamic
):
    pump = device("pump-r", binary=dynamic).enrol().start().connected()
    old, old_key = certificate(pump)
    clock.moves(kept(pump)["renew_from"] - time.time() - 600)
    keyward.stop()
    keyward.start()
    pump.connected()
    pump.report("flow", "early")
    pump.stop()
    assert certificate(pump) == (old, old_key)
    # Readings that nobody has yet, signed by the key before.
    keyward.stop()
    pump.start()
    for count in range(40):
        pump.report("flow", count)
    clock.moves(1_200)
    keyward.start()
    keyward.until(lambda: certificate(pump)[0] != old, "the certificate is renewed")
    pump.until(lambda status: status["connected"] and keys_of(pump) == ["overlapping", "active"], "the new one is used")
    pump.report("flow", "after")
    assert flow(listener, pump, "after") == ["early", *(str(count) for count in range(40)), "after"], "each once, in their order"
    assert certificate(pump)[1] != old_key


def test_device_and_broker_are_killed_around_each_renewal_and_nothing_that_was_stored_is_lost_or_doubled(
    device, keyward, listener, clock, dynamic
):
    pump = device("pump-k", binary=dynamic).enrol()
    dice, said, keys = random.Random(int(os.environ.get("KEYWARD_SEED", "9"))), 0, {kept(pump)["message_key"]}
    for _ in range(4):
        pump.start().until(lambda status: status["waiting"] == 0, "all is sent")
        keyward.kill()
        for _ in range(20):
            said += 1
            pump.report("flow", said)
        pump.kill()
        clock.moves(kept(pump)["renew_from"] - time.time() - clock.seconds + 60)
        keyward.start()
        # Somewhere between the start and the first use of the new keys, either dies.
        for victim in dice.sample([pump, keyward, pump], 3):
            pump.start()
            time.sleep(0.2 + dice.random() * 0.6)
            victim.kill()
            if victim is keyward:
                keyward.start()
            pump.kill()
        pump.start().until(lambda status: status["waiting"] == 0, "all is sent")
        pump.until(lambda _: kept(pump)["renew_from"] > time.time() + clock.seconds, "the certificate is renewed")
        keys.add(kept(pump)["message_key"])
        pump.until(lambda status: status["connected"] and keys_of(pump)[-1] == "active", "by the new key")
        pump.stop()
    pump.start().report("flow", "end")
    assert flow(listener, pump, "end") == [str(count) for count in range(1, said + 1)] + ["end"]
    assert len(keys) == 5
    assert pump.status()["aside"] == 0, f"{pump.said()}\n{keyward.run('denials').stdout}"
