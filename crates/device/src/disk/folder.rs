//! The folder of the system: private, held by one process, no link followed.

use super::Directory;
use crate::state::StateError;
use keyward_files::{Lock, ensure_private_dir};
use rustix::fs::{self, AtFlags, Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

/// Is a folder on disk, locked as long as this lives.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    dir: Lock,
    /// The file that was written last. It stays open until it is synced: a failed write-back is told only to who has the file open.
    writing: Mutex<Option<(String, File)>>,
}

impl Folder {
    /// Opens a folder, makes it where it is missing, and locks it.
    ///
    /// # Errors
    /// [`StateError::InUse`] if another process, or another part of this one, has it; others if it is not private.
    pub(crate) fn open(path: &Path) -> Result<Self, StateError> {
        ensure_private_dir(path)?;
        let failed = |errno: Errno| StateError::disk(path, "open the folder", errno.into());
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = fs::open(path, flags, Mode::empty()).map_err(failed)?;
        let lock = Lock::hold(fd).map_err(|error| StateError::disk(path, "open the folder", error))?;
        let dir = lock.ok_or_else(|| StateError::InUse { folder: path.to_owned() })?;
        Ok(Self { path: path.to_owned(), dir, writing: Mutex::new(None) })
    }

    fn file(&self, name: &str, flags: OFlags) -> Result<File, Errno> {
        let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        fs::openat(&*self.dir, name, flags, Mode::RUSR | Mode::WUSR).map(File::from)
    }

    /// Runs `work` on a file that is open for writing.
    fn with<T>(&self, name: &str, work: impl FnOnce(&File) -> io::Result<T>) -> io::Result<T> {
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        match &*writing {
            Some((open, file)) if open == name => work(file),
            _ => {
                let file = self.file(name, OFlags::WRONLY | OFlags::CREATE)?;
                let (_, file) = writing.insert((name.to_owned(), file));
                work(file)
            }
        }
    }

    /// Closes a file whose name changes or goes.
    fn close(&self, name: &str) {
        let mut writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        if writing.as_ref().is_some_and(|(open, _)| open == name) {
            *writing = None;
        }
    }
}

impl Directory for Folder {
    fn path(&self) -> &Path {
        &self.path
    }

    fn names(&self) -> io::Result<Vec<String>> {
        let mut names = Vec::new();
        for entry in fs::Dir::read_from(&*self.dir)? {
            let name = entry?.file_name().to_string_lossy().into_owned();
            if name != "." && name != ".." {
                names.push(name);
            }
        }
        Ok(names)
    }

    fn size(&self, name: &str) -> io::Result<Option<u64>> {
        match self.file(name, OFlags::RDONLY) {
            Ok(file) => Ok(Some(file.metadata()?.len())),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }

    fn read(&self, name: &str, at: u64, len: usize) -> io::Result<Vec<u8>> {
        let file = self.file(name, OFlags::RDONLY)?;
        let (mut bytes, mut read) = (vec![0; len], 0);
        while let Some(rest) = bytes.get_mut(read..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, at + read as u64)? {
                0 => break,
                more => read += more,
            }
        }
        bytes.truncate(read);
        Ok(bytes)
    }

    fn write(&self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        self.with(name, |file| file.write_all_at(bytes, at))
    }

    fn cut(&self, name: &str, len: u64) -> io::Result<()> {
        self.with(name, |file| file.set_len(len))
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        self.with(name, File::sync_data)
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        self.close(from);
        self.close(to);
        Ok(fs::renameat(&*self.dir, from, &*self.dir, to)?)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        self.close(name);
        match fs::unlinkat(&*self.dir, name, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(errno.into()),
        }
    }

    fn sync_names(&self) -> io::Result<()> {
        Ok(fs::fsync(&*self.dir)?)
    }
}
