//! Puts a plan into effect, all of it or nothing, in an installation whose broker runs or not.
//!
//! Before anything else the [`Journal`] is written; each step is one that can be taken again, so whatever kills an import, the same
//! one finishes it. What opens something comes last: users and certificates may do nothing without rules, the listeners stand in
//! `keyward.toml` before the rules do, and of the rules those that deny come first. So at every moment a broker that
//! starts, or is told to reload, opens nothing that is closed when the import is done. A name in certificates is bound last of all.

mod steps;
#[cfg(test)]
mod tests;
mod undo;

pub use undo::TakenBack;

use crate::error::{Failed, ImportError};
use crate::journal::{Certificates, Edit, Journal};
use crate::plan::Plan;
use keyward_identity::LocalName;
use keyward_policy::{Policy, SourceFile};
use keyward_server::admin::Operator;
use keyward_server::config::{self, EditError, Listener, MAX_CONFIG_BYTES, MQTTS_PORT};
use keyward_server::control::{
    CallError, Request, Response, ServerCertificateRow, TrustedAuthorityRow, UserRow,
};
use keyward_server::home::Home;
use keyward_server::{clock, installation, rules::Rules};
use std::collections::BTreeSet;
use std::fs::{File, TryLockError};

/// Says that an import was begun and not finished, and what to do.
const UNDO: &str = "`keyward import undo` takes back what it wrote";

/// Holds an installation into which something is imported. One process at a time does.
pub struct Import {
    home: Home,
    operator: Operator,
    /// The import that is under way: of this process, or of one that was interrupted.
    journal: Option<Journal>,
    /// What is there of it.
    done: Done,
    config: Edit,
    /// The directory, locked until this is dropped.
    _lock: File,
}

/// Says what an interrupted import had added.
#[derive(Default)]
struct Done {
    users: BTreeSet<String>,
    authorities: BTreeSet<String>,
    servers: BTreeSet<String>,
}

impl Import {
    /// Takes hold of the installation in `home`, which `operator` reaches.
    ///
    /// # Errors
    /// [`ImportError::Busy`] if another import is at work, [`ImportError::Journal`] if the note of an interrupted one cannot be
    /// read, and whatever keeps this process from looking.
    pub fn open(home: &Home, mut operator: Operator) -> Result<Self, ImportError> {
        let lock = lock(home)?;
        let journal = Journal::read(home)?;
        let done = match &journal {
            Some(journal) => Done::of(journal, &mut operator)?,
            None => Done::default(),
        };
        Ok(Self { home: home.clone(), operator, journal, done, config: Edit::default(), _lock: lock })
    }

    /// Returns the import that was interrupted here, if one was.
    pub fn interrupted(&self) -> Option<&Journal> {
        self.journal.as_ref()
    }

    /// Adds to the refusals of the plan what of it does not fit into the installation.
    ///
    /// # Errors
    /// [`ImportError`] if the installation cannot be looked at.
    pub fn check(&mut self, plan: &mut Plan) -> Result<(), ImportError> {
        if let Some(journal) = self.journal.as_ref().filter(|journal| !journal.is_of(plan)) {
            plan.refusals.push(format!(
                "an import of {} was interrupted here, and these files or options say something else: {UNDO}, or give it just the \
                 files and options that it had, and it is finished",
                journal.source
            ));
            return Ok(());
        }
        self.check_users(plan)?;
        self.check_certificates(plan)?;
        self.check_rules(plan)?;
        self.config = self.edit(plan)?;
        Ok(())
    }

    /// Puts a plan into effect that was checked and has no refusals. Whatever fails, what was written is taken back.
    ///
    /// # Errors
    /// [`Failed`] says why, and what is there of the import.
    pub fn carry_out(&mut self, plan: &Plan, source: &str) -> Result<(), Failed> {
        let was_interrupted = self.journal.is_some();
        if let Err(why) = self.begin(plan, source) {
            let left = was_interrupted.then(|| "what the interrupted import had written".to_owned());
            return Err(failed(why, left.into_iter().collect()));
        }
        for step in steps::of(plan) {
            if let Err(why) = self.take(&step) {
                let left = self.undo().map(|taken_back| taken_back.left);
                return Err(failed(why, left.unwrap_or_else(|error| vec![error.to_string()])));
            }
        }
        self.finish().map_err(Failed::Noted)
    }

    /// Writes the note that says what follows.
    fn begin(&mut self, plan: &Plan, source: &str) -> Result<(), ImportError> {
        let began =
            self.journal.as_ref().map_or_else(|| clock::now().wall.0, |journal| journal.began_unix_ms);
        let journal = Journal::of(plan, source, began, self.config.clone());
        if self.journal.as_ref() != Some(&journal) {
            journal.write(&self.home)?;
            self.journal = Some(journal);
        }
        Ok(())
    }

    fn finish(&mut self) -> Result<(), ImportError> {
        Journal::remove(&self.home)?;
        self.journal = None;
        Ok(())
    }

    /// Refuses users that are here, but for those that the interrupted import added.
    fn check_users(&mut self, plan: &mut Plan) -> Result<(), ImportError> {
        let existing = users(&mut self.operator)?;
        let is_here = |name: &str| existing.iter().any(|row| row.name.eq_ignore_ascii_case(name));
        let taken = plan.names().map(|name| name.as_str());
        let taken: Vec<&str> =
            taken.filter(|name| !self.done.users.contains(*name) && is_here(name)).collect();
        if !taken.is_empty() {
            let why = "these users are here already; rename them there or remove them here";
            let why = format!("{why}: {}", taken.join(", "));
            plan.refusals.push(why);
        }
        Ok(())
    }

    /// Refuses names of certificates that are taken: what is there would be replaced.
    fn check_certificates(&mut self, plan: &mut Plan) -> Result<(), ImportError> {
        let (trusted, shown) = (authorities(&mut self.operator)?, servers(&mut self.operator)?);
        let is_held = |held: &[Certificates], name: &str| held.iter().any(|it| it.name == name);
        let authorities = plan.authorities.iter().map(|authority| &authority.trust.name);
        let authorities =
            authorities.filter(|name| is_held(&trusted, name) && !self.done.authorities.contains(*name));
        let servers = plan.servers.iter().map(|server| &server.name);
        let servers = servers.filter(|name| is_held(&shown, name) && !self.done.servers.contains(*name));
        let taken = authorities
            .map(|name| {
                format!("a trusted authority {name} is here already: keyward authority trust remove {name}")
            })
            .chain(servers.map(|name| {
                format!(
                    "a server certificate {name} is here already: keyward server certificate remove {name}"
                )
            }));
        let taken: Vec<String> = taken.collect();
        plan.refusals.extend(taken);
        Ok(())
    }

    /// Loads the rules that are there together with those of the plan.
    fn check_rules(&self, plan: &mut Plan) -> Result<(), ImportError> {
        let Rules { mut files, .. } = Rules::load(&self.home)?;
        let mut taken = Vec::new();
        for file in &plan.rules {
            match files.iter().find(|held| held.name == file.name) {
                Some(held) if self.journal.is_some() && held.text == file.text => {}
                Some(_) => taken.push(file.name.as_str()),
                None => files.push(SourceFile::new(file.name.clone(), file.text.clone())),
            }
        }
        if !taken.is_empty() {
            let why = match self.journal {
                None => "these files are there already",
                Some(_) => {
                    "these files are there, and not as the interrupted import wrote them; take them away"
                }
            };
            plan.refusals.push(format!("{why}: {}", taken.join(", ")));
            return Ok(());
        }
        if let Err(errors) = Policy::load(&files) {
            plan.refusals.push(format!("the rules do not load: {errors}"));
        }
        Ok(())
    }

    /// Returns `keyward.toml` as it is and as it will be.
    fn edit(&mut self, plan: &mut Plan) -> Result<Edit, ImportError> {
        let (_, text) = installation::settings(&self.home)?;
        let already = self.trusted_already(plan)?;
        match &self.journal {
            Some(Journal { config, .. }) if config.after == text => {
                configuration(&config.before, plan, &already);
                Ok(config.clone())
            }
            _ => Ok(Edit { after: configuration(&text, plan, &already), before: text }),
        }
    }

    /// Returns the authorities that are trusted here without the plan's doing.
    fn trusted_already(&mut self, plan: &Plan) -> Result<Vec<LocalName>, ImportError> {
        let held = authorities(&mut self.operator)?.into_iter().map(|held| held.name);
        let is_planned = |name: &str| plan.authorities.iter().any(|planned| planned.trust.name == name);
        let already = held.filter(|name| !is_planned(name)).map(|name| name.parse());
        already.collect::<Result<_, _>>().map_err(|_| ImportError::Answer)
    }
}

impl Done {
    fn of(journal: &Journal, operator: &mut Operator) -> Result<Self, ImportError> {
        let mark = journal.mark();
        let users = users(operator)?.into_iter().filter(|row| row.note == mark).map(|row| row.name);
        let names = |own: &[Certificates], held: &[Certificates]| {
            own.iter().filter(|it| held.contains(it)).map(|it| it.name.clone()).collect()
        };
        Ok(Self {
            users: users.collect(),
            authorities: names(&journal.authorities, &authorities(operator)?),
            servers: names(&journal.servers, &servers(operator)?),
        })
    }
}

fn failed(why: ImportError, left: Vec<String>) -> Failed {
    if left.is_empty() { Failed::TakenBack(why) } else { Failed::Left { why, left } }
}

/// Locks the directory of an installation for an import.
fn lock(home: &Home) -> Result<File, ImportError> {
    let path = home.directory().to_owned();
    let directory = File::open(&path).map_err(|source| ImportError::Lock { path: path.clone(), source })?;
    match directory.try_lock() {
        Ok(()) => Ok(directory),
        Err(TryLockError::WouldBlock) => Err(ImportError::Busy(path)),
        Err(TryLockError::Error(source)) => Err(ImportError::Lock { path, source }),
    }
}

/// Returns `keyward.toml` with the listeners of the plan. Where it names none, the default one is written out: it stays open,
/// unless its port is taken. If the plan has authorities, they count at its own listeners and at no other: one that heeds every
/// authority names those that are trusted `already`.
fn configuration(before: &str, plan: &mut Plan, already: &[LocalName]) -> String {
    let after = with_listeners(before, plan, already);
    let after = after.unwrap_or_else(|error| {
        plan.refusals.push(format!("the listeners do not fit into keyward.toml: {error}"));
        before.to_owned()
    });
    if after.len() > MAX_CONFIG_BYTES {
        plan.refusals.push(format!("with the listeners keyward.toml has more than {MAX_CONFIG_BYTES} bytes"));
    }
    after
}

fn with_listeners(before: &str, plan: &mut Plan, already: &[LocalName]) -> Result<String, EditError> {
    let has_authorities = !plan.authorities.is_empty();
    let unnamed = Listener { trusted: has_authorities.then(|| already.to_vec()), ..Listener::default() };
    let unnamed = (!plan.ports.contains(&MQTTS_PORT)).then_some(&unnamed);
    let mut text = before.to_owned();
    if has_authorities {
        let (named, listeners) = config::name_trusted(before, already)?;
        text = named;
        if !listeners.is_empty() {
            plan.next.push(format!(
                "the old authorities do not count at {}, which was there before: its section of keyward.toml names now those that did; \
                 add the old ones to `trusted` there if they should",
                listeners.join(", ")
            ));
        }
    }
    config::add_listeners(&text, &plan.listeners, unnamed)
}

fn call(operator: &mut Operator, what: &str, request: Request) -> Result<Response, ImportError> {
    let named = |source: CallError| ImportError::Call { what: what.to_owned(), source };
    operator.call(request).map_err(named)
}

fn users(operator: &mut Operator) -> Result<Vec<UserRow>, ImportError> {
    match call(operator, "the list of users", Request::UserList)? {
        Response::Users(rows) => Ok(rows),
        _ => Err(ImportError::Answer),
    }
}

/// Lists the authorities that are trusted.
fn authorities(operator: &mut Operator) -> Result<Vec<Certificates>, ImportError> {
    let certificates = |row: TrustedAuthorityRow| Certificates {
        name: row.name,
        fingerprints: row.fingerprints,
        proves: Some(row.proves),
    };
    match call(operator, "the list of trusted authorities", Request::AuthorityTrustList)? {
        Response::TrustedAuthorities(rows) => Ok(rows.into_iter().map(certificates).collect()),
        _ => Err(ImportError::Answer),
    }
}

/// Lists the server certificates that were imported.
fn servers(operator: &mut Operator) -> Result<Vec<Certificates>, ImportError> {
    let certificates = |row: ServerCertificateRow| Certificates {
        name: row.name,
        fingerprints: vec![row.fingerprint],
        proves: None,
    };
    match call(operator, "the list of server certificates", Request::ServerCertificateList)? {
        Response::ServerCertificates(rows) => Ok(rows.into_iter().map(certificates).collect()),
        _ => Err(ImportError::Answer),
    }
}
