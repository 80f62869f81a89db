"""The guide docs/restore.md, followed: a host is lost, another one takes its place, and devices notice nothing but a pause. Who was
shut out stays shut out. Also: the age tool and tar open what Keyward wrote."""

import json
import os
import shutil
import subprocess

import pytest
from conftest import BIN, Client

RULES = """
[[rule]]
who = "users"
allow = ["publish", "subscribe"]
topics = ["house/#"]
[[rule]]
who = "devices"
allow = ["publish", "subscribe"]
topics = ["house/#"]
"""


@pytest.fixture
def passphrase(keyward):
    path = keyward.folder / "passphrase"
    path.touch(0o600)
    path.write_text("a backup that nobody guesses\n")
    return ["--backup-passphrase-file", str(path)]


def backup(keyward, *options):
    path = keyward.folder / f"backup-{len(list(keyward.folder.glob('backup-*')))}"
    keyward.run("store", "backup", str(path), *options)
    return path


def burn(keyward):
    """The host is gone with all its disks; another one has its name and its port."""
    keyward.kill()
    shutil.rmtree(keyward.dir)


def is_let_in(who, **options):
    client = Client(who, **options).connect()
    client.paho.loop_stop()
    client.paho.disconnect()
    return client.code.value == 0


def test_another_host_takes_over_and_no_device_is_touched(keyward, passphrase):
    keyward.rules("house", RULES)
    lamp, thief = keyward.device("lamp"), keyward.device("thief")
    writer = keyward.user("writer")
    away = Client(lamp, expiry=3600).connect()
    away.subscribe("house/lamp")
    away.close()
    source = Client(writer).connect()
    assert source.publish("house/lamp", "on") == 0
    assert source.publish("house/door", "open", retain=True) == 0
    source.close()
    file = backup(keyward, "--with-keys", *passphrase)
    keyward.run("device", "revoke", "thief")
    revoked = keyward.folder / "revoked.txt"
    revoked.write_text(keyward.run("store", "revoked").stdout)
    burn(keyward)

    told = keyward.run("store", "restore", str(file), "--revoked", str(revoked), *passphrase).stdout
    assert "1 revoked" in told and "Not known" in told, told
    keyward.start()
    assert not is_let_in(thief), "revoked after the backup, as the list says"
    # Nothing was taken away between the list and the fire, says the operator.
    keyward.run("store", "confirm", "--all")

    back = Client(lamp, clean=False, expiry=3600).connect()
    assert back.code.value == 0 and back.flags.session_present, "its old bundle opens the new host"
    assert back.receive() == ("house/lamp", "on")
    back.subscribe("house/door")
    assert back.receive() == ("house/door", "open")
    assert not is_let_in(thief), "revoked after the backup"
    again = Client(writer).connect()
    assert again.code.value == 0, "its password is known"
    assert again.publish("house/lamp", "off") == 0
    assert back.receive() == ("house/lamp", "off")
    again.close()
    back.close()
    assert keyward.run("store", "check").returncode == 0


def test_without_a_list_nobody_is_let_in_until_somebody_vouches(keyward, passphrase):
    keyward.rules("house", RULES)
    lamp, thief = keyward.device("lamp"), keyward.device("thief")
    file = backup(keyward, "--with-keys", *passphrase)
    keyward.run("device", "revoke", "thief")
    burn(keyward)
    told = keyward.run("store", "restore", str(file), *passphrase).stdout
    assert "Not known" in told and "store confirm" in told, told
    keyward.start()
    assert not is_let_in(lamp) and not is_let_in(thief)
    keyward.run("device", "revoke", "thief")
    keyward.run("store", "confirm", "--all")
    assert is_let_in(lamp) and not is_let_in(thief)


def test_what_was_revoked_after_a_backup_stays_revoked_on_the_same_host(keyward, passphrase):
    lamp, thief = keyward.device("lamp"), keyward.device("thief")
    assert is_let_in(thief)
    file = backup(keyward, *passphrase)
    keyward.run("device", "revoke", "thief")
    keyward.stop()
    keyward.run("store", "restore", str(file), *passphrase)
    keyward.start()
    assert not is_let_in(thief), "back up, revoke, restore, connect: refused"
    assert is_let_in(lamp), "the other one is as it was"


def test_a_damaged_ledger_stops_the_start_and_a_backup_mends_it(keyward, passphrase):
    lamp, thief = keyward.device("lamp"), keyward.device("thief")
    file = backup(keyward, *passphrase)
    keyward.run("device", "revoke", "thief")
    keyward.stop()
    for name in ("a.log", "b.log"):
        path = keyward.dir / "ledger" / name
        data = bytearray(path.read_bytes())
        data[600:640] = bytes(40)
        path.write_bytes(bytes(data))
    done = keyward.run("up", "--port", str(keyward.port), check=False)
    assert done.returncode == 1 and "damaged" in done.stderr, done.stderr
    assert keyward.run("store", "check", check=False).returncode == 1
    keyward.run("store", "restore", str(file), *passphrase)
    keyward.start()
    assert not is_let_in(thief), "what the damaged ledger still says is heeded"
    kept = [path for path in keyward.dir.iterdir() if path.name.startswith("replaced-")]
    assert len(kept) == 1 and (kept[0] / "ledger" / "a.log").exists(), "nothing is deleted"


def test_a_damaged_message_store_is_named_with_the_command_that_brings_it_back(keyward, passphrase):
    keyward.rules("house", RULES)
    lamp, writer = keyward.device("lamp"), keyward.user("writer")
    away = Client(lamp, expiry=3600).connect()
    away.subscribe("house/lamp")
    away.close()
    source = Client(writer).connect()
    assert source.publish("house/lamp", "on") == 0
    source.close()
    keyward.run("store", "backup", *passphrase)
    (newest,) = (keyward.dir / "backups").iterdir()
    assert oct(newest.stat().st_mode & 0o777) == "0o600"
    keyward.stop()
    (keyward.dir / "messages" / "SYNCED").write_bytes(b"x" * 5000)
    keyward.start()
    command = f"keyward store restore --messages {newest}"
    assert command in keyward.said(), keyward.said()
    assert any(command in warning for warning in keyward.json("status")["status"]["warnings"])
    done = keyward.run("store", "restore", "--messages", str(newest), *passphrase, check=False)
    assert done.returncode == 1 and "stop it" in done.stderr, "not while it runs"
    keyward.stop()
    keyward.run("store", "restore", "--messages", str(newest), *passphrase)
    keyward.start()
    back = Client(lamp, clean=False, expiry=3600).connect()
    assert back.flags.session_present and back.receive() == ("house/lamp", "on")
    back.close()


def test_keys_that_are_not_in_the_backup_are_named_and_brought(keyward, passphrase):
    lamp = keyward.device("lamp")
    file = backup(keyward, *passphrase)
    keyward.stop()
    keys = keyward.folder / "safe"
    shutil.copytree(keyward.dir / "keys", keys)
    shutil.rmtree(keyward.dir)
    told = keyward.run("store", "restore", str(file), *passphrase).stdout
    assert "server-issuing.key" in told and "--with-keys" in told, told
    done = keyward.run("up", "--port", str(keyward.port), check=False)
    assert done.returncode == 1, "it does not start without keys"
    for path in keys.iterdir():
        shutil.copy(path, keyward.dir / "keys" / path.name)
    keyward.start()
    keyward.run("store", "confirm", "--all")
    assert is_let_in(lamp)


def test_bad_files_change_nothing(keyward, passphrase):
    keyward.device("lamp")
    good = backup(keyward, *passphrase)
    wrong = keyward.folder / "wrong"
    wrong.touch(0o600)
    wrong.write_text("another passphrase\n")
    plain = backup(keyward, "--plain")
    other = keyward.folder / "other"
    subprocess.run([BIN, "--dir", str(other), "store", "restore", "--plain", str(plain)], check=True, capture_output=True)
    keyward.stop()

    def state():
        return {str(path): path.stat().st_mtime_ns for path in keyward.dir.rglob("*") if path.name != "lock"}

    def cut(path, keep):
        short = keyward.folder / f"cut-{path.name}-{keep}"
        short.write_bytes(path.read_bytes()[:keep])
        return short

    def flipped(path, at):
        damaged = keyward.folder / f"flipped-{path.name}-{at}"
        data = bytearray(path.read_bytes())
        data[at] ^= 4
        damaged.write_bytes(bytes(data))
        return damaged

    before = state()
    for file, options, why in [
        (good, ["--backup-passphrase-file", str(wrong)], "passphrase does not open"),
        (good, [], "passphrase"),
        (cut(good, good.stat().st_size - 1), passphrase, "cut off"),
        (flipped(good, good.stat().st_size // 2), passphrase, "damaged"),
        (plain, [], "is not encrypted"),
        (plain, passphrase, "is not encrypted"),
        (cut(plain, plain.stat().st_size // 2 // 512 * 512), ["--plain"], "cut off"),
        (flipped(plain, 1200), ["--plain"], "no backup that Keyward wrote"),
        (flipped(plain, 2000), ["--plain"], "damaged"),
        (keyward.dir / "keyward.toml", ["--plain"], "no backup that Keyward wrote"),
    ]:
        done = keyward.run("store", "restore", str(file), *options, check=False)
        assert done.returncode == 1 and why in done.stderr, (file.name, why, done.stderr)
        assert state() == before, f"{file.name} changed something"


def test_a_backup_of_another_installation_is_refused_here(keyward, tmp_path):
    keyward.stop()
    other = keyward.folder / "other"
    first = subprocess.Popen(
        [BIN, "--dir", str(other), "up", "--port", str(keyward.port)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    keyward.process = first
    keyward.until(keyward.listens, "the other broker listens")
    file = keyward.folder / "foreign"
    subprocess.run([BIN, "--dir", str(other), "store", "backup", "--plain", str(file)], check=True, capture_output=True)
    first.terminate()
    first.wait()
    for options in ([], ["--messages"]):
        done = keyward.run("store", "restore", "--plain", str(file), *options, check=False)
        assert done.returncode == 1 and "installation" in done.stderr, done.stderr
    keyward.start()


@pytest.mark.skipif(not shutil.which("age"), reason="the age tool is not here")
def test_age_and_tar_open_what_keyward_wrote(keyward):
    key = keyward.folder / "key.txt"
    subprocess.run(["age-keygen", "-o", str(key)], check=True, capture_output=True)
    os.chmod(key, 0o600)
    public = subprocess.run(["age-keygen", "-y", str(key)], check=True, capture_output=True, text=True).stdout.strip()
    file = backup(keyward, "--to", public)
    opened = subprocess.run(["age", "--decrypt", "-i", str(key), str(file)], check=True, capture_output=True).stdout
    names = subprocess.run(["tar", "--list"], input=opened, check=True, capture_output=True).stdout.decode().split()
    assert names[0] == "manifest.json" and names[-1] == "contents.json" and "ledger.log" in names, names
    assert not [name for name in names if name.endswith(".key")], "no private key unless it is asked for"
    told = keyward.json("store", "list", str(file), "--age-key", str(key))["backup"]
    assert [content["name"] for content in told["contents"]] == [name for name in names[:-1] if "messages/" not in name]
    manifest = subprocess.run(["tar", "-xO", "manifest.json"], input=opened, check=True, capture_output=True).stdout
    assert json.loads(manifest)["format"] == 1
