//! What of an installation belongs into a backup.

use crate::{
    authority::Role,
    files::FileError,
    vault::{COMMAND_PREFIX, IMPORTED_PREFIX, KeyFile},
};
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
    /// Its path below `DIR`, for instance `keys/pepper`. It has at most [`crate::limits::SMALL_FILE_BYTES`] bytes.
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
    /// A private key of an authority or of the server: who has it can make devices, or be the server; or the keys of groups: who has
    /// them reads what members said. It goes into a backup only when it is asked for; groups without their keys get new ones. A running broker never reads those in `offline/`.
    PrivateKey,
}

/// The roles whose keys a broker needs.
const ISSUING: [Role; 2] = [Role::ServerIssuing, Role::DeviceIssuing];
const ROOTS: [Role; 2] = [Role::ServerRoot, Role::DeviceRoot];

/// Lists what lies in the installation in `dir` beside the ledger, by path. What is missing (root keys that were carried
/// away) is not listed.
///
/// # Errors
/// [`FileError`] if a folder cannot be read.
pub fn files(dir: &Path) -> Result<Vec<BackupFile>, FileError> {
    let certificates = Role::ALL.iter().map(|role| format!("authority/{}.pem", role.file()));
    let public = certificates.chain(["ca.pem".to_owned()]).map(|path| (path, Secrecy::Public));
    let groups = format!("keys/{}", KeyFile::Groups.name());
    let keys = needed_keys().chain([groups]).map(|path| (path, Secrecy::PrivateKey));
    let roots = ROOTS.iter().map(|role| (format!("offline/{}.key", role.file()), Secrecy::PrivateKey));
    let pepper = [(format!("keys/{}", KeyFile::Pepper.name()), Secrecy::Secret)];
    let mut found = Vec::new();
    let further = further_keys(dir)?.into_iter().map(|path| (path, Secrecy::PrivateKey));
    for (path, secrecy) in public.chain(pepper).chain(keys).chain(roots).chain(further) {
        match dir.join(&path).symlink_metadata() {
            Ok(_) => found.push(BackupFile { path: path.into(), secrecy }),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(FileError::Io { path: dir.join(path), action: "look at", source }),
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(found)
}

/// Lists the keys of imported server certificates, and those that sign what devices believe. Without them the broker starts, but
/// does not what they are for.
fn further_keys(dir: &Path) -> Result<Vec<String>, FileError> {
    let folder = dir.join("keys");
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(FileError::Io { path: folder, action: "list", source }),
    };
    let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
    let is_one = |name: &String| {
        let is_listed = [IMPORTED_PREFIX, COMMAND_PREFIX].iter().any(|prefix| name.starts_with(prefix));
        is_listed && name.ends_with(".key") || *name == KeyFile::Installation.name()
    };
    Ok(names.filter(is_one).map(|name| format!("keys/{name}")).collect())
}

fn needed_keys() -> impl Iterator<Item = String> {
    let issuing = ISSUING.iter().map(|role| KeyFile::Authority(*role));
    issuing.chain([KeyFile::Server]).map(|file| format!("keys/{}", file.name()))
}

/// Lists the keys that are missing in `dir` and without which the broker does not start, as paths below it: the issuing
/// authorities', the server's, and the pepper. A backup without keys brings the pepper alone.
pub fn missing_keys(dir: &Path) -> Vec<PathBuf> {
    let pepper = format!("keys/{}", KeyFile::Pepper.name());
    let is_missing = |path: &String| dir.join(path).symlink_metadata().is_err();
    needed_keys().chain([pepper]).filter(is_missing).map(PathBuf::from).collect()
}
