//! The key of a folder: 32 random bytes, on disk only as the key store closed them.

use crate::disk::Directory;
use crate::keys::{KeyError, KeyStore};
use crate::limits::WRAPPED_KEY_BYTES;
use crate::state::StateError;
use aws_lc_rs::rand;
use std::fmt;
use std::io;
use zeroize::Zeroizing;

/// The file that holds it.
const FILE: &str = "key";

/// Is the secret from which the keys of a folder's segments are derived.
pub(crate) struct Master(Zeroizing<[u8; 32]>);

impl fmt::Debug for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Master(..)")
    }
}

impl Master {
    pub(crate) fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Takes a key that was drawn.
    pub(crate) fn from_bytes(bytes: &[u8; 32]) -> Self {
        Self(Zeroizing::new(*bytes))
    }

    /// Opens the key of a folder; nothing if it has none.
    ///
    /// # Errors
    /// [`StateError::OtherKeys`] if it was closed by another key store.
    pub(crate) fn open(dir: &dyn Directory, keys: &dyn KeyStore) -> Result<Option<Self>, StateError> {
        let wrapped = dir.read_whole(FILE, WRAPPED_KEY_BYTES);
        let wrapped = wrapped.map_err(|e| StateError::disk(&dir.path().join(FILE), "read", e))?;
        let Some(wrapped) = wrapped else { return Ok(None) };
        match keys.unwrap(&wrapped) {
            Err(KeyError::Foreign) => Err(StateError::OtherKeys { folder: dir.path().to_owned() }),
            opened => Ok(Some(Self(opened?))),
        }
    }

    /// Draws a key.
    pub(crate) fn draw() -> Result<Self, StateError> {
        let mut secret = Zeroizing::new([0; 32]);
        let drawn = rand::fill(&mut *secret);
        drawn.map_err(|_| {
            let source = io::Error::other("the system gives none");
            StateError::disk("/dev/urandom".as_ref(), "draw random bytes", source)
        })?;
        Ok(Self(secret))
    }

    /// Keeps the key in a folder, durable when this returns.
    pub(crate) fn store(&self, dir: &dyn Directory, keys: &dyn KeyStore) -> Result<(), StateError> {
        let wrapped = keys.wrap(&self.0)?;
        dir.replace(FILE, &wrapped).map_err(|e| StateError::disk(&dir.path().join(FILE), "write", e))
    }

    /// Destroys the key of a folder: overwritten, then removed.
    pub(crate) fn erase(dir: &dyn Directory) -> Result<(), StateError> {
        let erased = || -> io::Result<()> {
            if let Some(size) = dir.size(FILE)? {
                let len = usize::try_from(size).unwrap_or(WRAPPED_KEY_BYTES).min(WRAPPED_KEY_BYTES);
                dir.write(FILE, 0, &vec![0; len])?;
                dir.sync(FILE)?;
            }
            dir.remove(FILE)?;
            dir.sync_names()
        };
        erased().map_err(|e| StateError::disk(&dir.path().join(FILE), "erase", e))
    }
}
