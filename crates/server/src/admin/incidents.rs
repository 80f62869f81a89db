//! Incidents: what points at an attack, with what is known of it. There is one kind yet: a claim code that two hold.
//!
//! An incident is told in the ledger, in the log, by `status`, and on `$keyward/incidents/KIND/ID`, retained until what it is
//! about was dealt with.

use super::Admin;
use keyward_identity::Account;
use keyward_ids::Identity;
use serde::Serialize;

/// Below this each incident has its topic.
const TOPICS: &str = "$keyward/incidents";

/// Is a claim code that came with another key after it was used.
#[derive(Serialize)]
struct ClaimConflict {
    incident: &'static str,
    device: String,
    at: String,
    /// The keys, as the ledger names them.
    certified_key: Option<String>,
    other_key: Option<String>,
    what: String,
}

impl ClaimConflict {
    const KIND: &str = "claim-conflict";

    fn of(account: &Account) -> Option<Self> {
        let invitation = account.invitation.as_ref()?;
        let conflict = invitation.conflict.as_ref()?;
        let device = account.identity.name().to_owned();
        let how = match conflict.key {
            Some(_) => "was used with two keys",
            None => "was used, and came again more than an hour later",
        };
        Some(Self {
            incident: Self::KIND,
            at: conflict.at.to_string(),
            certified_key: invitation.claimed.as_ref().map(|claimed| claimed.key.to_string()),
            other_key: conflict.key.map(|key| key.to_string()),
            what: format!(
                "the claim code of device {device} {how}: somebody else may hold it. If you do not know why, \
                 revoke the device (keyward device revoke {device}); else give it a new code (keyward device invite {device} \
                 --replace)"
            ),
            device,
        })
    }

    fn topic(identity: &Identity) -> String {
        format!("{TOPICS}/{}/{}", Self::KIND, identity.name())
    }
}

impl Admin {
    /// Publishes every incident that is not dealt with: nothing is retained of it through a restart.
    pub(crate) fn tell_incidents(&self) {
        let registry = self.registrar.registry();
        let conflicts = registry.accounts().filter(|account| ClaimConflict::of(account).is_some());
        conflicts.for_each(|account| self.tell_conflict(&account.identity));
    }

    /// Publishes the conflict of a device, if there is one.
    pub(super) fn tell_conflict(&self, identity: &Identity) {
        let registry = self.registrar.registry();
        let conflict = registry.find(identity).and_then(|account| ClaimConflict::of(account));
        let (Some(running), Some(conflict)) = (&self.running, conflict) else { return };
        tracing::warn!(incident = ClaimConflict::KIND, %identity, "{}", conflict.what);
        let payload = serde_json::to_string(&conflict).unwrap_or_default();
        running.live.announce(vec![(ClaimConflict::topic(identity), payload)]);
    }

    /// Takes the message about a conflict away that was dealt with: the account was `before` as it is not any more.
    pub(super) fn end_conflict(&self, before: &Account) {
        if let (Some(running), Some(_)) = (&self.running, ClaimConflict::of(before)) {
            running.live.announce(vec![(ClaimConflict::topic(&before.identity), String::new())]);
        }
    }

    /// Lists incidents for `status`, a line each.
    pub(super) fn incidents(&self) -> Vec<String> {
        let registry = self.registrar.registry();
        let mut lines: Vec<String> = registry
            .accounts()
            .filter_map(|account| ClaimConflict::of(account))
            .map(|conflict| format!("incident {} ({}): {}", conflict.incident, conflict.at, conflict.what))
            .collect();
        lines.sort();
        lines
    }
}
