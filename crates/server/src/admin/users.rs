//! Users: adding, listing, removing, passwords.

use super::{
    Admin, Turn,
    accounts::{bad_name, credential, password, password_note, shown, standing, unconfirmed_since},
    presets::PresetFile,
};
use crate::{
    config::Config,
    control::{NewPassword, Refusal, Response, UserAdd, UserAdded, UserRow},
    wiring::subject,
};
use keyward_identity::{Account, AddUser, Command, Outcome, Standing};
use keyward_ids::{Identity, Kind, UserId};
use keyward_policy::{Policy, Subject};
use std::sync::Arc;

pub(super) fn user(name: &str) -> Result<UserId, Refusal> {
    UserId::parse(name).map_err(|error| bad_name("user name", name, &error))
}

impl Turn<'_> {
    pub(super) fn add_user(&mut self, add: UserAdd) -> Result<Response, Refusal> {
        let id = user(&add.name)?;
        let new = Subject::new(Identity::User(id.clone()));
        // What cannot be had at all comes before what can be accepted.
        self.admin.registrar.check_free(&new.identity)?;
        let preset = self.prepare_preset(add.preset.as_ref(), &new, add.allow_overlap)?;
        let config = self.admin.config()?;
        let credential = credential(add.credential, config.days_of(None))?;
        let user = AddUser { id, plain: add.plain, note: add.note, credential };
        let command = Command::AddUser(user);
        let (outcome, in_force) = self.with_preset(preset.as_ref(), |turn| turn.command(command))?;
        let mut notes: Vec<String> = super::incomplete(in_force).into_iter().collect();
        notes.extend(preset.iter().flat_map(PresetFile::notes));
        self.user_answer(&new.identity, &outcome, &config, notes)
    }

    pub(super) fn set_password(&mut self, name: &str, new: NewPassword) -> Result<Response, Refusal> {
        let identity = Identity::User(user(name)?);
        // What can fail comes before the change: a generated password is shown once.
        let config = self.admin.config()?;
        let command = Command::SetPassword { identity: identity.clone(), password: password(new)? };
        let (outcome, in_force) = self.command(command)?;
        let mut notes: Vec<String> = super::incomplete(in_force).into_iter().collect();
        if let Some(closed) = in_force.map(|in_force| in_force.closed_links).filter(|closed| *closed > 0) {
            notes.push(format!("links that were opened with the old password and are closed now: {closed}"));
        }
        self.user_answer(&identity, &outcome, &config, notes)
    }

    fn user_answer(
        &mut self,
        identity: &Identity,
        outcome: &Outcome,
        config: &Config,
        mut notes: Vec<String>,
    ) -> Result<Response, Refusal> {
        let account = self.admin.account(identity)?;
        let user = self.admin.user_row(&account, self.admin.policy().ok().as_deref(), &[]);
        if !user.has_rights {
            notes.push(idle(identity));
        }
        Ok(Response::UserAdded(Box::new(UserAdded {
            user,
            installation: self.admin.registrar.registry().installation().to_string(),
            certificate_pem: outcome.certificate.as_ref().map(|issued| issued.chain_pem.clone()),
            ca_pem: self.admin.registrar.ca_pem(),
            installation_key_pem: self.admin.installation_key_pem(),
            password: shown(outcome.password.as_ref()),
            reach: self.admin.reach(config),
            notes,
        })))
    }

    pub(super) fn remove_user(&mut self, name: &str) -> Result<Response, Refusal> {
        let identity = Identity::User(user(name)?);
        let spelling = self.admin.account(&identity)?.identity.name().to_owned();
        let (_, in_force) = self.command(Command::Remove { identity: identity.clone() })?;
        let notes = self.remove_preset(&identity);
        let what = format!("User {spelling} is removed; the old password never comes back.");
        Ok(Response::Changed(self.changed(what, in_force, notes)))
    }
}

/// Says that a user may do nothing yet; the command line adds a rule to paste.
fn idle(identity: &Identity) -> String {
    format!("{identity} can log in and do nothing else: no rule names it")
}

impl Admin {
    pub(super) fn list_users(&self) -> Result<Response, Refusal> {
        let registry = self.registrar.registry();
        let mut accounts: Vec<_> = registry
            .accounts()
            .filter(|account| account.identity.kind() == Kind::User && account.standing != Standing::Removed)
            .collect();
        accounts.sort_by(|a, b| a.identity.cmp(&b.identity));
        let identities: Vec<&Identity> = accounts.iter().map(|account| &account.identity).collect();
        let links = self.running.as_ref().map(|running| running.live.links(&identities)).unwrap_or_default();
        let sessions =
            self.running.as_ref().map(|running| running.live.sessions(&identities)).unwrap_or_default();
        let policy = self.policy().ok();
        let row = |(n, account): (usize, &Arc<Account>)| {
            let row = self.user_row(account, policy.as_deref(), links.get(n..=n).unwrap_or_default());
            UserRow { client_ids: sessions.get(n).copied(), ..row }
        };
        Ok(Response::Users(accounts.into_iter().enumerate().map(row).collect()))
    }

    fn user_row(&self, account: &Account, policy: Option<&Policy>, links: &[usize]) -> UserRow {
        let rights = policy.map(|policy| policy.rights(&subject(account)));
        UserRow {
            name: account.identity.name().to_owned(),
            standing: standing(account),
            unconfirmed_since_unix_ms: unconfirmed_since(account),
            plain: account.plain,
            added_unix_ms: account.created.0,
            password_note: password_note(account),
            has_rights: rights.is_some_and(|rights| !rights.allows_nothing()),
            links: self.running.as_ref().map(|_| links.first().copied().unwrap_or(0)),
            preset: Self::preset_name(policy, &account.identity),
            client_ids: None,
            note: account.note.clone(),
        }
    }
}
