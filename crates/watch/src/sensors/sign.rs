//! What a rule says of a sensor, for people.

use crate::finding::{Class, Confidence, Severity, Turn};

/// Is that something begins or is over, with the reason.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Sign {
    pub(super) class: Class,
    pub(super) turn: Turn,
    pub(super) confidence: Confidence,
    /// What follows from it where people work.
    pub(super) severity: Severity,
    /// What was seen; the name of the sensor stands before it.
    pub(super) what: String,
}

impl Sign {
    /// Is what cannot be: somebody is called for it.
    pub(super) fn hard(class: Class, turn: Turn, what: String) -> Self {
        Self { class, turn, confidence: Confidence::High, severity: Severity::High, what }
    }

    /// Is what a sensor's own history says: nobody is called for that alone.
    pub(super) fn soft(class: Class, turn: Turn, what: String) -> Self {
        Self { class, turn, confidence: Confidence::Medium, severity: Severity::Medium, what }
    }
}
