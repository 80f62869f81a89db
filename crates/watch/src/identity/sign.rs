//! One sign that a device is not, or not alone, who it says it is.

use crate::event::UnixMillis;
use crate::finding::{Class, Confidence, Evidence, Severity};
use serde::{Deserialize, Serialize};

/// Is a sign, and what it is worth.
#[derive(Debug)]
pub(super) struct Sign {
    pub(super) class: Class,
    pub(super) confidence: Confidence,
    pub(super) severity: Severity,
    pub(super) evidence: Vec<Evidence>,
}

impl Sign {
    /// Returns a sign that only who holds the device's key can give.
    pub(super) fn proven(class: Class, at: UnixMillis, what: impl Into<Box<str>>) -> Self {
        Self::new(class, Confidence::Proven, Severity::Critical, at, what)
    }

    pub(super) fn new(
        class: Class,
        confidence: Confidence,
        severity: Severity,
        at: UnixMillis,
        what: impl Into<Box<str>>,
    ) -> Self {
        Self { class, confidence, severity, evidence: vec![Evidence { at, what: what.into() }] }
    }

    /// Puts what was seen earlier before it.
    #[must_use]
    pub(super) fn after(mut self, at: UnixMillis, what: impl Into<Box<str>>) -> Self {
        self.evidence.insert(0, Evidence { at, what: what.into() });
        self
    }
}

/// Remembers the first of two signs, for as long as it counts.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct First(Option<UnixMillis>);

impl First {
    /// Takes a sign. Returns when the one before was that still counts.
    pub(super) fn note(&mut self, now: UnixMillis, counts_ms: u64) -> Option<UnixMillis> {
        let before = self.0.filter(|at| now.since(*at) <= counts_ms);
        self.0 = Some(now);
        before
    }
}
