//! What can go wrong with the state that a device keeps on disk.

use crate::keys::KeyError;
use keyward_files::FileError;
use std::io;
use std::path::{Path, PathBuf};

/// Says why something was not kept, or cannot be read. No text holds a secret.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The system refused. What was to be kept is not; what was kept before is.
    #[error("{}: cannot {action}: {source}", .path.display())]
    Disk {
        /// The folder or file.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The folder is missing, or open to others.
    #[error(transparent)]
    Folder(#[from] FileError),
    /// Somebody else has the folder.
    #[error("{}: in use by another process; a folder has one user at a time", .folder.display())]
    InUse {
        /// Which.
        folder: PathBuf,
    },
    /// The key store did not open the folder's key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// What is in the folder was sealed by other keys.
    #[error(
        "{}: this was sealed by another key store, or was changed since, and these keys do not open it: name the store that it was made \
         with (--keys, or `keys` in agent.toml). If those keys are gone, what is in it is gone too: begin in another folder",
        .folder.display()
    )]
    OtherKeys {
        /// Which.
        folder: PathBuf,
    },
    /// A file is not as it was written.
    #[error("{}: {problem}", .path.display())]
    Damaged {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong with it, and what to do.
        problem: String,
    },
    /// A write failed, and what it left could not be taken back.
    #[error("{}: a write failed and could not be taken back; nothing more is written until it is opened again", .folder.display())]
    Broken {
        /// Which.
        folder: PathBuf,
    },
    /// There is no room: nothing of the call was kept.
    #[error("{}: full: {what}; {help}", .folder.display())]
    Full {
        /// Which.
        folder: PathBuf,
        /// What there is too much of.
        what: String,
        /// What to do.
        help: &'static str,
    },
    /// Something is larger than it may be: nothing of the call was kept.
    #[error("{what} has {len} bytes, {most} are allowed; {help}")]
    TooLarge {
        /// What.
        what: &'static str,
        /// How large it is.
        len: usize,
        /// How large it may be.
        most: usize,
        /// What to do.
        help: &'static str,
    },
    /// The files are an older copy of what the hardware remembers, or the hardware was reset.
    #[error(
        "{}: this is another state than the last: its mark is {found}, the hardware counter says {counter}; somebody restored an old \
         copy, or cleared the chip; erase it and fill it anew, or put the newest files back",
        .folder.display()
    )]
    Rollback {
        /// Which.
        folder: PathBuf,
        /// The mark of the newest file that is there.
        found: u64,
        /// What the hardware counts.
        counter: u64,
    },
    /// Something is not there that has to be.
    #[error("{}: {problem}", .path.display())]
    Missing {
        /// The file or folder.
        path: PathBuf,
        /// What is missing, and what to do.
        problem: &'static str,
    },
}

impl StateError {
    pub(crate) fn disk(path: &Path, action: &'static str, source: io::Error) -> Self {
        Self::Disk { path: path.to_owned(), action, source }
    }

    pub(crate) fn damaged(path: &Path, problem: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), problem: problem.into() }
    }
}
