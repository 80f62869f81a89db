//! What is asked and answered of claim codes.

use super::{
    accounts::{Chip, DeviceRow, Exposure, PresetChoice},
    secret::Secret,
};
use serde::{Deserialize, Serialize};

/// Asks for a claim code, by which a device fetches its certificate itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceInvite {
    /// The device; what follows of it is for one that is not there yet.
    pub id: String,
    /// Its type, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub device_type: Option<String>,
    /// Where it stands, by name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub site: Option<String>,
    /// Who can lay hands on it; without it [`Exposure::Workplace`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exposure: Option<Exposure>,
    /// Which chip it is, if it is one that cannot protect its key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chip: Option<Chip>,
    /// The preset that it gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub preset: Option<PresetChoice>,
    /// Whether topics that others use already are accepted.
    #[serde(default)]
    pub allow_overlap: bool,
    /// For how many seconds the code may be used.
    pub expires_secs: u64,
    /// Whether the device may have a certificate, which the code takes away when it is used.
    #[serde(default)]
    pub replace: bool,
    /// The name or address of this server that the device goes to; without it what the broker thinks best.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// The one TPM that gets something for the code: SHA-256 of its endorsement key, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm: Option<String>,
}

impl DeviceInvite {
    /// Asks for a code for a device of which nothing else is said.
    pub fn new(id: &str, expires_secs: u64) -> Self {
        Self {
            id: id.to_owned(),
            device_type: None,
            site: None,
            exposure: None,
            chip: None,
            preset: None,
            allow_overlap: false,
            expires_secs,
            replace: false,
            host: None,
            tpm: None,
        }
    }
}

/// Holds a claim code, and what the device needs beside it.
#[derive(Clone, Serialize, Deserialize)]
pub struct DeviceInvited {
    /// The device.
    pub device: DeviceRow,
    /// The string that the device scans, `keyward://HOST:PORT/ID?code=…&root=…`: shown this once.
    pub uri: Secret,
    /// Until when the code may be used.
    pub expires_unix_ms: u64,
    /// What to know, a line each.
    pub notes: Vec<String>,
}

/// Says what became of a claim code.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct InvitationRow {
    /// Whether it may be used.
    pub state: InvitationState,
    /// Until when it may or could.
    pub expires_unix_ms: u64,
    /// The one TPM that gets something for it: SHA-256 of its endorsement key, 64 hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tpm: Option<String>,
    /// When it was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub used_unix_ms: Option<u64>,
    /// When it first came with another key after that, after its hour, or without evidence of its TPM.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict_unix_ms: Option<u64>,
}

/// Says whether a claim code may be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum InvitationState {
    /// It may.
    Open,
    /// Its time is over.
    Expired,
    /// It was used.
    Used,
}
