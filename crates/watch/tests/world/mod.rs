//! A sensor with a day, a night and some noise, a stream that watches it, and series of real sensors.
#![allow(dead_code, reason = "each test binary uses its part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

use keyward_watch::readings::{Aspect, Reading, Settings, Stream};
use std::path::Path;

/// From how many bits on these tests speak of an alarm.
pub(crate) const ALARM_BITS: f64 = 9.0;
/// From how many on they count what a keener watch would notice.
const NOTICE_BITS: f64 = 5.0;
/// Readings in an hour: one in five minutes.
pub(crate) const HOUR: usize = 12;
pub(crate) const DAY: usize = 24 * HOUR;
const INTERVAL_MS: i64 = 300_000;

/// A thermometer that counts in steps of 0.01: 20 degrees, 4 more in the afternoon, 4 less at night, and noise.
pub(crate) struct Sensor {
    at_ms: i64,
    pub(crate) noise: f64,
    random: u64,
    drift: f64,
}

impl Sensor {
    pub(crate) fn of_an_office(seed: u64) -> Self {
        Self { at_ms: 0, noise: 0.2, random: seed.wrapping_mul(2_654_435_761) + 1, drift: 0.0 }
    }

    /// Roughly normal, with a deviation of one.
    fn random(&mut self) -> f64 {
        let mut sum = 0.0;
        for _ in 0..6 {
            self.random =
                self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            sum += (self.random >> 40) as f64 / f64::from(1 << 24) - 0.5;
        }
        sum * std::f64::consts::SQRT_2
    }

    fn rhythm(&self) -> f64 {
        let day = self.at_ms as f64 / 86_400_000.0;
        20.0 - 4.0 * (day * std::f64::consts::TAU).cos()
    }

    pub(crate) fn value_at_night(&self) -> f64 {
        16.0
    }

    /// Weather wanders too, slowly and not far.
    pub(crate) fn next(&mut self) -> Reading {
        self.at_ms += INTERVAL_MS;
        self.drift = 0.995 * self.drift + 0.03 * self.random();
        let value = self.rhythm() + self.drift + self.noise * self.random();
        Reading { at_ms: self.at_ms, value: (value * 100.0).round() / 100.0 }
    }
}

/// An alarm: after how many readings, and why.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen {
    pub(crate) after: usize,
    pub(crate) aspect: Aspect,
}

pub(crate) struct Watched {
    pub(crate) sensor: Sensor,
    pub(crate) clock_is_off_ms: i64,
    stream: Stream,
}

impl Watched {
    pub(crate) fn new(sensor: Sensor) -> Self {
        Self { sensor, clock_is_off_ms: 0, stream: Stream::new(Settings::default()) }
    }

    fn observe(&mut self, bend: impl Fn(f64) -> f64) -> Option<Aspect> {
        let Reading { at_ms, value } = self.sensor.next();
        let reading = Reading { at_ms: at_ms + self.clock_is_off_ms, value: bend(value) };
        let observation = self.stream.observe(reading).unwrap();
        (observation.bits >= ALARM_BITS).then_some(observation.aspect)
    }

    /// Lets days pass in which nothing happens, and counts alarms.
    pub(crate) fn quiet_days(&mut self, days: usize) -> usize {
        self.reports(days * DAY, |value| value)
    }

    /// Bends so many readings, and tells of the first alarm.
    pub(crate) fn lie(&mut self, readings: usize, bend: impl Fn(f64) -> f64) -> Option<Seen> {
        (1..=readings).find_map(|after| self.observe(&bend).map(|aspect| Seen { after, aspect }))
    }

    /// Bends so many readings, and counts alarms.
    pub(crate) fn reports(&mut self, readings: usize, bend: impl Fn(f64) -> f64) -> usize {
        (0..readings).filter(|_| self.observe(&bend).is_some()).count()
    }
}

/// A real series and the rows of its labelled windows.
pub(crate) struct Real {
    readings: Vec<Reading>,
    windows: Vec<(usize, usize)>,
}

/// Reads a series of `tests/data/nab`.
pub(crate) fn real(name: &str) -> Real {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/nab");
    let text = std::fs::read_to_string(folder.join(format!("data/realKnownCause/{name}.csv"))).unwrap();
    let labels = std::fs::read_to_string(folder.join("labels/combined_windows.json")).unwrap();
    let rows: Vec<(&str, f64)> = text
        .lines()
        .skip(1)
        .map(|line| line.split_once(',').unwrap())
        .map(|(at, value)| (at, value.parse().unwrap()))
        .collect();
    let row = |at: &str| rows.iter().position(|row| row.0 == at).unwrap();
    let labels = labels.split(name).nth(1).unwrap().split(".csv").nth(1).unwrap();
    let ends: Vec<usize> =
        labels.split('"').filter_map(|text| text.strip_suffix(".000000")).map(row).collect();
    let readings = rows.iter().map(|(at, value)| Reading { at_ms: milliseconds(at), value: *value });
    Real { readings: readings.collect(), windows: ends.chunks(2).map(|ends| (ends[0], ends[1])).collect() }
}

/// Reads "YYYY-MM-DD HH:MM:SS"; the series are of 2013 to 2015, which have no leap day.
fn milliseconds(text: &str) -> i64 {
    let numbers: Vec<i64> = text.split(['-', ' ', ':']).map(|part| part.parse().unwrap()).collect();
    let before = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334][numbers[1] as usize - 1];
    let day = 365 * (numbers[0] - 2013) + before + numbers[2] - 1;
    (((day * 24 + numbers[3]) * 60 + numbers[4]) * 60 + numbers[5]) * 1_000
}

impl Real {
    /// Counts windows, windows with an alarm, and alarms elsewhere; the first 750 readings are for learning.
    pub(crate) fn judge(&self) -> (usize, usize, usize) {
        let mut stream = Stream::new(Settings::default());
        let alarms: Vec<usize> = self
            .readings
            .iter()
            .enumerate()
            .filter_map(|(row, reading)| {
                (stream.observe(*reading).unwrap().bits >= NOTICE_BITS).then_some(row)
            })
            .filter(|row| *row >= 750)
            .collect();
        let inside = |row: usize, (first, last): (usize, usize)| (first..=last).contains(&row);
        let found =
            self.windows.iter().filter(|window| alarms.iter().any(|row| inside(*row, **window))).count();
        let elsewhere =
            alarms.iter().filter(|row| !self.windows.iter().any(|window| inside(**row, *window))).count();
        (self.windows.len(), found, elsewhere)
    }
}
