//! An engine that keeps nothing beyond its own life: for tests, and for an operator who wants no messages on disk.

use crate::{Batch, Broken, Change, Engine, Read, ReadError, Scan, Table, limits};
use std::collections::BTreeMap;
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

type Map = BTreeMap<Box<[u8]>, Box<[u8]>>;

/// Holds all tables as ordered maps.
#[derive(Debug, Clone, Default)]
pub(crate) struct Tables {
    maps: [Map; limits::TABLES],
}

impl Tables {
    pub(crate) fn apply(&mut self, batch: &Batch) {
        for change in batch {
            match change {
                Change::Put { table, key, value } => {
                    self.maps[usize::from(table.number())].insert(key.into(), value.into());
                }
                Change::Delete { table, key } => {
                    self.maps[usize::from(table.number())].remove(key);
                }
            }
        }
    }

    pub(crate) fn get(&self, table: Table, key: &[u8]) -> Option<Vec<u8>> {
        self.maps[usize::from(table.number())].get(key).map(|value| value.to_vec())
    }

    pub(crate) fn next_page(&self, scan: &mut Scan) -> Result<bool, ReadError> {
        let map = &self.maps[usize::from(scan.table().number())];
        let rows = map.range::<[u8], _>((scan.start(), Bound::Unbounded));
        scan.fill(rows.map(Ok))
    }
}

/// Shares tables between an engine and its readers. A panic of one holder leaves whole maps behind, so the others go on.
#[derive(Debug, Clone, Default)]
pub(crate) struct View {
    tables: Arc<RwLock<Tables>>,
}

impl View {
    pub(crate) fn read(&self) -> RwLockReadGuard<'_, Tables> {
        self.tables.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn write(&self) -> RwLockWriteGuard<'_, Tables> {
        self.tables.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives tables of its own, which hold what these hold now.
    pub(crate) fn copied(&self) -> Self {
        Self { tables: Arc::new(RwLock::new(self.read().clone())) }
    }
}

impl Read for View {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        Ok(self.read().get(table, key))
    }

    fn next_page(&self, scan: &mut Scan) -> Result<bool, ReadError> {
        self.read().next_page(scan)
    }

    fn snapshot(&self) -> Arc<dyn Read> {
        Arc::new(self.copied())
    }
}

/// Keeps batches in memory. It never refuses, never breaks, and ends with its last reader.
#[derive(Debug, Default)]
pub struct MemoryEngine {
    view: View,
}

impl MemoryEngine {
    /// Makes an empty one.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

impl Read for MemoryEngine {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        self.view.get(table, key)
    }

    fn next_page(&self, scan: &mut Scan) -> Result<bool, ReadError> {
        self.view.next_page(scan)
    }

    fn snapshot(&self) -> Arc<dyn Read> {
        self.view.snapshot()
    }
}

impl Engine for MemoryEngine {
    fn append(&mut self, batch: &Batch) -> Result<(), Broken> {
        self.view.write().apply(batch);
        Ok(())
    }

    fn has_room(&mut self) -> Result<bool, Broken> {
        Ok(true)
    }

    fn sync(&mut self) -> Result<(), Broken> {
        Ok(())
    }

    fn reader(&self) -> Arc<dyn Read> {
        Arc::new(self.view.clone())
    }
}
