//! How long the same can go on by chance: learned from how long it went on before.

use crate::finding::Turn;
use serde::{Deserialize, Serialize};

/// Counts how often in a row something happened: that a value was repeated, that it went on in one direction.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Runs {
    /// How often it happened or did not, and how often it did: of runs that are over.
    seen: f32,
    again: f32,
    /// The longest run that was not told; of one that was told, as much as was no reason to tell.
    longest: u32,
    pub(super) run: u32,
    pub(super) is_told: bool,
    /// How often it has not happened since what was told.
    ended: u8,
}

/// How seldom a run may be as long by chance, as a logarithm: one in a million.
const RARE: f64 = -13.8;
/// The shortest that is told.
const SHORTEST: u32 = 10;
/// How many times as long as the longest a run has to be: chance is not the same at all times of the day.
const TIMES: u32 = 3;
/// What was seen before one can tell.
const LEARNED_FROM: f32 = 200.0;
/// What happens more often than this is its nature.
const NATURE: f32 = 0.95;
/// After so many, what was seen counts half.
const MEMORY: f32 = 20_000.0;
/// How often it has to end before what was told is over.
const GOOD: u8 = 3;

impl Runs {
    /// Takes whether it happened again.
    pub(super) fn note(&mut self, again: bool, may_tell: bool) -> Option<Turn> {
        if again {
            self.run = self.run.saturating_add(1);
            if may_tell && !self.is_told && self.limit().is_some_and(|limit| self.run >= limit) {
                (self.is_told, self.ended) = (true, 0);
                return Some(Turn::Set);
            }
            return None;
        }
        self.learn();
        if self.is_told {
            self.ended += 1;
            if self.ended >= GOOD {
                self.is_told = false;
                return Some(Turn::Clear);
            }
        }
        None
    }

    fn learn(&mut self) {
        let run = core::mem::take(&mut self.run);
        let learned = self.limit().map_or(run, |limit| run.min(limit));
        self.longest = self.longest.max(learned);
        self.again += learned as f32;
        self.seen += learned as f32 + 1.0;
        if self.seen > MEMORY {
            (self.seen, self.again) = (self.seen / 2.0, self.again / 2.0);
        }
    }

    /// Returns how long a run is too long for chance; nothing if that is not known, or it has no end by nature.
    pub(super) fn limit(&self) -> Option<u32> {
        if self.seen < LEARNED_FROM || self.again > NATURE * self.seen {
            return None;
        }
        let chance = f64::from(self.again.max(0.5) / self.seen);
        let rare = (RARE / chance.ln()).ceil() as u32;
        Some(rare.max(SHORTEST).max(TIMES.saturating_mul(self.longest)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(pattern: &[bool], times: usize) -> Runs {
        let mut runs = Runs::default();
        for again in pattern.iter().cycle().take(times * pattern.len()) {
            assert_eq!(runs.note(*again, true), None);
        }
        runs
    }

    #[test]
    fn what_repeats_half_the_time_may_repeat_twenty_times() {
        let runs = after(&[true, false], 500);
        assert_eq!(runs.limit(), Some(20));
        assert_eq!(after(&[false], 500).limit(), Some(SHORTEST));
        assert_eq!(after(&[true, true, true, true, true, true, true, true, false], 500).limit(), Some(118));
    }

    #[test]
    fn nothing_is_told_of_what_hardly_ever_changes_or_is_hardly_known() {
        assert_eq!(after(&[[true; 30].as_slice(), &[false]].concat(), 50).limit(), None);
        assert_eq!(after(&[true, false], 50).limit(), None);
    }

    #[test]
    fn what_was_told_once_takes_longer_to_be_told_again() {
        let mut runs = after(&[true, false], 500);
        let turns: Vec<_> = (0..100).filter_map(|_| runs.note(true, true)).collect();
        assert_eq!(turns, [Turn::Set]);
        assert_eq!([false; 3].map(|again| runs.note(again, true)), [None, None, Some(Turn::Clear)]);
        assert_eq!(runs.limit(), Some(60));
    }
}
