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


def known(keyward, device):
    """What the watch knows of a device: texts by what they are about."""
    answer = json.loads(keyward.run("watch", "explain", device, "--json").stdout)
    return {fact["about"]: fact["what"] for fact in answer["explained"]["known"]}


def test_what_the_watch_knows_survives_a_restart_and_what_it_heard_can_be_played_again(keyward, tmp_path):
    keyward.stop()
    config = keyward.dir / "keyward.toml"
    config.write_text(config.read_text().replace("# record = 0", 'record = "1 MiB"'))
    keyward.start()
    pump = Client(keyward.device("pump-1")).connect()
    assert pump.publish("devices/pump-1/alarm", LID) == 0
    keyward.until(lambda: any(row["incident"] == "tampered" for row in incidents(keyward)), "the alarm")
    before = known(keyward, "pump-1")
    assert "1 network" in before["whereabouts"] and before["presence"].startswith("there"), before
    assert "lid" in before["touched"], before
    told = keyward.run("watch", "explain", "pump-1").stdout
    assert "tampered" in told and "WHAT THE WATCH KNOWS" in told, told
    pump.close()

    keyward.stop()
    assert (keyward.dir / "watch.learned").stat().st_mode & 0o077 == 0
    assert (keyward.dir / "watch.jsonl").stat().st_mode & 0o077 == 0
    keyward.start()
    after = known(keyward, "pump-1")
    assert "1 network" in after["whereabouts"] and "lid" in after["touched"], after

    # Played, also without a broker: the same is told again.
    recording = tmp_path / "heard.jsonl"
    recording.write_bytes((keyward.dir / "watch.before.jsonl").read_bytes())
    lines = keyward.run("watch", "replay", str(recording), "--json").stdout.splitlines()
    lines = [json.loads(line) for line in lines]
    assert any(line["told"]["incident"]["incident"] == "tampered" for line in lines if "told" in line), lines
    assert lines[-1]["played"]["events"] > 2
    assert "tampered device:pump-1" in keyward.run("watch", "replay", str(recording)).stdout
    recording.write_text("hello\n")
    wrong = keyward.run("watch", "replay", str(recording), check=False)
    assert wrong.returncode != 0 and "line 1 is no event" in wrong.stderr, wrong

    # A file that is damaged is set aside: the watch begins anew, and the broker starts.
    keyward.stop()
    learned = keyward.dir / "watch.learned"
    learned.write_bytes(learned.read_bytes()[:-1])
    keyward.start()
    assert "touched" not in known(keyward, "pump-1")
    assert (keyward.dir / "watch.unreadable").exists()
    missing = keyward.run("watch", "explain", "nobody", check=False)
    assert missing.returncode != 0 and "device list" in missing.stderr, missing


def test_a_watch_that_is_off_hears_nothing_and_says_so(keyward):
    keyward.stop()
    config = keyward.dir / "keyward.toml"
    config.write_text(config.read_text().replace("# enabled = true", "enabled = false"))
    keyward.start()
    pump = Client(keyward.device("pump-1")).connect()
    assert pump.publish("devices/pump-1/alarm", LID) == 0
    pump.close()
    asked = keyward.run("watch", "explain", "pump-1", check=False)
    assert asked.returncode != 0 and "enabled" in asked.stderr, asked
    assert not incidents(keyward, "--all")
