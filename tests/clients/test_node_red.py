"""Node-RED, from npm and without a screen, runs with the flow of its bundle: mutual TLS, messages both ways."""

import pathlib
import signal
import subprocess

import pytest

from conftest import Client, free_port

PROGRAM = pathlib.Path(__file__).parent / "nodered/node_modules/.bin/node-red"


class NodeRed:
    """One Node-RED, reachable from this machine only, with a flow and a folder of its own."""

    def __init__(self, keyward, flow, folder):
        self.log = folder / "node-red.log"
        options = ["--userDir", folder / "node-red", "--port", free_port(), "-D", "uiHost=127.0.0.1"]
        options += ["-D", "mqttReconnectTime=500", "--no-telemetry"]
        self.process = subprocess.Popen(
            [str(part) for part in [PROGRAM, *options, flow]],
            stdin=subprocess.DEVNULL, stdout=self.log.open("w"), stderr=subprocess.STDOUT,
        )  # fmt: skip
        self.keyward = keyward

    def says(self, *words):
        """Waits until its log holds all of the words."""
        self.keyward.until(lambda: all(word in self.log.read_text() for word in words), f"Node-RED: {words}")

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(20)


@pytest.fixture
def flows(keyward):
    out = keyward.folder / "flows"
    keyward.run("user", "add", "flows", "--preset", "node-red", "--bundle", "node-red", "--host", "localhost", "--out", str(out))
    node_red = None

    def start():
        nonlocal node_red
        node_red = NodeRed(keyward, out / "flow.json", keyward.folder)
        return node_red

    yield start
    node_red.end()


def test_node_red_runs_with_the_flow_of_its_bundle(keyward, flows):
    eye, porch = keyward.user("eye", options=["--preset", "viewer"]), keyward.device("porch")
    viewer, device = Client(eye).connect(), Client(porch).connect()
    viewer.subscribe("flows/#")
    node_red = flows()
    assert viewer.receive() == ("flows/hello", "hello"), "the button is pressed once at the start"
    node_red.says("Connected to broker", "flows/hello")
    device.publish("porch/temperature", "21.5")
    node_red.says("porch/temperature", "21.5")
    # The broker comes back, and so does Node-RED.
    device.vanish()
    viewer.vanish()
    keyward.stop()
    keyward.start()
    device = Client(porch).connect()
    keyward.until(lambda: node_red.log.read_text().count("Connected to broker") == 2, "Node-RED comes back")
    device.publish("porch/temperature", "cold", retain=True)
    node_red.says("cold")
    assert keyward.json("denials")["denials"]["denials"] == []
    device.vanish()
