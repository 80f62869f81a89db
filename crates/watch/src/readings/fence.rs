//! Keeps one absurd reading from spoiling averages for long.

use serde::{Deserialize, Serialize};

/// No value beyond this is looked at: it is far beyond any unit, and its square is still a number.
pub(super) const FARTHEST: f64 = 1e30;

/// The range that readings have had, widened at most so far by one reading.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Fence {
    range: Option<(f64, f64)>,
}

/// How much wider a range gets by one reading, at most. A sensor whose unit was changed is believed after a few readings; a single
/// absurd one moves averages by no more than this.
const WIDENING: f64 = 8.0;

impl Fence {
    /// Returns the nearest value within reach of those before it, and takes it into the range.
    pub(super) fn admit(&mut self, value: f64) -> f64 {
        let Some((low, high)) = self.range else {
            self.range = Some((value, value));
            return value;
        };
        let width = match high - low {
            // A stream that never moved says nothing of how far is far, but that its value is of some size.
            0.0 if low != 0.0 => low.abs(),
            0.0 => 1.0,
            width => width,
        };
        let admitted = value.clamp(low - WIDENING * width, high + WIDENING * width);
        self.range = Some((low.min(admitted), high.max(admitted)));
        admitted
    }
}
