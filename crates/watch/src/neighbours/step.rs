//! Steps: a sensor changes by more, from one bin to a reading of the next, than it uses to on a whole day.

use super::DAY;
use crate::event::UnixMillis;
use serde::{Deserialize, Serialize};

const DAY_MS: u64 = super::BIN_MS * DAY as u64;
/// Days of which the largest change is remembered, and how many have to be there.
const DAYS: usize = 7;
const LEARNING: usize = 3;
/// How much larger than on an ordinary day a change is that is a step.
const LARGER: f64 = 1.5;

/// Knows how much a sensor uses to change, and its last step.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Steps {
    day: u64,
    /// The largest change today, and on the days before.
    today: f64,
    days: Vec<f64>,
    last: Option<Step>,
}

/// Bytes behind it at most: a list has room for twice what it holds.
#[cfg(test)]
pub(super) const BYTES: usize = 2 * DAYS * size_of::<f64>();

/// Is a step.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Step {
    pub(super) at: UnixMillis,
    /// What it said before, and by how much it changed.
    pub(super) from: f64,
    pub(super) by: f64,
}

impl Step {
    /// Tells whether a sensor has not come back by half.
    pub(super) fn stands(&self, value: f64) -> bool {
        (value - self.from) * self.by.signum() > self.by.abs() / 2.0
    }
}

impl Steps {
    /// Takes a reading and what it said in the bin before. Returns whether it stepped just now.
    pub(super) fn note(&mut self, now: UnixMillis, before: f64, value: f64) -> bool {
        let by = value - before;
        let day = now.0 / DAY_MS;
        if day != self.day {
            if self.day > 0 {
                if self.days.len() >= DAYS {
                    self.days.remove(0);
                }
                self.days.push(self.today);
            }
            (self.day, self.today) = (day, 0.0);
        }
        self.today = self.today.max(by.abs());
        let Some(usual) = self.usual() else { return false };
        if by.abs() <= LARGER * usual || self.last.is_some_and(|last| last.stands(value)) {
            return false;
        }
        self.last = Some(Step { at: now, from: before, by });
        true
    }

    /// Returns the largest change of an ordinary day: the middle of those of some days. `None` while too few are known.
    pub(super) fn usual(&self) -> Option<f64> {
        let mut days = self.days.clone();
        days.sort_by(f64::total_cmp);
        let usual = days.get(days.len() / 2).copied().filter(|usual| *usual > 0.0);
        usual.filter(|_| self.days.len() >= LEARNING)
    }

    /// Returns its last step, if that was since.
    pub(super) fn last(&self, since: UnixMillis) -> Option<Step> {
        self.last.filter(|last| last.at >= since)
    }

    /// Forgets the last step; not what is usual.
    pub(super) fn forget(&mut self) {
        self.last = None;
    }
}
