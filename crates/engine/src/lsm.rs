//! fjall behind a wall: the one module that knows it.
//!
//! Its panics become errors here. A panic may leave a lock of fjall poisoned, so whoever gets one from a change has to
//! stop changing; reads take other locks and go on.

use crate::limits::{
    FILE_BYTES, FIRST_LEVEL_RUNS, JOURNAL_BYTES, MARKS_BYTES, OPEN_FILES, SEALED_MEMTABLES, WORKERS,
};
use crate::{Options, marks};
pub(crate) use fjall::Snapshot;
use fjall::compaction::Leveled;
use fjall::{AbstractTree, Database, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};
use keyward_store::limits::TABLES;
use keyward_store::{Batch, Change, ReadError, Scan, Table};
use std::any::Any;
use std::ops::Bound;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Keyspaces that a complete store has: the tables, the marks, and fjall's own.
pub(crate) const KEYSPACES: usize = TABLES + 2;

const MARKS: &str = "marks";

/// Is an open database.
pub(crate) struct Lsm {
    database: Database,
    tables: Vec<Keyspace>,
    marks: Keyspace,
}

impl Lsm {
    /// Opens a database; if it has to be complete, a keyspace that is missing is an error.
    pub(crate) fn open(data: &Path, wanted: &Options, is_complete: bool) -> Result<Self, String> {
        caught(|| {
            let database = Database::builder(data)
                .cache_size(wanted.cache)
                .max_cached_files(Some(OPEN_FILES))
                .max_journaling_size(JOURNAL_BYTES)
                .worker_threads(WORKERS)
                .manual_journal_persist(true)
                .open()?;
            let names = Table::all().map(name);
            let lost = names.chain([MARKS.to_owned()]).find(|name| !database.keyspace_exists(name));
            if let Some(name) = lost.filter(|_| is_complete) {
                return Ok(Err(format!("the table {name} is missing")));
            }
            let tables =
                Table::all().map(|table| database.keyspace(&name(table), || options(wanted.memtable)));
            let tables = tables.collect::<fjall::Result<_>>()?;
            // Marks are tiny; left alone they would hold back the journals.
            let marks = database.keyspace(MARKS, || options(MARKS_BYTES))?;
            Ok(Ok(Self { database, tables, marks }))
        })
        .flatten()
    }

    /// Writes a batch into the journal's buffer and makes it seen.
    pub(crate) fn append(&self, batch: &Batch) -> Result<(), String> {
        caught(|| {
            let mut changes = self.database.batch();
            let mut touched = [false; TABLES];
            for change in batch {
                let (Change::Put { table, .. } | Change::Delete { table, .. }) = change;
                touched[usize::from(table.number())] = true;
                match change {
                    Change::Put { key, value, .. } => changes.insert(self.table(table), key, value),
                    Change::Delete { key, .. } => changes.remove(self.table(table), key),
                }
            }
            self.tables
                .iter()
                .zip(touched)
                .filter(|(_, touched)| *touched)
                .try_for_each(|(t, _)| self.wait(t))?;
            changes.commit()
        })
    }

    /// Puts the mark of a sync behind everything appended, and syncs.
    pub(crate) fn sync(&self, mark: u64) -> Result<(), String> {
        caught(|| {
            self.wait(&self.marks)?;
            let mut changes = self.database.batch();
            changes.insert(&self.marks, marks::KEY.as_slice(), mark.to_le_bytes().as_slice());
            changes.commit()?;
            self.database.persist(PersistMode::SyncData)
        })
    }

    /// Gives everything appended to the system.
    pub(crate) fn flush(&self) -> Result<(), String> {
        caught(|| self.database.persist(PersistMode::Buffer))
    }

    /// Flushes all tables, and compacts those of which no more than `room` bytes are left, until all are done or it is told
    /// to end.
    ///
    /// What is left is measured before the flush: a row that is deleted after that is still written by the compaction. Counted as
    /// gone, it filled the file system up, and then nothing could be removed any more.
    pub(crate) fn compact(&self, room: impl Fn() -> u64, ends: impl Fn() -> bool) -> Result<(), String> {
        let mut left = Vec::with_capacity(self.tables.len());
        for table in &self.tables {
            left.push(caught(|| self.left(table, room()))?);
        }
        for table in &self.tables {
            caught(|| self.flush_table(table, &ends))?;
        }
        self.let_go(&ends)?;
        for (table, left) in self.tables.iter().zip(left) {
            let fits = left.is_some_and(|left| left <= room());
            if fits && !ends() {
                caught(|| table.major_compact())?;
            }
        }
        self.let_go(&ends)
    }

    /// Seals a memtable that holds something. fjall then sees up to where nobody reads any more, so that a compaction drops
    /// what was deleted before, and removes the files that were compacted away and the journals of which all is flushed.
    fn let_go(&self, ends: impl Fn() -> bool) -> Result<(), String> {
        caught(|| {
            self.marks.insert(b"made room", b"")?;
            self.flush_table(&self.marks, &ends)
        })
    }

    /// Tells how many bytes a compaction of a table writes at most once all is flushed; `None` if more than `most`. Of a table that may
    /// be larger the rows are read, until they are too many: those that were deleted need nothing.
    fn left(&self, table: &Keyspace, most: u64) -> fjall::Result<Option<u64>> {
        let all = table.disk_space() + self.owed();
        if all <= most {
            return Ok(Some(all));
        }
        let mut left = 0;
        for row in table.iter() {
            let (key, value) = row.into_inner()?;
            left += key.len() as u64 + value.len() as u64;
            if left > most {
                return Ok(None);
            }
        }
        Ok(Some(left))
    }

    fn flush_table(&self, table: &Keyspace, ends: impl Fn() -> bool) -> fjall::Result<()> {
        table.rotate_memtable()?;
        self.wait_until(|| table.tree.sealed_memtable_count() == 0 || ends())
    }

    /// Tells the bytes that are in memory and in the journals, and not yet in table files.
    pub(crate) fn owed(&self) -> u64 {
        self.database.write_buffer_size()
    }

    /// Tells the sequence number of the last change that is in table files.
    pub(crate) fn flushed(&self) -> Result<Option<u64>, String> {
        let keyspaces = || self.tables.iter().chain([&self.marks]);
        caught(|| Ok(keyspaces().filter_map(|keyspace| keyspace.tree.get_highest_persisted_seqno()).max()))
    }

    /// Tells the last mark.
    pub(crate) fn mark(&self) -> Result<u64, String> {
        let mark = caught(|| self.marks.get(marks::KEY))?;
        Ok(mark.and_then(|mark| marks::decode(&mark)).unwrap_or(0))
    }

    /// Pins what is seen now. fjall keeps what it shows until it is dropped.
    pub(crate) fn snapshot(&self) -> Snapshot {
        self.database.snapshot()
    }

    /// Reads a value, of a snapshot or of now.
    pub(crate) fn get(
        &self,
        at: Option<&Snapshot>,
        table: Table,
        key: &[u8],
    ) -> Result<Option<Vec<u8>>, ReadError> {
        let table = self.table(table);
        caught(|| at.map_or_else(|| table.get(key), |at| at.get(table, key)))
            .map(|value| value.map(|value| value.to_vec()))
            .map_err(unreadable(table))
    }

    /// Reads a page, of a snapshot or of now.
    pub(crate) fn next_page(&self, at: Option<&Snapshot>, scan: &mut Scan) -> Result<bool, ReadError> {
        let table = self.table(scan.table());
        let start = scan.start().map(<[u8]>::to_vec);
        let end = scan.end();
        if is_nothing(&start, &end) {
            return scan.fill([] as [Result<([u8; 0], [u8; 0]), ReadError>; 0]);
        }
        let filled = caught(|| {
            let range = (start, end);
            let rows = match at {
                Some(at) => at.range(table, range),
                None => table.range(range),
            };
            let rows = rows.map(fjall::Guard::into_inner);
            Ok(scan.fill(rows.map(|row| row.map_err(|error| unreadable(table)(error.to_string())))))
        });
        filled.unwrap_or_else(|panic| scan.fill([Err::<([u8; 0], [u8; 0]), _>(unreadable(table)(panic))]))
    }

    fn table(&self, table: Table) -> &Keyspace {
        &self.tables[usize::from(table.number())]
    }

    /// Waits until a write to a keyspace does not wait inside fjall, where a failed flush would leave it for ever.
    fn wait(&self, keyspace: &Keyspace) -> fjall::Result<()> {
        self.wait_until(|| {
            keyspace.tree.sealed_memtable_count() < SEALED_MEMTABLES
                && keyspace.tree.l0_run_count() < FIRST_LEVEL_RUNS
        })
    }

    fn wait_until(&self, is_done: impl Fn() -> bool) -> fjall::Result<()> {
        while !is_done() {
            // Fails once a worker has failed; fjall has no other way to ask.
            self.database.persist(PersistMode::Buffer)?;
            pause();
        }
        Ok(())
    }
}

#[allow(clippy::disallowed_methods, reason = "fjall tells nobody when a flush or a compaction has ended")]
fn pause() {
    std::thread::sleep(Duration::from_millis(1));
}

fn options(memtable: u64) -> KeyspaceCreateOptions {
    KeyspaceCreateOptions::default()
        .max_memtable_size(memtable)
        .compaction_strategy(Arc::new(Leveled::default().with_table_target_size(memtable.min(FILE_BYTES))))
}

fn name(table: Table) -> String {
    format!("table-{:02}", table.number())
}

/// The ordered map of a memtable panics on such a range.
fn is_nothing(start: &Bound<Vec<u8>>, end: &Bound<Vec<u8>>) -> bool {
    match (start, end) {
        (Bound::Included(start) | Bound::Excluded(start), Bound::Excluded(end)) => start >= end,
        _ => false,
    }
}

fn unreadable(table: &Keyspace) -> impl Fn(String) -> ReadError {
    move |error| ReadError::new(format!("{}: {error}", table.path().display()))
}

/// Runs something of fjall's and makes its errors and its panics text.
fn caught<T>(work: impl FnOnce() -> fjall::Result<T>) -> Result<T, String> {
    match catch_unwind(AssertUnwindSafe(work)) {
        Ok(done) => done.map_err(|error| error.to_string()),
        Err(panic) => Err(format!("the storage library panicked: {}", said(panic.as_ref()))),
    }
}

fn said(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no message")
}
