//! How far a sensor is off, added up: a small offset that stays counts as much as a large one that is short.

use serde::{Deserialize, Serialize};

/// How much the newest bin counts in the average.
const NEWEST: f64 = 0.3;
/// What is taken off in each bin: an offset of less never adds up.
const SLACK: f64 = 1.0;
/// The sum from which on a sensor is off.
const LIMIT: f64 = 10.0;
/// Sums stop growing here, so that they are over soon after their cause.
const MOST: f64 = 12.0;
/// One bin counts for no more: what is off by far is off after three, and not by one.
const BIN_MOST: f64 = 5.0;
/// The average from which on it is off by far.
const FAR: f64 = 3.4;
/// Below this part of what made it off it fits again.
const CLEAR: f64 = 0.6;

/// Adds up in both directions (CUSUM), and averages (EWMA).
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Deviation {
    up: f64,
    down: f64,
    average: f64,
}

impl Deviation {
    /// Takes what is left of one bin, in units of what uses to be left.
    pub(super) fn add(&mut self, units: f64) {
        let units = units.clamp(-BIN_MOST, BIN_MOST);
        self.up = (self.up + units - SLACK).clamp(0.0, MOST);
        self.down = (self.down - units - SLACK).clamp(0.0, MOST);
        self.average += NEWEST * (units - self.average);
    }

    /// Tells whether the sensor is off.
    pub(super) fn is_off(&self) -> bool {
        self.up.max(self.down) >= LIMIT && self.average.abs() >= SLACK
    }

    /// Tells whether it is off by far.
    pub(super) fn is_far_off(&self) -> bool {
        self.is_off() && self.average.abs() >= FAR
    }

    /// Tells whether it fits, by less than what made it off.
    pub(super) fn fits(&self) -> bool {
        self.up.max(self.down) < CLEAR * LIMIT && self.average.abs() < CLEAR * SLACK
    }

    /// Tells whether it may be about to be off.
    pub(super) fn is_doubtful(&self) -> bool {
        self.up.max(self.down) >= LIMIT / 2.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bins_until_off(units: f64) -> Option<usize> {
        let mut deviation = Deviation::default();
        (1..1_000).find(|_| {
            deviation.add(units);
            deviation.is_off()
        })
    }

    #[test]
    fn what_is_far_off_takes_three_bins_and_what_is_half_so_far_longer() {
        assert_eq!(bins_until_off(1e9), Some(3));
        assert_eq!(bins_until_off(-5.0), Some(3));
        assert_eq!(bins_until_off(2.0), Some(10));
        assert_eq!(bins_until_off(1.0), None);
    }

    #[test]
    fn it_fits_again_some_bins_after_its_cause_is_over() {
        let mut deviation = Deviation::default();
        (0..1_000).for_each(|_| deviation.add(5.0));
        let bins = (1..100).find(|_| {
            deviation.add(0.0);
            deviation.fits()
        });
        assert_eq!(bins, Some(7));
    }
}
