//! Which host is tried next, and how long to wait before: exponential, with full jitter, so that a fleet does not come back in one moment.

use crate::limits::{LINK_STANDS, PAUSE_FIRST, PAUSE_LONGEST};
use std::time::Duration;

/// Counts tries that failed.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// Returns the next pause after a link that stood for `stood`, nothing if it never did. `draw` is a random number of 64 bits.
    pub(crate) fn pause(&mut self, stood: Option<Duration>, draw: u64) -> Duration {
        if stood.is_some_and(|stood| stood >= LINK_STANDS) {
            self.failures = 0;
        }
        let longest = PAUSE_FIRST.saturating_mul(1 << self.failures.min(16)).min(PAUSE_LONGEST);
        self.failures = self.failures.saturating_add(1);
        let millis = u64::try_from(longest.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(draw % millis.saturating_add(1))
    }
}

/// Says which of the server's hosts is tried: one after the other, and the one that answered again when its link broke.
#[derive(Debug, Default)]
pub(crate) struct Hosts {
    next: usize,
    /// How many were tried in vain since a link stood.
    in_vain: usize,
}

impl Hosts {
    /// Returns the place of the next among `count` hosts.
    pub(crate) fn next(&self, count: usize) -> usize {
        self.next % count.max(1)
    }

    /// Notes that a link stood.
    pub(crate) fn stood(&mut self) {
        self.in_vain = 0;
    }

    /// Notes that the host did not answer, and goes on to the next; tells whether all `count` were tried, and it is time for a pause.
    pub(crate) fn failed(&mut self, count: usize) -> bool {
        self.next = self.next(count) + 1;
        self.in_vain = (self.in_vain + 1) % count.max(1);
        self.in_vain == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_a_bound_and_are_drawn_from_nothing_to_that() {
        let mut backoff = Backoff::default();
        let longest = |backoff: &mut Backoff| {
            let failures = backoff.failures;
            let bound = PAUSE_FIRST.saturating_mul(1 << failures.min(16)).min(PAUSE_LONGEST);
            let millis = u64::try_from(bound.as_millis()).unwrap();
            assert_eq!(backoff.pause(None, millis), bound);
            bound
        };
        let bounds: Vec<_> = (0..12).map(|_| longest(&mut backoff).as_secs()).collect();
        assert_eq!(bounds, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]);
        assert_eq!(backoff.pause(None, 300_001), Duration::ZERO, "the whole range is drawn from");
    }

    #[test]
    fn a_link_that_stood_begins_the_pauses_anew_and_one_that_broke_at_once_does_not() {
        let mut backoff = Backoff::default();
        for _ in 0..5 {
            backoff.pause(None, 0);
        }
        assert!(backoff.pause(Some(Duration::from_secs(1)), 20_000) > PAUSE_FIRST);
        assert!(backoff.pause(Some(LINK_STANDS), u64::MAX) <= PAUSE_FIRST);
    }

    #[test]
    fn all_hosts_are_tried_before_a_pause_and_the_one_that_answered_is_tried_first_again() {
        let mut hosts = Hosts::default();
        assert_eq!((hosts.next(3), hosts.failed(3)), (0, false));
        assert_eq!((hosts.next(3), hosts.failed(3)), (1, false));
        assert_eq!(hosts.next(3), 2);
        hosts.stood();
        let after: Vec<_> = (0..4).map(|_| (hosts.next(3), hosts.failed(3))).collect();
        assert_eq!(after, [(2, false), (0, false), (1, true), (2, false)]);
        assert_eq!((hosts.next(1), hosts.failed(1)), (0, true), "a single host has a pause each time");
    }
}
