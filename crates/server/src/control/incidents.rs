//! Incidents on the control socket.

pub use keyward_watch::Known;
pub use keyward_watch::incidents::Verdict as IncidentVerdict;
use serde::{Deserialize, Serialize};

/// Is one incident, in a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentRow {
    /// Its number.
    pub number: u64,
    /// What it is taken for: a word.
    pub incident: String,
    /// What is concerned: `device:ID`, `site:NAME`, `gateway:SITE/NAME`, `circuit:SITE/NAME`, `everything`.
    pub scope: String,
    /// `info`, `low`, `medium`, `high` or `critical`; somebody is called for the last two.
    pub severity: String,
    /// `low`, `medium`, `high` or `proven`.
    pub confidence: String,
    /// `open`, `acknowledged`, `ended` or `resolved`.
    pub state: String,
    /// When it was first seen, milliseconds since 1970.
    pub first_seen_unix_ms: u64,
    /// When it was seen last.
    pub last_seen_unix_ms: u64,
    /// How often it was found.
    pub seen: u64,
    /// The incident that it is part of.
    pub parent: Option<u64>,
    /// What is the matter and what to do.
    pub what: String,
}

/// Is something that was seen, or done, at some time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentNote {
    /// When, milliseconds since 1970.
    pub at_unix_ms: u64,
    /// What, for people.
    pub what: String,
}

/// Is all that is known of one incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentDetail {
    /// What it is.
    #[serde(flatten)]
    pub row: IncidentRow,
    /// What speaks for it, the oldest first.
    pub evidence: Vec<IncidentNote>,
    /// What became of it, the oldest first.
    pub history: Vec<IncidentNote>,
    /// The incidents that are part of it.
    pub children: Vec<u64>,
    /// The signed messages that prove it, as they came.
    #[serde(default)]
    pub messages: Vec<IncidentMessage>,
    /// What can be done about it.
    #[serde(default)]
    pub steps: Vec<IncidentStep>,
}

/// Is a signed message that proves an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentMessage {
    /// When it came, milliseconds since 1970.
    pub at_unix_ms: u64,
    /// The topic on which.
    pub topic: String,
    /// Its payload, in base64: what `keyward open` verifies and shows.
    pub payload: String,
}

/// Is something that can be done about an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncidentStep {
    /// In which case.
    pub when: String,
    /// By which command.
    pub command: String,
}

/// Is what the watch knows of one device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explained {
    /// The device.
    pub device: String,
    /// What is known.
    pub known: Vec<Known>,
    /// The incidents of the device that are open.
    pub open: Vec<IncidentRow>,
}

/// Is what became of a test that was sent to a place that is told of incidents.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotifyTestRow {
    /// The place: the name of a webhook, `mail` or `syslog`.
    pub place: String,
    /// Whether it was taken there.
    pub worked: bool,
    /// What happened, and what to do.
    pub what: String,
    /// How long that took, in milliseconds.
    pub took_ms: u64,
}
