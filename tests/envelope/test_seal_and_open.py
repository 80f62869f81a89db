"""`keyward seal` and `keyward open` against pycose: what the program signs another library verifies, and the other way round."""

import base64
import json
import os
import pathlib
import pty
import socket
import subprocess
import time

import cbor2
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from pycose import headers
from pycose.algorithms import Es256
from pycose.keys import EC2Key
from pycose.keys.curves import P256
from pycose.messages import CoseMessage, Sign1Message

BIN = os.environ.get("KEYWARD_BIN", str(pathlib.Path(__file__).parents[2] / "target/release/keyward"))
UP, DOWN, ALL = 0, 1, 2


def context(direction, installation, device, topic, correlation=None):
    return cbor2.dumps(["mqsec1", direction, installation, device, topic, correlation])


class Site:
    """An installation with a broker that runs."""

    def __init__(self, folder):
        self.folder, self.dir = folder, folder / "keyward"

    def run(self, *args, input=b"", check=True):
        done = subprocess.run([BIN, "--dir", str(self.dir), *args], input=input, capture_output=True, timeout=60)
        if check:
            assert done.returncode == 0, f"{args}: {done.stdout}{done.stderr}"
        return done

    def json(self, *args, **options):
        return json.loads(self.run("--json", *args, **options).stdout)

    def make(self):
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = str(free.getsockname()[1])
        broker = subprocess.Popen([BIN, "--dir", str(self.dir), "up", "--port", port, "--address", "127.0.0.1"],
                                  stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        while self.run("healthcheck", check=False).returncode:
            assert time.monotonic() < deadline and broker.poll() is None
        self.installation = self.json("status")["status"]["installation"]
        self.run("device", "add", "pump-1", "--out", str(self.folder / "pump-1"))
        return broker


@pytest.fixture
def site(tmp_path):
    tmp_path.chmod(0o700)
    site = Site(tmp_path)
    site.broker = site.make()
    yield site
    site.broker.kill()
    site.broker.wait()


def public(cose):
    key = cbor2.loads(base64.b64decode(cose))
    return EC2Key(crv=P256, x=key[-2], y=key[-3])


def key_pair(folder):
    """A key of another library, in the files that the program reads."""
    pair = ec.generate_private_key(ec.SECP256R1())
    private = folder / "device.key"
    private.touch(mode=0o600)
    private.write_bytes(pair.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    (folder / "device.pub").write_bytes(pair.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo))
    return pair


def numbers(message):
    return int.from_bytes(cbor2.loads(cbor2.loads(message).value[0])[15][7], "big")


def test_another_library_believes_a_command_by_the_key_that_the_pinned_one_vouches_for(site):
    keys = site.json("keys", "server")["server_keys"]
    key_set = Sign1Message.decode(base64.b64decode(keys["key_set"]["message"]))
    key_set.key = public(keys["installation"]["public_key"])
    key_set.external_aad = context(ALL, site.installation, "", "$keyward/keys/server")
    assert key_set.verify_signature()
    believed = {key[2]: key for key in cbor2.loads(key_set.payload)}

    message = site.run("seal", "--to-device", "PUMP-1", "-t", "pump-1/set", "open", "--valid", "30s",
                       "--correlation", "c0ffee", "--nonce", "0123456789abcdef").stdout
    command = CoseMessage.decode(message)
    key = believed[command.phdr[headers.KID]]
    command.key = EC2Key(crv=P256, x=key[-2], y=key[-3])
    command.external_aad = context(DOWN, site.installation, "pump-1", "pump-1/set", bytes.fromhex("c0ffee"))
    assert command.verify_signature() and command.payload == b"open"
    claims = cbor2.loads(cbor2.loads(message).value[0])[15]
    assert claims[10].hex() == "0123456789abcdef" and claims[4] == claims[6] + 30
    command.external_aad = context(DOWN, site.installation, "pump-1", "pump-1/other", bytes.fromhex("c0ffee"))
    assert not command.verify_signature()

    opened = site.run("open", "--to-device", "pump-1", "-t", "pump-1/set", "--correlation", "c0ffee", input=message)
    assert b"signs commands now" in opened.stdout and b"payload    open" in opened.stdout
    refused = site.run("open", "--to-device", "pump-1", "-t", "pump-1/set", input=message, check=False)
    assert refused.returncode == 1 and b"NOT VERIFIED" in refused.stderr


def test_the_program_opens_what_another_library_signed_and_names_a_retired_key(site):
    pair = key_pair(site.folder)
    site.run("keys", "add", "pump-1", str(site.folder / "device.pub"))
    kid = site.json("keys", "list", "pump-1")["message_keys"][0]["kid"]
    point = pair.private_numbers()
    # pycose has no name for the claims, so the header is written beside it.
    protected = cbor2.dumps({1: -7, 4: bytes.fromhex(kid), 15: {6: int(time.time()), 7: b"\x01"}})
    to_sign = cbor2.dumps(["Signature1", protected, context(UP, site.installation, "pump-1", "pump-1/power"), b"21.5"])
    signature = Es256.sign(
        key=EC2Key(crv=P256, d=point.private_value.to_bytes(32, "big"),
                   x=point.public_numbers.x.to_bytes(32, "big"), y=point.public_numbers.y.to_bytes(32, "big")),
        data=to_sign)
    signed = cbor2.dumps(cbor2.CBORTag(18, [protected, {}, b"21.5", signature]))
    for written in [signed, signed.hex().encode(), base64.b64encode(signed)]:
        opened = site.json("open", "--from-device", "pump-1", "-t", "pump-1/power", input=written)
        assert opened["verified"] and base64.b64decode(opened["payload"]) == b"21.5" and opened["number"] == "1"
    site.run("keys", "retire", "pump-1", kid, "--overlap", "0s")
    assert b"RETIRED" in site.run("open", "--from-device", "pump-1", "-t", "pump-1/power", input=signed).stdout
    site.run("keys", "withdraw", "pump-1", kid)
    gone = site.run("open", "--from-device", "pump-1", "-t", "pump-1/power", input=signed, check=False)
    assert gone.returncode == 1 and b"withdrawn" in gone.stderr


def test_a_reading_that_is_signed_with_a_key_file_is_encrypted_for_one_and_opens_with_the_other_half(site):
    key_pair(site.folder)
    (site.folder / "to").mkdir(mode=0o700)
    key_pair(site.folder / "to")
    key, pub = str(site.folder / "device.key"), str(site.folder / "device.pub")
    seal = ["seal", "--key", key, "--as", "pump-1", "--installation", site.installation, "-t", "pump-1/power", "21.5"]
    first, second = site.run(*seal).stdout, site.run(*seal).stdout
    assert numbers(second) == numbers(first) + 1 or numbers(second) >> 32 > numbers(first) >> 32
    encrypted = site.run(*seal, "--encrypt-for", str(site.folder / "to/device.pub")).stdout
    assert b"21.5" in first and b"21.5" not in encrypted
    as_pump = ["open", "--from-device", "pump-1", "-t", "pump-1/power", "--key", pub, "--installation", site.installation]
    assert b"payload    encrypted" in site.run(*as_pump, input=encrypted).stdout
    private = str(site.folder / "to/device.key")
    assert b"payload    21.5" in site.run(*as_pump, "--decrypt-key", private, input=encrypted).stdout


def test_the_bytes_of_a_message_are_kept_from_a_terminal_and_no_number_is_used_for_them(site):
    ours, theirs = pty.openpty()
    seal = [BIN, "--dir", str(site.dir), "seal", "--to-device", "pump-1", "-t", "pump-1/set", "x"]
    done = subprocess.run(seal, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE, timeout=60)
    os.close(theirs)
    os.close(ours)
    assert done.returncode == 2 and b"--output FILE" in done.stderr, done.stderr
    assert b"command" not in site.run("audit", "--last", "1").stdout


def test_no_number_of_the_command_key_comes_twice_after_the_broker_was_killed(site):
    seal = ["seal", "--to-device", "pump-1", "-t", "pump-1/set", "x"]
    seen = [numbers(site.run(*seal).stdout) for _ in range(3)]
    site.broker.kill()
    site.broker.wait()
    seen += [numbers(site.run(*seal).stdout) for _ in range(3)]
    assert sorted(set(seen)) == seen, seen
