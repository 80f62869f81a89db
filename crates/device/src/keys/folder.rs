//! A private folder that one process holds, with small secret files in it.

use super::KeyError;
use crate::limits::KEY_FILE_BYTES;
use keyward_files::{self as files, FileError, Lock};
use rustix::fs::{Mode, OFlags};
use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use zeroize::Zeroizing;

/// Holds a folder: 0700, of this user's, no link, and nobody else's until this is dropped.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    /// The open folder; the lock on it is what keeps other processes out.
    _lock: Lock,
}

impl Folder {
    /// Makes the folder if it is missing, and holds it.
    pub(crate) fn create(path: &Path) -> Result<Self, KeyError> {
        files::ensure_private_dir(path)?;
        Self::hold(path)
    }

    /// Holds a folder that is there.
    pub(crate) fn hold(path: &Path) -> Result<Self, KeyError> {
        files::check_private_dir(path)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| failed(path, errno.into()))?;
        let lock = Lock::hold(dir).map_err(|error| failed(path, error))?;
        let lock = lock.ok_or_else(|| KeyError::Invalid {
            what: path.display().to_string(),
            problem: "another process uses these keys; stop it first, or talk to that one".to_owned(),
        })?;
        let folder = Self { path: path.to_owned(), _lock: lock };
        folder.sweep()?;
        Ok(folder)
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn place(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    pub(crate) fn holds(&self, name: &str) -> bool {
        self.place(name).symlink_metadata().is_ok()
    }

    /// Wipes what a power cut left of files that were being written: nobody has ever used what is in them.
    fn sweep(&self) -> Result<(), KeyError> {
        let entries = std::fs::read_dir(&self.path).map_err(|error| failed(&self.path, error))?;
        for entry in entries {
            let entry = entry.map_err(|error| failed(&self.path, error))?;
            if let Some(name) = entry.file_name().to_str().filter(|name| is_draft(name)) {
                self.erase(name)?;
            }
        }
        Ok(())
    }

    /// Reads a file; `None` if it is not there.
    ///
    /// # Errors
    /// It is a link, has another name beside this one, belongs to somebody else, or others may read it.
    pub(crate) fn read(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, KeyError> {
        let path = self.place(name);
        match files::read_private(&path, KEY_FILE_BYTES) {
            Err(error) if error.is_not_found() => Ok(None),
            Err(error) => Err(error.into()),
            Ok(bytes) => {
                let stat = rustix::fs::lstat(&path).map_err(|errno| failed(&path, errno.into()))?;
                if stat.st_nlink != 1 {
                    return Err(KeyError::Invalid {
                        what: path.display().to_string(),
                        problem: "has a second name (a hard link), so that somebody may hold a copy; if you \
                                  know of no other, make new keys, else remove the other name"
                            .to_owned(),
                    });
                }
                Ok(Some(bytes))
            }
        }
    }

    /// Writes a new file: complete and synced when this returns.
    pub(crate) fn write(&self, name: &str, bytes: &[u8]) -> Result<(), KeyError> {
        Ok(files::write_new(&self.place(name), bytes)?)
    }

    /// Gives the file `from` the name `to` in one step, and overwrites what had that name before.
    pub(crate) fn supersede(&self, from: &str, to: &str) -> Result<(), KeyError> {
        let to = self.place(to);
        let old = open_to_wipe(&to).ok();
        std::fs::rename(self.place(from), &to).map_err(|error| failed(&to, error))?;
        files::sync_dir(&self.path)?;
        if let Some(old) = old {
            // It has no name any more; the new one is in force whatever becomes of its blocks.
            let _ = wipe(&old);
        }
        Ok(())
    }

    /// Overwrites a file and takes its name away; that it is not there is as good.
    ///
    /// A disk writes in place. Flash does not: the controller keeps the old block until it needs it, and who opens the chip can read it.
    pub(crate) fn erase(&self, name: &str) -> Result<(), KeyError> {
        let path = self.place(name);
        let wiped = match open_to_wipe(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
            Err(error) => Err(error),
            Ok(file) => wipe(&file),
        };
        // The name goes also if the bytes would not.
        let removed = std::fs::remove_file(&path);
        wiped.and(removed).map_err(|error| failed(&path, error))?;
        Ok(files::sync_dir(&self.path)?)
    }
}

/// Tells whether a name is one that [`files::write_new`] gives to what is not complete: `.NAME.` and 16 hexadecimal digits.
fn is_draft(name: &str) -> bool {
    name.strip_prefix('.').and_then(|rest| rest.rsplit_once('.')).is_some_and(|(name, random)| {
        !name.is_empty() && random.len() == 16 && random.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

fn open_to_wipe(path: &Path) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    Ok(rustix::fs::open(path, flags, Mode::empty())?.into())
}

fn wipe(mut file: &File) -> io::Result<()> {
    let len = usize::try_from(file.metadata()?.len()).unwrap_or(usize::MAX).min(KEY_FILE_BYTES);
    file.write_all(&vec![0; len])?;
    file.sync_all()
}

pub(crate) fn failed(path: &Path, source: io::Error) -> KeyError {
    match source.raw_os_error().map(rustix::io::Errno::from_raw_os_error) {
        Some(rustix::io::Errno::LOOP) => FileError::Link(path.to_owned()).into(),
        _ => KeyError::File { path: path.display().to_string(), source },
    }
}
