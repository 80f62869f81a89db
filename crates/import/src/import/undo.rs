//! Takes back what an import wrote, in the order in which it closes: the rules first, the last before the first, then the
//! listeners, then a running broker is told to let go of both, and last certificates and users. These go also if a step before
//! them failed, which is named: without them less is open than with them.

use super::{Import, authorities, call, servers, users};
use crate::error::ImportError;
use crate::fingerprint;
use crate::journal::{self, Edit, Journal, RuleFile};
use keyward_identity::files;
use keyward_policy::limits;
use keyward_server::admin::Operator;
use keyward_server::config::Config;
use keyward_server::control::Request;
use keyward_server::installation;
use std::collections::BTreeSet;

/// Says what was taken back.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct TakenBack {
    /// How many users.
    pub users: usize,
    /// How many trusted authorities.
    pub authorities: usize,
    /// How many server certificates.
    pub servers: usize,
    /// How many rule files.
    pub rules: usize,
    /// What is there still, each with the reason and what to do; empty if nothing is.
    pub left: Vec<String>,
}

impl Import {
    /// Takes back what an interrupted import wrote. What cannot be taken back is named, and the import stays interrupted.
    ///
    /// # Errors
    /// [`ImportError::NotInterrupted`] if there is nothing to take back, and whatever keeps this process from looking.
    pub fn undo(&mut self) -> Result<TakenBack, ImportError> {
        let journal = self.journal.clone().ok_or(ImportError::NotInterrupted)?;
        let mut taken_back = TakenBack::default();
        for written in written(&journal) {
            match self.take_out(&written) {
                Ok(files) => taken_back.rules += files,
                Err(what) => taken_back.left.push(what),
            }
        }
        if let Err(error) = call(&mut self.operator, "what the broker holds", Request::Reload) {
            taken_back.left.push(error.to_string());
        }
        self.remove_entries(&journal, &mut taken_back)?;
        if taken_back.left.is_empty() {
            self.finish()?;
        }
        Ok(taken_back)
    }

    /// Takes what the import wrote out of the files. Returns how many rule files are gone by that.
    pub(super) fn take_out(&self, written: &Written<'_>) -> Result<usize, String> {
        match written {
            Written::Rules(file) => self.remove_rules(file).map(usize::from),
            Written::Listeners(edit) => self.close_listeners(edit).map(|()| 0),
        }
    }

    /// Removes a rule file if it is as the import wrote it. Returns whether it was there.
    fn remove_rules(&self, file: &RuleFile) -> Result<bool, String> {
        let path = self.home.directory().join(&file.name);
        let failed = |error: files::FileError| error.to_string();
        let bytes = match files::read_regular(&path, limits::MAX_FILE_BYTES) {
            Err(error) if error.is_not_found() => return Ok(false),
            other => other.map_err(failed)?,
        };
        if fingerprint::of_bytes(&bytes) != file.sha256 {
            return Err(format!(
                "{}: was changed since; take it away, or rename it to keep it",
                path.display()
            ));
        }
        journal::remove(&path).map_err(failed)
    }

    /// Puts `keyward.toml` back, if it is as the import wrote it.
    fn close_listeners(&self, Edit { before, after }: &Edit) -> Result<(), String> {
        let (config, text) = installation::settings(&self.home).map_err(|error| error.to_string())?;
        if text == *after {
            let path = self.home.config_file();
            return files::replace(&path, before.as_bytes()).map_err(|error| error.to_string());
        }
        let (old, new) = (names(before), names(after));
        let own: Vec<&str> = config
            .listeners
            .iter()
            .map(|listener| listener.name.as_str())
            .filter(|name| new.contains(*name) && !old.contains(*name))
            .collect();
        if own.is_empty() {
            return Ok(());
        }
        let own = own.join(", ");
        Err(format!("keyward.toml: was changed since; take the sections [[listener]] named {own} out of it"))
    }

    fn remove_entries(&mut self, journal: &Journal, taken_back: &mut TakenBack) -> Result<(), ImportError> {
        let held = servers(&mut self.operator)?;
        let own = journal.servers.iter().filter(|it| held.contains(it)).map(|it| &it.name);
        let requests = own.map(|name| {
            (
                format!("the server certificate {name}"),
                Request::ServerCertificateRemove { name: name.clone() },
            )
        });
        taken_back.servers = remove(&mut self.operator, requests, &mut taken_back.left);
        let held = authorities(&mut self.operator)?;
        let own = journal.authorities.iter().filter(|it| held.contains(it)).map(|it| &it.name);
        let requests = own.map(|name| {
            (format!("the trusted authority {name}"), Request::AuthorityTrustRemove { name: name.clone() })
        });
        taken_back.authorities = remove(&mut self.operator, requests, &mut taken_back.left);
        let mark = journal.mark();
        let own = users(&mut self.operator)?.into_iter().filter(|row| row.note == mark).map(|row| row.name);
        let requests = own.map(|name| (format!("the user {name}"), Request::UserRemove { name }));
        taken_back.users = remove(&mut self.operator, requests, &mut taken_back.left);
        Ok(())
    }
}

/// Is something that an import wrote into files.
pub(super) enum Written<'j> {
    Rules(&'j RuleFile),
    Listeners(&'j Edit),
}

/// Returns what an import wrote into files, the last before the first.
pub(super) fn written(journal: &Journal) -> impl Iterator<Item = Written<'_>> {
    journal.rules.iter().rev().map(Written::Rules).chain([Written::Listeners(&journal.config)])
}

/// Carries removals out. Returns how many were done; the others are left, with the reason.
fn remove(
    operator: &mut Operator,
    requests: impl Iterator<Item = (String, Request)>,
    left: &mut Vec<String>,
) -> usize {
    let mut done = 0;
    for (what, request) in requests {
        match call(operator, &what, request) {
            Ok(_) => done += 1,
            Err(error) => left.push(error.to_string()),
        }
    }
    done
}

/// Returns the names of the listeners of a configuration.
fn names(text: &str) -> BTreeSet<String> {
    let listeners = Config::parse("keyward.toml", text).map(|config| config.listeners).unwrap_or_default();
    listeners.into_iter().map(|listener| listener.name).collect()
}
