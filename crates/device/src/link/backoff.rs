//! How long to wait before a link is tried again: exponential, with full jitter, so that a fleet does not come back in one moment.

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
}
