//! Quarantine: a device that two may hold stays where it is, but speaks and hears on its recovery topics only, until an operator
//! releases it.
//!
//! It stands beside the [`Standing`](crate::Standing) of an account, not in it: who is disabled and enabled, or confirmed since a
//! restore, is in quarantine still.

use crate::{clock::WallTime, limits};
use serde::{Deserialize, Serialize};

/// Says since when a device is in quarantine, by whom and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quarantine {
    /// Since when.
    pub since: WallTime,
    /// Who put it there.
    pub by: QuarantinedBy,
    /// Why, in one line of at most [`limits::REASON_BYTES`].
    pub because: String,
}

/// Says who puts a device into quarantine.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum QuarantinedBy {
    /// A person.
    Operator,
    /// The broker itself, upon proof.
    Broker,
}

impl QuarantinedBy {
    /// Names it in one word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Broker => "broker",
        }
    }

    pub(crate) fn read(word: &str) -> Option<Self> {
        [Self::Operator, Self::Broker].into_iter().find(|by| by.name() == word)
    }
}

/// Tells whether a text can say why: one line that is not empty.
pub(crate) fn is_reason(text: &str) -> bool {
    let is_long = text.len() > limits::REASON_BYTES;
    !is_long && !text.trim().is_empty() && !text.contains(char::is_control)
}
