//! Whether a reading fits what its sensor said before: asks a [`Stream`], and decides what is rare enough to be told.

use crate::event::UnixMillis;
use crate::finding::Turn;
use crate::readings::{Aspect, Reading, STRETCH, Settings, Stream};
use serde::{Deserialize, Serialize};

/// Readings that come closer together are passed over, but for one: what is usual at a time of the day takes days to learn, not readings.
const CLOSEST_MS: u64 = 45_000;
/// How often a stream may be unusual by chance, in a week. Bits count stretches that surprise; of these most belong to something that was told,
/// so that in practice it is some twenty times as seldom.
const IN_A_WEEK: f64 = 0.02;
const WEEK_MS: f64 = 7.0 * 24.0 * 60.0 * 60.0 * 1_000.0;
/// No stream has to surprise by more: so many bits are the most that its memory can vouch for.
const MOST_BITS: f64 = 16.0;
/// It is over when for so long nothing surprised by this part of what is told.
const GOOD_MS: u64 = 6 * 60 * 60 * 1_000;
const GOOD_PART: f64 = 0.6;

/// Knows the history of one sensor.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct History {
    stream: Stream,
    last: UnixMillis,
    /// When it was surprising last, while that is told.
    told: Option<UnixMillis>,
}

/// Is how a reading does not fit.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Unusual {
    pub(super) turn: Turn,
    pub(super) aspect: Aspect,
    pub(super) bits: f64,
}

impl History {
    pub(super) fn new() -> Self {
        Self { stream: Stream::new(Settings::default()), last: UnixMillis(0), told: None }
    }

    /// Takes a reading of a sensor that usually says something so often, in milliseconds.
    pub(super) fn note(
        &mut self,
        now: UnixMillis,
        value: f64,
        usual: u64,
        may_tell: bool,
    ) -> Option<Unusual> {
        if now.since(self.last) < CLOSEST_MS {
            return None;
        }
        self.last = now;
        let at_ms = i64::try_from(now.0).unwrap_or(i64::MAX);
        let observation = self.stream.observe(Reading { at_ms, value }).ok()?;
        let wanted = bits(usual);
        let unusual = |turn| Unusual { turn, aspect: observation.aspect, bits: observation.bits };
        if may_tell && observation.bits >= wanted {
            self.told = Some(now);
            return Some(unusual(Turn::Set));
        }
        if observation.bits >= GOOD_PART * wanted {
            self.told = self.told.map(|_| now);
        }
        let is_over = self.told.take_if(|told| now.since(*told) >= GOOD_MS);
        is_over.map(|_| unusual(Turn::Clear))
    }
}

/// Returns by how many bits a reading has to surprise.
fn bits(usual_ms: u64) -> f64 {
    let stretches = WEEK_MS / (usual_ms.max(CLOSEST_MS) as f64 * f64::from(STRETCH));
    (stretches / IN_A_WEEK).log2().clamp(1.0, MOST_BITS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_speaks_often_has_to_surprise_more() {
        let bits = [1_000, 60_000, 300_000, 900_000].map(|usual| bits(usual).round());
        assert_eq!(bits, [16.0, 15.0, 13.0, 11.0]);
    }
}
