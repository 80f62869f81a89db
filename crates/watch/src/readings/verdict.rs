//! Weighs the surprises of all aspects.

use super::ASPECTS;
use super::tail::Tail;
use serde::{Deserialize, Serialize};

/// Readings in a stretch. What is surprising in one reading is so in the next, too: so only the most of each stretch is learned, as
/// extreme-value statistics take the maxima of blocks.
pub const STRETCH: u16 = 12;

/// Remembers how surprising the most surprising readings of earlier stretches were: by the sum of all aspects, and by the largest of
/// them. An anomaly that shows in all aspects a little has a large sum, one that shows in a single aspect a large surprise.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Verdict {
    sum: Extremes,
    largest: Extremes,
    /// Readings of the present stretch.
    readings: u16,
}

#[derive(Debug, Clone, Default, Serialize, Deserialize)]
struct Extremes {
    of_stretches: Tail,
    /// Of the present stretch.
    present: f64,
}

/// A surprise beyond all earlier ones is taken at its word: a bit is a bit.
const STEEPNESS: f32 = 1.0;

impl Verdict {
    /// Returns how surprising these surprises are together, in bits, and the place of the largest.
    pub(super) fn weigh(&mut self, surprises: [f64; ASPECTS.len()], memory: f32) -> (f64, usize) {
        let mut most = 0;
        for (aspect, surprise) in surprises.iter().enumerate() {
            if *surprise > surprises[most] {
                most = aspect;
            }
        }
        let together = self.sum.judge(surprises.iter().sum()).max(self.largest.judge(surprises[most]));
        self.readings += 1;
        if self.readings == STRETCH {
            self.readings = 0;
            self.sum.end_stretch(memory);
            self.largest.end_stretch(memory);
        }
        // Who looks in two ways is surprised twice as often.
        ((together - 1.0).max(0.0), most)
    }
}

impl Extremes {
    fn judge(&mut self, surprise: f64) -> f64 {
        self.present = self.present.max(surprise);
        self.of_stretches.judge(surprise, STEEPNESS)
    }

    fn end_stretch(&mut self, memory: f32) {
        self.of_stretches.learn(self.present, memory / f32::from(STRETCH));
        self.present = 0.0;
    }
}
