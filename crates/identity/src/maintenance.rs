//! Maintenance windows: who works where, since when, until when and why. What falls silent there meanwhile is no alarm.
//!
//! What is worked on is a text here, as the watch writes it: `device:ID`, `site:NAME`. A window that is over stays until another one
//! begins. A restore closes all of them: which were called off in records that are lost, nobody knows.

use crate::{clock::WallTime, limits};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Is one window.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// When it began.
    pub since: WallTime,
    /// When it ends.
    pub until: WallTime,
    /// Who opened it.
    pub by: String,
    /// Why, in one line.
    pub because: String,
}

/// Holds the windows, by what is worked on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Maintenance(BTreeMap<String, Window>);

impl Maintenance {
    /// Lists the windows that are open at the time `now`, by what is worked on.
    pub fn open(&self, now: WallTime) -> impl Iterator<Item = (&str, &Window)> {
        let windows = self.0.iter().map(|(scope, window)| (scope.as_str(), window));
        windows.filter(move |(_, window)| window.until > now)
    }

    pub(crate) fn begin(&mut self, scope: String, window: Window) {
        self.0.retain(|_, other| other.until > window.since);
        self.0.insert(scope, window);
    }

    pub(crate) fn end(&mut self, scope: &str) {
        self.0.remove(scope);
    }

    pub(crate) fn end_all(&mut self) {
        self.0.clear();
    }
}

/// Says why a window is not opened or closed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MaintenanceRefusal {
    /// What is worked on is no line of text.
    #[error("what is worked on is one line of at most {} bytes", limits::SCOPE_BYTES)]
    Scope,
    /// It is too short or too long.
    #[error(
        "a maintenance window lasts 1 minute to {} days: what lasts longer is no maintenance",
        limits::MAINTENANCE_SECONDS / 86_400
    )]
    Span,
    /// It needs a reason.
    #[error("a maintenance window needs a reason: one line of at most {} bytes", limits::REASON_BYTES)]
    NoReason,
    /// There are too many.
    #[error(
        "{} maintenance windows are open, and there can be no more; end some: keyward maintenance list",
        limits::MAINTENANCE_WINDOWS
    )]
    TooMany,
    /// None is open there.
    #[error("no maintenance window is open for '{0}'; keyward maintenance list names those that are")]
    None(String),
}
