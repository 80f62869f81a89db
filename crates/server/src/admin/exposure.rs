//! What a thief has who holds a device in his hand: its blast radius. Told from the ledger, the rules in force and the data plane; what
//! none of them knows is said too.

use super::{
    Admin,
    devices::{credentials, device},
    keys,
    places::place_row,
};
use crate::{
    control::{
        ContactRow, ExposureReport, GroupReachRow, HeldKeyRow, MessageKeyRow, MessageKeyState, Purpose,
        ReachRow, Refusal, Response,
    },
    installation::wall_time,
    whereabouts::Ground,
    wiring::subject,
};
use keyward_identity::{Account, Chip, Group};
use keyward_policy::{Action, Arrival};
use std::sync::Arc;

/// Retained messages that are counted of one part of the topics.
const RETAINED: u16 = 1_000;

impl Admin {
    /// Says what a thief has who holds this device.
    pub(super) fn exposure(&self, id: &str) -> Result<Response, Refusal> {
        let account = self.account(&device(id)?)?;
        let (policy, config) = (self.policy()?, self.config()?);
        let (subject, now) = (subject(&account), wall_time());
        let live = self.running.as_ref().map(|running| &running.live);
        let links = live.map(|live| live.links(&[&account.identity])).unwrap_or_default();
        let sessions = live.and_then(|live| live.sessions(&[&account.identity]).first().copied());
        let row = self.device_row(&account, (Some(&policy), &Ground::from(&config)), &links);
        // Whom nothing lets in can do nothing, whatever the rules say.
        let reach = |action| match account.is_active() {
            true => policy.reach(&subject, action),
            false => Vec::new(),
        };
        let groups = self.registrar.groups();
        let report = ExposureReport {
            contact: ContactRow {
                connected: row.connected,
                last_login: live.and_then(|live| live.last_login(&account.identity)),
                two_holders_unix_ms: account.second_holder().map(|(_, found)| found.at.0),
            },
            place: place_row(&account, &config, Some(&policy)),
            reads: reach(Action::Receive).iter().map(|part| self.read(part)).collect(),
            writes: reach(Action::Publish).iter().map(written).collect(),
            must_sign: policy.rights(&subject).required_level(),
            groups: groups.iter().filter_map(|group| group_reach(group, &account)).collect(),
            keys: keys::rows(&account, now).into_iter().map(|key| held(key, account.chip)).collect(),
            credentials: credentials(&account),
            sessions,
            waiting: live.map(|live| live.waiting(&account.identity)),
            same_password: self.same_password(&account),
            to_do: to_do(&account),
            unknown: unknown(&account, self.running.is_some()),
            device: row,
        };
        Ok(Response::Exposure(Box::new(report)))
    }

    fn read(&self, part: &Arrival) -> ReachRow {
        let topics = |running: &super::InRun| {
            running.live.retained(std::slice::from_ref(&part.filter), RETAINED).len()
        };
        let retained = self.running.as_ref().map(topics);
        let retained_more = retained.is_some_and(|count| count >= usize::from(RETAINED));
        ReachRow { retained, retained_more, ..written(part) }
    }

    /// Names who has the password of an account, as far as that shows: a hash that was carried over with its salt stands twice.
    fn same_password(&self, account: &Account) -> Vec<String> {
        let Some(password) = &account.password else { return Vec::new() };
        let registry = self.registrar.registry();
        let others = registry.accounts().filter(|other| other.identity != account.identity);
        let same = others.filter(|other| other.password.as_ref() == Some(password));
        same.map(|other| other.identity.to_string()).collect()
    }
}

fn written(part: &Arrival) -> ReachRow {
    ReachRow {
        filter: part.filter.clone(),
        rule: part.rule.to_string(),
        except: part.except.iter().map(|(filter, rule)| format!("{filter} ({rule})")).collect(),
        retained: None,
        retained_more: false,
    }
}

/// Says which keys of a group a device was given. One that is not served now keeps what it got.
fn group_reach(group: &Arc<Group>, account: &Account) -> Option<GroupReachRow> {
    let member = group.members.get(&account.identity)?;
    let given: Vec<_> = group.epochs.iter().filter(|epoch| epoch.number >= member.since).collect();
    Some(GroupReachRow {
        group: group.name.to_string(),
        keys: given.len(),
        since_unix_ms: given.first().map(|epoch| epoch.began.0),
        newest_unix_ms: given.last().map(|epoch| epoch.began.0),
        gets_next: account.is_trusted(),
    })
}

/// Says whether a key can be copied out of a device that somebody holds.
fn held(key: MessageKeyRow, chip: Option<Chip>) -> HeldKeyRow {
    let (can_be_copied, why) = match (key.purpose, key.level, chip) {
        _ if key.state == MessageKeyState::Retired => {
            (None, "retired: nothing that it signs counts, and nothing new is encrypted to it")
        }
        (_, Some(0), _) | (Purpose::Encrypt, _, Some(Chip::Esp8266)) => {
            (Some(true), "it lies in a file or in flash: whoever holds the device reads it")
        }
        (_, Some(1), _) => {
            (Some(true), "a copied disk is not enough, but whoever runs a program on the device gets it out")
        }
        (_, Some(3), _) => (
            Some(false),
            "a chip keeps it, and has shown that: it can be used while the device is held, not copied",
        ),
        (_, Some(2), _) => (
            Some(false),
            "a chip keeps it, as the device says: it can be used while the device is held, not copied",
        ),
        _ => (None, "how the device keeps it nobody said"),
    };
    HeldKeyRow { key, can_be_copied, why: why.to_owned() }
}

fn to_do(account: &Account) -> Vec<String> {
    let name = account.identity.name();
    if !account.is_active() {
        return vec![format!("nothing: it is {}, and nobody gets in with what it holds", standing(account))];
    }
    let mut lines = Vec::new();
    if account.quarantine.is_none() {
        lines.push("if you are not sure that it is gone, which a release takes back:".to_owned());
        lines.push(format!("keyward device quarantine {name} --because TEXT"));
    }
    lines.push("if it is gone, for good:".to_owned());
    lines.push(format!("keyward device revoke {name}"));
    lines.push(
        "either gives its groups another key by itself; what was said before under keys that it has can be read still".to_owned(),
    );
    lines
}

fn standing(account: &Account) -> &'static str {
    match account.standing {
        keyward_identity::Standing::Revoked { .. } => "revoked",
        keyward_identity::Standing::Removed => "removed",
        _ => "disabled",
    }
}

fn unknown(account: &Account, is_running: bool) -> Vec<String> {
    let mut lines = Vec::new();
    let mut say = |line: &str| lines.push(line.to_owned());
    if !account.certificates.is_empty() {
        say("how it keeps the key of its certificate: usually as the keys for messages");
    }
    if account.password.is_some() {
        say(
            "whether others have the same password: of passwords that are not carried over only a salted hash is kept",
        );
    }
    if !account.certificates.is_empty() || account.password.is_some() {
        say(
            "what it has stored of messages that it got, and keys that it was given and that are forgotten here",
        );
    }
    match is_running {
        true => say("logins of before the broker started"),
        false => {
            say("no broker runs here: connections, sessions, logins and retained messages are not known")
        }
    }
    lines
}

#[cfg(test)]
mod tests;
