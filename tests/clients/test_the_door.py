"""Who comes in and who does not: certificates, passwords, TLS, with openssl and paho."""

import json
import queue
import re
import socket
import ssl
import subprocess
import time

import pytest

from conftest import PATIENCE, Client, Login


def s_client(keyward, *options, said=b""):
    """Runs openssl s_client against the broker and gives all that it printed."""
    done = subprocess.run(
        ["openssl", "s_client", "-connect", f"localhost:{keyward.port}", *map(str, options)],
        input=said, capture_output=True, timeout=20,
    )
    return (done.stdout + done.stderr).decode(errors="replace")


def logged(keyward, text):
    keyward.until(lambda: text in keyward.said(), f"a log line with {text!r}")


@pytest.mark.parametrize("flag", ["-tls1_2", "-tls1_3"])
def test_openssl_trusts_the_server_by_name_and_by_address(keyward, flag):
    for host in (["-verify_hostname", "localhost"], ["-verify_ip", "127.0.0.1"], ["-verify_ip", "::1"]):
        said = s_client(keyward, flag, "-CAfile", keyward.ca, "-verify_return_error", *host)
        assert "Verify return code: 0 (ok)" in said, said


@pytest.mark.parametrize("name", [["-servername", "127.0.0.1"], ["-noservername"], ["-servername", "unknown.example"]])
def test_clients_without_a_name_or_with_an_address_as_name_are_served(keyward, name):
    said = s_client(keyward, "-CAfile", keyward.ca, *name)
    assert "Verify return code: 0 (ok)" in said, said


@pytest.mark.parametrize("flag", ["-tls1", "-tls1_1"])
def test_old_versions_of_tls_are_refused(keyward, flag):
    said = s_client(keyward, flag, "-cipher", "ALL:@SECLEVEL=0")
    assert "New, (NONE)" in said or "alert protocol version" in said, said


def test_the_certificate_message_fits_one_packet_and_a_name_that_would_not_fit_is_refused(keyward):
    def message():
        said = s_client(keyward, "-tls1_2", "-CAfile", keyward.ca, "-msg")
        lengths = [int(n, 16) for n in re.findall(r"<<< .*Handshake \[length ([0-9a-f]+)\], Certificate\b", said)]
        assert len(lengths) == 1, said
        return lengths[0]

    assert message() == keyward.json("server", "name", "list")["server_names"]["certificate_message_bytes"] < 1500
    for number in range(20):
        added = keyward.run("server", "name", "add", f"a-name-of-the-broker-{number:02}.example.org", check=False)
        if added.returncode:
            break
    assert "the Certificate message would pass 1500 bytes" in added.stderr, added.stderr
    told = keyward.run("server", "name", "list").stdout
    assert 1100 < message() < 1500 and f"takes {message()} of the 1500 bytes" in told, told


def test_neither_certificate_nor_password_is_refused(keyward):
    nobody = Login("nobody", None, keyward)
    nobody.login = lambda client: None
    client = Client(nobody, 5).connect()
    client.paho.loop_stop()
    assert client.code.value == 0x87
    old = Client(nobody, 4).connect()
    old.paho.loop_stop()
    assert old.code.is_failure


def test_a_wrong_password_and_an_unknown_user_look_alike_and_take_a_second(keyward):
    keyward.user("real")
    for name in ("real", "unreal"):
        started = time.monotonic()
        client = Client(Login(name, "wrong password", keyward), 5).connect()
        client.paho.loop_stop()
        took = time.monotonic() - started
        assert client.code.value == 0x86
        assert took >= 0.95, took
    causes = json.dumps(keyward.json("denials"))
    assert "unreal" in causes, causes


def test_a_certificate_beside_another_user_name_is_refused(keyward):
    bundle, login = keyward.device("d1"), keyward.user("boss")
    bundle.login = login.login
    client = Client(bundle, 5).connect()
    client.paho.loop_stop()
    assert client.code.is_failure


def test_a_certificate_of_another_authority_never_falls_back_to_a_password(keyward, tmp_path):
    login = keyward.user("boss")
    key, cert = tmp_path / "k.pem", tmp_path / "c.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-subj", "/CN=d1",
         "-keyout", key, "-out", cert], check=True, capture_output=True,
    )
    context = login.tls()
    context.load_cert_chain(cert, key)
    login.tls = lambda: context
    # In TLS 1.3 the refusal arrives after the client's side of the handshake: either end of it is right, a link is not.
    with pytest.raises((OSError, queue.Empty)):
        Client(login, 5).connect()


def test_a_device_cannot_play_the_broker(keyward):
    """A thief serves TLS with a device's key; a client that trusts ca.pem refuses it, by name and by address."""
    bundle = keyward.device("stolen")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(bundle.cert, bundle.key)
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        for check in (["-verify_hostname", "stolen"], []):
            victim = subprocess.Popen(
                ["openssl", "s_client", "-connect", f"127.0.0.1:{port}", "-CAfile", str(keyward.ca), "-verify_return_error", *check],
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )
            link, _ = server.accept()
            with pytest.raises((ssl.SSLError, OSError)):
                tls = context.wrap_socket(link, server_side=True)
                tls.recv(1)
                raise OSError("the victim said nothing")
            said = victim.communicate(timeout=20)[0]
            assert "verify error" in said, said


def test_a_revoked_device_is_cut_off_within_a_second_and_stays_out(keyward):
    bundle = keyward.device("d1")
    client = Client(bundle, 5).connect()
    client.paho.reconnect_delay_set(60, 60)
    revoked = time.monotonic()
    keyward.run("device", "revoke", "d1")
    _, closed = client.closed.get(timeout=PATIENCE)
    client.paho.loop_stop()
    assert closed - revoked < 1.0
    again = Client(bundle, 5, client_id="again").connect()
    again.paho.loop_stop()
    assert again.code.is_failure


def test_a_disabled_device_comes_back_when_enabled(keyward):
    bundle = keyward.device("d1")
    keyward.run("device", "disable", "d1")
    refused = Client(bundle, 5).connect()
    refused.paho.loop_stop()
    assert refused.code.is_failure
    keyward.run("device", "enable", "d1")
    assert not Client(bundle, 5).connect().code.is_failure


def test_a_removed_id_added_again_does_not_bring_its_old_certificate_back(keyward):
    old = keyward.device("d1")
    keyward.run("device", "remove", "d1")
    new_out = keyward.folder / "d1-new"
    keyward.run("device", "add", "d1", "--out", str(new_out))
    refused = Client(old, 5).connect()
    refused.paho.loop_stop()
    assert refused.code.is_failure


def test_what_is_registered_survives_kill_9(keyward):
    bundle, login = keyward.device("d1"), keyward.user("boss")
    gone = keyward.device("gone")
    keyward.run("device", "revoke", "gone")
    keyward.kill()
    keyward.start()
    assert not Client(bundle, 5).connect().code.is_failure
    assert not Client(login, 5).connect().code.is_failure
    refused = Client(gone, 5).connect()
    refused.paho.loop_stop()
    assert refused.code.is_failure


def ticket(keyward, path, bundle, version):
    """Opens a session with the device's certificate, reads its ticket into `path`."""
    options = ["-CAfile", keyward.ca, "-cert", bundle.cert, "-key", bundle.key, version, "-sess_out", path, "-ign_eof"]
    process = subprocess.Popen(
        ["openssl", "s_client", "-connect", f"localhost:{keyward.port}", *map(str, options)],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )
    packet = b"\x10\x11\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x04tick"
    process.stdin.write(packet + b"\xe0\x00")
    process.stdin.flush()
    said = process.communicate(timeout=20)[0].decode(errors="replace")
    return said


def resumed(keyward, path, version):
    said = s_client(keyward, "-CAfile", keyward.ca, version, "-sess_in", path)
    return "Reused, " in said


@pytest.mark.parametrize("version", ["-tls1_2", "-tls1_3"])
def test_a_ticket_dies_with_the_configuration_that_issued_it(keyward, tmp_path, version):
    bundle, path = keyward.device("d1"), tmp_path / "session"
    ticket(keyward, path, bundle, version)
    assert resumed(keyward, path, version), "the control: without a reload the session resumes"
    keyward.run("server", "name", "add", "other.example")
    assert not resumed(keyward, path, version)


def test_plain_mqtt_to_the_tls_port_leaves_a_line_with_the_remedy(keyward):
    with socket.create_connection(("127.0.0.1", keyward.port)) as s:
        s.sendall(b"\x10\x10\x00\x04MQTT\x05\x02\x00\x3c\x00\x00\x03abc")
        s.settimeout(PATIENCE)
        while s.recv(64):
            pass
    logged(keyward, "plain MQTT")


def test_a_client_that_does_not_trust_us_leaves_a_line_with_the_remedy(keyward):
    s_client(keyward, "-verify_return_error")
    logged(keyward, "ca.pem")


def test_a_wrong_name_leaves_the_command_that_adds_it(keyward):
    s_client(keyward, "-servername", "mqtt.home", "-CAfile", keyward.ca, "-verify_hostname", "mqtt.home", "-verify_return_error")
    logged(keyward, "keyward server name add mqtt.home")
    keyward.run("server", "name", "add", "mqtt.home")
    said = s_client(keyward, "-servername", "mqtt.home", "-CAfile", keyward.ca, "-verify_hostname", "mqtt.home", "-verify_return_error")
    assert "Verify return code: 0 (ok)" in said, said


def test_the_master_secrets_are_not_logged_for_sslkeylogfile(keyward, tmp_path, monkeypatch):
    keyward.stop()
    log = tmp_path / "secrets"
    monkeypatch.setenv("SSLKEYLOGFILE", str(log))
    keyward.start()
    s_client(keyward, "-CAfile", keyward.ca)
    assert not log.exists()
