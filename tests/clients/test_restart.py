"""What clients that nobody of Keyward wrote find again after the broker was killed, or stopped, and started again."""

from conftest import Client

RULES = """
[[rule]]
who = "users"
allow = ["publish", "subscribe"]
topics = ["house/#"]
"""


def house(keyward):
    keyward.rules("house", RULES)
    return keyward.user("reader"), keyward.user("writer")


def test_what_waits_for_somebody_absent_is_there_after_a_kill(keyward):
    reader, writer = house(keyward)
    away = Client(reader, expiry=3600).connect()
    assert away.subscribe("house/#") == [1]
    away.close()
    source = Client(writer).connect()
    for number in range(20):
        assert source.publish("house/count", str(number)) == 0
    keyward.kill()
    keyward.start()
    back = Client(reader, clean=False, expiry=3600).connect()
    assert back.flags.session_present
    assert [back.receive() for _ in range(20)] == [("house/count", str(number)) for number in range(20)]
    back.close()
    source.close()


def test_sessions_of_3_1_1_and_their_subscriptions_are_there_after_a_stop(keyward):
    reader, writer = house(keyward)
    Client(reader, version=4, clean=False).connect().subscribe("house/#", qos=2)
    keyward.stop()
    keyward.start()
    back = Client(reader, version=4, clean=False).connect()
    assert back.flags.session_present
    source = Client(writer).connect()
    assert source.publish("house/lamp", "on", qos=2) == 0
    assert back.receive() == ("house/lamp", "on")
    back.close()
    source.close()


def test_retained_messages_are_there_and_what_was_cleared_is_not(keyward):
    reader, writer = house(keyward)
    source = Client(writer).connect()
    source.publish("house/lamp", "on", qos=1, retain=True)
    source.publish("house/door", "open", qos=1, retain=True)
    source.publish("house/door", "", qos=1, retain=True)
    keyward.kill()
    keyward.start()
    fresh = Client(reader).connect()
    fresh.subscribe("house/#")
    assert fresh.receive() == ("house/lamp", "on")
    again = Client(writer, client_id="marker").connect()
    again.publish("house/marker", "x")
    assert fresh.heard_nothing_before("house/marker") == []
    fresh.close()
    again.close()
    source.close()


def test_another_number_of_shards_finds_everything(keyward):
    reader, writer = house(keyward)
    names = [f"away-{number}" for number in range(6)]
    restart_with_shards(keyward, 2)
    for name in names:
        away = Client(reader, client_id=name, expiry=3600).connect()
        assert away.subscribe("house/#") == [1]
        away.close()
    source = Client(writer).connect()
    source.publish("house/lamp", "on", retain=True)
    for number in range(9):
        source.publish("house/count", str(number))
    for shards, part in ((1, names[:3]), (3, names[3:])):
        restart_with_shards(keyward, shards)
        for name in part:
            back = Client(reader, client_id=name, clean=False, expiry=3600).connect()
            assert back.flags.session_present, f"{name} with {shards} shards"
            expected = [("house/lamp", "on")] + [("house/count", str(number)) for number in range(9)]
            assert [back.receive() for _ in expected] == expected, f"{name} with {shards} shards"
            back.close()
        fresh = Client(reader, client_id="fresh").connect()
        fresh.subscribe("house/lamp")
        assert fresh.receive() == ("house/lamp", "on")
        fresh.close()
    source.close()


def restart_with_shards(keyward, shards):
    keyward.kill()
    (keyward.dir / "keyward.toml").write_text(f"[server]\nshards = {shards}\n")
    keyward.start()


def test_a_damaged_store_is_set_aside_and_named_and_logins_go_on(keyward):
    reader, writer = house(keyward)
    Client(reader, expiry=3600).connect().subscribe("house/#")
    keyward.stop()
    journals = sorted((keyward.dir / "messages").rglob("*.jnl")) or [
        path for path in (keyward.dir / "messages").rglob("*") if path.is_file() and path.name not in ("LOCK", "FORMAT", "SYNCED")
    ]
    for path in journals:
        data = bytearray(path.read_bytes())
        for place in range(0, min(len(data), 4096)):
            data[place] ^= 0xA5
        path.write_bytes(bytes(data))
    keyward.start()
    aside = [path.name for path in keyward.dir.iterdir() if path.name.startswith("messages.damaged-")]
    assert len(aside) == 1 and aside[0] in keyward.said(), keyward.said()
    assert any(aside[0] in warning for warning in keyward.json("status")["status"]["warnings"])
    back = Client(reader, clean=False, expiry=3600).connect()
    assert not back.flags.session_present, "its session was in the damaged store"
    back.close()


def test_a_store_of_a_newer_program_is_refused_and_nothing_is_touched(keyward):
    keyward.stop()
    (keyward.dir / "messages" / "FORMAT").write_text("keyward messages 99\nwritten by keyward 9.9.9\n")
    done = keyward.run("up", "--port", str(keyward.port), check=False)
    assert done.returncode != 0 and "9.9.9" in done.stdout + done.stderr, done.stdout + done.stderr
    assert not [path for path in keyward.dir.iterdir() if "damaged" in path.name]
