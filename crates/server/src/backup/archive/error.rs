//! Why an archive cannot be read or written.

use keyward_store::ReadError;
use std::io;

/// Says what is wrong with an archive. The path of the file is for the caller to name.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is something else, or was packed again by another program.
    #[error("is no backup that Keyward wrote; give the file that `keyward store backup` made")]
    Foreign,
    /// A newer Keyward wrote it.
    #[error("has format {found}, this version reads up to {}; use Keyward {needs} or newer", super::FORMAT)]
    Newer {
        /// The format found.
        found: u32,
        /// The version that wrote it.
        needs: String,
    },
    /// Its end is missing.
    #[error("is cut off: its end is missing; use another backup, or copy this one again")]
    Cut,
    /// Something in it is not as it was written.
    #[error("is damaged: {0}; use another backup, or copy this one again")]
    Damaged(String),
    /// It cannot be decrypted, or stops to be what was encrypted.
    #[error(
        "cannot be decrypted to its end: it is damaged or cut off; use another backup, or copy this one again"
    )]
    Sealed,
    /// A file in it has a name that none can have.
    #[error("holds a file that no backup holds ({name:?}); nothing of it is used")]
    Name {
        /// The name.
        name: String,
    },
    /// Something in it is larger than it can be.
    #[error("is larger than any backup can be: {what}")]
    TooLarge {
        /// What.
        what: String,
    },
    /// The message store cannot be read.
    #[error("{0}; `keyward store check` says more, --without-messages leaves the messages out")]
    Store(#[from] ReadError),
    /// The system refused.
    #[error("{action}: {source}")]
    Io {
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
}

impl ArchiveError {
    pub(crate) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }

    /// Says what an error means that came from reading an archive.
    pub(crate) fn read(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::UnexpectedEof => Self::Cut,
            // What age says of a piece whose seal is broken, or of an end that is missing.
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => Self::Sealed,
            _ => Self::Io { action: "cannot be read", source: error },
        }
    }

    pub(crate) fn write(error: io::Error) -> Self {
        Self::Io { action: "cannot be written", source: error }
    }
}
