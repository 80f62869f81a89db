"""The figures below $SYS, as mosquitto_sub sees them."""

import pathlib
import subprocess

import pytest

from conftest import PATIENCE, Client

TOPICS = pathlib.Path(__file__).parents[2] / "crates/server/src/sys/topics.txt"

RULES = """
[[rule]]
who = "user:dashboard"
allow = ["subscribe"]
topics = ["$SYS/#"]

[[rule]]
who = "user:app"
allow = ["publish", "subscribe"]
topics = ["#"]
"""


@pytest.fixture
def figures(keyward):
    """A broker that brings its figures up to date every second."""
    keyward.stop()
    config = keyward.dir / "keyward.toml"
    config.write_text(config.read_text().replace('# sys_interval = "10 s"', 'sys_interval = "1 s"'))
    keyward.start()
    users = keyward.user("dashboard"), keyward.user("app")
    keyward.rules("figures", RULES)
    return keyward, *users


def sub(who, topic, *options):
    return subprocess.run(
        ["mosquitto_sub", *who.mosquitto(), "-V", "5", "-t", topic, "-F", "%t|%p", *options],
        capture_output=True, text=True, timeout=2 * PATIENCE,
    )


def retained(who):
    """All figures that are there at this moment, by the topic below $SYS/broker/."""
    lines = sub(who, "$SYS/#", "--retained-only", "-W", "1").stdout.splitlines()
    return {topic.removeprefix("$SYS/broker/"): value for topic, value in (line.split("|", 1) for line in lines)}


def test_a_dashboard_reads_figures_that_are_right(figures):
    keyward, dashboard, app = figures
    client = Client(app).connect()
    assert client.subscribe("room/#") == [1]
    for number in range(5):
        client.publish("room/a", "x" * 10, retain=number == 0)
    expected = {
        "publish/messages/received": "5",
        "publish/bytes/received": "50",
        "subscriptions/count": "2",  # the dashboard's own is one of them
        "clients/connected": "2",
        "clients/disconnected": "0",
    }
    keyward.until(lambda: expected.items() <= retained(dashboard).items(), f"{expected} in {retained(dashboard)}")
    figures = retained(dashboard)
    assert figures["version"].startswith("keyward version ") and figures["uptime"].endswith(" seconds")
    # The room's, and the keys of the server that devices believe.
    assert int(figures["retained messages/count"]) == len(figures) + 2
    assert 1_000_000 < int(figures["heap/current"]) <= int(figures["heap/maximum"])
    assert int(figures["bytes/received"]) > 50 and int(figures["bytes/sent"]) > 50
    assert float(figures["load/publish/received/1min"]) > 0
    client.close()


def test_the_figures_are_those_of_the_golden_list(figures):
    keyward, dashboard, _ = figures
    golden = {topic.removeprefix("$SYS/broker/") for topic in TOPICS.read_text().splitlines()}
    keyward.until(lambda: retained(dashboard), "figures")
    assert retained(dashboard).keys() == golden


def test_what_changes_is_sent_again_and_what_does_not_is_not(figures):
    _, dashboard, _ = figures
    lines = sub(dashboard, "$SYS/broker/+", "-C", "5").stdout.splitlines()
    assert [line.split("|")[0] for line in lines].count("$SYS/broker/version") == 1
    assert len({line for line in lines if line.startswith("$SYS/broker/uptime|")}) == 4


def test_who_may_read_everything_else_may_not_read_the_figures(figures):
    _, _, app = figures
    refused = sub(app, "$SYS/#", "-W", "2")
    assert "denied" in refused.stderr and refused.stdout == ""
    assert sub(app, "#", "-W", "3").stdout == ""
