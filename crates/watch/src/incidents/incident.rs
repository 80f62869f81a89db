//! One incident: what it is, what it was, and what people said of it.

use super::Verdict;
use crate::event::{Scope, UnixMillis};
use crate::finding::{Class, Confidence, Evidence, Finding, Severity};
use crate::limits;
use core::fmt;
use serde::{Deserialize, Serialize};

/// Numbers incidents from 1 on; a number is never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Number(pub u64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Is one incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Incident {
    /// Its number.
    pub number: Number,
    /// What it is taken for now.
    pub class: Class,
    /// What is concerned.
    pub scope: Scope,
    /// What follows from it: the worst that was found.
    pub severity: Severity,
    /// How sure that is.
    pub confidence: Confidence,
    /// Who has it in hand.
    pub state: State,
    /// When it was first seen.
    pub first_seen: UnixMillis,
    /// When it began the last time.
    pub opened: UnixMillis,
    /// When it was seen last.
    pub last_seen: UnixMillis,
    /// How often it was found.
    pub seen: u64,
    /// The incident that it is part of.
    pub parent: Option<Number>,
    /// What speaks for it: the first half of what was seen first, then what is newest; at most [`limits::INCIDENT_EVIDENCE`].
    pub evidence: Vec<Evidence>,
    /// What became of it, the oldest first; at most [`limits::HISTORY`], of which the first is kept.
    pub history: Vec<Entry>,
    was_called: bool,
    #[serde(default)]
    was_answered: bool,
    /// When it ends unless it is found again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) ending: Option<UnixMillis>,
}

/// Says who has an incident in hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Nobody.
    Open,
    /// Somebody looks after it.
    Acknowledged {
        /// Who.
        by: Box<str>,
    },
    /// It went by itself.
    Ended {
        /// When.
        at: UnixMillis,
    },
    /// Somebody said what it was.
    Resolved {
        /// What.
        verdict: Verdict,
    },
}

/// Is one line of the history of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: UnixMillis,
    /// What.
    pub what: What,
}

/// Is what can become of an incident.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum What {
    /// It began.
    Opened(Class),
    /// It turned out to be something else.
    Became(Class),
    /// It turned out to be worse.
    Worse(Severity),
    /// It was found to be part of another.
    FoldedInto(Number),
    /// It went by itself.
    Ended,
    /// It came back.
    CameBack,
    /// The broker did something about it by itself, or left it to a person.
    Answered {
        /// What, as a sentence for a person.
        what: Box<str>,
    },
    /// Somebody looks after it.
    Acknowledged {
        /// Who.
        by: Box<str>,
        /// What they noted.
        note: Box<str>,
    },
    /// Somebody said what it was.
    Resolved {
        /// What.
        verdict: Verdict,
        /// Who.
        by: Box<str>,
        /// What they noted.
        note: Box<str>,
    },
}

impl Incident {
    pub(super) fn new(number: Number, finding: Finding, parent: Option<Number>) -> Self {
        let at = finding.at;
        let mut incident = Self {
            number,
            class: finding.class,
            scope: finding.scope,
            severity: finding.severity,
            confidence: finding.confidence,
            state: State::Open,
            first_seen: at,
            opened: at,
            last_seen: at,
            seen: 1,
            parent,
            evidence: Vec::new(),
            history: vec![Entry { at, what: What::Opened(finding.class) }],
            was_called: false,
            was_answered: false,
            ending: None,
        };
        incident.add_evidence(&finding.evidence);
        incident
    }

    /// Tells whether it is not over.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open | State::Acknowledged { .. })
    }

    /// Takes one more sign of it. Returns whether that is news.
    pub(super) fn see(&mut self, finding: &Finding, parent: Option<Number>) -> bool {
        let at = finding.at;
        self.seen = self.seen.saturating_add(1);
        self.last_seen = at;
        self.add_evidence(&finding.evidence);
        let mut is_news = false;
        let mut note = |incident: &mut Self, what| {
            is_news = true;
            incident.add(at, what);
        };
        if !self.is_open() {
            self.state = State::Open;
            self.opened = at;
            note(self, What::CameBack);
        }
        if self.class != finding.class {
            self.class = finding.class;
            (self.severity, self.confidence) = (finding.severity, finding.confidence);
            note(self, What::Became(finding.class));
        }
        if finding.severity > self.severity {
            self.severity = finding.severity;
            note(self, What::Worse(finding.severity));
        }
        self.confidence = self.confidence.max(finding.confidence);
        if let Some(parent) = parent.filter(|parent| *parent != self.number && self.parent != Some(*parent)) {
            self.parent = Some(parent);
            note(self, What::FoldedInto(parent));
        }
        // What it was part of is over, and it is not: it stands alone from now on.
        let is_alone = finding.part_of.is_none() && self.parent.take().is_some();
        is_news || is_alone
    }

    /// Keeps facts: the oldest half for good, and of the rest the newest.
    pub(super) fn add_evidence(&mut self, evidence: &[Evidence]) {
        for fact in evidence {
            let fact = &bounded(fact);
            if self.evidence.contains(fact) {
                continue;
            }
            if self.evidence.len() >= limits::INCIDENT_EVIDENCE {
                self.evidence.remove(limits::INCIDENT_EVIDENCE / 2);
            }
            self.evidence.push(fact.clone());
        }
    }

    /// Ends by itself. Returns whether it was open.
    pub(super) fn end(&mut self, at: UnixMillis) -> bool {
        let was_open = self.is_open();
        if was_open {
            self.state = State::Ended { at };
            self.add(at, What::Ended);
        }
        was_open
    }

    /// Returns whether it was not resolved.
    pub(super) fn acknowledge(&mut self, at: UnixMillis, by: &str, note: &str) -> bool {
        if matches!(self.state, State::Resolved { .. }) {
            return false;
        }
        if self.is_open() {
            self.state = State::Acknowledged { by: by.into() };
        }
        self.add(at, What::Acknowledged { by: by.into(), note: note.into() });
        true
    }

    /// Returns whether it was not resolved.
    pub(super) fn resolve(&mut self, at: UnixMillis, verdict: Verdict, by: &str, note: &str) -> bool {
        if matches!(self.state, State::Resolved { .. }) {
            return false;
        }
        self.state = State::Resolved { verdict };
        self.add(at, What::Resolved { verdict, by: by.into(), note: note.into() });
        true
    }

    /// Tells whether somebody is to be called: it is grave, nobody was called for it or looks after it, and it is not part of
    /// something for which somebody is.
    pub(super) fn is_worth_a_call(&self) -> bool {
        self.severity.pages() && !self.was_called && self.parent.is_none() && self.state == State::Open
    }

    /// Tells whether the broker did something about it by itself, or left it to a person.
    pub fn is_answered(&self) -> bool {
        self.was_answered
    }

    /// Returns whether it was open, and not answered before.
    pub(super) fn answer(&mut self, at: UnixMillis, what: &str) -> bool {
        let is_first = self.is_open() && !self.was_answered;
        if is_first {
            self.was_answered = true;
            self.add(at, What::Answered { what: what.into() });
        }
        is_first
    }

    pub(super) fn note_call(&mut self) {
        self.was_called = true;
    }

    fn add(&mut self, at: UnixMillis, what: What) {
        if self.history.len() >= limits::HISTORY {
            self.history.remove(1);
        }
        self.history.push(Entry { at, what });
    }
}

/// Returns a fact as it is kept: in one line, for names that devices chose may stand in it, and no longer than a fact may be.
fn bounded(fact: &Evidence) -> Evidence {
    let end = fact.what.floor_char_boundary(limits::EVIDENCE_BYTES);
    let what = fact.what[..end].chars().map(|c| if c.is_control() { '?' } else { c });
    Evidence { at: fact.at, what: what.collect() }
}
