//! Configuration and rules from the disk into force: all of it or nothing.

use super::{Turn, audited::Digests};
use crate::{
    config::{Config, Listener},
    control::{Refusal, RefusalCode, Reloaded, Response},
    installation,
    rules::Rules,
};
use keyward_identity::{Command, limits::CONFIG_NOTE_BYTES};
use std::sync::Arc;

impl Turn<'_> {
    /// Reads everything again. Whatever is bad, nothing changes and it is named.
    pub(super) fn reload(&mut self) -> Result<Response, Refusal> {
        let (config, text) = installation::settings(&self.admin.home)?;
        let rules = Rules::load(&self.admin.home)?;
        let digests = Digests::of(&text, &rules.files);
        let mut changes = digests.differences(&Digests::noted(&self.admin.home));
        let needs_restart = match &self.admin.running {
            Some(running) => needs_restart(&running.config, &config),
            None => Vec::new(),
        };
        self.switch_listeners(&config)?;
        if !changes.is_empty() {
            self.note(&changes, &digests)?;
        }
        self.add_names(&config, &mut changes);
        let in_force = self.admin.running.as_mut().map(|running| {
            running.policy = Arc::new(rules.policy);
            running.config = config;
            running.live.put_policy(&running.policy)
        });
        changes.extend(super::incomplete(in_force));
        let in_force_ms = in_force.map(|_| self.elapsed_ms());
        Ok(Response::Reloaded(Reloaded { changes, needs_restart, in_force_ms }))
    }

    /// Writes into the ledger which files changed, then remembers that it did.
    pub(super) fn note(&mut self, changes: &[String], digests: &Digests) -> Result<(), Refusal> {
        let mut summary = changes.join("\n");
        let mut end = summary.len().min(CONFIG_NOTE_BYTES);
        while !summary.is_char_boundary(end) {
            end -= 1;
        }
        summary.truncate(end);
        self.command(Command::NoteConfigChange { summary })?;
        digests.note(&self.admin.home).map_err(|error| Refusal::new(RefusalCode::Failed, error))
    }

    /// Adds the names of the configuration that the certificate does not hold yet. One that is refused, or a clock in
    /// doubt, does not undo the reload.
    fn add_names(&mut self, config: &Config, changes: &mut Vec<String>) {
        for name in &config.names {
            if self.admin.registrar.server_identity().names.contains(name) {
                continue;
            }
            changes.push(match self.command(Command::AddServerName { name: name.clone() }) {
                Ok(_) => format!("the server certificate names {name} now"),
                Err(refusal) => format!("the server certificate does not name {name}: {}", refusal.what),
            });
        }
    }

    /// Opens the listeners that are new and then closes those that are gone. If one cannot be opened, those opened
    /// before it are closed again and nothing has changed. One that differs under its old name is closed first, for
    /// it may use the same port, and comes back if the new one fails.
    fn switch_listeners(&mut self, config: &Config) -> Result<(), Refusal> {
        let Some(running) = self.admin.running.as_mut() else { return Ok(()) };
        let old = running.config.listeners.clone();
        let (kept, gone): (Vec<Listener>, Vec<Listener>) =
            old.into_iter().partition(|listener| config.listeners.contains(listener));
        let new: Vec<&Listener> =
            config.listeners.iter().filter(|listener| !kept.contains(listener)).collect();
        if new.is_empty() {
            gone.iter().for_each(|listener| running.live.close_listener(&listener.name));
            return Ok(());
        }
        gone.iter().for_each(|listener| running.live.close_listener(&listener.name));
        for (opened, listener) in new.iter().enumerate() {
            let Err(refusal) = running.live.open_listener(listener) else { continue };
            new[..opened].iter().for_each(|listener| running.live.close_listener(&listener.name));
            for listener in &gone {
                if let Err(error) = running.live.open_listener(listener) {
                    tracing::error!(listener = listener.name, what = %error.what, "a listener could not be opened again");
                }
            }
            return Err(refusal);
        }
        Ok(())
    }
}

/// Names what a running broker cannot change, a line each.
fn needs_restart(old: &Config, new: &Config) -> Vec<String> {
    let differing = [
        (old.shards != new.shards, "server.shards"),
        (old.door_threads != new.door_threads, "server.door_threads"),
        (old.limits != new.limits, "limits"),
        (old.log != new.log, "log"),
    ];
    differing
        .iter()
        .filter(|(differs, _)| *differs)
        .map(|(_, key)| format!("{key}: takes effect at the next start"))
        .collect()
}
