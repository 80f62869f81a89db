"""The workshop: dev01 stands on a bench, the application dev02 reads every status and writes every display."""

import json

import pytest

from conftest import Client

RULES = """
[[rule]]
who = "user:dev02"
allow = ["subscribe"]
topics = ["+/status"]

[[rule]]
who = "user:dev02"
allow = ["publish"]
topics = ["+/display", "+/interval"]
"""


@pytest.fixture
def workshop(keyward):
    dev01 = keyward.device("dev01")
    dev02 = keyward.user("dev02")
    keyward.rules("workshop", RULES)
    return keyward, dev01, dev02


@pytest.mark.parametrize("version", [4, 5])
def test_the_application_reads_status_and_writes_display_and_interval(workshop, version):
    _, dev01, dev02 = workshop
    device, application = Client(dev01, version).connect(), Client(dev02, version).connect()
    assert application.subscribe("+/status") == [1]
    assert device.subscribe("dev01/display", "dev01/interval") == [1, 1]
    device.publish("dev01/status", "21.5")
    assert application.receive() == ("dev01/status", "21.5")
    application.publish("dev01/display", "hello")
    application.publish("dev01/interval", "60")
    assert [device.receive(), device.receive()] == [("dev01/display", "hello"), ("dev01/interval", "60")]


@pytest.mark.parametrize("version", [4, 5])
def test_a_subscription_to_everything_brings_only_what_may_be_read(workshop, version):
    _, dev01, dev02 = workshop
    device, application = Client(dev01, version).connect(), Client(dev02, version).connect()
    assert application.subscribe("#") == [1]
    device.publish("dev01/secret", "not for the application")
    device.publish("dev01/status", "last")
    assert application.heard_nothing_before("dev01/status") == []


def test_a_denied_publish_is_refused_in_5_and_dropped_in_3_1_1(workshop):
    keyward, dev01, dev02 = workshop
    application, device = Client(dev02, 5).connect(), Client(dev01, 5).connect()
    device.subscribe("dev01/#")
    assert application.publish("dev01/status", "forged") == 0x87
    old = Client(dev02, 4, client_id="old").connect()
    assert old.publish("dev01/status", "forged") == 0
    application.publish("dev01/display", "end")
    assert device.heard_nothing_before("dev01/display") == []
    denials = keyward.json("denials")
    assert "dev01/status" in json.dumps(denials), denials


def test_a_device_without_a_rule_reaches_nobody_else(workshop):
    keyward, dev01, _ = workshop
    dev03 = keyward.device("dev03")
    thief, victim = Client(dev03, 5).connect(), Client(dev01, 5).connect()
    assert thief.subscribe("dev01/#", "#") == [0x87, 1]
    assert thief.publish("dev01/display", "forged") == 0x87
    victim.publish("dev01/status", "private")
    thief.publish("dev03/marker", "end")
    assert thief.heard_nothing_before("dev03/marker") == []


def test_explain_names_the_rule_with_file_and_line(workshop):
    keyward, _, _ = workshop
    allowed = keyward.run("policy", "explain", "--as", "user:dev02", "publish", "dev01/display")
    assert "workshop.toml" in allowed.stdout, allowed.stdout
    denied = keyward.run("policy", "explain", "--as", "user:dev02", "publish", "dev01/status")
    assert "allow" in denied.stdout and "dev01/status" in denied.stdout, denied.stdout
