"""Devices that enrol by claim code, sign what they say, and hear commands: the agent against the broker, and pycose for a judge."""

import hashlib
import json
import os
import pathlib
import random
import select
import shutil
import socket
import subprocess
import time

import cbor2
import pytest
from clients import PATIENCE, Client, pause
from pycose.headers import KID
from pycose.keys import CoseKey
from pycose.messages import Sign1Message

CWT_CLAIMS, SEQUENCE = 15, 7


def opened(payload, agent, topic, key):
    """Verifies a message with pycose, for the context in which it came; returns its number and payload."""
    kept = json.loads((agent.folder / "membership.json").read_text())
    message = Sign1Message.decode(payload)
    message.key = CoseKey.from_dict(key)
    message.external_aad = cbor2.dumps(["mqsec1", 0, kept["installation"], agent.name.lower(), topic, None])
    assert message.verify_signature(), topic
    protected = cbor2.loads(cbor2.loads(payload).value[0])
    return int.from_bytes(protected[CWT_CLAIMS][SEQUENCE], "big"), message.payload


def number_of(payload):
    protected = cbor2.loads(cbor2.loads(payload).value[0])
    return int.from_bytes(protected[CWT_CLAIMS][SEQUENCE], "big")


def plain(payload):
    return cbor2.loads(payload).value[2].decode()


def public_key(agent):
    """The message key of a device whose keys are files, as openssl sees it."""
    text = subprocess.run(
        ["openssl", "pkey", "-in", f"{agent.folder}/keys/message.pem", "-pubout", "-outform", "DER"],
        check=True, capture_output=True,
    ).stdout
    point = text[-64:]
    return {1: 2, -1: 1, -2: point[:32], -3: point[32:]}


def next_reading(reader, agent, last):
    """The next message of a device on a topic; heartbeats and other things are passed over."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        message = reader.messages.get(timeout=PATIENCE)
        if message.topic == f"devices/{agent.name}/{last}":
            return message
    raise AssertionError(f"nothing came on {last}: {agent.said()}")


def test_a_device_with_keys_in_files_enrols_and_what_it_says_is_verified_by_another_library(device, reader):
    pump = device("pump-1").enrol("--type", "pump").start().connected()
    assert "Level 0" in pump.said_at_enrolment and "can be this device for ever" in pump.said_at_enrolment
    assert pump.status()["level"] == 0
    assert pump.registered_keys() == [("sign", 0), ("encrypt", None)]
    pump.report("flow", "21.5")
    message = next_reading(reader, pump, "flow")
    assert opened(message.payload, pump, message.topic, public_key(pump))[1] == b"21.5"
    [marked] = [value for name, value in message.properties.UserProperty if name == "mqsec-verified"]
    assert marked.endswith(",0")


def test_sealed_keys_are_registered_with_their_level_and_one_to_encrypt_to(device, keyward):
    # The secret of sealed files must not lie on their file system.
    secret = pathlib.Path("/dev/shm") / f"keyward-{os.getpid()}-{keyward.folder.name}"
    secret.touch(0o600)
    secret.write_bytes(os.urandom(32))
    try:
        pump = device("pump-sealed")
        pump.store = f"sealed:{pump.folder}/keys?secret={secret}"
        pump.configure().enrol()
        assert pump.registered_keys() == [("sign", 1), ("encrypt", None)]
    finally:
        secret.unlink()


def test_a_bundle_holds_the_key_that_a_device_pins_to_believe_the_server(keyward):
    keyward.device("pump-bundle")
    der = subprocess.run(
        ["openssl", "pkey", "-pubin", "-in", str(keyward.folder / "pump-bundle/installation.pub"), "-outform", "DER"],
        check=True, capture_output=True,
    ).stdout
    thumbprint = hashlib.sha256(cbor2.dumps({1: 2, -1: 1, -2: der[-64:-32], -3: der[-32:]})).digest()
    assert keyward.json("keys", "server")["server_keys"]["installation"]["kid"] == thumbprint[:8].hex()


def test_a_topic_that_asks_for_hardware_refuses_keys_in_files_and_names_the_rule(device, keyward, reader):
    pump = device("pump-2").enrol().start().connected()
    pump.report("vault/door", "open")
    pump.report("flow", "1")
    # What is refused for good blocks nothing, and is not lost.
    assert plain(next_reading(reader, pump, "flow").payload) == "1"
    pump.until(lambda status: status["aside"] == 1, "the message is kept aside")
    pump.until(lambda status: "kept aside" in pump.said(), "and told")
    assert "0x87" in pump.said()
    said = keyward.run("denials").stdout
    assert "devices.toml" in said and "vault" in said, said


def test_a_heartbeat_says_how_the_device_is_in_claims_of_the_standard(device, reader):
    pump = device("pump-3").configure('[nameplate]\nsoftware_name = "pump"\nsoftware_version = "2.1"\n').enrol().start()
    claims = cbor2.loads(cbor2.loads(next_reading(reader, pump, "heartbeat").payload).value[2])
    assert (claims[267], claims[270], claims[271]) == (1, "pump", ["2.1"])
    assert claims[261] > 0 and claims[-70001] == "heartbeat" and claims[-70005] == 0
    # The generation of the sealed store grows with each start: an older copy of the disk says one that was heard before.
    generation = claims[-70006]
    pump.stop()
    pump.start()
    claims = cbor2.loads(cbor2.loads(next_reading(reader, pump, "heartbeat").payload).value[2])
    assert claims[267] == 2 and claims[-70006] > generation


def test_a_command_is_obeyed_once_and_only_if_the_server_signed_it(device, keyward, reader):
    pump = device("pump-4").enrol().start().connected()
    topic = "devices/pump-4/commands/valve"
    sealed = keyward.folder / "open.cose"
    keyward.run("seal", "--to-device", "pump-4", "-t", topic, "open", "--output", str(sealed))
    for payload in [b"open", sealed.read_bytes(), sealed.read_bytes()]:
        assert reader.publish(topic, payload) == 0
    told = json.loads(pump.process.stdout.readline())
    assert (told["command"], told["payload"]) == (topic, "open")
    pump.until(lambda status: status["refused_commands"] == 2, "the others are refused")
    # Not after a restart either.
    pump.stop()
    pump.start().connected()
    reader.publish(topic, sealed.read_bytes())
    pump.until(lambda status: status["refused_commands"] == 1, "it was seen before the restart")


def test_commands_are_obeyed_however_often_the_server_changes_the_key_that_signs_them(device, keyward, reader):
    """A key set has at most 8 keys, and the device remembers the commands of no more."""
    pump = device("pump-13").enrol().start().connected()
    topic, known = "devices/pump-13/commands/valve", 0
    for count in range(10):
        if count:
            keyward.run("keys", "rotate-command", "--after", "0s", "--overlap", "0s")
        sealed = keyward.folder / f"{count}.cose"
        keyward.run("seal", "--to-device", "pump-13", "-t", topic, str(count), "--output", str(sealed))
        pump.until(lambda status: status["key_set"] > known, "the device knows the new keys")
        known = pump.status()["key_set"]
        reader.publish(topic, sealed.read_bytes())
        assert select.select([pump.process.stdout], [], [], PATIENCE)[0], pump.said()
        assert json.loads(pump.process.stdout.readline())["payload"] == str(count)


def test_programs_speak_on_the_socket_and_are_told_when_it_is_stored(device, keyward, reader):
    place = keyward.folder / "agent.sock"
    pump = device("pump-5").configure(f'[socket]\npath = "{place}"\n', stdin=False).enrol().start()
    pump.keyward.until(place.exists, "the socket is there")
    assert place.stat().st_mode & 0o777 == 0o600
    for line in ["devices/pump-5/door open", '{"topic":"devices/pump-5/json","payload":{"t":1}}']:
        with socket.socket(socket.AF_UNIX) as program:
            program.connect(str(place))
            program.sendall(line.encode() + b"\nnonsense\n")
            source = program.makefile()
            answers = sorted(source.readline().split()[0] for _ in range(2))
        assert answers == ["error", "ok"]
    assert plain(next_reading(reader, pump, "door").payload) == "open"
    assert plain(next_reading(reader, pump, "json").payload) == '{"t":1}'
    sent = subprocess.run(
        [pump.binary, "agent", "send", "--config", str(pump.config), "devices/pump-5/door", "shut"], capture_output=True, text=True
    )
    assert sent.returncode == 0 and sent.stdout.startswith("stored as "), sent.stderr
    assert plain(next_reading(reader, pump, "door").payload) == "shut"
    status = subprocess.run([pump.binary, "agent", "status", "--config", str(pump.config)], capture_output=True, text=True).stdout
    assert "level 0" in status and "connected" in status, status


def test_a_program_is_polled_and_another_runs_for_a_command(device, keyward, reader):
    heard = keyward.folder / "heard"
    pump = device("pump-6").configure(
        '[[poll]]\nrun = ["/bin/echo", "21.5"]\nevery = "1h"\ntopic = "devices/{id}/polled"\n'
        f'[[command]]\ntopic = "devices/{{id}}/commands/#"\nrun = ["/usr/bin/tee", "{heard}"]\n'
    ).enrol().start().connected()
    assert plain(next_reading(reader, pump, "polled").payload) == "21.5"
    sealed = keyward.folder / "c.cose"
    keyward.run("seal", "--to-device", "pump-6", "-t", "devices/pump-6/commands/x", "shut", "--output", str(sealed))
    reader.publish("devices/pump-6/commands/x", sealed.read_bytes())
    keyward.until(lambda: heard.exists() and heard.read_text() == "shut", "the program ran")


def test_an_opened_device_reports_it_and_then_has_no_keys(device, keyward, reader):
    pump = device("pump-7").configure('[tamper]\non_tamper = "destroy"\n').enrol().start().connected()
    assert pump.say("!tamper lid open") == "ok the server has it"
    claims = cbor2.loads(cbor2.loads(next_reading(reader, pump, "alarm").payload).value[2])
    assert (claims[-70001], claims[-70002]) == ("tamper", "lid open")
    assert "destroyed" in pump.say("devices/pump-7/flow 1")
    assert not (pump.folder / "keys/message.pem").exists()
    pump.kill()
    pump.start()
    assert pump.process.wait(PATIENCE) == 1 and "tampered with" in pump.said()
    uri = pump.invite("--replace")
    refused = pump.tries_to_enrol_with(uri, "--again")
    assert refused.returncode == 1 and "tampered with (lid open)" in refused.stderr, refused.stderr
    assert "in a new folder" in refused.stderr, "the claim was not spent on a device that could not start"
    pump.folder, pump.store = keyward.folder / "pump-7-new", f"file:{keyward.folder}/pump-7-new/keys"
    pump.configure().enrol_with(uri).start().connected()


def test_a_claim_that_does_not_work_says_why_and_one_that_others_could_read_is_named(device, keyward, tmp_path):
    pump = device("pump")
    uri = pump.invite()
    root = uri.split("root=")[1]
    other = pump.tries_to_enrol_with(uri.replace(root, root[::-1]))
    assert other.returncode == 1 and "its root is not the one that the claim names" in other.stderr, other
    code = uri.split("code=")[1].split("&")[0]
    wrong = pump.tries_to_enrol_with(uri.replace(code, "a" * 26))
    assert wrong.returncode == 1 and "mistyped" in wrong.stderr and "keyward denials" in wrong.stderr, wrong
    keyward.until(lambda: "keyward device invite pump" in keyward.run("denials").stdout, "what helps")
    claim = tmp_path / "claim.txt"
    claim.write_text(uri)
    claim.chmod(0o644)
    done = pump.tries_to_enrol_with("", str(claim))
    assert done.returncode == 0 and f"others on this machine could read {claim}" in done.stdout, done


def test_the_watch_understands_what_is_signed_where_nobody_asked_for_signatures(device, keyward):
    keyward.rules("devices", "")
    pump = device("pump").enrol()
    pump.configure().start().connected()
    assert pump.say("!tamper lid").startswith("ok")
    keyward.until(lambda: "lid" in keyward.run("watch", "explain", "pump").stdout, "the switch is told")
    [row] = keyward.json("incident", "list")["incidents"]
    assert (row["incident"], row["confidence"]) == ("tampered", "high"), "nobody checked the signature"
    shown = keyward.run("incident", "show", str(row["number"])).stdout
    assert "device exposure pump" in shown and "device revoke pump" in shown, shown


def test_a_claim_is_not_spent_on_keys_that_do_not_open_what_the_device_keeps(device, keyward):
    pump = device("pump-a").enrol().start().connected()
    pump.stop()
    own, uri = pump.store, pump.invite("--replace")
    pump.store = f"file:{keyward.folder}/pump-a-others"
    refused = pump.tries_to_enrol_with(uri, "--again")
    assert refused.returncode == 1, refused.stdout
    assert f"{pump.folder}/store: this was sealed by another key store" in refused.stderr and "--keys" in refused.stderr, refused.stderr
    pump.store = own
    pump.enrol_with(uri, "--again").start().connected()


def test_the_last_word_before_a_loss_of_power_is_heard(device, reader):
    pump = device("pump-8").enrol().start().connected()
    assert pump.say("!power-lost") == "ok the server has it"
    claims = cbor2.loads(cbor2.loads(next_reading(reader, pump, "alarm").payload).value[2])
    assert claims[-70001] == "power-lost"


def test_what_was_reported_while_the_broker_was_away_comes_late_and_in_order(device, keyward, reader):
    pump = device("pump-9").enrol().start().connected()
    keyward.stop()
    for count in range(20):
        pump.report("flow", count)
    pump.stop()
    keyward.start()
    late = Client(reader.who, client_id="late").connect()
    late.subscribe("devices/#")
    pump.start()
    assert [plain(next_reading(late, pump, "flow").payload) for _ in range(20)] == [str(count) for count in range(20)]
    late.close()


def test_a_device_goes_to_the_next_host_of_the_server_if_one_does_not_answer(device, keyward):
    pump = device("pump-12").enrol()
    kept = pump.folder / "membership.json"
    membership = json.loads(kept.read_text())
    # Nobody listens on the first.
    membership["hosts"].insert(0, {"name": "localhost", "port": 1})
    kept.write_text(json.dumps(membership))
    pump.start().connected()
    assert pump.status()["connected"] == f"localhost:{keyward.port}"
    assert "localhost:1: " in pump.said() and "the next host is tried" in pump.said()


def until_the_end(reader):
    """All messages up to the one that a device says last, on its topic `end`."""
    messages = [reader.messages.get(timeout=PATIENCE)]
    while not messages[-1].topic.endswith("/end"):
        messages.append(reader.messages.get(timeout=PATIENCE))
    return messages


def test_a_device_that_is_killed_thirty_times_loses_nothing_doubles_nothing_and_uses_no_number_twice(device, reader):
    pump = device("pump-10").enrol()
    dice = random.Random(int(os.environ.get("KEYWARD_SEED", "6")))
    stored, said = [], 0
    for _ in range(30):
        pump.start()
        for _ in range(dice.randrange(1, 40)):
            said += 1
            pump.process.stdin.write(f"devices/pump-10/flow {said}\n")
            if pump.process.stdout.readline().startswith("ok "):
                stored.append(said)
        # Some lines are under way when it dies: they may be stored or not.
        for _ in range(dice.randrange(0, 5)):
            said += 1
            pump.process.stdin.write(f"devices/pump-10/flow {said}\n")
        time.sleep(dice.random() * 0.15)
        pump.kill()
    pump.start()
    pump.report("end", "end")
    messages = until_the_end(reader)
    numbers = [number_of(message.payload) for message in messages]
    came = [int(plain(message.payload)) for message in messages if message.topic.endswith("/flow")]
    assert len(stored) > 100
    assert set(stored) <= set(came), "lost"
    assert len(came) == len(set(came)) and came == sorted(came), "doubled, or out of order"
    assert len(numbers) == len(set(numbers)), "a number was used twice"
    assert pump.status()["aside"] == 0, f"what the broker had was refused when it came again: {pump.said()}"


def test_a_copy_of_the_folder_used_elsewhere_is_noticed_and_puts_the_device_into_quarantine(device, keyward, reader):
    pump = device("pump-11").enrol().start().connected()
    pump.report("flow", "1")
    pump.stop()
    # Who reads the disk has all that the device has: level 0 says so.
    thief = device("thief")
    shutil.copytree(pump.folder, thief.folder)
    thief.name = "pump-11"
    pump.start().connected()
    pump.report("flow", "2")
    next_reading(reader, pump, "flow")
    pump.stop()
    thief.start()
    thief.report("flow", "3")
    keyward.until(lambda: "incident equivocation" in keyward.run("status").stdout, "the incident is told")
    keyward.until(lambda: "quarantine" in keyward.run("device", "show", "pump-11").stdout, "the device is in quarantine")


def test_what_a_device_in_quarantine_says_waits_until_it_is_released(device, keyward, reader):
    pump = device("pump-12").enrol().start().connected()
    pump.report("flow", "1")
    next_reading(reader, pump, "flow")
    keyward.run("device", "quarantine", "pump-12", "--because", "seen twice")
    pump.report("flow", "2")
    pump.report("flow", "3")
    keyward.until(lambda: "in quarantine" in pump.said(), "the device is told")
    status = pump.status()
    assert (status["waiting"], status["aside"]) == (2, 0), status
    keyward.run("device", "release", "pump-12")
    assert [plain(next_reading(reader, pump, "flow").payload) for _ in range(2)] == ["2", "3"]
