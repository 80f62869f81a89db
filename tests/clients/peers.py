"""Clients in other languages, driven line by line: MQTT.js (mqttjs/) and rumqttc (rumqttc/).

A peer is a program that reads one order a line and writes one event a line, both JSON objects.

orders   connect (version, port, ca, cert, key, username, password, id, clean, expiry, will, aliases; MQTT.js also
         way: mqtts, ws or wss),
         subscribe (filter, qos), publish (topic, payload, qos, retain, alias), end
events   connected (session, code), refused (code, what), subscribed (code), published (code), closed,
         message (topic, payload, qos, retain); MQTT.js also, of packets as they are on the wire: sent (topic, alias),
         came (topic, alias), told (code)
"""

import json
import pathlib
import queue
import subprocess
import threading

from conftest import PATIENCE

HERE = pathlib.Path(__file__).parent
PROGRAMS = {
    "mqttjs": ["node", str(HERE / "mqttjs/peer.mjs")],
    "rumqttc": [str(HERE / "rumqttc/target/debug/keyward-rumqttc-peer")],
}


class Peer:
    """One client of another library, as long as its process."""

    def __init__(self, library, who, version, client_id=None, clean=True, expiry=0, will=None, aliases=False, **more):
        self.library, self.events = library, queue.Queue()
        self.passed = []
        self.process = subprocess.Popen(
            PROGRAMS[library], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        threading.Thread(target=self._listen, daemon=True).start()
        self.order(
            "connect", version=version, port=more.pop("port", who.keyward.port), ca=who.ca, cert=getattr(who, "cert", None),
            key=getattr(who, "key", None), username=getattr(who, "password", None) and who.name,
            password=getattr(who, "password", None), id=client_id or f"{library}-{who.name}", clean=clean,
            expiry=expiry, will=will, aliases=aliases, **more,
        )  # fmt: skip

    def _listen(self):
        for line in self.process.stdout:
            self.events.put(json.loads(line))

    def order(self, what, **more):
        self.process.stdin.write(json.dumps({"do": what, **more}) + "\n")
        self.process.stdin.flush()

    def hears(self, event):
        """The next event of this kind; what comes before it is kept for later questions."""
        for kept in self.passed:
            if kept["event"] == event:
                self.passed.remove(kept)
                return kept
        while True:
            heard = self.events.get(timeout=PATIENCE)
            if heard["event"] == event:
                return heard
            self.passed.append(heard)

    def connected(self):
        self.session = self.hears("connected")["session"]
        return self

    def subscribe(self, filter, qos=1):
        self.order("subscribe", filter=filter, qos=qos)
        return self.hears("subscribed")["code"]

    def publish(self, topic, payload, qos=1, retain=False, alias=None):
        self.order("publish", topic=topic, payload=payload, qos=qos, retain=retain, alias=alias)
        return self.hears("published")["code"]

    def receive(self):
        message = self.hears("message")
        return message["topic"], message["payload"]

    def packet(self, way):
        """Topic and alias of the next PUBLISH that was sent, or that came: MQTT.js only."""
        packet = self.hears(way)
        return packet["topic"], packet["alias"]

    def close(self):
        self.order("end")
        self.process.stdin.close()
        self.process.wait(PATIENCE)

    def vanish(self):
        self.process.kill()
        self.process.wait()
