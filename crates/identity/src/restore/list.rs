//! The list of what was taken away: a text that is easy to keep elsewhere and to write by hand. No secret is in it.

use crate::clock::WallTime;
use keyward_ids::InstallationId;
use std::{fmt, path::Path};

/// Holds what was taken away from the identities of one installation.
///
/// Printed by [`fmt::Display`]. [`Registrar::revoked`](crate::Registrar::revoked) makes the list of an installation: it
/// is complete for a backup of any age.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedList {
    /// Whose list it is.
    pub installation: InstallationId,
    /// Up to when it is complete. `None`, in a list written by hand: the operator says that it is complete.
    pub complete_until: Option<WallTime>,
}

impl RevokedList {
    /// Reads the text of the list in the file `path`, which is named in errors only. At most
    /// [`crate::limits::REVOKED_LIST_BYTES`] are to be read.
    ///
    /// # Errors
    /// [`ListError`] names file and line, and says what to do.
    pub fn parse(path: &Path, text: &[u8]) -> Result<Self, ListError> {
        let _ = (path, text);
        todo!()
    }

    /// Reads the file `path`: a regular file, never through a link.
    ///
    /// # Errors
    /// [`ListError`].
    pub fn read(path: &Path) -> Result<Self, ListError> {
        let _ = path;
        todo!()
    }
}

impl fmt::Display for RevokedList {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let _ = f;
        todo!()
    }
}

/// Says why a list cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ListError {
    /// The file could not be read.
    #[error(transparent)]
    File(#[from] crate::files::FileError),
    /// A line is wrong.
    #[error("{}:{line}: {what}", .path.display())]
    Line {
        /// Which file.
        path: std::path::PathBuf,
        /// Which line, from 1.
        line: usize,
        /// What is wrong and what to do.
        what: String,
    },
}
