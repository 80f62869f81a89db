//! What a thief has who holds a device in his hand, on the control socket.

use super::{
    accounts::{CredentialRow, DeviceRow, LastLoginRow},
    keys::MessageKeyRow,
    places::PlaceRow,
};
use serde::{Deserialize, Serialize};

/// Is what a thief has who holds a device in his hand.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExposureReport {
    /// The device.
    pub device: DeviceRow,
    /// Where it stands.
    pub place: PlaceRow,
    /// Since when it is known, or not known, that the owner holds it.
    pub contact: ContactRow,
    /// What it may read, by rule.
    pub reads: Vec<ReachRow>,
    /// What it may write, by rule.
    pub writes: Vec<ReachRow>,
    /// The least level of a key by which some of what it writes must be signed; `None` if nothing must be.
    pub must_sign: Option<u8>,
    /// Groups whose messages it can decrypt.
    pub groups: Vec<GroupReachRow>,
    /// Its keys for messages, and whether they can be copied.
    pub keys: Vec<HeldKeyRow>,
    /// What it logs in with.
    pub credentials: Vec<CredentialRow>,
    /// How many sessions it has, connected or not; `None` on a stopped store.
    pub sessions: Option<usize>,
    /// How many messages wait there, and go to whoever logs in; `None` on a stopped store.
    pub waiting: Option<usize>,
    /// Who else is known to have the same password: `device:ID`, `user:NAME`.
    pub same_password: Vec<String>,
    /// What to do, a line each; commands begin with `keyward`.
    pub to_do: Vec<String>,
    /// What is not known, a line each.
    pub unknown: Vec<String>,
}

/// Says when a device was last in touch.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactRow {
    /// Whether it is connected now; `None` on a stopped store.
    pub connected: Option<bool>,
    /// When it last proved itself since the broker started, and by what; `None` if it did not, or on a stopped store.
    pub last_login: Option<LastLoginRow>,
    /// Since when it is proven that two hold one of its keys.
    pub two_holders_unix_ms: Option<u64>,
}

/// Is a part of the topics that somebody may read or write.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReachRow {
    /// The part, as a filter.
    pub filter: String,
    /// The rule that allows it, `policy.d/app.toml:12`.
    pub rule: String,
    /// What is taken out of it again, and by which rule.
    pub except: Vec<String>,
    /// How many retained messages lie there to be read at once; `None` on a stopped store and for what is written.
    pub retained: Option<usize>,
    /// Whether there are more than were counted.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub retained_more: bool,
}

/// Is a group whose messages somebody can decrypt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupReachRow {
    /// Its name.
    pub group: String,
    /// How many of its keys that are kept here were given to the device.
    pub keys: usize,
    /// When the oldest of these began: what was said since then can be read.
    pub since_unix_ms: Option<u64>,
    /// When the newest of these began.
    pub newest_unix_ms: Option<u64>,
    /// Whether the device gets the next key too, as things are.
    pub gets_next: bool,
}

/// Is a key for messages, and what becomes of it in the hand of a thief.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldKeyRow {
    /// The key.
    #[serde(flatten)]
    pub key: MessageKeyRow,
    /// Whether it can be copied; `None` if that is not known.
    pub can_be_copied: Option<bool>,
    /// Why, for people.
    pub why: String,
}
