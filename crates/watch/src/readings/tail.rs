//! How rare magnitudes are.

use super::MAX_BITS;
use serde::{Deserialize, Serialize};

/// Remembers how often which magnitudes occurred, and says how rare one as large is.
///
/// A histogram on a logarithmic scale, two places for each doubling, in which older magnitudes count less and less. It moves up with
/// the largest; what is 2³² times smaller is no longer told apart.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub(super) struct Tail {
    #[serde(with = "crate::array")]
    places: [f32; PLACES],
    /// The place of the largest magnitude, in half bits; `None` if there was none above zero.
    top: Option<i16>,
    /// What was seen, as far as it still counts, with that of no magnitude at all.
    seen: f32,
}

const PLACES: usize = 64;
/// A magnitude is learned as if it were at most so many places above the largest: one absurd reading does not push all that is known
/// together at the bottom.
const LEAP: i16 = 12;

impl Default for Tail {
    fn default() -> Self {
        Self { places: [0.0; PLACES], top: None, seen: 0.0 }
    }
}

impl Tail {
    /// Returns the surprise of a magnitude in bits. It is given as its logarithm to the base 2, minus infinity for nothing. Beyond what was
    /// seen, it gets rarer by `steepness` bits for each doubling.
    pub(super) fn judge(&self, magnitude: f64, steepness: f32) -> f64 {
        if magnitude == f64::NEG_INFINITY || self.seen == 0.0 {
            return 0.0;
        }
        let half_bits = half_bits(magnitude);
        // Each that was seen stands for larger ones too, the more rarely the larger.
        let per_place = (-steepness / 2.0).exp2();
        let reach = |places: &[f32]| places.iter().fold(0.0, |reach, weight| (reach + weight) * per_place);
        let as_large = match self.top {
            None => 0.0,
            Some(top) if half_bits > top => {
                reach(&self.places) * per_place.powi(i32::from(half_bits - top - 1))
            }
            Some(top) => {
                let place = (PLACES - 1).saturating_sub((top - half_bits) as usize);
                reach(&self.places[..place]) + self.places[place..].iter().sum::<f32>()
            }
        };
        // What was seen so many times vouches for as many bits, and is believed for as many again.
        let most = 2.0 * f64::from(1.0 + self.seen).log2();
        (-f64::from(as_large / self.seen).log2()).clamp(0.0, most.min(MAX_BITS))
    }

    /// Learns a magnitude. What was seen counts a third after `memory` more.
    pub(super) fn learn(&mut self, magnitude: f64, memory: f32) {
        if self.seen >= memory {
            let keep = 1.0 - 1.0 / memory.max(1.0);
            self.places.iter_mut().for_each(|weight| *weight *= keep);
            self.seen *= keep;
        }
        self.seen += 1.0;
        if magnitude != f64::NEG_INFINITY {
            let place = self.place(half_bits(magnitude));
            self.places[place] += 1.0;
        }
    }

    /// Finds the place of a magnitude, and moves up to have it if it is the largest.
    fn place(&mut self, half_bits: i16) -> usize {
        let top = *self.top.get_or_insert(half_bits);
        let half_bits = half_bits.min(top + LEAP);
        let above = (half_bits - top).max(0) as usize;
        if above > 0 {
            let lost: f32 = self.places[..above].iter().sum();
            self.places.copy_within(above.., 0);
            self.places[PLACES - above..].fill(0.0);
            self.places[0] += lost;
            self.top = Some(half_bits);
            return PLACES - 1;
        }
        (PLACES - 1).saturating_sub((top - half_bits) as usize)
    }
}

/// Returns in which place a magnitude is, counted from 1. More than these there are not.
fn half_bits(magnitude: f64) -> i16 {
    (2.0 * magnitude).floor().clamp(-4_000.0, 4_000.0) as i16
}
