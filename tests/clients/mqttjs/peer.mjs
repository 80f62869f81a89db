// MQTT.js behind one JSON object a line: orders on standard input, what happened on standard output.
// tests/clients/peers.py says which orders and events there are.
import { readFileSync } from "node:fs";
import { createInterface } from "node:readline";
import mqtt from "mqtt";

let client;
const say = (event, more = {}) => process.stdout.write(JSON.stringify({ event, ...more }) + "\n");

const orders = {
  connect(order) {
    client = mqtt.connect({
      protocol: order.way ?? "mqtts",
      host: order.way === "ws" ? "127.0.0.1" : "localhost",
      port: order.port,
      path: "/mqtt",
      ca: readFileSync(order.ca),
      cert: order.cert && readFileSync(order.cert),
      key: order.key && readFileSync(order.key),
      username: order.username,
      password: order.password,
      protocolVersion: order.version,
      protocolId: order.version === 3 ? "MQIsdp" : "MQTT",
      clientId: order.id,
      clean: order.clean,
      reconnectPeriod: 0,
      will: order.will && { topic: order.will[0], payload: order.will[1], qos: order.will[2], retain: false },
      properties: order.version === 5 ? { sessionExpiryInterval: order.expiry, topicAliasMaximum: 10 } : undefined,
      autoAssignTopicAlias: order.aliases,
      autoUseTopicAlias: order.aliases,
    });
    client.on("connect", (connack) => say("connected", { session: connack.sessionPresent, code: 0 }));
    client.on("message", (topic, payload, packet) =>
      say("message", { topic, payload: payload.toString(), qos: packet.qos, retain: packet.retain }));
    const tell = (event) => (packet) => {
      if (packet.cmd === "publish") say(event, { topic: packet.topic, alias: packet.properties?.topicAlias ?? null });
    };
    client.on("packetsend", tell("sent"));
    client.on("packetreceive", tell("came"));
    client.on("disconnect", (packet) => say("told", { code: packet.reasonCode }));
    client.on("error", (error) => say("refused", { code: error.code ?? null, what: error.message }));
    client.on("close", () => say("closed"));
  },
  subscribe({ filter, qos }) {
    client.subscribe(filter, { qos }, (error, granted, packet) =>
      say("subscribed", { code: packet?.granted?.[0]?.valueOf() ?? granted?.[0]?.qos ?? error?.code ?? 128 }));
  },
  publish({ topic, payload, qos, retain, alias }) {
    const properties = alias ? { topicAlias: alias } : undefined;
    client.publish(topic, payload, { qos, retain, properties }, (error, packet) =>
      say("published", { code: error?.code ?? packet?.reasonCode ?? 0 }));
  },
  end() {
    client.end(false, () => process.exit(0));
  },
};

createInterface({ input: process.stdin }).on("line", (line) => {
  const order = JSON.parse(line);
  orders[order.do](order);
}).on("close", () => process.exit(0));
