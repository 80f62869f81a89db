//! The server's key file for the fuzz targets: sealed at costs that leave time for many.

use super::{HEAD_LEN, Head, Kept, KeyFile, KeyProtection, MOST, SEALED, Seal, Secret, Vault, only_block};
use crate::pem;
use std::path::Path;

/// Is what a key file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeyFileContent {
    /// Nothing that can be read, for this reason.
    Refused(String),
    /// A sealed key that would take this share of the bound to open: it was not tried.
    Costly {
        /// Of the most memory, in percent.
        memory: u32,
        /// Of the most passes, in percent.
        passes: u32,
        /// Of the most lanes, in percent.
        lanes: u32,
    },
    /// A key that lay open.
    Open(Vec<u8>),
    /// A key that the passphrase opened.
    Sealed(Vec<u8>),
}

fn sealed_head(text: &[u8]) -> Option<Head> {
    let block = only_block(text).filter(|block| block.label == SEALED)?;
    block.bytes.first_chunk::<HEAD_LEN>().map(|head| Head(*head))
}

pub(crate) fn read(text: &[u8], passphrase: &str) -> KeyFileContent {
    if let Some(costs) = sealed_head(text).and_then(|head| head.costs())
        && (costs.m_cost() > 64 || costs.t_cost() > 2)
    {
        let share = |cost: u32, most: u32| (u64::from(cost) * 100).div_ceil(most.into()) as u32;
        return KeyFileContent::Costly {
            memory: share(costs.m_cost(), MOST.0),
            passes: share(costs.t_cost(), MOST.1),
            lanes: share(costs.p_cost(), MOST.2),
        };
    }
    let protection = KeyProtection::Passphrase(Secret::new(passphrase.as_bytes().to_vec()));
    let read = Vault::new(Path::new("keys"), protection).and_then(|mut v| v.read(KeyFile::Server, text));
    match read {
        Ok(Kept::Open(key)) => KeyFileContent::Open(key.to_vec()),
        Ok(Kept::Sealed(key)) => KeyFileContent::Sealed(key.to_vec()),
        Err(error) => KeyFileContent::Refused(error.to_string()),
    }
}

/// Seals a key under 8 KiB and one pass.
pub(crate) fn seal(key: &[u8], passphrase: &str) -> Option<Vec<u8>> {
    let mut head = Head([7; HEAD_LEN]);
    head.0[..13].copy_from_slice(&[1, 8, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0]);
    let passphrase = Secret::new(passphrase.as_bytes().to_vec());
    let current = Some((head, head.stretch(&passphrase).ok()?));
    let plain = pem::encode(KeyFile::Server.label(), key);
    Seal { passphrase, current }.close(KeyFile::Server, plain.as_bytes()).ok()
}

/// Returns the file around a sealed key.
pub(crate) fn wrap(sealed: &[u8]) -> Vec<u8> {
    pem::encode(SEALED, sealed).as_bytes().to_vec()
}
