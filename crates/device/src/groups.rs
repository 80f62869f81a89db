//! The keys of the groups that the device is a member of: granted by the server, kept in the sealed store.
//!
//! An epoch is numbered through the installation, so it names its group. The device sends under the newest that it was granted, and reads with
//! older ones as long as they are kept.

use crate::limits::{GROUP_KEYS, GROUPS};
use crate::sealed::SealedStore;
use crate::state::StateError;
use keyward_envelope::{Epoch, GroupKey};

/// What the names of their keys begin with, in the sealed store.
const PREFIX: &str = "keyward/group/";

/// Holds the keys, those of older epochs first.
pub(crate) struct GroupKeys {
    keys: Vec<GroupKey>,
}

impl GroupKeys {
    /// Reads what is kept.
    pub(crate) fn load(store: &SealedStore) -> Result<Self, StateError> {
        let names: Vec<&str> = store.names().filter(|name| name.starts_with(PREFIX)).collect();
        let mut keys = Vec::new();
        for name in names {
            let secret = store.get(name)?.unwrap_or_default();
            // What another version may have written under such a name is none of this one's keys.
            let key = <&[u8; 16]>::try_from(secret.as_slice()).ok().and_then(|secret| key_of(name, secret));
            keys.extend(key);
        }
        keys.sort_by_key(GroupKey::epoch);
        Ok(Self { keys })
    }

    /// Returns the key under which is sent to a group.
    pub(crate) fn newest(&self, group: &str) -> Option<&GroupKey> {
        self.keys.iter().rfind(|key| is_of(key, group))
    }

    /// Returns the key of an epoch.
    pub(crate) fn of_epoch(&self, epoch: Epoch) -> Option<&GroupKey> {
        self.keys.iter().find(|key| key.epoch() == epoch)
    }

    /// Takes a key that the server granted, durable when this returns, and forgets the oldest of a group that has too many. Tells whether it is the newest
    /// of its group.
    ///
    /// # Errors
    /// The disk; [`StateError::Full`] for a member of too many groups.
    pub(crate) fn take(&mut self, key: GroupKey, store: &mut SealedStore) -> Result<bool, StateError> {
        if self.of_epoch(key.epoch()).is_some() {
            return Ok(false);
        }
        let mut groups: Vec<&str> = self.keys.iter().map(GroupKey::group).collect();
        groups.sort_unstable();
        groups.dedup();
        if groups.len() >= GROUPS && !groups.iter().any(|group| is_of(&key, group)) {
            return Err(StateError::TooLarge {
                what: "the list of groups of this device",
                len: groups.len() + 1,
                most: GROUPS,
                help: "take it out of some",
            });
        }
        store.put(&name(&key), key.expose_secret())?;
        let is_newest = self.newest(key.group()).is_none_or(|newest| newest.epoch() < key.epoch());
        let at = self.keys.partition_point(|known| known.epoch() < key.epoch());
        let group = key.group().to_owned();
        self.keys.insert(at, key);
        if self.keys.iter().filter(|key| is_of(key, &group)).count() > GROUP_KEYS
            && let Some(oldest) = self.keys.iter().position(|key| is_of(key, &group))
        {
            store.delete(&name(&self.keys.remove(oldest)))?;
        }
        Ok(is_newest)
    }
}

fn is_of(key: &GroupKey, group: &str) -> bool {
    key.group().eq_ignore_ascii_case(group)
}

fn name(key: &GroupKey) -> String {
    format!("{PREFIX}{}/{}", key.group(), key.epoch().0)
}

fn key_of(name: &str, secret: &[u8; 16]) -> Option<GroupKey> {
    let (group, epoch) = name.strip_prefix(PREFIX)?.split_once('/')?;
    GroupKey::new(group, Epoch(epoch.parse().ok()?), secret)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::power::Power;
    use crate::testing::Chip;
    use std::sync::Arc;

    fn open(power: &Power) -> SealedStore {
        SealedStore::open_in(Box::new(power.clone()), Arc::new(Chip::named(1))).unwrap()
    }

    fn key(group: &str, epoch: u32) -> GroupKey {
        GroupKey::new(group, Epoch(epoch), &[u8::try_from(epoch % 256).unwrap(); 16]).unwrap()
    }

    #[test]
    fn the_newest_key_of_a_group_is_sent_under_and_older_ones_still_read_also_after_a_start() {
        let power = Power::default();
        let mut store = open(&power);
        let mut groups = GroupKeys::load(&store).unwrap();
        assert!(groups.newest("plant").is_none());
        for (epoch, is_newest) in [(7, true), (3, false), (9, true), (9, false)] {
            assert_eq!(groups.take(key("plant", epoch), &mut store).unwrap(), is_newest, "{epoch}");
        }
        assert!(groups.take(key("yard", 8), &mut store).unwrap());
        drop(store);
        let groups = GroupKeys::load(&open(&power)).unwrap();
        assert_eq!(groups.newest("Plant").unwrap().epoch(), Epoch(9), "one group has many spellings");
        assert_eq!(groups.newest("yard").unwrap().epoch(), Epoch(8));
        assert_eq!(groups.of_epoch(Epoch(3)).unwrap().expose_secret(), &[3; 16]);
        assert!(groups.of_epoch(Epoch(4)).is_none());
    }

    #[test]
    fn the_oldest_keys_of_a_group_make_room_and_groups_are_bounded() {
        let mut store = open(&Power::default());
        let mut groups = GroupKeys::load(&store).unwrap();
        let last = u32::try_from(GROUP_KEYS).unwrap();
        for epoch in 0..=last {
            groups.take(key("plant", epoch), &mut store).unwrap();
        }
        assert!(groups.of_epoch(Epoch(0)).is_none() && groups.of_epoch(Epoch(1)).is_some());
        assert_eq!(store.names().count(), GROUP_KEYS);
        for other in 1..u32::try_from(GROUPS).unwrap() {
            groups.take(key(&format!("g{other}"), 1_000 + other), &mut store).unwrap();
        }
        assert!(groups.take(key("more", 5_000), &mut store).is_err());
        assert!(groups.take(key("plant", 5_000), &mut store).unwrap());
    }
}
