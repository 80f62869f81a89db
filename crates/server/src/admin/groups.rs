//! Groups whose members share a key.

use super::{Admin, Turn, accounts::bad_name, keys::holder};
use crate::{
    backup::archive::hex,
    control::{EpochRow, GroupDetail, GroupKeyAnswer, GroupRow, MemberRow, Refusal, Response, Secret},
    grants::{Snapshot, recipient},
    installation,
    server_keys::GrantSigner,
};
use keyward_envelope::{Epoch, GroupKey};
use keyward_identity::{self as identity, Command, Group, GroupRefusal, Member, WallTime};
use keyward_ids::{GroupId, Identity};

impl Turn<'_> {
    pub(super) fn create_group(&mut self, name: &str) -> Result<Response, Refusal> {
        let group = group_id(name)?;
        let (_, in_force) = self.command(Command::CreateGroup { group: group.clone() })?;
        let what = format!("The group {group} has a key, and no members yet.");
        Ok(Response::Changed(self.changed(what, in_force, Vec::new())))
    }

    pub(super) fn delete_group(&mut self, name: &str) -> Result<Response, Refusal> {
        let group = group_id(name)?;
        let (_, in_force) = self.command(Command::DeleteGroup { group: group.clone() })?;
        let notes = vec!["what members have of its keys stays with them".to_owned()];
        Ok(Response::Changed(self.changed(format!("The group {group} is deleted."), in_force, notes)))
    }

    pub(super) fn add_to_group(&mut self, name: &str, who: &[String]) -> Result<Response, Refusal> {
        let (group, identities) = (group_id(name)?, holders(who)?);
        let command = Command::AddToGroup { group: group.clone(), identities: identities.clone() };
        let (_, in_force) = self.command(command)?;
        let mut notes = Vec::new();
        for identity in &identities {
            let account = self.admin.account(identity)?;
            if let Err(why) = recipient(&account, self.now) {
                notes.push(format!("{identity} gets no key: {why}"));
            }
        }
        let what = format!("{} in the group {group}.", plural(identities.len(), "member is", "members are"));
        Ok(Response::Changed(self.changed(what, in_force, notes)))
    }

    pub(super) fn remove_from_group(&mut self, name: &str, who: &[String]) -> Result<Response, Refusal> {
        let (group, identities) = (group_id(name)?, holders(who)?);
        let command = Command::RemoveFromGroup { group: group.clone(), identities: identities.clone() };
        let (outcome, in_force) = self.command(command)?;
        let mut notes = Vec::new();
        match (outcome.changed, outcome.rotated_groups.is_empty()) {
            (false, _) => notes.push("nobody of them was a member".to_owned()),
            (true, false) => notes.push(
                "the group has another key; what they could read before they can read still".to_owned(),
            ),
            (true, true) => notes.push("they had no key of the group, so it keeps its key".to_owned()),
        }
        let what =
            format!("{} of the group {group}.", plural(identities.len(), "name is out", "names are out"));
        Ok(Response::Changed(self.changed(what, in_force, notes)))
    }

    pub(super) fn rotate_group(&mut self, name: &str) -> Result<Response, Refusal> {
        let group = group_id(name)?;
        let (_, in_force) = self.command(Command::RotateGroup { group: group.clone() })?;
        let epoch = self.admin.group(&group)?.current().number;
        let what = format!("The group {group} has another key, of epoch {epoch}.");
        Ok(Response::Changed(self.changed(what, in_force, Vec::new())))
    }

    /// Hands a key out, which stands in the audit.
    pub(super) fn hand_out_group_key(&mut self, name: &str, epoch: Option<u32>) -> Result<Response, Refusal> {
        let group = group_id(name)?;
        let found = self.admin.group(&group)?;
        let epoch = epoch.unwrap_or(found.current().number);
        self.command(Command::ShowGroupKey { group, epoch: Some(epoch) })?;
        let keys = self.admin.registrar.group_keys();
        let missing = || identity::Refusal::from(GroupRefusal::NoKey { group: found.name.clone(), epoch });
        let key = keys.get(epoch).ok_or_else(missing)?;
        let (group, key) = (found.name.to_string(), Secret::new(hex(key)));
        Ok(Response::GroupKey(Box::new(GroupKeyAnswer { group, epoch, key })))
    }
}

impl Admin {
    pub(super) fn list_groups(&self) -> Response {
        let now = installation::wall_time();
        Response::Groups(self.registrar.groups().iter().map(|group| self.group_row(group, now)).collect())
    }

    pub(super) fn show_group(&self, name: &str) -> Result<Response, Refusal> {
        let now = installation::wall_time();
        let group = self.group(&group_id(name)?)?;
        let keys = self.registrar.group_keys();
        let epoch = |epoch: &identity::Epoch| EpochRow {
            epoch: epoch.number,
            since_unix_ms: epoch.began.0,
            has_key: keys.get(epoch.number).is_some(),
        };
        Ok(Response::Group(Box::new(GroupDetail {
            group: self.group_row(&group, now),
            created_unix_ms: group.created.0,
            epochs: group.epochs.iter().map(epoch).collect(),
            who: group.members.iter().map(|(who, member)| self.member_row(who, *member, now)).collect(),
        })))
    }

    /// Returns the key in which members of a group send now, under the name by which they know the group.
    pub(super) fn group_key_in_use(&self, name: &GroupId) -> Result<GroupKey, Refusal> {
        let group = self.group(name)?;
        let (name, epoch) = (group.name.as_str(), group.current().number);
        let keys = self.registrar.group_keys();
        let key = keys.get(epoch).and_then(|key| GroupKey::new(name, Epoch(epoch), key));
        let missing = || identity::Refusal::from(GroupRefusal::Keyless(group.name.clone()));
        Ok(key.ok_or_else(missing)?)
    }

    fn group(&self, name: &GroupId) -> Result<Group, Refusal> {
        let missing = || identity::Refusal::from(GroupRefusal::Missing(name.clone()));
        Ok(self.registrar.groups().get(name).map(|group| Group::clone(group)).ok_or_else(missing)?)
    }

    fn group_row(&self, group: &Group, now: WallTime) -> GroupRow {
        let rows = group.members.iter().map(|(who, member)| self.member_row(who, *member, now));
        let current = group.current();
        GroupRow {
            name: group.name.to_string(),
            members: group.members.len(),
            without_key: rows.filter(|row| row.key.is_none()).count(),
            epoch: current.number,
            since_unix_ms: current.began.0,
        }
    }

    fn member_row(&self, identity: &Identity, member: Member, now: WallTime) -> MemberRow {
        let registry = self.registrar.registry();
        let found = match registry.find(identity) {
            Some(account) => recipient(account, now).map(|key| key.kid().to_string()),
            None => Err("it is not there".to_owned()),
        };
        let (key, without) = match found {
            Ok(kid) => (Some(kid), None),
            Err(why) => (None, Some(why)),
        };
        MemberRow { identity: identity.to_string(), since_epoch: member.since, key, without }
    }

    /// Gives those groups a new key that need one, and returns all that is known of groups at this moment: one in which nobody who
    /// lost a key is served by the next one.
    pub(crate) fn keep_groups(&mut self, now: WallTime, actor: &str) -> Snapshot {
        if let Ok(config) = self.config() {
            let mut turn = Turn { now, ..Turn::begin(self, actor) };
            if let Err(refusal) = turn.command(Command::KeepGroups(config.groups)) {
                tracing::warn!("the keys of groups stay as they are: {}", refusal.what);
            }
        }
        Snapshot {
            groups: self.registrar.groups(),
            registry: self.registrar.registry(),
            keys: self.registrar.group_keys(),
        }
    }

    /// Returns what signs grants at the time `now`.
    pub(crate) fn grant_signer(&self, now: WallTime) -> Option<GrantSigner> {
        GrantSigner::of(&self.registrar, now)
    }

    /// Sets numbers aside for grants; returns the first.
    ///
    /// # Errors
    /// [`Refusal`]: the ledger takes nothing.
    pub(crate) fn reserve_numbers(&mut self, count: u32, now: WallTime, actor: &str) -> Result<u64, Refusal> {
        let mut turn = Turn { now, ..Turn::begin(self, actor) };
        let (outcome, _) = turn.command(Command::ReserveNumbers { count })?;
        outcome.number.ok_or_else(|| Refusal::invalid("no number was given"))
    }
}

fn plural(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

pub(super) fn group_id(name: &str) -> Result<GroupId, Refusal> {
    GroupId::parse(name).map_err(|error| bad_name("group", name, &error))
}

fn holders(who: &[String]) -> Result<Vec<Identity>, Refusal> {
    who.iter().map(|id| holder(id)).collect()
}

#[cfg(test)]
mod tests;
