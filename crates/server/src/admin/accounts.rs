//! What devices and users have in common: names, standing, credentials.

use crate::{
    control::{NewCredential, Refusal, Secret, Standing},
    escape::escape_cut,
};
use keyward_identity::{self as identity, Account, ImportedHash, KeySource};

pub(super) fn bad_name(what: &str, name: &str, error: &dyn std::fmt::Display) -> Refusal {
    Refusal::invalid(format!("{what} '{}' {error}", escape_cut(name, keyward_ids::MAX_NAME_LEN)))
}

pub(super) fn standing(account: &Account) -> Standing {
    match account.standing {
        identity::Standing::Active => Standing::Active,
        identity::Standing::Disabled | identity::Standing::Unconfirmed { .. } => Standing::Disabled,
        identity::Standing::Revoked { .. } => Standing::Revoked,
        identity::Standing::Removed => Standing::Removed,
    }
}

/// Returns when the ledger was restored since which nobody confirmed the identity.
pub(super) fn unconfirmed_since(account: &Account) -> Option<u64> {
    match account.standing {
        identity::Standing::Unconfirmed { restored } => Some(restored.0),
        _ => None,
    }
}

pub(super) fn password(password: crate::control::NewPassword) -> Result<identity::NewPassword, Refusal> {
    Ok(match password {
        crate::control::NewPassword::Generated => identity::NewPassword::Generate,
        crate::control::NewPassword::Chosen(secret) => {
            identity::NewPassword::Chosen(identity::Secret::new(secret.expose().as_bytes().to_vec()))
        }
        crate::control::NewPassword::Imported(hash) => identity::NewPassword::Imported(imported(&hash)?),
        crate::control::NewPassword::Exposed(hash) => identity::NewPassword::Exposed(imported(&hash)?),
    })
}

fn imported(hash: &Secret) -> Result<ImportedHash, Refusal> {
    let parsed = ImportedHash::parse(hash.expose());
    parsed.map_err(|why| Refusal::invalid(format!("the imported password {why}")))
}

pub(super) fn credential(
    new: NewCredential,
    lifetime_days: Option<u32>,
) -> Result<identity::NewCredential, Refusal> {
    Ok(match new {
        NewCredential::Csr(der) => {
            identity::NewCredential::Certificate { key: KeySource::Csr(der.0), lifetime_days }
        }
        NewCredential::None => identity::NewCredential::None,
        NewCredential::Password(new) => identity::NewCredential::Password(password(new)?),
    })
}

/// Says what is to be known of a password: that it was imported, that it is weak, that it may have been read.
pub(super) fn password_note(account: &Account) -> Option<String> {
    let exposed = account.has_exposed_password().then(|| "may have been read on the network".to_owned());
    let notes: Vec<String> = account.password.as_ref()?.note().into_iter().chain(exposed).collect();
    (!notes.is_empty()).then(|| notes.join("; "))
}

pub(super) fn shown(password: Option<&identity::Secret>) -> Option<Secret> {
    password.map(|secret| Secret::new(secret.expose_text().to_owned()))
}
