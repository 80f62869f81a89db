//! Whether the file system has room left above the reserve (rule 19).

use crate::limits::{RESERVE_BYTES, RESERVE_PERCENT};
use rustix::fs::{StatVfs, statvfs};
use std::io;
use std::path::{Path, PathBuf};

/// Asks the file system.
#[derive(Debug)]
pub(crate) struct Room {
    directory: PathBuf,
    reserve: Option<u64>,
}

impl Room {
    pub(crate) fn new(directory: PathBuf, reserve: Option<u64>) -> Self {
        Self { directory, reserve }
    }

    /// Tells whether more than the reserve is free when `owed` bytes are in the journals and still to be written into table
    /// files.
    pub(crate) fn is_left(&self, owed: u64) -> io::Result<bool> {
        let now = statvfs(&self.directory)?;
        let reserve = self.reserve.unwrap_or_else(|| usual(&now));
        Ok(free_of(&now).saturating_sub(owed) > reserve)
    }
}

/// Tells the free bytes of a file system.
pub(crate) fn free(path: &Path) -> io::Result<u64> {
    statvfs(path).map(|now| free_of(&now)).map_err(io::Error::from)
}

fn free_of(now: &StatVfs) -> u64 {
    now.f_bavail.saturating_mul(now.f_frsize)
}

fn usual(now: &StatVfs) -> u64 {
    let size = now.f_blocks.saturating_mul(now.f_frsize);
    RESERVE_BYTES.min(size / 100 * RESERVE_PERCENT)
}
