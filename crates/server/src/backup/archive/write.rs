//! Writes an archive in one go.

use super::tar::{BLOCK, Header, padding};
use super::{ArchiveError, CONTENTS, Content, MANIFEST, Manifest, hex, is_name, rows_name};
use crate::backup::limits::ARCHIVE_FILES;
use aws_lc_rs::digest::{Context, SHA256};
use std::io::{Read, Write};

/// Writes file by file.
pub struct ArchiveWriter<W> {
    out: W,
    contents: Vec<Content>,
    chunks: usize,
    /// Seconds since 1970.
    taken: u64,
}

impl<W: Write> ArchiveWriter<W> {
    /// Begins with the manifest.
    ///
    /// # Errors
    /// [`ArchiveError`] if it cannot be written.
    pub fn begin(out: W, manifest: &Manifest) -> Result<Self, ArchiveError> {
        Self::begin_with(out, &json(manifest)?, manifest.taken_unix_ms / 1_000)
    }

    /// Begins with these bytes in the place of the manifest.
    pub(crate) fn begin_with(out: W, manifest: &[u8], taken: u64) -> Result<Self, ArchiveError> {
        let mut archive = Self { out, contents: Vec::new(), chunks: 0, taken };
        archive.file(MANIFEST, manifest)?;
        Ok(archive)
    }

    /// Writes a file.
    ///
    /// # Errors
    /// [`ArchiveError`]: the name is none that an archive can hold, or it cannot be written.
    pub fn file(&mut self, name: &str, mut bytes: &[u8]) -> Result<(), ArchiveError> {
        self.stream(name, bytes.len() as u64, &mut bytes)
    }

    /// Writes a file of rows.
    ///
    /// # Errors
    /// As [`Self::file`].
    pub fn rows(&mut self, size: u64, source: &mut dyn Read) -> Result<(), ArchiveError> {
        self.chunks += 1;
        self.stream(&rows_name(self.chunks - 1), size, source)
    }

    /// Writes a file of so many bytes.
    ///
    /// # Errors
    /// As [`Self::file`]; also if `source` has less.
    pub fn stream(&mut self, name: &str, size: u64, source: &mut dyn Read) -> Result<(), ArchiveError> {
        if !is_name(name) {
            return Err(ArchiveError::Name { name: name.to_owned() });
        }
        if self.contents.len() >= ARCHIVE_FILES {
            return Err(ArchiveError::TooLarge { what: format!("more than {ARCHIVE_FILES} files") });
        }
        self.header(name, size)?;
        let (mut sum, mut left) = (Context::new(&SHA256), size);
        let mut buffer = vec![0; BLOCK * 64];
        while left > 0 {
            let most = buffer.len().min(usize::try_from(left).unwrap_or(usize::MAX));
            source.read_exact(&mut buffer[..most]).map_err(ArchiveError::read)?;
            sum.update(&buffer[..most]);
            self.write(&buffer[..most])?;
            left -= most as u64;
        }
        zeroize::Zeroize::zeroize(&mut buffer);
        self.write(&[0; BLOCK][..padding(size)])?;
        self.contents.push(Content { name: name.to_owned(), size, sha256: hex(sum.finish().as_ref()) });
        Ok(())
    }

    /// Writes the list of contents and the end, and gives the writer back.
    ///
    /// # Errors
    /// [`ArchiveError`] if they cannot be written.
    pub fn finish(mut self) -> Result<(W, Vec<Content>), ArchiveError> {
        let list = json(&self.contents)?;
        self.header(CONTENTS, list.len() as u64)?;
        self.write(&list)?;
        self.write(&[0; BLOCK][..padding(list.len() as u64)])?;
        self.write(&[0; 2 * BLOCK])?;
        Ok((self.out, self.contents))
    }

    fn header(&mut self, name: &str, size: u64) -> Result<(), ArchiveError> {
        let header = Header { name: name.to_owned(), size, modified: self.taken };
        let too_large = || ArchiveError::TooLarge { what: format!("{name} has {size} bytes") };
        let block = header.encode().ok_or_else(too_large)?;
        self.write(&block)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), ArchiveError> {
        self.out.write_all(bytes).map_err(ArchiveError::write)
    }
}

fn json(value: &impl serde::Serialize) -> Result<Vec<u8>, ArchiveError> {
    serde_json::to_vec_pretty(value).map_err(|error| ArchiveError::write(error.into()))
}
