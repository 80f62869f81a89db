//! What the data plane counts, for `status`.

use keyward_broker::{ShardStats, Storage};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// Holds the figures of a data plane. Those without another word count since the start.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PlaneStats {
    /// Connections now, authenticated or not.
    pub connections: usize,
    /// Connections that are not authenticated yet, now.
    pub pending: usize,
    /// Bytes that these make the broker hold, now.
    pub pending_bytes: usize,
    /// Connections accepted.
    pub accepted: u64,
    /// Connections closed at once because a bound was reached.
    pub turned_away: u64,
    /// Unfinished connections closed to make room for newer ones.
    pub evicted: u64,
    /// TLS handshakes finished.
    pub handshakes: u64,
    /// Connections that ended before their CONNECT was whole.
    pub handshakes_failed: u64,
    /// Logins that were handed to a worker.
    pub logins: u64,
    /// Logins that failed.
    pub logins_failed: u64,
    /// CONNECT packets received.
    pub connects: u64,
    /// Bytes of MQTT received, CONNECT packets included; shards that did not answer are left out.
    pub bytes_received: u64,
    /// Connections that were logged in at the same time, at most.
    pub most_logged_in: usize,
    /// Events dropped because the queue to the sink was full.
    pub events_dropped: u64,
    /// What the store can take; `None` if there is none.
    pub storage: Option<Storage>,
    /// The figures of each shard; `None` for a shard that did not answer in time.
    pub shards: Vec<Option<ShardStats>>,
}

/// Counts what happens at the doors.
#[derive(Debug, Default)]
pub(crate) struct DoorCounts {
    accepted: AtomicU64,
    turned_away: AtomicU64,
    evicted: AtomicU64,
    handshakes: AtomicU64,
    handshakes_failed: AtomicU64,
    logins: AtomicU64,
    logins_failed: AtomicU64,
    connects: AtomicU64,
    connect_bytes: AtomicU64,
    refusals: Arc<AtomicUsize>,
}

impl DoorCounts {
    pub(crate) fn accepted(&self) {
        add(&self.accepted);
    }

    pub(crate) fn turned_away(&self) {
        add(&self.turned_away);
    }

    pub(crate) fn evicted(&self) {
        add(&self.evicted);
    }

    pub(crate) fn handshake(&self) {
        add(&self.handshakes);
    }

    pub(crate) fn handshake_failed(&self) {
        add(&self.handshakes_failed);
    }

    pub(crate) fn login(&self) {
        add(&self.logins);
    }

    pub(crate) fn login_failed(&self) {
        add(&self.logins_failed);
    }

    /// Counts a CONNECT of `bytes` bytes.
    pub(crate) fn connect(&self, bytes: usize) {
        add(&self.connects);
        self.connect_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// Returns how many refused logins wait for their answer.
    pub(crate) fn refusals_waiting(&self) -> usize {
        self.refusals.load(Ordering::Relaxed)
    }

    /// Counts a refused login that waits for its answer, until the guard is dropped.
    pub(crate) fn wait_for_refusal(&self) -> RefusalGuard {
        self.refusals.fetch_add(1, Ordering::Relaxed);
        RefusalGuard(self.refusals.clone())
    }

    /// Copies the counts to where operators see them.
    pub(crate) fn tell(&self, stats: &mut PlaneStats) {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        stats.accepted = get(&self.accepted);
        stats.turned_away = get(&self.turned_away);
        stats.evicted = get(&self.evicted);
        stats.handshakes = get(&self.handshakes);
        stats.handshakes_failed = get(&self.handshakes_failed);
        stats.logins = get(&self.logins);
        stats.logins_failed = get(&self.logins_failed);
        stats.connects = get(&self.connects);
        stats.bytes_received = get(&self.connect_bytes);
    }
}

fn add(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
}

/// Is the place of one refused login that waits for its answer.
#[derive(Debug)]
pub(crate) struct RefusalGuard(Arc<AtomicUsize>);

impl Drop for RefusalGuard {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
