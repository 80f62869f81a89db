//! Whether the file system has room left above the reserve (rule 19).

use crate::limits::{RESERVE_BYTES, RESERVE_PERCENT};
use rustix::fs::{StatVfs, statvfs};
use std::io;
use std::path::PathBuf;

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

    /// Tells whether more than the reserve is free.
    pub(crate) fn is_left(&self) -> io::Result<bool> {
        let now = statvfs(&self.directory)?;
        let free = now.f_bavail.saturating_mul(now.f_frsize);
        Ok(free > self.reserve.unwrap_or_else(|| usual(&now)))
    }
}

fn usual(now: &StatVfs) -> u64 {
    let size = now.f_blocks.saturating_mul(now.f_frsize);
    RESERVE_BYTES.min(size / 100 * RESERVE_PERCENT)
}
