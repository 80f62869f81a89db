//! What connections may cost that are not authenticated yet: how many they are, and the bytes that they hold.
//!
//! What was counted is given back when the guard is dropped.

use crate::plane::admission::Crowded;
use crate::plane::limits::{Limits, PENDING_OVERHEAD};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts the connections of one door that are not authenticated yet, and what they hold.
#[derive(Debug)]
pub(crate) struct Pending {
    count: AtomicUsize,
    bytes: AtomicUsize,
    max_count: usize,
    max_bytes: usize,
}

impl Pending {
    /// Makes the count of one of `doors` doors. Each has its portion, so that each can make room by itself.
    pub(crate) fn new(limits: &Limits, doors: usize) -> Arc<Self> {
        Arc::new(Self {
            count: AtomicUsize::new(0),
            bytes: AtomicUsize::new(0),
            max_count: (limits.pending / doors).max(1),
            max_bytes: limits.pending_bytes / doors,
        })
    }

    pub(crate) fn enter(self: &Arc<Self>) -> Result<PendingGuard, Crowded> {
        if self.count.fetch_add(1, Ordering::Relaxed) >= self.max_count {
            self.count.fetch_sub(1, Ordering::Relaxed);
            return Err(Crowded::Pending);
        }
        let mut guard = PendingGuard { pending: self.clone(), charged: 0 };
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
pub(crate) struct PendingGuard {
    pending: Arc<Pending>,
    charged: usize,
}

impl PendingGuard {
    /// Charges the connection for `buffered` bytes beside its overhead, in place of what it was charged before.
    pub(crate) fn charge(&mut self, buffered: usize) -> Result<(), Crowded> {
        let wanted = PENDING_OVERHEAD + buffered;
        let bytes = &self.pending.bytes;
        if wanted <= self.charged {
            bytes.fetch_sub(self.charged - wanted, Ordering::Relaxed);
            self.charged = wanted;
            return Ok(());
        }
        let more = wanted - self.charged;
        if bytes.fetch_add(more, Ordering::Relaxed) + more > self.pending.max_bytes {
            bytes.fetch_sub(more, Ordering::Relaxed);
            return Err(Crowded::PendingBytes);
        }
        self.charged = wanted;
        Ok(())
    }
}

impl Drop for PendingGuard {
    fn drop(&mut self) {
        self.pending.bytes.fetch_sub(self.charged, Ordering::Relaxed);
        self.pending.count.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_for_a_login_is_bounded_in_number_and_bytes() {
        let limits = Limits { pending: 2, pending_bytes: 3 * PENDING_OVERHEAD, ..Limits::default() };
        let pending = Pending::new(&limits, 1);
        let mut first = pending.enter().unwrap();
        let second = pending.enter().unwrap();
        assert_eq!(pending.enter().unwrap_err(), Crowded::Pending);
        first.charge(PENDING_OVERHEAD).unwrap();
        assert_eq!(first.charge(PENDING_OVERHEAD + 1).unwrap_err(), Crowded::PendingBytes);
        first.charge(10).unwrap();
        drop((first, second));
        assert_eq!((pending.count(), pending.bytes()), (0, 0));
    }
}
