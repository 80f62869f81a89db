"""Other libraries and Keyward agree on every form of mqsec1, in both directions, and neither takes a changed message.

Keyward's side is `forms lines`, an example of crates/envelope (KEYWARD_FORMS names the program).
"""

import json
import os
import subprocess
from pathlib import Path

import forms
import pytest

ROOT = Path(__file__).resolve().parents[2]
PROGRAM = os.environ.get("KEYWARD_FORMS", ROOT / "target/debug/examples/forms")
VECTORS = json.loads((ROOT / "crates/envelope/tests/vectors/vectors.json").read_text())
IDS = [vector["name"] for vector in VECTORS]
OUTPUTS = ("message", "kid", "digest", "name")


class Keyward:
    def __init__(self):
        self.program = subprocess.Popen([PROGRAM, "lines"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def _ask(self, what, form):
        self.program.stdin.write(json.dumps({"do": what, **form}) + "\n")
        self.program.stdin.flush()
        return json.loads(self.program.stdout.readline())

    def make(self, form):
        answer = self._ask("make", {key: value for key, value in form.items() if key not in OUTPUTS})
        assert "error" not in answer, answer
        return answer["message"]

    def open(self, form):
        return self._ask("open", form)


@pytest.fixture(scope="module")
def keyward():
    keyward = Keyward()
    yield keyward
    keyward.program.stdin.close()
    assert keyward.program.wait(10) == 0


def assert_opened(form, answer):
    """What Keyward found in a message is what the form says."""
    assert "error" not in answer, answer
    for label in ("form", "algorithm", "sequence", "issued", "expires", "nonce", "payload", "group", "epoch", "keys"):
        if form["form"] == "group" and label in ("group", "epoch"):
            continue
        assert answer.get(label) == form.get(label), label


@pytest.mark.parametrize("vector", VECTORS, ids=IDS)
def test_pycose_opens_what_keyward_makes(keyward, vector):
    assert keyward.make(vector) == vector["message"]
    assert forms.kid(bytes.fromhex(vector["public"])).hex() == vector["kid"]
    assert forms.opened(vector) == forms.expected(vector)


@pytest.mark.parametrize("vector", VECTORS, ids=IDS)
def test_keyward_opens_what_pycose_makes(keyward, vector):
    message = forms.make(vector).hex()
    # Signatures are deterministic, so without an ephemeral key the two even write the same bytes.
    assert (message == vector["message"]) == (vector["form"] not in ("recipient", "grant"))
    assert_opened(vector, keyward.open({**vector, "message": message}))


@pytest.mark.parametrize("vector", VECTORS, ids=IDS)
def test_cwt_and_keyward_read_each_others_signatures(keyward, vector):
    read = forms.opened_with_cwt(vector)
    assert vector["form"] in ("recipient", "group", "grant") or read == forms.expected(vector)
    message = forms.make_with_cwt(vector).hex()
    # Its ES256 draws a random number, so this is another signature of the same message each time.
    assert (message == vector["message"]) <= (vector["algorithm"] == "Ed25519")
    answer = keyward.open({**vector, "message": message})
    assert_opened(vector, answer)
    if vector["form"] not in ("recipient", "grant"):
        assert answer["digest"] == vector["digest"], "a repeat is known by what is signed, not by the signature"


@pytest.mark.parametrize("vector", VECTORS, ids=IDS)
def test_neither_opens_a_message_with_a_bit_changed(keyward, vector):
    message = bytes.fromhex(vector["message"])
    # Each 61st bit by both; the tests of the crate change every bit.
    for bit in range(0, len(message) * 8, 61):
        changed = bytearray(message)
        changed[bit // 8] ^= 1 << bit % 8
        form = {**vector, "message": changed.hex()}
        assert "error" in keyward.open(form), bit
        with pytest.raises(Exception):
            forms.opened(form)


@pytest.mark.parametrize("vector", VECTORS, ids=IDS)
@pytest.mark.parametrize("place", ["installation", "topic", "direction", "device", "correlation"])
def test_neither_opens_a_message_in_another_place(keyward, vector, place):
    other = {"installation": "k7m2q9xw4hp3a8ce", "topic": vector["topic"] + "/x", "device": "pump-2", "correlation": "00"}
    if place == "device" and vector["direction"] == "all":
        pytest.skip("it is for all devices")
    other["direction"] = "down" if vector["direction"] == "up" else "up"
    moved = {**vector, place: other[place]}
    if place == "direction" and vector["direction"] == "all":
        moved["device"] = "pump-1"
    assert "the signature does not hold" in keyward.open(moved)["error"]
    with pytest.raises(ValueError, match="the signature does not hold"):
        forms.opened(moved)


@pytest.mark.parametrize("name", ["A reading for one recipient", "A reading for a group, A128GCM"])
def test_a_payload_that_another_device_signs_anew_opens_for_nobody(keyward, name):
    """Whoever strips a signature and signs the inside as its own gets no reader to believe it."""
    vector = next(vector for vector in VECTORS if vector["name"] == name)
    thief = {**vector, "device": "pump-2", "secret": "11" * 32}
    thief["public"] = forms.public(thief).hex()
    stolen, honest = forms.CoseMessage.decode(bytes.fromhex(vector["message"])).payload, forms.inside
    forms.inside = lambda form: (stolen, 16 if form["form"] == "group" else 96)
    try:
        thief["message"] = forms.make(thief).hex()
    finally:
        forms.inside = honest
    assert "it does not open" in keyward.open(thief)["error"]


def test_what_other_libraries_let_pass_keyward_refuses(keyward):
    """Labels in another order, a label that nobody knows, and a header that has to be understood and is not."""
    vector = VECTORS[0]
    for protected, error in [
        ({4: forms.kid(forms.public(vector)), 1: -7, 15: forms.claims(vector)}, "out of order"),
        ({1: -7, 4: forms.kid(forms.public(vector)), 15: forms.claims(vector), 99: 1}, "no label 99"),
        ({1: -7, 4: forms.kid(forms.public(vector)), 15: {7: b"\0\1", 6: 1}}, "shortest"),
        ({1: -7, 4: forms.kid(forms.public(vector)), 15: {7: b"\1"}}, "is missing"),
        ({1: -7, 2: [99], 4: forms.kid(forms.public(vector)), 15: forms.claims(vector)}, "critical"),
    ]:
        message = forms.Sign1Message(
            phdr=protected, payload=bytes.fromhex(vector["payload"]), external_aad=forms.external(vector),
            key=forms.signing_key(vector))
        message = message.encode()
        read = forms.CoseMessage.decode(message)
        read.external_aad, read.key = forms.external(vector), forms.verifying_key(vector)
        assert read.verify_signature(), "pycose lets it pass"
        assert error in keyward.open({**vector, "message": message.hex()})["error"]
