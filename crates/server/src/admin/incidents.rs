//! Incidents: what points at an attack, with what is known of it.
//!
//! An incident is told in the ledger, in the log, by `status`, and on `$keyward/incidents/KIND/ID`, retained until what it is
//! about was dealt with. Each kind is read off an account, so that it ends with what it is about and survives a restart.

mod claim_conflict;
mod quarantine;
mod two_holders;

use super::{Admin, Turn};
use crate::installation::wall_time;
use crate::notify::{self, Notice};
use keyward_identity::{Account, Command, Kid, SecondHolder, WallTime};
use keyward_ids::Identity;
use keyward_watch::finding::Severity;
use serde::Serialize;
use serde_json::json;

/// Below this each incident has its topic.
pub(super) const TOPICS: &str = "$keyward/incidents";

/// Names a kind of incident; a device has at most one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A claim code that two hold.
    ClaimConflict,
    /// A message key that two hold, or whose device has lost count.
    TwoHolders,
    /// A device in quarantine.
    Quarantine,
}

impl Kind {
    const ALL: [Self; 3] = [Self::ClaimConflict, Self::TwoHolders, Self::Quarantine];

    /// Returns the word that stands in topics.
    fn word(self) -> &'static str {
        match self {
            Self::ClaimConflict => "claim-conflict",
            Self::TwoHolders => "equivocation",
            Self::Quarantine => "quarantine",
        }
    }

    /// Returns what of this kind an account is in.
    fn of(self, account: &Account) -> Option<Incident> {
        let (at, evidence, what) = match self {
            Self::ClaimConflict => claim_conflict::of(account)?,
            Self::TwoHolders => two_holders::of(account)?,
            Self::Quarantine => quarantine::of(account)?,
        };
        let device = account.identity.name().to_owned();
        Some(Incident { incident: self.word(), device, at: at.to_string(), evidence, what })
    }

    fn severity(self) -> Severity {
        match self {
            Self::TwoHolders => Severity::Critical,
            Self::ClaimConflict | Self::Quarantine => Severity::High,
        }
    }

    /// Tells whether somebody is called when it begins. What puts a device into quarantine calls by itself.
    fn calls(self) -> bool {
        self != Self::Quarantine
    }

    fn topic(self, identity: &Identity) -> String {
        format!("{TOPICS}/{}/{}", self.word(), identity.name())
    }
}

/// Is when something came about, what is known of it for programs, and what a person is told.
type Known = (WallTime, serde_json::Value, String);

/// Is one incident as it is published.
#[derive(Serialize)]
struct Incident {
    incident: &'static str,
    device: String,
    at: String,
    #[serde(flatten)]
    evidence: serde_json::Value,
    what: String,
}

impl Admin {
    /// Takes a proof that two hold a message key of a device, or that it has lost count. The first proof of a device stands in the ledger
    /// until its key is withdrawn or retired. When this returns it is durable and told. Whatever else is to follow from a proof follows
    /// here, where it is known to be new.
    pub(crate) fn two_holders(&mut self, identity: &Identity, kid: Kid, evidence: SecondHolder, actor: &str) {
        let (verdict, because) = self.judge_proof(identity, kid, &evidence);
        let (identity, quarantine) = (identity.clone(), because);
        let command = Command::NoteSecondHolder { identity: identity.clone(), kid, evidence, quarantine };
        match Turn::begin(self, actor).command(command) {
            Ok((outcome, _)) if outcome.changed => {
                self.tell(Kind::TwoHolders, &identity);
                self.tell_verdict(&identity, verdict);
            }
            Ok(_) => {} // It is known, or the key is gone.
            Err(refusal) => {
                tracing::error!(%identity, "its incident is not written down: {}", refusal.what);
            }
        }
    }

    /// Publishes every incident that is not dealt with: nothing is retained of it through a restart.
    pub(crate) fn tell_incidents(&mut self) {
        let registry = self.registrar.registry();
        for kind in Kind::ALL {
            let concerned = registry.accounts().filter(|account| kind.of(account).is_some());
            concerned.for_each(|account| drop(self.publish(kind, &account.identity)));
        }
    }

    /// Publishes an incident of a device, if it is in one, and tells it outside.
    pub(super) fn tell(&mut self, kind: Kind, identity: &Identity) {
        let is_new = !self.told.contains(&(kind, identity.clone()));
        if let Some(incident) = self.publish(kind, identity) {
            let event = if is_new { notify::Event::Begin } else { notify::Event::Change };
            self.notify(kind, identity, event, &incident);
        }
    }

    fn publish(&mut self, kind: Kind, identity: &Identity) -> Option<Incident> {
        let registry = self.registrar.registry();
        let incident = registry.find(identity).and_then(|account| kind.of(account))?;
        let running = self.running.as_ref()?;
        tracing::warn!(incident = kind.word(), %identity, "{}", incident.what);
        let payload = serde_json::to_string(&incident).unwrap_or_default();
        running.live.announce(vec![(kind.topic(identity), payload.into_bytes())]);
        self.told.insert((kind, identity.clone()));
        Some(incident)
    }

    fn notify(&self, kind: Kind, identity: &Identity, event: notify::Event, incident: &impl Serialize) {
        let Some(running) = &self.running else { return };
        let incident = serde_json::to_value(incident).unwrap_or_default();
        let (device, word) = (identity.name(), kind.word());
        let what = match incident.get("what").and_then(serde_json::Value::as_str) {
            Some(what) => what.to_owned(),
            None => format!("{word} of {device} is over"),
        };
        running.notifier.tell(Notice {
            key: format!("{word} {device}"),
            event,
            kind: word.to_owned(),
            severity: kind.severity(),
            is_part: false,
            calls: kind.calls() && event == notify::Event::Begin,
            at_unix_ms: wall_time().0,
            what,
            more: format!("keyward device show {device}"),
            steps: Vec::new(),
            incident,
        });
    }

    /// Takes the messages about incidents away that were dealt with.
    pub(super) fn end_incidents(&mut self) {
        let registry = self.registrar.registry();
        let is_over = |(kind, identity): &(Kind, Identity)| {
            registry.find(identity).and_then(|account| kind.of(account)).is_none()
        };
        let over: Vec<_> = self.told.extract_if(.., is_over).collect();
        for (kind, identity) in over {
            if let Some(running) = &self.running {
                running.live.announce(vec![(kind.topic(&identity), Vec::new())]);
            }
            let known = json!({ "incident": kind.word(), "device": identity.name() });
            self.notify(kind, &identity, notify::Event::End, &known);
        }
        self.forget_left_out();
    }

    /// Lists incidents for `status`, a line each.
    pub(super) fn incidents(&self) -> Vec<String> {
        let registry = self.registrar.registry();
        let of = |account: &Account| Kind::ALL.map(|kind| kind.of(account)).into_iter().flatten().collect();
        let mut lines: Vec<String> = registry
            .accounts()
            .flat_map(|account| -> Vec<Incident> { of(account) })
            .map(|incident| format!("incident {} ({}): {}", incident.incident, incident.at, incident.what))
            .collect();
        lines.sort();
        lines
    }
}

#[cfg(test)]
pub(super) mod tests;
