//! What is asked of the keys by which the server signs, and what is answered.

use super::secret::Der;
use serde::{Deserialize, Serialize};

/// Says to whom the server speaks, and who can read it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Addressee {
    /// One device; whoever gets it can read it.
    Device(String),
    /// One device, which alone can read it: encrypted to the newest key that it has for that.
    DeviceAlone(String),
    /// The members of a group, who alone can read it: encrypted under the key in which they send.
    Group(String),
}

/// Asks that a command to a device or to the members of a group is signed.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SealCommand {
    /// Whom it is for.
    pub to: Addressee,
    /// The topic that it will be published on; at most 1,024 bytes.
    pub topic: String,
    /// MQTT 5's correlation data that will stand beside it; at most 1,024 bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<Der>,
    /// For how many seconds it is good, at least 1, at most 7 days. Without it and without a nonce: a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub valid_secs: Option<u64>,
    /// The nonce that the device gave out last, 8 to 16 bytes; none for a group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub nonce: Option<Der>,
    /// What the payload is, as CoAP numbers content formats.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<u16>,
    /// The payload; at most [`COMMAND_BYTES`](super::limits::COMMAND_BYTES) bytes.
    pub payload: Der,
}

/// Is a signed message.
#[derive(Clone, Serialize, Deserialize)]
pub struct Sealed {
    /// The message: the payload of a PUBLISH.
    pub message: Der,
    /// The command key that signed it: 16 hexadecimal digits.
    pub kid: String,
    /// Its number.
    pub number: u64,
    /// Until when it is good, milliseconds since 1970; without it a device with a clock takes it for a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_unix_ms: Option<u64>,
}

/// Holds the keys of the server that devices believe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerKeyRows {
    /// The key that devices pin; none before the first start of a program that makes one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub installation: Option<ServerKeyRow>,
    /// The command keys, the oldest first.
    pub commands: Vec<ServerKeyRow>,
    /// The key set that is in force.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key_set: Option<KeySetRow>,
}

/// Holds one of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerKeyRow {
    /// Its name: 16 hexadecimal digits.
    pub kid: String,
    /// What it does now.
    pub state: ServerKeyState,
    /// When it begins to sign, of one that waits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signs_from_unix_ms: Option<u64>,
    /// When it leaves the key set.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_unix_ms: Option<u64>,
    /// The public key as `COSE_Key`, in base64.
    pub public_key: String,
}

/// Says what a key of the server does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServerKeyState {
    /// It signs key sets.
    Pinned,
    /// It signs commands.
    Signing,
    /// It is believed, and signs later.
    Waiting,
    /// It is believed, and signs no more.
    Leaving,
}

/// Says which key set is in force.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeySetRow {
    /// Its version.
    pub version: u64,
    /// When it was signed.
    pub signed_unix_ms: u64,
    /// Until when devices with a clock take it.
    pub expires_unix_ms: u64,
    /// The signed message, in base64.
    pub message: String,
}
