//! Wall time, and the guard that keeps certificates from being dated by a wrong clock.
//!
//! Nothing here reads a clock: the time always comes as an argument.
//!
//! The guard keeps a *mark*: the newest time that the ledger vouches for. A record moves the mark to its own time if
//! that lies at most two days after the mark. A reading further in the future only waits; it counts when a later
//! record, an hour or more after it, shows that the clock went on from there; and it is forgotten when a later
//! record lies before it. So one wrong reading never counts, and a quiet year does not stop the mark.

use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// How far after the mark a reading counts at once.
const STEP: Duration = Duration::from_secs(2 * 86_400);
/// How long after a far reading another must lie to vouch for it.
const CONFIRM: Duration = Duration::from_secs(3_600);
/// How far a clock may lie behind the mark: clocks are stepped back by seconds when they are set.
const TOLERANCE: Duration = Duration::from_secs(300);

/// Holds a wall-clock time: milliseconds since 1970-01-01T00:00:00Z.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WallTime(pub u64);

impl WallTime {
    /// Returns the time `span` later.
    pub fn after(self, span: Duration) -> Self {
        Self(self.0.saturating_add(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Returns the time `span` earlier, at least 1970.
    pub fn before(self, span: Duration) -> Self {
        Self(self.0.saturating_sub(u64::try_from(span.as_millis()).unwrap_or(u64::MAX)))
    }

    /// Returns the whole seconds since 1970.
    pub fn as_secs(self) -> u64 {
        self.0 / 1_000
    }

    /// Returns the date and time in UTC; times beyond the year 9999 become its end.
    pub(crate) fn to_utc(self) -> OffsetDateTime {
        const END_OF_9999: u64 = 253_402_300_799;
        let secs = i64::try_from(self.as_secs().min(END_OF_9999)).unwrap_or(0);
        OffsetDateTime::from_unix_timestamp(secs).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }
}

impl fmt::Display for WallTime {
    /// Writes the time as RFC 3339 in UTC, to the second.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.to_utc().format(&Rfc3339).map_err(|_| fmt::Error)?)
    }
}

/// Says whether certificates may be dated by the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClockVerdict {
    /// The clock may be right.
    Plausible,
    /// The clock lies before the day on which this program was made.
    BeforeBuild {
        /// The program's commit date.
        build: WallTime,
    },
    /// The clock lies before a time at which this ledger was written.
    BeforeLedger {
        /// The newest time that the ledger vouches for.
        newest: WallTime,
    },
}

/// Keeps what the ledger knows of the time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct ClockGuard {
    mark: WallTime,
    waiting: Option<WallTime>,
    accepted: Option<WallTime>,
}

impl ClockGuard {
    /// Takes the time of the next record.
    pub(crate) fn observe(&mut self, at: WallTime) {
        if at <= self.mark {
            self.waiting = None;
            return;
        }
        if self.mark == WallTime::default() || at <= self.mark.after(STEP) {
            self.mark = at;
            self.waiting = None;
            return;
        }
        match self.waiting {
            Some(waiting) if at >= waiting.after(CONFIRM) => {
                self.mark = waiting;
                self.waiting = None;
                self.observe(at);
            }
            Some(waiting) if at >= waiting => {}
            _ => self.waiting = Some(at),
        }
    }

    /// Takes the operator's word that `now` is right.
    pub(crate) fn accept(&mut self, now: WallTime) {
        *self = Self { mark: now, waiting: None, accepted: Some(now) };
    }

    /// Judges the clock reading `now` of a program that was made at `build`.
    pub(crate) fn judge(&self, now: WallTime, build: WallTime) -> ClockVerdict {
        let floor = self.accepted.map_or(build, |accepted| accepted.min(build));
        if now < floor.before(TOLERANCE) {
            return ClockVerdict::BeforeBuild { build };
        }
        if now < self.mark.before(TOLERANCE) {
            return ClockVerdict::BeforeLedger { newest: self.mark };
        }
        ClockVerdict::Plausible
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 86_400_000;
    const BUILD: WallTime = WallTime(20_000 * DAY);

    fn day(n: u64) -> WallTime {
        WallTime((20_000 + n) * DAY)
    }

    fn guard(days: &[u64]) -> ClockGuard {
        let mut guard = ClockGuard::default();
        days.iter().for_each(|n| guard.observe(day(*n)));
        guard
    }

    #[test]
    fn a_clock_before_the_programs_commit_date_is_refused() {
        let verdict = ClockGuard::default().judge(WallTime(5 * DAY), BUILD);
        assert_eq!(verdict, ClockVerdict::BeforeBuild { build: BUILD });
    }

    #[test]
    fn a_clock_before_the_newest_time_in_the_ledger_is_refused() {
        let verdict = guard(&[10, 11]).judge(day(3), BUILD);
        assert_eq!(verdict, ClockVerdict::BeforeLedger { newest: day(11) });
    }

    #[test]
    fn a_clock_that_was_stepped_back_by_a_minute_is_plausible() {
        let verdict = guard(&[10]).judge(day(10).before(Duration::from_secs(60)), BUILD);
        assert_eq!(verdict, ClockVerdict::Plausible);
    }

    #[test]
    fn one_reading_far_in_the_future_does_not_count() {
        assert_eq!(guard(&[10, 30_000, 11]).judge(day(11), BUILD), ClockVerdict::Plausible);
        assert_eq!(guard(&[10, 30_000]).judge(day(11), BUILD), ClockVerdict::Plausible);
    }

    #[test]
    fn several_far_readings_within_an_hour_are_one_reading() {
        let mut guard = guard(&[10]);
        for minute in 0..50 {
            guard.observe(day(30_000).after(Duration::from_secs(60 * minute)));
        }
        assert_eq!(guard.judge(day(11), BUILD), ClockVerdict::Plausible);
    }

    #[test]
    fn a_far_reading_counts_once_a_later_one_vouches_for_it() {
        let guard = guard(&[10, 200, 300]);
        assert_eq!(guard.judge(day(199), BUILD), ClockVerdict::BeforeLedger { newest: day(200) });
        assert_eq!(guard.judge(day(200), BUILD), ClockVerdict::Plausible);
    }

    #[test]
    fn two_far_readings_with_a_near_one_between_them_do_not_count() {
        assert_eq!(guard(&[10, 30_000, 11, 30_001, 12]).judge(day(12), BUILD), ClockVerdict::Plausible);
    }

    #[test]
    fn the_operators_word_moves_the_mark_back_even_before_the_commit_date() {
        let mut guard = guard(&[10, 11]);
        let early = WallTime(100 * DAY);
        guard.accept(early);
        assert_eq!(guard.judge(early, BUILD), ClockVerdict::Plausible);
        assert!(matches!(guard.judge(WallTime(50 * DAY), BUILD), ClockVerdict::BeforeBuild { .. }));
    }

    #[test]
    fn a_time_is_printed_in_utc() {
        assert_eq!(WallTime(1_700_000_000_999).to_string(), "2023-11-14T22:13:20Z");
        assert_eq!(WallTime(u64::MAX).to_string(), "9999-12-31T23:59:59Z");
    }
}
