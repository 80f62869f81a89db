//! A lock that is given back.

use rustix::{
    fs::{FlockOperation, flock},
    io::Errno,
};
use std::{fs::File, io, ops::Deref};

/// Holds an open file or directory, and the exclusive lock on it until dropped.
///
/// It is given back in so many words: a process that another thread is just starting has a copy of the open file until it is
/// another program, and would keep the lock for that moment.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// Locks a file or directory; nothing if somebody else holds it, in this process or another.
    ///
    /// # Errors
    /// The system refuses.
    pub fn hold(file: impl Into<File>) -> io::Result<Option<Self>> {
        let file = file.into();
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Some(Self(file))),
            Err(Errno::WOULDBLOCK) => Ok(None),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl Deref for Lock {
    type Target = File;

    fn deref(&self) -> &File {
        &self.0
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing the file gives the lock back as well, unless there is such a copy.
        let _ = flock(&self.0, FlockOperation::Unlock);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A test that ran beside one that started a program found the keys of a device in use now and then: the child had a copy of
    /// the lock's file until it became another program.
    #[test]
    fn a_lock_is_given_back_even_if_a_starting_process_has_a_copy_of_its_file() {
        let dir = tempfile::tempdir().unwrap();
        let open = || File::open(dir.path()).unwrap();
        let lock = Lock::hold(open()).unwrap().unwrap();
        let copy = lock.try_clone().unwrap();
        assert!(Lock::hold(open()).unwrap().is_none());
        drop(lock);
        assert!(Lock::hold(open()).unwrap().is_some());
        drop(copy);
    }
}
