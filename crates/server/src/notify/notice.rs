//! One thing to tell of an incident.

use keyward_watch::finding::Severity;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Is one thing to tell of an incident, whole: who hears it needs to know nothing of before.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Notice {
    /// What belongs together: of one key nothing overtakes anything.
    pub(crate) key: String,
    pub(crate) event: Event,
    /// The kind of incident: a word.
    pub(crate) kind: String,
    pub(crate) severity: Severity,
    /// Whether it is part of a larger incident, which is told.
    pub(crate) is_part: bool,
    /// Whether somebody is called for it.
    pub(crate) calls: bool,
    /// When, in milliseconds since 1970.
    pub(crate) at_unix_ms: u64,
    /// What is the matter and what to do, in a line.
    pub(crate) what: String,
    /// The command that shows more.
    pub(crate) more: String,
    /// The incident as it is published on its topic.
    pub(crate) incident: Value,
}

/// Says what became of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Event {
    /// It began, or came back.
    Begin,
    /// It is something else, worse, part of another, or in somebody's hands.
    Change,
    /// It is over, or somebody said what it was.
    End,
    /// There is none: somebody tries whether telling works.
    Test,
}

impl Event {
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::Begin => "begin",
            Self::Change => "change",
            Self::End => "end",
            Self::Test => "test",
        }
    }
}

/// Is a notice on its way, which keeps its name from try to try.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Letter {
    /// By this a receiver knows what it has seen before.
    pub(super) id: String,
    pub(super) notice: Notice,
}

impl Letter {
    /// Returns the letter of a trial.
    pub(super) fn test(id: String, at_unix_ms: u64) -> Self {
        let notice = Notice {
            key: "test".to_owned(),
            event: Event::Test,
            kind: "test".to_owned(),
            severity: Severity::Info,
            is_part: false,
            calls: true,
            at_unix_ms,
            what: "this is a test, asked for by `keyward notify test`: nothing is the matter".to_owned(),
            more: "keyward status".to_owned(),
            incident: Value::Null,
        };
        Self { id, notice }
    }

    /// Returns the letter as programs get it.
    pub(super) fn json(&self, installation: &str) -> String {
        let Notice { event, kind, severity, calls, what, incident, at_unix_ms, .. } = &self.notice;
        json!({
            "id": self.id,
            "installation": installation,
            "event": event,
            "at_unix_ms": at_unix_ms,
            "kind": kind,
            "severity": severity,
            "calls": calls,
            "what": what,
            "incident": incident,
        })
        .to_string()
    }
}
