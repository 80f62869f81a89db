"""The vocabulary of the stories about devices: that of tests/clients, and a device that is `keyward agent`."""

import importlib.util
import json
import os
import pathlib
import socket
import subprocess
import sys
import time

import pytest

FOLDER = pathlib.Path(__file__).parents[1] / "clients"
sys.path.append(str(FOLDER))
_spec = importlib.util.spec_from_file_location("clients", FOLDER / "conftest.py")
clients = importlib.util.module_from_spec(_spec)
sys.modules["clients"] = clients
_spec.loader.exec_module(clients)

DYNAMIC = os.environ.get("KEYWARD_DYNAMIC") or str(pathlib.Path(__file__).parents[2] / "target/debug/keyward")
MODULES = ["/usr/lib/softhsm/libsofthsm2.so", "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so"]

RULES = """
[[signed]]
who = "devices"
topics = ["devices/{id}/#"]
check = "require"

[[signed]]
who = "devices"
topics = ["devices/{id}/vault/#"]
check = "require"
level = 2

[[signed]]
who = "devices"
topics = ["devices/{id}/safe/#"]
check = "require"
level = 3

[[rule]]
who = ["user:reader", "user:listener"]
allow = ["subscribe", "publish"]
topics = ["#"]
"""


class Agent:
    """A device: a folder, and the agent while it runs. `store` names where its keys are."""

    def __init__(self, keyward, name, store=None, binary=None):
        self.keyward, self.name, self.folder = keyward, name, keyward.folder / name
        self.binary = binary or clients.BIN
        self.store = store or f"file:{self.folder}/keys"
        self.config = keyward.folder / f"{name}.toml"
        self.process = None
        self.configure()

    def configure(self, more="", stdin=True):
        self.config.write_text(
            f'folder = "{self.folder}"\nkeys = "{self.store}"\nstdin = {str(stdin).lower()}\nheartbeat = "1h"\n{more}'
        )
        return self

    def invite(self, *options):
        self.uri = self.keyward.json("device", "invite", self.name, "--host", "localhost", *options)["device_invited"]["uri"]
        return self.uri

    def enrol(self, *options):
        return self.enrol_with(self.invite(*options))

    def tries_to_enrol_with(self, uri, *options):
        return subprocess.run(
            [self.binary, "agent", "enroll", "--folder", str(self.folder), "--keys", self.store, *options],
            input=uri, capture_output=True, text=True, timeout=60,
        )

    def enrol_with(self, uri, *options):
        done = self.tries_to_enrol_with(uri, *options)
        assert done.returncode == 0, done.stderr
        self.said_at_enrolment = done.stdout
        return self

    def start(self):
        self.log = open(self.keyward.folder / f"{self.name}.log", "a")
        self.process = subprocess.Popen(
            [self.binary, "agent", "run", "--config", str(self.config)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True, bufsize=1,
        )
        return self

    def say(self, line):
        self.process.stdin.write(line + "\n")
        return self.process.stdout.readline().strip()

    def report(self, topic, payload):
        answer = self.say(f"devices/{self.name}/{topic} {payload}")
        assert answer.startswith("ok "), answer
        return int(answer[3:])

    def status(self):
        return json.loads(self.say("!status"))

    def until(self, condition, what):
        self.keyward.until(lambda: condition(self.status()), f"{what}\n{self.said()}")
        return self

    def connected(self):
        return self.until(lambda status: status["connected"], "the device is connected")

    def until_away(self):
        """Waits until the device has no link, also while no broker runs."""
        deadline = time.monotonic() + clients.PATIENCE
        while self.status()["connected"]:
            assert time.monotonic() < deadline, self.said()
            clients.pause()
        return self

    def registered_keys(self):
        """The keys for messages that the ledger holds of it, as (purpose, level)."""
        rows = self.keyward.json("keys", "list", self.name)["message_keys"]
        return [(row["purpose"], row.get("level")) for row in rows]

    def said(self):
        return (self.keyward.folder / f"{self.name}.log").read_text()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            self.process.wait(clients.PATIENCE)


@pytest.fixture
def keyward(tmp_path):
    tmp_path.chmod(0o700)
    broker = clients.Keyward(tmp_path)
    broker.start()
    broker.rules("devices", RULES)
    yield broker
    broker.stop()


@pytest.fixture
def reader(keyward):
    client = clients.Client(keyward.user("reader")).connect()
    client.subscribe("devices/#")
    yield client
    client.close()


@pytest.fixture
def device(keyward):
    """Makes devices, and ends those that a story leaves running."""
    made = []

    def make(name, *args, **options):
        made.append(Agent(keyward, name, *args, **options))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def listens(place):
    """Whether somebody listens at a socket, which is there a moment before."""
    with socket.socket(socket.AF_UNIX) as way:
        return way.connect_ex(str(place)) == 0


@pytest.fixture
def chip(tmp_path):
    """Makes TPMs; each is a simulator with a memory of its own."""
    running = []

    def make(name):
        memory, place = tmp_path / f"chip-{name}", tmp_path / f"{name}.tpm"
        memory.mkdir()
        running.append(subprocess.Popen(
            ["swtpm", "socket", "--tpm2", "--tpmstate", f"dir={memory}", "--server", f"type=unixio,path={place}",
             "--flags", "not-need-init,startup-clear"],
        ))
        while not listens(place):
            assert running[-1].poll() is None, "swtpm ended"
            clients.pause()
        return place

    yield make
    for simulator in running:
        simulator.kill()
        simulator.wait()


@pytest.fixture
def dynamic():
    """A program that loads the library of a token; a static one cannot."""
    return DYNAMIC


@pytest.fixture
def token(tmp_path, monkeypatch):
    """A token of SoftHSM, and the name of keys called `device` in it."""
    module = next(path for path in MODULES if os.path.exists(path))
    folder, config, pin = tmp_path / "tokens", tmp_path / "softhsm2.conf", tmp_path / "pin"
    folder.mkdir()
    config.write_text(f"directories.tokendir = {folder}\nobjectstore.backend = file\n")
    pin.write_text("271828\n")
    pin.chmod(0o600)
    monkeypatch.setenv("SOFTHSM2_CONF", str(config))
    subprocess.run(
        ["softhsm2-util", "--init-token", "--free", "--label", "street", "--so-pin", "314159", "--pin", "271828"],
        check=True, capture_output=True,
    )
    return f"pkcs11:token=street;object=device?module-path={module}&pin-source=file:{pin}"
