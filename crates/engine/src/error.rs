//! Why an engine does not open, and what to do.

use std::io;
use std::path::PathBuf;

/// Says why a directory cannot be opened as a message store. Nothing that was synced is changed by a failed opening, but
/// for what [`OpenError::Lost`] tells.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The system refused.
    #[error("{}: cannot {action}: {source}", path.display())]
    Io {
        /// Which file or directory.
        path: PathBuf,
        /// What was tried.
        action: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// Another process has it open.
    #[error("{}: another process has this message store open; stop it first", .0.display())]
    InUse(PathBuf),
    /// A newer Keyward wrote it.
    #[error("{}: the message store has format {found}, this version reads up to {known}; start Keyward {needs} or newer", path.display())]
    Newer {
        /// The file that says so.
        path: PathBuf,
        /// The format found.
        found: u32,
        /// The newest format that this version reads.
        known: u32,
        /// The version of Keyward that wrote it.
        needs: String,
    },
    /// A file is damaged or missing.
    #[error("{}: {what}; move the message store away to start with an empty one, or bring it back from a copy", path.display())]
    Damaged {
        /// Which file or directory.
        path: PathBuf,
        /// What is wrong with it, and where.
        what: String,
    },
    /// Less was recovered than had been synced.
    #[error("{}: the end of what was synced is missing: syncs {recovered} to {synced} are lost; move the message store away to start with an empty one, or bring it back from a copy", path.display())]
    Lost {
        /// The newest journal.
        path: PathBuf,
        /// The last sync that was recovered.
        recovered: u64,
        /// The last sync that was made.
        synced: u64,
    },
}

impl OpenError {
    pub(crate) fn damaged(path: impl Into<PathBuf>, what: impl Into<String>) -> Self {
        Self::Damaged { path: path.into(), what: what.into() }
    }

    /// For `map_err`: what was tried, on which file.
    pub(crate) fn io(action: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::Io { path, action, source }
    }
}
