//! A sensor: a value made of real parts, rounded as its converter does, and what makes it lie.

use super::real::{DAY, Series};
use crate::dice::Dice;
use keyward_watch::declared::{Declared, Relation};
use std::collections::VecDeque;

/// Values that a sensor remembers, for the one who records them and plays them again.
const REMEMBERED: usize = 256;

/// Says what is measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Quantity {
    /// Degrees Celsius of a room.
    Room,
    /// Degrees Celsius at which the air of the same room would be wet: never above its temperature.
    DewPoint,
    /// Degrees Celsius of a machine.
    Machine,
    /// People who passed since the last reading.
    People,
}

impl Quantity {
    fn name(self) -> &'static str {
        match self {
            Self::Room => "temperature",
            Self::DewPoint => "dew_point",
            Self::Machine => "bearing",
            Self::People => "people",
        }
    }

    fn series(self) -> Series {
        match self {
            Self::Room | Self::DewPoint => Series::Office,
            Self::Machine => Series::Machine,
            Self::People => Series::Taxi,
        }
    }

    /// Level, swing (what one unit of the series is here), fine noise (likewise) and step of the converter.
    fn shape(self) -> (f64, f64, f64, f64) {
        match self {
            Self::Room => (21.0, 0.8, 0.05, 0.1),
            Self::DewPoint => (10.0, 0.6, 0.05, 0.1),
            Self::Machine => (62.0, 2.0, 0.15, 0.01),
            Self::People => (40.0, 10.0, 2.0, 1.0),
        }
    }

    /// A value that a sensor of this kind gives when it is torn off or shorted.
    fn absurd(self) -> f64 {
        match self {
            Self::Room | Self::DewPoint => -127.0,
            Self::Machine => 850.0,
            Self::People => 65_535.0,
        }
    }
}

/// Says how a sensor lies. A swing is what it strays from the rhythm of its day in most hours.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Bend {
    /// It is torn off or shorted.
    Absurd,
    /// It jumps by so many swings, up and down.
    Jumps(f64),
    /// It says what it said last.
    Stuck,
    /// It is off by so many swings.
    Offset(f64),
    /// It strays by so many swings a day, from a time on.
    Drift(f64, u64),
    /// Something smooth is in its place, which knows the rhythm and nothing else.
    Emulated,
    /// What it said earlier comes again.
    Replay,
    /// It says more than what it must not exceed.
    Above,
}

/// Is a sensor.
#[derive(Debug, Clone)]
pub(super) struct Sensor {
    pub(super) stream: Box<str>,
    pub(super) quantity: Quantity,
    level: f64,
    scale: f64,
    /// What it has in common with its neighbours.
    shared: u64,
    own: u64,
    fine: usize,
    step: f64,
    readings: usize,
    bend: Option<Bend>,
    said: VecDeque<f64>,
    /// It says nothing until then.
    pub(super) mute_until: u64,
}

impl Sensor {
    /// Makes a sensor; all sensors of one quantity with one `site` follow the same days.
    pub(super) fn new(quantity: Quantity, site: u64, dice: &mut Dice) -> Self {
        let (level, swing, _, step) = quantity.shape();
        let scale = dice.between(70, 140) as f64 / 100.0;
        Self {
            stream: format!("sensors/{}", quantity.name()).into(),
            quantity,
            level: level + swing * dice.between(0, 200) as f64 / 100.0,
            scale,
            shared: site.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ quantity.series() as u64,
            own: dice.draw(),
            fine: dice.below(1 << 20),
            step,
            readings: 0,
            bend: None,
            said: VecDeque::new(),
            mute_until: 0,
        }
    }

    /// Returns the value at a time; `group` is added to all of a site, `partner` is what the sensor before it in the same device said.
    pub(super) fn read(&mut self, at: u64, group: f64, partner: Option<f64>) -> f64 {
        self.readings += 1;
        let value = self.bent(at, group, partner);
        if self.said.len() == REMEMBERED {
            self.said.pop_front();
        }
        self.said.push_back(value);
        value
    }

    fn bent(&mut self, at: u64, group: f64, partner: Option<f64>) -> f64 {
        let swing = self.quantity.shape().1 * self.scale;
        let parity = if self.readings.is_multiple_of(2) { 1.0 } else { -1.0 };
        let off = match self.bend {
            None => 0.0,
            Some(Bend::Absurd) => return self.quantity.absurd(),
            Some(Bend::Jumps(swings)) => parity * swings * swing,
            Some(Bend::Stuck) => return self.said.back().copied().unwrap_or(self.level),
            Some(Bend::Offset(swings)) => swings * swing,
            Some(Bend::Drift(swings, since)) => {
                swings * swing * (at.saturating_sub(since)) as f64 / DAY as f64
            }
            Some(Bend::Emulated) => {
                let smooth = self.level + swing * self.quantity.series().read().rhythm(at);
                return self.rounded(smooth, None);
            }
            Some(Bend::Replay) => {
                // What was said is pushed on while it is read: the place stays, and the oldest come again in their order.
                return self.said.front().copied().unwrap_or(self.level);
            }
            Some(Bend::Above) => return self.rounded(partner.unwrap_or(self.level) + 1.5, None),
        };
        let honest = self.honest(at, group);
        self.rounded(honest + off, partner)
    }

    fn honest(&self, at: u64, group: f64) -> f64 {
        let (_, swing, noise, _) = self.quantity.shape();
        let real = self.quantity.series().read();
        let stray = 0.8 * real.stray(self.shared, at) + 0.3 * real.stray(self.own, at);
        let fine = real.fine(self.fine + self.readings);
        self.level + self.scale * (swing * (real.rhythm(at) + stray + group) + noise * fine)
    }

    fn rounded(&self, value: f64, partner: Option<f64>) -> f64 {
        let value = match self.quantity {
            Quantity::DewPoint => value.min(partner.unwrap_or(f64::MAX)),
            Quantity::People => value.max(0.0),
            Quantity::Room | Quantity::Machine => value,
        };
        // Thousandths are what a converter's decimal text has at most.
        ((value / self.step).round() * self.step * 1_000.0).round() / 1_000.0
    }

    /// Lets it lie, or tell the truth again.
    pub(super) fn bend(&mut self, bend: Option<Bend>) {
        self.bend = bend;
    }
}

/// Returns what an owner knows of some sensors of one device: which says no more than which. Limits are left to be learned.
pub(super) fn declared(sensors: &[Sensor]) -> Declared {
    let stream = |quantity| {
        let sensor = sensors.iter().find(|sensor| sensor.quantity == quantity)?;
        Some(sensor.stream.clone())
    };
    let pair = stream(Quantity::DewPoint).zip(stream(Quantity::Room));
    let relation = pair.map(|(less, more)| Relation::AtMost { less, more });
    Declared { relations: relation.into_iter().collect(), ..Declared::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MONDAY: u64 = 20_514 * DAY;
    const MINUTE: u64 = 60_000;

    fn values(sensor: &mut Sensor, minutes: std::ops::Range<u64>) -> Vec<f64> {
        minutes.map(|minute| sensor.read(MONDAY + minute * MINUTE, 0.0, None)).collect()
    }

    fn room() -> Sensor {
        Sensor::new(Quantity::Room, 3, &mut Dice::new(5))
    }

    #[test]
    fn a_room_is_a_room_and_neighbours_follow_the_same_days() {
        let (mut one, mut other) = (room(), Sensor::new(Quantity::Room, 3, &mut Dice::new(6)));
        let mut elsewhere = Sensor::new(Quantity::Room, 4, &mut Dice::new(6));
        let month = |sensor: &mut Sensor| -> Vec<f64> {
            (0..720).map(|hour| sensor.read(MONDAY + hour * 60 * MINUTE, 0.0, None)).collect()
        };
        let (one, other, elsewhere) = (month(&mut one), month(&mut other), month(&mut elsewhere));
        assert!(one.iter().all(|value| (10.0..35.0).contains(value)), "{one:?}");
        assert!(correlation(&one, &other) > 0.8, "{}", correlation(&one, &other));
        assert!(correlation(&one, &elsewhere) < 0.5, "{}", correlation(&one, &elsewhere));
    }

    fn correlation(a: &[f64], b: &[f64]) -> f64 {
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let (mean_a, mean_b) = (mean(a), mean(b));
        let sum = |a: &[f64], a0: f64, b: &[f64], b0: f64| {
            a.iter().zip(b).map(|(a, b)| (a - a0) * (b - b0)).sum::<f64>()
        };
        sum(a, mean_a, b, mean_b) / (sum(a, mean_a, a, mean_a) * sum(b, mean_b, b, mean_b)).sqrt()
    }

    #[test]
    fn what_was_said_comes_again_in_its_order() {
        let mut sensor = room();
        let said = values(&mut sensor, 0..REMEMBERED as u64);
        sensor.bend(Some(Bend::Replay));
        assert_eq!(values(&mut sensor, 1_000..1_000 + REMEMBERED as u64), said);
    }

    #[test]
    fn each_lie_is_one_and_ends() {
        for bend in [
            Bend::Absurd,
            Bend::Jumps(12.0),
            Bend::Stuck,
            Bend::Offset(6.0),
            Bend::Drift(4.0, MONDAY),
            Bend::Emulated,
        ] {
            let (mut liar, mut honest) = (room(), room());
            assert_eq!(values(&mut liar, 0..500), values(&mut honest, 0..500));
            liar.bend(Some(bend));
            assert_ne!(values(&mut liar, 500..1_000), values(&mut honest, 500..1_000), "{bend:?}");
            liar.bend(None);
            assert_eq!(values(&mut liar, 1_000..1_500), values(&mut honest, 1_000..1_500), "{bend:?}");
        }
    }

    #[test]
    fn a_dew_point_exceeds_its_room_only_as_a_lie() {
        let (mut room, mut dew) = (room(), Sensor::new(Quantity::DewPoint, 3, &mut Dice::new(8)));
        let mut above = |dew: &mut Sensor| {
            (0..500)
                .filter(|minute| {
                    let at = MONDAY + minute * MINUTE;
                    let warm = room.read(at, 0.0, None);
                    dew.read(at, 0.0, Some(warm)) > warm
                })
                .count()
        };
        assert_eq!(above(&mut dew), 0);
        dew.bend(Some(Bend::Above));
        assert_eq!(above(&mut dew), 500);
    }
}
