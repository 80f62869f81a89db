//! One sensor: what it said in each bin, what it should say, and how far it is off.

use super::deviation::Deviation;
use super::fit::Fit;
use super::step::Steps;
use super::{BIN_MS, BINS};
use crate::event::UnixMillis;
use crate::finding::Severity;
use serde::{Deserialize, Serialize};

/// No value beyond this is looked at: its square is still a number.
const FARTHEST: f64 = 1e30;
/// A value counts for so many bins at most.
const CARRIED: u32 = 8;
/// A pause is one of more than so many intervals, and of so many times what these differ, and of so many milliseconds.
const PAUSE_INTERVALS: f64 = 3.0;
const PAUSE_SPREADS: f64 = 4.0;
const PAUSE_MS: f64 = 120_000.0;
/// A bin in which nothing was known.
const NOTHING: f32 = f32::MAX;

/// Is one sensor of a cluster.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Member {
    /// Its first value; what is remembered is what is above it, in half the memory.
    pub(super) origin: f64,
    heard: UnixMillis,
    /// From one reading to the next: on the average, how far from that on the average, and how many of them count.
    interval_ms: f64,
    spread_ms: f64,
    intervals: u32,
    /// It says what it kept during a pause until then.
    deaf_until: UnixMillis,
    sum: f64,
    count: u32,
    /// Its value in the bin that is over, and how many bins ago it said so.
    pub(super) value: Option<f64>,
    age: u32,
    bins: Vec<f32>,
    pub(super) fit: Option<Fit>,
    pub(super) deviation: Deviation,
    pub(super) told: Option<Severity>,
    /// Bins in which it was far off since it was told, and in which it fits now.
    off: u32,
    calm: u32,
    pub(super) steps: Steps,
}

/// What a sensor takes, in bytes, without its lines.
#[cfg(test)]
pub(super) const BYTES: usize = size_of::<Member>() + BINS * size_of::<f32>() + super::step::BYTES;

/// Bins in which a sensor has to be far off after it was told, until that is grave.
const GRAVE: u32 = 2;
/// Bins in which a sensor has to fit until it is over.
const OVER: u32 = 4;

impl Member {
    pub(super) fn new(value: f64) -> Self {
        Self {
            origin: value.clamp(-FARTHEST, FARTHEST),
            heard: UnixMillis::default(),
            interval_ms: 0.0,
            spread_ms: 0.0,
            intervals: 0,
            deaf_until: UnixMillis::default(),
            sum: 0.0,
            count: 0,
            value: None,
            age: 0,
            bins: Vec::new(),
            fit: None,
            deviation: Deviation::default(),
            told: None,
            off: 0,
            calm: 0,
            steps: Steps::default(),
        }
    }

    /// Takes a reading. Returns whether it stepped.
    pub(super) fn read(&mut self, now: UnixMillis, value: f64) -> bool {
        let value = value.clamp(-FARTHEST, FARTHEST);
        if self.heard.0 > 0 && self.note_interval(now.since(self.heard) as f64) {
            // What it says next it may have kept.
            self.deaf_until = now.plus(BIN_MS);
            self.lose_alignment();
        }
        self.heard = now;
        if now < self.deaf_until {
            return false;
        }
        self.sum += value;
        self.count = self.count.saturating_add(1);
        self.value.is_some_and(|before| self.steps.note(now, before, value))
    }

    /// Learns how often it reports. Returns whether this was a pause.
    fn note_interval(&mut self, passed: f64) -> bool {
        let usual = PAUSE_INTERVALS * self.interval_ms + PAUSE_SPREADS * self.spread_ms;
        let is_pause = self.intervals > 1 && passed > usual.max(PAUSE_MS);
        let counted = if self.intervals > 1 { passed.min(4.0 * self.interval_ms) } else { passed };
        self.intervals = (self.intervals + 1).min(20);
        let weight = 1.0 / f64::from(self.intervals);
        self.spread_ms += weight * ((counted - self.interval_ms).abs() - self.spread_ms);
        self.interval_ms += weight * (counted - self.interval_ms);
        is_pause
    }

    /// Ends a bin: after that [`Self::value`] is that of it.
    pub(super) fn close(&mut self) {
        if self.count > 0 {
            self.value = Some(self.sum / f64::from(self.count));
            (self.sum, self.count, self.age) = (0.0, 0, 0);
            return;
        }
        self.age = self.age.saturating_add(1);
        let carried = (2.0 * self.interval_ms / BIN_MS as f64).round().min(f64::from(CARRIED));
        if f64::from(self.age) > carried {
            self.lose_alignment();
        }
    }

    /// Forgets what is half known: what it says next is compared anew. What it learned stays.
    pub(super) fn lose_alignment(&mut self) {
        (self.sum, self.count, self.value) = (0.0, 0, None);
        self.steps.forget();
        if self.told.is_none() {
            self.deviation = Deviation::default();
        }
    }

    /// Remembers what it said in a bin; nothing, if that is nothing to learn from.
    pub(super) fn remember(&mut self, bin: u64, value: Option<f64>) {
        if self.bins.is_empty() {
            self.bins = vec![NOTHING; BINS];
        }
        self.bins[(bin % BINS as u64) as usize] = value.map_or(NOTHING, |value| (value - self.origin) as f32);
    }

    /// Returns what it said in a bin, above its origin.
    pub(super) fn recall(&self, bin: u64) -> Option<f64> {
        let value = self.bins.get((bin % BINS as u64) as usize).copied()?;
        (value != NOTHING).then_some(f64::from(value))
    }

    /// Judges a bin by what is left, in units of what uses to be left. Returns whether it is told as something else now.
    pub(super) fn judge(&mut self, units: f64, do_peers_agree: bool) -> bool {
        self.deviation.add(units);
        let before = self.told;
        if self.deviation.is_off() {
            self.calm = 0;
            if self.told.is_none() {
                (self.told, self.off) = (Some(Severity::Medium), 0);
            } else if self.deviation.is_far_off() {
                self.off = self.off.saturating_add(1);
            }
            if self.off >= GRAVE && do_peers_agree {
                self.told = Some(Severity::High);
            }
        } else if self.told.is_some() {
            self.calm = if self.deviation.fits() { self.calm + 1 } else { 0 };
            if self.calm >= OVER {
                (self.told, self.calm) = (None, 0);
            }
        }
        self.told != before
    }

    /// Forgets all but its cadence.
    pub(super) fn relearn(&mut self) {
        (self.fit, self.deviation, self.told) = (None, Deviation::default(), None);
        (self.off, self.calm, self.steps) = (0, 0, Steps::default());
        self.bins.fill(NOTHING);
        self.lose_alignment();
    }

    /// Tells whether it was heard since.
    pub(super) fn was_heard(&self, since: UnixMillis) -> bool {
        self.heard >= since && self.heard >= self.deaf_until
    }

    /// Tells whether it has not been heard for as long as is remembered.
    pub(super) fn is_forgotten(&self, now: UnixMillis) -> bool {
        now.since(self.heard) > BINS as u64 * BIN_MS
    }
}
