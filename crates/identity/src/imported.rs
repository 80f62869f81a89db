//! Certificates of this server that another authority made, which a listener may present to a fleet that trusts that one.
//!
//! The ledger holds the certificates, `DIR/keys/` the keys, sealed like the others.

use crate::{
    authority,
    clock::WallTime,
    limits, pem,
    secret::Secret,
    trusted::{self, Der, LocalName},
    wire,
};
use keyward_ids::KeyId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

/// Holds a certificate of this server that another authority made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImportedCertificate {
    /// The certificate and its issuers, the server's first.
    pub chain: Vec<Der>,
    /// Its public key.
    #[serde(with = "wire::text")]
    pub key: KeyId,
    /// When it ends to be valid.
    pub not_after: WallTime,
}

/// Holds what a listener presents.
#[derive(Clone)]
pub struct ImportedIdentity {
    /// The certificate and its issuers, in DER, the server's first.
    pub chain: Vec<Vec<u8>>,
    /// The private key in DER: PKCS #8, PKCS #1 or SEC 1.
    pub private_key: Secret,
}

/// Says why a certificate or key is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ImportCertificateRefusal {
    /// The certificates cannot be read.
    #[error(transparent)]
    Chain(#[from] trusted::TrustRefusal),
    /// The certificate has ended.
    #[error("the certificate ended {not_after}")]
    Expired {
        /// When.
        not_after: WallTime,
    },
    /// It belongs to Keyward itself.
    #[error("this is the key of one of Keyward's own authorities or of its own server certificate")]
    Own,
    /// The file of the key holds none, or several.
    #[error("the key file holds {0} private keys (PEM); exactly one is taken")]
    Keys(usize),
    /// The key is encrypted.
    #[error(
        "the private key is encrypted; decrypt it first, for instance: openssl pkey -in FILE -out NEWFILE"
    )]
    Encrypted,
    /// The key file is too large.
    #[error("the key file has {len} bytes; at most {} are read", limits::SERVER_KEY_BYTES)]
    TooLarge {
        /// Its length in bytes.
        len: usize,
    },
}

impl ImportedCertificate {
    /// Reads the certificate of a server with its issuers: PEM, the server's first.
    ///
    /// # Errors
    /// [`ImportCertificateRefusal`].
    pub fn read(bytes: &[u8], now: WallTime) -> Result<Self, ImportCertificateRefusal> {
        let what = "file of the server certificate";
        let chain = trusted::read_chain(what, bytes)?;
        let malformed = || trusted::TrustRefusal::Malformed { what };
        for Der(der) in &chain {
            X509Certificate::from_der(der).map_err(|_| malformed())?;
        }
        let leaf = chain.first().and_then(|Der(der)| authority::inspect(der)).ok_or_else(malformed)?;
        if leaf.not_after < now {
            return Err(ImportCertificateRefusal::Expired { not_after: leaf.not_after });
        }
        Ok(Self { chain, key: leaf.key, not_after: leaf.not_after })
    }

    /// Returns the subject of the server's certificate, for people.
    pub fn subject(&self) -> String {
        let leaf = self.chain.first().and_then(|Der(der)| X509Certificate::from_der(der).ok());
        leaf.map(|(_, leaf)| trusted::subject(&leaf)).unwrap_or_default()
    }

    /// Returns the SHA-256 of the server's certificate, as `AB:CD:…`.
    pub fn fingerprint(&self) -> String {
        self.chain.first().map(|Der(der)| authority::fingerprint(der)).unwrap_or_default()
    }
}

/// Reads the one private key of a PEM file, of any kind that TLS takes; returns its DER.
///
/// # Errors
/// [`ImportCertificateRefusal`].
pub fn read_private_key(bytes: &[u8]) -> Result<Secret, ImportCertificateRefusal> {
    if bytes.len() > limits::SERVER_KEY_BYTES {
        return Err(ImportCertificateRefusal::TooLarge { len: bytes.len() });
    }
    let blocks = std::str::from_utf8(bytes).ok().and_then(pem::decode).unwrap_or_default();
    let encrypted = |text: &str| text.contains("ENCRYPTED");
    if std::str::from_utf8(bytes).is_ok_and(encrypted) {
        return Err(ImportCertificateRefusal::Encrypted);
    }
    let kinds = [pem::PRIVATE_KEY, "RSA PRIVATE KEY", "EC PRIVATE KEY"];
    let mut keys: Vec<Zeroizing<Vec<u8>>> = blocks
        .into_iter()
        .filter(|block| kinds.contains(&block.label.as_str()))
        .map(|block| block.bytes)
        .collect();
    match (keys.pop(), keys.len()) {
        (Some(key), 0) => Ok(Secret::from_zeroizing(key)),
        (None, _) => Err(ImportCertificateRefusal::Keys(0)),
        (Some(_), more) => Err(ImportCertificateRefusal::Keys(more + 1)),
    }
}

/// Holds the certificates by the names that the operator gave them.
pub(crate) type ImportedCertificates = BTreeMap<LocalName, ImportedCertificate>;
