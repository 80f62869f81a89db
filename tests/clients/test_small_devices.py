"""What small devices run: BearSSL (ESP8266) and mbedTLS (ESP32) against the real broker, and against a thief who plays it. The
clients are C, in tests/small_devices."""

import pathlib
import re
import select
import socket
import ssl
import subprocess
import threading

import pytest

from conftest import PATIENCE, Client

SOURCES = pathlib.Path(__file__).parents[1] / "small_devices"
STACKS = ["bearssl", "mbedtls"]
WAYS = ["name", "address", "no-sni"]
REFUSED = 3
UNTRUSTED = {"bearssl": "error 62", "mbedtls": "flags 0x1008"}  # not trusted; mbedTLS sees, too, that it is no server's


@pytest.fixture(scope="session")
def small(tmp_path_factory):
    """Builds the clients once; runs one of them: its exit code and what it said."""
    out = tmp_path_factory.mktemp("small")
    subprocess.run(["make", "--silent", "-C", SOURCES, f"OUT={out}"], check=True, timeout=60)

    def run(stack, bundle, port, way="name", fragment=0, name="localhost"):
        folder = pathlib.Path(bundle.ca).parent
        done = subprocess.run(
            [out / f"{stack}-client", "127.0.0.1", str(port), name, way, str(fragment), folder, bundle.name],
            capture_output=True, text=True, timeout=30,
        )
        return done.returncode, done.stdout + done.stderr

    return run


ASKED = {"bearssl": [512, 1024, 4096, 0], "mbedtls": [512, 1024, 2048, 4096, 0]}  # 0: nothing is asked
RECORD_OVERHEAD = 24  # explicit nonce and tag of AES-GCM; ChaCha20 has the tag alone


@pytest.mark.parametrize("stack", STACKS)
def test_a_long_message_comes_in_records_as_short_as_the_device_asked_for(keyward, small, stack):
    """With its certificate, verifying ours; the second link goes on with the session of the first."""
    bundle = keyward.device("chip")
    for asked in ASKED[stack]:
        code, said = small(stack, bundle, keyward.port, fragment=asked)
        assert code == 0, said + keyward.said()
        first, second = said.splitlines()
        assert "link 1: full handshake, 6000 bytes back" in first and "link 2: resumed, 6000 bytes back" in second, said
        for length in map(int, re.findall(r"longest record (\d+)", said)):
            low, high = (asked, asked + RECORD_OVERHEAD) if asked else (6000, 16384 + RECORD_OVERHEAD)
            assert low < length <= high, f"{asked}: {said}"


def records_through(keyward, talk):
    """Lets `talk` reach the broker at a port that watches; returns the lengths of the records that the broker sent."""
    sent = bytearray()
    with socket.create_server(("127.0.0.1", 0)) as door:
        def relay():
            near, _ = door.accept()
            with near, socket.create_connection(("127.0.0.1", keyward.port)) as far:
                ends = {near: far, far: near}
                while True:
                    for end in select.select(list(ends), [], [], PATIENCE)[0]:
                        piece = end.recv(65536)
                        if not piece:
                            return
                        if end is far:
                            sent.extend(piece)
                        ends[end].sendall(piece)

        thread = threading.Thread(target=relay)
        thread.start()
        talk(door.getsockname()[1])
        thread.join(PATIENCE)
    lengths, at = [], 0
    while at + 5 <= len(sent):
        lengths.append(int.from_bytes(sent[at + 3:at + 5], "big"))
        at += 5 + lengths[-1]
    return lengths


def test_a_client_of_tls_1_3_gets_what_its_record_size_limit_asks_for(keyward):
    """RFC 8449, with GnuTLS, which asks for it: a limit of 513 is 512 bytes and one that says what they are."""
    bundle = keyward.device("chip")
    connect = b"\x10\x10\x00\x04MQTT\x04\x02\x00\x3c\x00\x04chip"
    subscribe = b"\x82\x0b\x00\x01\x00\x06chip/#\x00"
    suback = b"\x90\x03\x00\x01\x00"

    def talk(port):
        gnutls = subprocess.Popen(
            ["gnutls-cli", "--recordsize=512", "--x509cafile", bundle.ca, "--x509certfile", bundle.cert, "--x509keyfile", bundle.key,
             "--priority", "NORMAL:-VERS-ALL:+VERS-TLS1.3", "--verify-hostname", "localhost", "-p", str(port), "127.0.0.1"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )
        gnutls.stdin.write(connect + subscribe)
        gnutls.stdin.flush()
        said = b""

        def until(seen):
            nonlocal said
            while not seen(said):
                piece = gnutls.stdout.read1()
                assert piece, said
                said += piece

        until(lambda said: suback in said)
        other = Client(bundle, client_id="other").connect()
        other.publish("chip/x", "~" * 6000)
        until(lambda said: said.count(b"~") == 6000)
        other.close()
        gnutls.kill()
        gnutls.wait()

    lengths = records_through(keyward, talk)
    assert lengths.count(512 + 17) == 6000 // 512, lengths
    assert max(lengths[lengths.index(512 + 17):]) == 512 + 17, lengths


class Thief:
    """Serves TLS with a device's certificate and key, and notes whether anybody finished the handshake."""

    def __init__(self, bundle, chain):
        self.fooled = []
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(chain, bundle.key)
        self.server = socket.create_server(("127.0.0.1", 0))
        self.port = self.server.getsockname()[1]
        self.thread = threading.Thread(target=self.serve)
        self.thread.start()

    def serve(self):
        while True:
            link, _ = self.server.accept()
            link.settimeout(10)
            try:
                with self.context.wrap_socket(link, server_side=True) as tls:
                    self.fooled.append(tls.recv(1))
            except (ssl.SSLError, OSError):
                pass
            finally:
                link.close()
            if self.done:
                return

    done = False

    def end(self):
        self.done = True
        socket.create_connection(("127.0.0.1", self.port), 5).close()
        self.thread.join(15)
        self.server.close()


def cheat(thief, chain, run):
    """Lets a client meet the thief; returns its exit code, what it said, and whether it spoke to him."""
    fake = Thief(thief, chain)
    try:
        code, said = run(fake.port)
    finally:
        fake.end()
    return code, said, any(fake.fooled)


def test_a_stolen_device_cannot_play_the_broker_and_the_broker_itself_is_accepted(keyward, small, tmp_path):
    """However the device connects: by name, by address without a name, without SNI; also if the thief adds the broker's own
    authority to what he shows. (An id that is a name of the broker is refused, at either's coming.)"""
    victim, thief = keyward.device("victim"), keyward.device("thief")
    adorned = tmp_path / "adorned.pem"
    adorned.write_text(pathlib.Path(thief.cert).read_text() + pathlib.Path(thief.ca).read_text())
    for stack in STACKS:
        for way in WAYS:
            code, said = small(stack, victim, keyward.port, way)
            assert code == 0, f"{stack} by {way}: {said}"
            for chain in (thief.cert, adorned):
                code, said, fooled = cheat(thief, chain, lambda port: small(stack, victim, port, way))
                assert code == REFUSED and not fooled, f"{stack} by {way}: {said}"
                if way == "address" and chain == thief.cert:  # no name is looked at, and the chain is a chain
                    assert UNTRUSTED[stack] in said, f"{stack} by {way}: {said}"


def test_under_one_root_the_thief_would_be_believed(keyward, small):
    """The control of the story above, and the reason for two roots: BearSSL does not ask what a certificate is for."""
    victim, thief = keyward.device("victim"), keyward.device("thief")
    issuer = pathlib.Path(thief.cert).read_text().split("-----BEGIN")[-1]
    pathlib.Path(victim.ca).write_text("-----BEGIN" + issuer)
    _, said, fooled = cheat(thief, thief.cert, lambda port: small("bearssl", victim, port, "address"))
    assert fooled, said


def test_a_name_that_the_certificate_does_not_hold_is_refused_also_when_it_is_not_sent(keyward, small):
    """The control of the story above: a name that is wanted is looked for."""
    bundle = keyward.device("chip")
    for stack in STACKS:
        for way, opens in {"name": False, "no-sni": False, "address": True}.items():
            code, said = small(stack, bundle, keyward.port, way, name="mqtt.elsewhere")
            assert (code == 0) == opens, f"{stack} by {way}: {said}"
