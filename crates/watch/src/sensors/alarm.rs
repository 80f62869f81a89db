//! When signs are many enough to be told, and when what was told is over: the two differ, so that nothing flickers.

use crate::finding::Turn;
use serde::{Deserialize, Serialize};

/// Says how many signs make an alarm.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rule {
    /// So many signs
    pub(super) signs: u32,
    /// among so many readings (at most 8) begin it;
    pub(super) of: u32,
    /// so many readings in a row without one end it.
    pub(super) good: u16,
}

/// Knows whether something is so.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
pub(super) struct Alarm {
    /// The last eight, a bit each; the newest is the lowest.
    recent: u8,
    good: u16,
    pub(super) is_set: bool,
}

impl Alarm {
    /// Takes one reading, which is a sign or none.
    pub(super) fn note(&mut self, is_sign: bool, rule: Rule) -> Option<Turn> {
        self.recent = self.recent << 1 | u8::from(is_sign);
        self.good = if is_sign { 0 } else { self.good.saturating_add(1) };
        let among = u8::MAX >> (8 - rule.of.clamp(1, 8));
        if !self.is_set && (self.recent & among).count_ones() >= rule.signs {
            self.is_set = true;
            return Some(Turn::Set);
        }
        if self.is_set && self.good >= rule.good {
            *self = Self::default();
            return Some(Turn::Clear);
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_of_three_begin_it_and_four_good_ones_end_it() {
        let rule = Rule { signs: 2, of: 3, good: 4 };
        let turns = |signs: &str| -> String {
            let mut alarm = Alarm::default();
            let turn = |sign| match alarm.note(sign == 'x', rule) {
                Some(Turn::Set) => 'S',
                Some(Turn::Clear) => 'C',
                None => '.',
            };
            signs.chars().map(turn).collect()
        };
        assert_eq!(turns("x--x--x-x---x-----"), "........S.......C.");
        assert_eq!(turns("xx----xx"), ".S...C.S");
    }
}
