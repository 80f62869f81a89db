//! Reading a log from its beginning or from a position that is known to be good.

use super::{
    AuditEntry, LedgerError,
    record::{self, BadRecord, GENESIS, LENGTH_LEN, TRAILER_LEN},
};
use crate::{
    files::{self, FileError},
    limits,
};
use std::{
    fs::File,
    io::{self, BufReader, ErrorKind, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

/// The first bytes of a log: what it is and the version of its format.
pub(super) const MAGIC: &[u8; 16] = b"keyward-ledger\0\x01";

/// Marks the end of a record: its number, its hash and where the next one begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Position {
    pub(crate) sequence: u64,
    pub(crate) hash: [u8; 32],
    pub(crate) offset: u64,
}

impl Position {
    /// The position before the first record.
    pub(crate) const START: Self = Self { sequence: 0, hash: GENESIS, offset: MAGIC.len() as u64 };
}

/// What stands at the place of the next record.
pub(super) enum Next {
    /// A whole record; its bytes are in the scanner.
    Whole,
    /// Nothing: the log ends here.
    End,
    /// The beginning of a record whose rest was never written.
    Torn,
    /// Something that is no record.
    Damaged(&'static str),
    /// A record of a newer program.
    Newer(String),
}

/// Reads one log record by record, checking chain and checksum.
pub(super) struct Scanner {
    reader: BufReader<File>,
    path: PathBuf,
    len: u64,
    pub(super) position: Position,
    bytes: Vec<u8>,
}

impl Scanner {
    /// Opens the log at `path`. `None` if it has no header.
    pub(super) fn open(path: &Path) -> Result<Option<Self>, FileError> {
        let file = files::open_regular(path)?;
        let failed = |source| failed(path, source);
        let len = file.metadata().map_err(failed)?.len();
        let mut reader = BufReader::new(file);
        let mut magic = [0; MAGIC.len()];
        match reader.read_exact(&mut magic) {
            Ok(()) if magic == *MAGIC => {}
            Err(error) if error.kind() != ErrorKind::UnexpectedEof => return Err(failed(error)),
            _ => return Ok(None),
        }
        Ok(Some(Self { reader, path: path.to_owned(), len, position: Position::START, bytes: Vec::new() }))
    }

    /// Goes on behind a record that is known to be good.
    pub(super) fn seek(&mut self, position: Position) -> Result<(), FileError> {
        self.reader.seek(SeekFrom::Start(position.offset)).map_err(|source| failed(&self.path, source))?;
        self.position = position;
        Ok(())
    }

    /// Reads the next record; moves on only over a whole one.
    pub(super) fn next(&mut self) -> Result<Next, FileError> {
        let left = self.len.saturating_sub(self.position.offset);
        if left == 0 {
            return Ok(Next::End);
        }
        if left < LENGTH_LEN as u64 {
            return Ok(Next::Torn);
        }
        let mut length = [0; LENGTH_LEN];
        self.read(&mut length)?;
        let body = u32::from_le_bytes(length) as usize;
        if body == 0 {
            return self.judge_zeros();
        }
        if body > limits::LEDGER_RECORD_BYTES {
            return Ok(Next::Damaged("its length is impossible"));
        }
        let whole = LENGTH_LEN + body + TRAILER_LEN;
        if left < whole as u64 {
            return Ok(Next::Torn);
        }
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        bytes.extend(length);
        bytes.resize(whole, 0);
        self.read(&mut bytes[LENGTH_LEN..])?;
        self.bytes = bytes;
        let sequence = self.position.sequence + 1;
        match record::check(&self.position.hash, sequence, &self.bytes) {
            Ok(hash) => {
                self.position = Position { sequence, hash, offset: self.position.offset + whole as u64 };
                Ok(Next::Whole)
            }
            Err(BadRecord::Damaged(what)) => Ok(Next::Damaged(what)),
            Err(BadRecord::Newer(what)) => Ok(Next::Newer(what)),
        }
    }

    /// Some file systems leave zeros where a write was cut off by a loss of power.
    fn judge_zeros(&mut self) -> Result<Next, FileError> {
        let mut rest = Vec::new();
        let most = limits::LEDGER_RECORD_BYTES + TRAILER_LEN;
        let read = (&mut self.reader).take(most as u64 + 1).read_to_end(&mut rest);
        read.map_err(|source| failed(&self.path, source))?;
        if rest.len() <= most && rest.iter().all(|byte| *byte == 0) {
            return Ok(Next::Torn);
        }
        Ok(Next::Damaged("its length is zero"))
    }

    /// Returns the record that was read last.
    pub(super) fn entry(&self) -> Result<AuditEntry, BadRecord> {
        record::parse(self.position.sequence, self.position.hash, &self.bytes)
    }

    fn read(&mut self, into: &mut [u8]) -> Result<(), FileError> {
        self.reader.read_exact(into).map_err(|source| failed(&self.path, source))
    }
}

pub(super) fn failed(path: &Path, source: io::Error) -> FileError {
    FileError::Io { path: path.to_owned(), action: "read", source }
}

/// Reads a log that must be whole to its last byte, and tells of each record where it ends.
///
/// # Errors
/// [`LedgerError`], and what `take` says.
pub(crate) fn read_whole(
    path: &Path,
    mut take: impl FnMut(Position, AuditEntry) -> Result<(), LedgerError>,
) -> Result<(), LedgerError> {
    let no_header = || LedgerError::damaged(path, 0, "it has no header");
    let mut scanner = Scanner::open(path)?.ok_or_else(no_header)?;
    loop {
        let next = scanner.next()?;
        let sequence = scanner.position.sequence;
        match next {
            Next::Whole => {
                let entry = scanner.entry().map_err(|bad| bad.of(path, sequence))?;
                take(scanner.position, entry)?;
            }
            Next::End => return Ok(()),
            Next::Torn => return Err(LedgerError::damaged(path, sequence, "its end is missing")),
            Next::Damaged(what) => return Err(LedgerError::damaged(path, sequence, what)),
            Next::Newer(what) => return Err(LedgerError::Newer { sequence: sequence + 1, what }),
        }
    }
}

/// Iterates over the ledger in order, checking it again on the way.
pub struct AuditTrail {
    scanner: Option<Scanner>,
    since: u64,
}

impl AuditTrail {
    pub(super) fn new(scanner: Scanner, since: u64) -> Self {
        Self { scanner: Some(scanner), since }
    }
}

impl Iterator for AuditTrail {
    type Item = Result<AuditEntry, LedgerError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let scanner = self.scanner.as_mut()?;
            let next = scanner.next();
            let (sequence, path) = (scanner.position.sequence, scanner.path.as_path());
            let damaged = |what: &str| LedgerError::damaged(path, sequence, what);
            let item = match next {
                Ok(Next::Whole) if sequence < self.since => continue,
                Ok(Next::Whole) => match scanner.entry() {
                    Ok(entry) => return Some(Ok(entry)),
                    Err(bad) => Err(bad.of(path, sequence)),
                },
                // A record that is being written looks torn; it is not part of the ledger yet.
                Ok(Next::End | Next::Torn) => {
                    self.scanner = None;
                    return None;
                }
                Ok(Next::Damaged(what)) => Err(damaged(what)),
                Ok(Next::Newer(what)) => Err(LedgerError::Newer { sequence: sequence + 1, what }),
                Err(error) => Err(error.into()),
            };
            self.scanner = None;
            return Some(item);
        }
    }
}
