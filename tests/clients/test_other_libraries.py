"""The same stories with libraries in other languages: MQTT.js and rumqttc."""

import pytest

from peers import PROGRAMS

LIBRARIES = [("mqttjs", 3), ("mqttjs", 4), ("mqttjs", 5), ("rumqttc", 4), ("rumqttc", 5)]
EVERY = pytest.mark.parametrize("library, version", LIBRARIES)
OF_5 = pytest.mark.parametrize("library", PROGRAMS)


@EVERY
@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_message_arrives_with_every_quality_of_service(keyward, peer, library, version, qos):
    client = peer(library, keyward.device("a1"), version).connected()
    assert client.subscribe("a1/#", qos) == qos
    assert client.publish("a1/x", "hello", qos) == 0
    message = client.hears("message")
    assert (message["topic"], message["payload"], message["qos"]) == ("a1/x", "hello", qos)


@EVERY
def test_a_login_by_password_is_enough_where_the_listener_says_so(keyward, peer, library, version):
    client = peer(library, keyward.user("anna"), version).connected()
    assert not client.session
    wrong = keyward.user("berta")
    wrong.password = "another one entirely"
    assert peer(library, wrong, version).hears("refused")["code"] in (4, 5, 134, 135)


@EVERY
def test_a_stored_session_keeps_its_messages_while_the_client_is_away(keyward, peer, library, version):
    bundle = keyward.device("a1")
    away = peer(library, bundle, version, "sleeper", clean=False, expiry=300).connected()
    assert away.subscribe("a1/cmd", 1) == 1
    away.vanish()
    sender = peer(library, bundle, version, "sender").connected()
    for number in range(20):
        assert sender.publish("a1/cmd", str(number)) == 0
    back = peer(library, bundle, version, "sleeper", clean=False, expiry=300).connected()
    # 3.1 has no word for it in CONNACK, and hands the messages over all the same.
    assert back.session or version == 3
    assert [int(back.receive()[1]) for _ in range(20)] == list(range(20))


@EVERY
def test_a_retained_message_waits_for_the_subscriber(keyward, peer, library, version):
    bundle = keyward.device("a1")
    peer(library, bundle, version, "writer").connected().publish("a1/state", "on", retain=True)
    reader = peer(library, bundle, version, "reader").connected()
    reader.subscribe("a1/state")
    message = reader.hears("message")
    assert (message["payload"], message["retain"]) == ("on", True)


@EVERY
def test_a_will_is_published_when_a_client_vanishes(keyward, peer, library, version):
    bundle = keyward.device("a1")
    watcher = peer(library, bundle, version, "watcher").connected()
    watcher.subscribe("a1/#")
    peer(library, bundle, version, "lost", will=["a1/will", "gone", 1]).connected().vanish()
    assert watcher.receive() == ("a1/will", "gone")


@OF_5
def test_what_a_rule_does_not_allow_is_answered_with_0x87(keyward, peer, library):
    client = peer(library, keyward.device("a1"), 5).connected()
    keyward.device("b1")
    assert client.publish("b1/x", "not mine") == 0x87
    assert client.subscribe("b1/#") == 0x87


@OF_5
def test_a_shared_subscription_gives_each_message_to_one_member(keyward, peer, library):
    keyward.rules("shared", '[[rule]]\nwho = "devices"\nallow = ["subscribe", "share"]\ntopics = ["jobs/#"]\n'
                  '[[rule]]\nwho = "user:anna"\nallow = ["publish"]\ntopics = ["jobs/#"]\n')  # fmt: skip
    members = [peer(library, keyward.device(name), 5).connected() for name in ("a1", "a2")]
    assert [member.subscribe("$share/workers/jobs/#") for member in members] == [1, 1]
    boss = peer(library, keyward.user("anna"), 5).connected()
    for number in range(40):
        assert boss.publish("jobs/x", str(number)) == 0
    got = [[], []]

    def all_arrived():
        for member, mine in zip(members, got):
            while not member.events.empty():
                mine.append(member.receive()[1])
        return len(got[0]) + len(got[1]) >= 40

    keyward.until(all_arrived, "40 messages at two members")
    assert sorted(got[0] + got[1], key=int) == [str(number) for number in range(40)] and all(got)
