"""Signed messages with a client and a signer that nobody of Keyward wrote: paho, and openssl over bytes that are put together here."""

import hashlib
import json
import shutil
import subprocess
import time

from conftest import Client

RULES = """
[[signed]]
who = "devices"
topics = ["{id}/#"]
check = "require"

[[rule]]
who = "user:reader"
allow = ["subscribe"]
topics = ["#"]
"""


def head(kind, number):
    """The head of a CBOR item, in its shortest form."""
    for most, more in [(24, None), (1 << 8, 24), (1 << 16, 25), (1 << 32, 26), (1 << 64, 27)]:
        if number < most:
            if more is None:
                return bytes([kind << 5 | number])
            return bytes([kind << 5 | more]) + number.to_bytes(1 << (more - 24), "big")


def bstr(content):
    return head(2, len(content)) + content


def tstr(text):
    return head(3, len(text.encode())) + text.encode()


class Device:
    """A device with a certificate, and a message key that openssl made and keeps."""

    def __init__(self, keyward, name):
        self.name, self.folder = name, keyward.folder
        self.bundle = keyward.device(name)
        self.key, self.kid = self.key_pair(self.folder, name)
        keyward.run("keys", "add", name, str(self.folder / f"{name}.pub"))
        assert keyward.json("keys", "list", name)["message_keys"][0]["kid"] == self.kid.hex()
        self.installation = keyward.json("status")["status"]["installation"]

    @classmethod
    def key_pair(cls, folder, name):
        """Makes a key; returns its file and its name, and leaves NAME.pub beside it."""
        key = folder / f"{name}.key"
        cls.openssl("genpkey", "-algorithm", "ed25519", "-out", key)
        cls.openssl("pkey", "-in", key, "-pubout", "-out", folder / f"{name}.pub")
        der = cls.openssl("pkey", "-in", key, "-pubout", "-outform", "DER")
        return key, hashlib.sha256(bytes.fromhex("a301012006215820") + der[-32:]).digest()[:8]

    @staticmethod
    def openssl(*args):
        return subprocess.run(["openssl", *map(str, args)], check=True, capture_output=True).stdout

    def sealed(self, topic, number, text, nonce=None, age=0):
        """A message as docs/mqsec1.md has it, dated so many seconds ago, or without a date for the session of a nonce."""
        number = b"\x07" + bstr(number.to_bytes(1, "big"))
        if nonce:
            claims = b"\xa2" + number + b"\x0a" + bstr(nonce)
        else:
            claims = b"\xa2\x06" + head(0, int(time.time()) - age) + number
        protected = b"\xa3\x01\x27\x04" + bstr(self.kid) + b"\x0f" + claims
        external = b"\x86" + tstr("mqsec1") + b"\x00" + tstr(self.installation) + tstr(self.name) + tstr(topic) + b"\xf6"
        payload = text if isinstance(text, bytes) else text.encode()
        (self.folder / "tbs").write_bytes(
            b"\x84" + tstr("Signature1") + bstr(protected) + bstr(external) + bstr(payload)
        )
        signature = self.openssl("pkeyutl", "-sign", "-rawin", "-inkey", self.key, "-in", self.folder / "tbs")
        return b"\xd2\x84" + bstr(protected) + b"\xa0" + bstr(payload) + bstr(signature)


def house(keyward):
    # What follows from proof of two holders is told in test_quarantine.py.
    settings = keyward.dir / "keyward.toml"
    settings.write_text(settings.read_text().replace("# two_holders = true", "two_holders = false"))
    keyward.rules("signed", RULES)
    pump = Device(keyward, "pump-1")
    reader = Client(keyward.user("reader")).connect()
    reader.subscribe("#")
    return pump, reader


def test_a_signed_message_is_marked_and_any_other_is_refused(keyward):
    pump, reader = house(keyward)
    sealed = pump.sealed("pump-1/flow", 1, "21.5")
    source = Client(pump.bundle).connect()
    assert source.publish("pump-1/flow", sealed) == 0
    message = reader.messages.get(timeout=10)
    assert message.payload == sealed
    assert message.properties.UserProperty == [("mqsec-verified", f"{pump.kid.hex()},0")]
    assert source.publish("pump-1/flow", "21.5") == 0x99
    assert source.publish("pump-1/other", sealed) == 0x87, "it was signed for another topic"
    said = keyward.run("denials").stdout
    assert "unsigned" in said and "wrong signature" in said and "signed.toml:2" in said, said
    assert "must be signed" in keyward.run("policy", "explain", "--as", "device:pump-1", "publish", "pump-1/flow").stdout
    reader.close()
    source.close()


def test_what_was_captured_counts_for_nothing_after_the_broker_was_killed(keyward):
    pump, reader = house(keyward)
    source = Client(pump.bundle).connect()
    captured = [pump.sealed("pump-1/valve", number, "open") for number in range(1, 6)]
    for sealed in captured:
        assert source.publish("pump-1/valve", sealed) == 0
    for sealed in captured:
        assert reader.messages.get(timeout=10).payload == sealed
    reader.close()
    source.close()
    keyward.kill()
    keyward.start()
    # With a session of its own: what an old one had not acknowledged durably may come to it again.
    reader = Client(reader.who).connect()
    reader.subscribe("#")
    source = Client(pump.bundle).connect()
    for sealed in captured:
        assert source.publish("pump-1/valve", sealed) == 0, "it is a repeat: answered"
    assert source.publish("pump-1/valve", pump.sealed("pump-1/valve", 5, "close")) == 0x87, "another under its number"
    new = pump.sealed("pump-1/valve", 6, "shut")
    assert source.publish("pump-1/valve", new) == 0
    assert reader.messages.get(timeout=10).payload == new, "nothing of what was captured came before it"
    keyward.until(lambda: "incident=\"equivocation\"" in keyward.said(), "the incident in the log")
    reader.close()
    source.close()


def test_a_device_without_a_clock_signs_for_the_nonce_that_connack_tells_it(keyward):
    pump, reader = house(keyward)
    nonces = []
    for number in (1, 2):
        source = Client(pump.bundle).connect()
        told = [value for name, value in source.offer.UserProperty if name == "mqsec-nonce"]
        assert len(told) == 1 and len(told[0]) == 32, source.offer.UserProperty
        nonces.append(bytes.fromhex(told[0]))
        sealed = pump.sealed("pump-1/flow", number, "21.5", nonce=nonces[-1])
        assert source.publish("pump-1/flow", sealed) == 0
        assert reader.messages.get(timeout=10).payload == sealed
        if number == 2:
            assert source.publish("pump-1/flow", pump.sealed("pump-1/flow", 3, "22", nonce=nonces[0])) == 0x87
            assert "for another session" in keyward.run("denials").stdout
        source.close()
    assert nonces[0] != nonces[1], "each connection has its own"
    # Who has no message key is told none: nothing that it signs would be looked at.
    other = Client(keyward.device("lamp")).connect()
    assert not hasattr(other.offer, "UserProperty")
    other.close()
    reader.close()


def test_what_was_taken_after_the_backup_counts_for_nothing_when_it_is_restored(keyward):
    pump, reader = house(keyward)
    passphrase = keyward.folder / "passphrase"
    passphrase.touch(0o600)
    passphrase.write_text("a backup that nobody guesses\n")
    opening = ["--backup-passphrase-file", str(passphrase)]
    source = Client(pump.bundle).connect()
    known, captured = [pump.sealed("pump-1/valve", number, "open") for number in (1, 2)]
    made = int(time.time())
    assert source.publish("pump-1/valve", known) == 0
    keyward.run("store", "backup", str(keyward.folder / "backup"), *opening)
    assert source.publish("pump-1/valve", captured) == 0
    source.close()
    reader.close()
    keyward.until(lambda: int(time.time()) > made, "another second: dates are in whole seconds")
    keyward.kill()
    told = keyward.run("store", "restore", "--messages", str(keyward.folder / "backup"), *opening).stdout
    assert "signed" in told, told
    keyward.start()
    reader = Client(reader.who).connect()
    reader.subscribe("#")
    source = Client(pump.bundle).connect()
    assert source.publish("pump-1/valve", known) == 0, "it is a repeat: answered"
    assert source.publish("pump-1/valve", captured) == 0x87
    assert "before the record of numbers" in keyward.run("denials").stdout
    new = pump.sealed("pump-1/valve", 3, "shut")
    assert source.publish("pump-1/valve", new) == 0
    assert reader.messages.get(timeout=10).payload == new, "nothing of what was captured came before it"
    source.close()
    reader.close()


def test_a_clock_that_is_behind_is_believed_where_nothing_was_lost(keyward):
    pump, reader = house(keyward)
    source = Client(pump.bundle).connect()
    assert source.publish("pump-1/valve", pump.sealed("pump-1/valve", 1, "open", age=200)) == 0, "nobody signed before"
    source.close()
    reader.close()
    keyward.kill()
    shutil.rmtree(keyward.dir / "messages")
    keyward.start()
    source = Client(pump.bundle).connect()
    assert source.publish("pump-1/valve", pump.sealed("pump-1/valve", 2, "open", age=200)) == 0x87
    assert "before the record of numbers" in keyward.run("denials").stdout
    source.close()


def test_two_holders_of_a_key_are_an_incident_until_the_device_gets_another_one(keyward):
    pump, reader = house(keyward)
    keyward.rules("incidents", '[[rule]]\nwho = "user:reader"\nallow = ["subscribe"]\ntopics = ["$keyward/incidents/#"]\n')
    reader.subscribe("$keyward/incidents/#")
    source = Client(pump.bundle).connect()
    assert source.publish("pump-1/flow", pump.sealed("pump-1/flow", 7, "21.5")) == 0
    assert reader.messages.get(timeout=10).topic == "pump-1/flow"
    assert source.publish("pump-1/flow", pump.sealed("pump-1/flow", 7, "99.9")) == 0x87
    message = reader.messages.get(timeout=10)
    assert message.topic == "$keyward/incidents/equivocation/pump-1"
    incident = json.loads(message.payload)
    assert (incident["proof"], incident["number"], incident["key"]) == ("two-messages", "7", pump.kid.hex())
    assert incident["topic"] == "pump-1/flow" and incident["hosts"] == ["127.0.0.1"]
    assert incident["tag"] != incident["earlier_tag"]
    reader.close()
    source.close()
    keyward.kill()
    keyward.start()
    assert "equivocation" in keyward.run("status").stdout, "it survives"
    reader = Client(reader.who).connect()
    reader.subscribe("$keyward/incidents/#")
    assert reader.messages.get(timeout=10).topic == message.topic
    other = Device.key_pair(keyward.folder, "other")
    keyward.run("device", "rekey", "pump-1", "--key", str(keyward.folder / "other.pub"))
    assert reader.messages.get(timeout=10).payload == b"", "it is over"
    assert "equivocation" not in keyward.run("status").stdout
    source = Client(pump.bundle).connect()
    assert source.publish("pump-1/flow", pump.sealed("pump-1/flow", 8, "x")) == 0x87, "the old key counts no more"
    pump.key, pump.kid = other
    assert source.publish("pump-1/flow", pump.sealed("pump-1/flow", 7, "x")) == 0, "the new one counts anew"
    code = keyward.run("device", "rekey", "pump-1").stdout
    assert "code=" in code and pump.kid.hex() in code
    assert source.publish("pump-1/flow", pump.sealed("pump-1/flow", 8, "x")) == 0x87
    reader.close()
    source.close()
