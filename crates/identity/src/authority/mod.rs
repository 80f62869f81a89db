//! The authorities of an installation: two roots that are never mixed, and what they sign.
//!
//! The *server root* signs only this server and is the trust anchor of every bundle. The *device root* signs only
//! clients and is never handed out: small TLS stacks ignore extended key usage and match no name when they connect to
//! an address, so that under one root a stolen device could play the server.
//!
//! Root keys exist here only while an installation is made; afterwards nothing in this crate opens them.

mod key;
mod profile;

pub(crate) use key::{PublicKey, SigningKey, key_id};
pub(crate) use profile::{Role, Validity, identity_uri};

use crate::{
    account::CertificateRecord,
    clock::WallTime,
    events::AuthorityCertificates,
    names::ServerName,
    secret::{NoRandomness, Secret, random},
    trusted::{LocalName, TrustedAuthority},
};
use keyward_ids::{CertSerial, Identity, InstallationId, KeyId};
use rcgen::{CertificateParams, Issuer, PublicKeyData};
use std::{collections::BTreeMap, time::Duration};
use x509_parser::prelude::{FromDer, X509Certificate};

const DAY: Duration = Duration::from_secs(86_400);

/// How long before it is issued a certificate begins to be valid, for clocks that are behind.
pub(crate) const BACKDATED: Duration = DAY;

/// Sets how long certificates are valid, in days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetimes {
    /// The two roots.
    pub root: u32,
    /// The two issuing authorities.
    pub issuing: u32,
    /// The server's own certificate.
    pub server: u32,
    /// Devices and users, unless the command says otherwise. Nothing renews them by itself yet. Also the most that a
    /// command may ask for.
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
    /// The leaf's serial number, key and validity.
    pub certificate: CertificateRecord,
    /// The names in the leaf.
    pub names: Vec<ServerName>,
}

impl ServerIdentity {
    /// Tells whether two thirds of the certificate's life are over.
    pub fn is_due(&self, now: WallTime) -> bool {
        now >= self.certificate.due()
    }

    /// Returns how many bytes the Certificate message of TLS 1.2 takes, with its header (RFC 5246 §7.4.2).
    pub fn certificate_message_bytes(&self) -> usize {
        const HEADER: usize = 4;
        const LENGTH: usize = 3;
        HEADER + LENGTH + self.chain.iter().map(|der| LENGTH + der.len()).sum::<usize>()
    }
}

/// Holds what the server accepts clients under.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// The server root, in DER: what clients verify the server under.
    pub server_root: Vec<u8>,
    /// The device root, in DER: the one anchor of the client verifier.
    pub device_root: Vec<u8>,
    /// The device issuing authority, in DER: for clients that send their leaf alone.
    pub device_issuing: Vec<u8>,
    /// Authorities of others, those too that are not confirmed since a restore.
    pub others: BTreeMap<LocalName, TrustedAuthority>,
}

/// Returns the SHA-256 fingerprint of a certificate in DER, as `AB:CD:…`.
pub fn fingerprint(der: &[u8]) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, der);
    let hex: Vec<String> = digest.as_ref().iter().map(|byte| format!("{byte:02X}")).collect();
    hex.join(":")
}

/// Says why a certificate cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SigningError {
    #[error("the authority is valid until {0} only")]
    Expired(WallTime),
    #[error(transparent)]
    NoRandomness(#[from] NoRandomness),
    #[error(transparent)]
    Encoding(#[from] rcgen::Error),
}

/// Reads serial number, key and validity of a certificate in DER.
pub(crate) fn inspect(der: &[u8]) -> Option<CertificateRecord> {
    let (rest, certificate) = X509Certificate::from_der(der).ok()?;
    let wall = |secs: i64| u64::try_from(secs).ok().map(|secs| WallTime(secs.saturating_mul(1_000)));
    let tbs = &certificate.tbs_certificate;
    Some(CertificateRecord {
        serial: CertSerial::from_bytes(tbs.raw_serial()).filter(|_| rest.is_empty())?,
        key: key_id(tbs.subject_pki.raw),
        not_before: wall(tbs.validity.not_before.timestamp())?,
        not_after: wall(tbs.validity.not_after.timestamp())?,
        renews: None,
    })
}

/// Draws a serial number of 16 bytes: positive, without a sign byte, 126 random bits.
pub(crate) fn draw_serial() -> Result<CertSerial, NoRandomness> {
    let mut bytes: [u8; 16] = random()?;
    bytes[0] = bytes[0] & 0x7f | 0x40;
    CertSerial::from_bytes(&bytes).ok_or(NoRandomness)
}

/// Reckons a validity that begins a day early, for devices whose clocks are late, and ends with its issuer's.
pub(crate) fn validity(now: WallTime, days: u32, issuer_end: WallTime) -> Result<Validity, SigningError> {
    let whole = |time: WallTime| WallTime(time.as_secs() * 1_000);
    if now >= issuer_end {
        return Err(SigningError::Expired(issuer_end));
    }
    Ok(Validity {
        not_before: whole(now.before(BACKDATED)),
        not_after: whole(now.after(DAY * days)).min(issuer_end),
    })
}

/// Holds an authority that signs: its certificate and key.
pub(crate) struct Authority {
    der: Vec<u8>,
    record: CertificateRecord,
    key: SigningKey,
}

impl Authority {
    /// Puts a certificate and a key together. `None` if they do not belong to each other.
    pub(crate) fn new(der: &[u8], key: SigningKey) -> Option<Self> {
        let record = inspect(der)?;
        (record.key == key.id()).then(|| Self { der: der.to_vec(), record, key })
    }

    pub(crate) fn der(&self) -> &[u8] {
        &self.der
    }

    pub(crate) fn not_after(&self) -> WallTime {
        self.record.not_after
    }

    pub(crate) fn key(&self) -> &SigningKey {
        &self.key
    }

    fn sign(&self, params: &CertificateParams, key: &impl PublicKeyData) -> Result<Vec<u8>, SigningError> {
        let issuer = Issuer::from_ca_cert_der(&self.der.as_slice().into(), &self.key)?;
        Ok(params.signed_by(key, &issuer)?.der().to_vec())
    }

    /// Signs the certificate of a device or user.
    pub(crate) fn certify_client(
        &self,
        installation: &InstallationId,
        identity: &Identity,
        key: &PublicKey,
        serial: &CertSerial,
        validity: Validity,
    ) -> Result<Vec<u8>, SigningError> {
        self.sign(&profile::client(installation, identity, serial, validity)?, key)
    }

    /// Signs the server's certificate.
    pub(crate) fn certify_server(
        &self,
        names: &[ServerName],
        key: &SigningKey,
        serial: &CertSerial,
        validity: Validity,
    ) -> Result<Vec<u8>, SigningError> {
        self.sign(&profile::server(names, serial, validity)?, key)
    }

    fn root(
        role: Role,
        installation: &InstallationId,
        now: WallTime,
        days: u32,
    ) -> Result<Self, SigningError> {
        let key = SigningKey::generate()?;
        let params =
            profile::authority(role, installation, &draw_serial()?, validity(now, days, WallTime(u64::MAX))?);
        let der = params.self_signed(&key)?.der().to_vec();
        Self::new(&der, key).ok_or(SigningError::Encoding(rcgen::Error::CouldNotParseCertificate))
    }

    fn issuing(
        &self,
        role: Role,
        installation: &InstallationId,
        now: WallTime,
        days: u32,
    ) -> Result<Self, SigningError> {
        let key = SigningKey::generate()?;
        let validity = validity(now, days, self.not_after())?;
        let der = self.sign(&profile::authority(role, installation, &draw_serial()?, validity), &key)?;
        Self::new(&der, key).ok_or(SigningError::Encoding(rcgen::Error::CouldNotParseCertificate))
    }
}

/// Holds the four authorities while an installation is made.
pub(crate) struct NewAuthorities {
    pub(crate) server_root: Authority,
    pub(crate) server_issuing: Authority,
    pub(crate) device_root: Authority,
    pub(crate) device_issuing: Authority,
}

impl NewAuthorities {
    /// Makes the two roots and below each its issuing authority.
    pub(crate) fn make(
        installation: &InstallationId,
        now: WallTime,
        lifetimes: Lifetimes,
    ) -> Result<Self, SigningError> {
        let server_root = Authority::root(Role::ServerRoot, installation, now, lifetimes.root)?;
        let device_root = Authority::root(Role::DeviceRoot, installation, now, lifetimes.root)?;
        Ok(Self {
            server_issuing: server_root.issuing(Role::ServerIssuing, installation, now, lifetimes.issuing)?,
            device_issuing: device_root.issuing(Role::DeviceIssuing, installation, now, lifetimes.issuing)?,
            server_root,
            device_root,
        })
    }

    /// Copies the certificates.
    pub(crate) fn certificates(&self) -> AuthorityCertificates {
        AuthorityCertificates {
            server_root: self.server_root.der().to_vec(),
            server_issuing: self.server_issuing.der().to_vec(),
            device_root: self.device_root.der().to_vec(),
            device_issuing: self.device_issuing.der().to_vec(),
        }
    }
}

impl AuthorityCertificates {
    /// Returns the certificate of one authority in DER.
    pub(crate) fn of(&self, role: Role) -> &[u8] {
        match role {
            Role::ServerRoot => &self.server_root,
            Role::ServerIssuing => &self.server_issuing,
            Role::DeviceRoot => &self.device_root,
            Role::DeviceIssuing => &self.device_issuing,
        }
    }

    /// Returns the public keys of all four.
    pub(crate) fn keys(&self) -> Vec<KeyId> {
        Role::ALL.iter().filter_map(|role| inspect(self.of(*role))).map(|record| record.key).collect()
    }
}

/// Holds what signs while the broker runs.
pub(crate) struct Signers {
    pub(crate) server_issuing: Authority,
    pub(crate) device_issuing: Authority,
    pub(crate) server_key: SigningKey,
}
