//! Gives the room of deleted rows back to the file system when there is none left.
//!
//! fjall compacts, and removes what was compacted away, when enough was written. An engine without room takes only deletes,
//! which are small: what they deleted would stay on disk for ever. So a thread flushes everything, and compacts what fits into
//! half of the room left, each time that there is no room and something was appended since.

use crate::lsm::Lsm;
use crate::room;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};

/// Starts and ends the thread; at most one runs.
#[derive(Debug, Default)]
pub(crate) struct MakingRoom {
    /// Whether something was appended that the last run may not have met.
    is_worth_it: bool,
    ends: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl MakingRoom {
    /// Remembers that something was appended.
    pub(crate) fn after_append(&mut self) {
        self.is_worth_it = true;
    }

    /// Begins, unless it is under way or nothing was appended. A run that fails has made no room: the next one tries again.
    pub(crate) fn begin(&mut self, lsm: &Arc<Lsm>, data: &Path) {
        let is_running = self.thread.as_ref().is_some_and(|thread| !thread.is_finished());
        if is_running || !std::mem::take(&mut self.is_worth_it) {
            return;
        }
        let (lsm, ends, data) = (Arc::clone(lsm), Arc::clone(&self.ends), data.to_owned());
        let half = move || room::free(&data).unwrap_or(0) / 2;
        let run = move || drop(lsm.compact(half, || ends.load(Ordering::Relaxed)));
        self.thread = Builder::new().name("make room".to_owned()).spawn(run).ok();
    }
}

impl Drop for MakingRoom {
    /// Waits for the table that is being compacted: the directory is not closed before.
    fn drop(&mut self) {
        self.ends.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            drop(thread.join());
        }
    }
}
