//! The file of a backup: private, complete and synced under its name, or not there.

use super::BackupError;
use keyward_identity::files::FileError;
use rustix::fs::{self, AtFlags, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// Is a file that has not got its name yet. Dropped before, it is removed.
pub(super) struct Draft {
    path: PathBuf,
    folder: OwnedFd,
    draft: OsString,
    name: OsString,
    replaces: bool,
    file: Option<File>,
}

impl Draft {
    /// Makes the file (0600) beside its place.
    ///
    /// # Errors
    /// [`BackupError::Exists`] if something is in the place and may not be replaced; the folder is missing or not writable.
    pub(super) fn create(path: &Path, replaces: bool) -> Result<Self, BackupError> {
        let failed = |action| failed(path, action);
        let name = path.file_name().ok_or_else(|| failed("name a file")(Errno::INVAL))?.to_owned();
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = fs::open(parent, flags, Mode::empty()).map_err(failed("open the folder of"))?;
        if !replaces && fs::statat(&folder, &name, AtFlags::SYMLINK_NOFOLLOW).is_ok() {
            return Err(BackupError::Exists(path.to_owned()));
        }
        let mut random = [0; 8];
        aws_lc_rs::rand::fill(&mut random).map_err(|_| failed("draw a name beside")(Errno::AGAIN))?;
        let mut draft = OsString::from(".");
        draft.push(&name);
        draft.push(format!(".{:016x}", u64::from_le_bytes(random)));
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file =
            fs::openat(&folder, &draft, flags, Mode::from_raw_mode(0o600)).map_err(failed("create"))?;
        Ok(Self { path: path.to_owned(), folder, draft, name, replaces, file: Some(File::from(file)) })
    }

    /// Gives the file its name.
    ///
    /// # Errors
    /// It cannot be synced, or somebody took the name.
    pub(super) fn put(mut self) -> Result<(), BackupError> {
        let failed = |action| failed(&self.path, action);
        let Some(file) = self.file.take() else { return Ok(()) };
        let done = file.sync_all().map_err(|error| self.io("sync", error)).and_then(|()| {
            let flags = if self.replaces { RenameFlags::empty() } else { RenameFlags::NOREPLACE };
            fs::renameat_with(&self.folder, &self.draft, &self.folder, &self.name, flags)
                .or_else(|errno| match (errno, self.replaces) {
                    // Some file systems cannot rename so; a hard link refuses to replace as well.
                    (Errno::INVAL | Errno::NOSYS, false) => {
                        fs::linkat(&self.folder, &self.draft, &self.folder, &self.name, AtFlags::empty())?;
                        fs::unlinkat(&self.folder, &self.draft, AtFlags::empty())
                    }
                    (Errno::INVAL | Errno::NOSYS, true) => {
                        fs::renameat(&self.folder, &self.draft, &self.folder, &self.name)
                    }
                    (errno, _) => Err(errno),
                })
                .map_err(|errno| match errno {
                    Errno::EXIST => BackupError::Exists(self.path.clone()),
                    errno => failed("put in place")(errno),
                })
        });
        if done.is_err() {
            self.remove();
        }
        done?;
        fs::fsync(&self.folder).map_err(failed("sync the folder of"))
    }

    fn io(&self, action: &'static str, source: io::Error) -> BackupError {
        FileError::Io { path: self.path.clone(), action, source }.into()
    }

    fn remove(&self) {
        // It is of no use to anybody; the first error is the one that counts.
        let _ = fs::unlinkat(&self.folder, &self.draft, AtFlags::empty());
    }
}

impl Write for Draft {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match &mut self.file {
            Some(file) => file.write(bytes),
            None => Err(io::ErrorKind::NotConnected.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Drop for Draft {
    fn drop(&mut self) {
        if self.file.is_some() {
            self.remove();
        }
    }
}

fn failed(path: &Path, action: &'static str) -> impl Fn(Errno) -> BackupError {
    let path = path.to_owned();
    move |errno| FileError::Io { path: path.clone(), action, source: errno.into() }.into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn names(folder: &Path) -> Vec<OsString> {
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect()
    }

    fn put(path: &Path, replaces: bool, text: &[u8]) -> Result<(), BackupError> {
        let mut draft = Draft::create(path, replaces)?;
        draft.write_all(text).unwrap();
        draft.put()
    }

    #[test]
    fn a_file_is_private_and_under_its_name_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.age");
        let mut draft = Draft::create(&path, false).unwrap();
        draft.write_all(b"half").unwrap();
        assert!(!path.exists());
        draft.put().unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(names(folder.path()), ["b.age"]);
    }

    #[test]
    fn a_draft_that_is_given_up_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        drop(Draft::create(&folder.path().join("b.age"), false).unwrap());
        assert!(names(folder.path()).is_empty());
    }

    #[test]
    fn nothing_is_replaced_unless_that_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("b.age");
        put(&path, false, b"first").unwrap();
        let refused = put(&path, false, b"second").unwrap_err().to_string();
        assert!(refused.contains("--force"), "{refused}");
        let late = Draft::create(&folder.path().join("c.age"), false).unwrap();
        put(&folder.path().join("c.age"), false, b"other").unwrap();
        assert!(matches!(late.put(), Err(BackupError::Exists(_))), "taken meanwhile");
        put(&path, true, b"second").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"second");
        assert_eq!(names(folder.path()).len(), 2);
    }
}
