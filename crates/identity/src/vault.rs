//! The key files and how they are sealed under a passphrase.

use crate::secret::Secret;

/// Says how the keys in `DIR/keys/` are protected. The root keys are not: they belong into a safe.
#[derive(Clone)]
pub enum KeyProtection {
    /// By the mode of the files alone.
    FileMode,
    /// Encrypted under a passphrase (Argon2id, AES-256-GCM). Keys that still lie open are encrypted at the next open.
    Passphrase(Secret),
}

/// Says why a key cannot be read or kept.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] crate::files::FileError),
}
