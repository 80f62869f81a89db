//! What is asked of certificates that others made and of the server's own, and what is answered.

use super::secret::{Der, Secret};
use serde::{Deserialize, Serialize};

/// Asks that client certificates of an authority of others are accepted.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorityTrust {
    /// Its name here: lower-case letters, digits and `-`.
    pub name: String,
    /// Its certificates: a PEM file, or DER of a single one.
    pub certificates: Der,
    /// What its certificates prove.
    pub proves: Proves,
    /// Its lists of revoked certificates: a PEM file, or DER of a single one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revocations: Option<Der>,
}

/// Says what a certificate of a trusted authority proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proves {
    /// That the client is the identity that its common name was bound to.
    CommonName,
    /// Only that it may knock: a password says who it is.
    None,
}

/// Asks that a common name stands for an identity.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuthorityBind {
    /// The authority.
    pub name: String,
    /// `device:ID` or `user:NAME`.
    pub identity: String,
    /// The common name; without it the name of the identity.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common_name: Option<String>,
    /// The one certificate whose public key is accepted, PEM or DER; without it any of this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<Der>,
}

/// Asks that a listener can show a certificate that another authority made.
#[derive(Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServerCertificateImport {
    /// Its name here: lower-case letters, digits and `-`.
    pub name: String,
    /// The certificate and its issuers: a PEM file, the server's first.
    pub chain: Der,
    /// Its private key: a PEM file, not encrypted.
    pub key: Secret,
}

/// Holds what is to be known of an authority of others whose client certificates are accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrustedAuthorityRow {
    /// Its name here.
    pub name: String,
    /// What its certificates prove.
    pub proves: Proves,
    /// The subjects of its certificates.
    pub subjects: Vec<String>,
    /// Their SHA-256, in the same order, as hexadecimal pairs with colons.
    #[serde(default)]
    pub fingerprints: Vec<String>,
    /// When the first of them ends.
    pub expires_unix_ms: u64,
    /// How many certificates its lists revoke; `None` without a list.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoked: Option<usize>,
    /// When the first of its lists should be replaced by a newer one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_list_unix_ms: Option<u64>,
    /// Whether it is used: not after a restore, until it is confirmed.
    pub confirmed: bool,
    /// Where its certificates count as the one that is demanded beside the password, though they prove nobody: listeners
    /// that demand both. Not for who holds a certificate or a bound name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub knocks_at: Vec<String>,
    /// The listeners at which its certificates count; `None`: at all that take certificates.
    #[serde(default)]
    pub counts_at: Option<Vec<String>>,
    /// The common names that stand for identities, by name.
    pub bound: Vec<BoundRow>,
}

/// Holds one common name that stands for an identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundRow {
    /// The common name.
    pub common_name: String,
    /// `device:ID` or `user:NAME`.
    pub identity: String,
    /// The one public key that is accepted, hexadecimal; `None` for any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

/// Holds one imported certificate of this server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerCertificateRow {
    /// Its name here.
    pub name: String,
    /// Its subject.
    pub subject: String,
    /// Its SHA-256, as hexadecimal pairs with colons.
    #[serde(default)]
    pub fingerprint: String,
    /// When it ends.
    pub expires_unix_ms: u64,
    /// Whether its key can be read.
    pub usable: bool,
    /// The listeners that show it.
    pub listeners: Vec<String>,
}

/// Holds the names of the server certificate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerNames {
    /// The names and addresses.
    pub names: Vec<String>,
    /// Whether the certificate was issued again for this request.
    pub reissued: bool,
    /// When the certificate ends.
    pub expires_unix_ms: u64,
    /// How many bytes the Certificate message of TLS takes.
    #[serde(default)]
    pub certificate_message_bytes: usize,
    /// How many it may take, so that small devices can read it.
    #[serde(default)]
    pub certificate_message_bytes_max: usize,
}
