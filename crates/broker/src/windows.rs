//! Which numbers of which keys were seen: each signed message counts once (rule 21).

use crate::placement::{HashKey, Map};
use core::fmt;
use keyward_envelope::{Decision, Digest, Kid, Record, Sequence, Window};
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

/// Holds the windows of the devices that live on a shard.
pub(crate) struct Windows {
    windows: Map<WindowKey, Box<Window>>,
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

    /// Decides about the number of a verified message, and takes it if it is new.
    pub(crate) fn take(
        &mut self,
        key: &WindowKey,
        number: Sequence,
        digest: Digest,
        secret: &HashKey,
    ) -> Decision {
        self.window(key).take(number, digest.tag(secret.as_bytes()))
    }

    /// Puts a record back that was on disk.
    pub(crate) fn restore(&mut self, key: &WindowKey, record: Record) {
        self.window(key).restore(record);
    }

    fn window(&mut self, key: &WindowKey) -> &mut Window {
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
        self.windows.len() * (size_of::<Window>() + size_of::<(WindowKey, Box<Window>)>())
    }
}
