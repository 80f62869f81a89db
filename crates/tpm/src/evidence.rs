//! What a device sends to show that its keys live in a chip, and what follows from it.

use crate::{
    attest::{ATTEST_BYTES, Attested, Signature},
    crypto::sha256,
    public::{Name, PUBLIC_BYTES, Public},
    wire::Malformed,
};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use base64ct::{Base64, Encoding};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// The most that evidence has as JSON, in bytes.
pub const EVIDENCE_BYTES: usize = 6 * 1024;

/// The longest certificate of an endorsement key that is carried, in bytes.
const CERTIFICATE_BYTES: usize = 2048;

/// Shows that two keys live in one chip: the chip's attestation key says so, and a [challenge](crate::Challenge) shows whose that is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The chip's endorsement key: TPMT_PUBLIC.
    #[serde(with = "base64")]
    pub endorsement: Vec<u8>,
    /// The certificate of its maker for that key, DER, if the chip holds one. Nothing is concluded from it.
    #[serde(default, with = "optional_base64", skip_serializing_if = "Option::is_none")]
    pub endorsement_certificate: Option<Vec<u8>>,
    /// The key by which the chip attests: TPMT_PUBLIC.
    #[serde(with = "base64")]
    pub attestation: Vec<u8>,
    /// What it says of the key of the certificate.
    pub tls: Voucher,
    /// What it says of the key that signs messages.
    pub message: Voucher,
}

/// Is what a chip says of one key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Voucher {
    /// The key: TPMT_PUBLIC.
    #[serde(with = "base64")]
    pub public: Vec<u8>,
    /// What the chip says: TPMS_ATTEST.
    #[serde(with = "base64")]
    pub attest: Vec<u8>,
    /// Its signature: TPMT_SIGNATURE.
    #[serde(with = "base64")]
    pub signature: Vec<u8>,
}

/// Is what is true if the attestation key belongs to the chip with the endorsement key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vouched {
    pub(crate) endorsement: Public,
    pub(crate) attestation: Name,
    /// The key of the certificate, as SEC 1 writes it, uncompressed.
    pub tls: [u8; 65],
    /// The key that signs messages, likewise.
    pub message: [u8; 65],
}

/// Says why evidence shows nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Doubt {
    /// It cannot be read.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// The endorsement key is not one.
    #[error("the endorsement key is not one that a chip keeps and that only opens credentials")]
    Endorsement,
    /// The attestation key could sign anything, or leave the chip.
    #[error(
        "the attestation key is not one that a chip keeps and that signs nothing but its own words (restricted)"
    )]
    Attestation,
    /// A key could leave the chip, or came from outside.
    #[error("{0} is not one that the chip made, keeps for ever (fixedTPM, fixedParent) and only signs with")]
    Leaves(&'static str),
    /// The chip spoke of another key.
    #[error("what the chip says is about another key than {0}")]
    OtherKey(&'static str),
    /// It was made for somebody else.
    #[error("what the chip says was said for another device id, for another server, or for another use")]
    OtherUse,
    /// The signature does not verify.
    #[error("the attestation key did not sign what the chip is to have said of {0}")]
    Signature(&'static str),
}

impl Evidence {
    /// Returns what a chip is asked to put into its words, so that they mean nothing for another device or another server: who
    /// enrols, however it spells its id, and SHA-256 of the root certificate of the server.
    pub fn about(id: &str, root: &[u8; 32]) -> [u8; 32] {
        sha256(&[b"keyward enrolment of device:", id.to_ascii_lowercase().as_bytes(), b" at ", root])
    }

    /// Reads and judges all but one thing: that the attestation key is of the chip with the endorsement key. `about` is what
    /// [`Evidence::about`] returns.
    ///
    /// # Errors
    /// [`Doubt`] says what it does not show.
    pub fn judge(&self, about: &[u8; 32]) -> Result<Vouched, Doubt> {
        let endorsement = read_public(&self.endorsement)?;
        if !(endorsement.stays() && endorsement.endorses()) {
            return Err(Doubt::Endorsement);
        }
        if self.endorsement_certificate.as_ref().is_some_and(|der| der.len() > CERTIFICATE_BYTES) {
            return Err(Malformed("the certificate of the endorsement key is too long").into());
        }
        let attestation = read_public(&self.attestation)?;
        if !(attestation.stays() && attestation.attests_only()) {
            return Err(Doubt::Attestation);
        }
        let tls = self.tls.judge("the key of the certificate", &attestation, about)?;
        let message = self.message.judge("the key that signs messages", &attestation, about)?;
        Ok(Vouched { attestation: attestation.name(), endorsement, tls, message })
    }
}

impl Vouched {
    /// Returns SHA-256 of the endorsement key's `SubjectPublicKeyInfo`: by it people name the chip.
    pub fn fingerprint(&self) -> [u8; 32] {
        self.endorsement.key().fingerprint()
    }
}

impl Voucher {
    fn judge(&self, what: &'static str, signer: &Public, about: &[u8; 32]) -> Result<[u8; 65], Doubt> {
        let key = read_public(&self.public)?;
        if !(key.stays() && key.signs_only()) {
            return Err(Doubt::Leaves(what));
        }
        if self.attest.len() > ATTEST_BYTES {
            return Err(Malformed("an attestation is too long").into());
        }
        let signature = Signature::read(&self.signature)?;
        let signer = signer.point().ok_or(Doubt::Attestation)?;
        UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, signer)
            .verify(&self.attest, &signature.0)
            .map_err(|_| Doubt::Signature(what))?;
        let attested = Attested::read(&self.attest)?;
        if attested.name != key.name() {
            return Err(Doubt::OtherKey(what));
        }
        if attested.about != about {
            return Err(Doubt::OtherUse);
        }
        key.point().ok_or(Doubt::Leaves(what))
    }
}

fn read_public(bytes: &[u8]) -> Result<Public, Malformed> {
    match bytes.len() <= PUBLIC_BYTES {
        true => Public::read(bytes),
        false => Err(Malformed("a public area is too long")),
    }
}

/// Writes bytes as base64.
pub(crate) mod base64 {
    use super::*;

    pub(crate) fn serialize<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&Base64::encode_string(bytes))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u8>, D::Error> {
        let text = std::borrow::Cow::<str>::deserialize(deserializer)?;
        Base64::decode_vec(&text).map_err(|_| serde::de::Error::custom("it is not base64"))
    }
}

/// Writes bytes that may be absent as base64.
mod optional_base64 {
    use super::*;

    pub(super) fn serialize<S: Serializer>(
        bytes: &Option<Vec<u8>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        base64::serialize(bytes.as_deref().unwrap_or_default(), serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<Vec<u8>>, D::Error> {
        base64::deserialize(deserializer).map(Some)
    }
}
