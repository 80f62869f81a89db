"""The watch, with a device that nobody of Keyward wrote: what it says of itself becomes an incident, which people look after."""

import json

from conftest import Client

RULES = """
[[rule]]
who = "user:reader"
allow = ["subscribe"]
topics = ["$keyward/incidents/#"]
"""


def text(words):
    return bytes([0x60 + len(words)]) + words


# Claims of RFC 9711 in CBOR, as docs/device.md has them: an event and its reason.
LID = b"\xa2\x3a\x00\x01\x11\x70" + text(b"tamper") + b"\x3a\x00\x01\x11\x71" + text(b"lid")


def incidents(keyward, *options):
    return json.loads(keyward.run("incident", "list", "--json", *options).stdout)["incidents"]


def test_who_opens_a_device_is_told_until_a_person_says_what_it_was(keyward):
    keyward.rules("reader", RULES)
    reader = Client(keyward.user("reader")).connect()
    reader.subscribe("$keyward/incidents/#")
    pump = Client(keyward.device("pump-1")).connect()
    assert pump.publish("devices/pump-1/alarm", LID) == 0
    told = reader.messages.get(timeout=10)
    assert told.topic == "$keyward/incidents/tampered/pump-1"
    told = json.loads(told.payload)
    assert (told["incident"], told["device"], told["state"]) == ("tampered", "pump-1", "open")
    assert any("lid" in fact["what"] for fact in told["evidence"]), told

    [row] = [row for row in incidents(keyward) if row["incident"] == "tampered"]
    number = str(row["number"])
    assert row["scope"] == "device:pump-1"
    shown = keyward.run("incident", "show", number).stdout
    assert "lid" in shown and "began as tampered" in shown, shown
    assert keyward.run("incident", "ack", number, "--note", "on my way").stdout
    assert json.loads(reader.messages.get(timeout=10).payload)["state"] != "open"

    # It survives the process, and what was said of it.
    pump.close()
    keyward.kill()
    keyward.start()
    [row] = [row for row in incidents(keyward) if row["incident"] == "tampered"]
    assert (str(row["number"]), row["state"]) == (number, "acknowledged")
    again = Client(reader.who).connect()
    again.subscribe("$keyward/incidents/tampered/#")
    assert json.loads(again.messages.get(timeout=10).payload)["number"] == row["number"], "it is retained"

    keyward.run("incident", "resolve", number, "true", "--note", "a fox")
    assert again.messages.get(timeout=10).payload == b""
    assert not [row for row in incidents(keyward) if row["incident"] == "tampered"]
    [row] = [row for row in incidents(keyward, "--all") if row["incident"] == "tampered"]
    assert row["state"] == "resolved"
    wrong = keyward.run("incident", "resolve", number, "false", check=False)
    assert wrong.returncode != 0 and "is resolved" in wrong.stderr, wrong
    missing = keyward.run("incident", "show", "4711", check=False)
    assert missing.returncode != 0 and "incident list" in missing.stderr, missing
    again.close()
    reader.close()
