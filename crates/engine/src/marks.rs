//! Numbers the syncs, so that an opening can tell whether it found all of them.
//!
//! A sync puts a mark with its number into the journal, behind everything that it makes durable. When the journal is
//! synced, the number goes into the file `SYNCED`, without a sync of its own: it can be behind the truth, never before it. So
//! a mark in the journal says that the sync before it succeeded, and `SYNCED` says the same of the last one. It has two
//! places, written in turn: a power cut that tears a write leaves the number before it.

use crate::{OpenError, files};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_64;

/// The key of the mark. The journal is searched for it, so it has to be unlikely elsewhere.
pub(crate) const KEY: &[u8; 24] = b"\x00keyward: synced up to\xFF\x9C";

const NAME: &str = "SYNCED";

/// How far apart the two places are: no sector of a disk holds both.
const APART: u64 = 4096;

/// The file `SYNCED`: numbers and their checksums.
#[derive(Debug)]
pub(crate) struct Synced {
    path: PathBuf,
    file: File,
    number: u64,
}

impl Synced {
    /// Opens the file; a new one says 0.
    pub(crate) fn open(directory: &Path, is_complete: bool) -> Result<Self, OpenError> {
        let path = directory.join(NAME);
        if is_complete && !path.exists() {
            return Err(OpenError::damaged(path, "is missing"));
        }
        let file = files::private_file(&path)?;
        let mut synced = Self { path, file, number: 0 };
        if is_complete {
            synced.number = synced.read()?;
        } else {
            let emptied = synced.file.set_len(0).and_then(|()| synced.set(0));
            emptied.map_err(OpenError::io("write", &synced.path))?;
            synced.file.sync_all().map_err(OpenError::io("sync", &synced.path))?;
        }
        Ok(synced)
    }

    /// Tells the number of the last sync that is known to have succeeded.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Writes a number over the last but one.
    pub(crate) fn set(&mut self, number: u64) -> io::Result<()> {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&number.to_le_bytes());
        bytes[8..].copy_from_slice(&xxh3_64(&number.to_le_bytes()).to_le_bytes());
        self.file.write_all_at(&bytes, place(number))?;
        self.number = number;
        Ok(())
    }

    fn read(&self) -> Result<u64, OpenError> {
        let newest = [0, 1].into_iter().filter_map(|number| self.read_at(place(number))).max();
        newest.ok_or_else(|| OpenError::damaged(&self.path, "does not hold the number of the last sync"))
    }

    fn read_at(&self, place: u64) -> Option<u64> {
        let mut bytes = [0; 16];
        self.file.read_exact_at(&mut bytes, place).ok()?;
        let number = decode(&bytes)?;
        (decode(&bytes[8..])? == xxh3_64(&number.to_le_bytes())).then_some(number)
    }
}

fn place(number: u64) -> u64 {
    number % 2 * APART
}

/// Gives the number at the beginning of some bytes.
pub(crate) fn decode(bytes: &[u8]) -> Option<u64> {
    bytes.first_chunk().map(|number| u64::from_le_bytes(*number))
}
