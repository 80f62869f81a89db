//! Reads an archive, which may come from anybody, and compares all of it with its list of contents.

use super::tar::{BLOCK, Header, padding};
use super::{
    ArchiveError, CONTENTS, Content, LEDGER, MANIFEST, Manifest, hex, is_name, is_rows, rows, rows_name,
};
use crate::backup::limits;
use aws_lc_rs::digest::{Context, SHA256};
use keyward_identity::limits::SMALL_FILE_BYTES;
use std::collections::BTreeSet;
use std::io::{self, Read};

/// Names the file that is being read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its path in the archive, which leads to one place below the directory of an installation.
    pub name: String,
    /// Its bytes.
    pub size: u64,
}

/// Is what an archive turned out to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// What it says of itself.
    pub manifest: Manifest,
    /// Its files but for the list of them, with their true sizes and digests.
    pub contents: Vec<Content>,
    /// How many rows of the message store there are.
    pub rows: u64,
}

/// Reads an archive to its end without keeping anything, and checks all of it.
///
/// # Errors
/// [`ArchiveError`] says what is wrong.
pub fn survey(source: &mut dyn Read) -> Result<Survey, ArchiveError> {
    let mut count = 0;
    let mut survey = walk(source, |entry, body| -> Result<(), ArchiveError> {
        if is_rows(&entry.name) {
            count += rows::read(body, |_, _, _| -> Result<(), ArchiveError> { Ok(()) })?;
        }
        Ok(())
    })?;
    survey.rows = count;
    Ok(survey)
}

/// Shows each file but manifest and list to `take`, in their order, and checks names, sizes, digests and the end. What
/// `take` leaves unread is read all the same.
///
/// # Errors
/// [`ArchiveError`] as far as it is read; what `take` was shown before may not be what was written. Or the error of `take`.
pub fn walk<E: From<ArchiveError>>(
    source: &mut dyn Read,
    mut take: impl FnMut(&Entry, &mut dyn Read) -> Result<(), E>,
) -> Result<Survey, E> {
    let mut reader = Reader { source, found: Vec::new(), names: BTreeSet::new() };
    let first = reader.next()?.ok_or(ArchiveError::Foreign)?;
    if first.name != MANIFEST {
        return Err(ArchiveError::Foreign.into());
    }
    let manifest = Manifest::parse(&reader.small(&first)?)?;
    let mut chunks = 0;
    loop {
        let entry = reader.next()?.ok_or(ArchiveError::Cut)?;
        if entry.name == CONTENTS {
            let list = reader.list(&entry)?;
            reader.compare(&list, &manifest)?;
            reader.end()?;
            return Ok(Survey { manifest, contents: reader.found, rows: 0 });
        }
        if is_rows(&entry.name) {
            if entry.name != rows_name(chunks) {
                return Err(
                    ArchiveError::damaged("files of the message store are missing or not in order").into()
                );
            }
            chunks += 1;
        }
        let mut body = Body { source: &mut *reader.source, left: entry.size, sum: Context::new(&SHA256) };
        take(&entry, &mut body)?;
        let sum = body.rest()?;
        reader.took(&entry, sum)?;
    }
}

struct Reader<'a> {
    source: &'a mut dyn Read,
    found: Vec<Content>,
    names: BTreeSet<String>,
}

impl Reader<'_> {
    /// Reads the next header.
    fn next(&mut self) -> Result<Option<Entry>, ArchiveError> {
        let mut block = [0; BLOCK];
        self.source.read_exact(&mut block).map_err(ArchiveError::read)?;
        let Some(Header { name, size, .. }) = Header::decode(&block)? else { return Ok(None) };
        if !is_name(&name) {
            return Err(ArchiveError::Name { name });
        }
        if size > most(&name) {
            return Err(ArchiveError::TooLarge { what: format!("{name} has {size} bytes") });
        }
        if self.found.len() > limits::ARCHIVE_FILES {
            return Err(ArchiveError::TooLarge {
                what: format!("more than {} files", limits::ARCHIVE_FILES),
            });
        }
        // Rows are numbered; they need not be remembered.
        if !is_rows(&name) && !self.names.insert(name.clone()) {
            return Err(ArchiveError::damaged(format!("{name} is there twice")));
        }
        Ok(Some(Entry { name, size }))
    }

    /// Reads a whole file that is small by its bound.
    fn whole(&mut self, entry: &Entry) -> Result<(Vec<u8>, String), ArchiveError> {
        let mut body = Body { source: &mut *self.source, left: entry.size, sum: Context::new(&SHA256) };
        let mut bytes = Vec::new();
        body.read_to_end(&mut bytes).map_err(ArchiveError::read)?;
        Ok((bytes, body.rest()?))
    }

    fn small(&mut self, entry: &Entry) -> Result<Vec<u8>, ArchiveError> {
        let (bytes, sum) = self.whole(entry)?;
        self.took(entry, sum)?;
        Ok(bytes)
    }

    fn list(&mut self, entry: &Entry) -> Result<Vec<Content>, ArchiveError> {
        let (bytes, _) = self.whole(entry)?;
        self.pad(entry)?;
        serde_json::from_slice(&bytes).map_err(|_| ArchiveError::damaged("contents.json does not read"))
    }

    fn took(&mut self, entry: &Entry, sha256: String) -> Result<(), ArchiveError> {
        self.pad(entry)?;
        self.found.push(Content { name: entry.name.clone(), size: entry.size, sha256 });
        Ok(())
    }

    fn pad(&mut self, entry: &Entry) -> Result<(), ArchiveError> {
        let mut zeros = [0; BLOCK];
        let padding = &mut zeros[..padding(entry.size)];
        self.source.read_exact(padding).map_err(ArchiveError::read)?;
        if padding.iter().all(|byte| *byte == 0) { Ok(()) } else { Err(ArchiveError::Foreign) }
    }

    /// Compares what was read with what is said to be there.
    fn compare(&self, list: &[Content], manifest: &Manifest) -> Result<(), ArchiveError> {
        for (found, said) in self.found.iter().zip(list) {
            if found != said {
                return Err(ArchiveError::damaged(format!("{} is not as it was written", found.name)));
            }
        }
        if self.found.len() != list.len() {
            return Err(ArchiveError::damaged("contents.json lists other files than there are"));
        }
        let has_messages = self.found.iter().any(|content| is_rows(&content.name));
        if !self.names.contains(LEDGER) || (has_messages && !manifest.messages) {
            return Err(ArchiveError::damaged("manifest.json says something else than there is"));
        }
        Ok(())
    }

    /// Reads the two blocks of zeros, behind which nothing follows.
    fn end(&mut self) -> Result<(), ArchiveError> {
        for _ in 0..2 {
            let mut block = [0; BLOCK];
            self.source.read_exact(&mut block).map_err(ArchiveError::read)?;
            if Header::decode(&block)?.is_some() {
                return Err(ArchiveError::damaged("something follows contents.json"));
            }
        }
        match self.source.read(&mut [0]).map_err(ArchiveError::read)? {
            0 => Ok(()),
            _ => Err(ArchiveError::damaged("something follows its end")),
        }
    }
}

/// Returns how many bytes a file of this name has at most.
fn most(name: &str) -> u64 {
    match name {
        MANIFEST => limits::MANIFEST_BYTES as u64,
        CONTENTS => limits::CONTENTS_BYTES as u64,
        LEDGER => limits::LEDGER_BYTES,
        "keyward.toml" => crate::config::MAX_CONFIG_BYTES as u64,
        _ if is_rows(name) => limits::ROWS_BYTES,
        _ if name.starts_with("policy.d/") => keyward_policy::limits::MAX_FILE_BYTES as u64,
        _ => SMALL_FILE_BYTES as u64,
    }
}

/// Is one file, hashed while it is read.
struct Body<'a> {
    source: &'a mut dyn Read,
    left: u64,
    sum: Context,
}

impl Body<'_> {
    /// Reads what is left and gives the digest of all.
    fn rest(mut self) -> Result<String, ArchiveError> {
        let mut buffer = vec![0; BLOCK * 32];
        while self.read(&mut buffer).map_err(ArchiveError::read)? > 0 {}
        Ok(hex(self.sum.finish().as_ref()))
    }
}

impl Read for Body<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = into.len().min(usize::try_from(self.left).unwrap_or(usize::MAX));
        if most == 0 {
            return Ok(0);
        }
        let count = self.source.read(&mut into[..most])?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.sum.update(&into[..count]);
        self.left -= count as u64;
        Ok(count)
    }
}
