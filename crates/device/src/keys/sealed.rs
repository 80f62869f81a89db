//! Key files that open only with a secret that is not beside them.
//!
//! ```text
//! keyward-sealed-1   16 bytes, what it is
//! salt               32 bytes, drawn for each file
//! check              8 bytes of HKDF-SHA256(salt, secret, "keyward sealed file 1 check"): tells a wrong secret from a damaged file
//! nonce, content, tag   AES-256 in GCM, 12 + n + 16; key HKDF-SHA256(salt, secret, "keyward sealed file 1 " ‖ what the file holds)
//! ```
//!
//! What a file holds goes into its key, so that no file opens in the place of another.

use super::KeyError;
use super::random::{self, draw};
use super::software;
use crate::limits::{SEALING_SECRET_BYTES, SEALING_SECRET_BYTES_LEAST};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Salt};
use std::fmt;
use zeroize::Zeroizing;

const MAGIC: &[u8; 16] = b"keyward-sealed-1";
const SALT_BYTES: usize = 32;
const CHECK_BYTES: usize = 8;

/// Holds the secret under which key files are sealed; wiped when dropped.
pub struct SealingSecret(Zeroizing<Vec<u8>>);

impl SealingSecret {
    /// Takes a secret of 32 to 4,096 bytes that nobody can guess: `head -c 32 /dev/urandom`, not a word. Every byte of it counts.
    ///
    /// # Errors
    /// [`KeyError::Invalid`] if it is shorter or longer.
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Result<Self, KeyError> {
        if (SEALING_SECRET_BYTES_LEAST..=SEALING_SECRET_BYTES).contains(&bytes.len()) {
            return Ok(Self(bytes));
        }
        Err(KeyError::Invalid {
            what: "the sealing secret".to_owned(),
            problem: format!(
                "has {} bytes; it needs {SEALING_SECRET_BYTES_LEAST} to {SEALING_SECRET_BYTES} random ones, \
                 for a copied disk can be searched as long as one likes: head -c 32 /dev/urandom",
                bytes.len()
            ),
        })
    }

    /// Seals what is to be known as `what`.
    pub(super) fn close(&self, what: &str, plain: &[u8]) -> Result<Vec<u8>, KeyError> {
        let salt = draw::<SALT_BYTES>()?;
        let (check, key) = self.derive(&salt, what).ok_or_else(random::no_randomness)?;
        let body = software::close(&key, draw()?, MAGIC, plain).ok_or_else(random::no_randomness)?;
        Ok([&MAGIC[..], &salt, &check, &body].concat())
    }

    /// Opens what [`close`](Self::close) sealed.
    pub(crate) fn open(&self, what: &str, sealed: &[u8]) -> Result<Zeroizing<Vec<u8>>, Unopened> {
        let sealed = sealed.strip_prefix(MAGIC).ok_or(Unopened::Damaged)?;
        let (salt, sealed) = sealed.split_first_chunk::<SALT_BYTES>().ok_or(Unopened::Damaged)?;
        let (written, body) = sealed.split_first_chunk::<CHECK_BYTES>().ok_or(Unopened::Damaged)?;
        let (check, key) = self.derive(salt, what).ok_or(Unopened::Damaged)?;
        if check != *written {
            return Err(Unopened::OtherSecret);
        }
        software::open(&key, MAGIC, body).ok_or(Unopened::Damaged)
    }

    fn derive(&self, salt: &[u8], what: &str) -> Option<([u8; CHECK_BYTES], Zeroizing<[u8; 32]>)> {
        let derived = Salt::new(HKDF_SHA256, salt).extract(&self.0);
        let (mut check, mut key) = ([0; CHECK_BYTES], Zeroizing::new([0; 32]));
        derived.expand(&[b"keyward sealed file 1 check"], Bytes(CHECK_BYTES)).ok()?.fill(&mut check).ok()?;
        let about = [&b"keyward sealed file 1 "[..], what.as_bytes()];
        derived.expand(&about, Bytes(32)).ok()?.fill(&mut *key).ok()?;
        Some((check, key))
    }
}

impl fmt::Debug for SealingSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SealingSecret")
    }
}

/// Asks HKDF for so many bytes.
#[derive(Debug, Clone, Copy)]
struct Bytes(usize);

impl KeyType for Bytes {
    fn len(&self) -> usize {
        self.0
    }
}

/// Says why a sealed file does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unopened {
    /// It was sealed under another secret.
    OtherSecret,
    /// It is no sealed file, or was changed.
    Damaged,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn secret(byte: u8) -> SealingSecret {
        SealingSecret::new(Zeroizing::new(vec![byte; 32])).unwrap()
    }

    #[test]
    fn what_is_sealed_opens_with_its_secret_in_its_place_and_unchanged() {
        let sealed = secret(1).close("tls", b"a key").unwrap();
        assert_eq!(**secret(1).open("tls", &sealed).unwrap(), *b"a key");
        assert_eq!(secret(2).open("tls", &sealed).err(), Some(Unopened::OtherSecret));
        assert_eq!(secret(1).open("message", &sealed).err(), Some(Unopened::Damaged));
        for at in 0..sealed.len() {
            let mut other = sealed.clone();
            other[at] ^= 1;
            assert!(secret(1).open("tls", &other).is_err(), "byte {at}");
            assert!(secret(1).open("tls", &sealed[..at]).is_err(), "{at} bytes");
        }
        assert!(!sealed.windows(5).any(|bytes| bytes == b"a key"));
        assert_ne!(sealed, secret(1).close("tls", b"a key").unwrap());
    }

    /// The file was made by another library.
    #[test]
    fn the_form_is_the_one_that_is_written_down() {
        let sealed = include_bytes!("../../../fuzz/seeds/key_files/sealed");
        assert_eq!(**secret(7).open("tls", sealed).unwrap(), *b"what was sealed\n");
    }

    #[test]
    fn a_secret_that_could_be_guessed_is_refused() {
        for len in [0, 31, 4_097] {
            let error = SealingSecret::new(Zeroizing::new(vec![b'x'; len])).unwrap_err().to_string();
            assert!(error.contains("/dev/urandom") && !error.contains('x'), "{error}");
        }
    }
}
