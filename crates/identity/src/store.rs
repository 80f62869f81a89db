//! The folder of an installation: where things lie, who holds it, and how it comes into being at once.

use crate::{
    files::{self, FileError, Lock},
    limits,
    opening::OpenError,
    restore::place,
};
use rustix::fs::{Mode, OFlags};
use std::{
    fs::File,
    io::Write,
    path::{Path, PathBuf},
};

pub(crate) const LEDGER: &str = "ledger";
const KEYS: &str = "keys";
const OFFLINE: &str = "offline";
const AUTHORITY: &str = "authority";
const CA: &str = "ca.pem";
const LOCK: &str = "lock";
/// Where an installation is made. Its ledger is put there last and leaves last: while it is in here, all is in here
/// or already in its place.
const CREATING: &str = "creating";

/// Holds the folder, and the lock on it until dropped.
pub(crate) struct Store {
    dir: PathBuf,
    #[cfg_attr(not(test), expect(dead_code, reason = "held, not used"))]
    lock: Lock,
}

impl Store {
    /// Tells whether an installation lies in `dir`.
    pub(crate) fn exists(dir: &Path) -> bool {
        dir.join(LEDGER).symlink_metadata().is_ok()
            || dir.join(CREATING).join(LEDGER).symlink_metadata().is_ok()
            || place::holds_ledger(dir)
    }

    /// Locks the folder `dir`, which must be private, and ends a creation or a restore that was cut off.
    pub(crate) fn hold(dir: &Path) -> Result<Self, OpenError> {
        files::check_private_dir(dir)?;
        let store = Self { dir: dir.to_owned(), lock: lock(dir)? };
        place::settle(dir)?;
        if Self::exists(dir) && store.draft().0.symlink_metadata().is_ok() {
            store.settle()?;
        }
        Ok(store)
    }

    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    fn places(&self) -> Places {
        Places(self.dir.clone())
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.places().ledger()
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.places().keys()
    }

    pub(crate) fn authority(&self) -> PathBuf {
        self.places().authority()
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.places().ca()
    }

    /// Tells whether a root key still lies in the offline folder. It is looked for, never opened.
    pub(crate) fn has_offline_keys(&self) -> bool {
        let is_key = |entry: std::fs::DirEntry| entry.path().extension().is_some_and(|end| end == "key");
        std::fs::read_dir(self.places().offline()).is_ok_and(|entries| entries.flatten().any(is_key))
    }

    fn draft(&self) -> Places {
        Places(self.dir.join(CREATING))
    }

    /// Begins an installation: returns the places to fill, the ledger last.
    pub(crate) fn begin(&self) -> Result<Places, OpenError> {
        for name in [LEDGER, KEYS, OFFLINE, AUTHORITY, CA] {
            let path = self.dir.join(name);
            if path.symlink_metadata().is_ok() {
                return Err(OpenError::Leftover(path));
            }
        }
        let draft = self.draft();
        if draft.0.symlink_metadata().is_ok() {
            // What is in here was never finished, and nothing that it certifies was handed out.
            files::check_private_dir(&draft.0)?;
            std::fs::remove_dir_all(&draft.0).map_err(|source| io_error(&draft.0, "remove", source))?;
        }
        for dir in [draft.0.clone(), draft.keys(), draft.offline(), draft.authority()] {
            files::create_private_dir(&dir)?;
        }
        Ok(draft)
    }

    /// Puts everything in its place, the ledger last; may be repeated after a crash.
    pub(crate) fn settle(&self) -> Result<(), OpenError> {
        for name in [OFFLINE, KEYS, AUTHORITY, CA, LEDGER] {
            let (from, to) = (self.draft().0.join(name), self.dir.join(name));
            if from.symlink_metadata().is_ok() {
                // Each is in place for good before the next moves.
                std::fs::rename(&from, &to).map_err(|source| io_error(&to, "put in place", source))?;
                files::sync_dir(&self.dir)?;
            }
        }
        std::fs::remove_dir(&self.draft().0).map_err(|source| io_error(&self.draft().0, "remove", source))?;
        Ok(files::sync_dir(&self.dir)?)
    }
}

/// Names the places of an installation below one folder.
pub(crate) struct Places(PathBuf);

impl Places {
    /// Syncs the folder itself.
    pub(crate) fn sync(&self) -> Result<(), OpenError> {
        Ok(files::sync_dir(&self.0)?)
    }

    pub(crate) fn ledger(&self) -> PathBuf {
        self.0.join(LEDGER)
    }

    /// Where the ledger is made before it gets its name.
    pub(crate) fn ledger_draft(&self) -> PathBuf {
        self.0.join("ledger.new")
    }

    pub(crate) fn keys(&self) -> PathBuf {
        self.0.join(KEYS)
    }

    pub(crate) fn offline(&self) -> PathBuf {
        self.0.join(OFFLINE)
    }

    pub(crate) fn authority(&self) -> PathBuf {
        self.0.join(AUTHORITY)
    }

    pub(crate) fn ca(&self) -> PathBuf {
        self.0.join(CA)
    }
}

pub(crate) fn io_error(path: &Path, action: &'static str, source: std::io::Error) -> FileError {
    FileError::Io { path: path.to_owned(), action, source }
}

fn lock(dir: &Path) -> Result<Lock, OpenError> {
    let path = dir.join(LOCK);
    let failed = |action| {
        let path = path.clone();
        move |errno: rustix::io::Errno| io_error(&path, action, errno.into())
    };
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let fd = rustix::fs::open(&path, flags, Mode::from_raw_mode(0o600)).map_err(|errno| match errno {
        rustix::io::Errno::LOOP => FileError::Link(path.clone()),
        _ => failed("open")(errno),
    })?;
    let lock = Lock::hold(fd).map_err(|source| io_error(&path, "lock", source))?;
    let Some(lock) = lock else {
        return Err(OpenError::Locked { dir: dir.to_owned(), holder: holder(&path) });
    };
    let mut file: &File = &lock;
    let note = format!("process {}", std::process::id());
    // Who holds it is written for people only; the lock itself is what counts.
    let _ = file.set_len(0).and_then(|()| file.write_all(note.as_bytes()));
    Ok(lock)
}

fn holder(path: &Path) -> String {
    let note = files::read_regular(path, limits::SMALL_FILE_BYTES).unwrap_or_default();
    match std::str::from_utf8(&note) {
        Ok(note) if note.starts_with("process ") && note.len() < 32 => note.escape_debug().to_string(),
        _ => "another process".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    /// A test that ran beside one that started `openssl` found the store locked by itself now and then: the child
    /// had a copy of the lock's file until it became another program.
    #[test]
    fn the_lock_is_given_back_even_if_a_starting_process_has_a_copy_of_its_file() {
        let closed = std::fs::Permissions::from_mode(0o700);
        let dir = tempfile::Builder::new().permissions(closed).tempdir().unwrap();
        let store = Store::hold(dir.path()).unwrap();
        let copy = store.lock.try_clone().unwrap();
        assert!(matches!(Store::hold(dir.path()), Err(OpenError::Locked { .. })));
        drop(store);
        assert!(Store::hold(dir.path()).is_ok());
        drop(copy);
    }
}
