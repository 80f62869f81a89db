//! What is asked of groups, and what is answered.

use serde::{Deserialize, Serialize};

/// Holds what is told of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupRow {
    /// Its name.
    pub name: String,
    /// How many members it has.
    pub members: usize,
    /// How many of them get no key now.
    pub without_key: usize,
    /// The epoch of its key.
    pub epoch: u32,
    /// When that began.
    pub since_unix_ms: u64,
}

/// Holds all that is told of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupDetail {
    /// The group.
    #[serde(flatten)]
    pub group: GroupRow,
    /// When it was made.
    pub created_unix_ms: u64,
    /// The epochs of its key that are kept, oldest first.
    pub epochs: Vec<EpochRow>,
    /// Its members, by name.
    pub who: Vec<MemberRow>,
}

/// Holds an epoch of a group's key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EpochRow {
    /// Its number.
    pub epoch: u32,
    /// When it began.
    pub since_unix_ms: u64,
    /// Whether its key is there.
    pub has_key: bool,
}

/// Holds a member.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemberRow {
    /// `device:ID` or `user:NAME`.
    pub identity: String,
    /// The first epoch whose key it gets.
    pub since_epoch: u32,
    /// The key to which group keys are encrypted for it now, 16 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Why it gets none, and what to do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub without: Option<String>,
}

/// Holds the key of a group. It is a secret.
#[derive(Clone, Serialize, Deserialize)]
pub struct GroupKeyAnswer {
    /// The group.
    pub group: String,
    /// The epoch.
    pub epoch: u32,
    /// The key: 32 hexadecimal digits.
    pub key: super::Secret,
}
