//! A claim code that came with another key after it was used.

use super::Known;
use keyward_identity::Account;
use serde_json::json;

pub(super) fn of(account: &Account) -> Option<Known> {
    let invitation = account.invitation.as_ref()?;
    let conflict = invitation.conflict.as_ref()?;
    let device = account.identity.name();
    let how = match conflict.key {
        Some(_) => "was used with two keys",
        None => "was used, and came again more than an hour later",
    };
    let evidence = json!({
        "certified_key": invitation.claimed.as_ref().map(|claimed| claimed.key.to_string()),
        "other_key": conflict.key.map(|key| key.to_string()),
    });
    let what = format!(
        "the claim code of device {device} {how}: somebody else may hold it. If you do not know why, revoke the device \
         (keyward device revoke {device}); else give it a new code (keyward device invite {device} --replace)"
    );
    Some((conflict.at, evidence, what))
}
