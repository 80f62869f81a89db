"""Topic aliases in both directions, as packets of clients that nobody here wrote. paho names topics itself, so a story says
which alias a packet has; MQTT.js keeps aliases by itself, and tells the packets that it sends and gets."""

import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from conftest import PATIENCE, Client

LONG, OTHER = "a1/a/long/topic", "a1/another/topic"


@pytest.fixture
def device(keyward):
    return keyward.device("a1")


def named(alias):
    properties = Properties(PacketTypes.PUBLISH)
    properties.TopicAlias = alias
    return properties


def raw(client):
    """Topic, alias and payload of the next PUBLISH, as they are on the wire: paho resolves no alias."""
    message = client.messages.get(timeout=PATIENCE)
    return message.topic, getattr(message.properties, "TopicAlias", None), message.payload.decode()


# From a client to the broker.


def test_a_paho_client_sets_uses_and_re_points_an_alias(device):
    reader = Client(device, client_id="reader").connect()
    reader.subscribe("a1/#")
    writer = Client(device).connect()
    assert writer.offer.TopicAliasMaximum == 10
    for topic, payload, arrives in [(LONG, "set", LONG), ("", "used", LONG), (OTHER, "re-pointed", OTHER), ("", "used", OTHER)]:
        assert writer.publish(topic, payload, properties=named(10)) in (0, 16)
        assert raw(reader) == (arrives, None, payload)
    reader.close()
    writer.close()


@pytest.mark.parametrize("topic, alias", [("", 1), (LONG, 11)])
def test_an_alias_that_was_never_set_or_is_above_the_maximum_ends_the_link(device, topic, alias):
    client = Client(device).connect()
    client.paho.publish(topic, "x", 1, properties=named(alias))
    client.closed.get(timeout=PATIENCE)  # why, paho does not read from a DISCONNECT without words
    client.paho.loop_stop()


def test_mqttjs_sends_by_alias_what_it_has_sent_by_name(device, peer):
    client = peer("mqttjs", device, 5, aliases=True).connected()
    client.subscribe("a1/#")
    for number in range(3):
        assert client.publish(LONG, str(number)) == 0
        assert client.receive() == (LONG, str(number))
    assert [client.packet("sent") for _ in range(3)] == [(LONG, 1), ("", 1), ("", 1)]


def test_mqttjs_re_points_its_aliases_when_it_has_more_topics_than_the_broker_takes(device, peer):
    client = peer("mqttjs", device, 5, aliases=True).connected()
    client.subscribe("a1/#")
    topics = [f"a1/topic/{number}" for number in range(11)]
    for topic in topics + topics[-1:]:
        assert client.publish(topic, "x") == 0
        assert client.receive() == (topic, "x")
    *first, (eleventh, taken), again = [client.packet("sent") for _ in range(12)]
    assert first == [(topic, number) for number, topic in enumerate(topics[:10], 1)]
    assert eleventh == topics[10] and 1 <= taken <= 10 and again == ("", taken), "it took an alias that another had"


def test_mqttjs_sets_uses_and_re_points_an_alias_by_hand(device, peer):
    client = peer("mqttjs", device, 5).connected()
    client.subscribe("a1/#")
    orders = [(LONG, 7), ("", 7), (OTHER, 7), ("", 7)]
    for (topic, alias), arrives in zip(orders, [LONG, LONG, OTHER, OTHER]):
        assert client.publish(topic, "x", alias=alias) == 0
        assert client.receive() == (arrives, "x")
    assert [client.packet("sent") for _ in orders] == orders


# From the broker to a client.


@pytest.mark.parametrize("qos", [0, 1, 2])
def test_a_paho_client_that_takes_aliases_gets_a_topic_that_comes_again_by_its_alias(device, qos):
    reader = Client(device, client_id="reader", aliases=1).connect()
    reader.subscribe("a1/#", qos=qos)
    writer = Client(device).connect()
    for number in range(4):
        writer.publish(LONG, str(number))
    assert [raw(reader) for _ in range(4)] == [(LONG, None, "0"), (LONG, 1, "1"), ("", 1, "2"), ("", 1, "3")]
    for number in range(3):
        writer.publish(OTHER, str(number))
    assert [raw(reader) for _ in range(3)] == [(OTHER, None, "0"), (OTHER, 1, "1"), ("", 1, "2")], "the only alias moved"
    reader.close()
    writer.close()


@pytest.mark.parametrize("aliases", [None, 0])
def test_a_paho_client_that_takes_no_aliases_gets_none(device, aliases):
    client = Client(device, aliases=aliases).connect()
    client.subscribe("a1/#")
    for number in range(4):
        client.publish(LONG, str(number))
    assert [raw(client) for _ in range(4)] == [(LONG, None, str(number)) for number in range(4)]
    client.close()


def test_an_alias_of_the_broker_ends_with_its_link(device):
    for _ in range(2):
        client = Client(device, aliases=5, clean=False, expiry=60).connect()
        client.subscribe("a1/#")
        for number in range(3):
            client.publish(LONG, str(number))
        topics = [raw(client)[0] for _ in range(3)]
        assert topics == [LONG, LONG, ""]
        client.vanish()


def test_mqttjs_understands_the_aliases_of_the_broker(device, peer):
    client = peer("mqttjs", device, 5).connected()
    client.subscribe("a1/#")
    topics = [f"a1/some/long/topic/{number}" for number in range(40)]
    for topic in [LONG] * 4 + topics * 3:
        assert client.publish(topic, topic) == 0
        assert client.receive() == (topic, topic), "whatever stood on the wire"
    came = [client.packet("came") for _ in range(124)]
    assert [topic for topic, _ in came[:4]] == [LONG, LONG, "", ""]
    assert came[0][1] is None and came[1][1] == came[2][1] == came[3][1]
    assert all(alias is None or 1 <= alias <= 10 for _, alias in came), "it takes ten"
