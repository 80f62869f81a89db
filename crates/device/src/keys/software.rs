//! Keys in memory: one of P-256, and the one that wraps.

use super::KeyError;
use super::random::{draw, no_randomness};
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::agreement::{self, ECDH_P256, UnparsedPublicKey};
use aws_lc_rs::digest::{Digest, SHA256};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _, ParsedPublicKey,
};
use base64ct::{Base64, Encoding as _};
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use zeroize::Zeroizing;

/// Holds one key of P-256 as PKCS #8. The library wipes its own copy.
pub(crate) struct SoftwareKey {
    pkcs8: Zeroizing<Vec<u8>>,
    pair: EcdsaKeyPair,
    public: [u8; 65],
}

impl SoftwareKey {
    /// Makes a key.
    pub(crate) fn generate() -> Result<Self, KeyError> {
        let made = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
        let made = made.map_err(|_| no_randomness())?;
        Self::from_pkcs8(made.as_ref()).ok_or_else(no_randomness)
    }

    fn from_pkcs8(der: &[u8]) -> Option<Self> {
        let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, der).ok()?;
        let public = pair.public_key().as_ref().try_into().ok()?;
        Some(Self { pkcs8: Zeroizing::new(der.to_vec()), pair, public })
    }

    /// Reads a key as [`to_pem`](Self::to_pem) wrote it; `None` if it is none of P-256.
    pub(crate) fn from_pem(pem: &[u8]) -> Option<Self> {
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).ok()?;
        Self::from_pkcs8(der.secret_pkcs8_der())
    }

    /// Returns the key as PEM, as every tool reads it.
    pub(crate) fn to_pem(&self) -> Zeroizing<Vec<u8>> {
        let body = Zeroizing::new(Base64::encode_string(&self.pkcs8));
        let mut pem = Zeroizing::new(Vec::with_capacity(body.len() * 66 / 64 + 64));
        pem.extend_from_slice(b"-----BEGIN PRIVATE KEY-----\n");
        for line in body.as_bytes().chunks(64) {
            pem.extend_from_slice(line);
            pem.push(b'\n');
        }
        pem.extend_from_slice(b"-----END PRIVATE KEY-----\n");
        pem
    }

    pub(crate) fn public(&self) -> [u8; 65] {
        self.public
    }

    /// Signs a SHA-256 digest: r‖s.
    pub(crate) fn sign(&self, digest: &[u8; 32]) -> Option<[u8; 64]> {
        let digest = Digest::import_less_safe(digest, &SHA256).ok()?;
        self.pair.sign_digest(&digest).ok()?.as_ref().try_into().ok()
    }

    /// Returns the x coordinate of the common point; `None` if `peer` is not on the curve.
    pub(crate) fn agree(&self, peer: &[u8; 65]) -> Option<Zeroizing<[u8; 32]>> {
        let key = agreement::PrivateKey::from_private_key_der(&ECDH_P256, &self.pkcs8).ok()?;
        agreement::agree(&key, UnparsedPublicKey::new(&ECDH_P256, peer), (), |secret| {
            secret.try_into().map(Zeroizing::new).map_err(|_| ())
        })
        .ok()
    }
}

/// Tells whether `signature` (r‖s) is one of `digest` by the private half of `point`.
pub(super) fn verifies(point: &[u8; 65], digest: &[u8; 32], signature: &[u8; 64]) -> bool {
    let key = ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
    let digest = Digest::import_less_safe(digest, &SHA256);
    key.is_ok_and(|key| digest.is_ok_and(|digest| key.verify_digest_sig(&digest, signature).is_ok()))
}

/// Says what is closed, so that nothing else opens as it.
pub(super) const WRAPPED: &[u8] = b"keyward wrapped secret 1";

/// Closes 32 bytes under a key of 32: a nonce of 12, what is encrypted, a tag of 16 (AES-256 in GCM).
pub(crate) fn wrap(key: &[u8; 32], secret: &[u8; 32]) -> Result<Vec<u8>, KeyError> {
    close(key, draw()?, WRAPPED, secret).ok_or_else(no_randomness)
}

/// Opens what [`wrap`] closed.
pub(crate) fn unwrap(key: &[u8; 32], wrapped: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    let opened = open(key, WRAPPED, wrapped)?;
    opened.as_slice().try_into().map(Zeroizing::new).ok()
}

/// Encrypts; the result begins with the nonce.
pub(crate) fn close(key: &[u8; 32], nonce: [u8; NONCE_LEN], about: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
    // Room for everything at once: a vector that grows leaves copies behind.
    let mut out = Vec::with_capacity(NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
    out.extend_from_slice(&nonce);
    out.extend_from_slice(plain);
    let body = out.get_mut(NONCE_LEN..)?;
    let tag = key.seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), Aad::from(about), body);
    out.extend_from_slice(tag.ok()?.as_ref());
    Some(out)
}

/// Decrypts what [`close`] made; `None` if anything of it is another.
pub(crate) fn open(key: &[u8; 32], about: &[u8], closed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, key).ok()?);
    let (nonce, body) = closed.split_first_chunk::<NONCE_LEN>()?;
    let mut body = Zeroizing::new(body.to_vec());
    let plain = key.open_in_place(Nonce::assume_unique_for_key(*nonce), Aad::from(about), &mut body).ok()?;
    let len = plain.len();
    body.truncate(len);
    Some(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_survives_its_pem_and_agrees_with_the_other_library() {
        let key = SoftwareKey::generate().unwrap();
        let again = SoftwareKey::from_pem(&key.to_pem()).unwrap();
        assert_eq!(key.public(), again.public());
        let mut other = keyward_envelope::software::P256Agreement::from_secret(&[5; 32]).unwrap();
        let peer = other.public().to_sec1().unwrap();
        let ours = keyward_envelope::PublicKey::p256(&key.public()).unwrap();
        let theirs = keyward_envelope::Agreement::agree(&mut other, &ours).unwrap();
        assert_eq!(*again.agree(&peer).unwrap(), *theirs);
    }

    #[test]
    fn a_peer_beside_the_curve_is_refused() {
        let key = SoftwareKey::generate().unwrap();
        let mut peer = SoftwareKey::generate().unwrap().public();
        peer[64] ^= 1;
        assert!(key.agree(&peer).is_none());
    }

    #[test]
    fn what_is_wrapped_opens_under_its_key_alone_and_unchanged() {
        let wrapped = wrap(&[1; 32], &[2; 32]).unwrap();
        assert_eq!(*unwrap(&[1; 32], &wrapped).unwrap(), [2; 32]);
        assert!(unwrap(&[3; 32], &wrapped).is_none());
        for at in 0..wrapped.len() {
            let mut other = wrapped.clone();
            other[at] ^= 1;
            assert!(unwrap(&[1; 32], &other).is_none(), "byte {at}");
            assert!(unwrap(&[1; 32], &wrapped[..at]).is_none(), "{at} bytes");
        }
    }
}
