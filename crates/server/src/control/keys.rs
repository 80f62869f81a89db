//! What is asked of keys for messages, and what is answered.

use super::secret::Der;
use serde::{Deserialize, Serialize};

/// Says what a key for messages is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Messages of a device are verified by it.
    #[default]
    Sign,
    /// Messages and keys of groups are encrypted to it.
    Encrypt,
}

/// Asks that a key is registered for messages.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysAdd {
    /// A device's id, `device:ID` or `user:NAME`. Devices alone sign.
    pub id: String,
    /// The public key: a `COSE_Key`, or a PEM file.
    pub key: Der,
    /// What it is for.
    #[serde(default)]
    pub purpose: Purpose,
    /// How well the device keeps the private key of one that signs: 0 to 3.
    #[serde(default)]
    pub level: u8,
}

/// Asks that a device gets another message key in the place of all that it has.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceRekey {
    /// The device.
    pub id: String,
    /// The public key: a `COSE_Key`, or a PEM file. Absent: a claim code is drawn, by which the device brings one.
    #[serde(default)]
    pub key: Option<Der>,
    /// How well the device keeps the private key: 0 to 3.
    #[serde(default)]
    pub level: u8,
    /// For how many seconds the code may be used.
    pub expires_secs: u64,
    /// The name or address of the server that the code leads to; what the broker thinks best if absent.
    #[serde(default)]
    pub host: Option<String>,
}

/// Holds one key for messages.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageKeyRow {
    /// The id of the device that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device: Option<String>,
    /// The name of the user that has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Its name among the keys of its holder: 16 hexadecimal digits.
    pub kid: String,
    /// What it is for.
    #[serde(default)]
    pub purpose: Purpose,
    /// `ES256` or `EdDSA`; `ECDH-ES` of a key to which is encrypted.
    pub algorithm: String,
    /// How well the device keeps the private key of one that signs: 0 in a file, 1 sealed to the machine, 2 in hardware, 3 in
    /// hardware that vouched for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<u8>,
    /// The TPM that vouched for it; without it the level is somebody's word.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm: Option<TpmRow>,
    /// Whether it is used.
    pub state: MessageKeyState,
    /// When that ends, or ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_unix_ms: Option<u64>,
    /// When it was registered.
    pub registered_unix_ms: u64,
    /// The public key as `COSE_Key`, in base64.
    pub public_key: String,
}

/// Names a TPM that vouched for a key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TpmRow {
    /// SHA-256 of its endorsement key, 64 hexadecimal digits.
    pub fingerprint: String,
    /// Whether an operator had named this TPM before it came; else the first that came was taken.
    pub named: bool,
}

/// Says whether a key for messages is used: whether what it signs is accepted, or whether anything is encrypted to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MessageKeyState {
    /// It is.
    Active,
    /// It is, until another key has taken its place.
    Overlapping,
    /// It is not.
    Retired,
}
