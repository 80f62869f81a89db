"""Fills the disk of a running broker, and shows that nothing is taken then that cannot be kept, and nothing lost that was.

The directory of the broker lies on a small file system in memory (tmpfs; mounting it needs root, and is passed over without). Messages for a session that is away fill it up to `store.reserve`. Then: publishers of 5.0 are refused with 0x97
and those of 3.1.1 lose their link; a new stored session and a subscription of an old one are refused; messages that are not to be kept go on. The broker is
killed, started and filled again; all that was acknowledged must come, in its order, and when it has been read there must be
room again, without a restart. Room must come and go as others use the disk, with nothing asked of the broker. Last they leave
not a byte: that may break the message store, but a device must still be revoked, the broker start, and nothing acknowledged
be lost once there is room and it is started again.

    tests/survival/full.py --bin target/release/keyward
"""

import argparse
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time

import wire
from broker import PATIENCE, Broker
from clients import Client

QUOTA_EXCEEDED = 0x97
FULL, OPEN = "the disk is full", "there is room on disk again"
FILLING = b"x" * 16_000


class Full:
    """A broker on a small file system, and a publisher who knows what was acknowledged."""

    def __init__(self, program, folder, megabytes, reserve):
        self.folder, self.disk = folder, folder / "disk"
        self.disk.mkdir(mode=0o700)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={megabytes}m,mode=0700", "tmpfs", self.disk])
        if mounted.returncode:
            print("passed over: a file system cannot be mounted here")
            sys.exit(0 if os.geteuid() else 1)
        self.size, self.reserve = megabytes << 20, reserve << 20
        self.broker, self.acknowledged, self.sent = None, [], 0
        try:
            self.broker = Broker(program, self.disk, "synced", log=folder / "log", store=f'reserve = "{reserve} MiB"')
        except BaseException:
            self.close()
            raise

    def close(self):
        if self.broker:
            self.broker.kill()
        subprocess.run(["umount", self.disk], check=True)

    def enter(self, name, clean=True, version=5):
        """Connects, and gives the link and the code of the answer."""
        link = wire.Link(self.broker.port)
        link.send(wire.connect(name, "load", self.broker.password, clean, version))
        return link, expect(link, wire.CONNACK)[1]

    def publish(self, link, qos=1, retain=False):
        """Publishes the next numbered message for the reader who is away, and gives the code of the answer."""
        self.sent += 1
        payload = f"{self.sent:08} ".encode() + FILLING
        link.send(wire.publish("k/kept", payload, qos, self.sent % 60_000 + 1, retain=retain, version=5))
        body = expect(link, wire.PUBACK if qos == 1 else wire.PUBREC)
        code = body[2] if len(body) > 2 else 0
        if code < 0x80:
            self.acknowledged.append(self.sent)
        return code

    def fill(self, link):
        """Publishes until the broker takes nothing more."""
        while self.publish(link) != QUOTA_EXCEEDED:
            assert self.sent * len(FILLING) < 2 * self.size, "more was taken than there is room for"

    def change_devices(self):
        """Changes one device again and again, more than fits into what its last page on disk has left, and revokes another."""
        for change in [*("disable", "enable") * 20]:
            self.expect_done("device", change, "other")
        self.expect_done("device", "revoke", "last")

    def expect_done(self, *words):
        done = self.broker.run(*words)
        assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"

    def said(self, what):
        """How often the log has said something."""
        return (self.folder / "log").read_text().count(what)

    def await_said(self, what, times):
        """Waits until the log has said something so often."""
        deadline = time.monotonic() + PATIENCE
        while self.said(what) < times:
            assert time.monotonic() < deadline, f"not said {times} times: {what}"
            time.sleep(0.02)  # between two looks

    def free(self):
        now = os.statvfs(self.disk)
        return now.f_bavail * now.f_frsize


def expect(link, kind):
    found = link.receive(PATIENCE)
    assert found and found[0] == kind, f"{found} instead of a packet of type {kind}"
    return found[2]


def is_refused(full, link, settled):
    """What would have to be kept is refused, in all versions, and what would not goes on."""
    assert full.publish(link) == full.publish(link, qos=2) == QUOTA_EXCEEDED
    older, _ = full.enter("older", version=4)
    older.send(wire.publish("k/kept", b"of 3.1.1", 1, 1))
    try:
        found = older.receive(PATIENCE)
        raise AssertionError(f"a publisher of 3.1.1 got {found} and kept its link")
    except ConnectionError:
        pass
    settled.send(wire.subscribe(2, "k/more", 1, version=5))
    assert expect(settled, wire.SUBACK)[-1] == QUOTA_EXCEEDED
    _, code = full.enter("newcomer", clean=False)
    assert code == QUOTA_EXCEEDED, f"a new stored session got {code:#x}"
    passing, _ = full.enter("passing")
    passing.send(wire.subscribe(1, "k/now", 1, version=5))
    assert expect(passing, wire.SUBACK)[-1] == 1
    for qos in (0, 1):
        link.send(wire.publish("k/now", b"now", qos, 1, version=5))
        assert b"now" in expect(passing, wire.PUBLISH)
        if qos:
            expect(link, wire.PUBACK)


def take_all(full):
    """Reads as the session that was away, until all came that was acknowledged, and gives how many messages those were."""
    away = Client(full.broker, "away")
    assert away.connect(), "the session that was away is gone"
    came = []
    while len(came) < len(full.acknowledged):
        kind, flags, body = away.link.receive(PATIENCE) or (None, 0, b"")
        assert kind == wire.PUBLISH, f"of {len(full.acknowledged)} messages {len(came)} came"
        _, payload, qos, number, _ = wire.parse_publish(flags, body)
        came.append(int(payload[:8]))
        away.link.send(wire.ack(wire.PUBACK, number))
    assert came == full.acknowledged, "not what was acknowledged, or not in its order"
    away.link.close()
    full.acknowledged.clear()
    return len(came)


def await_room(full, link):
    """Publishes again and again until it is taken, and gives how many seconds that took."""
    begun = time.monotonic()
    while full.publish(link) == QUOTA_EXCEEDED:
        assert time.monotonic() < begun + PATIENCE, f"no room again, {full.free()} bytes are free:\n{full.broker.said()}"
        time.sleep(0.02)  # between two attempts
    return time.monotonic() - begun


def run(full):
    away, _ = full.enter("away", clean=False, version=4)
    away.send(wire.subscribe(1, "k/kept", 1))
    expect(away, wire.SUBACK)
    away.close()
    for name in ("last", "other"):
        full.expect_done("device", "add", name, "--out", full.disk / name)
    filler, settled = full.enter("filler")[0], full.enter("settled", clean=False)[0]
    full.fill(filler)
    print(f"full after {len(full.acknowledged)} messages; {full.free() >> 20} MiB are free for what was taken")
    is_refused(full, filler, settled)
    full.broker.kill()
    full.broker.start()
    filler, _ = full.enter("filler")
    full.fill(filler)
    came = take_all(full)
    print(f"killed, filled again, and read: {came} came in their order; {await_room(full, filler):.1f} s later there was room")
    room_comes_and_goes_by_others(full, filler)
    without_a_byte(full)
    revoked = full.broker.run("device", "list").stdout
    assert re.search("^last +revoked", revoked, re.MULTILINE), revoked
    take_all(full)
    assert full.said(FULL) and full.said(OPEN), full.broker.said()


def room_comes_and_goes_by_others(full, filler):
    """Somebody else takes half of the reserve and gives it back; nobody has the broker store or delete anything."""
    before = full.said(FULL)
    ballast = fill_up(full, leaving=full.reserve // 2)
    full.await_said(FULL, before + 1)
    assert full.publish(filler) == QUOTA_EXCEEDED
    ballast.unlink()
    print(f"somebody else took half of the reserve; {await_room(full, filler):.1f} s after giving it back there was room")


def without_a_byte(full):
    """Somebody else fills the disk to its last byte. The store may break of it; whose rights end, ends all the same."""
    ballast = fill_up(full, leaving=0)
    full.change_devices()
    full.broker.kill()
    full.broker.start()
    ballast.unlink()
    full.broker.kill()
    full.broker.start()
    print("not a byte was left: a device was revoked, and the broker started")


def fill_up(full, leaving):
    """Is somebody else who writes until no more than this is left."""
    ballast = full.disk / "ballast"
    with open(ballast, "wb", buffering=0) as file:
        for size in (1 << 20, 1):
            try:
                while full.free() >= leaving + size:
                    file.write(bytes(size))
            except OSError:
                pass
    return ballast


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--bin", default="target/release/keyward")
    parser.add_argument("--size", type=int, default=80, help="of the file system, in MiB")
    parser.add_argument("--reserve", type=int, default=16, help="in MiB")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        full = Full(pathlib.Path(options.bin).resolve(), pathlib.Path(folder), options.size, options.reserve)
        try:
            run(full)
        finally:
            full.close()


if __name__ == "__main__":
    sys.exit(main())
