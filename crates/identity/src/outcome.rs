//! What the registrar gives back.

use crate::{clock::WallTime, invitation::ClaimCode, secret::Secret, wire};
use keyward_ids::{CertSerial, GroupId, Identity, KeyId};
use serde::{Deserialize, Serialize};

/// Says what a command did. What it asserts is on disk.
#[derive(Clone, Serialize, Deserialize)]
pub struct Outcome {
    /// The revision of the registry that knows the change.
    pub revision: u64,
    /// Whether anything changed; `false` if it was so already.
    pub changed: bool,
    /// The certificate that was issued to a device or user.
    pub certificate: Option<IssuedCertificate>,
    /// The password that was generated: show it once.
    pub password: Option<Secret>,
    /// The claim code that was drawn: show it once.
    #[serde(default)]
    pub claim_code: Option<ClaimCode>,
    /// The first of the numbers that were given.
    #[serde(default)]
    pub number: Option<u64>,
    /// Whether the server has a new certificate, or another imported one.
    pub server_certificate_changed: bool,
    /// Groups that got a new key because somebody lost the old one.
    #[serde(default, skip_serializing_if = "Vec::is_empty", with = "wire::texts")]
    pub rotated_groups: Vec<GroupId>,
    /// Whether other authorities are trusted, or trusted differently.
    #[serde(default)]
    pub trust_changed: bool,
}

/// Holds a certificate on its way out.
#[derive(Clone, Serialize, Deserialize)]
pub struct IssuedCertificate {
    /// Whose it is.
    #[serde(with = "wire::text")]
    pub identity: Identity,
    /// Its serial number.
    #[serde(with = "wire::text")]
    pub serial: CertSerial,
    /// Its public key.
    #[serde(with = "wire::text")]
    pub key: KeyId,
    /// When it ends to be valid.
    pub not_after: WallTime,
    /// The leaf and its issuer as two PEM blocks: what a client sends.
    pub chain_pem: String,
    /// The private key as PKCS #8 PEM, if Keyward made it: hand it out once.
    pub private_key_pem: Option<Secret>,
}
