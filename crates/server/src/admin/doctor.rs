//! Gathers what the doctor looks at, and lets it look.

use super::Admin;
use crate::control::{Refusal, Response};
use crate::doctor::{self, Authority, Backup, Facts, OpenFile, Profile, StartedBy};
use crate::rules::Rules;
use crate::{backup, container, installation, notify, service};
use keyward_identity::{NameOrigin, ProvenBy, Registry, Standing, WallTime};
use keyward_ids::Identity;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// The folders whose files hold secrets.
const SECRET: [&str; 5] = ["keys", "authority", "offline", "backups", "ledger"];

/// How many files are looked at. The largest folder, of backups, has one for each that was made.
const FILES: usize = 10_000;

/// What of a mode lets others in.
const OTHERS: u32 = 0o077;

impl Admin {
    /// Looks for what is weak. Nothing is changed, and what cannot be read is a finding itself.
    pub(super) fn diagnose(&self, profile: Profile) -> Result<Response, Refusal> {
        let diagnosis = doctor::examine(&self.facts(), profile);
        Ok(Response::Diagnosis(Box::new(diagnosis)))
    }

    fn facts(&self) -> Facts {
        let now = installation::wall_time();
        let registry = self.registrar.registry();
        let on_disk = installation::settings(&self.home).err().map(|error| error.to_string());
        let rules_on_disk = Rules::load(&self.home).err().map(|error| error.to_string());
        let exists =
            |account: &&std::sync::Arc<keyward_identity::Account>| account.standing != Standing::Removed;
        Facts {
            now,
            config: self.config().map_err(|refusal| refusal.what),
            refused_config: on_disk,
            policy: self.policy().map_err(|refusal| refusal.what),
            refused_rules: rules_on_disk,
            accounts: registry.accounts().filter(exists).cloned().collect(),
            subjects: self.subjects(),
            authorities: authorities(&registry),
            client_ids: self.client_ids(&registry),
            status: self.status(),
            is_named: self.is_named(),
            started_by: self.started_by(),
            are_keys_sealed: self.registrar.status(now).keys_sealed,
            is_imported_in_part: self.home.is_imported_in_part(),
            backup: backup::newest(&self.home).and_then(|path| describe(&path)),
            notify_files: self
                .config()
                .map(|config| notify::unusable_files(&config.notify))
                .unwrap_or_default(),
            open_files: open_files(self.home.directory()),
        }
    }

    /// Counts the client ids of each login that is in use.
    fn client_ids(&self, registry: &Registry) -> Vec<(Identity, usize)> {
        let Some(running) = &self.running else { return Vec::new() };
        let identities: Vec<&Identity> = registry
            .accounts()
            .filter(|account| account.is_active())
            .map(|account| &account.identity)
            .collect();
        let counts = running.live.sessions(&identities);
        identities.into_iter().cloned().zip(counts).filter(|(_, count)| *count > 0).collect()
    }

    /// Tells who starts the broker; of one that is stopped, by where it lives.
    fn started_by(&self) -> StartedBy {
        if container::is_here() {
            StartedBy::Container
        } else if service::is_here() || self.home.is_of_service() {
            StartedBy::Systemd
        } else {
            StartedBy::Person
        }
    }

    /// Tells whether a person has named the broker.
    pub(super) fn is_named(&self) -> bool {
        self.registrar.server_names().iter().any(|(_, origin)| origin == NameOrigin::Added)
    }
}

fn authorities(registry: &Registry) -> Vec<Authority> {
    let bound = || registry.accounts().flat_map(|account| &account.bound_names);
    let authority =
        |(name, authority): (&keyward_identity::LocalName, &keyward_identity::TrustedAuthority)| {
            let summary = authority.summary();
            Authority {
                name: name.to_string(),
                is_confirmed: authority.confirmed,
                proves_nothing: authority.proves == ProvenBy::None,
                not_after: summary.not_after,
                has_list: summary.revoked.is_some(),
                next_list: summary.next_update,
                bound: bound().filter(|bound| bound.authority == *name).count(),
            }
        };
    registry.trusted().iter().map(authority).collect()
}

fn describe(path: &Path) -> Option<Backup> {
    let seconds = u64::try_from(fs::symlink_metadata(path).ok()?.mtime()).ok()?;
    let is_plain = path.extension().is_some_and(|end| end == "tar");
    Some(Backup { path: path.to_owned(), written: WallTime(seconds.saturating_mul(1_000)), is_plain })
}

fn open_files(home: &Path) -> Vec<OpenFile> {
    let mut folders: Vec<PathBuf> = SECRET.iter().map(|name| home.join(name)).collect();
    let (mut open, mut seen) = (Vec::new(), 0);
    while let Some(path) = folders.pop() {
        let Ok(about) = fs::symlink_metadata(&path) else { continue };
        seen += 1;
        let fit = if about.is_dir() { 0o700 } else { 0o600 };
        if about.mode() & OTHERS != 0 && !about.is_symlink() {
            open.push(OpenFile { path: path.clone(), mode: about.mode() & 0o777, fit });
        }
        if about.is_dir() && seen < FILES {
            let entries = fs::read_dir(&path).into_iter().flatten().take(FILES);
            folders.extend(entries.filter_map(|entry| Some(entry.ok()?.path())));
        }
    }
    open.sort_by(|a, b| a.path.cmp(&b.path));
    open
}
