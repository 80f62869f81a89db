//! Which numbers of which keys were seen: each signed message counts once (rule 21).

use crate::second_holder::HolderSign;
use core::fmt;
use keyward_envelope::limits::FUTURE_SECONDS;
use keyward_envelope::{Claims, Decision, Kid, Record, Sequence, Tag, Window};
use keyward_ids::Identity;
use std::collections::{BTreeMap, VecDeque};
use std::ops::Bound::{Excluded, Unbounded};

/// Names a key of one life of a device.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WindowKey {
    pub(crate) identity: Identity,
    pub(crate) life: u64,
    pub(crate) kid: [u8; 8],
}

impl WindowKey {
    pub(crate) fn new(identity: &Identity, life: u64, kid: Kid) -> Self {
        Self { identity: identity.clone(), life, kid: *kid.as_bytes() }
    }
}

/// Is what is remembered of one key.
#[derive(Default)]
struct Memory {
    window: Window,
    /// When the message with the highest number was made, in seconds since 1970; after a restart, the latest that it can have been.
    newest: u64,
}

/// Is the walk over all windows after keys have changed.
#[derive(Default)]
enum Review {
    #[default]
    Over,
    /// Those up to `last` were looked at; if keys have changed meanwhile, another walk follows.
    Behind { last: Option<WindowKey>, again: bool },
}

/// Holds the windows of the devices that live on a shard.
#[derive(Default)]
pub(crate) struct Windows {
    windows: BTreeMap<WindowKey, Box<Memory>>,
    review: Review,
    /// Those whose key is gone; their records are to be deleted.
    stale: VecDeque<WindowKey>,
}

impl fmt::Debug for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Windows({})", self.windows.len())
    }
}

impl Windows {
    /// Decides about the number of a verified message, and changes nothing.
    pub(crate) fn judge(&self, key: &WindowKey, number: Sequence, tag: Tag) -> Decision {
        match self.windows.get(key) {
            Some(memory) => memory.window.judge(number, tag),
            None => Window::default().judge(number, tag),
        }
    }

    /// Takes a number that was judged to be new; `now` is seconds since 1970.
    pub(crate) fn take(&mut self, key: &WindowKey, claims: &Claims, record: Record, now: u64) {
        let memory = self.memory(key);
        memory.window.restore(record);
        if memory.window.highest() == Some(claims.sequence) {
            memory.newest = claims.issued.unwrap_or(now);
        }
    }

    /// Tells what the decision about a number says of who holds the key, and which number is the highest. A number behind the window is no
    /// proof by itself: whoever captured the message may send it again, or the device itself, late. It is one if the message was made
    /// after the one with the highest number.
    pub(crate) fn second_holder(
        &self,
        key: &WindowKey,
        claims: &Claims,
        decision: Decision,
        tag: Tag,
    ) -> Option<(HolderSign, Sequence)> {
        let memory = self.windows.get(key)?;
        let highest = memory.window.highest()?;
        let sign = match decision {
            Decision::Equivocation => {
                let earlier = memory.window.tag_of(claims.sequence)?.into();
                HolderSign::Equivocation { tag: tag.into(), earlier }
            }
            Decision::TooOld if claims.issued.is_some_and(|made| made > memory.newest) => HolderSign::Behind,
            _ => return None,
        };
        Some((sign, highest))
    }

    /// Puts a record back that was on disk; `now` is seconds since 1970.
    pub(crate) fn restore(&mut self, key: &WindowKey, record: Record, now: u64) {
        let memory = self.memory(key);
        memory.window.restore(record);
        memory.newest = now.saturating_add(FUTURE_SECONDS);
    }

    fn memory(&mut self, key: &WindowKey) -> &mut Memory {
        self.windows.entry(key.clone()).or_default()
    }

    /// Has all windows looked at: some keys may be gone.
    pub(crate) fn begin_review(&mut self) {
        self.review = match std::mem::take(&mut self.review) {
            Review::Over => Review::Behind { last: None, again: false },
            Review::Behind { last, .. } => Review::Behind { last, again: true },
        };
    }

    /// Looks at the next windows, so many at most, and forgets those whose key is gone.
    pub(crate) fn continue_review(&mut self, most: usize, mut is_there: impl FnMut(&WindowKey) -> bool) {
        let Review::Behind { last, again } = std::mem::take(&mut self.review) else { return };
        let from = last.as_ref().map_or(Unbounded, Excluded);
        let looked_at: Vec<&WindowKey> =
            self.windows.range((from, Unbounded)).map(|(key, _)| key).take(most).collect();
        let is_end = looked_at.len() < most;
        let last = looked_at.last().map(|key| (*key).clone());
        let stale: Vec<WindowKey> = looked_at.into_iter().filter(|key| !is_there(key)).cloned().collect();
        for key in &stale {
            self.windows.remove(key);
        }
        self.stale.extend(stale);
        self.review = match (is_end, again) {
            (false, again) => Review::Behind { last, again },
            (true, true) => Review::Behind { last: None, again: false },
            (true, false) => Review::Over,
        };
    }

    /// Returns one whose records are to be deleted.
    pub(crate) fn next_stale(&mut self) -> Option<WindowKey> {
        self.stale.pop_front()
    }

    /// Tells whether windows are to be looked at still, or records to be deleted.
    pub(crate) fn has_work(&self) -> bool {
        !self.stale.is_empty() || matches!(self.review, Review::Behind { .. })
    }

    /// Returns the bytes that they hold.
    pub(crate) fn bytes(&self) -> usize {
        self.windows.len() * (size_of::<Memory>() + size_of::<(WindowKey, Box<Memory>)>())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u8) -> WindowKey {
        WindowKey { identity: "device:pump".parse().unwrap(), life: 1, kid: [number; 8] }
    }

    fn windows(count: u8) -> Windows {
        let mut windows = Windows::default();
        for number in 0..count {
            windows.memory(&key(number));
        }
        windows
    }

    /// Looks at so many. Returns how many it was.
    fn look(windows: &mut Windows, most: usize, gone: &[u8]) -> usize {
        let mut looks = 0;
        windows.continue_review(most, |window| {
            looks += 1;
            !gone.contains(&window.kid[0])
        });
        looks
    }

    fn stale(windows: &mut Windows) -> Vec<u8> {
        std::iter::from_fn(|| windows.next_stale()).map(|window| window.kid[0]).collect()
    }

    /// All windows were looked at in one turn at each change of the registry: with a hundred thousand keys everybody waited for that.
    #[test]
    fn a_turn_looks_at_so_many_windows_and_no_more() {
        let mut windows = windows(7);
        assert_eq!(look(&mut windows, 3, &[1]), 0, "nothing has changed");
        windows.begin_review();
        let looks: Vec<usize> = (0..4).map(|_| look(&mut windows, 3, &[1, 2, 6])).collect();
        assert_eq!(looks, [3, 3, 1, 0]);
        assert_eq!((stale(&mut windows), windows.has_work()), (vec![1, 2, 6], false));
    }

    #[test]
    fn keys_that_go_behind_the_walk_are_found_by_another() {
        let mut windows = windows(5);
        windows.begin_review();
        assert_eq!(look(&mut windows, 3, &[]), 3);
        for _ in 0..3 {
            windows.begin_review();
        }
        let looks: Vec<usize> = (0..4).map(|_| look(&mut windows, 4, &[0])).collect();
        assert_eq!(looks, [2, 4, 1, 0], "one walk more, however often keys changed");
        assert_eq!((stale(&mut windows), windows.has_work()), (vec![0], false));
    }
}
