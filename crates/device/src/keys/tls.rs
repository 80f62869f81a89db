//! Shows a key store to TLS.

use super::{Generation, KeyError, KeyStore, Role};
use aws_lc_rs::digest::{SHA256, digest};
use rustls::pki_types::{SubjectPublicKeyInfoDer, alg_id};
use rustls::sign::{Signer, SigningKey, public_key_to_spki};
use rustls::{SignatureAlgorithm, SignatureScheme};
use std::sync::Arc;

/// Signs TLS handshakes with the key of [`Role::Tls`]: ECDSA on P-256 with SHA-256, in TLS 1.2 and 1.3.
#[derive(Debug, Clone)]
pub struct TlsSigner {
    store: Arc<dyn KeyStore>,
    generation: Generation,
    public: [u8; 65],
}

impl TlsSigner {
    /// Takes the key of a generation.
    ///
    /// # Errors
    /// [`KeyError`] if there is none.
    pub fn new(store: Arc<dyn KeyStore>, generation: Generation) -> Result<Self, KeyError> {
        let public = store.public(Role::Tls, generation)?;
        Ok(Self { store, generation, public })
    }
}

impl SigningKey for TlsSigner {
    fn choose_scheme(&self, offered: &[SignatureScheme]) -> Option<Box<dyn Signer>> {
        let fits = offered.contains(&SignatureScheme::ECDSA_NISTP256_SHA256);
        fits.then(|| Box::new(self.clone()) as Box<dyn Signer>)
    }

    fn public_key(&self) -> Option<SubjectPublicKeyInfoDer<'_>> {
        Some(public_key_to_spki(&alg_id::ECDSA_P256, self.public))
    }

    fn algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::ECDSA
    }
}

impl Signer for TlsSigner {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rustls::Error> {
        let signature = sign_message(&*self.store, self.generation, message);
        signature.map_err(|error| rustls::Error::General(format!("the key for TLS cannot sign: {error}")))
    }

    fn scheme(&self) -> SignatureScheme {
        SignatureScheme::ECDSA_NISTP256_SHA256
    }
}

/// Hashes and signs with the key of [`Role::Tls`], and writes the signature as X.509 and TLS have it.
pub(super) fn sign_message(
    store: &dyn KeyStore,
    generation: Generation,
    message: &[u8],
) -> Result<Vec<u8>, KeyError> {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, message).as_ref());
    Ok(signature_to_der(&store.sign(Role::Tls, generation, &hash)?))
}

/// Writes r‖s as `Ecdsa-Sig-Value`, a sequence of two integers (RFC 3279 §2.2.3).
fn signature_to_der(signature: &[u8; 64]) -> Vec<u8> {
    let (r, s) = signature.split_at(32);
    let mut out = vec![0x30, 0];
    put_integer(&mut out, r);
    put_integer(&mut out, s);
    // Two integers of 35 bytes at most: the length fits into one byte.
    let len = u8::try_from(out.len() - 2).unwrap_or_default();
    if let Some(place) = out.get_mut(1) {
        *place = len;
    }
    out
}

/// Writes a number as DER has it: without zeros before it, and with one where it would be negative.
fn put_integer(out: &mut Vec<u8>, number: &[u8]) {
    let zeros = number.iter().take_while(|byte| **byte == 0).count().min(number.len().saturating_sub(1));
    let number = number.get(zeros..).unwrap_or_default();
    let negative = number.first().is_some_and(|first| first & 0x80 != 0);
    out.push(2);
    out.push(u8::try_from(number.len() + usize::from(negative)).unwrap_or_default());
    if negative {
        out.push(0);
    }
    out.extend_from_slice(number);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_signature_is_written_in_the_one_form_of_der() {
        let mut signature = [0; 64];
        signature[31] = 1;
        signature[32] = 0x80;
        let mut expected = vec![0x30, 3 + 35, 2, 1, 1, 2, 33, 0, 0x80];
        expected.extend_from_slice(&[0; 31]);
        assert_eq!(signature_to_der(&signature), expected);
        assert_eq!(signature_to_der(&[0; 64]), [0x30, 6, 2, 1, 0, 2, 1, 0]);
        assert_eq!(signature_to_der(&[0xff; 64]).len(), 72);
    }
}
