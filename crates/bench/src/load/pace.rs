//! When the next message of a paced run is due. A message that leaves late still counts from when it was due, so that
//! a stalled broker cannot hide behind messages that were never sent.

use std::time::Duration;

/// Counts due times at an even rate.
#[derive(Debug)]
pub(super) struct Pace {
    interval_ns: f64,
    sent: u64,
}

impl Pace {
    /// Begins at the run's beginning; each beat sends `burst` messages, so that `rate` holds for messages.
    pub(super) fn new(rate: f64, burst: u64) -> Self {
        Self { interval_ns: 1e9 / rate * burst as f64, sent: 0 }
    }

    /// Returns the next beat's number and when it is due, in nanoseconds of the run.
    pub(super) fn next(&self) -> (u64, u64) {
        (self.sent, (self.sent as f64 * self.interval_ns) as u64)
    }

    /// Goes on to the beat after.
    pub(super) fn advance(&mut self) {
        self.sent += 1;
    }

    /// Returns how long to sleep for the next beat: the system's timers are a millisecond coarse, so the last one is
    /// spent looking again and again.
    pub(super) fn sleep(&self, now_ns: u64) -> Duration {
        let left = Duration::from_nanos(self.next().1.saturating_sub(now_ns));
        Duration::from_millis(u64::try_from(left.as_millis().saturating_sub(1)).unwrap_or(u64::MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beats_are_even_and_carry_the_burst() {
        let mut pace = Pace::new(1_000.0, 4);
        assert_eq!(pace.next(), (0, 0));
        pace.advance();
        assert_eq!(pace.next(), (1, 4_000_000));
        pace.advance();
        assert_eq!(pace.next(), (2, 8_000_000));
    }

    #[test]
    fn sleep_ends_a_millisecond_before_the_beat_and_never_after() {
        let mut pace = Pace::new(100.0, 1);
        pace.advance();
        assert_eq!(pace.sleep(0), Duration::from_millis(9));
        assert_eq!(pace.sleep(9_500_000), Duration::ZERO);
        assert_eq!(pace.sleep(99_000_000), Duration::ZERO);
    }
}
