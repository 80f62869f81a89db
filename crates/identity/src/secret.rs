//! Bytes that must not be printed, logged or left in memory.

use aws_lc_rs::rand;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// Holds a secret text or key. It has no `Debug`, is compared by nobody and is overwritten when dropped.
///
/// It can be serialised, because commands and their outcomes cross the local control socket; no ledger event has a
/// field of this type.
#[derive(Clone)]
pub struct Secret(Zeroizing<Vec<u8>>);

impl Secret {
    /// Takes the bytes over.
    pub fn new(bytes: Vec<u8>) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Takes bytes over that are overwritten when dropped already.
    pub fn from_zeroizing(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// Shows the bytes to the one place that needs them.
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// Shows the secret as text; empty if it is not UTF-8.
    pub fn expose_text(&self) -> &str {
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        crate::wire::base64::serialize(self.expose(), serializer)
    }
}

impl<'de> Deserialize<'de> for Secret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        crate::wire::base64::deserialize::<Vec<u8>, D>(deserializer).map(Self::new)
    }
}

/// Says that the system gave no random bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the system gave no random bytes; nothing secret can be made now")]
pub struct NoRandomness;

/// Draws `N` random bytes.
pub(crate) fn random<const N: usize>() -> Result<[u8; N], NoRandomness> {
    let mut bytes = [0; N];
    rand::fill(&mut bytes).map_err(|_| NoRandomness)?;
    Ok(bytes)
}

/// 32 symbols that people do not confuse: no `l`, `o`, `0`, `1`.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";

/// Draws a text of 26 symbols: 130 bits.
pub(crate) fn random_text() -> Result<Secret, NoRandomness> {
    let bytes = Zeroizing::new(random::<26>()?);
    Ok(Secret::new(bytes.iter().map(|byte| ALPHABET[usize::from(byte & 31)]).collect()))
}
