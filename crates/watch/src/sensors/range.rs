//! Whether a value is outside its limits: those that were declared, or far outside all that the sensor ever said.

use super::alarm::{Alarm, Rule};
use crate::event::UnixMillis;
use crate::finding::Turn;
use serde::{Deserialize, Serialize};

/// What was declared holds at once.
const DECLARED: Rule = Rule { signs: 1, of: 1, good: 3 };
const LEARNED: Rule = Rule { signs: 2, of: 3, good: 10 };
/// How far outside is far: as wide as all that was said.
const WIDTHS: f64 = 1.0;
/// What lasts so long is inside.
const USUAL_AFTER_MS: u64 = 24 * 60 * 60 * 1_000;

/// Knows between which values a sensor stays.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Range {
    said: Option<(f64, f64)>,
    alarm: Alarm,
    set: UnixMillis,
}

/// Is the limits that hold, and which of them were declared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Bounds {
    pub(super) least: f64,
    pub(super) most: f64,
    pub(super) is_declared: bool,
}

impl Range {
    /// Takes a value. Without declared limits nothing is told of a sensor that `may_tell` nothing yet.
    pub(super) fn note(
        &mut self,
        now: UnixMillis,
        value: f64,
        declared: Option<(f64, f64)>,
        may_tell: bool,
    ) -> Option<(Turn, Bounds)> {
        let bounds = match declared {
            Some((least, most)) => Some(Bounds { least, most, is_declared: true }),
            None => self.learned().filter(|_| may_tell),
        };
        let is_sign = bounds.is_some_and(|bounds| value < bounds.least || value > bounds.most);
        if !is_sign {
            self.learn(value);
        }
        let bounds = bounds?;
        let turn = self.alarm.note(is_sign, if bounds.is_declared { DECLARED } else { LEARNED });
        if turn == Some(Turn::Set) {
            self.set = now;
        }
        if self.alarm.is_set && !bounds.is_declared && now.since(self.set) >= USUAL_AFTER_MS {
            self.learn(value);
            self.alarm = Alarm::default();
            return Some((Turn::Clear, bounds));
        }
        turn.map(|turn| (turn, bounds))
    }

    fn learn(&mut self, value: f64) {
        let (least, most) = self.said.unwrap_or((value, value));
        self.said = Some((least.min(value), most.max(value)));
    }

    fn learned(&self) -> Option<Bounds> {
        let (least, most) = self.said?;
        let beyond = WIDTHS * (most - least);
        Some(Bounds { least: least - beyond, most: most + beyond, is_declared: false })
    }
}
