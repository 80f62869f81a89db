//! The keys by which devices sign their messages.

use super::{Admin, Turn, accounts::bad_name};
use crate::{
    control::{Der, KeysAdd, MessageKeyRow, MessageKeyState, Refusal, Response},
    escape::escape_cut,
    installation,
};
use base64ct::{Base64, Encoding};
use keyward_identity::{Account, Command, HeldMessageKey, Kid, MessageKey, MessageKeyStatus, WallTime};
use keyward_ids::{DeviceId, Identity, Kind};

impl Turn<'_> {
    pub(super) fn add_message_key(&mut self, add: &KeysAdd) -> Result<Response, Refusal> {
        let identity = device(&add.id)?;
        let Der(bytes) = &add.key;
        let key = MessageKey::read_file(bytes, add.level).map_err(keyward_identity::Refusal::from)?;
        let kid = key.kid();
        self.command(Command::RegisterMessageKey { identity: identity.clone(), key })?;
        let account = self.admin.account(&identity)?;
        let added = account.message_keys.iter().filter(|held| held.key.kid() == kid);
        Ok(Response::MessageKeys(added.map(|held| row(&account, held, self.now)).collect()))
    }

    pub(super) fn retire_message_key(
        &mut self,
        id: &str,
        kid: &str,
        overlap_secs: u64,
    ) -> Result<Response, Refusal> {
        let (identity, kid) = (device(id)?, parse_kid(kid)?);
        let command = Command::RetireMessageKey { identity: identity.clone(), kid, overlap_secs };
        let (outcome, in_force) = self.command(command)?;
        let account = self.admin.account(&identity)?;
        let until =
            account.message_keys.iter().find(|held| held.key.kid() == kid).and_then(|held| held.until);
        let what = match until.filter(|until| *until > self.now) {
            Some(until) => format!("What {identity} signs by the key {kid} is accepted until {until}."),
            None => format!("What {identity} signs by the key {kid} is accepted no more."),
        };
        let already = (!outcome.changed).then(|| "it was retired already".to_owned());
        Ok(Response::Changed(self.changed(what, in_force, already.into_iter().collect())))
    }

    pub(super) fn withdraw_message_key(&mut self, id: &str, kid: &str) -> Result<Response, Refusal> {
        let (identity, kid) = (device(id)?, parse_kid(kid)?);
        let (_, in_force) = self.command(Command::WithdrawMessageKey { identity: identity.clone(), kid })?;
        let what = format!("The key {kid} is no key of {identity} any more.");
        Ok(Response::Changed(self.changed(what, in_force, Vec::new())))
    }
}

impl Admin {
    pub(super) fn message_keys(&self, id: Option<&str>) -> Result<Response, Refusal> {
        let now = installation::wall_time();
        let registry = self.registrar.registry();
        let mut accounts: Vec<_> = match id {
            Some(id) => vec![self.account(&device(id)?)?],
            None => registry.accounts().filter(|it| it.identity.kind() == Kind::Device).cloned().collect(),
        };
        accounts.sort_by(|a, b| a.identity.cmp(&b.identity));
        let rows = accounts.iter().flat_map(|it| it.message_keys.iter().map(|held| row(it, held, now)));
        Ok(Response::MessageKeys(rows.collect()))
    }
}

fn device(id: &str) -> Result<Identity, Refusal> {
    id.parse::<DeviceId>().map(Identity::Device).map_err(|error| bad_name("device", id, &error))
}

fn parse_kid(kid: &str) -> Result<Kid, Refusal> {
    kid.parse().map_err(|error| Refusal::invalid(format!("'{}' {error}", escape_cut(kid, 80))))
}

fn row(account: &Account, held: &HeldMessageKey, now: WallTime) -> MessageKeyRow {
    MessageKeyRow {
        device: account.identity.name().to_owned(),
        kid: held.key.kid().to_string(),
        algorithm: held.key.algorithm().name().to_owned(),
        level: held.key.level(),
        state: match held.status(now) {
            MessageKeyStatus::Active => MessageKeyState::Active,
            MessageKeyStatus::Overlapping { .. } => MessageKeyState::Overlapping,
            MessageKeyStatus::Retired { .. } => MessageKeyState::Retired,
        },
        until_unix_ms: held.until.map(|until| until.0),
        registered_unix_ms: held.registered.0,
        public_key: Base64::encode_string(&held.key.cose()),
    }
}
