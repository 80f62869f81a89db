//! The mark `plain`: who may log in where passwords can be read on the network.

use super::{Admin, Turn, accounts::bad_name};
use crate::{
    config::{Config, Listener},
    control::{Refusal, Response},
};
use keyward_identity::Command;
use keyward_ids::Identity;

impl Turn<'_> {
    pub(super) fn mark_plain(&mut self, identity: &str, plain: bool) -> Result<Response, Refusal> {
        let identity: Identity =
            identity.parse().map_err(|error| bad_name("device or user", identity, &error))?;
        let account = self.admin.account(&identity)?;
        let (spelling, had_password) = (account.identity.to_string(), account.password.is_some());
        let (kind, name) = (account.identity.kind(), account.identity.name().to_owned());
        let (outcome, in_force) = self.command(Command::MarkPlain { identity, plain })?;
        let what = match plain {
            true => "may log in on plain listeners now, and with its password nowhere else",
            false => "may not log in on plain listeners any more",
        };
        let already = if outcome.changed { "" } else { " (it was so already)" };
        let mut notes = Vec::new();
        if outcome.changed && !plain && had_password {
            notes.push(format!(
                "its password may have been read on the network and is void: give it a new one, \
                 keyward {kind} passwd {name}"
            ));
        }
        Ok(Response::Changed(self.changed(format!("{spelling} {what}{already}."), in_force, notes)))
    }
}

impl Admin {
    /// Counts the identities that are marked.
    pub(super) fn marked_plain(&self) -> usize {
        self.registrar.registry().accounts().filter(|account| account.plain).count()
    }

    /// Says which listeners carry passwords in clear.
    pub(super) fn plain_warnings<'a>(&'a self, config: &'a Config) -> impl Iterator<Item = String> + 'a {
        let marked = self.marked_plain();
        config.listeners.iter().filter(|listener| listener.is_plain_network()).map(move |listener| {
            format!("{}; {marked} devices and users are marked plain and may use it", plain_warning(listener))
        })
    }
}

/// Says what a plain listener on the network means.
pub(super) fn plain_warning(listener: &Listener) -> String {
    let from: Vec<String> = listener.from.iter().map(ToString::to_string).collect();
    format!(
        "listener {} speaks plain MQTT: whoever is on the way from {} reads and changes passwords and messages",
        listener.name,
        from.join(", ")
    )
}
