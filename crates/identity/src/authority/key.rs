//! Key pairs that Keyward makes, and public keys that others hand in.

use crate::{
    pem,
    secret::{NoRandomness, Secret},
};
use aws_lc_rs::{
    digest,
    encoding::{AsBigEndian as _, EcPrivateKeyBin},
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair},
};
use keyward_ids::KeyId;
use rcgen::{PublicKeyData, SignatureAlgorithm};

/// Returns the name of a public key: the SHA-256 of its DER `SubjectPublicKeyInfo`.
pub(crate) fn key_id(spki: &[u8]) -> KeyId {
    let mut bytes = [0; 32];
    bytes.copy_from_slice(digest::digest(&digest::SHA256, spki).as_ref());
    KeyId::new(bytes)
}

/// Holds a P-256 key pair.
pub(crate) struct SigningKey {
    pair: EcdsaKeyPair,
    pkcs8: Secret,
}

impl SigningKey {
    /// Makes a key pair.
    pub(crate) fn generate() -> Result<Self, NoRandomness> {
        let document = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, &SystemRandom::new())
            .map_err(|_| NoRandomness)?;
        Self::from_pkcs8(document.as_ref()).ok_or(NoRandomness)
    }

    /// Reads a key pair from PKCS #8 in DER.
    pub(crate) fn from_pkcs8(der: &[u8]) -> Option<Self> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_ASN1_SIGNING, der).ok()?;
        Some(Self { pair, pkcs8: Secret::new(der.to_vec()) })
    }

    /// Returns the key as PKCS #8 in DER.
    pub(crate) fn pkcs8(&self) -> &Secret {
        &self.pkcs8
    }

    /// Returns the key as PKCS #8 in PEM.
    pub(crate) fn to_pem(&self) -> Secret {
        pem::encode_secret(pem::PRIVATE_KEY, self.pkcs8.expose())
    }

    /// Returns the secret number, 32 bytes big-endian.
    pub(crate) fn secret_number(&self) -> Option<Secret> {
        let number: EcPrivateKeyBin = self.pair.private_key().as_be_bytes().ok()?;
        Some(Secret::new(number.as_ref().to_vec()))
    }

    pub(crate) fn id(&self) -> KeyId {
        key_id(&self.subject_public_key_info())
    }
}

impl PublicKeyData for SigningKey {
    fn der_bytes(&self) -> &[u8] {
        self.pair.public_key().as_ref()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &rcgen::PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for SigningKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature =
            self.pair.sign(&SystemRandom::new(), message).map_err(|_| rcgen::Error::RingUnspecified)?;
        Ok(signature.as_ref().to_vec())
    }
}

/// Holds a public key that somebody handed in.
#[derive(Debug)]
pub(crate) struct PublicKey(rcgen::SubjectPublicKeyInfo);

impl PublicKey {
    /// Reads a DER `SubjectPublicKeyInfo`. `None` if it is of an unknown kind or not written in the one form that
    /// goes into certificates: a key must not have two names.
    pub(crate) fn from_spki(der: &[u8]) -> Option<Self> {
        let info = rcgen::SubjectPublicKeyInfo::from_der(der).ok()?;
        (info.subject_public_key_info() == der).then_some(Self(info))
    }

    /// Copies the public half of a key pair.
    pub(crate) fn of(pair: &SigningKey) -> Option<Self> {
        Self::from_spki(&pair.subject_public_key_info())
    }

    pub(crate) fn id(&self) -> KeyId {
        key_id(&self.0.subject_public_key_info())
    }
}

impl PublicKeyData for PublicKey {
    fn der_bytes(&self) -> &[u8] {
        self.0.der_bytes()
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        self.0.algorithm()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_pkcs8() {
        let key = SigningKey::generate().unwrap();
        let again = SigningKey::from_pkcs8(key.pkcs8().expose()).unwrap();
        assert_eq!(key.id(), again.id());
        assert_eq!(PublicKey::of(&key).unwrap().id(), key.id());
    }

    #[test]
    fn two_keys_have_two_names() {
        assert_ne!(SigningKey::generate().unwrap().id(), SigningKey::generate().unwrap().id());
    }
}
