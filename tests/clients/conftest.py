"""The vocabulary of the stories: a Keyward that runs for one test, its devices and users, and clients that nobody of
Keyward wrote (paho, mosquitto_pub, mosquitto_sub, openssl)."""

import json
import os
import pathlib
import queue
import random
import socket
import ssl
import subprocess
import time

import paho.mqtt.client as paho
import pytest
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

BIN = os.environ.get("KEYWARD_BIN", str(pathlib.Path(__file__).parents[2] / "target/release/keyward"))
PATIENCE = 30.0  # seconds until a story gives up waiting for an effect


def free_port():
    """A port that nobody listens on, below those that the system gives to outgoing connections: one of these could be
    taken by another story's client before the broker is up."""
    while True:
        port = random.randrange(20_000, 32_000)
        try:
            with socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True):
                return port
        except OSError:
            continue


class Keyward:
    """One installation in one directory, started and stopped by the story."""

    inside = ()  # words before the broker's, which run it elsewhere than here

    def __init__(self, folder):
        self.dir = folder / "keyward"
        self.folder = folder
        self.port = free_port()
        self.process = None
        self.ca = self.dir / "ca.pem"

    def run(self, *args, stdin="", check=True):
        done = subprocess.run(
            [BIN, "--dir", str(self.dir), *args], input=stdin, capture_output=True, text=True, timeout=60
        )
        if check:
            assert done.returncode == 0, f"keyward {' '.join(args)}: {done.stdout}{done.stderr}"
        return done

    def json(self, *args, **options):
        return json.loads(self.run("--json", *args, **options).stdout)

    def start(self, *options):
        self.log = open(self.folder / "log", "a")
        self.process = subprocess.Popen(
            [*self.inside, BIN, "--dir", str(self.dir), "up", "--port", str(self.port), *options],
            stdin=subprocess.DEVNULL, stdout=self.log, stderr=self.log,
        )
        self.until(lambda: self.run("status", check=False).returncode == 0 and self.listens(), "the broker answers")
        return self

    def listens(self):
        try:
            socket.create_connection(("127.0.0.1", self.port), 1).close()
            return True
        except OSError:
            return False

    def until(self, condition, what):
        deadline = time.monotonic() + PATIENCE
        while not condition():
            assert self.process.poll() is None, f"the broker ended: {self.said()}"
            assert time.monotonic() < deadline, f"in {PATIENCE} s not seen: {what}\n{self.said()}"
            pause()

    def said(self):
        return (self.folder / "log").read_text()

    def kill(self):
        self.process.kill()
        self.process.wait()

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.kill()
                raise

    def device(self, name, *options):
        out = self.folder / name
        self.run("device", "add", name, "--out", str(out), *options)
        return Bundle(out, self)

    def user(self, name, password="correct horse battery", options=()):
        self.run("user", "add", name, "--password-stdin", *options, stdin=password + "\n")
        return Login(name, password, self)

    def web(self, *options):
        """Opens a WebSocket listener and returns its port."""
        port = free_port()
        self.run("listener", "add", f"web-{port}", "--websocket", "--port", str(port), *options)
        return port

    def rules(self, name, text):
        path = self.dir / "policy.d" / f"{name}.toml"
        path.write_text(text)
        return self.run("reload")


def pause():
    """A short pause between two looks at a condition; never a wait for an effect by itself."""
    time.sleep(0.02)


class Bundle:
    """What `device add` wrote: a certificate identity."""

    def __init__(self, folder, keyward):
        self.ca, self.cert, self.key = (str(folder / name) for name in ("ca.pem", "cert.pem", "key.pem"))
        self.name, self.keyward = folder.name, keyward

    def tls(self):
        context = ssl.create_default_context(cafile=self.ca)
        context.load_cert_chain(self.cert, self.key)
        return context

    def mosquitto(self):
        return ["-h", "localhost", "-p", str(self.keyward.port), "--cafile", self.ca, "--cert", self.cert, "--key", self.key]

    def login(self, client):
        pass


class Login:
    """A user name and a password."""

    def __init__(self, name, password, keyward):
        self.name, self.password, self.keyward = name, password, keyward
        self.ca = str(keyward.ca)

    def tls(self):
        return ssl.create_default_context(cafile=self.ca)

    def mosquitto(self):
        return ["-h", "localhost", "-p", str(self.keyward.port), "--cafile", self.ca, "-u", self.name, "-P", self.password]

    def login(self, client):
        client.username_pw_set(self.name, self.password)


class Client:
    """A paho client whose callbacks end in queues, so that a story reads from top to bottom."""

    def __init__(
        self, who, version=5, client_id=None, clean=True, expiry=0, will=None, aliases=None, way="mqtts", at=None,
        returns=True,
    ):  # fmt: skip
        """`way` is mqtts, ws, wss or unix; `at` is a port, or the path of a socket; `returns`: it connects again."""
        self.version, self.who, self.aliases = version, who, aliases
        self.way, self.at = way, at or who.keyward.port
        v5 = version == 5
        protocol = {3: paho.MQTTv31, 4: paho.MQTTv311, 5: paho.MQTTv5}[version]
        options = {"reconnect_on_failure": returns} | ({} if v5 else {"clean_session": clean})
        self.paho = paho.Client(
            paho.CallbackAPIVersion.VERSION2, client_id=client_id or f"paho-{who.name}", protocol=protocol,
            transport={"ws": "websockets", "wss": "websockets", "unix": "unix"}.get(way, "tcp"), **options
        )  # fmt: skip
        if way in ("mqtts", "wss"):
            self.paho.tls_set_context(who.tls())
        who.login(self.paho)
        if will:
            self.paho.will_set(*will)
        self.messages, self.connected, self.closed = queue.Queue(), queue.Queue(), queue.Queue()
        self.published, self.subscribed = queue.Queue(), queue.Queue()
        self.paho.on_connect = lambda c, u, flags, code, props: self.connected.put((code, flags, props))
        self.paho.on_disconnect = lambda c, u, flags, code, props: self.closed.put((code, time.monotonic()))
        self.paho.on_message = lambda c, u, message: self.messages.put(message)
        self.paho.on_publish = lambda c, u, mid, code, props: self.published.put((mid, code))
        self.paho.on_subscribe = lambda c, u, mid, codes, props: self.subscribed.put(codes)
        self.clean, self.expiry = clean, expiry

    def connect(self):
        options = {}
        if self.version == 5:
            properties = Properties(PacketTypes.CONNECT)
            properties.SessionExpiryInterval = self.expiry
            if self.aliases is not None:
                properties.TopicAliasMaximum = self.aliases
            options = {"clean_start": self.clean, "properties": properties}
        place = (str(self.at), 1) if self.way == "unix" else ("127.0.0.1" if self.way == "ws" else "localhost", self.at)
        self.paho.connect(*place, keepalive=30, **options)
        self.paho.loop_start()
        code, self.flags, self.offer = self.connected.get(timeout=PATIENCE)
        self.code = code
        return self

    def subscribe(self, *filters, qos=1):
        self.paho.subscribe([(f, qos) for f in filters])
        return [code.value for code in self.subscribed.get(timeout=PATIENCE)]

    def publish(self, topic, payload, qos=1, retain=False, properties=None):
        info = self.paho.publish(topic, payload, qos, retain, properties)
        while True:
            mid, code = self.published.get(timeout=PATIENCE)
            if mid == info.mid:
                return code.value

    def receive(self):
        message = self.messages.get(timeout=PATIENCE)
        return message.topic, message.payload.decode()

    def heard_nothing_before(self, marker_topic):
        """Everything that arrived before the marker on the same link; empty if nothing did."""
        seen = []
        while True:
            topic, payload = self.receive()
            if topic == marker_topic:
                return seen
            seen.append((topic, payload))

    def close(self):
        self.paho.disconnect()
        self.paho.loop_stop()

    def vanish(self):
        """Ends the link without a DISCONNECT, as a device that lost its power."""
        self.paho.loop_stop()
        self.paho._sock_close()


@pytest.fixture
def keyward(tmp_path):
    tmp_path.chmod(0o700)
    broker = Keyward(tmp_path)
    yield broker.start()
    broker.stop()


@pytest.fixture
def peer():
    """Makes peers (peers.py, which knows this file) and ends those that a story leaves behind."""
    from peers import Peer

    made = []

    def make(*args, **options):
        made.append(Peer(*args, **options))
        return made[-1]

    yield make
    for one in made:
        one.process.kill()
        one.process.wait()


def pytest_addoption(parser):
    parser.addoption("--leave", metavar="NAME", help="leaves an installation in tests/fixtures (test_formats.py)")
