//! An engine in memory that forgets what was not synced, runs out of room and breaks, whenever its caller says so.
//!
//! It decides nothing by itself and draws no random number: a simulated world draws, and its seed is the whole story.
//! A torn batch is dropped whole by every engine, so a crash is told by one number: how many batches are left.

use crate::memory::{Tables, View};
use crate::{Batch, Broken, Engine, Read, ReadError, Scan, Table};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Keeps batches in memory, with a durable part and one that a crash can take away.
#[derive(Debug, Default)]
pub struct FaultyEngine {
    durable: Tables,
    /// Appended and not synced, in order. `reading` shows them already.
    volatile: Vec<Batch>,
    reading: Reading,
    broken: Option<Broken>,
    breaks_at_sync: bool,
    is_full: bool,
}

/// What an engine and its readers look at.
#[derive(Debug, Clone, Default)]
struct Reading {
    view: View,
    is_unreadable: Arc<AtomicBool>,
}

impl FaultyEngine {
    /// Makes an empty one without faults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Crashes and is opened again: of the batches that were not synced the first `keep` are left, which are durable
    /// from now on. All faults that were set are gone. Readers from before read what was recovered.
    pub fn crash(&mut self, keep: usize) {
        for batch in self.volatile.drain(..).take(keep) {
            self.durable.apply(&batch);
        }
        *self.reading.view.write() = self.durable.clone();
        self.reading.is_unreadable.store(false, Ordering::Relaxed);
        (self.broken, self.breaks_at_sync, self.is_full) = (None, false, false);
    }

    /// Tells how many batches a crash can take away.
    #[must_use]
    pub fn unsynced(&self) -> usize {
        self.volatile.len()
    }

    /// Lets the next sync fail, and everything after it until a crash.
    pub fn break_at_next_sync(&mut self) {
        self.breaks_at_sync = true;
    }

    /// Says that there is no room, or that there is again.
    pub fn set_full(&mut self, is_full: bool) {
        self.is_full = is_full;
    }

    /// Lets every read fail, or succeed again.
    pub fn set_unreadable(&mut self, is_unreadable: bool) {
        self.reading.is_unreadable.store(is_unreadable, Ordering::Relaxed);
    }

    fn usable(&self) -> Result<(), Broken> {
        self.broken.clone().map_or(Ok(()), Err)
    }
}

impl Reading {
    fn readable(&self) -> Result<(), ReadError> {
        let failed = self.is_unreadable.load(Ordering::Relaxed);
        if failed { Err(ReadError::new("the faulty engine was told to fail reads")) } else { Ok(()) }
    }
}

impl Read for Reading {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        self.readable()?;
        self.view.get(table, key)
    }

    fn next_page(&self, scan: &mut Scan) -> Result<bool, ReadError> {
        match self.readable() {
            Ok(()) => self.view.next_page(scan),
            Err(error) => scan.fill([Err::<([u8; 0], [u8; 0]), _>(error)]),
        }
    }

    fn snapshot(&self) -> Arc<dyn Read> {
        Arc::new(Self { view: self.view.copied(), is_unreadable: self.is_unreadable.clone() })
    }
}

impl Read for FaultyEngine {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        self.reading.get(table, key)
    }

    fn next_page(&self, scan: &mut Scan) -> Result<bool, ReadError> {
        self.reading.next_page(scan)
    }

    fn snapshot(&self) -> Arc<dyn Read> {
        self.reading.snapshot()
    }
}

impl Engine for FaultyEngine {
    fn append(&mut self, batch: &Batch) -> Result<(), Broken> {
        self.usable()?;
        if batch.is_empty() {
            return Ok(());
        }
        self.reading.view.write().apply(batch);
        self.volatile.push(batch.clone());
        Ok(())
    }

    fn has_room(&mut self) -> Result<bool, Broken> {
        self.usable()?;
        Ok(!self.is_full)
    }

    fn sync(&mut self) -> Result<(), Broken> {
        self.usable()?;
        if self.breaks_at_sync {
            self.broken = Some(Broken::new("the faulty engine was told to fail this sync"));
            return self.usable();
        }
        for batch in self.volatile.drain(..) {
            self.durable.apply(&batch);
        }
        Ok(())
    }

    fn reader(&self) -> Arc<dyn Read> {
        Arc::new(self.reading.clone())
    }
}
