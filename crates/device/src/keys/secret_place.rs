//! Where secrets are read from that open a key store: a sealing secret, a PIN.

use super::KeyError;
use super::folder::failed;
use keyward_files::{self as files, FileError};
use std::fmt;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Says where a secret lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretPlace {
    /// A file of this user's that nobody else can read.
    File(PathBuf),
    /// A credential that systemd gives the unit (`LoadCredentialEncrypted=NAME`): `$CREDENTIALS_DIRECTORY/NAME`.
    Credential(String),
}

/// Names the folder in which systemd puts the credentials of a unit.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

impl SecretPlace {
    fn path(&self) -> Result<PathBuf, KeyError> {
        match self {
            Self::File(path) => Ok(path.clone()),
            Self::Credential(name) => match std::env::var_os(CREDENTIALS) {
                Some(dir) if !dir.is_empty() => Ok(Path::new(&dir).join(name)),
                _ => Err(KeyError::Invalid {
                    what: format!("credential {name}"),
                    problem: format!(
                        "this process was given none; start it as a unit of systemd with \
                         LoadCredentialEncrypted={name}, or name a file"
                    ),
                }),
            },
        }
    }

    /// Reads the secret, at most `max` bytes.
    ///
    /// # Errors
    /// [`KeyError`] if it is missing, too long, or others may read it.
    pub(super) fn read(&self, max: usize) -> Result<Zeroizing<Vec<u8>>, KeyError> {
        let path = self.path()?;
        match self {
            Self::File(_) if !is_credential(&path) => Ok(files::read_private(&path, max)?),
            _ => read_credential(&path, max),
        }
    }

    /// Tells whether the secret lies on the file system on which `dir` is or will be: who copies one copies both.
    pub(super) fn is_beside(&self, dir: &Path) -> Result<bool, KeyError> {
        let secret = self.path()?;
        let device =
            |path: &Path| path.metadata().map(|meta| meta.dev()).map_err(|error| failed(path, error));
        let there = dir.ancestors().find(|dir| dir.exists()).filter(|dir| !dir.as_os_str().is_empty());
        Ok(device(&secret)? == device(there.unwrap_or(Path::new(".")))?)
    }
}

/// Tells whether a file is a credential by its path: a PIN may be one too.
fn is_credential(path: &Path) -> bool {
    std::env::var_os(CREDENTIALS).is_some_and(|dir| !dir.is_empty() && path.parent() == Some(Path::new(&dir)))
}

/// Reads what systemd put there. It belongs to root or to this user, and an access list may let this user in, so that the
/// bits of the group do not count; those of the others do.
fn read_credential(path: &Path, max: usize) -> Result<Zeroizing<Vec<u8>>, KeyError> {
    let file = files::open_regular(path)?;
    let meta = file.metadata().map_err(|error| failed(path, error))?;
    let (mode, user) = (meta.mode() & 0o777, rustix::process::geteuid().as_raw());
    if meta.uid() != 0 && meta.uid() != user {
        return Err(FileError::Foreign { path: path.to_owned(), owner: meta.uid(), user }.into());
    }
    if mode & 0o007 != 0 {
        return Err(FileError::Open { path: path.to_owned(), mode, fit: 0o400 }.into());
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(max + 1));
    let bound = u64::try_from(max).unwrap_or(u64::MAX).saturating_add(1);
    file.take(bound).read_to_end(&mut bytes).map_err(|error| failed(path, error))?;
    if bytes.len() > max {
        return Err(FileError::TooLarge { path: path.to_owned(), max }.into());
    }
    Ok(bytes)
}

impl fmt::Display for SecretPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Credential(name) => write!(f, "credential {name}"),
        }
    }
}
