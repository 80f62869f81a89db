//! How many connections there may be: in all, per source, per identity; and what those may cost that are not
//! authenticated yet.
//!
//! What was counted is given back when the guard is dropped, wherever that happens: in the door, in an inbox, in a
//! worker.

use crate::plane::limits::{Limits, PACED_SOURCES, PENDING_OVERHEAD};
use crate::plane::pace::{Rate, Spent};
use crate::plane::source::Source;
use keyward_ids::Identity;
use keyward_mqtt::time::Millis;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Says which bound a connection would break.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Crowded {
    /// There are as many connections as there may be.
    Connections,
    /// Its source has as many connections as it may have.
    Source,
    /// Its identity has as many connections as it may have.
    Identity,
    /// There are as many unauthenticated connections as there may be.
    Pending,
    /// Unauthenticated connections hold as many bytes as they may.
    PendingBytes,
    /// Its source connects more often than it may.
    Rate,
}

impl Crowded {
    /// Returns the name of the bound: the key in `keyward.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Connections => "connections",
            Self::Source => "connections_per_address",
            Self::Identity => "connections_per_identity",
            Self::Pending => "pending",
            Self::PendingBytes => "pending_bytes",
            Self::Rate => "handshake_rate_per_address",
        }
    }

    /// Returns the value of the bound.
    pub fn value(self, limits: &Limits) -> u64 {
        match self {
            Self::Connections => limits.connections as u64,
            Self::Source => limits.connections_per_address as u64,
            Self::Identity => limits.connections_per_identity as u64,
            Self::Pending => limits.pending as u64,
            Self::PendingBytes => limits.pending_bytes as u64,
            Self::Rate => limits.handshake_rate_per_address,
        }
    }
}

impl std::fmt::Display for Crowded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connections => "too many connections",
            Self::Source => "too many connections from this address",
            Self::Identity => "too many connections of this identity",
            Self::Pending => "too many connections that have not logged in",
            Self::PendingBytes => "connections that have not logged in hold too much memory",
            Self::Rate => "too many handshakes from this address",
        })
    }
}

/// Counts the connections of one data plane.
#[derive(Debug)]
pub(crate) struct Admission {
    counts: Mutex<Counts>,
    connections: usize,
    per_source: usize,
    per_identity: usize,
    rate: Rate,
}

#[derive(Debug, Default)]
struct Counts {
    all: usize,
    by_source: HashMap<Source, usize>,
    by_identity: HashMap<Identity, usize>,
    /// Connections with an identity, now and at most so far.
    identified: usize,
    most_identified: usize,
    /// What sources have used up of their rate of handshakes.
    spent: HashMap<Source, Spent>,
}

impl Admission {
    pub(crate) fn new(limits: &Limits) -> Arc<Self> {
        Arc::new(Self {
            counts: Mutex::default(),
            connections: limits.connections,
            per_source: limits.connections_per_address,
            per_identity: limits.connections_per_identity,
            rate: Rate {
                per_second: limits.handshake_rate_per_address,
                burst: limits.handshake_burst_per_address,
            },
        })
    }

    /// Counts a connection from `source`.
    pub(crate) fn enter(self: &Arc<Self>, source: Source) -> Result<ConnectionGuard, Crowded> {
        let mut counts = self.counts();
        if counts.all >= self.connections {
            return Err(Crowded::Connections);
        }
        if !add(&mut counts.by_source, &source, self.per_source) {
            return Err(Crowded::Source);
        }
        counts.all += 1;
        drop(counts);
        Ok(ConnectionGuard { admission: self.clone(), source, identity: None })
    }

    /// Tells whether another handshake of `source` may begin.
    pub(crate) fn may_begin(&self, now: Millis, source: Source) -> Result<(), Crowded> {
        let spent = self.counts().spent.get(&source).copied().unwrap_or_default();
        self.rate.wait(spent, now).map_or(Ok(()), |_| Err(Crowded::Rate))
    }

    /// Counts a handshake of `source` that cost us its work.
    pub(crate) fn shook_hands(&self, now: Millis, source: Source) {
        if !self.rate.is_on() {
            return;
        }
        let mut counts = self.counts();
        if !counts.spent.contains_key(&source) && counts.spent.len() >= PACED_SOURCES {
            make_room(&mut counts.spent, now);
        }
        self.rate.spend(counts.spent.entry(source).or_default(), now, 1);
    }

    /// Returns how many connections had an identity at the same time, at most so far.
    pub(crate) fn most_identified(&self) -> usize {
        self.counts().most_identified
    }

    /// Returns how many connections each of these identities has.
    pub(crate) fn connections_of(&self, identities: &[&Identity]) -> Vec<usize> {
        let counts = self.counts();
        identities.iter().map(|identity| counts.by_identity.get(identity).copied().unwrap_or(0)).collect()
    }

    /// Returns how many connections there are.
    pub(crate) fn connections(&self) -> usize {
        self.counts().all
    }

    fn counts(&self) -> MutexGuard<'_, Counts> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Forgets sources that have used up nothing any more, or the one that has used up least.
fn make_room(spent: &mut HashMap<Source, Spent>, now: Millis) {
    spent.retain(|_, spent| !spent.is_over(now));
    if spent.len() >= PACED_SOURCES
        && let Some(source) = spent.iter().min_by_key(|(_, spent)| **spent).map(|(source, _)| *source)
    {
        spent.remove(&source);
    }
}

/// Is a counted connection; dropping it gives the count back.
#[derive(Debug)]
pub(crate) struct ConnectionGuard {
    admission: Arc<Admission>,
    source: Source,
    identity: Option<Identity>,
}

impl ConnectionGuard {
    /// Counts the connection for its identity too, once that is known.
    pub(crate) fn identify(&mut self, identity: &Identity) -> Result<(), Crowded> {
        let limit = self.admission.per_identity;
        let mut counts = self.admission.counts();
        if !add(&mut counts.by_identity, identity, limit) {
            return Err(Crowded::Identity);
        }
        counts.identified += 1;
        counts.most_identified = counts.most_identified.max(counts.identified);
        drop(counts);
        self.identity = Some(identity.clone());
        Ok(())
    }

    /// Gives back the count of its identity alone.
    pub(crate) fn forget_identity(&mut self) {
        if let Some(identity) = self.identity.take() {
            let mut counts = self.admission.counts();
            subtract(&mut counts.by_identity, &identity);
            counts.identified -= 1;
        }
    }
}

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        self.forget_identity();
        let mut counts = self.admission.counts();
        counts.all -= 1;
        subtract(&mut counts.by_source, &self.source);
    }
}

fn add<K: Hash + Eq + Clone>(counts: &mut HashMap<K, usize>, key: &K, limit: usize) -> bool {
    let count = counts.get(key).copied().unwrap_or(0);
    if count >= limit {
        return false;
    }
    counts.insert(key.clone(), count + 1);
    true
}

fn subtract<K: Hash + Eq>(counts: &mut HashMap<K, usize>, key: &K) {
    if let Some(count) = counts.get_mut(key) {
        *count -= 1;
        if *count == 0 {
            counts.remove(key);
        }
    }
}

/// Counts the connections of one door that are not authenticated yet, and what they hold.
#[derive(Debug)]
pub(crate) struct Waiting {
    count: AtomicUsize,
    bytes: AtomicUsize,
    max_count: usize,
    max_bytes: usize,
}

impl Waiting {
    /// Makes the count of one of `doors` doors. Each has its portion, so that each can make room by itself.
    pub(crate) fn new(limits: &Limits, doors: usize) -> Arc<Self> {
        Arc::new(Self {
            count: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            max_count: (limits.pending / doors).max(1),
            max_bytes: limits.pending_bytes / doors,
        })
    }

    pub(crate) fn enter(self: &Arc<Self>) -> Result<WaitingGuard, Crowded> {
        if self.count.fetch_add(1, Ordering::Relaxed) >= self.max_count {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return Err(Crowded::Pending);
        }
        let mut guard = WaitingGuard { waiting: self.clone(), charged: 0 };
        guard.charge(0)?;
        Ok(guard)
    }

    /// Returns how many connections are not authenticated yet.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Returns how many bytes these hold.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

/// Is the place of one unauthenticated connection; dropping it gives place and bytes back.
#[derive(Debug)]
pub(crate) struct WaitingGuard {
    waiting: Arc<Waiting>,
    charged: usize,
}

impl WaitingGuard {
    /// Charges the connection for `buffered` bytes beside its overhead, in place of what it was charged before.
    pub(crate) fn charge(&mut self, buffered: usize) -> Result<(), Crowded> {
        let wanted = PENDING_OVERHEAD + buffered;
        let bytes = &self.waiting.bytes;
        if wanted <= self.charged {
            bytes.fetch_sub(self.charged - wanted, Ordering::Relaxed);
            self.charged = wanted;
            return Ok(());
        }
        let more = wanted - self.charged;
        if bytes.fetch_add(more, Ordering::Relaxed) + more > self.waiting.max_bytes {
            bytes.fetch_sub(more, Ordering::Relaxed);
            return Err(Crowded::PendingBytes);
        }
        self.charged = wanted;
        Ok(())
    }
}

impl Drop for WaitingGuard {
    fn drop(&mut self) {
        self.waiting.bytes.fetch_sub(self.charged, Ordering::Relaxed);
        self.waiting.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(last: u8) -> Source {
        Source::from(std::net::IpAddr::from([192, 0, 2, last]))
    }

    fn limits() -> Limits {
        Limits {
            connections: 3,
            connections_per_address: 2,
            connections_per_identity: 1,
            pending: 2,
            pending_bytes: 3 * PENDING_OVERHEAD,
            ..Limits::default()
        }
    }

    #[test]
    fn a_connection_is_counted_by_source_by_identity_and_in_all() {
        let admission = Admission::new(&limits());
        let mut first = admission.enter(source(1)).unwrap();
        let mut second = admission.enter(source(1)).unwrap();
        assert_eq!(admission.enter(source(1)).unwrap_err(), Crowded::Source);
        let _third = admission.enter(source(2)).unwrap();
        assert_eq!(admission.enter(source(3)).unwrap_err(), Crowded::Connections);
        let identity: Identity = "device:a".parse().unwrap();
        first.identify(&identity).unwrap();
        assert_eq!(second.identify(&identity).unwrap_err(), Crowded::Identity);
    }

    #[test]
    fn a_house_comes_back_at_once_and_who_goes_on_is_slowed_down_alone() {
        let admission = Admission::new(&Limits::default());
        for _ in 0..1_000 {
            assert_eq!(admission.may_begin(Millis(0), source(1)), Ok(()));
            admission.shook_hands(Millis(0), source(1));
        }
        assert_eq!(admission.may_begin(Millis(0), source(1)), Err(Crowded::Rate));
        assert_eq!(admission.may_begin(Millis(0), source(2)), Ok(()), "another house is not");
        assert_eq!(admission.may_begin(Millis(60), source(1)), Ok(()));
    }

    #[test]
    fn the_sources_whose_handshakes_are_counted_are_bounded_and_the_busiest_stay() {
        let admission = Admission::new(&Limits::default());
        let source = |number| Source::V4(std::net::Ipv4Addr::from_bits(number));
        for _ in 0..1_000 {
            admission.shook_hands(Millis(0), source(0));
        }
        for number in 1..10_000 {
            admission.shook_hands(Millis(0), source(number));
        }
        assert_eq!(admission.counts().spent.len(), PACED_SOURCES);
        assert_eq!(admission.may_begin(Millis(0), source(0)), Err(Crowded::Rate));
    }

    #[test]
    fn a_dropped_guard_gives_everything_back() {
        let admission = Admission::new(&limits());
        let identity: Identity = "device:a".parse().unwrap();
        for _ in 0..10 {
            let mut guard = admission.enter(source(1)).unwrap();
            guard.identify(&identity).unwrap();
        }
        let counts = admission.counts();
        assert!(counts.all == 0 && counts.by_source.is_empty() && counts.by_identity.is_empty());
    }

    #[test]
    fn what_waits_for_a_login_is_bounded_in_number_and_bytes() {
        let waiting = Waiting::new(&limits(), 1);
        let mut first = waiting.enter().unwrap();
        let second = waiting.enter().unwrap();
        assert_eq!(waiting.enter().unwrap_err(), Crowded::Pending);
        first.charge(PENDING_OVERHEAD).unwrap();
        assert_eq!(first.charge(PENDING_OVERHEAD + 1).unwrap_err(), Crowded::PendingBytes);
        first.charge(10).unwrap();
        drop((first, second));
        assert_eq!((waiting.count(), waiting.bytes()), (0, 0));
    }
}
