//! Groups whose members share a key, and the keys' epochs. The keys themselves are no part of the ledger ([`GroupKeys`]).
//!
//! **The rule.** Whoever is *served* (a member that is active and has a key to encrypt to) gets the key of each epoch since it joined. When
//! somebody ceases to be served, or loses one of these keys, the record that says so begins a new epoch too: see [`must_rotate`]. So
//! there is no moment, and no crash, between the loss and the new key.

use crate::{
    account::Account, clock::WallTime, cose_key::Kid, events::Event, limits, registry::Registry,
    state::State, wire,
};
use keyward_ids::{GroupId, Identity};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, sync::Arc};
use zeroize::Zeroizing;

/// Holds all groups, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Image", into = "Image")]
pub struct Groups {
    next: u64,
    by_name: BTreeMap<GroupId, Arc<Group>>,
}

/// Is how groups stand in a snapshot.
#[derive(Serialize, Deserialize)]
struct Image {
    next: u64,
    groups: Vec<Arc<Group>>,
}

impl From<Groups> for Image {
    fn from(groups: Groups) -> Self {
        Self { next: groups.next, groups: groups.by_name.into_values().collect() }
    }
}

impl From<Image> for Groups {
    fn from(image: Image) -> Self {
        let named = image.groups.into_iter().map(|group| (group.name.clone(), group));
        Self { next: image.next, by_name: named.collect() }
    }
}

impl Default for Groups {
    fn default() -> Self {
        Self { next: 1, by_name: BTreeMap::new() }
    }
}

/// Is one group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    /// Its name.
    #[serde(with = "wire::text")]
    pub name: GroupId,
    /// When it was made.
    pub created: WallTime,
    /// Its members, by name.
    #[serde(with = "members")]
    pub members: BTreeMap<Identity, Member>,
    /// The epochs of its key that are kept, oldest first; never none.
    pub epochs: Vec<Epoch>,
    /// Whether the ledger was restored since the newest of them began: who was a member meanwhile nobody knows.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stale: bool,
}

/// Is what is known of a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Member {
    /// The first epoch whose key it gets.
    pub since: u32,
}

/// Is an epoch of a group's key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epoch {
    /// Its number, which no other epoch of any group has or had.
    pub number: u32,
    /// When it began.
    pub began: WallTime,
}

mod members {
    use super::{BTreeMap, Identity, Member, wire};
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Row {
        #[serde(with = "wire::text")]
        identity: Identity,
        since: u32,
    }

    pub(super) fn serialize<S: Serializer>(
        members: &BTreeMap<Identity, Member>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        let row = |(identity, member): (&Identity, &Member)| Row {
            identity: identity.clone(),
            since: member.since,
        };
        members.iter().map(row).collect::<Vec<_>>().serialize(serializer)
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<Identity, Member>, D::Error> {
        let rows = Vec::<Row>::deserialize(deserializer)?;
        Ok(rows.into_iter().map(|row| (row.identity, Member { since: row.since })).collect())
    }
}

impl Group {
    /// Returns the newest epoch, in which members send.
    pub fn current(&self) -> Epoch {
        // There is always one; were there none, this is older than all.
        self.epochs.last().copied().unwrap_or(Epoch { number: 0, began: WallTime(0) })
    }

    /// Returns the member whose account this is, if the group has it and it may have keys of the group.
    pub fn serves(&self, account: &Account) -> Option<Member> {
        self.members.get(&account.identity).copied().filter(|_| account.is_trusted())
    }

    /// Returns the keys to which the group's key was, or may be, encrypted for somebody.
    fn keys_of(&self, registry: &Registry, identity: &Identity) -> Vec<Kid> {
        let account = registry.find(identity).filter(|account| self.serves(account).is_some());
        let keys = account.map(|account| account.agreement_keys.iter().map(|held| held.key.kid()).collect());
        keys.unwrap_or_default()
    }

    fn begin(&mut self, number: u32, began: WallTime) {
        self.epochs.push(Epoch { number, began });
        let surplus = self.epochs.len().saturating_sub(limits::GROUP_EPOCHS);
        self.epochs.drain(..surplus);
        self.stale = false;
    }
}

impl Groups {
    /// Returns the group with this name.
    pub fn get(&self, name: &GroupId) -> Option<&Arc<Group>> {
        self.by_name.get(name)
    }

    /// Returns all groups by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Group>> {
        self.by_name.values()
    }

    /// Returns how many groups there are.
    pub fn len(&self) -> usize {
        self.by_name.len()
    }

    /// Tells whether there is none.
    pub fn is_empty(&self) -> bool {
        self.by_name.is_empty()
    }

    /// Returns how many members all groups have together.
    pub fn memberships(&self) -> usize {
        self.iter().map(|group| group.members.len()).sum()
    }

    /// Returns the number of the next epoch of any group; `None` when all were given.
    pub(crate) fn next_epoch(&self) -> Option<u32> {
        u32::try_from(self.next).ok()
    }

    /// Returns the groups that have a member.
    pub(crate) fn of<'a>(&'a self, identity: &'a Identity) -> impl Iterator<Item = &'a Arc<Group>> {
        self.iter().filter(move |group| group.members.contains_key(identity))
    }

    /// Applies an event of groups; `None` if there is no such group.
    pub(crate) fn apply(&mut self, at: WallTime, event: &Event) -> Option<()> {
        match event {
            Event::GroupCreated { group, epoch } => {
                let (name, members) = (group.clone(), BTreeMap::new());
                let mut created = Group { name, created: at, members, epochs: Vec::new(), stale: false };
                created.begin(*epoch, at);
                self.by_name.insert(group.clone(), Arc::new(created));
                self.pass(*epoch);
            }
            Event::GroupRotated { group, epoch } => {
                self.change(group)?.begin(*epoch, at);
                self.pass(*epoch);
            }
            Event::GroupMemberAdded { group, identity } => {
                let group = self.change(group)?;
                let since = group.current().number;
                group.members.entry(identity.clone()).or_insert(Member { since });
            }
            Event::GroupMemberRemoved { group, identity } => {
                self.change(group)?.members.remove(identity);
            }
            Event::GroupEpochsEnded { group, before } => {
                let group = self.change(group)?;
                let current = group.current().number;
                group.epochs.retain(|epoch| epoch.number >= *before || epoch.number == current);
            }
            Event::GroupDeleted { group } => drop(self.by_name.remove(group)?),
            _ => {}
        }
        Some(())
    }

    /// Takes somebody out of all groups: whoever has the name later is another.
    pub(crate) fn forget(&mut self, identity: &Identity) {
        let groups: Vec<GroupId> = self.of(identity).map(|group| group.name.clone()).collect();
        for name in groups {
            if let Some(group) = self.change(&name) {
                group.members.remove(identity);
            }
        }
    }

    /// Moves on behind a restore: epochs of records that are lost had lower numbers than the seconds of its moment, for there
    /// never was one a second; and all groups need another key.
    pub(crate) fn restore(&mut self, at: WallTime) {
        self.next = self.next.max(at.as_secs());
        for group in self.by_name.values_mut() {
            Arc::make_mut(group).stale = true;
        }
    }

    fn pass(&mut self, epoch: u32) {
        self.next = self.next.max(u64::from(epoch) + 1);
    }

    fn change(&mut self, name: &GroupId) -> Option<&mut Group> {
        self.by_name.get_mut(name).map(Arc::make_mut)
    }
}

/// Returns the groups that need a new epoch because somebody that `events` concern lost, between two states, a key to which
/// a key of the group may have been encrypted.
pub(crate) fn must_rotate(before: &State, after: &State, events: &[Event]) -> Vec<GroupId> {
    let is_rotated = |name: &GroupId| {
        let renews = |event: &Event| matches!(event, Event::GroupRotated { group, .. } if group == name);
        events.iter().any(renews)
    };
    let mut groups = Vec::new();
    for group in before.groups.iter() {
        let Some(then) = after.groups.get(&group.name).filter(|_| !is_rotated(&group.name)) else { continue };
        let lost = |identity: &Identity| {
            let kept = then.keys_of(&after.registry, identity);
            group.keys_of(&before.registry, identity).iter().any(|key| !kept.contains(key))
        };
        if events.iter().filter_map(Event::concerns).any(lost) {
            groups.push(group.name.clone());
        }
    }
    groups
}

/// Returns the name under which somebody gets keys of groups: a device's is its id, a user's `user.NAME`. `None` if that is too
/// long for a name.
pub fn member_name(identity: &Identity) -> Option<String> {
    match identity {
        Identity::Device(id) => Some(id.to_string()),
        Identity::User(id) => {
            let name = format!("user.{id}");
            (name.len() <= keyward_ids::MAX_NAME_LEN).then_some(name)
        }
    }
}

/// Holds the keys of groups by epoch, which names its group. They are wiped when dropped, and never shown.
#[derive(Clone, Default)]
pub struct GroupKeys(BTreeMap<u32, Zeroizing<[u8; 16]>>);

impl GroupKeys {
    /// Returns the key of an epoch.
    pub fn get(&self, epoch: u32) -> Option<&[u8; 16]> {
        self.0.get(&epoch).map(|key| &**key)
    }

    pub(crate) fn insert(&mut self, epoch: u32, key: Zeroizing<[u8; 16]>) {
        self.0.insert(epoch, key);
    }

    /// Forgets the keys of all epochs that no group keeps; tells whether there were some.
    pub(crate) fn prune(&mut self, groups: &Groups) -> bool {
        let kept: Vec<u32> =
            groups.iter().flat_map(|group| &group.epochs).map(|epoch| epoch.number).collect();
        let before = self.0.len();
        self.0.retain(|epoch, _| kept.contains(epoch));
        self.0.len() != before
    }

    /// Reads them as they are kept: for each 4 bytes of its epoch, big-endian, and 16 of the key.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (rows, rest) = bytes.as_chunks::<20>();
        let row = |row: &[u8; 20]| {
            let (epoch, key) = row.split_first_chunk::<4>()?;
            Some((u32::from_be_bytes(*epoch), Zeroizing::new(*key.first_chunk()?)))
        };
        rest.is_empty().then(|| rows.iter().map(row).collect::<Option<BTreeMap<_, _>>>().map(Self))?
    }

    pub(crate) fn write(&self) -> Zeroizing<Vec<u8>> {
        let mut bytes = Zeroizing::new(Vec::with_capacity(20 * self.0.len()));
        for (epoch, key) in &self.0 {
            bytes.extend_from_slice(&epoch.to_be_bytes());
            bytes.extend_from_slice(&**key);
        }
        bytes
    }
}

/// Says why a group is not changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GroupRefusal {
    /// There is a group of this name.
    #[error("there is a group {0} already; choose another name")]
    Exists(GroupId),
    /// There is none.
    #[error("there is no group {0}; keyward group list shows those that there are")]
    Missing(GroupId),
    /// Nobody was named.
    #[error("who? Name at least one device or user")]
    Nobody,
    /// The group has no such epoch any more, or had it never.
    #[error(
        "the group {group} has no key of epoch {epoch} here; keyward group show {group} lists those that are kept"
    )]
    NoKey {
        /// Which group.
        group: GroupId,
        /// Which epoch.
        epoch: u32,
    },
    /// The group waits for another key.
    #[error(
        "the group {0} has no key at this moment that only its members have; keyward group rotate {0} makes one"
    )]
    Keyless(GroupId),
    /// The name of a user leaves no room for what stands before it.
    #[error(
        "{0} cannot be a member: as one it is called user.NAME, which has more than 64 characters; choose a shorter name for the user"
    )]
    TooLong(Identity),
    /// A device is called as the user would be as a member.
    #[error(
        "{user} would be called as {device} as a member; remove that one, or choose another name for the user"
    )]
    Called {
        /// Who cannot be a member.
        user: Identity,
        /// Who is called so.
        device: Identity,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written_and_cut_ones_are_not() {
        let mut keys = GroupKeys::default();
        keys.insert(7, Zeroizing::new([1; 16]));
        keys.insert(1 << 31, Zeroizing::new([2; 16]));
        let bytes = keys.write();
        let read = GroupKeys::read(&bytes).unwrap();
        assert_eq!((read.get(7), read.get(1 << 31), read.get(8)), (Some(&[1; 16]), Some(&[2; 16]), None));
        assert!(GroupKeys::read(&bytes[1..]).is_none() && GroupKeys::read(&[]).is_some());
    }

    #[test]
    fn members_are_called_by_names_of_messages() {
        let of = |identity: &str| member_name(&identity.parse().unwrap());
        assert_eq!(of("device:pump-1").as_deref(), Some("pump-1"));
        assert_eq!(of("user:app").as_deref(), Some("user.app"));
        assert_eq!(of(&format!("user:{}", "x".repeat(59))).map(|name| name.len()), Some(64));
        assert_eq!(of(&format!("user:{}", "x".repeat(60))), None);
    }
}
