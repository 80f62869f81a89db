//! Configuration and rules from the disk into force: all of it or nothing.

use super::{Turn, audited::Digests};
use crate::{
    config::{Config, Listener},
    control::{Refusal, Reloaded, Response},
    installation,
    rules::Rules,
};
use keyward_identity::{Command, limits::CONFIG_NOTE_BYTES};
use std::sync::Arc;

impl Turn<'_> {
    /// Reads everything again. Whatever is bad, nothing changes and it is named.
    pub(super) fn reload(&mut self) -> Result<Response, Refusal> {
        let (config, text) = installation::settings(&self.admin.home)?;
        let config = match &self.admin.running {
            Some(running) => config.overridden(running.overrides),
            None => config,
        };
        let rules = Rules::load(&self.admin.home)?;
        let digests = Digests::of(&text, &rules.files);
        let mut changes = digests.differences(&Digests::noted(&self.admin.home));
        let needs_restart = match &self.admin.running {
            Some(running) => needs_restart(&running.started, &config),
            None => Vec::new(),
        };
        self.secure_anew(&config.listeners)?;
        let before = self.admin.running.as_ref().map(|running| running.config.listeners.clone());
        let before = before.unwrap_or_default();
        if let Err(refusal) = self.switch_listeners(&before, &config.listeners) {
            self.show_again(&before, &config.listeners)?;
            return Err(refusal);
        }
        if !changes.is_empty()
            && let Err(refusal) = self.note(&changes, &digests)
        {
            self.switch_listeners(&config.listeners, &before)?;
            self.show_again(&before, &config.listeners)?;
            return Err(refusal);
        }
        self.add_names(&config, &mut changes);
        let in_force = self.admin.running.as_mut().map(|running| {
            running.policy = Arc::new(rules.policy);
            running.config = config;
            running.live.put_type_rules(&running.config);
            running.live.put_policy(&running.policy)
        });
        self.admin.tell_ground();
        changes.extend(super::incomplete(in_force));
        let pending = in_force.is_some_and(|in_force| !in_force.complete);
        let in_force_ms = in_force.map(|_| self.elapsed_ms());
        Ok(Response::Reloaded(Reloaded { changes, needs_restart, in_force_ms, pending }))
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
        // Without this file the same is noted once more.
        if let Err(error) = digests.note(&self.admin.home) {
            tracing::warn!("what was audited cannot be remembered: {error}");
        }
        Ok(())
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

    /// Begins another generation of TLS settings, so that no session of before a reload is resumed after it.
    fn secure_anew(&mut self, listeners: &[Listener]) -> Result<(), Refusal> {
        match self.admin.running.as_mut() {
            Some(running) => running.live.put_certificate(&self.admin.registrar, listeners),
            None => Ok(()),
        }
    }

    /// Lets the listeners of before show what they showed, unless those that they gave way to show the same.
    fn show_again(&mut self, before: &[Listener], after: &[Listener]) -> Result<(), Refusal> {
        let shown = |listeners: &[Listener]| -> Vec<_> {
            let imported = |listener: &Listener| {
                listener.server_certificate.clone().map(|certificate| (listener.name.clone(), certificate))
            };
            listeners.iter().filter_map(imported).collect()
        };
        if shown(before) == shown(after) { Ok(()) } else { self.secure_anew(before) }
    }

    /// Closes the listeners that are gone, for a new one may use their port, and opens those that are new. If one
    /// cannot be opened, the others are undone and those that were closed come back.
    fn switch_listeners(&mut self, from: &[Listener], to: &[Listener]) -> Result<(), Refusal> {
        let Some(running) = self.admin.running.as_mut() else { return Ok(()) };
        let live = &mut running.live;
        let gone: Vec<&Listener> = from.iter().filter(|listener| !to.contains(listener)).collect();
        let new: Vec<&Listener> = to.iter().filter(|listener| !from.contains(listener)).collect();
        gone.iter().for_each(|listener| live.close_listener(&listener.name));
        for (opened, listener) in new.iter().enumerate() {
            let Err(refusal) = live.open_listener(listener) else { continue };
            new[..opened].iter().for_each(|listener| live.close_listener(&listener.name));
            for listener in &gone {
                if let Err(error) = live.open_listener(listener) {
                    tracing::error!(
                        listener = listener.name,
                        what = %error.what,
                        "a listener could not be opened again"
                    );
                }
            }
            return Err(refusal);
        }
        Ok(())
    }
}

/// Names what a running broker that started with `old` cannot change, a line each.
fn needs_restart(old: &Config, new: &Config) -> Vec<String> {
    let differing = [
        (old.shards != new.shards, "server.shards"),
        (old.door_threads != new.door_threads, "server.door_threads"),
        (old.signature_threads != new.signature_threads, "server.signature_threads"),
        (old.sys_interval != new.sys_interval, "server.sys_interval"),
        (old.limits != new.limits, "limits"),
        (old.store != new.store, "store"),
        (old.watch != new.watch, "watch"),
        (old.notify != new.notify, "notify"),
        (old.log != new.log, "log"),
    ];
    differing
        .iter()
        .filter(|(differs, _)| *differs)
        .map(|(_, key)| format!("{key}: takes effect at the next start"))
        .collect()
}

#[cfg(test)]
mod tests {
    use crate::{
        admin::fixture::{RULE, fixture},
        config::Config,
        control::RefusalCode,
    };
    use std::fs;

    #[test]
    fn a_reload_without_an_edit_changes_nothing_and_notes_nothing() {
        let mut fixture = fixture();
        let before = fixture.audit().len();
        assert_eq!(fixture.reload().unwrap().changes, [""; 0]);
        assert_eq!(fixture.audit().len(), before);
    }

    #[test]
    fn a_hand_edit_is_put_in_force_and_audited_once() {
        let mut fixture = fixture();
        fixture.rules(RULE);
        let reloaded = fixture.reload().unwrap();
        assert!(reloaded.changes[0].starts_with("policy.d/a.toml added, sha256:"), "{reloaded:?}");
        assert_eq!(fixture.told.take(), ["certificate", "policy of 1 rules"]);
        assert!(fixture.reload().unwrap().changes.is_empty());
        let notes = fixture.audit().iter().filter(|what| what.contains("policy.d/a.toml added")).count();
        assert_eq!(notes, 1);
    }

    #[test]
    fn a_bad_rule_file_changes_nothing_not_even_the_good_configuration_beside_it() {
        let mut fixture = fixture();
        fixture.config("[[listener]]\nname = \"other\"\nport = 1\n");
        fixture.rules("[[rule]]\nwho = 1\n");
        let refusal = fixture.reload().unwrap_err();
        assert_eq!(refusal.code, RefusalCode::BadFile);
        assert!(refusal.what.contains("policy.d/a.toml:2"), "{refusal}");
        assert_eq!(fixture.told.take(), [""; 0]);
        assert_eq!(fixture.admin.running.as_ref().unwrap().config, Config::default());
    }

    #[test]
    fn a_folder_of_rules_that_is_gone_changes_nothing() {
        let mut fixture = fixture();
        fixture.rules(RULE);
        fixture.reload().unwrap();
        fixture.told.take();
        let aside = fixture.home.directory().join("aside");
        fs::rename(fixture.home.policy_dir(), &aside).unwrap();
        let refusal = fixture.reload().unwrap_err();
        assert_eq!(refusal.code, RefusalCode::BadFile);
        assert!(refusal.what.contains("policy.d: is missing"), "{refusal}");
        assert_eq!(fixture.told.take(), [""; 0]);
        fs::rename(&aside, fixture.home.policy_dir()).unwrap();
        assert!(fixture.reload().unwrap().changes.is_empty());
    }

    #[test]
    fn rules_removed_by_hand_are_out_of_force_and_audited() {
        let mut fixture = fixture();
        fixture.rules(RULE);
        fixture.reload().unwrap();
        fs::remove_file(fixture.home.policy_dir().join("a.toml")).unwrap();
        assert_eq!(fixture.reload().unwrap().changes, ["policy.d/a.toml removed"]);
        assert!(fixture.audit().iter().any(|what| what.contains("policy.d/a.toml removed")));
    }

    #[test]
    fn a_bad_configuration_changes_nothing_not_even_the_good_rules_beside_it() {
        let mut fixture = fixture();
        fixture.config("[server]\nshards = 0\n");
        fixture.rules(RULE);
        let refusal = fixture.reload().unwrap_err();
        assert!(refusal.what.contains("keyward.toml:2:10: server.shards"), "{refusal}");
        assert_eq!(fixture.told.take(), [""; 0]);
    }

    #[test]
    fn listeners_that_are_gone_are_closed_and_new_ones_opened() {
        let mut fixture = fixture();
        fixture.config("[[listener]]\nname = \"mqtts\"\nport = 8883\n[[listener]]\nname = \"b\"\nport = 2\n");
        fixture.reload().unwrap();
        assert_eq!(fixture.told.take(), ["certificate", "open b 2", "policy of 0 rules"]);
        fixture.config("[[listener]]\nname = \"b\"\nport = 3\n");
        fixture.reload().unwrap();
        assert_eq!(
            fixture.told.take(),
            ["certificate", "close mqtts", "close b", "open b 3", "policy of 0 rules"]
        );
    }

    #[test]
    fn a_listener_that_cannot_be_opened_undoes_the_others_and_the_rules_stay() {
        let mut fixture = fixture();
        fixture.rules(RULE);
        fixture.config("[[listener]]\nname = \"b\"\nport = 2\n[[listener]]\nname = \"c\"\nport = 666\n");
        assert_eq!(fixture.reload().unwrap_err().what, "port 666 is taken");
        assert_eq!(
            fixture.told.take(),
            ["certificate", "close mqtts", "open b 2", "open c 666", "close b", "open mqtts 8883"]
        );
        assert_eq!(fixture.admin.running.as_ref().unwrap().config, Config::default());
    }

    #[test]
    fn a_port_from_the_command_line_stays_over_a_reload() {
        let mut fixture = fixture();
        let running = fixture.admin.running.as_mut().unwrap();
        running.overrides.port = Some(7);
        running.config = Config::default().overridden(running.overrides);
        fixture.config("[server]\nshards = 1\n");
        fixture.reload().unwrap();
        assert_eq!(fixture.told.take(), ["certificate", "policy of 0 rules"], "the listener is not touched");
    }

    #[test]
    fn what_needs_a_restart_is_said() {
        let mut fixture = fixture();
        fixture.config("[server]\nshards = 1\n[limits]\nsessions = 5\n");
        let reloaded = fixture.reload().unwrap();
        assert_eq!(
            reloaded.needs_restart,
            ["server.shards: takes effect at the next start", "limits: takes effect at the next start"]
        );
    }

    #[test]
    fn what_is_as_it_was_at_the_start_needs_no_restart() {
        let mut fixture = fixture();
        fixture.config("[limits]\nsessions = 5\n");
        assert_eq!(fixture.reload().unwrap().needs_restart, ["limits: takes effect at the next start"]);
        assert_eq!(fixture.reload().unwrap().needs_restart, ["limits: takes effect at the next start"]);
        fixture.config("");
        assert_eq!(fixture.reload().unwrap().needs_restart, [""; 0]);
    }

    #[test]
    fn a_name_of_the_configuration_comes_into_the_certificate_at_a_reload() {
        let mut fixture = fixture();
        fixture.config("[server]\nnames = [\"mqtt.home\"]\n");
        let reloaded = fixture.reload().unwrap();
        assert!(
            reloaded.changes.contains(&"the server certificate names mqtt.home now".to_owned()),
            "{reloaded:?}"
        );
        assert_eq!(fixture.told.take(), ["certificate", "certificate", "policy of 0 rules"]);
    }
}
