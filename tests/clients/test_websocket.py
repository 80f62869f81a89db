"""WebSocket and Unix sockets, with clients that others wrote: MQTT.js, paho, mosquitto_pub and mosquitto_sub."""

import os
import re
import subprocess
import time

import pytest

from conftest import PATIENCE, Client

PLAIN = ("--plain", "--address", "127.0.0.1")


@pytest.mark.parametrize("version", [3, 4, 5])
@pytest.mark.parametrize("way", ["ws", "wss"])
def test_mqtt_js_speaks_over_websocket_with_password_and_with_certificate(keyward, peer, way, version):
    who = keyward.device("a1") if way == "wss" else keyward.user("anna")
    keyward.rules("anna", '[[rule]]\nwho = "user:anna"\nallow = ["publish", "subscribe"]\ntopics = ["a1/#"]\n')
    port = keyward.web(*PLAIN if way == "ws" else ())
    client = peer("mqttjs", who, version, way=way, port=port).connected()
    assert client.subscribe("a1/#", 2) == 2
    for payload in ("hello", "x" * 200_000):
        assert client.publish("a1/x", payload, 2) == 0
        assert client.receive() == ("a1/x", payload)
    if version == 5:
        assert client.publish("b1/x", "not mine") == 0x87
    client.close()


def test_a_revoked_device_is_cut_off_within_a_second_over_wss(keyward, peer):
    port = keyward.web()
    client = peer("mqttjs", keyward.device("a1"), 5, way="wss", port=port).connected()
    watcher = Client(keyward.device("a2"), way="wss", at=port).connect()
    began = time.monotonic()
    keyward.run("device", "revoke", "a1")
    client.hears("closed")
    assert time.monotonic() - began < 1
    watcher.subscribe("a2/x")
    assert watcher.publish("a2/x", "still here") == 0
    watcher.close()


def test_a_client_that_vanishes_over_websocket_leaves_its_will(keyward, peer):
    port, bundle = keyward.web(), keyward.device("a1")
    watcher = Client(bundle, client_id="watcher").connect()
    watcher.subscribe("a1/#")
    peer("mqttjs", bundle, 5, "lost", will=["a1/will", "gone", 1], way="wss", port=port).connected().vanish()
    assert watcher.receive() == ("a1/will", "gone")
    watcher.close()


@pytest.mark.parametrize("way", ["ws", "wss", "unix"])
@pytest.mark.parametrize("version", [4, 5])
def test_paho_speaks_over_websocket_and_over_a_unix_socket(keyward, way, version):
    keyward.rules("anna", '[[rule]]\nwho = "user:anna"\nallow = ["publish", "subscribe"]\ntopics = ["a1/#"]\n')
    if way == "unix":
        at = keyward.folder / "mqtt.sock"
        keyward.run("listener", "add", "near", "--socket", str(at))
    else:
        at = keyward.web(*PLAIN if way == "ws" else ())
    client = Client(keyward.user("anna"), version, way=way, at=at).connect()
    assert client.code == 0
    client.subscribe("a1/#")
    client.publish("a1/x", "x" * 100_000)
    assert client.receive() == ("a1/x", "x" * 100_000)
    client.close()
    if way == "unix":
        keyward.run("listener", "remove", "near")
        assert not at.exists()


def test_mosquitto_s_clients_meet_over_a_unix_socket(keyward):
    keyward.rules("anna", '[[rule]]\nwho = "user:anna"\nallow = ["publish", "subscribe"]\ntopics = ["a1/#"]\n')
    path = keyward.folder / "mqtt.sock"
    keyward.run("listener", "add", "near", "--socket", str(path))
    assert keyward.json("listener", "list")["listeners"][1]["addresses"] == [str(path)]
    anna = keyward.user("anna")
    login = ["--unix", str(path), "-u", "anna", "-P", anna.password, "-t", "a1/x", "-q", "1"]
    subprocess.run(["mosquitto_pub", *login, "-r", "-m", "hello"], check=True, timeout=PATIENCE)
    heard = subprocess.run(
        ["mosquitto_sub", *login, "-C", "1"], check=True, capture_output=True, text=True, timeout=PATIENCE
    )
    assert heard.stdout == "hello\n"
    wrong = [*login[:4], "-P", "guess", *login[6:]]
    assert subprocess.run(["mosquitto_pub", *wrong, "-m", "no"], timeout=PATIENCE).returncode != 0
    user = f"peer=uid:{os.geteuid()} "
    for line in (r"INFO login identity=user:anna ", r"WARN login failed"):
        told = re.compile(f"{line}.*{user}")
        keyward.until(lambda: told.search(keyward.said()), "a login is told with its user")
