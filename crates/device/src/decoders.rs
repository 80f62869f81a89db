//! The decoders of this crate that meet foreign bytes, opened to the fuzz targets alone.

use crate::keys::{SealingSecret, SoftwareKey, unwrap};
use zeroize::Zeroizing;

/// Reads a key file; returns the public half and the file as it would be written.
pub fn key_file(bytes: &[u8]) -> Option<([u8; 65], Zeroizing<Vec<u8>>)> {
    SoftwareKey::from_pem(bytes).map(|key| (key.public(), key.to_pem()))
}

/// Opens a sealed key file as the one of `what`.
pub fn sealed_file(secret: &SealingSecret, what: &str, bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    secret.open(what, bytes).ok()
}

/// Opens what a key in memory wrapped.
pub fn wrapped(key: &[u8; 32], bytes: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    unwrap(key, bytes)
}
