//! Groups, their members, and when their keys change.

use super::{Clerk, Decision};
use crate::{
    account::Standing,
    clock::WallTime,
    commands::GroupAges,
    events::Event,
    groups::{Group, GroupRefusal, member_name},
    limits,
    refusal::Refusal,
};
use keyward_ids::{GroupId, Identity, Kind};
use std::{sync::Arc, time::Duration};

impl Clerk<'_> {
    pub(super) fn create_group(&self, group: GroupId) -> Result<Decision, Refusal> {
        let groups = &self.state.groups;
        if groups.get(&group).is_some() {
            return Err(GroupRefusal::Exists(group).into());
        }
        if groups.len() >= limits::GROUPS {
            return Err(Refusal::Full { what: "groups", max: limits::GROUPS });
        }
        Ok(Event::GroupCreated { group, epoch: self.next_epochs(1)?.start }.into())
    }

    /// Takes its members out and deletes it.
    pub(super) fn delete_group(&self, group: &GroupId) -> Result<Decision, Refusal> {
        let group = self.group(group)?;
        let removed = group.members.keys().map(|identity| removed(group, identity));
        let events = removed.chain([Event::GroupDeleted { group: group.name.clone() }]).collect();
        Ok(Decision { events, ..Decision::default() })
    }

    pub(super) fn add_to_group(&self, group: &GroupId, who: &[Identity]) -> Result<Decision, Refusal> {
        let group = self.group(group)?;
        let mut added: Vec<Identity> = Vec::new();
        for identity in who_is_named(who)? {
            let identity = self.unrevoked(identity)?.identity.clone();
            self.check_member_name(&identity)?;
            if !group.members.contains_key(&identity) && !added.contains(&identity) {
                added.push(identity);
            }
        }
        if group.members.len() + added.len() > limits::GROUP_MEMBERS {
            return Err(Refusal::Full { what: "members of a group", max: limits::GROUP_MEMBERS });
        }
        if self.state.groups.memberships() + added.len() > limits::MEMBERSHIPS {
            return Err(Refusal::Full { what: "members of all groups", max: limits::MEMBERSHIPS });
        }
        let joins = |identity| Event::GroupMemberAdded { group: group.name.clone(), identity };
        Ok(Decision { events: added.into_iter().map(joins).collect(), ..Decision::default() })
    }

    /// A device and a user may have one name: as a member a user is called otherwise, and nobody else may be called so.
    fn check_member_name(&self, identity: &Identity) -> Result<(), Refusal> {
        let name = member_name(identity).ok_or_else(|| GroupRefusal::TooLong(identity.clone()))?;
        let Ok(device) = Identity::new(Kind::Device, &name) else { return Ok(()) };
        let is_there = |standing: Standing| standing != Standing::Removed;
        let holder = self.state.registry.find(&device).filter(|account| is_there(account.standing));
        match (identity.kind(), holder) {
            (Kind::User, Some(_)) => Err(GroupRefusal::Called { user: identity.clone(), device }.into()),
            _ => Ok(()),
        }
    }

    pub(super) fn remove_from_group(&self, group: &GroupId, who: &[Identity]) -> Result<Decision, Refusal> {
        let group = self.group(group)?;
        let mut gone: Vec<&Identity> = Vec::new();
        for identity in who_is_named(who)? {
            match group.members.get_key_value(identity) {
                Some((member, _)) if !gone.contains(&member) => gone.push(member),
                Some(_) => {}
                // Whoever is nobody's member is taken out, but a name that was mistyped is told.
                None => drop(self.existing(identity)?),
            }
        }
        let events = gone.into_iter().map(|identity| removed(group, identity)).collect();
        Ok(Decision { events, ..Decision::default() })
    }

    pub(super) fn rotate_group(&self, group: &GroupId) -> Result<Decision, Refusal> {
        let group = self.group(group)?.name.clone();
        Ok(Event::GroupRotated { group, epoch: self.next_epochs(1)?.start }.into())
    }

    /// Begins a new epoch where the current one is old, stale or without a key, and ends old ones.
    pub(super) fn keep_groups(&self, ages: GroupAges) -> Result<Decision, Refusal> {
        let groups = &self.state.groups;
        let due: Vec<&Arc<Group>> = groups.iter().filter(|group| self.is_due(group, ages)).collect();
        let epochs = self.next_epochs(due.len())?;
        let rotated = due.iter().zip(epochs);
        let mut events: Vec<Event> =
            rotated.map(|(group, epoch)| Event::GroupRotated { group: group.name.clone(), epoch }).collect();
        let ended = groups.iter().filter_map(|group| self.ended(group, ages.keep_secs));
        events.extend(ended);
        Ok(Decision { events, ..Decision::default() })
    }

    fn is_due(&self, group: &Group, ages: GroupAges) -> bool {
        let current = group.current();
        let is_old = current.began.after(Duration::from_secs(ages.rotate_secs)) <= self.now;
        is_old || group.stale || self.group_keys.get(current.number).is_none()
    }

    /// Says which epochs of a group nobody needs any more: those whose successor began long ago.
    fn ended(&self, group: &Group, keep_secs: u64) -> Option<Event> {
        let is_over = |began: WallTime| began.after(Duration::from_secs(keep_secs)) <= self.now;
        let successors = group.epochs.iter().skip(1).take_while(|next| is_over(next.began));
        let before = successors.last()?.number;
        Some(Event::GroupEpochsEnded { group: group.name.clone(), before })
    }

    pub(super) fn show_group_key(&self, group: &GroupId, epoch: Option<u32>) -> Result<Decision, Refusal> {
        let group = self.group(group)?;
        let epoch = epoch.unwrap_or(group.current().number);
        let is_kept = group.epochs.iter().any(|kept| kept.number == epoch);
        match is_kept && self.group_keys.get(epoch).is_some() {
            true => Ok(Event::GroupKeyShown { group: group.name.clone(), epoch }.into()),
            false => Err(GroupRefusal::NoKey { group: group.name.clone(), epoch }.into()),
        }
    }

    /// Returns the epoch in which members send, if its key is here and nobody may have it who is out.
    pub(super) fn key_in_use(&self, name: &GroupId) -> Result<(GroupId, u32), Refusal> {
        let group = self.group(name)?;
        let (name, epoch) = (group.name.clone(), group.current().number);
        match group.stale || self.group_keys.get(epoch).is_none() {
            true => Err(GroupRefusal::Keyless(name).into()),
            false => Ok((name, epoch)),
        }
    }

    fn group(&self, name: &GroupId) -> Result<&Arc<Group>, Refusal> {
        self.state.groups.get(name).ok_or_else(|| GroupRefusal::Missing(name.clone()).into())
    }

    fn next_epochs(&self, count: usize) -> Result<std::ops::Range<u32>, Refusal> {
        let full = || Refusal::Full { what: "epochs of all groups", max: u32::MAX as usize };
        let first = self.state.groups.next_epoch().ok_or_else(full)?;
        let count = u32::try_from(count).map_err(|_| full())?;
        Ok(first..first.checked_add(count).ok_or_else(full)?)
    }
}

fn removed(group: &Group, identity: &Identity) -> Event {
    Event::GroupMemberRemoved { group: group.name.clone(), identity: identity.clone() }
}

fn who_is_named(who: &[Identity]) -> Result<&[Identity], Refusal> {
    match who.len() {
        0 => Err(GroupRefusal::Nobody.into()),
        1..=limits::GROUP_MEMBERS => Ok(who),
        _ => Err(Refusal::Full { what: "names in one command", max: limits::GROUP_MEMBERS }),
    }
}
