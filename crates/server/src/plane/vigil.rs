//! Says every two seconds that a long start goes on, so that nobody takes it for one that hangs.

use crate::clock;
use keyward_store::{Read, ReadError, Scan, Table};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

const EVERY: Duration = Duration::from_secs(2);

/// Watches a start until it is dropped.
pub(crate) struct Vigil {
    records: Arc<AtomicU64>,
    /// Goes before the thread is waited for, which ends by it.
    end: Option<SyncSender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Vigil {
    /// Begins. Without a thread for it nothing is said, which is no reason not to start.
    pub(crate) fn begin() -> Self {
        let records = Arc::new(AtomicU64::new(0));
        let (end, ended) = sync_channel(0);
        let seen = records.clone();
        let watch = move || keep(&seen, &ended);
        let thread = thread::Builder::new().name("vigil".to_owned()).spawn(watch).ok();
        Self { records, end: Some(end), thread }
    }

    /// Returns a view of a store that counts what is read of it.
    pub(crate) fn counting<'a>(&'a self, store: &'a dyn Read) -> impl Read + 'a {
        Counting { store, records: &self.records }
    }
}

impl Drop for Vigil {
    fn drop(&mut self) {
        self.end = None;
        if let Some(thread) = self.thread.take() {
            // It has nothing to tell that would stop a start.
            let _ = thread.join();
        }
    }
}

fn keep(records: &AtomicU64, ended: &Receiver<()>) {
    let begin = clock::now().mono;
    while ended.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
        let records = records.load(Ordering::Relaxed);
        let seconds = clock::now().mono.saturating_sub(begin).0 / 1_000;
        tracing::info!(
            records,
            seconds,
            "sessions and messages are being restored; nobody is let in until they are"
        );
    }
}

struct Counting<'a> {
    store: &'a dyn Read,
    records: &'a AtomicU64,
}

impl Read for Counting<'_> {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        self.store.get(table, key)
    }

    fn next_page(&self, scan: &mut Scan) -> Result<bool, ReadError> {
        let found = self.store.next_page(scan)?;
        self.records.fetch_add(scan.rows().count() as u64, Ordering::Relaxed);
        Ok(found)
    }

    fn snapshot(&self) -> Arc<dyn Read> {
        self.store.snapshot()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_store::memory::MemoryEngine;
    use keyward_store::{Batch, Engine};

    #[test]
    fn every_record_that_is_read_is_counted_once() {
        let (mut store, mut batch, table) = (MemoryEngine::new(), Batch::new(), Table::new(0));
        (0..25_u8).for_each(|key| batch.put(table, &[key], b"x"));
        store.append(&batch).unwrap();
        let vigil = Vigil::begin();
        let counting = vigil.counting(&store);
        let mut scan = Scan::of(table, b"").rows_per_page(10);
        while counting.next_page(&mut scan).unwrap() {}
        drop(counting);
        assert_eq!(vigil.records.load(Ordering::Relaxed), 25);
    }
}
