//! Which numbers of which keys were seen: each signed message counts once (rule 21).

use crate::placement::{HashKey, Map};
use crate::second_holder::HolderSign;
use core::fmt;
use keyward_envelope::limits::FUTURE_SECONDS;
use keyward_envelope::{Claims, Decision, Kid, Record, Sequence, Tag, Window};
use keyward_ids::Identity;
use std::collections::VecDeque;

/// Names a key of one life of a device.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
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

/// Holds the windows of the devices that live on a shard.
pub(crate) struct Windows {
    windows: Map<WindowKey, Box<Memory>>,
    /// Those whose key is gone; their records are to be deleted.
    stale: VecDeque<WindowKey>,
}

impl fmt::Debug for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Windows({})", self.windows.len())
    }
}

impl Windows {
    pub(crate) fn new(hash_key: HashKey) -> Self {
        Self { windows: Map::with_hasher(hash_key), stale: VecDeque::new() }
    }

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

    /// Forgets windows whose key is gone.
    pub(crate) fn retain(&mut self, mut is_there: impl FnMut(&WindowKey) -> bool) {
        let stale = self.windows.extract_if(|key, _| !is_there(key)).map(|(key, _)| key);
        self.stale.extend(stale);
    }

    /// Returns one whose records are to be deleted.
    pub(crate) fn next_stale(&mut self) -> Option<WindowKey> {
        self.stale.pop_front()
    }

    pub(crate) fn has_stale(&self) -> bool {
        !self.stale.is_empty()
    }

    /// Returns the bytes that they hold.
    pub(crate) fn bytes(&self) -> usize {
        self.windows.len() * (size_of::<Memory>() + size_of::<(WindowKey, Box<Memory>)>())
    }
}
