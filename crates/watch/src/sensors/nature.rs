//! What kind of values a sensor has: whether they are measured at all.

use serde::{Deserialize, Serialize};

/// Values that are told apart: what has fewer is a switch, a mode, a level.
const DISTINCT: usize = 8;

/// Knows the nature of one sensor.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Nature {
    values: [f64; DISTINCT],
    distinct: usize,
    rises: bool,
    falls: bool,
}

impl Nature {
    /// Takes a value and the one before it.
    pub(super) fn note(&mut self, before: f64, value: f64) {
        self.rises |= value > before;
        self.falls |= value < before;
        if self.distinct < DISTINCT && !self.values[..self.distinct].contains(&value) {
            self.values[self.distinct] = value;
            self.distinct += 1;
        }
    }

    /// Tells whether it has many values and goes up and down: no switch, no counter, no constant.
    pub(super) fn is_measured(&self) -> bool {
        self.distinct == DISTINCT && self.rises && self.falls
    }
}
