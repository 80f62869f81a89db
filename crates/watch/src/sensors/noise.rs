//! Whether a sensor is as noisy as it was: another that stands in its place, a program that makes up its values, and values that were smoothed are not.
//!
//! Noise shows in three ways: how much one change differs from the next, how often the direction of changes turns, and how finely values are told.

use super::alarm::{Alarm, Rule};
use super::runs::Runs;
use crate::event::UnixMillis;
use crate::finding::Turn;
use serde::{Deserialize, Serialize};

/// Readings that are looked at together.
const WINDOW: u32 = 16;
/// Three windows in a row.
const RULE: Rule = Rule { signs: 3, of: 3, good: 3 };
const FINER: Rule = Rule { signs: 3, of: 4, good: 16 };
/// By how many doublings the variance differs from the usual: 16 times, or a sixteenth.
const DOUBLINGS: f64 = 4.0;
/// And from the most and the least that was: 4 times.
const BEYOND: f64 = 2.0;
/// Windows before one can tell.
const LEARNED_FROM: u32 = 16;
/// How much a window counts for what is usual.
const WEIGHT: f64 = 1.0 / 64.0;
/// What lasts so long is usual.
const USUAL_AFTER_MS: u64 = 24 * 60 * 60 * 1_000;
/// Decimals that are told apart. What has more is no decimal fraction.
const DECIMALS: u8 = 7;

/// Knows how noisy a sensor is.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Noise {
    change: Option<f64>,
    energy: f64,
    readings: u32,
    usual: f64,
    least: f64,
    most: f64,
    windows: u32,
    alarm: Alarm,
    set: UnixMillis,
    is_upwards: bool,
    /// Changes in one direction.
    onwards: Runs,
    decimals: u8,
    /// Values with fewer decimals than others.
    coarser: Runs,
    finer: Alarm,
}

/// Is how noise has changed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Differs {
    /// Its variance is so many times the usual.
    Variance(f64),
    /// So many changes had one direction.
    Onwards(u32),
    /// So many values had fewer decimals than it has.
    Coarser(u32),
    /// Its values have so many decimals.
    Finer(u8),
}

impl Noise {
    /// Takes a value that came when it was to come, and the one before it.
    pub(super) fn note(
        &mut self,
        now: UnixMillis,
        (before, value): (f64, f64),
        may_tell: bool,
    ) -> Vec<(Turn, Differs)> {
        let change = value - before;
        let mut found = Vec::new();
        if change != 0.0 {
            let is_upwards = change > 0.0;
            let goes_on = core::mem::replace(&mut self.is_upwards, is_upwards) == is_upwards;
            let turn = self.onwards.note(goes_on, may_tell);
            found.extend(turn.map(|turn| (turn, Differs::Onwards(self.onwards.run))));
            found.extend(self.note_decimals(value, may_tell));
        }
        if let Some(last) = self.change.replace(change) {
            self.energy += (change - last) * (change - last);
            self.readings += 1;
        }
        if self.readings == WINDOW {
            found.extend(self.end_window(now, may_tell));
        }
        found
    }

    /// A gap came: what comes next is not compared.
    pub(super) fn skip(&mut self) {
        self.change = None;
    }

    fn end_window(&mut self, now: UnixMillis, may_tell: bool) -> Option<(Turn, Differs)> {
        // What rounding makes is always there.
        let rounding = 10_f64.powi(-2 * i32::from(self.decimals)) / 12.0;
        let variance = core::mem::take(&mut self.energy) / f64::from(WINDOW);
        self.readings = 0;
        let level = (variance + rounding).log2();
        if self.windows == 0 {
            (self.usual, self.least, self.most) = (level, level, level);
        }
        self.windows = self.windows.saturating_add(1);
        let off = level - self.usual;
        let is_beyond = level > self.most + BEYOND || level < self.least - BEYOND;
        let is_sign = may_tell && self.windows > LEARNED_FROM && is_beyond && off.abs() > DOUBLINGS;
        if !is_sign {
            self.learn(level);
        }
        let turn = self.alarm.note(is_sign, RULE);
        if turn == Some(Turn::Set) {
            self.set = now;
        }
        if self.alarm.is_set && now.since(self.set) >= USUAL_AFTER_MS {
            self.alarm = Alarm::default();
            self.windows = 0;
            return Some((Turn::Clear, Differs::Variance(1.0)));
        }
        turn.map(|turn| (turn, Differs::Variance(off.exp2())))
    }

    fn learn(&mut self, level: f64) {
        self.least = self.least.min(level);
        self.most = self.most.max(level);
        self.usual += WEIGHT.max(1.0 / f64::from(self.windows)) * (level - self.usual);
    }

    fn note_decimals(&mut self, value: f64, may_tell: bool) -> Option<(Turn, Differs)> {
        let decimals = decimals(value);
        let is_finer = decimals > self.decimals;
        if is_finer && !may_tell {
            self.decimals = decimals;
            self.coarser = Runs::default();
            return None;
        }
        if let Some(turn) = self.coarser.note(decimals < self.decimals, may_tell) {
            return Some((turn, Differs::Coarser(self.coarser.run)));
        }
        let turn = self.finer.note(is_finer, FINER)?;
        Some((turn, Differs::Finer(decimals)))
    }

    /// Tells whether something of it is told.
    pub(super) fn is_told(&self) -> bool {
        self.alarm.is_set || self.onwards.is_told || self.coarser.is_told || self.finer.is_set
    }
}

/// Returns how many decimals it takes to write a value, [`DECIMALS`] if it takes as many or more.
fn decimals(value: f64) -> u8 {
    let is_whole = |scaled: f64| (scaled - scaled.round()).abs() <= 1e-9 * scaled.abs().max(1.0);
    (0..DECIMALS).find(|decimals| is_whole(value * 10_f64.powi(i32::from(*decimals)))).unwrap_or(DECIMALS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimals_are_those_of_the_text() {
        let found = [21.0, -3.5, 0.1 + 0.2, 1_013.25, 21.0625, f64::from(21.1_f32), 1e30].map(decimals);
        assert_eq!(found, [0, 1, 1, 2, 4, DECIMALS, 0]);
    }
}
