"""Devices that fetch their certificates themselves, by claim code: with openssl and mosquitto_rr from a shell, with paho, two at
once, and through the death of the broker."""

import hashlib
import json
import re
import ssl
import subprocess
import threading
import time
import urllib.parse

import paho.mqtt.client as paho
import pytest
from conftest import PATIENCE, Bundle, Client, pause

REQUEST, ANSWER = "$keyward/enroll", "$keyward/enroll/answer"


class Device:
    """What a device knows before it is certified: the string that it scanned."""

    def __init__(self, folder, uri):
        scanned = urllib.parse.urlsplit(uri)
        assert scanned.scheme == "keyward", uri
        said = urllib.parse.parse_qs(scanned.query)
        self.host, self.port, self.name = scanned.hostname, scanned.port, scanned.path.removeprefix("/")
        [self.code], [self.root] = said["code"], said["root"]
        self.folder = folder
        self.folder.mkdir(exist_ok=True)
        self.ca = str(folder / "ca.pem")

    def openssl(self, *args):
        done = subprocess.run(["openssl", *args], cwd=self.folder, capture_output=True, text=True, timeout=60, stdin=subprocess.DEVNULL)
        assert done.returncode == 0, f"openssl {args}: {done.stderr}"
        return done.stdout

    def know_the_server(self):
        """Takes the root from whoever answers, and believes it only if it is the one that was scanned."""
        shown = subprocess.run(
            ["openssl", "s_client", "-connect", f"localhost:{self.port}", "-alpn", "keyward-enroll", "-showcerts"],
            input="", capture_output=True, text=True, timeout=20,
        ).stdout
        blocks = re.findall(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n", shown, re.S)
        assert hashlib.sha256(ssl.PEM_cert_to_DER_cert(blocks[-1])).hexdigest() == self.root
        (self.folder / "ca.pem").write_text(blocks[-1])
        return self

    def make_key(self, *options, subject="/", kind=("ec", "-pkeyopt", "ec_paramgen_curve:P-256")):
        self.openssl("req", "-new", "-newkey", *kind, "-nodes", "-keyout", "key.pem", "-out", "device.csr", "-subj", subject, *options)
        return self

    def tls(self):
        return ssl.create_default_context(cafile=self.ca)

    def from_shell(self, *options, code=None, check=True):
        command = ["mosquitto_rr", "-h", "localhost", "-p", str(self.port), "--cafile", self.ca, "-u", f"claim:{self.name}",
                   "-P", code or self.code, "-t", REQUEST, "-e", ANSWER, "-m", (self.folder / "device.csr").read_text(), "-W", "15", *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=30)
        assert not check or done.returncode == 0, done.stderr
        return json.loads(done.stdout) if done.stdout else None

    def link(self, version=5):
        return Link(self, version)

    def certified(self, answer, keyward):
        """Keeps what it was answered, and is from now on as any device."""
        assert answer["result"] == "certified", answer
        (self.folder / "cert.pem").write_text(answer["certificate"])
        assert answer["server_root"].strip() == (self.folder / "ca.pem").read_text().strip()
        bundle = Bundle(self.folder, keyward)
        bundle.name = self.name
        return bundle


class Link:
    """An enrolment link of paho, subscribed to the answer."""

    def __init__(self, device, version=5):
        self.device = device
        protocol = {4: paho.MQTTv311, 5: paho.MQTTv5}[version]
        self.paho = paho.Client(paho.CallbackAPIVersion.VERSION2, protocol=protocol, reconnect_on_failure=False)
        self.paho.tls_set_context(device.tls())
        self.paho.username_pw_set(f"claim:{device.name}", device.code)
        self.ready, self.answered, self.answer = threading.Event(), threading.Event(), None
        self.paho.on_connect = lambda client, *_: client.subscribe(ANSWER)
        self.paho.on_subscribe = lambda *_: self.ready.set()
        self.paho.on_message = self.hear
        self.paho.connect("localhost", device.port)
        self.paho.loop_start()
        assert self.ready.wait(PATIENCE), "the link should open"

    def hear(self, client, userdata, message):
        assert message.topic == ANSWER
        self.answer = json.loads(message.payload)
        self.answered.set()

    def send(self, payload=None):
        self.paho.publish(REQUEST, payload or (self.device.folder / "device.csr").read_bytes(), 1)
        return self

    def wait(self):
        assert self.answered.wait(PATIENCE), "no answer"
        self.paho.disconnect()
        self.paho.loop_stop()
        return self.answer


def invite(keyward, name, *options):
    return keyward.json("device", "invite", name, *options)["device_invited"]["uri"]


def new_device(keyward, name, *options):
    return Device(keyward.folder / name, invite(keyward, name, *options)).know_the_server().make_key()


def claim_of(keyward, name):
    return keyward.json("device", "show", name)["device"]["invitation"]


def test_a_device_enrols_from_a_shell_and_is_as_any_device_then(keyward):
    text = keyward.run("device", "invite", "pump-7", "--type", "pump", "--site", "hall").stdout
    uri = re.search(r"keyward://\S+", text).group()
    device = Device(keyward.folder / "pump-7", uri).know_the_server().make_key()
    assert claim_of(keyward, "pump-7")["state"] == "open"
    answer = device.from_shell("-V", "5")
    pump = Client(device.certified(answer, keyward)).connect()
    assert pump.code.value == 0 and pump.publish("devices/pump-7/status", "on") == 0
    pump.close()
    row = keyward.json("device", "show", "pump-7")["device"]
    assert (row["device"]["device_type"], row["device"]["site"], row["invitation"]["state"]) == ("pump", "hall", "used")
    assert len(row["credentials"]) == 1
    # The answer could have been lost.
    again = device.from_shell("-V", "311")
    serial = lambda answer: device.openssl("x509", "-in", "again.pem", "-noout", "-serial", "-pubkey", "-dates")
    (device.folder / "again.pem").write_text(again["certificate"])
    second = serial(again)
    (device.folder / "again.pem").write_text(answer["certificate"])
    assert second == serial(answer)
    assert len(keyward.json("device", "show", "pump-7")["device"]["credentials"]) == 1


@pytest.mark.parametrize("version", [4, 5])
def test_a_device_enrols_with_paho_and_a_json_request(keyward, version):
    device = new_device(keyward, "meter-1")
    request = json.dumps({"csr": (device.folder / "device.csr").read_text()}).encode()
    answer = device.link(version).send(request).wait()
    assert Client(device.certified(answer, keyward)).connect().code.value == 0


def test_of_two_devices_that_race_for_one_code_exactly_one_wins_and_the_operator_is_told(keyward):
    watcher = keyward.user("watch")
    keyward.rules("watch", '[[rule]]\nwho = ["user:watch"]\nallow = ["subscribe"]\ntopics = ["$keyward/incidents/#"]\n')
    watch = Client(watcher).connect()
    assert watch.subscribe("$keyward/incidents/claim-conflict/#") == [1]
    for n in range(6):
        name = f"race-{n}"
        uri = invite(keyward, name)
        devices = [Device(keyward.folder / f"{name}-{side}", uri).know_the_server().make_key() for side in "ab"]
        links = [device.link() for device in devices]
        for link in links:
            link.send()
        answers = [link.wait() for link in links]
        assert sorted(answer["result"] for answer in answers) == ["certified", "refused"], answers
        [loser] = [answer for answer in answers if answer["result"] == "refused"]
        assert loser["error"] == "conflict" and "certificate" not in loser
        topic, payload = watch.receive()
        assert topic == f"$keyward/incidents/claim-conflict/{name}" and json.loads(payload)["device"] == name
        assert "conflict_unix_ms" in claim_of(keyward, name)
        winner = devices[[answer["result"] for answer in answers].index("certified")]
        [answer] = [answer for answer in answers if answer["result"] == "certified"]
        assert Client(winner.certified(answer, keyward)).connect().code.value == 0
    watch.close()
    warned = lambda: [line for line in keyward.json("status")["status"]["warnings"] if "claim-conflict" in line]
    assert len(warned()) == 6
    assert "claim-conflict" in keyward.run("audit").stdout
    keyward.stop()
    keyward.start()
    assert len(warned()) == 6, "through a restart"
    watch = Client(watcher).connect()
    watch.subscribe("$keyward/incidents/claim-conflict/#")
    assert {watch.receive()[0] for _ in range(6)} == {f"$keyward/incidents/claim-conflict/race-{n}" for n in range(6)}
    keyward.run("device", "revoke", "race-0")
    keyward.run("device", "invite", "race-1", "--replace")
    assert sorted(watch.receive() for _ in range(2)) == [(f"$keyward/incidents/claim-conflict/race-{n}", "") for n in range(2)]
    assert len(warned()) == 4, "what was dealt with is over"


def test_a_code_that_was_used_when_the_broker_was_killed_gets_its_certificate_afterwards(keyward):
    """The kill falls before, into and behind the writing of the ledger: whatever was written, the device comes to its
    certificate, and to one only."""
    ledger = keyward.dir / "ledger" / "a.log"
    size = lambda: ledger.stat().st_size
    used = lambda before: size() > before
    unanswered = 0
    for n, moment in enumerate(["at once", "written", "at once", "written", "later", "later"]):
        device = new_device(keyward, f"unlucky-{n}")
        link, before = device.link(), size()
        link.send()
        deadline = time.monotonic() + (0.05 if moment == "later" else PATIENCE)
        while moment != "at once" and time.monotonic() < deadline and not (moment == "written" and used(before)):
            pass  # A pause would be longer than what is aimed at.
        keyward.kill()
        link.paho.loop_stop()
        unanswered += not link.answered.is_set()
        keyward.start()
        answer = device.link().send().wait()
        bundle = device.certified(answer, keyward)
        assert len(keyward.json("device", "show", device.name)["device"]["credentials"]) == 1
        assert Client(bundle).connect().code.value == 0
    assert unanswered, "no kill came before an answer"


def test_the_ledger_is_written_before_the_answer_leaves(keyward):
    """The device leaves the moment it has asked; the broker dies behind the ledger, before anybody was answered."""
    device = new_device(keyward, "gone-1")
    link = device.link().send()
    link.paho.loop_stop()
    link.paho._sock_close()
    keyward.until(lambda: claim_of(keyward, "gone-1")["state"] == "used", "the code is used")
    [credential] = keyward.json("device", "show", "gone-1")["device"]["credentials"]
    keyward.kill()
    keyward.start()
    answer = device.link().send().wait()
    device.certified(answer, keyward)
    serial = device.openssl("x509", "-in", "cert.pem", "-noout", "-serial").strip().removeprefix("serial=").lower()
    assert serial == credential["serial"]


def test_a_request_that_wants_more_or_is_weak_is_refused_and_leaves_the_code(keyward):
    device = new_device(keyward, "odd-1")
    bad = [
        {"subject": "/CN=odd-2"},
        {"subject": "/CN=odd-1/O=Acme"},
        {"options": ["-addext", "subjectAltName=DNS:gate.local"]},
        {"options": ["-addext", "basicConstraints=critical,CA:TRUE"]},
        {"options": ["-addext", "extendedKeyUsage=serverAuth"]},
        {"kind": ("rsa:1024",)},
        {"kind": ("ed25519",)},
    ]
    for n, wish in enumerate(bad):
        device.make_key(*wish.pop("options", []), **wish)
        answer = device.from_shell("-V", "5" if n % 2 else "311")
        assert (answer["result"], answer["error"]) == ("refused", "request"), (wish, answer)
    assert claim_of(keyward, "odd-1")["state"] == "open"
    device.make_key(subject="/CN=odd-1")
    device.certified(device.from_shell(), keyward)


def test_a_request_that_cannot_be_read_is_answered_and_stands_in_the_log(keyward):
    device = new_device(keyward, "odd-3")
    answer = device.link().send(b'{"' + b"x" * 9_000 + b'": 1}').wait()
    assert (answer["result"], answer["error"]) == ("refused", "request") and "unknown field `xxx" in answer["what"], answer
    [line] = [line for line in keyward.said().splitlines() if "not certified" in line]
    assert "the request is neither" in line and "odd-3" in line and len(line) < 700, line


def test_a_code_is_in_no_log_and_in_no_answer_but_its_own(keyward):
    device = new_device(keyward, "quiet-1")
    assert device.from_shell(code="a" * 26, check=False) is None
    device.certified(device.from_shell(), keyward)
    keyward.until(lambda: "this is not the claim code" in keyward.run("denials").stdout, "the wrong code is told")
    said = "".join(
        keyward.run("--json", *command).stdout
        for command in (["device", "show", "quiet-1"], ["device", "list"], ["audit"], ["denials"], ["status"])
    )
    keyward.stop()
    for text in (said, keyward.said()):
        assert device.code not in text
    for path in keyward.dir.rglob("*"):
        if path.is_file():
            assert device.code.encode() not in path.read_bytes(), path

