//! A small file that is always replaced whole: `"KEYWARD" kind version=1 bytes checksum[8]`, the checksum the beginning of a SHA-256.

use crate::disk::Directory;
use crate::state::StateError;
use aws_lc_rs::digest::{SHA256, digest};

/// The most bytes that a note has.
const MOST: usize = 512;
const CHECKSUM: usize = 8;

/// Names a note and says what it begins with.
#[derive(Debug, Clone, Copy)]
pub(super) struct Note {
    pub(super) name: &'static str,
    pub(super) start: [u8; 9],
}

impl Note {
    /// Reads the note; nothing if there is none.
    ///
    /// # Errors
    /// It is damaged; the disk.
    pub(super) fn read(self, dir: &dyn Directory) -> Result<Option<Vec<u8>>, StateError> {
        let path = dir.path().join(self.name);
        let bytes = dir.read_whole(self.name, MOST).map_err(|e| StateError::disk(&path, "read", e))?;
        let Some(bytes) = bytes else { return Ok(None) };
        let content = self.content(&bytes).ok_or_else(|| self.damaged(dir))?;
        Ok(Some(content.to_vec()))
    }

    pub(super) fn content(self, bytes: &[u8]) -> Option<&[u8]> {
        let (text, sum) = bytes.split_at_checked(bytes.len().checked_sub(CHECKSUM)?)?;
        text.strip_prefix(&self.start).filter(|_| checksum(text) == sum)
    }

    pub(super) fn damaged(self, dir: &dyn Directory) -> StateError {
        let problem = "is damaged; without it numbers could be used twice, so give the device new message keys, and remove it";
        StateError::damaged(&dir.path().join(self.name), problem)
    }

    /// Writes the note, durable when this returns.
    pub(super) fn write(self, dir: &dyn Directory, content: &[u8]) -> Result<(), StateError> {
        let mut bytes = [&self.start[..], content].concat();
        bytes.extend(checksum(&bytes));
        let written = dir.replace(self.name, &bytes);
        written.map_err(|e| StateError::disk(&dir.path().join(self.name), "write", e))
    }
}

fn checksum(text: &[u8]) -> [u8; CHECKSUM] {
    let mut sum = [0; CHECKSUM];
    sum.iter_mut().zip(digest(&SHA256, text).as_ref()).for_each(|(to, from)| *to = *from);
    sum
}
