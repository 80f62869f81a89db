//! The keys of groups: drawn before their epochs are written down, forgotten behind them.

use super::Registrar;
use crate::{
    events::Event,
    groups::{GroupKeys, Groups},
    secret::random,
    state::State,
    vault::{KeyFile, Vault, VaultError},
};
use keyward_ids::GroupId;
use std::sync::Arc;
use zeroize::Zeroizing;

impl Registrar {
    /// Draws the keys of the epochs that begin, and keeps them, before the epochs are written down: what is kept and not written down
    /// is replaced by the next try, and used by nobody. If that fails the epochs begin without keys, for nothing may hold up what
    /// takes something away; those groups are rotated again. Returns all keys, where some begin or end.
    pub(super) fn draw_group_keys(&mut self, events: &[Event]) -> Option<GroupKeys> {
        let begun = events.iter().filter_map(|event| match event {
            Event::GroupCreated { epoch, .. } | Event::GroupRotated { epoch, .. } => Some(*epoch),
            _ => None,
        });
        let begun: Vec<u32> = begun.collect();
        let ends =
            |event: &Event| matches!(event, Event::GroupEpochsEnded { .. } | Event::GroupDeleted { .. });
        if begun.is_empty() {
            return events.iter().any(ends).then(|| GroupKeys::clone(&self.group_keys));
        }
        let mut keys = GroupKeys::clone(&self.group_keys);
        let drawn = begun.iter().try_for_each(|epoch| {
            keys.insert(*epoch, Zeroizing::new(random()?));
            Ok::<_, VaultError>(())
        });
        match drawn.and_then(|()| self.vault.store(KeyFile::Groups, &keys.write())) {
            Ok(()) => Some(keys),
            Err(error) => {
                self.mended.push(format!("groups have no key until there is one that can be kept: {error}"));
                None
            }
        }
    }

    /// Takes the keys of groups over, without those of epochs that are over.
    pub(super) fn settle_group_keys(&mut self, mut keys: GroupKeys, next: &State) {
        if keys.prune(&next.groups)
            && let Err(error) = self.vault.store(KeyFile::Groups, &keys.write())
        {
            self.mended.push(format!("old keys of groups could not be forgotten on disk: {error}"));
        }
        self.group_keys = Arc::new(keys);
    }

    /// Returns the groups whose members share a key.
    pub fn groups(&self) -> Arc<Groups> {
        Arc::clone(&self.state.groups)
    }

    /// Returns the keys of these groups.
    pub fn group_keys(&self) -> Arc<GroupKeys> {
        Arc::clone(&self.group_keys)
    }
}

/// Adds the new epochs of groups to what happened.
pub(super) fn with_new_epochs(after: &Groups, groups: &[GroupId], mut events: Vec<Event>) -> Vec<Event> {
    let first = after.next_epoch().unwrap_or(u32::MAX);
    let rotated = groups.iter().zip(first..=u32::MAX);
    events.extend(rotated.map(|(group, epoch)| Event::GroupRotated { group: group.clone(), epoch }));
    events
}

/// Reads the keys of groups. Without them all groups get new ones, and what was said under the old ones is given to nobody again.
pub(super) fn load_group_keys(vault: &mut Vault, state: &State, trouble: &mut Vec<String>) -> GroupKeys {
    let malformed = |path| VaultError::Malformed(path);
    let read = |bytes: Option<Zeroizing<Vec<u8>>>| {
        bytes.map_or(Some(GroupKeys::default()), |it| GroupKeys::read(&it))
    };
    let path = vault.path(KeyFile::Groups);
    let loaded =
        vault.load_if_there(KeyFile::Groups).and_then(|bytes| read(bytes).ok_or_else(|| malformed(path)));
    let mut keys = loaded.unwrap_or_else(|error| {
        trouble.push(format!("the keys of groups: {error}"));
        GroupKeys::default()
    });
    keys.prune(&state.groups);
    keys
}
