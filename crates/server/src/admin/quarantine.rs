//! Quarantine: by an operator's word, and by the broker itself upon proof that two hold a device's key.
//!
//! Nothing but such a proof counts there, for a quarantine must not be a weapon: failed logins, client ids of others and messages that
//! were captured prove nothing. It is decided here, on the threads of the control plane, and bounded by the hour.

use super::{Admin, BROKER, Turn, devices::device, incidents, limits};
use crate::{
    config::Config,
    control::{QuarantineRow, Refusal, Response},
    installation::wall_time,
    notify::{self, Notice},
};
use keyward_identity::{
    Account, AuditEntry, Command, Event, Kid, QuarantinedBy, Refusal as Refused, Registrar, SecondHolder,
    SecondHolderSign, Standing, WallTime,
};
use keyward_ids::{Identity, Kind};
use keyward_watch::finding::Severity;
use serde_json::json;
use std::collections::{BTreeSet, VecDeque};

/// The topic on which it is told that the broker stopped.
const STOPPED: &str = "quarantine-stopped";

/// How many names a line of the status holds.
const NAMED: usize = 8;

/// Holds when the broker did something by itself, within the last hour.
#[derive(Debug, Default)]
struct Hour(VecDeque<WallTime>);

/// Holds what the broker did about quarantine by itself.
#[derive(Debug, Default)]
pub(super) struct Quarantining {
    /// When it put devices there, within the last hour.
    recent: Hour,
    /// When it withheld keys of groups upon what nobody proves: counted by itself, for anybody could use up the room for what is proven.
    withheld: Hour,
    /// Devices with a proof that were left to a person, because there were too many.
    left: BTreeSet<Identity>,
}

/// Says what becomes of a device of which two hold the key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// The broker puts it into quarantine.
    Quarantine,
    /// It is there.
    IsThere,
    /// The configuration says that this is left to a person.
    Off,
    /// The configuration says so of this device.
    Never,
    /// There were too many.
    Stopped,
}

impl Hour {
    fn of(mut times: Vec<WallTime>) -> Self {
        times.sort_unstable();
        Self(times.into())
    }

    /// Tells whether it may be done about one more of so many devices.
    fn has_room(&mut self, devices: usize, now: WallTime) -> bool {
        let span = limits::QUARANTINE_SPAN.as_millis();
        while self.0.front().is_some_and(|at| u128::from(now.0.saturating_sub(at.0)) >= span) {
            self.0.pop_front();
        }
        self.0.len() < limits::QUARANTINES.max(devices / limits::QUARANTINE_SHARE)
    }

    fn note(&mut self, now: WallTime) {
        self.0.push_back(now);
    }
}

impl Quarantining {
    /// Takes up what a broker before this one did. The ledger says it, also of devices that were released or revoked since.
    pub(super) fn of(registrar: &Registrar) -> Self {
        let is_withholding = |entry: &AuditEntry| {
            entry.actor == BROKER
                && entry.events.iter().any(|event| matches!(event, Event::GroupMemberRemoved { .. }))
        };
        let is_shutting_out = |entry: &AuditEntry| {
            entry.events.iter().any(|event| match event {
                Event::Quarantined { by, .. } => *by == QuarantinedBy::Broker,
                Event::Revoked { .. } => entry.actor == BROKER,
                _ => false,
            })
        };
        let (mut recent, mut withheld) = (Vec::new(), Vec::new());
        let noted = registrar.audit(1).and_then(|mut entries| {
            entries.try_for_each(|entry| {
                let entry = entry?;
                if is_shutting_out(&entry) {
                    recent.push(entry.at);
                } else if is_withholding(&entry) {
                    withheld.push(entry.at);
                }
                Ok(())
            })
        });
        if let Err(error) = noted {
            tracing::error!(
                "what the broker did about devices by itself in the last hour cannot be read: {error}"
            );
        }
        Self { recent: Hour::of(recent), withheld: Hour::of(withheld), left: BTreeSet::new() }
    }

    /// Counts that the broker withheld keys by itself.
    pub(super) fn note_withheld(&mut self, is_proven: bool, now: WallTime) {
        if is_proven { self.recent.note(now) } else { self.withheld.note(now) }
    }

    /// Says that devices were left to a person.
    pub(super) fn warning(&self) -> Option<String> {
        if self.left.is_empty() {
            return None;
        }
        let named: Vec<&str> = self.left.iter().take(NAMED).map(Identity::name).collect();
        let more = match self.left.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Some(format!(
            "QUARANTINE HAS STOPPED: the broker put as many devices there within an hour as it may by itself. It was proven of each of \
             these too that somebody else holds its key or has it in hand, and they go on as before: {}{more}. Find out what happens, then for each: keyward device quarantine ID \
             --because TEXT",
            named.join(", ")
        ))
    }
}

impl Admin {
    /// Says what becomes of a device upon a proof that two hold its key, and why it is put into quarantine if it is.
    pub(super) fn judge_proof(
        &mut self,
        identity: &Identity,
        kid: Kid,
        evidence: &SecondHolder,
    ) -> (Verdict, Option<String>) {
        let config = self.config().unwrap_or_default();
        let verdict = match self.judge(&config, identity) {
            Verdict::IsThere => Verdict::IsThere,
            _ if !config.quarantine.two_holders => Verdict::Off,
            verdict => verdict,
        };
        (verdict, (verdict == Verdict::Quarantine).then(|| reason(kid, evidence)))
    }

    /// Says whether the broker may put a device into quarantine by itself, upon proof.
    pub(super) fn judge(&mut self, config: &Config, identity: &Identity) -> Verdict {
        let registry = self.registrar.registry();
        match registry.find(identity) {
            Some(account) if account.quarantine.is_some() => Verdict::IsThere,
            _ => self.judge_further(config, identity),
        }
    }

    /// Says the same of what goes further than quarantine.
    pub(super) fn judge_further(&mut self, config: &Config, identity: &Identity) -> Verdict {
        self.judge_within(config, identity, |done| &mut done.recent)
    }

    /// Says whether keys may be withheld from a device upon what nobody proves.
    pub(super) fn judge_likely(&mut self, config: &Config, identity: &Identity) -> Verdict {
        self.judge_within(config, identity, |done| &mut done.withheld)
    }

    fn judge_within(
        &mut self,
        config: &Config,
        identity: &Identity,
        hour: impl Fn(&mut Quarantining) -> &mut Hour,
    ) -> Verdict {
        let registry = self.registrar.registry();
        let devices = registry.counts(Kind::Device).existing();
        match registry.find(identity) {
            Some(account) if is_excepted(config, account) => Verdict::Never,
            _ if !hour(&mut self.quarantining).has_room(devices, wall_time()) => Verdict::Stopped,
            _ => Verdict::Quarantine,
        }
    }

    /// Tells what became of a device, which was proven just now.
    pub(super) fn tell_verdict(&mut self, identity: &Identity, verdict: Verdict) {
        match verdict {
            Verdict::IsThere => {}
            Verdict::Quarantine => {
                self.quarantining.recent.note(wall_time());
                self.tell(incidents::Kind::Quarantine, identity);
            }
            Verdict::Off => {
                tracing::warn!(%identity, "not put into quarantine: quarantine.two_holders is false")
            }
            Verdict::Never => tracing::warn!(%identity, "not put into quarantine: quarantine.never names it"),
            Verdict::Stopped => {
                let is_first = self.quarantining.left.is_empty();
                if self.quarantining.left.len() < limits::QUARANTINES_LEFT {
                    self.quarantining.left.insert(identity.clone());
                }
                self.tell_stopped(is_first);
            }
        }
    }

    fn tell_stopped(&self, is_first: bool) {
        let Some(what) = self.quarantining.warning() else { return };
        tracing::error!(incident = STOPPED, "{what}");
        let devices: Vec<&str> = self.quarantining.left.iter().map(Identity::name).collect();
        let payload =
            json!({ "incident": STOPPED, "at": wall_time().to_string(), "devices": devices, "what": what });
        self.announce_stopped(payload.to_string());
        let event = if is_first { notify::Event::Begin } else { notify::Event::Change };
        self.notify_stopped(event, what, payload);
    }

    fn notify_stopped(&self, event: notify::Event, what: String, incident: serde_json::Value) {
        let Some(running) = &self.running else { return };
        running.notifier.tell(Notice {
            key: STOPPED.to_owned(),
            event,
            kind: STOPPED.to_owned(),
            severity: Severity::Critical,
            is_part: false,
            calls: event == notify::Event::Begin,
            at_unix_ms: wall_time().0,
            what,
            more: "keyward status".to_owned(),
            steps: Vec::new(),
            incident,
        });
    }

    fn announce_stopped(&self, payload: String) {
        if let Some(running) = &self.running {
            running.live.announce(vec![(format!("{}/{STOPPED}", incidents::TOPICS), payload.into_bytes())]);
        }
    }

    /// Forgets devices that were left to a person, and of which that person has seen to it.
    pub(super) fn forget_left_out(&mut self) {
        let registry = self.registrar.registry();
        let before = self.quarantining.left.len();
        let is_left = |identity: &Identity| {
            let account = registry
                .find(identity)
                .filter(|it| it.quarantine.is_none() && it.standing == Standing::Active);
            account.is_some_and(|it| it.second_holder().is_some() || self.is_proven_open(identity))
        };
        let left = self.quarantining.left.iter().filter(|identity| is_left(identity)).cloned().collect();
        self.quarantining.left = left;
        if before > 0 && self.quarantining.left.is_empty() {
            self.announce_stopped(String::new());
            let what = "somebody has seen to all devices that were left to a person".to_owned();
            self.notify_stopped(notify::Event::End, what, json!({ "incident": STOPPED }));
        }
    }
}

impl Turn<'_> {
    pub(super) fn quarantine_device(&mut self, id: &str, because: String) -> Result<Response, Refusal> {
        if let Ok(user @ Identity::User(_)) = id.parse::<Identity>() {
            return Err(Refused::NoQuarantine(user).into());
        }
        let identity = self.admin.account(&device(id)?)?.identity.clone();
        let command =
            Command::Quarantine { identity: identity.clone(), by: QuarantinedBy::Operator, because };
        let what = "is in quarantine: it may publish and subscribe on its recovery topics only";
        let done = self.device_change(identity.clone(), command, what)?;
        self.admin.tell(incidents::Kind::Quarantine, &identity);
        let name = identity.name();
        Ok(with_note(
            done,
            format!(
                "its recovery topics lie below devices/{name}/recovery/; keyward device release {name} ends it"
            ),
        ))
    }

    pub(super) fn release_device(&mut self, id: &str) -> Result<Response, Refusal> {
        let identity = device(id)?;
        let (before, now) = (self.admin.account(&identity)?, self.now);
        let command = Command::Release { identity: identity.clone() };
        let done = self.device_change(identity, command, "is released from quarantine")?;
        Ok(match before.has_key_of_before_quarantine(now) {
            true => with_note(
                done,
                format!(
                    "it has a key still that it had before: if somebody else holds a copy, that copy is released too; for new keys: \
                     keyward device rekey {}",
                    before.identity.name()
                ),
            ),
            false => done,
        })
    }
}

fn with_note(done: Response, note: String) -> Response {
    match done {
        Response::Changed(mut changed) => {
            changed.notes.push(note);
            Response::Changed(changed)
        }
        other => other,
    }
}

/// Tells whether the configuration leaves a device to a person.
fn is_excepted(config: &Config, account: &Account) -> bool {
    config
        .quarantine
        .never
        .iter()
        .any(|exception| exception.names(&account.identity, account.device_type.as_ref()))
}

/// Says in one line what proves that two hold a key.
fn reason(kid: Kid, evidence: &SecondHolder) -> String {
    let number = evidence.number;
    match evidence.sign {
        SecondHolderSign::Equivocation { .. } => {
            format!("two hold its message key {kid}: it signed two messages with the number {number}")
        }
        SecondHolderSign::Behind => format!(
            "two hold its message key {kid}: it signed a message with the number {number} later than one with the number {}",
            evidence.highest
        ),
    }
}

/// Returns the quarantine of a device as lists show it.
pub(super) fn quarantine_row(account: &Account) -> Option<QuarantineRow> {
    account.quarantine.as_ref().map(|quarantine| QuarantineRow {
        since_unix_ms: quarantine.since.0,
        by: quarantine.by.name().to_owned(),
        because: quarantine.because.clone(),
    })
}

#[cfg(test)]
mod tests;
