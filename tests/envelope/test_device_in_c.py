"""A device in C: compiled, linked with the library and run; what it makes, other libraries open."""

import re
import subprocess
from pathlib import Path

import forms
import pytest
from test_other_libraries import VECTORS

ROOT = Path(__file__).resolve().parents[2]
CRATE = ROOT / "crates/envelope"
LIBRARY = ROOT / "target/envelope-c/release/libkeyward_envelope.a"
WARNINGS = ["-std=gnu11", "-Wall", "-Wextra", "-Wpedantic", "-Werror"]
PLACE = {"direction": "up", "installation": "k7m2q9xw4hp3a8cd", "device": "pump-1", "topic": "plant/pump-1/temperature"}
READING = {**PLACE, "sequence": (3 << 32) | 17, "issued": 1795000000, "payload": bytes(range(64)).hex()}
ES256 = {**READING, "algorithm": "ES256", "secret": "09" * 32}


@pytest.fixture(scope="module")
def device(tmp_path_factory):
    program = tmp_path_factory.mktemp("device") / "device"
    subprocess.run(
        ["cc", *WARNINGS, "-O1", "-fsanitize=undefined", "-fno-sanitize-recover", f"-I{CRATE}/include",
         CRATE / "c/examples/device.c", LIBRARY, "-pthread", "-o", program], check=True)
    return program


def run(*words):
    return subprocess.run(words, capture_output=True, text=True, check=True, timeout=60).stdout


def test_it_signs_encrypts_opens_and_refuses_with_its_own_buffers(device):
    steps = re.findall(r"^(\S+) +(\d+) bytes on top of 64, stack +(\d+) to make, +(\d+) to read$", run(device), re.M)
    assert [step[0] for step in steps] == ["es256", "ed25519", "es256-for-recipient", "es256-for-group-ccm"]
    # docs/mqsec1.md says 14.3 KiB for the worst; a compiler may differ by some.
    assert all(512 < int(stack) < 18 * 1024 for step in steps for stack in step[2:]), steps


def test_other_libraries_open_what_it_makes(device):
    made = dict(line.split() for line in run(device, "vector").splitlines())
    assert made["es256"] == VECTORS[0]["message"]
    assert made["ed25519"] == VECTORS[1]["message"]
    recipient = {**ES256, "form": "recipient", "format": 60, "recipient_secret": "05" * 32}
    group = {**ES256, "form": "group", "format": 60, "group": "plant", "epoch": 7, "cipher": "AES-CCM-16-64-128",
             "group_secret": bytes(range(1, 17)).hex()}
    for name, form in [("es256-for-recipient", recipient), ("es256-for-group-ccm", group)]:
        form |= {"message": made[name], "public": forms.public(form).hex()}
        assert forms.opened(form).hex() == READING["payload"]


def test_it_reads_the_keys_of_the_server(device):
    vector = next(vector for vector in VECTORS if vector["form"] == "key-set")
    lines = run(device, "keys", vector["public"], vector["message"]).splitlines()
    assert lines == [f"version {vector['sequence']}, good until {vector['expires']}", *vector["keys"]]


def test_the_header_is_one_of_cpp_too(tmp_path):
    source = tmp_path / "device.cpp"
    source.write_text('#include "keyward_envelope.h"\nint main() { return kw_command_is_new(nullptr, 1); }\n')
    subprocess.run(["c++", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", f"-I{CRATE}/include", source], check=True)


def test_the_header_and_the_library_have_the_same_numbers():
    header = dict(re.findall(r"KW_([A-Z_]+) = (\d+),? *(?=/\*)", (CRATE / "include/keyward_envelope.h").read_text()))
    source = dict(re.findall(r"const ([A-Z_]+): i32 = (\d+);", (CRATE / "c/src/status.rs").read_text()))
    assert {name: header[name] for name in source if name != "OK"} == {name: n for name, n in source.items() if name != "OK"}
    declared = set(re.findall(r"^int32_t (kw_\w+)\(", (CRATE / "include/keyward_envelope.h").read_text(), re.M))
    defined = set(re.findall(r'extern "C" fn (kw_\w+)', "".join(p.read_text() for p in (CRATE / "c/src").glob("*.rs"))))
    assert declared == defined
