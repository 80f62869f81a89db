//! How often readings come, and whether that has changed.
//!
//! Pauses are taken eight at a time, by their median: one lost reading is no change. What is usual is learned as it goes, with how far
//! it strays; only what strays farther is a change. A change that lasts a day is what is usual from then on.

use super::alarm::{Alarm, Rule};
use crate::event::UnixMillis;
use crate::finding::Turn;
use serde::{Deserialize, Serialize};

/// Pauses that are looked at together.
const WINDOW: usize = 8;
/// Three of these in a row.
const RULE: Rule = Rule { signs: 3, of: 3, good: 3 };
/// By how many doublings a change differs at least: 1.6 times.
const LEAST: f64 = 0.7;
/// How much farther than ever.
const FARTHER: f64 = 1.5;
/// How much of the farthest is remembered from one window to the next.
const KEEP: f64 = 0.999;
/// How much a window counts for what is usual.
const WEIGHT: f64 = 1.0 / 16.0;
/// A change that lasts so long is none any more.
const USUAL_AFTER_MS: u64 = 24 * 60 * 60 * 1_000;
/// After a link began, what comes close together for so long was kept meanwhile.
const CATCHING_UP_MS: u64 = 10 * 60_000;
/// Of how many usual pauses a pause is so short.
const CLOSE_PART: u64 = 8;
/// Halves of usual pauses after which there was a gap.
const GAP_HALVES: u64 = 5;

/// Says what the time of a reading is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    /// It came when it was to come.
    Regular,
    /// Before it there was a gap, or there may have been: it is not compared with the one before it.
    AfterGap,
    /// It was kept while there was no way: nobody knows when it was taken.
    Kept,
}

/// Knows how often readings come.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Pace {
    last: Option<UnixMillis>,
    /// The pause before the reading that came last, if it says something.
    pause: Option<u64>,
    pauses: [u32; WINDOW],
    len: usize,
    /// The usual pause, in milliseconds.
    usual: Option<f64>,
    /// By how many doublings medians strayed at most.
    farthest: f64,
    windows: u32,
    alarm: Alarm,
    set: UnixMillis,
}

/// Is that readings come in another rhythm now, or again in the usual.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Changed {
    pub(super) turn: Turn,
    /// Milliseconds from one reading to the next, before and now.
    pub(super) usual: u64,
    pub(super) now: u64,
}

impl Pace {
    /// Returns the usual pause in milliseconds, once something is known of it.
    pub(super) fn usual(&self) -> Option<u64> {
        self.usual.map(|usual| usual as u64)
    }

    /// Says what the time of a reading is worth. `connected` is when the link of its device began.
    pub(super) fn arrive(&mut self, now: UnixMillis, connected: UnixMillis, is_trouble: bool) -> Arrival {
        let Some(last) = self.last else {
            self.last = Some(now);
            return Arrival::AfterGap;
        };
        let pause = now.since(last);
        let usual = self.usual();
        if usual.is_some_and(|usual| pause < usual / CLOSE_PART && now.since(connected) < CATCHING_UP_MS) {
            return Arrival::Kept;
        }
        self.last = Some(now);
        let is_gap = usual.is_some_and(|usual| pause.saturating_mul(2) > usual.saturating_mul(GAP_HALVES));
        // A gap with a new link behind it is an outage; one without may be a new rhythm.
        self.pause = (!(is_trouble || is_gap && connected > last)).then_some(pause);
        if is_trouble || is_gap { Arrival::AfterGap } else { Arrival::Regular }
    }

    /// Judges the pause before the reading that came last.
    pub(super) fn judge(&mut self, now: UnixMillis, may_tell: bool) -> Option<Changed> {
        let pause = self.pause.take()?;
        self.note(now, pause, may_tell)
    }

    fn note(&mut self, now: UnixMillis, pause: u64, may_tell: bool) -> Option<Changed> {
        self.pauses[self.len] = u32::try_from(pause).unwrap_or(u32::MAX);
        self.len += 1;
        if self.len < WINDOW {
            return None;
        }
        self.len = 0;
        let mut pauses = self.pauses;
        pauses.sort_unstable();
        let median = f64::from(pauses[WINDOW / 2].max(1));
        self.windows = self.windows.saturating_add(1);
        self.compare(now, median, may_tell)
    }

    fn compare(&mut self, now: UnixMillis, median: f64, may_tell: bool) -> Option<Changed> {
        let usual = *self.usual.get_or_insert(median);
        let strays = (median / usual).log2();
        let limit = LEAST.max(FARTHER * self.farthest);
        let is_sign = may_tell && strays.abs() > limit;
        if !is_sign {
            self.farthest = (KEEP * self.farthest).max(strays.abs());
            // The first are no better than the next ones.
            let weight = WEIGHT.max(1.0 / f64::from(self.windows));
            self.usual = Some(usual * (weight * strays).exp2());
        }
        let changed = |turn| Changed { turn, usual: usual as u64, now: median as u64 };
        let turn = self.alarm.note(is_sign, RULE);
        if turn == Some(Turn::Set) {
            self.set = now;
        }
        if self.alarm.is_set && now.since(self.set) >= USUAL_AFTER_MS {
            self.alarm = Alarm::default();
            (self.usual, self.windows) = (Some(median), 1);
            return Some(changed(Turn::Clear));
        }
        turn.map(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MINUTE: u64 = 60_000;

    fn hear(
        pace: &mut Pace,
        now: &mut UnixMillis,
        pauses: impl IntoIterator<Item = u64>,
    ) -> Vec<(Turn, u64)> {
        let mut changes = Vec::new();
        for pause in pauses {
            *now = now.plus(pause);
            if let Some(changed) = pace.note(*now, pause, true) {
                changes.push((changed.turn, changed.now));
            }
        }
        changes
    }

    #[test]
    fn a_change_is_told_after_three_windows_and_is_usual_after_a_day() {
        let (mut pace, mut now) = (Pace::default(), UnixMillis(0));
        assert_eq!(hear(&mut pace, &mut now, [MINUTE; 800]), []);
        assert_eq!(hear(&mut pace, &mut now, [MINUTE / 4; 24]), [(Turn::Set, MINUTE / 4)]);
        assert_eq!(hear(&mut pace, &mut now, [MINUTE / 4; 4 * 60 * 25]), [(Turn::Clear, MINUTE / 4)]);
        assert_eq!(hear(&mut pace, &mut now, [MINUTE; 24]), [(Turn::Set, MINUTE)]);
    }

    #[test]
    fn lost_readings_and_what_always_came_unevenly_are_no_change() {
        let (mut pace, mut now) = (Pace::default(), UnixMillis(0));
        let lossy = (0..2_000).map(|turn| if turn % 3 == 0 { 3 * MINUTE } else { MINUTE });
        assert_eq!(hear(&mut pace, &mut now, lossy), []);
        let (mut pace, mut now) = (Pace::default(), UnixMillis(0));
        for times in [1, 8, 2, 16, 4] {
            (0..50).for_each(|turn| _ = pace.note(now, (times * MINUTE) << (turn % 3), false));
        }
        assert_eq!(hear(&mut pace, &mut now, [40 * MINUTE; 80]), []);
    }

    #[test]
    fn what_was_kept_is_told_from_what_is_new() {
        let (mut pace, mut now) = (Pace::default(), UnixMillis(0));
        let connected = UnixMillis(0);
        assert_eq!(pace.arrive(now, connected, false), Arrival::AfterGap);
        hear(&mut pace, &mut now, [MINUTE; 100]);
        pace.last = Some(now);
        assert_eq!(pace.arrive(now.plus(MINUTE), connected, false), Arrival::Regular);
        assert_eq!(pace.arrive(now.plus(61 * MINUTE), now.plus(61 * MINUTE), false), Arrival::AfterGap);
        assert_eq!(pace.arrive(now.plus(61 * MINUTE + 9), now.plus(61 * MINUTE), false), Arrival::Kept);
        assert_eq!(pace.arrive(now.plus(62 * MINUTE), connected, true), Arrival::AfterGap);
    }
}
