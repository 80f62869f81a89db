//! How often something comes, learned from the pauses between.
//!
//! What comes close together is one burst, and a pause runs from the beginning of one burst to that of the next. A cadence is known after
//! [`LEARNED_FROM`] pauses, and only if the middle half of them lies within a factor of two: what comes seldom and irregularly has none,
//! and nothing is expected of it. A pause much longer than usual is an absence and is not learned; three alike are a habit (a
//! device that sleeps, a new interval), which is remembered for [`HABIT_MILLIS`] after it was seen last.

use crate::event::UnixMillis;
use serde::{Deserialize, Serialize};

/// Pauses before a cadence is known.
pub(super) const LEARNED_FROM: usize = 20;
/// A pause so many times the usual one is an absence, in halves.
const ABSENCE_HALVES: u64 = 5;
/// The shortest pause between bursts.
const BURST_MILLIS: u64 = 1_000;
/// Of how many usual pauses a burst is a part.
const BURST_PART: u64 = 8;
/// How long a habit is remembered: a week has each kind of day once.
const HABIT_MILLIS: u64 = 7 * 24 * 60 * 60 * 1_000;
/// What is added to each limit: clocks, queues.
const SLACK_MILLIS: u64 = 5_000;

/// Knows the last `N` pauses: `4 N + 100` bytes.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Cadence<const N: usize> {
    /// In milliseconds, as far as 32 bits reach.
    #[serde(with = "crate::array")]
    pauses: [u32; N],
    len: usize,
    next: usize,
    /// The median, while there is a cadence.
    median: Option<u32>,
    burst: Option<UnixMillis>,
    absences: [u32; 3],
    habit: Option<(u32, UnixMillis)>,
}

/// Is how often something is expected, in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usual {
    /// The usual pause.
    pub(super) interval: u64,
    /// The longest that was seen and is no absence.
    longest: u64,
}

impl Usual {
    pub(super) fn declared(interval: u64) -> Self {
        Self { interval, longest: interval }
    }

    /// Returns after which silence something is late.
    pub(super) fn late_after(self) -> u64 {
        self.longest.saturating_add(self.longest / 5).saturating_add(SLACK_MILLIS)
    }

    /// Returns after which silence something is missing.
    pub(super) fn missing_after(self, intervals: u32) -> u64 {
        let most = self.interval.saturating_mul(intervals.into()).saturating_add(SLACK_MILLIS);
        most.max(self.late_after())
    }
}

impl<const N: usize> Default for Cadence<N> {
    fn default() -> Self {
        Self { pauses: [0; N], len: 0, next: 0, median: None, burst: None, absences: [0; 3], habit: None }
    }
}

impl<const N: usize> Cadence<N> {
    /// Takes one thing that came.
    pub(super) fn note(&mut self, now: UnixMillis) {
        let Some(burst) = self.burst else { return self.skip(now) };
        let usual = self.median.map(u64::from);
        let pause = now.since(burst);
        if pause < BURST_MILLIS.max(usual.unwrap_or(0) / BURST_PART) {
            return;
        }
        self.burst = Some(now);
        let short = u32::try_from(pause).unwrap_or(u32::MAX);
        if usual.is_some_and(|usual| pause.saturating_mul(2) > usual.saturating_mul(ABSENCE_HALVES)) {
            return self.note_absence(now, short);
        }
        self.pauses[self.next] = short;
        self.next = (self.next + 1) % N;
        self.len = (self.len + 1).min(N);
        self.median = self.median();
    }

    /// Begins anew after a pause that says nothing.
    pub(super) fn skip(&mut self, now: UnixMillis) {
        self.burst = Some(now);
    }

    fn note_absence(&mut self, now: UnixMillis, pause: u32) {
        self.absences.rotate_left(1);
        self.absences[2] = pause;
        let [shortest, middle, longest] = sorted(self.absences);
        if alike(shortest, longest) {
            self.habit = Some((middle, now));
        } else if let Some((habit, seen)) = &mut self.habit
            && (alike(*habit, pause) || pause < *habit)
        {
            *seen = now;
        }
    }

    /// Returns the median, if the middle half of the pauses is alike.
    fn median(&self) -> Option<u32> {
        if self.len < LEARNED_FROM {
            return None;
        }
        let mut pauses = self.pauses;
        let pauses = &mut pauses[..self.len];
        pauses.sort_unstable();
        let [low, middle, high] = [1, 2, 3].map(|quarter| pauses[(self.len - 1) * quarter / 4]);
        (high / 2 <= low).then_some(middle)
    }

    /// Returns what is expected, if anything is.
    pub(super) fn usual(&self, now: UnixMillis) -> Option<Usual> {
        let median = u64::from(self.median?);
        let longest = self.pauses[..self.len].iter().copied().max().unwrap_or(0);
        let habit =
            self.habit.filter(|(_, seen)| now.since(*seen) < HABIT_MILLIS).map_or(0, |(habit, _)| habit);
        Some(Usual { interval: median.max(habit.into()), longest: longest.max(habit).into() })
    }
}

fn sorted(mut three: [u32; 3]) -> [u32; 3] {
    three.sort_unstable();
    three
}

fn alike(one: u32, other: u32) -> bool {
    let (less, more) = (u64::from(one.min(other)), u64::from(one.max(other)));
    less > 0 && 2 * more <= 3 * less
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    fn after(pauses: impl IntoIterator<Item = u64>) -> (Cadence<64>, UnixMillis) {
        let (mut cadence, mut now) = (Cadence::default(), UnixMillis(1_000_000));
        cadence.note(now);
        for pause in pauses {
            now = now.plus(pause);
            cadence.note(now);
        }
        (cadence, now)
    }

    fn interval(pauses: impl IntoIterator<Item = u64>) -> Option<u64> {
        let (cadence, now) = after(pauses);
        cadence.usual(now).map(|usual| usual.interval)
    }

    #[test]
    fn a_cadence_is_known_after_twenty_pauses() {
        assert_eq!(interval([MINUTE; 19]), None);
        assert_eq!(interval([MINUTE; 20]), Some(MINUTE));
    }

    #[test]
    fn what_comes_irregularly_has_none() {
        // Pauses that double, as those of a door do.
        assert_eq!(interval((0..200).map(|turn| MINUTE << (turn * 7 % 10))), None);
    }

    #[test]
    fn a_burst_counts_once() {
        assert_eq!(
            interval((0..400).map(|turn| if turn % 10 == 9 { MINUTE } else { 50 })),
            Some(MINUTE + 450)
        );
    }

    #[test]
    fn one_absence_teaches_nothing_and_three_alike_are_a_habit_for_a_week() {
        let quiet = || std::iter::repeat_n(MINUTE, 64);
        let hour = 60 * MINUTE;
        assert_eq!(interval(quiet().chain([hour]).chain(quiet())), Some(MINUTE));
        assert_eq!(interval(quiet().chain([hour, 2 * hour, 8 * hour])), Some(MINUTE));
        let nights = || quiet().chain([hour]).chain(quiet()).chain([hour]).chain(quiet()).chain([hour]);
        assert_eq!(interval(nights()), Some(hour));
        let (cadence, now) = after(nights());
        assert_eq!(cadence.usual(now.plus(HABIT_MILLIS)).map(|usual| usual.interval), Some(MINUTE));
    }

    #[test]
    fn another_interval_is_learned_whichever_way_it_changes() {
        let before = || std::iter::repeat_n(10 * MINUTE, 64);
        assert_eq!(interval(before().chain([MINUTE / 6; 2_000])).map(|pause| pause < MINUTE), Some(true));
        assert_eq!(interval(before().chain([20 * MINUTE; 64])), Some(20 * MINUTE));
        assert_eq!(interval(before().chain([100 * MINUTE; 3])), Some(100 * MINUTE));
    }

    #[test]
    fn missing_is_never_sooner_than_late() {
        let (cadence, now) = after((0..64).map(|turn| if turn % 16 == 0 { 2 * MINUTE } else { MINUTE }));
        let usual = cadence.usual(now).unwrap();
        assert_eq!(usual.late_after(), 2 * MINUTE + MINUTE * 2 / 5 + SLACK_MILLIS);
        assert!(usual.missing_after(1) >= usual.late_after());
    }
}
