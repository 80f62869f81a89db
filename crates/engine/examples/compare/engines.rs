//! What is compared: the engine of this crate, redb, and a plain log, the floor.

#![allow(clippy::unwrap_used, reason = "a measurement that cannot set itself up has to fail")]

use keyward_engine::{DiskEngine, Options};
use keyward_store::{Batch, Change, Engine, Read, Scan, Table};
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::Path;

/// Is an engine as far as it is measured.
pub(crate) trait Candidate {
    fn append(&mut self, batch: &Batch);
    fn sync(&mut self);
    /// Reads all rows of a table in order and counts them.
    fn scan(&self, table: Table) -> u64;
}

pub(crate) struct Disk(DiskEngine);

impl Disk {
    pub(crate) fn open(path: &Path) -> Self {
        Self(DiskEngine::open(path, &Options::default()).unwrap())
    }
}

impl Candidate for Disk {
    fn append(&mut self, batch: &Batch) {
        self.0.append(batch).unwrap();
    }

    fn sync(&mut self) {
        self.0.sync().unwrap();
    }

    fn scan(&self, table: Table) -> u64 {
        let (mut scan, mut count) = (Scan::of(table, b""), 0);
        while self.0.next_page(&mut scan).unwrap() {
            count += scan.rows().count() as u64;
        }
        count
    }
}

const TABLES: [TableDefinition<'_, &[u8], &[u8]>; 2] = [TableDefinition::new("0"), TableDefinition::new("1")];

/// Gathers what was appended and commits it with a sync, as a committer would.
pub(crate) struct Redb {
    database: Database,
    open: Vec<Batch>,
}

impl Redb {
    pub(crate) fn open(path: &Path) -> Self {
        fs::create_dir_all(path).unwrap();
        Self { database: Database::create(path.join("redb")).unwrap(), open: Vec::new() }
    }
}

impl Candidate for Redb {
    fn append(&mut self, batch: &Batch) {
        self.open.push(batch.clone());
    }

    fn sync(&mut self) {
        let transaction = self.database.begin_write().unwrap();
        {
            let mut tables = TABLES.map(|table| transaction.open_table(table).unwrap());
            for change in self.open.iter().flat_map(Batch::changes) {
                match change {
                    Change::Put { table, key, value } => {
                        tables[usize::from(table.number())].insert(key, value).unwrap();
                    }
                    Change::Delete { table, key } => {
                        tables[usize::from(table.number())].remove(key).unwrap();
                    }
                }
            }
        }
        transaction.commit().unwrap();
        self.open.clear();
    }

    fn scan(&self, table: Table) -> u64 {
        let transaction = self.database.begin_read().unwrap();
        let table = transaction.open_table(TABLES[usize::from(table.number())]).unwrap();
        table.iter().unwrap().map(|row| u64::from(!row.unwrap().0.value().is_empty())).sum()
    }
}

/// Appends each change to one file and keeps an index of all keys in memory. It never gives room back, so it is faster
/// than any engine that does: a floor, not a choice.
pub(crate) struct Log {
    file: BufWriter<File>,
    index: [BTreeMap<Vec<u8>, u64>; 2],
    end: u64,
}

impl Log {
    pub(crate) fn open(path: &Path) -> Self {
        fs::create_dir_all(path).unwrap();
        let path = path.join("log");
        let bytes = fs::read(&path).unwrap_or_default();
        let file = OpenOptions::new().append(true).create(true).open(&path).unwrap();
        let mut log =
            Self { file: BufWriter::with_capacity(1 << 16, file), index: Default::default(), end: 0 };
        while let Some((record, rest)) = bytes[log.end as usize..].split_first_chunk::<8>() {
            let [table, kind, k0, k1, v0, v1, v2, v3] = *record;
            let (key, value) = (u16::from_le_bytes([k0, k1]), u32::from_le_bytes([v0, v1, v2, v3]));
            log.remember(table, kind, &rest[..usize::from(key)], value);
        }
        log
    }

    fn remember(&mut self, table: u8, kind: u8, key: &[u8], value: u32) {
        let index = &mut self.index[usize::from(table)];
        if kind == 0 {
            index.insert(key.to_vec(), self.end);
        } else {
            index.remove(key);
        }
        self.end += 8 + key.len() as u64 + u64::from(value);
    }
}

impl Candidate for Log {
    fn append(&mut self, batch: &Batch) {
        for change in batch {
            let (table, kind, key, value) = match change {
                Change::Put { table, key, value } => (table, 0, key, value),
                Change::Delete { table, key } => (table, 1, key, &[][..]),
            };
            self.file.write_all(&[table.number(), kind]).unwrap();
            self.file.write_all(&(key.len() as u16).to_le_bytes()).unwrap();
            self.file.write_all(&(value.len() as u32).to_le_bytes()).unwrap();
            self.file.write_all(key).unwrap();
            self.file.write_all(value).unwrap();
            self.remember(table.number(), kind, key, value.len() as u32);
        }
    }

    fn sync(&mut self) {
        self.file.flush().unwrap();
        self.file.get_ref().sync_data().unwrap();
    }

    fn scan(&self, table: Table) -> u64 {
        self.index[usize::from(table.number())].len() as u64
    }
}
