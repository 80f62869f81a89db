//! Deadlines of many connections in one heap. An entry is never taken out: whoever gets it looks whether it still
//! means something, and enters its next deadline.

use keyward_mqtt::time::Millis;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

/// Holds deadlines of things that are named by a `K`.
#[derive(Debug)]
pub(crate) struct Timers<K> {
    heap: BinaryHeap<Reverse<(Millis, K)>>,
}

impl<K: Ord> Default for Timers<K> {
    fn default() -> Self {
        Self { heap: BinaryHeap::new() }
    }
}

impl<K: Ord + Copy> Timers<K> {
    pub(crate) fn enter(&mut self, at: Millis, key: K) {
        self.heap.push(Reverse((at, key)));
    }

    /// Returns the earliest deadline.
    pub(crate) fn next(&self) -> Option<Millis> {
        self.heap.peek().map(|Reverse((at, _))| *at)
    }

    /// Takes out one thing whose deadline has come.
    pub(crate) fn pop_due(&mut self, now: Millis) -> Option<K> {
        match self.next() {
            Some(at) if at <= now => self.heap.pop().map(|Reverse((_, key))| key),
            _ => None,
        }
    }
}

/// Returns how long a loop may sleep until the deadline `at`, rounded so that it does not wake a moment before.
pub(crate) fn until(now: Millis, at: Option<Millis>) -> Option<Duration> {
    at.map(|at| match at.saturating_sub(now) {
        Millis::ZERO => Duration::ZERO,
        left => Duration::from_millis(left.0 + 1),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_come_out_in_their_order_and_not_before_their_time() {
        let mut timers = Timers::default();
        timers.enter(Millis(30), 'c');
        timers.enter(Millis(10), 'a');
        timers.enter(Millis(20), 'b');
        assert_eq!(timers.pop_due(Millis(9)), None);
        assert_eq!(timers.pop_due(Millis(20)), Some('a'));
        assert_eq!(timers.pop_due(Millis(20)), Some('b'));
        assert_eq!(timers.pop_due(Millis(20)), None);
        assert_eq!(timers.next(), Some(Millis(30)));
    }
}
