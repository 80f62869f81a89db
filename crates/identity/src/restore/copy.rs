//! What of an installation belongs into a backup.

use crate::files::FileError;
use keyward_ids::InstallationId;
use std::{
    fs::File,
    io::{self, Read, Take},
    path::{Path, PathBuf},
};

/// Reads the ledger of an installation from its first record to the last one that was there when it was asked for.
/// It goes into a backup as one file; that the ledger grows meanwhile does no harm.
pub struct LedgerCopy {
    /// Whose ledger it is.
    pub installation: InstallationId,
    /// The number of its last record.
    pub records: u64,
    /// How many bytes will be read.
    pub len: u64,
    pub(crate) reader: Take<File>,
}

impl Read for LedgerCopy {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.reader.read(into)
    }
}

/// Names a file that belongs into a backup beside the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupFile {
    /// Its path below `DIR`, for instance `keys/pepper`. At most [`crate::limits::SMALL_FILE_BYTES`] bytes lie there.
    pub path: PathBuf,
    /// Who may see it.
    pub secrecy: Secrecy,
}

/// Says what harm a file does in other hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Secrecy {
    /// None: certificates.
    Public,
    /// A secret, but no key of an authority or the server: the pepper of generated passwords. It goes into every
    /// backup, for without it no generated password can be checked on another host. It opens nothing by itself: such
    /// passwords have 128 random bits, which nobody guesses even with pepper and hash in hand.
    Secret,
    /// A private key of an authority or of the server: who has it can make devices, or be the server. It goes into a
    /// backup only when it is asked for.
    PrivateKey,
}

/// Lists what lies in the installation in `dir` beside the ledger, by path. Files that are missing (root keys that were
/// carried away) are not listed.
///
/// # Errors
/// [`FileError`] if a folder cannot be read.
pub fn files(dir: &Path) -> Result<Vec<BackupFile>, FileError> {
    let _ = dir;
    todo!()
}
