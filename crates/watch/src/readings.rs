//! Judges the readings of one sensor against their own history, each once and when it comes.
//!
//! How to use it. Keep a [`Stream`] for each sensor and [`observe`](Stream::observe) its readings in the order in which they
//! arrive. Each gives an [`Observation`]: how surprising it is, and in which [`Aspect`]. Take for an anomaly what surprises by so many
//! bits as false alarms are to be rare; of an anomaly that goes on only the beginning, and what is worse than it, is reported.
//!
//! How it judges. Nine aspects of a reading are measured, each on a scale of its own: how far it is from the last, from the usual level,
//! from what is usual at this time of the day and of the week, whether it has been off for a while, how noisy it is, how little, and how often the
//! same value was repeated. What a magnitude means is learned from the stream itself (`tail.rs`): its surprise is the
//! logarithm of how rarely one as large was seen. The sum of the surprises (as in Fisher's method for tests) and the largest are then
//! judged by the same means, against the largest sums of earlier stretches (`verdict.rs`). So a stream that is wild by
//! nature raises no more alarms than a calm one, and there is no threshold in units of the reading.
//!
//! What is not here: limits that an owner declares, other sensors, and the time between readings, which is liveness. A clock that jumps
//! back or stands still spoils no more than what is usual at a time of day.

mod fence;
mod onset;
mod profile;
mod settings;
mod tail;
mod verdict;

pub use settings::Settings;
pub use verdict::STRETCH;

use core::fmt;
use fence::Fence;
use onset::Onset;
use profile::Profile;
use serde::{Deserialize, Serialize};
use tail::Tail;
use verdict::Verdict;

/// What a sensor said.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Reading {
    /// When, in milliseconds since 1970. Streams do not mind which time zone, as long as it stays the same.
    pub at_ms: i64,
    /// What, in the unit of the sensor. Magnitudes beyond 10³⁰ are taken for 10³⁰.
    pub value: f64,
}

/// How surprising a reading is.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// From 0 to [`MAX_BITS`]. Of 2ᵇ stretches of [`STRETCH`] readings one surprises somewhere by b bits or more, as far as the history
    /// tells; beyond it, this is an extrapolation. 0 too if the reading belongs to an anomaly that was reported.
    pub bits: f64,
    /// In which respect most.
    pub aspect: Aspect,
}

impl Observation {
    /// Returns the same on a scale from 0 (as usual) to 1: which share of stretches is less surprising.
    pub fn score(&self) -> f64 {
        1.0 - (-self.bits).exp2()
    }
}

/// The largest surprise, in bits: a score stays below 1, and two different surprises stay two scores.
pub const MAX_BITS: f64 = 48.0;

/// In which respect a reading is unusual.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Aspect {
    /// It is far from the reading before it.
    Rate,
    /// It is far from the usual level.
    Range,
    /// It is far from what is usual at this time of the day.
    TimeOfDay,
    /// It is far from what is usual at this time of the week.
    TimeOfWeek,
    /// Readings have been off what is usual at their time of the day, on the average of some ten.
    Shift,
    /// The same on the average of some thirty: less, but for longer.
    Drift,
    /// Readings are noisier than they use to be.
    Restless,
    /// They are less noisy: a real sensor's noise is missing.
    Quiet,
    /// The very same value has been repeated.
    Stuck,
}

/// All aspects, in the order in which a stream keeps them.
const ASPECTS: [Aspect; 9] = [
    Aspect::Rate,
    Aspect::Range,
    Aspect::TimeOfDay,
    Aspect::TimeOfWeek,
    Aspect::Shift,
    Aspect::Drift,
    Aspect::Restless,
    Aspect::Quiet,
    Aspect::Stuck,
];

/// Says that there is no value in a reading: it is not a number, or infinite.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NotFinite;

impl fmt::Display for NotFinite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the reading is no finite number: the sensor or what encodes it is broken")
    }
}

impl core::error::Error for NotFinite {}

/// What is known of the readings of one sensor: [`Stream::BYTES`] of memory, however long it runs.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Stream {
    #[serde(skip)]
    settings: Settings,
    /// Readings so far.
    count: u64,
    last: Last,
    /// Milliseconds from one reading to the next, on average.
    interval_ms: f64,
    fence: Fence,
    level: f64,
    day: Profile<24>,
    week: Profile<168>,
    shift: f64,
    drift: f64,
    /// The last change.
    step: f64,
    /// How much one change differs from the next, on average: the noise, for a slow movement changes evenly.
    noise: f64,
    repeats: f64,
    tails: [Tail; ASPECTS.len()],
    verdict: Verdict,
    onset: Onset,
}

#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
struct Last {
    at_ms: i64,
    value: f64,
    fenced: f64,
}

/// Readings over which [`Aspect::Shift`] is averaged.
const SHORT: f64 = 10.0;
/// Readings over which [`Aspect::Drift`] and noise are averaged.
const LONG: f64 = 33.0;
/// Readings over which the usual level is averaged.
const LEVEL: f64 = 500.0;
/// Every how many readings an aspect's magnitude is learned. Averages resemble themselves from reading to reading; each is learned once in
/// the time over which it is averaged, or what is rare would vouch for itself while it lasts. Repeats are learned when they end.
const EVERY: [u64; ASPECTS.len()] = [1, 1, 1, 1, 10, 33, 33, 33, u64::MAX];

impl Stream {
    /// How much memory a stream takes, in bytes; nothing of it is on the heap.
    pub const BYTES: usize = size_of::<Self>();

    /// Makes a stream that knows nothing yet.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            count: 0,
            last: Last { at_ms: 0, value: 0.0, fenced: 0.0 },
            interval_ms: 0.0,
            fence: Fence::default(),
            level: 0.0,
            day: Profile::default(),
            week: Profile::default(),
            shift: 0.0,
            drift: 0.0,
            step: 0.0,
            noise: 0.0,
            repeats: 0.0,
            tails: [Tail::default(); ASPECTS.len()],
            verdict: Verdict::default(),
            onset: Onset::default(),
        }
    }

    /// Judges a reading, and learns from it. Readings come in the order of their arrival; a time that is not later than the last
    /// one is taken as it is.
    ///
    /// # Errors
    /// [`NotFinite`] if there is no value; nothing is learned then.
    pub fn observe(&mut self, reading: Reading) -> Result<Observation, NotFinite> {
        if !reading.value.is_finite() {
            return Err(NotFinite);
        }
        let value = reading.value.clamp(-fence::FARTHEST, fence::FARTHEST);
        let Settings { memory, tail, .. } = self.settings;
        let mut surprises = [0.0; ASPECTS.len()];
        for (aspect, magnitude) in self.magnitudes(reading.at_ms, value).into_iter().enumerate() {
            let Some(magnitude) = magnitude else { continue };
            surprises[aspect] = self.tails[aspect].judge(magnitude, tail);
            if self.count.is_multiple_of(EVERY[aspect]) {
                self.tails[aspect].learn(magnitude, memory / EVERY[aspect] as f32);
            }
        }
        let (bits, aspect) = self.verdict.weigh(surprises, memory);
        Ok(Observation { bits: self.onset.report(bits, &self.settings), aspect: ASPECTS[aspect] })
    }

    /// Measures a reading in each aspect, as the logarithm of a magnitude to the base 2, and takes it into the averages. There is no
    /// magnitude where too little is known.
    fn magnitudes(&mut self, at_ms: i64, value: f64) -> [Option<f64>; ASPECTS.len()] {
        if self.count == 0 {
            self.last = Last { at_ms, value, fenced: value };
            self.level = value;
        }
        self.count += 1;
        self.learn_interval(at_ms);
        let (last, level) = (self.last, self.level);
        let fenced = self.fence.admit(value);
        let of_day = self.day.compare(at_ms, value, fenced, self.interval_ms);
        let of_week = self.week.compare(at_ms, value, fenced, self.interval_ms);
        let off = of_day.map_or(0.0, |compared| compared.fenced);
        self.shift += (off - self.shift) / SHORT;
        self.drift += (off - self.drift) / LONG;
        let step = fenced - last.fenced;
        self.noise += ((step - self.step).abs() - self.noise) / LONG;
        self.step = step;
        self.level += (fenced - self.level) / LEVEL.min(self.count as f64);
        if value == last.value {
            self.repeats += 1.0;
        } else {
            self.tails[Aspect::Stuck as usize].learn(log2(self.repeats), self.settings.memory);
            self.repeats = 1.0;
        }
        self.last = Last { at_ms, value, fenced };
        let settled = |magnitude: f64| (self.count as f64 > 2.0 * LONG).then_some(magnitude);
        let noise = log2(self.noise);
        [
            Some(log2(value - last.fenced)),
            Some(log2(value - level)),
            of_day.map(|compared| log2(compared.relative)),
            of_week.map(|compared| log2(compared.relative)),
            of_day.map(|_| log2(self.shift)),
            of_day.map(|_| log2(self.drift)),
            settled(noise),
            settled(-noise),
            Some(log2(self.repeats)),
        ]
    }

    fn learn_interval(&mut self, at_ms: i64) {
        let passed = at_ms.saturating_sub(self.last.at_ms) as f64;
        // A gap is no interval.
        if passed > 0.0 && (self.count < 20 || passed < 10.0 * self.interval_ms) {
            self.interval_ms += (passed - self.interval_ms) / (self.count as f64 - 1.0).clamp(1.0, 20.0);
        }
    }
}

/// Returns the logarithm of a magnitude; of nothing it is minus infinity.
fn log2(magnitude: f64) -> f64 {
    magnitude.abs().log2()
}
