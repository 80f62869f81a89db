//! What the broker does by itself upon what the watch has proven.
//!
//! One way for all of it: the bound of an hour, the list of those that only a person shuts out and the loud stop are those of
//! [`super::quarantine`]. Each incident is answered once: whoever takes back what was done knew why.

use super::quarantine::Verdict;
use super::{Admin, Turn};
use crate::config::Action;
use crate::escape::escape;
use crate::installation::wall_time;
use crate::watch::Proven;
use keyward_identity::{Command, QuarantinedBy, limits};
use keyward_ids::Identity;
use keyward_watch::event::{Scope, UnixMillis};
use keyward_watch::finding::Class;

impl Admin {
    /// Does what follows from what was proven since the last time.
    pub(crate) fn act_on_proofs(&mut self, actor: &str) {
        for proven in self.watch.take_proven() {
            self.act_on(&proven, actor);
        }
    }

    fn act_on(&mut self, proven: &Proven, actor: &str) {
        let Proven { device, class, what } = proven;
        let config = self.config().unwrap_or_default();
        let action = config.actions.of(*class, config.quarantine.two_holders);
        if action == Action::Notify || !self.may_answer(proven) {
            return;
        }
        let identity = Identity::Device(device.clone());
        let verdict = match (self.judge(&config, &identity), action) {
            // It goes further.
            (Verdict::IsThere, Action::Revoke) => self.judge_further(&config, &identity),
            (verdict, _) => verdict,
        };
        if verdict == Verdict::Quarantine {
            // What a device called its switch stands there too, and a reason is one line.
            let mut because = format!("{class}: {}", escape(what));
            because.truncate(because.floor_char_boundary(limits::REASON_BYTES));
            let done = match action {
                Action::Revoke => self.revoke_by_itself(&identity, actor),
                _ => self.quarantine_by_itself(&identity, because, actor),
            };
            if !done {
                return;
            }
        }
        if verdict != Verdict::IsThere {
            self.note_answer(proven, verdict, action);
        }
        self.tell_verdict(&identity, verdict);
    }

    fn quarantine_by_itself(&mut self, identity: &Identity, because: String, actor: &str) -> bool {
        let command = Command::Quarantine { identity: identity.clone(), by: QuarantinedBy::Broker, because };
        self.by_itself(identity, command, actor)
    }

    fn revoke_by_itself(&mut self, identity: &Identity, actor: &str) -> bool {
        let command =
            Command::Revoke { identity: identity.clone(), keep_messages: false, publish_will: false };
        self.by_itself(identity, command, actor)
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
    fn may_answer(&self, proven: &Proven) -> bool {
        let scope = Scope::Device(proven.device.clone());
        self.watch.with(|book| {
            let incidents = book.incidents();
            !incidents.has_stepped_down(proven.class)
                && incidents.newest(&scope, proven.class).is_some_and(|it| it.is_open() && !it.is_answered())
        })
    }

    fn note_answer(&mut self, proven: &Proven, verdict: Verdict, action: Action) {
        let what = match (verdict, action) {
            (Verdict::Quarantine, Action::Revoke) => "the broker revoked the device",
            (Verdict::Quarantine, _) => "the broker put the device into quarantine",
            (Verdict::Never, _) => "the device is left to a person: quarantine.never names it",
            _ => "the device is left to a person: too many were shut out within an hour",
        };
        let scope = Scope::Device(proven.device.clone());
        self.watch.with(|book| book.answer(UnixMillis(wall_time().0), &scope, proven.class, what));
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
