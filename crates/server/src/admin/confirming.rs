//! What was taken away, as a list to keep; and letting in again who was shut out by a restore.

use super::{Admin, Turn};
use crate::{
    control::{Refusal, RefusalCode, Response, StoreRevoked},
    escape::escape_cut,
    installation::wall_time,
};
use keyward_identity::Command;
use keyward_ids::{Identity, MAX_NAME_LEN};

impl Admin {
    pub(super) fn revoked(&self) -> Result<Response, Refusal> {
        let list = self.registrar.revoked(wall_time());
        let list = list.map_err(|error| Refusal::new(RefusalCode::Failed, error))?.to_string();
        Ok(Response::StoreRevoked(StoreRevoked { list }))
    }

    /// Returns how many devices and users are not confirmed since a restore.
    pub(super) fn unconfirmed(&self) -> usize {
        let known = self.registrar.status(wall_time());
        known.devices.unconfirmed + known.users.unconfirmed
    }
}

impl Turn<'_> {
    /// Confirms those that are named. The first that cannot be confirmed ends it: the refusal says who was confirmed before.
    pub(super) fn confirm(&mut self, names: &[String]) -> Result<Response, Refusal> {
        let identities = names.iter().map(|name| parse(name)).collect::<Result<Vec<Identity>, Refusal>>()?;
        // Whoever is not there is told before anything is changed.
        for identity in &identities {
            self.admin.account(identity)?;
        }
        let (mut in_force, mut confirmed, mut notes) = (None, Vec::new(), Vec::new());
        for identity in identities {
            let name = identity.to_string();
            let (outcome, now_in_force) = self.command(Command::Confirm { identity }).map_err(|refusal| {
                let before = confirmed.join(", ");
                let what = match before.is_empty() {
                    true => refusal.what.clone(),
                    false => format!("{}; confirmed before that: {before}", refusal.what),
                };
                Refusal::new(refusal.code, what)
            })?;
            match outcome.changed {
                true => confirmed.push(name),
                false => notes.push(format!("{name} needs no confirming")),
            }
            in_force = now_in_force.or(in_force);
        }
        let what = match confirmed.is_empty() {
            true => "Nobody was confirmed.".to_owned(),
            false => format!("Confirmed: {}.", confirmed.join(", ")),
        };
        Ok(Response::Changed(self.changed(what, in_force, notes)))
    }

    pub(super) fn confirm_all(&mut self) -> Result<Response, Refusal> {
        let count = self.admin.unconfirmed();
        let (outcome, in_force) = self.command(Command::ConfirmAll)?;
        let what = match outcome.changed {
            true => format!("Confirmed all {count} that were not confirmed since the restore."),
            false => "Nobody waits for being confirmed.".to_owned(),
        };
        Ok(Response::Changed(self.changed(what, in_force, Vec::new())))
    }
}

fn parse(name: &str) -> Result<Identity, Refusal> {
    name.parse().map_err(|error| {
        Refusal::invalid(format!("'{}' {error}", escape_cut(name, MAX_NAME_LEN + "device:".len())))
    })
}
