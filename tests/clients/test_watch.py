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


def test_a_tracker_that_leaves_its_circle_is_told_and_one_that_was_moved_on_purpose_is_not(keyward):
    truck = Client(keyward.device("truck-1")).connect()
    keyward.run("device", "place", "truck-1", "--fence", "52.5162,13.3777,200")
    assert truck.publish("truck-1/gps", '{"lat":52.5163,"lon":13.3776,"acc":5,"speed":0}') == 0
    keyward.until(lambda: known(keyward, "truck-1").get("fence", "").startswith("200 m; inside"), "the circle")
    for east in (13.41, 13.42):
        assert truck.publish("truck-1/gps", f'{{"lat":52.5163,"lon":{east},"acc":5,"speed":3}}') == 0
    keyward.until(lambda: [row for row in incidents(keyward) if row["incident"] == "moved"], "that it left")
    [row] = [row for row in incidents(keyward) if row["incident"] == "moved"]
    assert "outside" in known(keyward, "truck-1")["fence"]
    assert "outside its fence" in keyward.run("incident", "show", str(row["number"])).stdout
    keyward.run("device", "moved", "truck-1", "--because", "a new round")
    keyward.until(lambda: known(keyward, "truck-1")["fence"].startswith("200 m; inside"), "that it may be elsewhere")
    truck.close()


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


def test_where_devices_stand_and_who_works_there_is_said_by_command_and_survives(keyward):
    """How silence is judged by it is shown in simulated time: crates/server/src/admin/places/tests.rs."""
    pump = Client(keyward.device("pump-1", "--site", "yard", "--gateway", "ap-2", "--interval", "60s")).connect()
    keyward.run("device", "place", "pump-1", "--circuit", "F3", "--power", "ups", "--fence", "-33.8568,151.2153,200")
    with open(keyward.dir / "keyward.toml", "a") as settings:
        settings.write('\n[sites.yard]\nexposure = "public"\n')
    keyward.run("reload")

    def stands():
        return json.loads(keyward.run("device", "show", "pump-1", "--json").stdout)["device"]["place"]

    place = stands()
    assert place["exposure"] == {"value": "public", "by": "site"}, place
    assert (place["gateway"], place["circuit"], place["fence"]) == ("ap-2", "F3", "-33.8568,151.2153,200")
    assert place["interval_secs"] == {"value": 60, "by": "device"}
    keyward.run("device", "place", "pump-1", "--unset", "fence,circuit")
    assert "circuit" not in stands() and stands()["gateway"] == "ap-2"
    wrong = keyward.run("device", "place", "pump-1", "--fence", "here", check=False)
    assert wrong.returncode == 2 and "LAT,LON,RADIUS" in wrong.stderr, wrong
    keyward.run("device", "moved", "pump-1", "--because", "to the roof")
    assert "to the roof" in keyward.run("device", "show", "pump-1").stdout

    keyward.run("maintenance", "begin", "gateway:yard/ap-2", "--for", "2h", "--why", "new cables")
    too_long = keyward.run("maintenance", "begin", "everything", "--for", "8d", "--because", "x", check=False)
    assert too_long.returncode == 1 and "7 days" in too_long.stderr, too_long
    # Whoever opens a device there is told of all the same.
    assert pump.publish("devices/pump-1/alarm", LID) == 0
    keyward.until(lambda: [row for row in incidents(keyward) if row["incident"] == "tampered"], "it is told")
    pump.close()
    keyward.kill()
    keyward.start()
    [window] = json.loads(keyward.run("maintenance", "list", "--json").stdout)["maintenance"]
    assert (window["scope"], window["because"], window["devices"]) == ("gateway:yard/ap-2", "new cables", 1)
    assert window["until_unix_ms"] - window["since_unix_ms"] == 2 * 3_600_000
    keyward.run("maintenance", "end", "gateway:yard/ap-2")
    assert "Nobody works" in keyward.run("maintenance", "list").stdout
    audit = keyward.run("audit").stdout
    assert "maintenance of gateway:yard/ap-2" in audit and "moved on purpose: to the roof" in audit, audit


def test_what_a_thief_has_of_a_device_is_told(keyward):
    pump = Client(keyward.device("pump-1")).connect()
    assert pump.publish("pump-1/state", b"on", retain=True) == 0
    keyward.run("group", "create", "plant")
    keyward.run("group", "add", "plant", "pump-1")
    report = json.loads(keyward.run("device", "exposure", "pump-1", "--json").stdout)["exposure"]
    own = next(row for row in report["reads"] if row["filter"] == "pump-1/#")
    assert (own["retained"], own["rule"]) == (1, "built-in:1"), own
    assert report["contact"]["connected"] and report["sessions"] == 1
    assert report["contact"]["last_login"]["shown"]
    assert [group["group"] for group in report["groups"]] == ["plant"]
    text = keyward.run("device", "exposure", "pump-1").stdout
    for part in ("It reads", "pump-1/#", "It decrypts", "plant", "keyward device revoke pump-1", "What is not known"):
        assert part in text, text
    keyward.run("device", "revoke", "pump-1")
    report = json.loads(keyward.run("device", "exposure", "pump-1", "--json").stdout)["exposure"]
    assert (report["reads"], report["writes"], report["groups"]) == ([], [], []), report
    pump.close()
