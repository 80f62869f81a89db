//! What is usual at each hour of a day or a week.

use serde::{Deserialize, Serialize};

/// Knows the mean and the spread of readings in each of so many hours, which follow each other for ever.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Profile<const HOURS: usize> {
    /// The first value: means are kept as what is above it, in half the memory.
    origin: Option<f64>,
    #[serde(with = "crate::array")]
    hours: [Hour; HOURS],
    /// The mean deviation in all hours.
    spread: f64,
    compared: f64,
}

#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
#[serde(from = "(f32, f32, u16)", into = "(f32, f32, u16)")]
struct Hour {
    mean: f32,
    /// The mean deviation.
    spread: f32,
    readings: u16,
}

/// Written down without names: there are 192 of them in a stream.
impl From<Hour> for (f32, f32, u16) {
    fn from(hour: Hour) -> Self {
        (hour.mean, hour.spread, hour.readings)
    }
}

impl From<(f32, f32, u16)> for Hour {
    fn from((mean, spread, readings): (f32, f32, u16)) -> Self {
        Self { mean, spread, readings }
    }
}

/// How a reading compares with its hour.
#[derive(Debug, Clone, Copy)]
pub(super) struct Compared {
    /// How far off it is, in units of what is usual in the hour.
    pub(super) relative: f64,
    /// How far off the fenced value is, in its own unit.
    pub(super) fenced: f64,
}

impl<const HOURS: usize> Default for Profile<HOURS> {
    fn default() -> Self {
        Self { origin: None, hours: [Hour::default(); HOURS], spread: 0.0, compared: 0.0 }
    }
}

const HOUR_MS: i64 = 3_600_000;
/// How much the readings of one visit of an hour count against all earlier ones.
const VISIT: f64 = 0.2;
/// How much an hour's own spread counts; the rest is that of all hours, so that one that never moved is not believed.
const OWN: f64 = 0.75;
/// Readings over which the spread of all hours is averaged.
const MEMORY: f64 = 500.0;

impl<const HOURS: usize> Profile<HOURS> {
    /// Compares a reading with its hour, and learns the fenced value. Returns nothing if it is the first of its hour.
    pub(super) fn compare(
        &mut self,
        at_ms: i64,
        value: f64,
        fenced: f64,
        interval_ms: f64,
    ) -> Option<Compared> {
        let origin = *self.origin.get_or_insert(fenced);
        let hour = &mut self.hours[(at_ms.div_euclid(HOUR_MS)).rem_euclid(HOURS as i64) as usize];
        if hour.readings == 0 {
            *hour = Hour { mean: (fenced - origin) as f32, spread: 0.0, readings: 1 };
            return None;
        }
        let mean = origin + f64::from(hour.mean);
        let spread = OWN * f64::from(hour.spread) + (1.0 - OWN) * self.spread;
        let (off, off_fenced) = (value - mean, fenced - mean);
        // The first deviation of all is as large as usual.
        let relative = if spread > 0.0 { off / spread } else { off.signum() * f64::from(off != 0.0) };

        hour.readings = hour.readings.saturating_add(1);
        let per_visit = (HOUR_MS as f64 / interval_ms.max(1.0)).max(1.0);
        let weight = (VISIT / per_visit).max(1.0 / f64::from(hour.readings));
        hour.mean += (weight * off_fenced) as f32;
        hour.spread += (weight * (off_fenced.abs() - f64::from(hour.spread))) as f32;
        self.compared += 1.0;
        self.spread += (off_fenced.abs() - self.spread) / MEMORY.min(self.compared);
        Some(Compared { relative, fenced: off_fenced })
    }
}
