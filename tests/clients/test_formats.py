"""A newer Keyward opens what an older one left, as files: the ledger, keys, sessions and messages of one installation.

Each release that changes a format leaves its own in tests/fixtures, made by a release binary:

    KEYWARD_BIN=target/release/keyward .venv/bin/python -m pytest tests/clients/test_formats.py --leave keyward-0.1.0

It is left by `kill -9`, so that it holds journals which were not closed. The keys in it were made for this and guard nothing.
"""

import pathlib
import tarfile

import pytest
from conftest import Client, Keyward, Login
from test_signed_messages import Device

FIXTURES = pathlib.Path(__file__).parents[1] / "fixtures"
PASSWORD = "correct horse battery"
RULES = """
[[rule]]
who = "users"
allow = ["publish", "subscribe", "share"]
topics = ["house/#"]
"""
SIGNED = """
[[signed]]
who = "devices"
topics = ["{id}/signed"]
check = "require"
"""
WAITING = [("house/count", str(number)) for number in range(5)]


@pytest.fixture
def stopped(tmp_path):
    """A Keyward that does not run yet."""
    tmp_path.chmod(0o700)
    broker = Keyward(tmp_path)
    yield broker
    broker.stop()


def leave(keyward):
    """Leaves something of each kind: accounts, one of them revoked; a session with messages, a group, a retained message."""
    keyward.start()
    keyward.rules("house", RULES)
    reader, writer = keyward.user("reader", PASSWORD), keyward.user("writer", PASSWORD)
    pump = Device(keyward, "pump-1")
    keyward.rules("signed", SIGNED)
    keyward.device("lost-1")
    keyward.run("device", "revoke", "lost-1")
    away = Client(reader, client_id="away", expiry=0xFFFFFFFF).connect()
    assert away.subscribe("house/count") == [1] and away.subscribe("$share/jobs/house/work") == [1]
    away.close()
    source = Client(writer).connect()
    source.publish("house/lamp", "on", retain=True)
    for topic, payload in WAITING:
        source.publish(topic, payload)
    source.publish("house/work", "dig", qos=2)
    meter = Client(pump.bundle).connect()
    assert meter.publish("pump-1/signed", pump.sealed("pump-1/signed", 7, "open")) == 0
    keyward.kill()
    source.close()
    meter.close()


def test_an_installation_is_left(stopped, request):
    name = request.config.getoption("--leave")
    if not name:
        pytest.skip("only with --leave")
    leave(stopped)
    (stopped.dir / "control.sock").unlink(missing_ok=True)
    with tarfile.open(FIXTURES / f"{name}.tar.xz", "w:xz") as archive:
        archive.add(stopped.dir, "keyward")


@pytest.mark.parametrize("archive", sorted(FIXTURES.glob("*.tar.xz")), ids=lambda path: path.name.removesuffix(".tar.xz"))
def test_what_an_older_release_left_is_opened_with_all_that_is_in_it(stopped, archive):
    with tarfile.open(archive) as content:
        content.extractall(stopped.folder, filter="tar")
    stopped.start()
    reader = Login("reader", PASSWORD, stopped)
    standing = {row["id"]: row["standing"] for row in stopped.json("device", "list")["devices"]}
    assert standing == {"pump-1": "active", "lost-1": "revoked"}
    # Message keys, and with record format 2 the numbers under them, came after the first archive.
    keys = stopped.json("keys", "list")["message_keys"]
    assert [row["device"] for row in keys] == ([] if archive.name == "keyward-0.1.0.tar.xz" else ["pump-1"])
    back = Client(reader, client_id="away", clean=False, expiry=3600).connect()
    assert back.flags.session_present
    came = sorted(back.receive() for _ in range(len(WAITING) + 1))
    assert came == sorted([*WAITING, ("house/work", "dig")])
    back.close()
    fresh = Client(reader, client_id="fresh").connect()
    fresh.subscribe("house/#")
    assert fresh.receive() == ("house/lamp", "on")
    fresh.close()
    assert "damaged" not in stopped.said() and "does not read" not in stopped.said(), stopped.said()
