//! Why a backup cannot be made or used.

use super::archive::ArchiveError;
use super::seal::SealError;
use crate::control::{CallError, Refusal};
use keyward_broker::persist::RecoveryError;
use keyward_engine::OpenError;
use keyward_identity::files::FileError;
use keyward_identity::restore;
use keyward_store::{Broken, ReadError};
use std::path::{Path, PathBuf};

/// Says why a backup was not made or not put back. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The file is there already.
    #[error("{}: exists already and is not overwritten; choose another name, or give --force", .0.display())]
    Exists(PathBuf),
    /// The file cannot be decrypted.
    #[error("{}: {error}", .path.display())]
    Seal {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: SealError,
    },
    /// The file is no good.
    #[error("{}: {error}", .path.display())]
    Archive {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: ArchiveError,
    },
    /// An archive cannot be read or written; the file is named on the way up.
    #[error("{0}")]
    Unnamed(#[from] ArchiveError),
    /// A rule file has a name that a backup cannot hold.
    #[error("{}: a backup holds no file of this name; give it a shorter one (90 bytes), without backslashes", .0.display())]
    Unfit(PathBuf),
    /// A file or folder cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The installation refused, or cannot be reached.
    #[error(transparent)]
    Call(#[from] CallError),
    /// The message store cannot be opened.
    #[error("{0}; --without-messages makes a backup of everything else")]
    Open(OpenError),
    /// The new message store cannot be made.
    #[error("the message store could not be restored: {0}; nothing was changed")]
    Making(String),
    /// A broker runs.
    #[error("a broker runs in {}: stop it, then restore", .0.display())]
    Running(PathBuf),
    /// The backup is another installation's.
    #[error(
        "{}: is a backup of installation {found}, but {} holds {expected}; nothing was changed: choose a backup of \
         this installation, or restore into another directory (--dir)", .path.display(), .home.display()
    )]
    OtherInstallation {
        /// Which file.
        path: PathBuf,
        /// Whose it is.
        found: String,
        /// The directory.
        home: PathBuf,
        /// What is there.
        expected: String,
    },
    /// There are no messages in it.
    #[error("{}: holds no sessions and messages; it was made without them", .0.display())]
    NoMessages(PathBuf),
    /// The file changed between two looks.
    #[error("{}: changed while it was read; nothing was changed: try again", .0.display())]
    Changed(PathBuf),
    /// The ledger cannot be restored.
    #[error(transparent)]
    Ledger(Box<restore::RestoreError>),
    /// The list of what was revoked is no good.
    #[error(transparent)]
    List(#[from] restore::ListError),
}

impl BackupError {
    pub(super) fn seal(path: &Path, error: SealError) -> Self {
        Self::Seal { path: path.to_owned(), error }
    }

    pub(super) fn archive(path: &Path, error: ArchiveError) -> Self {
        Self::Archive { path: path.to_owned(), error }
    }
}

impl From<Refusal> for BackupError {
    fn from(refusal: Refusal) -> Self {
        Self::Call(refusal.into())
    }
}

impl From<restore::RestoreError> for BackupError {
    fn from(error: restore::RestoreError) -> Self {
        Self::Ledger(Box::new(error))
    }
}

impl From<ReadError> for BackupError {
    fn from(error: ReadError) -> Self {
        Self::Unnamed(error.into())
    }
}

impl From<Broken> for BackupError {
    fn from(error: Broken) -> Self {
        Self::Making(error.to_string())
    }
}

impl From<RecoveryError> for BackupError {
    fn from(error: RecoveryError) -> Self {
        Self::Making(error.to_string())
    }
}
