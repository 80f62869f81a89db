//! Reports the beginning of an anomaly, not each reading of it.

use super::Settings;
use serde::{Deserialize, Serialize};

/// What was reported, as far as it still counts.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Onset {
    held: f64,
}

impl Onset {
    /// Returns the surprise if it is more than what was reported of late, else 0.
    pub(super) fn report(&mut self, bits: f64, settings: &Settings) -> f64 {
        self.held *= 1.0 - 1.0 / f64::from(settings.hold.max(1.0));
        if bits <= self.held + f64::from(settings.margin) {
            return 0.0;
        }
        self.held = bits;
        bits
    }
}
