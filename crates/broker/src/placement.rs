//! Where sessions and retained messages live: keyed hashes, so that a peer cannot aim at a shard or a bucket.

use core::fmt;
use core::hash::{BuildHasher, Hash};
use keyward_ids::{ClientId, Identity};
use siphasher::sip::SipHasher13;
use std::collections::{HashMap, HashSet};

/// The most shards that there may be: a set of shards is one machine word.
pub const SHARDS_MAX: u16 = 64;

/// Numbers a shard, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardIndex(pub u16);

/// Is a set of shards: a bit for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ShardSet(u64);

impl ShardSet {
    pub(crate) fn insert(&mut self, shard: ShardIndex) {
        self.0 |= Self::bit(shard);
    }

    pub(crate) fn set(&mut self, shard: ShardIndex, member: bool) {
        if member {
            self.0 |= Self::bit(shard);
        } else {
            self.0 &= !Self::bit(shard);
        }
    }

    pub(crate) fn contains(self, shard: ShardIndex) -> bool {
        self.0 & Self::bit(shard) != 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn union(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = ShardIndex> {
        let mut rest = self.0;
        core::iter::from_fn(move || {
            // At most 64.
            let next = (rest != 0).then_some(ShardIndex(rest.trailing_zeros() as u16))?;
            rest &= rest - 1;
            Some(next)
        })
    }

    fn bit(shard: ShardIndex) -> u64 {
        1_u64.checked_shl(u32::from(shard.0)).unwrap_or(0)
    }
}

/// Is the key of every hash over what peers choose: 128 random bits, drawn by the shell at start. All shards of a
/// broker have the same.
#[derive(Clone, Copy)]
pub struct HashKey([u8; 16]);

impl HashKey {
    /// Takes 16 random bytes.
    pub fn new(random: [u8; 16]) -> Self {
        Self(random)
    }

    /// Returns the bytes, to be kept where the hashes are.
    pub(crate) fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// Returns the keyed hash of `value`.
    pub(crate) fn hash(&self, value: &(impl Hash + ?Sized)) -> u64 {
        self.hash_one(value)
    }
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("HashKey")
    }
}

impl BuildHasher for HashKey {
    type Hasher = SipHasher13;

    fn build_hasher(&self) -> SipHasher13 {
        SipHasher13::new_with_key(&self.0)
    }
}

pub(crate) type Map<K, V> = HashMap<K, V, HashKey>;
pub(crate) type Set<K> = HashSet<K, HashKey>;

/// Returns the shard of a session (rule 4). A device's sessions are all on one shard, so that its limits and its
/// revocation are in one place; a user's are spread, for a house may share one login.
pub fn shard_of(key: &HashKey, identity: &Identity, client_id: &ClientId, shards: u16) -> ShardIndex {
    let hash = match identity {
        Identity::Device(_) => key.hash(identity),
        Identity::User(_) => key.hash(&(identity, client_id)),
    };
    reduce(hash, shards)
}

/// Returns the shard on which the retained message of `topic` lives (rule 12).
pub fn topic_home(key: &HashKey, topic: &str, shards: u16) -> ShardIndex {
    reduce(key.hash(topic), shards)
}

/// Returns the shard on which the shared group of `text` (`$share/NAME/FILTER`) lives (rule 11).
pub fn group_home(key: &HashKey, text: &str, shards: u16) -> ShardIndex {
    reduce(key.hash(text), shards)
}

fn reduce(hash: u64, shards: u16) -> ShardIndex {
    // The remainder is below `shards`, which is a u16.
    ShardIndex((hash % u64::from(shards.max(1))) as u16)
}
