//! The flow of a bundle for Node-RED: a broker over mutual TLS, a button that publishes, and everything that arrives.
//!
//! The flow names the files of the bundle by their absolute paths, for Node-RED takes others as relative to where it was
//! started. No secret is in it.

use super::{CA, CERT, Contents, KEY};
use serde_json::{Value, json};
use std::path::Path;

/// The file, in the form in which Node-RED keeps and imports flows.
pub(crate) const FLOW: &str = "flow.json";

/// Writes the flow.
pub(super) fn flow(contents: &Contents<'_>, dir: &Path) -> String {
    let nodes = [tab(contents), tls(dir), broker(contents), inject(contents), publish(), subscribe(), show()];
    // A value of strings and numbers is always written.
    serde_json::to_string_pretty(&nodes).unwrap_or_default() + "\n"
}

const TAB: &str = "keyward-tab";
const TLS: &str = "keyward-tls";
const BROKER: &str = "keyward-broker";

fn tab(contents: &Contents<'_>) -> Value {
    let info = format!("As {}: the button publishes, and what arrives is shown.", contents.address.identity);
    json!({"id": TAB, "type": "tab", "label": "Keyward", "info": info})
}

fn tls(dir: &Path) -> Value {
    let file = |name: &str| dir.join(name).to_string_lossy().into_owned();
    json!({
        "id": TLS, "type": "tls-config", "name": "Keyward, mutual TLS",
        "cert": file(CERT), "key": file(KEY), "ca": file(CA),
        "certname": "", "keyname": "", "caname": "", "servername": "", "alpnprotocol": "",
        "verifyservercert": true,
    })
}

fn broker(contents: &Contents<'_>) -> Value {
    json!({
        "id": BROKER, "type": "mqtt-broker", "name": "Keyward",
        "broker": contents.address.host, "port": contents.address.port.to_string(),
        "tls": TLS, "usetls": true, "autoConnect": true, "clientid": "", "protocolVersion": "5",
        "keepalive": "60", "cleansession": true, "autoUnsubscribe": true, "sessionExpiry": "",
        "birthTopic": "", "closeTopic": "", "willTopic": "",
    })
}

/// Publishes when it is pressed, and once when the flow starts.
fn inject(contents: &Contents<'_>) -> Value {
    let name = contents.address.identity.split_once(':').map_or("", |(_, name)| name);
    let topic = contents.first_topic.clone().unwrap_or_else(|| format!("{name}/hello"));
    json!({
        "id": "keyward-button", "z": TAB, "type": "inject", "name": "say hello", "x": 130, "y": 80,
        "props": [{"p": "payload"}, {"p": "topic", "vt": "str"}],
        "topic": topic, "payload": "hello", "payloadType": "str",
        "once": true, "onceDelay": 1, "repeat": "", "crontab": "", "wires": [["keyward-out"]],
    })
}

/// Takes the topic from the message.
fn publish() -> Value {
    json!({
        "id": "keyward-out", "z": TAB, "type": "mqtt out", "name": "publish", "x": 330, "y": 80,
        "topic": "", "qos": "1", "retain": "false", "broker": BROKER, "wires": [],
    })
}

/// Asks for everything: Keyward sends what may be read.
fn subscribe() -> Value {
    json!({
        "id": "keyward-in", "z": TAB, "type": "mqtt in", "name": "all that may be read", "x": 140, "y": 160,
        "topic": "#", "qos": "1", "datatype": "auto-detect", "broker": BROKER,
        "nl": false, "rap": true, "rh": 0, "inputs": 0, "wires": [["keyward-show"]],
    })
}

fn show() -> Value {
    json!({
        "id": "keyward-show", "z": TAB, "type": "debug", "name": "arrived", "x": 330, "y": 160,
        "active": true, "tosidebar": true, "console": true, "tostatus": false,
        "complete": "true", "targetType": "full", "wires": [],
    })
}
