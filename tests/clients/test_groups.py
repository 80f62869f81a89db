"""Keys of groups with libraries that nobody of Keyward wrote: paho fetches the grants, pycose verifies and opens them, and what a member
says for the group, other members read."""

import base64
import pathlib
import subprocess
import sys
import time

import cbor2
from conftest import PATIENCE, Client
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "envelope"))
import forms  # noqa: E402

READERS = """
[[rule]]
who = "users"
allow = ["subscribe"]
topics = ["+/said"]
"""


class Member:
    """Somebody with a key to encrypt to, which it made itself."""

    def __init__(self, keyward, name, who, identity, called):
        self.keyward, self.name, self.who, self.called = keyward, name, who, called
        self.secret = ec.generate_private_key(ec.SECP256R1())
        pem = keyward.folder / f"{name}-enc.pub"
        pem.write_bytes(self.secret.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
        keyward.run("keys", "add", identity, str(pem), "--purpose", "encrypt")
        self.installation = keyward.json("status")["status"]["installation"]
        self.client = None

    def listen(self, *filters):
        self.client = Client(self.who, client_id=f"{self.name}-{time.monotonic_ns()}").connect()
        return self.client.subscribe(*filters)

    def grant(self):
        """The next grant that comes: its topic, and what pycose finds in it."""
        while True:
            message = self.client.messages.get(timeout=PATIENCE)
            if message.payload and message.topic.startswith("$keyward/keys/") and message.topic.endswith("/" + self.called):
                return message.topic, self.opened(message)

    def opened(self, message):
        number, kid = self.claims(message.payload)
        keys = self.keyward.json("keys", "server")["server_keys"]["commands"]
        public = next(base64.b64decode(key["public_key"]) for key in keys if key["kid"] == kid.hex())
        parts = cbor2.loads(public)
        form = {
            "form": "grant", "direction": "down", "installation": self.installation, "device": self.called,
            "topic": message.topic, "message": message.payload.hex(), "public": (b"\x04" + parts[-2] + parts[-3]).hex(),
            "sequence": number[7] and int.from_bytes(number[7], "big"), "issued": number[6],
            "recipient_secret": format(self.secret.private_numbers().private_value, "064x"),
        }  # fmt: skip
        group, epoch, secret = (cbor2.loads(forms.opened(form))[label] for label in (1, 2, 3))
        assert message.topic == f"$keyward/keys/{group}/{epoch}/{self.called}" and len(secret) == 16
        return epoch, secret

    @staticmethod
    def claims(message):
        header = cbor2.loads(cbor2.loads(message).value[0])
        return header[15], header[4]


def plant(keyward):
    keyward.rules("readers", READERS)
    pumps = [Member(keyward, name, keyward.device(name), name, name) for name in ("pump-1", "pump-2")]
    app = Member(keyward, "app", keyward.user("app"), "user:app", "user.app")
    keyward.run("group", "create", "plant")
    keyward.run("group", "add", "plant", "pump-1", "pump-2", "user:app")
    return [*pumps, app]


def test_each_member_opens_its_own_grant_and_reads_what_the_group_says(keyward):
    pump, other, app = plant(keyward)
    for member in (pump, other, app):
        assert member.listen(f"$keyward/keys/+/+/{member.called}") == [1]
    (topic, (epoch, secret)), *others = [member.grant() for member in (pump, other, app)]
    assert topic == "$keyward/keys/plant/1/pump-1" and others[1][0] == "$keyward/keys/plant/1/user.app"
    assert all(found == (epoch, secret) for _, found in others), "one key for all"
    # Nobody fetches what is for another.
    assert app.client.subscribe("$keyward/keys/plant/1/pump-1") == [0x87]
    # A member says something for the group; the broker carries it as it is.
    form = {
        "form": "group", "algorithm": "Ed25519", "secret": "07" * 32, "cipher": "A128GCM", "direction": "up", "device": "pump-1",
        "installation": pump.installation, "topic": "pump-1/said", "group": "plant", "epoch": epoch,
        "group_secret": secret.hex(), "sequence": 1 << 32, "issued": int(time.time()), "payload": b"21.5".hex(),
    }  # fmt: skip
    form["public"] = forms.public(form).hex()
    app.client.subscribe("pump-1/said")
    assert pump.client.publish("pump-1/said", forms.make(form)) == 0
    while True:
        message = app.client.messages.get(timeout=PATIENCE)
        if message.topic == "pump-1/said":
            break
    _, found = others[1][1]
    read = {**form, "message": message.payload.hex(), "group_secret": found.hex()}
    assert forms.opened(read) == b"21.5"


def test_whoever_is_out_finds_no_grant_of_the_next_key_also_if_the_broker_is_killed_right_behind(keyward):
    pump, other, app = plant(keyward)
    other.listen("$keyward/keys/+/+/pump-2")
    _, (first, old) = other.grant()
    keyward.run("device", "revoke", "pump-1")
    keyward.kill()
    keyward.start()
    other.listen("$keyward/keys/+/+/pump-2")
    found = dict([other.grant()[1], other.grant()[1]])
    assert found[first] == old and len(found) == 2
    newest = max(found)
    shown = keyward.json("group", "show", "plant")["group"]
    assert shown["epoch"] == newest > first and [member["identity"] for member in shown["who"]] == ["device:pump-2", "user:app"]
    # An observer whom a rule lets see all grants finds none for the one who is out.
    keyward.rules("observer", '[[rule]]\nwho = "user:app"\nallow = ["subscribe"]\ntopics = ["$keyward/keys/#"]\n')
    app.listen("$keyward/keys/#")
    seen = set()
    while f"$keyward/keys/plant/{newest}/user.app" not in seen or f"$keyward/keys/plant/{newest}/pump-2" not in seen:
        message = app.client.messages.get(timeout=PATIENCE)
        seen.add(message.topic)
    assert not any(topic.endswith("/pump-1") for topic in seen), seen


def test_an_operator_gets_a_key_into_a_closed_file_and_the_audit_says_so(keyward):
    plant(keyward)
    file = keyward.folder / "plant.key"
    keyward.run("group", "key", "plant", "--output", str(file))
    assert len(bytes.fromhex(file.read_text())) == 16 and file.stat().st_mode & 0o777 == 0o600
    refused = keyward.run("group", "key", "plant", "--output", str(file), check=False)
    assert refused.returncode == 1 and "is there already" in refused.stderr
    audit = keyward.run("audit").stdout
    assert "key 1 of the group plant handed out" in audit and file.read_text().strip() not in audit
    found = subprocess.run(["grep", "-rl", file.read_text().strip(), str(keyward.dir)], capture_output=True, text=True)
    assert found.stdout == "", "the key lies nowhere as these digits"


def test_an_operator_commands_a_group_and_members_alone_read_it(keyward):
    pump, other, app = plant(keyward)
    app.listen("$keyward/keys/+/+/user.app")
    topic, (epoch, secret) = app.grant()
    sealed, key = keyward.folder / "shut.cose", keyward.folder / "plant.key"
    keyward.run("seal", "--to-group", "plant", "-t", "pump-1/said", "shut", "--valid", "1h", "--output", str(sealed))
    # Whoever has the topic carries it; the broker and everybody else see the group's number and no word.
    app.client.subscribe("pump-1/said")
    pump.listen("pump-1/said")
    assert pump.client.publish("pump-1/said", sealed.read_bytes()) == 0
    while (message := app.client.messages.get(timeout=PATIENCE)).topic != "pump-1/said":
        pass
    assert b"shut" not in message.payload
    keys = keyward.json("keys", "server")["server_keys"]["commands"]
    number, kid = Member.claims(message.payload)
    parts = cbor2.loads(next(base64.b64decode(found["public_key"]) for found in keys if found["kid"] == kid.hex()))
    form = {
        "form": "group", "direction": "all", "cipher": "A128GCM", "installation": app.installation, "topic": "pump-1/said",
        "message": message.payload.hex(), "public": (b"\x04" + parts[-2] + parts[-3]).hex(), "group": "plant", "epoch": epoch,
        "group_secret": secret.hex(), "sequence": int.from_bytes(number[7], "big"), "issued": number[6], "expires": number[4],
    }  # fmt: skip
    assert forms.opened(form) == b"shut" and number[4] == number[6] + 3_600

    keyward.run("group", "key", "plant", "--output", str(key))
    read = ["open", "--to-all", "-t", "pump-1/said", "--group", "plant", "--group-key", str(key), str(sealed)]
    said = keyward.run(*read).stdout
    assert "which signs commands now" in said and "payload    shut" in said, said
    # A pump is out: what is said from then on it cannot read, and neither can a key from before.
    keyward.run("device", "quarantine", "pump-1", "--because", "seen twice")
    keyward.run("seal", "--to-group", "plant", "-t", "pump-1/said", "open", "--output", str(sealed))
    late = keyward.run(*read, check=False)
    assert late.returncode == 1 and f"group key NAME --epoch {epoch + 1}" in late.stderr, late.stderr
    audit = keyward.run("audit").stdout
    assert f"to the group plant, key {epoch}, on 'pump-1/said'" in audit and f"key {epoch + 1}, on" in audit, audit


def test_what_a_member_says_an_operator_reads_with_the_key_of_the_group(keyward):
    pump, _, _ = plant(keyward)
    pump.listen("$keyward/keys/+/+/pump-1")
    _, (epoch, secret) = pump.grant()
    form = {
        "form": "group", "algorithm": "ES256", "secret": "09" * 32, "cipher": "AES-CCM-16-64-128", "direction": "up",
        "device": "pump-1", "installation": pump.installation, "topic": "pump-1/said", "group": "plant", "epoch": epoch,
        "group_secret": secret.hex(), "sequence": 1 << 32, "issued": int(time.time()), "payload": b"21.5".hex(),
    }  # fmt: skip
    signer, said, key = (keyward.folder / name for name in ("pump-1.cose-key", "said.cose", "plant.key"))
    signer.write_bytes(cbor2.dumps(forms.cose_key(forms.public(form)) | {2: forms.kid(forms.public(form)), 3: -7}, canonical=True))
    keyward.run("keys", "add", "pump-1", str(signer))
    said.write_bytes(forms.make(form))
    keyward.run("group", "key", "plant", "--output", str(key))
    read = ["open", "--from-device", "pump-1", "-t", "pump-1/said", str(said)]
    assert f"payload    encrypted for a group under its key {epoch}" in keyward.run(*read).stdout
    assert "payload    21.5" in keyward.run(*read, "--group", "plant", "--group-key", str(key)).stdout
    key.write_text("00" * 16)
    wrong = keyward.run(*read, "--group", "plant", "--group-key", str(key), check=False)
    assert wrong.returncode == 1 and "does not open" in wrong.stderr, wrong.stderr
