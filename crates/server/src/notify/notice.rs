//! One thing to tell of an incident.

use crate::control::IncidentStep;
use keyward_watch::finding::Severity;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::path::PathBuf;

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
    /// What can be done about it.
    #[serde(default)]
    pub(crate) steps: Vec<IncidentStep>,
    /// The incident as it is published on its topic.
    pub(crate) incident: Value,
}

impl Notice {
    /// Says in a line what is the matter, what to do, and the command that shows more: some see nothing else.
    pub(super) fn line(&self) -> String {
        format!("{}: {}", self.what, self.more)
    }
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

/// Says which broker it is that tells: whoever is called may look after several.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    pub(super) installation: String,
    /// The name of the machine; `-` if it has none that can be written.
    pub(super) host: String,
    pub(super) directory: PathBuf,
}

impl Origin {
    pub(super) fn new(installation: &str, directory: PathBuf) -> Self {
        let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
        let fits = !name.is_empty() && name.len() <= 255 && name.chars().all(|c| c.is_ascii_graphic());
        let host = if fits { name } else { "-".to_owned() };
        Self { installation: installation.to_owned(), host, directory }
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
            steps: Vec::new(),
            incident: Value::Null,
        };
        Self { id, notice }
    }

    /// Returns the letter as programs get it.
    pub(super) fn json(&self, origin: &Origin) -> String {
        let Notice { event, kind, severity, calls, incident, at_unix_ms, .. } = &self.notice;
        json!({
            "id": self.id,
            "installation": origin.installation,
            "host": origin.host,
            "event": event,
            "at_unix_ms": at_unix_ms,
            "kind": kind,
            "severity": severity,
            "calls": calls,
            "what": self.notice.line(),
            "incident": incident,
        })
        .to_string()
    }
}
