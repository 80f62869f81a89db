"""What the agent says for one recipient or for a group, opened by pycose and by `keyward open`; and what is encrypted to it."""

import hashlib
import json
import pathlib
import sys

import cbor2
import pytest
from clients import PATIENCE
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from test_devices import next_reading, opened, public_key

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "envelope"))
import forms  # noqa: E402


class Application:
    """Who reads: a key to encrypt to, in files of its own."""

    def __init__(self, folder):
        self.secret = ec.generate_private_key(ec.SECP256R1())
        self.key, self.pub = folder / "app.pem", folder / "app.pub"
        self.key.write_bytes(
            self.secret.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        self.key.chmod(0o600)
        public = self.secret.public_key()
        self.pub.write_bytes(
            public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        )
        point = public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        self.thumbprint = thumbprint(point)


def thumbprint(point):
    """RFC 9679: SHA-256 of the required parts."""
    return hashlib.sha256(b"\xa4\x01\x02\x20\x01\x21\x58\x20" + point[1:33] + b"\x22\x58\x20" + point[33:]).hexdigest()


def form(agent, message, kind, **more):
    """What forms.py needs to open a message of a device: the context in which it came, and the keys."""
    kept = json.loads((agent.folder / "membership.json").read_text())
    header = cbor2.loads(cbor2.loads(message.payload).value[0])
    key = public_key(agent)
    return {
        "form": kind, "direction": "up", "installation": kept["installation"], "device": agent.name, "topic": message.topic,
        "message": message.payload.hex(), "public": (b"\x04" + key[-2] + key[-3]).hex(),
        "sequence": int.from_bytes(header[15][7], "big"), "issued": header[15][6], **more,
    }  # fmt: skip


def open_with_keyward(keyward, agent, message, *options):
    file, plain = keyward.folder / "m.cose", keyward.folder / "m.plain"
    file.write_bytes(message.payload)
    keyward.run("open", str(file), "-t", message.topic, "--from-device", agent.name, "--output", str(plain), *options)
    return plain.read_bytes()


def is_to_be_encrypted_to(agent):
    """The server knows the device's key to encrypt to, by its enrolment."""
    assert ("encrypt", None) in agent.registered_keys()


def test_what_is_said_for_one_recipient_opens_with_its_key_alone_also_by_another_library(device, keyward, reader):
    app = Application(keyward.folder)
    rule = f'[[encrypt]]\ntopics = ["devices/{{id}}/private/#"]\nrecipient = "{app.pub}"\nthumbprint = "{app.thumbprint}"\n'
    pump = device("pump-30").configure(rule).enrol().start().connected()
    pump.report("private/door", "open")
    pump.report("door", "shut")
    message = next_reading(reader, pump, "private/door")
    assert b"open" not in message.payload
    assert open_with_keyward(keyward, pump, message, "--decrypt-key", str(app.key)) == b"open"
    secret = format(app.secret.private_numbers().private_value, "064x")
    assert forms.opened(form(pump, message, "recipient", recipient_secret=secret)) == b"open"
    # What no rule names, everybody reads.
    message = next_reading(reader, pump, "door")
    assert opened(message.payload, pump, message.topic, public_key(pump))[1] == b"shut"


def test_a_recipient_whose_key_was_exchanged_is_not_encrypted_to(device, keyward):
    app, thief = Application(keyward.folder), None
    rule = f'[[encrypt]]\ntopics = ["devices/{{id}}/#"]\nrecipient = "{app.pub}"\nthumbprint = "{app.thumbprint}"\n'
    pump = device("pump-31").configure(rule).enrol()
    thief = Application(keyward.folder)
    pump.start()
    assert pump.process.wait(PATIENCE) == 1
    assert "another key than the one that is meant" in pump.said() and thief.thumbprint in pump.said()
    pump.configure(rule.replace("thumbprint", "#"))
    pump.start()
    assert pump.process.wait(PATIENCE) == 1 and f'thumbprint = "{thief.thumbprint}"' in pump.said()


def test_what_is_said_for_a_group_opens_with_the_key_of_its_epoch(device, keyward, reader):
    pump = device("pump-32").configure('[[encrypt]]\ntopics = ["devices/{id}/plant/#"]\ngroup = "plant"\n').enrol()
    pump.start().connected()
    refused = pump.say("devices/pump-32/plant/flow 1")
    assert refused.startswith("error ") and "no key" in refused, "nothing is said in the clear instead"
    is_to_be_encrypted_to(pump)
    keyward.run("group", "create", "plant")
    keyward.run("group", "add", "plant", "pump-32")
    keyward.until(lambda: "has a new key of the group plant" in pump.said(), "the grant is heard")
    pump.report("plant/flow", "1")
    first = next_reading(reader, pump, "plant/flow")
    # It is kept: while the broker is away, and after a start.
    keyward.stop()
    pump.report("plant/flow", "2")
    pump.stop()
    pump.start()
    pump.report("plant/flow", "3")
    keyward.start()
    again = type(reader)(reader.who, client_id="again").connect()
    again.subscribe("devices/#")
    pump.until(lambda status: status["waiting"] == 0, "all is sent")
    old = keyward.folder / "old.key"
    keyward.run("group", "key", "plant", "--output", str(old))
    secret = old.read_text().strip()
    assert open_with_keyward(keyward, pump, first, "--group", "plant", "--group-key", str(old)) == b"1"
    epoch = keyward.json("group", "show", "plant")["group"]["epoch"]
    group = {"group": "plant", "epoch": epoch, "group_secret": secret, "cipher": "A128GCM"}
    assert forms.opened(form(pump, first, "group", **group)) == b"1"
    # A new epoch: what is said from now on is under its key, and the old one does not open it.
    keyward.run("group", "rotate", "plant")
    keyward.until(lambda: pump.said().count("has a new key") == 2, "the new grant is heard")
    pump.report("plant/flow", "4")
    new = keyward.folder / "new.key"
    keyward.run("group", "key", "plant", "--output", str(new))
    while True:
        message = next_reading(again, pump, "plant/flow")
        if open_with_keyward_or_not(keyward, pump, message, new) == b"4":
            break
    with pytest.raises(AssertionError):
        open_with_keyward(keyward, pump, message, "--group", "plant", "--group-key", str(old))
    # What the server says to the group the device obeys, as a member.
    topic, sealed = "devices/pump-32/commands/valve", keyward.folder / "shut.cose"
    keyward.run("seal", "--to-group", "plant", "-t", topic, "shut", "--output", str(sealed))
    assert again.publish(topic, sealed.read_bytes()) == 0
    told = json.loads(pump.process.stdout.readline())
    assert (told["command"], told["payload"]) == (topic, "shut")
    again.close()


def open_with_keyward_or_not(keyward, pump, message, key):
    try:
        return open_with_keyward(keyward, pump, message, "--group", "plant", "--group-key", str(key))
    except AssertionError:
        return None


def test_a_command_that_is_encrypted_to_the_device_is_opened_and_handed_on(device, keyward, reader):
    pump = device("pump-33").enrol().start().connected()
    is_to_be_encrypted_to(pump)
    topic, sealed = "devices/pump-33/commands/pin", keyward.folder / "pin.cose"
    keyward.run("seal", "--to-device", "pump-33", "--encrypt", "-t", topic, "4711", "--output", str(sealed))
    assert b"4711" not in sealed.read_bytes()
    assert reader.publish(topic, sealed.read_bytes()) == 0
    told = json.loads(pump.process.stdout.readline())
    assert (told["command"], told["payload"]) == (topic, "4711")


def test_a_command_is_not_encrypted_to_a_device_that_has_no_key_for_it(keyward):
    keyward.device("bare")
    refused = keyward.run("seal", "--to-device", "bare", "--encrypt", "-t", "bare/set", "4711", check=False)
    assert refused.returncode == 1 and "it has no key to encrypt to" in refused.stderr and "--purpose encrypt" in refused.stderr
