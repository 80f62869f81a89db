//! How much room the file system has left above the reserve (rule 19).

use crate::limits::{RESERVE_BYTES, RESERVE_FOR_DELETES, RESERVE_PERCENT, ROOM_STRIDE};
use rustix::fs::{StatVfs, statvfs};
use std::io;
use std::path::PathBuf;

/// Asks the file system, at most once between two syncs and once for each [`ROOM_STRIDE`].
#[derive(Debug)]
pub(crate) struct Room {
    directory: PathBuf,
    reserve: Option<u64>,
    /// Bytes that may be appended before the file system is asked again.
    unasked: u64,
}

impl Room {
    pub(crate) fn new(directory: PathBuf, reserve: Option<u64>) -> Self {
        Self { directory, reserve, unasked: 0 }
    }

    /// Tells whether there is room for a batch of so many bytes.
    pub(crate) fn has(&mut self, bytes: u64, only_deletes: impl FnOnce() -> bool) -> io::Result<bool> {
        if let Some(left) = self.unasked.checked_sub(bytes) {
            self.unasked = left;
            return Ok(true);
        }
        let now = statvfs(&self.directory)?;
        let free = now.f_bavail.saturating_mul(now.f_frsize);
        let reserve = self.reserve.unwrap_or_else(|| usual(&now));
        // Whatever is appended is written twice: into the journal now, into a table file later.
        let after = free.saturating_sub(bytes.saturating_mul(2));
        if after >= reserve {
            self.unasked = ((after - reserve) / 2).min(ROOM_STRIDE);
            return Ok(true);
        }
        Ok(after >= reserve / RESERVE_FOR_DELETES && only_deletes())
    }

    /// Lets the next append ask again.
    pub(crate) fn ask_again(&mut self) {
        self.unasked = 0;
    }
}

fn usual(now: &StatVfs) -> u64 {
    let size = now.f_blocks.saturating_mul(now.f_frsize);
    RESERVE_BYTES.min(size / 100 * RESERVE_PERCENT)
}
