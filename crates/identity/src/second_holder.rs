//! That two hold a message key, or its device has lost count: what proves it.
//!
//! The ledger keeps the first proof of a device until its key is withdrawn or retired: whoever holds a copy of the key must not write it
//! full.

use crate::{clock::WallTime, limits, wire};
use serde::{Deserialize, Serialize};

/// Holds what proves that two hold a message key. Both signatures hold, so none of it is a stranger's word.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecondHolder {
    /// How it is known.
    pub sign: SecondHolderSign,
    /// The number of the message that came.
    pub number: u64,
    /// The highest number of the key that was taken.
    pub highest: u64,
    /// SHA-256 of what is signed of the message that came.
    #[serde(with = "wire::base64")]
    pub digest: [u8; 32],
    /// The topic of the message that came; at most [`limits::EVIDENCE_TOPIC_BYTES`] of it.
    pub topic: String,
    /// From where the links of the device came, that of the message first; at most [`limits::EVIDENCE_HOSTS`].
    pub hosts: Vec<String>,
}

/// Says how it is known that two hold a message key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "is")]
pub enum SecondHolderSign {
    /// Two messages have one number.
    Equivocation {
        /// What the broker keeps of the message that came.
        tag: u32,
        /// What it keeps of the one before.
        earlier: u32,
    },
    /// A message that was made after the one with the highest number has a number that lies behind the window.
    Behind,
}

/// Holds a proof that stands in the ledger, and since when.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundHolder {
    /// When it was written down.
    pub at: WallTime,
    /// The proof.
    pub evidence: SecondHolder,
}

impl SecondHolder {
    /// Cuts what peers chose to what is kept.
    pub(crate) fn bounded(mut self) -> Self {
        let end = (0..=self.topic.len().min(limits::EVIDENCE_TOPIC_BYTES)).rev();
        self.topic.truncate(end.into_iter().find(|at| self.topic.is_char_boundary(*at)).unwrap_or_default());
        self.hosts.truncate(limits::EVIDENCE_HOSTS);
        self
    }
}
