//! The sensors of one device, each with its cadence: one that is silent while its device talks.

use super::cadence::Cadence;
use crate::event::UnixMillis;
use crate::knowledge::{span, when};
use crate::limits;
use serde::{Deserialize, Serialize};

/// After so long a sensor that is silent is no longer expected: it was taken out.
const FORGOTTEN_MILLIS: u64 = 7 * 24 * 60 * 60 * 1_000;

/// How often sensors without a cadence that talk are asked whether they have one.
const LEARNING_MILLIS: u64 = 10 * 60_000;

/// Knows the sensors of one device, at most [`limits::SENSORS`].
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub(super) struct Sensors {
    all: Vec<Sensor>,
    /// When they are looked at again.
    due: Option<UnixMillis>,
    /// Whether it was told that one is silent.
    pub(super) is_told: bool,
}

#[derive(Debug, Clone, Serialize, Deserialize)]
struct Sensor {
    name: Box<str>,
    last: UnixMillis,
    cadence: Cadence<24>,
    is_silent: bool,
    good: u8,
}

/// What a sensor takes, in bytes, without its name.
#[cfg(test)]
pub(super) const BYTES: usize = size_of::<Sensor>();

/// Is a sensor that has fallen silent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Silent {
    pub(super) name: Box<str>,
    pub(super) last: UnixMillis,
    pub(super) interval: u64,
}

impl Sensors {
    /// Takes a reading. A pause that began before `excused` says nothing of the sensor.
    pub(super) fn note(&mut self, now: UnixMillis, name: &str, excused: UnixMillis) {
        if name.len() > limits::SENSOR_NAME_BYTES {
            return;
        }
        let Some(sensor) = self.all.iter_mut().find(|sensor| &*sensor.name == name) else {
            return self.add(now, name);
        };
        if sensor.last < excused {
            sensor.cadence.skip(now);
        } else {
            sensor.cadence.note(now);
        }
        if sensor.is_silent && now > sensor.last {
            sensor.good += 1;
            sensor.is_silent = sensor.good < 2;
        }
        sensor.last = now;
        self.due.get_or_insert(now);
    }

    /// Says of each sensor how often it talks, and whether it is silent.
    pub(super) fn known(&self, now: UnixMillis) -> Vec<String> {
        let say = |sensor: &Sensor| {
            let rhythm = match sensor.cadence.usual(now) {
                Some(usual) => format!("each {}", span(usual.interval)),
                None => "no rhythm that is known".to_owned(),
            };
            let silent = if sensor.is_silent { "; silent" } else { "" };
            format!("{}: {rhythm}, heard {}{silent}", sensor.name.escape_debug(), when(now, sensor.last))
        };
        self.all.iter().map(say).collect()
    }

    /// Where there is no room, the one that was heard longest ago of those without a cadence makes it.
    fn add(&mut self, now: UnixMillis, name: &str) {
        if self.all.len() >= limits::SENSORS {
            let without =
                self.all.iter().enumerate().filter(|(_, sensor)| sensor.cadence.usual(now).is_none());
            let Some(oldest) = without.min_by_key(|(_, sensor)| sensor.last).map(|(place, _)| place) else {
                return;
            };
            self.all.swap_remove(oldest);
        }
        let mut cadence = Cadence::default();
        cadence.note(now);
        self.all.push(Sensor { name: name.into(), last: now, cadence, is_silent: false, good: 0 });
    }

    /// Returns when [`Self::look`] has something to do.
    pub(super) fn next(&self) -> Option<UnixMillis> {
        self.due
    }

    /// Looks for those that have fallen silent since, while the device was heard at `heard`.
    pub(super) fn look(
        &mut self,
        now: UnixMillis,
        heard: UnixMillis,
        excused: UnixMillis,
        intervals: u32,
    ) -> Vec<Silent> {
        self.all.retain(|sensor| now.since(sensor.last) < FORGOTTEN_MILLIS);
        let mut found = Vec::new();
        let mut due = None;
        for sensor in &mut self.all {
            let Some(usual) = sensor.cadence.usual(now) else {
                if now.since(sensor.last) < LEARNING_MILLIS {
                    due = earlier(due, now.plus(LEARNING_MILLIS));
                }
                continue;
            };
            // One more than for a device: a sensor may fail to be read now and then.
            let limit = usual.missing_after(intervals + 1);
            let since = sensor.last.max(excused);
            if sensor.is_silent {
                due = earlier(due, sensor.last.plus(FORGOTTEN_MILLIS));
            } else if heard > since.plus(limit) && now >= since.plus(limit) {
                (sensor.is_silent, sensor.good) = (true, 0);
                found.push(Silent { name: sensor.name.clone(), last: sensor.last, interval: usual.interval });
                due = earlier(due, sensor.last.plus(FORGOTTEN_MILLIS));
            } else {
                // While the device itself is silent, the sensor has to wait for its turn.
                let late = since.plus(limit + 1);
                due = earlier(due, if late > now { late } else { now.plus(limit.max(1_000)) });
            }
        }
        self.due = due;
        found
    }

    /// Tells whether one is silent.
    pub(super) fn any_silent(&self) -> bool {
        self.all.iter().any(|sensor| sensor.is_silent)
    }
}

fn earlier(one: Option<UnixMillis>, other: UnixMillis) -> Option<UnixMillis> {
    Some(one.map_or(other, |one| one.min(other)))
}
