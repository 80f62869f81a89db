//! `keyward.toml` as it is written: every key, and what a value of it looks like.

use super::unit::{ByteSize, Count, Span};
use crate::login::LoginRule;
use keyward_identity::{Exposure, Power};
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;

/// The whole file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    pub(super) server: Server,
    pub(super) listener: Vec<Spanned<Listener>>,
    pub(super) limits: super::bounds::File,
    pub(super) store: Store,
    pub(super) certificates: Certificates,
    pub(super) groups: Groups,
    pub(super) types: BTreeMap<Spanned<String>, DeviceType>,
    pub(super) sites: BTreeMap<Spanned<String>, Site>,
    pub(super) quarantine: Quarantine,
    pub(super) watch: Watch,
    pub(super) notify: super::notify::File,
    pub(super) log: Log,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Server {
    pub(super) names: Vec<Spanned<String>>,
    pub(super) shards: Option<Count<1, 64>>,
    pub(super) door_threads: Option<Count<1, 64>>,
    pub(super) signature_threads: Option<Count<1, 64>>,
    pub(super) sys_interval: Option<Spanned<Span>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listener {
    pub(super) name: Spanned<String>,
    pub(super) protocol: Option<Spanned<Protocol>>,
    pub(super) address: Option<Spanned<String>>,
    pub(super) port: Option<Spanned<Count<0, 65_535>>>,
    pub(super) socket: Option<Spanned<String>>,
    pub(super) socket_mode: Option<Spanned<String>>,
    pub(super) tls: Option<Spanned<bool>>,
    pub(super) login: Option<Spanned<LoginRule>>,
    #[serde(default)]
    pub(super) from: Vec<Spanned<String>>,
    pub(super) anonymous_as: Option<Spanned<String>>,
    pub(super) server_certificate: Option<Spanned<String>>,
    pub(super) trusted: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) origins: Option<Vec<Spanned<String>>>,
}

/// What is spoken on a listener, below MQTT.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Nothing: MQTT on the stream itself.
    #[default]
    Mqtt,
    /// WebSocket, with the subprotocol `mqtt`.
    WebSocket,
}

impl Protocol {
    /// Returns the protocol as it is written in `keyward.toml`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mqtt => "mqtt",
            Self::WebSocket => "websocket",
        }
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Certificates {
    pub(super) device_lifetime: Option<Spanned<Span>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Groups {
    pub(super) rotate: Option<Spanned<Span>>,
    pub(super) keep: Option<Spanned<Span>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct DeviceType {
    pub(super) login: Option<Spanned<LoginRule>>,
    pub(super) device_lifetime: Option<Spanned<Span>>,
    pub(super) readings: BTreeMap<Spanned<String>, Reading>,
    pub(super) relations: Vec<Spanned<Relation>>,
    pub(super) interval: Option<Spanned<Span>>,
    pub(super) power: Option<Power>,
    pub(super) exposure: Option<Exposure>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Site {
    pub(super) exposure: Option<Exposure>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Reading {
    pub(super) unit: Option<Spanned<String>>,
    pub(super) min: Option<Spanned<f64>>,
    pub(super) max: Option<Spanned<f64>>,
    pub(super) rate: Option<Spanned<f64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Relation {
    pub(super) less: Option<Spanned<String>>,
    pub(super) more: Option<Spanned<String>>,
    pub(super) switch: Option<Spanned<String>>,
    pub(super) stream: Option<Spanned<String>>,
    pub(super) above: Option<Spanned<f64>>,
    pub(super) total: Option<Spanned<String>>,
    pub(super) parts: Option<Spanned<Vec<Spanned<String>>>>,
    pub(super) tolerance: Option<Spanned<f64>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Quarantine {
    pub(super) two_holders: Option<bool>,
    pub(super) never: Vec<Spanned<String>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Watch {
    pub(super) enabled: Option<bool>,
    pub(super) record: Option<ByteSize>,
    pub(super) actions: super::actions::File,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Log {
    pub(super) filter: Option<Spanned<String>>,
    pub(super) format: Option<LogFormat>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Store {
    pub(super) durability: Option<Durability>,
    pub(super) reserve: Option<ByteSize>,
}

/// What an acknowledgement promises.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// What is acknowledged survives a loss of power.
    #[default]
    Synced,
    /// What is acknowledged survives the end of the process, not of the system.
    Os,
    /// Sessions and messages end with the process.
    Memory,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}
