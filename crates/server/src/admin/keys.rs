//! The keys by which devices sign their messages, and those to which is encrypted for devices and users.

use super::{Admin, Turn, accounts::bad_name};
use crate::{
    control::{Der, KeysAdd, MessageKeyRow, MessageKeyState, Purpose, Refusal, Response, TpmRow},
    escape::escape_cut,
    installation,
};
use base64ct::{Base64, Encoding};
use keyward_identity::{
    Account, AgreementKey, Command, HeldAgreementKey, HeldMessageKey, Kid, MessageKey, MessageKeyStatus,
    WallTime,
};
use keyward_ids::{DeviceId, Identity};

impl Turn<'_> {
    pub(super) fn add_message_key(&mut self, add: &KeysAdd) -> Result<Response, Refusal> {
        let identity = holder(&add.id)?;
        let Der(bytes) = &add.key;
        let refused = keyward_identity::Refusal::from;
        let (kid, command) = match add.purpose {
            Purpose::Sign => {
                let key = MessageKey::read_file(bytes, add.level).map_err(refused)?;
                (key.kid(), Command::RegisterMessageKey { identity: identity.clone(), key })
            }
            Purpose::Encrypt => {
                let key = AgreementKey::read_file(bytes).map_err(refused)?;
                (key.kid(), Command::RegisterAgreementKey { identity: identity.clone(), key })
            }
        };
        self.command(command)?;
        let account = self.admin.account(&identity)?;
        let kid = kid.to_string();
        let added = rows(&account, self.now).into_iter().filter(|row| row.kid == kid);
        Ok(Response::MessageKeys(added.collect()))
    }

    pub(super) fn retire_message_key(
        &mut self,
        id: &str,
        kid: &str,
        overlap_secs: u64,
    ) -> Result<Response, Refusal> {
        let (identity, kid) = (holder(id)?, parse_kid(kid)?);
        let command = Command::RetireMessageKey { identity: identity.clone(), kid, overlap_secs };
        let (outcome, in_force) = self.command(command)?;
        let account = self.admin.account(&identity)?;
        let kid = kid.to_string();
        let row = rows(&account, self.now).into_iter().find(|row| row.kid == kid);
        let encrypts = row.as_ref().is_some_and(|row| row.purpose == Purpose::Encrypt);
        let what = match encrypts {
            true => format!("Something is encrypted to the key {kid} of {identity}"),
            false => format!("What {identity} signs by the key {kid} is accepted"),
        };
        let until = row.and_then(|row| row.until_unix_ms).map(WallTime);
        let what = match until.filter(|until| *until > self.now) {
            Some(until) => format!("{what} until {until}."),
            None => format!("{what} no more."),
        };
        let already = (!outcome.changed).then(|| "it was retired already".to_owned());
        Ok(Response::Changed(self.changed(what, in_force, already.into_iter().collect())))
    }

    pub(super) fn withdraw_message_key(&mut self, id: &str, kid: &str) -> Result<Response, Refusal> {
        let (identity, kid) = (holder(id)?, parse_kid(kid)?);
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
            Some(id) => vec![self.account(&holder(id)?)?],
            None => registry.accounts().cloned().collect(),
        };
        accounts.sort_by(|a, b| a.identity.cmp(&b.identity));
        Ok(Response::MessageKeys(accounts.iter().flat_map(|account| rows(account, now)).collect()))
    }
}

/// Reads whose keys are meant: a device's if no kind is said.
pub(super) fn holder(id: &str) -> Result<Identity, Refusal> {
    match id.contains(':') {
        true => id.parse().map_err(|error| bad_name("device or user", id, &error)),
        false => id.parse::<DeviceId>().map(Identity::Device).map_err(|error| bad_name("device", id, &error)),
    }
}

fn parse_kid(kid: &str) -> Result<Kid, Refusal> {
    kid.parse().map_err(|error| Refusal::invalid(format!("'{}' {error}", escape_cut(kid, 80))))
}

pub(super) fn rows(account: &Account, now: WallTime) -> Vec<MessageKeyRow> {
    let signing = account.message_keys.iter().map(|held| signing_row(account, held, now));
    signing.chain(account.agreement_keys.iter().map(|held| agreement_row(account, held, now))).collect()
}

fn signing_row(account: &Account, held: &HeldMessageKey, now: WallTime) -> MessageKeyRow {
    MessageKeyRow {
        kid: held.key.kid().to_string(),
        purpose: Purpose::Sign,
        algorithm: held.key.algorithm().name().to_owned(),
        level: Some(held.key.level()),
        tpm: held.endorsement.as_ref().map(|by| TpmRow { fingerprint: by.key.to_string(), named: by.named }),
        public_key: Base64::encode_string(&held.key.cose()),
        ..row(account, held.status(now), held.until, held.registered)
    }
}

fn agreement_row(account: &Account, held: &HeldAgreementKey, now: WallTime) -> MessageKeyRow {
    MessageKeyRow {
        kid: held.key.kid().to_string(),
        public_key: Base64::encode_string(&held.key.cose()),
        ..row(account, held.status(now), held.until, held.registered)
    }
}

/// Says of a key what does not depend on its purpose.
fn row(
    account: &Account,
    status: MessageKeyStatus,
    until: Option<WallTime>,
    registered: WallTime,
) -> MessageKeyRow {
    let name = |of: bool| of.then(|| account.identity.name().to_owned());
    let is_device = matches!(account.identity, Identity::Device(_));
    MessageKeyRow {
        device: name(is_device),
        user: name(!is_device),
        kid: String::new(),
        purpose: Purpose::Encrypt,
        algorithm: "ECDH-ES".to_owned(),
        level: None,
        tpm: None,
        state: match status {
            MessageKeyStatus::Active => MessageKeyState::Active,
            MessageKeyStatus::Overlapping { .. } => MessageKeyState::Overlapping,
            MessageKeyStatus::Retired { .. } => MessageKeyState::Retired,
        },
        until_unix_ms: until.map(|until| until.0),
        registered_unix_ms: registered.0,
        public_key: String::new(),
    }
}
