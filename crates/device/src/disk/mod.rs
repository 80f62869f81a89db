//! A folder as the state files need it: few calls, each of them a moment at which the power can fail.
//!
//! What is written is safe once [`Directory::sync`] has returned, a name once [`Directory::sync_names`] has. Between, anything may
//! be lost, or a part of it. Tests put a folder here whose power they cut at every call (`power.rs`).

mod folder;
#[cfg(test)]
pub(crate) mod power;

pub(crate) use folder::Folder;

use std::fmt;
use std::io;
use std::path::Path;

/// Is one folder that a single owner writes.
pub(crate) trait Directory: Send + fmt::Debug {
    /// Returns where it is, for words to people.
    fn path(&self) -> &Path;

    /// Lists the names in it.
    fn names(&self) -> io::Result<Vec<String>>;

    /// Returns the length of a file; nothing if there is none.
    fn size(&self, name: &str) -> io::Result<Option<u64>>;

    /// Reads `len` bytes from `at` on, fewer at the end of the file.
    fn read(&self, name: &str, at: u64, len: usize) -> io::Result<Vec<u8>>;

    /// Writes from `at` on; makes the file if there is none.
    fn write(&self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()>;

    /// Shortens a file.
    fn cut(&self, name: &str, len: u64) -> io::Result<()>;

    /// Makes durable what was written to a file, and its length.
    fn sync(&self, name: &str) -> io::Result<()>;

    /// Renames a file, in place of another if there is one.
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;

    /// Removes a file; nothing happens if there is none.
    fn remove(&self, name: &str) -> io::Result<()>;

    /// Makes durable which names there are, and what they stand for.
    fn sync_names(&self) -> io::Result<()>;

    /// Gives a file a new content, durable when this returns: after a power cut the whole old or the whole new one is there.
    fn replace(&self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let new = format!("{name}{UNFINISHED}");
        self.remove(&new)?;
        self.write(&new, 0, bytes)?;
        self.sync(&new)?;
        self.rename(&new, name)?;
        self.sync_names()
    }

    /// Reads a file of at most `most` bytes whole; nothing if there is none.
    fn read_whole(&self, name: &str, most: usize) -> io::Result<Option<Vec<u8>>> {
        let Some(size) = self.size(name)? else { return Ok(None) };
        let size = usize::try_from(size).ok().filter(|size| *size <= most);
        let size = size.ok_or_else(|| io::Error::other(format!("has more than {most} bytes")))?;
        self.read(name, 0, size).map(Some)
    }
}

/// Ends the name of a file that is not finished.
pub(crate) const UNFINISHED: &str = ".new";
