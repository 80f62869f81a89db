//! What the broker does by itself upon what the watch has found.
//!
//! One way for all of it: the bound of an hour, the list of those that only a person shuts out and the loud stop are those of
//! [`super::quarantine`]. Each incident is answered once: whoever takes back what was done knew why.

use super::quarantine::Verdict;
use super::{Admin, Turn};
use crate::config::Action;
use crate::escape::escape;
use crate::installation::wall_time;
use crate::watch::Cause;
use keyward_identity::{Command, QuarantinedBy, limits};
use keyward_ids::{GroupId, Identity};
use keyward_watch::event::{Scope, UnixMillis};
use keyward_watch::finding::Class;

impl Admin {
    /// Does what follows from what was found since the last time.
    pub(crate) fn act_on_causes(&mut self, actor: &str) {
        for cause in self.watch.take_causes() {
            self.act_on(&cause, actor);
        }
    }

    fn act_on(&mut self, cause: &Cause, actor: &str) {
        let Cause { device, class, is_proven, .. } = cause;
        let config = self.config().unwrap_or_default();
        let action = config.actions.of(*class, config.quarantine.two_holders);
        let is_enough = *is_proven || action == Action::Withhold;
        if action == Action::Notify || !is_enough || !self.may_answer(cause) {
            return;
        }
        let identity = Identity::Device(device.clone());
        if action == Action::Withhold && self.groups_of(&identity).is_empty() {
            return;
        }
        let verdict = match (self.judge(&config, &identity), action) {
            // It goes further.
            (Verdict::IsThere, Action::Revoke) => self.judge_further(&config, &identity),
            (Verdict::Quarantine | Verdict::Stopped, _) if !is_proven => {
                self.judge_likely(&config, &identity)
            }
            (verdict, _) => verdict,
        };
        if verdict == Verdict::Quarantine {
            let done = match action {
                Action::Withhold => self.withhold_by_itself(&identity, actor),
                Action::Revoke => self.revoke_by_itself(&identity, actor),
                _ => self.quarantine_by_itself(&identity, cause, actor),
            };
            if !done {
                return;
            }
        }
        if verdict != Verdict::IsThere {
            self.note_answer(cause, verdict, action);
        }
        match (action, verdict) {
            // It goes on as before, but for what groups are told: its incident says so.
            (Action::Withhold, Verdict::Quarantine) => {
                self.quarantining.note_withheld(*is_proven, wall_time());
            }
            (Action::Withhold, _) => {}
            _ => self.tell_verdict(&identity, verdict),
        }
    }

    fn quarantine_by_itself(&mut self, identity: &Identity, cause: &Cause, actor: &str) -> bool {
        // What a device called its switch stands there too, and a reason is one line.
        let mut because = format!("{}: {}", cause.class, escape(&cause.what));
        because.truncate(because.floor_char_boundary(limits::REASON_BYTES));
        let command = Command::Quarantine { identity: identity.clone(), by: QuarantinedBy::Broker, because };
        self.by_itself(identity, command, actor)
    }

    fn revoke_by_itself(&mut self, identity: &Identity, actor: &str) -> bool {
        let command =
            Command::Revoke { identity: identity.clone(), keep_messages: false, publish_will: false };
        self.by_itself(identity, command, actor)
    }

    /// Takes a device out of its groups, which get new keys.
    fn withhold_by_itself(&mut self, identity: &Identity, actor: &str) -> bool {
        let mut changed = false;
        for group in self.groups_of(identity) {
            let command = Command::RemoveFromGroup { group, identities: vec![identity.clone()] };
            changed |= self.by_itself(identity, command, actor);
        }
        changed
    }

    fn groups_of(&self, identity: &Identity) -> Vec<GroupId> {
        let groups = self.registrar.groups();
        let of = groups.iter().filter(|group| group.members.contains_key(identity));
        of.map(|group| group.name.clone()).collect()
    }

    /// Returns whether that changed anything.
    fn by_itself(&mut self, identity: &Identity, command: Command, actor: &str) -> bool {
        match Turn::begin(self, actor).command(command) {
            Ok((outcome, _)) => outcome.changed,
            Err(refusal) => {
                tracing::error!(%identity, "what was proven has no consequence: {}", refusal.what);
                false
            }
        }
    }

    /// Tells whether the incident of what was proven has not been answered, and its kind is mostly right.
    fn may_answer(&self, cause: &Cause) -> bool {
        let scope = Scope::Device(cause.device.clone());
        self.watch.with(|book| {
            let incidents = book.incidents();
            !incidents.has_stepped_down(cause.class)
                && incidents.newest(&scope, cause.class).is_some_and(|it| it.is_open() && !it.is_answered())
        })
    }

    fn note_answer(&mut self, cause: &Cause, verdict: Verdict, action: Action) {
        let what = match (verdict, action) {
            (Verdict::Quarantine, Action::Withhold) => {
                "the broker took the device out of its groups, which have new keys"
            }
            (Verdict::Quarantine, Action::Revoke) => "the broker revoked the device",
            (Verdict::Quarantine, _) => "the broker put the device into quarantine",
            (Verdict::Never, _) => "the device is left to a person: quarantine.never names it",
            _ => "the device is left to a person: too many were shut out within an hour",
        };
        let scope = Scope::Device(cause.device.clone());
        self.watch.with(|book| book.answer(UnixMillis(wall_time().0), &scope, cause.class, what));
    }

    /// Tells whether an incident of a device that was proven is open.
    pub(super) fn is_proven_open(&self, identity: &Identity) -> bool {
        let Identity::Device(device) = identity else { return false };
        let scope = Scope::Device(device.clone());
        let is_open = |class: &Class| {
            self.watch.with(|book| {
                let incident = book.incidents().newest(&scope, *class);
                incident.is_some_and(|it| it.is_open() && it.is_answered())
            })
        };
        Class::ALL.iter().any(is_open)
    }
}

#[cfg(test)]
mod tests;
