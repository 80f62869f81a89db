//! What is asked of message keys, and what is answered.

use super::secret::Der;
use serde::{Deserialize, Serialize};

/// Asks that messages of a device are verified by a key.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysAdd {
    /// The device.
    pub id: String,
    /// The public key: a `COSE_Key`, or a PEM file.
    pub key: Der,
    /// How well the device keeps the private key: 0 to 3.
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

/// Holds one message key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MessageKeyRow {
    /// The device.
    pub device: String,
    /// Its name among the keys of the device: 16 hexadecimal digits.
    pub kid: String,
    /// `ES256` or `EdDSA`.
    pub algorithm: String,
    /// How well the device keeps the private key: 0 in a file, 1 sealed to the machine, 2 in hardware, 3 in hardware that vouched
    /// for it.
    pub level: u8,
    /// Whether what it signs is accepted.
    pub state: MessageKeyState,
    /// When that ends, or ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until_unix_ms: Option<u64>,
    /// When it was registered.
    pub registered_unix_ms: u64,
    /// The public key as `COSE_Key`, in base64.
    pub public_key: String,
}

/// Says whether what a message key signs is accepted.
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
