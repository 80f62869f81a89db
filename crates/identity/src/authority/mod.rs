//! The authorities of an installation: two roots that are never mixed, and what they sign.

use crate::{clock::WallTime, names::ServerName, secret::Secret};
use keyward_ids::{CertSerial, KeyId};

/// Sets how long certificates are valid, in days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// The two roots.
    pub root: u32,
    /// The two issuing authorities.
    pub issuing: u32,
    /// The server's own certificate.
    pub server: u32,
    /// Devices and users, unless the command says otherwise. Nothing renews them by itself yet.
    pub device: u32,
}

impl Default for Lifetimes {
    /// Roots 20 years, issuing authorities 10, the server 397 days, devices 10 years.
    fn default() -> Self {
        Self { root: 7_305, issuing: 3_653, server: 397, device: 3_653 }
    }
}

/// Holds what the server shows to clients. Its key stays the same when the certificate is renewed.
#[derive(Clone)]
pub struct ServerIdentity {
    /// The leaf and its issuer, in DER.
    pub chain: Vec<Vec<u8>>,
    /// The private key as PKCS #8 in DER.
    pub private_key: Secret,
    /// The leaf's serial number.
    pub serial: CertSerial,
    /// The public key.
    pub key: KeyId,
    /// The names in the leaf.
    pub names: Vec<ServerName>,
    /// When the leaf begins to be valid.
    pub not_before: WallTime,
    /// When the leaf ends to be valid.
    pub not_after: WallTime,
}

/// Holds what the server accepts clients under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// The device root, in DER: the one anchor of the client verifier.
    pub device_root: Vec<u8>,
    /// The device issuing authority, in DER: for clients that send their leaf alone.
    pub device_issuing: Vec<u8>,
}

/// Returns the SHA-256 fingerprint of a certificate in DER, as `AB:CD:…`.
pub fn fingerprint(der: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
    let hex: Vec<String> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    hex.join(":")
}
