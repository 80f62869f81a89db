//! `keyward.toml` as it is written: every key, and what a value of it looks like.

use super::unit::{ByteSize, Count, Span};
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
    pub(super) log: Log,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Server {
    pub(super) names: Vec<Spanned<String>>,
    pub(super) shards: Option<Count<1, 64>>,
    pub(super) door_threads: Option<Count<1, 64>>,
    pub(super) sys_interval: Option<Spanned<Span>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Listener {
    pub(super) name: Spanned<String>,
    pub(super) address: Option<Spanned<String>>,
    pub(super) port: Spanned<Count<0, 65_535>>,
    pub(super) tls: Option<Spanned<bool>>,
    pub(super) certificate: Option<Spanned<Certificate>>,
}

/// Whether a client must show a certificate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Certificate {
    Optional,
    Required,
}

#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Certificates {
    pub(super) device_lifetime: Option<Spanned<Span>>,
    pub(super) types: BTreeMap<Spanned<String>, TypeCertificates>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TypeCertificates {
    pub(super) device_lifetime: Spanned<Span>,
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
