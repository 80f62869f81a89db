"""Quarantine with clients that nobody of Keyward wrote: paho and mosquitto_pub, and a key of which there are two."""

import json
import subprocess

from conftest import Client
from test_signed_messages import Device
from test_watch import LID

RULES = """
[[rule]]
who = "user:reader"
allow = ["subscribe"]
topics = ["#", "$keyward/incidents/#"]
"""
SIGNED = """
[[signed]]
who = "devices"
topics = ["{id}/#"]
check = "require"
"""


def reader_of(keyward, rules):
    keyward.rules("reader", rules)
    reader = Client(keyward.user("reader")).connect()
    reader.subscribe("#")
    return reader


def mosquitto_pub(bundle, topic, text, *options):
    command = ["mosquitto_pub", *bundle.mosquitto(), "-q", "1", "-t", topic, "-m", text, *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=20)


def test_a_device_in_quarantine_reaches_its_recovery_topics_alone(keyward):
    reader = reader_of(keyward, RULES)
    pump = keyward.device("pump-1")
    link = Client(pump).connect()
    link.subscribe("pump-1/#")
    keyward.run("device", "quarantine", "pump-1", "--because", "seen in two places")
    assert link.publish("pump-1/flow", "21.5") == 0x87
    assert link.publish("devices/pump-1/recovery/state", "here") == 0
    assert reader.messages.get(timeout=10).payload == b"here", "the link was left open, and this came first"
    refused = mosquitto_pub(pump, "pump-1/flow", "22", "-V", "5")
    assert "uthorized" in refused.stdout + refused.stderr or refused.returncode != 0, refused
    # Versions before 5.0 have no word for it: it is answered, and goes nowhere.
    assert mosquitto_pub(pump, "pump-1/flow", "23", "-V", "311").returncode == 0
    # It may connect with any will, for it cannot know.
    will = ["--will-topic", "pump-1/gone", "--will-payload", "gone", "-V", "5"]
    assert mosquitto_pub(pump, "devices/pump-1/recovery/state", "again", *will).returncode == 0
    assert reader.messages.get(timeout=10).payload == b"again"
    denials = keyward.run("denials").stdout
    assert "quarantine:" in denials and "keyward device release pump-1" in denials, denials
    link.close()
    keyward.kill()
    keyward.start()
    link = Client(pump).connect()
    assert link.publish("pump-1/flow", "24") == 0x87, "it survives the process"
    keyward.run("device", "release", "pump-1")
    link.close()
    reader = Client(reader.who).connect()
    reader.subscribe("#")
    link = Client(pump).connect()
    assert link.publish("pump-1/flow", "25") == 0
    assert reader.messages.get(timeout=10).payload == b"25", "nothing of what was refused came before it"
    reader.close()
    link.close()


def test_a_stolen_image_is_noticed_and_quarantined_and_a_release_takes_it_back(keyward):
    reader = reader_of(keyward, RULES + SIGNED)
    reader.subscribe("$keyward/incidents/quarantine/#")
    pump = Device(keyward, "pump-1")
    own, thief = Client(pump.bundle).connect(), Client(pump.bundle, client_id="thief").connect()
    assert own.publish("pump-1/flow", pump.sealed("pump-1/flow", 1, "21.5")) == 0
    assert reader.messages.get(timeout=10).topic == "pump-1/flow"
    # The thief counts from where the image was taken.
    assert thief.publish("pump-1/flow", pump.sealed("pump-1/flow", 1, "99.9")) == 0x87
    message = reader.messages.get(timeout=10)
    assert message.topic == "$keyward/incidents/quarantine/pump-1"
    incident = json.loads(message.payload)
    assert incident["by"] == "broker" and pump.kid.hex() in incident["because"], incident
    for link, number in [(own, 2), (thief, 3)]:
        assert link.publish("pump-1/flow", pump.sealed("pump-1/flow", number, "x")) == 0x87
        assert link.publish("devices/pump-1/recovery/state", "here") == 0
        assert reader.messages.get(timeout=10).topic == "devices/pump-1/recovery/state"
    status = keyward.json("status")["status"]
    assert status["devices_quarantined"] == 1
    pump.key, pump.kid = Device.key_pair(keyward.folder, "other")
    keyward.run("device", "rekey", "pump-1", "--key", str(keyward.folder / "other.pub"))
    keyward.run("device", "release", "pump-1")
    assert reader.messages.get(timeout=10).payload == b"", "it is over"
    own.close()
    thief.close()
    own = Client(pump.bundle).connect()
    assert own.publish("pump-1/flow", pump.sealed("pump-1/flow", 1, "21.6")) == 0
    reader.close()
    own.close()


def test_captured_messages_failed_logins_and_client_ids_of_others_put_nobody_into_quarantine(keyward):
    reader = reader_of(keyward, RULES + SIGNED)
    pump, lamp = Device(keyward, "pump-1"), Device(keyward, "lamp-1")
    source = Client(pump.bundle).connect()
    captured = pump.sealed("pump-1/flow", 1, "21.5")
    assert source.publish("pump-1/flow", captured) == 0
    neighbour = Client(lamp.bundle, client_id="pump-1").connect()
    assert source.publish("pump-1/flow", captured) == 0, "a repeat is answered"
    assert neighbour.publish("pump-1/flow", captured) == 0x87, "it is not the neighbour's topic"
    assert neighbour.publish("lamp-1/flow", captured) == 0x87, "nor its key"
    lamp.kid = pump.kid
    forged = lamp.sealed("pump-1/flow", 1, "99.9")
    assert source.publish("pump-1/flow", forged) == 0x87, "the name of a key is not the key"
    assert keyward.json("status")["status"]["devices_quarantined"] == 0
    assert "incident" not in keyward.run("status").stdout
    source.close()
    neighbour.close()
    reader.close()


def test_a_switch_in_a_signed_message_shuts_its_device_out_where_the_configuration_says_so(keyward):
    signed = SIGNED.replace('"{id}/#"', '"devices/{id}/alarm"')
    keyward.rules("signed", signed)
    settings = keyward.dir / "keyward.toml"
    written = settings.read_text()
    settings.write_text(written + '\n[watch.actions]\nmissing = "quarantine"\n')
    refused = keyward.run("reload", check=False)
    assert refused.returncode != 0 and "watch.actions.missing" in refused.stderr and "no signature proves" in refused.stderr, refused
    settings.write_text(written + '\n[watch.actions]\ntampered = "quarantine"\n')
    keyward.run("reload")
    pump = Device(keyward, "pump-1")
    lamp = Client(keyward.device("lamp-1")).connect()
    assert lamp.publish("lamp-1/alarm", LID) == 0
    link = Client(pump.bundle).connect()
    assert link.publish("devices/pump-1/alarm", LID) == 0x99, "not signed, it says nothing"
    assert link.publish("devices/pump-1/alarm", pump.sealed("devices/pump-1/alarm", 1, LID)) == 0
    shut_out = lambda: keyward.json("status")["status"]["devices_quarantined"]
    keyward.until(lambda: shut_out() == 1, "the broker shuts it out")
    assert link.publish("pump-1/flow", "21.5") == 0x87
    rows = keyward.json("incident", "list")["incidents"]
    [row] = [row for row in rows if (row["incident"], row["scope"]) == ("tampered", "device:pump-1")]
    assert row["confidence"] == "proven"
    number = str(row["number"])
    shown = keyward.run("incident", "show", number).stdout
    assert "put the device into quarantine" in shown and f"incident show {number} --message 1 | keyward open" in shown, shown
    # The message that proves it is kept as it came, and its signature can be checked again.
    message = keyward.folder / "message"
    message.write_text(keyward.run("incident", "show", number, "--message", "1").stdout)
    opened = keyward.run("open", "--from-device", "pump-1", "-t", "devices/pump-1/alarm", "--output", str(keyward.folder / "said"), str(message))
    assert (keyward.folder / "said").read_bytes() == LID, opened
    assert keyward.run("incident", "show", number, "--message", "9", check=False).returncode == 2
    assert "the broker: tampered" in keyward.run("device", "show", "pump-1").stdout
    keyward.run("device", "release", "pump-1")
    assert link.publish("devices/pump-1/alarm", pump.sealed("devices/pump-1/alarm", 2, LID)) == 0
    assert link.publish("pump-1/flow", "21.6") == 0, "whoever released it knew"
    lamp.close()
    link.close()
