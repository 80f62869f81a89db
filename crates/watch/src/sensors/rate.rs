//! Whether a value changes faster than it can: than was declared, or again and again much more than the sensor ever did.

use super::alarm::{Alarm, Rule};
use crate::finding::Turn;
use serde::{Deserialize, Serialize};

/// One absurd value is two fast changes.
const LEARNED: Rule = Rule { signs: 3, of: 4, good: 8 };
const DECLARED: Rule = Rule { signs: 2, of: 3, good: 8 };
/// How many times the largest change is much more.
const TIMES: f64 = 2.0;

/// Knows how much a sensor changes from one reading to the next.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Rate {
    largest: f64,
    alarm: Alarm,
}

/// Is a change, from one reading to the next.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    pub(super) by: f64,
    pub(super) in_ms: u64,
}

impl Rate {
    /// Takes a change of a sensor that can change by `declared` in a second. What is told is told with the most that it can change in that time.
    pub(super) fn note(
        &mut self,
        Change { by, in_ms }: Change,
        declared: Option<f64>,
        may_tell: bool,
    ) -> Option<(Turn, f64)> {
        let most = match declared {
            Some(per_second) => per_second * in_ms as f64 / 1_000.0,
            None => TIMES * self.largest,
        };
        let is_sign = (declared.is_some() || may_tell) && by.abs() > most;
        if !is_sign {
            self.largest = self.largest.max(by.abs());
        }
        let rule = if declared.is_some() { DECLARED } else { LEARNED };
        self.alarm.note(is_sign, rule).map(|turn| (turn, most))
    }
}
