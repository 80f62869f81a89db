"""A release broker in a folder of its own, with a plain listener on the loopback interface and one user who may all below k/."""

import contextlib
import json
import os
import pathlib
import random
import subprocess
import tempfile
import time

import wire

PATIENCE = 30.0
RULES = '[[rule]]\nwho = "user:load"\nallow = ["publish", "subscribe"]\ntopics = ["k/#"]\n'
CONFIG = """
[[listener]]
name = "plain"
address = "127.0.0.1"
port = {port}
tls = false

[limits]
queue_messages = 1000000
queue_bytes = "256 MB"
queue_messages_per_identity = 4000000
queue_bytes_per_identity = "1 GB"
connections_per_identity = 1000

[store]
durability = "{durability}"
{store}
"""


class Broker:
    def __init__(self, program, folder, durability, log=None, under=(), store=""):
        """Its directory is made in `folder`; `under` are the words before its command line, such as those of a tracer; `store`
        are more lines of that section of its configuration."""
        self.program, self.under, self.dir = program, under, folder / "keyward"
        self.log = open(log or folder / "log", "a+")
        self.port = random.randrange(20_000, 32_000)
        (self.dir / "policy.d").mkdir(mode=0o700, parents=True)
        self.dir.chmod(0o700)
        (self.dir / "keyward.toml").write_text(CONFIG.format(port=self.port, durability=durability, store=store))
        (self.dir / "policy.d" / "load.toml").write_text(RULES)
        for path in (folder, self.dir, *self.dir.rglob("*")):
            sync(path)
        self.start()
        made = self.run("--json", "user", "add", "load")
        assert made.returncode == 0, made.stdout + made.stderr
        self.password = find_password(json.loads(made.stdout))

    def run(self, *words):
        """Runs a command of the operator's."""
        return subprocess.run([self.program, "--dir", self.dir, *words], capture_output=True, text=True, timeout=PATIENCE)

    def start(self):
        begun = time.monotonic()
        self.process = subprocess.Popen([*self.under, self.program, "--dir", self.dir, "up"], stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log)
        while True:
            try:
                wire.Link(self.port).close()
                return time.monotonic() - begun
            except OSError:
                assert self.process.poll() is None, "the broker ended:\n" + self.said()
                assert time.monotonic() < begun + PATIENCE, "the broker does not listen:\n" + self.said()
                time.sleep(0.005)  # between two looks

    def kill(self):
        """Kills it, and gives the moment of the signal."""
        self.process.kill()
        moment = time.monotonic()
        self.process.wait()
        return moment

    def said(self):
        """Gives the end of its log, to be shown."""
        return self.whole_log()[-4000:]

    def whole_log(self):
        self.log.flush()
        return pathlib.Path(self.log.name).read_text()


@contextlib.contextmanager
def running_broker(program, under=()):
    """Runs one that syncs in a folder that goes with it, and kills it at the end."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o700)
        broker = Broker(program, pathlib.Path(folder), "synced", under=under)
        try:
            yield broker
        finally:
            broker.kill()


def sync(path):
    """What the operator wrote is on disk before the broker starts; the power may be cut from then on."""
    file = os.open(path, os.O_RDONLY)
    os.fsync(file)
    os.close(file)


def find_password(made):
    if isinstance(made, dict):
        for key, value in made.items():
            if key == "password" and isinstance(value, str):
                return value
            found = find_password(value)
            if found:
                return found
    return None
