"""What standard clients expect of a broker, with paho and mosquitto's own clients."""

import subprocess

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from conftest import PATIENCE, Client

VERSIONS = pytest.mark.parametrize("version", [3, 4, 5])  # 3.1, 3.1.1, 5.0


@VERSIONS
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_message_arrives_with_every_quality_of_service(keyward, version, qos):
    client = Client(keyward.device("a1"), version).connect()
    client.subscribe("a1/#", qos=qos)
    client.publish("a1/x", "hello", qos=qos)
    message = client.messages.get(timeout=PATIENCE)
    assert (message.topic, message.payload, message.qos) == ("a1/x", b"hello", qos)


@VERSIONS
def test_a_retained_message_waits_for_the_subscriber_and_an_empty_one_removes_it(keyward, version):
    client = Client(keyward.device("a1"), version).connect()
    client.publish("a1/state", "on", retain=True)
    client.subscribe("a1/state")
    message = client.messages.get(timeout=PATIENCE)
    assert (message.payload, message.retain) == (b"on", True)
    client.publish("a1/state", "", retain=True)
    later = Client(keyward.device("b1"), version)  # another identity: proves nothing leaks either
    client.messages.get(timeout=PATIENCE)
    client.subscribe("a1/state", "a1/marker")
    client.publish("a1/marker", "end")
    assert client.heard_nothing_before("a1/marker") == []
    # 3.1 has no word for a denial: the answer is the QoS that was asked for, and no subscription is there.
    refused = {3: 1, 4: 0x80, 5: 0x87}
    assert later.connect().subscribe("a1/state") == [refused[version]]
    client.publish("a1/state", "secret")
    later.subscribe("b1/marker")
    later.publish("b1/marker", "end")
    assert later.heard_nothing_before("b1/marker") == []


@VERSIONS
def test_a_stored_session_keeps_its_messages_while_the_client_is_away(keyward, version):
    bundle = keyward.device("a1")
    away = Client(bundle, version, client_id="sleeper", clean=False, expiry=300).connect()
    away.subscribe("a1/cmd", qos=2)
    away.close()
    sender = Client(bundle, version, client_id="sender").connect()
    for n in range(20):
        sender.publish("a1/cmd", str(n), qos=1 + n % 2)
    back = Client(bundle, version, client_id="sleeper", clean=False, expiry=300).connect()
    assert back.flags.session_present == (version != 3), "3.1 does not tell"
    received = [int(back.receive()[1]) for _ in range(20)]
    # paho hands a QoS 2 message over when its exchange ends, so the two qualities of service arrive in two rows.
    assert sorted(received, key=lambda n: n % 2) == [*range(0, 20, 2), *range(1, 20, 2)]


@VERSIONS
def test_a_will_is_published_when_a_client_vanishes_and_not_when_it_leaves(keyward, version):
    bundle = keyward.device("a1")
    watcher = Client(bundle, version, client_id="watcher").connect()
    watcher.subscribe("a1/#")
    polite = Client(bundle, version, client_id="one", will=("a1/will", "polite", 1)).connect()
    polite.close()
    lost = Client(bundle, version, client_id="two", will=("a1/will", "lost", 1)).connect()
    lost.vanish()
    assert watcher.receive() == ("a1/will", "lost")


@VERSIONS
def test_a_second_connect_of_one_identity_takes_the_session_over(keyward, version):
    bundle = keyward.device("a1")
    first = Client(bundle, version, client_id="same").connect()
    second = Client(bundle, version, client_id="same").connect()
    code, _ = first.closed.get(timeout=PATIENCE)
    first.paho.loop_stop()
    if version == 5:
        assert code.value == 0x8E
    second.subscribe("a1/x")
    second.publish("a1/x", "mine")
    assert second.receive() == ("a1/x", "mine")


def test_properties_of_version_5_pass_through_and_request_finds_its_response(keyward):
    bundle = keyward.device("a1")
    responder, asker = Client(bundle, client_id="responder").connect(), Client(bundle, client_id="asker").connect()
    responder.subscribe("a1/request")
    asker.subscribe("a1/answers/7")
    properties = Properties(PacketTypes.PUBLISH)
    properties.ResponseTopic, properties.CorrelationData = "a1/answers/7", b"\x00\x07"
    properties.UserProperty = [("unit", "C"), ("unit", "again")]
    properties.ContentType, properties.PayloadFormatIndicator = "text/plain", 1
    properties.MessageExpiryInterval = 100
    assert asker.publish("a1/request", "how warm?", properties=properties) == 0
    request = responder.messages.get(timeout=PATIENCE).properties
    assert request.UserProperty == [("unit", "C"), ("unit", "again")]
    assert (request.ContentType, request.PayloadFormatIndicator) == ("text/plain", 1)
    assert request.MessageExpiryInterval in (99, 100)
    answer = Properties(PacketTypes.PUBLISH)
    answer.CorrelationData = request.CorrelationData
    responder.publish(request.ResponseTopic, "21", properties=answer)
    message = asker.messages.get(timeout=PATIENCE)
    assert (message.payload, message.properties.CorrelationData) == (b"21", b"\x00\x07")


def test_a_large_message_arrives_whole_and_a_larger_one_is_refused(keyward):
    client = Client(keyward.device("a1"), 5).connect()
    client.subscribe("a1/big")
    payload = bytes(range(256)) * 7000  # 1,792,000 bytes
    client.publish("a1/big", payload)
    assert client.messages.get(timeout=PATIENCE).payload == payload
    client.paho.publish("a1/big", payload + payload, 1)
    client.closed.get(timeout=PATIENCE)  # with 0x95, which paho does not read from a DISCONNECT without words
    client.paho.loop_stop()


def test_order_is_kept_for_a_thousand_messages_between_two_clients(keyward):
    rules = '[[rule]]\nwho = "devices"\nallow = ["publish", "subscribe"]\ntopics = ["shared/#"]\n'
    sender, receiver = keyward.device("s1"), keyward.device("r1")
    keyward.rules("shared", rules)
    to, source = Client(receiver).connect(), Client(sender).connect()
    to.subscribe("shared/#", qos=2)
    for n in range(1000):
        source.paho.publish("shared/n", str(n), n % 3)
    received = [int(to.receive()[1]) for _ in range(1000)]
    # Order holds per quality of service (MQTT 5.0 chapter 4.6): paho hands QoS 2 over later than the others.
    assert sorted(received, key=lambda n: n % 3) == sorted(range(1000), key=lambda n: (n % 3, n))


@pytest.mark.parametrize("version", ["mqttv31", "mqttv311", "mqttv5"])
def test_the_mosquitto_clients_publish_and_subscribe_over_mutual_tls(keyward, version):
    bundle = keyward.device("m1")
    sub = subprocess.Popen(
        ["stdbuf", "-oL", "mosquitto_sub", *bundle.mosquitto(), "-V", version, "-i", "sub", "-q", "2", "-t", "m1/#", "-v", "-C", "3", "-W", "10", "-d"],
        stdout=subprocess.PIPE, text=True,
    )
    for line in sub.stdout:
        if "SUBACK" in line:
            break
    for qos in "012":
        subprocess.run(
            ["mosquitto_pub", *bundle.mosquitto(), "-V", version, "-i", "pub", "-q", qos, "-t", "m1/t", "-m", f"qos {qos}"],
            check=True, timeout=20,
        )
    output = sub.stdout.read()
    assert sub.wait(20) == 0
    assert [line for line in output.splitlines() if line.startswith("m1/")] == ["m1/t qos 0", "m1/t qos 1", "m1/t qos 2"]


def test_mosquitto_clients_log_in_with_a_password(keyward):
    login = keyward.user("app")
    keyward.rules("app", '[[rule]]\nwho = "user:app"\nallow = ["publish", "subscribe"]\ntopics = ["app/#"]\n')
    subprocess.run(["mosquitto_pub", *login.mosquitto(), "-t", "app/x", "-m", "kept", "-r", "-q", "1"], check=True, timeout=20)
    done = subprocess.run(
        ["mosquitto_sub", *login.mosquitto(), "-t", "app/#", "-C", "1", "-W", "10"], capture_output=True, text=True
    )
    assert done.stdout == "kept\n", done
