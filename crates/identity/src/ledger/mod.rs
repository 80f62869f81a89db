//! The ledger: an append-only, hash-chained file of events, kept twice. It is the state and the audit in one.
//!
//! It holds only changes by those entitled to make them. A message store that cannot be read can be set aside; a
//! ledger that cannot be read stops the start, for revocations would be lost.

mod mend;
mod record;
pub(crate) mod remains;
mod scan;
pub(crate) mod snapshot;

pub use scan::AuditTrail;
pub(crate) use scan::{Position, read_whole};

use crate::{
    clock::WallTime,
    events::Event,
    files::{self, FileError},
    limits,
};
use rustix::fs::{FallocateFlags, Mode, OFlags};
use scan::{MAGIC, Scanner};
use std::{
    fs::File,
    io::{self, Read, Write},
    path::{Path, PathBuf},
};

/// Says why the ledger cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Both copies are damaged in one place.
    #[error(
        "{dir}: the ledger is damaged behind record {last_good} and neither copy can mend the other ({what}); \
         revocations could be lost, so nothing starts; what can be read here is kept when you restore the newest \
         backup: keyward store restore FILE", dir = .dir.display()
    )]
    Damaged {
        /// The folder.
        dir: PathBuf,
        /// The last record that is whole.
        last_good: u64,
        /// What is wrong behind it.
        what: String,
    },
    /// A write failed earlier, and what is on disk is not known.
    #[error("an earlier write of the ledger failed; restart, so that it is read and checked again")]
    Broken,
    /// A record is larger than any that is read.
    #[error("the record has {len} bytes; a ledger record has at most {}", crate::limits::LEDGER_RECORD_BYTES)]
    RecordTooLarge {
        /// Its length in bytes.
        len: usize,
    },
    /// A record was written by a newer program.
    #[error(
        "record {sequence} of the ledger was written by a newer program ({what}); install that version or newer"
    )]
    Newer {
        /// The record.
        sequence: u64,
        /// What is not understood.
        what: String,
    },
    /// A record speaks of something that no record before it made.
    #[error(
        "record {sequence} of the ledger makes no sense: {what}; restore the newest backup: keyward store restore FILE"
    )]
    Senseless {
        /// The record.
        sequence: u64,
        /// What is wrong.
        what: String,
    },
}

impl LedgerError {
    fn damaged(path: &Path, last_good: u64, what: &str) -> Self {
        let dir = path.parent().unwrap_or(path).to_owned();
        Self::Damaged { dir, last_good, what: what.to_owned() }
    }
}

/// Holds one record of the ledger: who changed what, when. Everything exact; escape it where people read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// The number of the record, from 1.
    pub sequence: u64,
    /// What the clock showed.
    pub at: WallTime,
    /// Who gave the command.
    pub actor: String,
    /// What happened.
    pub events: Vec<Event>,
    /// The SHA-256 that chains this record to all before it.
    pub hash: [u8; 32],
}

/// What a copy of the log is written to. Tests put a failing one in its place.
pub(crate) trait Medium: Send {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()>;
    fn sync(&mut self) -> io::Result<()>;
    fn cut(&mut self, len: u64) -> io::Result<()>;
    /// Keeps room on disk up to this length, so far as there is some. The file ends where it did.
    fn reserve(&mut self, len: u64);
}

impl Medium for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.write_all(bytes)
    }

    fn sync(&mut self) -> io::Result<()> {
        self.sync_data()
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)?;
        self.sync_all()
    }

    fn reserve(&mut self, len: u64) {
        // Where there is no room, or a file system cannot keep any, a write has to find its own.
        let _ = rustix::fs::fallocate(&*self, FallocateFlags::KEEP_SIZE, 0, len);
    }
}

/// Holds both copies of the log open.
pub(crate) struct Ledger {
    dir: PathBuf,
    end: Position,
    copies: [Box<dyn Medium>; 2],
    broken: bool,
}

/// Holds a record that is ready to be written.
pub(crate) struct Draft {
    pub(crate) entry: AuditEntry,
    bytes: Vec<u8>,
}

/// The file names of the two copies, in the order in which they are written.
pub(crate) const COPIES: [&str; 2] = ["a.log", "b.log"];
const SNAPSHOT: &str = "snapshot";

impl Ledger {
    /// Makes an empty ledger in the existing folder `dir`.
    pub(crate) fn create(dir: &Path) -> Result<Self, LedgerError> {
        for name in COPIES {
            files::write_new(&dir.join(name), MAGIC)?;
        }
        Self::with_end(dir, Position::START)
    }

    /// Opens the ledger in `dir`; returns what was mended, in sentences.
    pub(crate) fn open(dir: &Path) -> Result<(Self, Vec<String>), LedgerError> {
        let [a, b] = COPIES.map(|name| dir.join(name));
        let (end, mended) = mend::mend(&a, &b)?;
        Ok((Self::with_end(dir, end)?, mended))
    }

    fn with_end(dir: &Path, end: Position) -> Result<Self, LedgerError> {
        let open = |name: &str| -> Result<Box<dyn Medium>, LedgerError> {
            let path = dir.join(name);
            let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let fd = rustix::fs::open(&path, flags, Mode::empty()).map_err(|errno| FileError::Io {
                path,
                action: "open for writing",
                source: errno.into(),
            })?;
            Ok(Box::new(File::from(fd)))
        };
        let copies = [open(COPIES[0])?, open(COPIES[1])?];
        let mut ledger = Self { dir: dir.to_owned(), end, copies, broken: false };
        ledger.reserve();
        Ok(ledger)
    }

    /// Keeps room behind the last record: on a full disk something can still be taken away from somebody.
    fn reserve(&mut self) {
        let len = self.end.offset + limits::LEDGER_RESERVE_BYTES;
        self.copies.iter_mut().for_each(|copy| copy.reserve(len));
    }

    pub(crate) fn end(&self) -> Position {
        self.end
    }

    pub(crate) fn snapshot_path(&self) -> PathBuf {
        self.dir.join(SNAPSHOT)
    }

    /// Prepares the next record; nothing is written yet.
    pub(crate) fn draft(&self, at: WallTime, actor: &str, events: Vec<Event>) -> Result<Draft, LedgerError> {
        let sequence = self.end.sequence + 1;
        let (bytes, hash) = record::encode(&self.end.hash, sequence, at, actor, &events)
            .map_err(|len| LedgerError::RecordTooLarge { len })?;
        Ok(Draft { entry: AuditEntry { sequence, at, actor: actor.to_owned(), events, hash }, bytes })
    }

    /// Writes a record: on disk twice when this returns.
    ///
    /// A write that fails (no room, say) is undone in both copies. If it cannot be undone, or if a sync fails, what
    /// is on disk is not known, and nothing is written any more.
    pub(crate) fn append(&mut self, draft: Draft) -> Result<AuditEntry, LedgerError> {
        if self.broken || draft.entry.sequence != self.end.sequence + 1 {
            return Err(LedgerError::Broken);
        }
        for copy in 0..self.copies.len() {
            let written = self.copies[copy].append(&draft.bytes);
            if let Err(source) = written {
                self.undo();
                return Err(self.failed(copy, "write", source));
            }
            // After a failed sync the system may have dropped the data and forgotten the error: never try again.
            if let Err(source) = self.copies[copy].sync() {
                self.broken = true;
                return Err(self.failed(copy, "sync", source));
            }
        }
        self.end = Position {
            sequence: draft.entry.sequence,
            hash: draft.entry.hash,
            offset: self.end.offset + draft.bytes.len() as u64,
        };
        self.reserve();
        Ok(draft.entry)
    }

    fn undo(&mut self) {
        let len = self.end.offset;
        self.broken = self.copies.iter_mut().any(|copy| copy.cut(len).is_err());
        // What was kept behind the end was cut off as well.
        self.reserve();
    }

    fn failed(&self, copy: usize, action: &'static str, source: io::Error) -> LedgerError {
        FileError::Io { path: self.dir.join(COPIES[copy]), action, source }.into()
    }

    /// Reads the records behind `position`. The first one is an error if `position` is not on this ledger's chain.
    pub(crate) fn replay(&self, position: Position) -> Result<AuditTrail, LedgerError> {
        let mut scanner = self.scanner()?;
        scanner.seek(position)?;
        Ok(AuditTrail::new(scanner, 0))
    }

    /// Reads the records from number `since` on.
    pub(crate) fn audit(&self, since: u64) -> Result<AuditTrail, LedgerError> {
        Ok(AuditTrail::new(self.scanner()?, since))
    }

    /// Opens the ledger for reading up to its last record.
    pub(crate) fn copy(&self) -> Result<io::Take<File>, FileError> {
        Ok(files::open_regular(&self.dir.join(COPIES[0]))?.take(self.end.offset))
    }

    fn scanner(&self) -> Result<Scanner, LedgerError> {
        let path = self.dir.join(COPIES[0]);
        Scanner::open(&path)?.ok_or_else(|| LedgerError::damaged(&path, 0, "it has no header"))
    }
}

/// Reads the bytes of one record as the first of a ledger, its chain and checksum made right. `None` if it is refused.
#[cfg(feature = "decoders")]
pub(crate) fn read_sealed(bytes: &[u8]) -> Option<AuditEntry> {
    let mut record = bytes.to_vec();
    record::seal(&record::GENESIS, &mut record);
    let hash = record::check(&record::GENESIS, 1, &record).ok()?;
    record::parse(1, hash, &record).ok()
}

/// Writes an entry as the first record of a ledger.
#[cfg(feature = "decoders")]
pub(crate) fn write_first(entry: &AuditEntry) -> Option<Vec<u8>> {
    record::encode(&record::GENESIS, 1, entry.at, &entry.actor, &entry.events).ok().map(|(bytes, _)| bytes)
}

/// Returns the file of a ledger with these notes of a changed configuration.
#[cfg(feature = "decoders")]
pub(crate) fn file_of(notes: &[&str]) -> Vec<u8> {
    let (mut file, mut last) = (MAGIC.to_vec(), record::GENESIS);
    for (sequence, note) in (1..).zip(notes) {
        let events = [Event::ConfigChanged { summary: (*note).to_owned() }];
        if let Ok((bytes, hash)) = record::encode(&last, sequence, WallTime(sequence), "fuzz", &events) {
            file.extend(bytes);
            last = hash;
        }
    }
    file
}

#[cfg(test)]
mod faults {
    use super::*;
    use std::os::unix::fs::MetadataExt;
    use std::sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    };

    /// A copy on a disk that can be told to fail.
    #[derive(Clone, Default)]
    struct Disk {
        is_full: Arc<AtomicBool>,
        loses_syncs: Arc<AtomicBool>,
        is_gone: Arc<AtomicBool>,
    }

    struct Faulty {
        file: File,
        disk: Disk,
    }

    fn fail_if(switch: &AtomicBool) -> io::Result<()> {
        match switch.load(Ordering::Relaxed) {
            true => Err(io::Error::other("injected")),
            false => Ok(()),
        }
    }

    impl Medium for Faulty {
        fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
            if fail_if(&self.disk.is_full).is_err() {
                self.file.append(&bytes[..bytes.len() / 2])?;
            }
            fail_if(&self.disk.is_full)?;
            self.file.append(bytes)
        }
        fn sync(&mut self) -> io::Result<()> {
            fail_if(&self.disk.loses_syncs)?;
            self.file.sync()
        }
        fn cut(&mut self, len: u64) -> io::Result<()> {
            fail_if(&self.disk.is_gone)?;
            self.file.cut(len)
        }
        fn reserve(&mut self, len: u64) {
            self.file.reserve(len);
        }
    }

    fn note(text: &str) -> Vec<Event> {
        vec![Event::ConfigChanged { summary: text.into() }]
    }

    fn append(ledger: &mut Ledger, text: &str) -> Result<AuditEntry, LedgerError> {
        let draft = ledger.draft(WallTime(1), "test", note(text))?;
        ledger.append(draft)
    }

    /// A ledger with one record whose copy number `copy` lies on a disk that can fail.
    fn ledger_on(dir: &Path, copy: usize) -> (Ledger, Disk) {
        let mut ledger = Ledger::create(dir).unwrap();
        append(&mut ledger, "first").unwrap();
        let file = std::fs::OpenOptions::new().append(true).open(dir.join(COPIES[copy])).unwrap();
        let disk = Disk::default();
        ledger.copies[copy] = Box::new(Faulty { file, disk: disk.clone() });
        (ledger, disk)
    }

    fn summaries(dir: &Path) -> Vec<Vec<Event>> {
        let (ledger, mended) = Ledger::open(dir).unwrap();
        assert_eq!(mended, Vec::<String>::new());
        ledger.audit(1).unwrap().map(|entry| entry.unwrap().events).collect()
    }

    #[test]
    fn a_full_disk_refuses_a_record_and_leaves_no_trace_of_it() {
        for copy in [0, 1] {
            let dir = tempfile::tempdir().unwrap();
            let (mut ledger, disk) = ledger_on(dir.path(), copy);
            disk.is_full.store(true, Ordering::Relaxed);
            assert!(append(&mut ledger, "lost").is_err());
            assert_eq!(summaries(dir.path()), [note("first")]);
            disk.is_full.store(false, Ordering::Relaxed);
            append(&mut ledger, "second").unwrap();
            assert_eq!(summaries(dir.path()), [note("first"), note("second")]);
        }
    }

    #[test]
    fn after_a_failed_sync_nothing_is_written_any_more() {
        for copy in [0, 1] {
            let dir = tempfile::tempdir().unwrap();
            let (mut ledger, disk) = ledger_on(dir.path(), copy);
            disk.loses_syncs.store(true, Ordering::Relaxed);
            assert!(append(&mut ledger, "unknown").is_err());
            disk.loses_syncs.store(false, Ordering::Relaxed);
            assert!(matches!(append(&mut ledger, "later"), Err(LedgerError::Broken)));
        }
    }

    #[test]
    fn a_failed_write_that_cannot_be_undone_is_final() {
        let dir = tempfile::tempdir().unwrap();
        let (mut ledger, disk) = ledger_on(dir.path(), 1);
        disk.is_full.store(true, Ordering::Relaxed);
        disk.is_gone.store(true, Ordering::Relaxed);
        assert!(append(&mut ledger, "lost").is_err());
        disk.is_full.store(false, Ordering::Relaxed);
        assert!(matches!(append(&mut ledger, "later"), Err(LedgerError::Broken)));
    }

    /// On a full disk nothing could be revoked any more.
    #[test]
    fn room_is_kept_behind_the_last_record_and_does_not_lengthen_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::create(dir.path()).unwrap();
        for number in 0..3 {
            append(&mut ledger, &format!("record {number}")).unwrap();
            for name in COPIES {
                let file = std::fs::metadata(dir.path().join(name)).unwrap();
                assert_eq!(file.len(), ledger.end.offset);
                assert!(
                    file.blocks() * 512 >= file.len() + limits::LEDGER_RESERVE_BYTES,
                    "{}",
                    file.blocks()
                );
            }
        }
    }

    #[test]
    fn a_record_that_is_too_large_is_refused_before_it_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let mut ledger = Ledger::create(dir.path()).unwrap();
        let huge = "x".repeat(limits::LEDGER_RECORD_BYTES);
        assert!(matches!(append(&mut ledger, &huge), Err(LedgerError::RecordTooLarge { .. })));
        append(&mut ledger, "small").unwrap();
        assert_eq!(summaries(dir.path()), [note("small")]);
    }
}
