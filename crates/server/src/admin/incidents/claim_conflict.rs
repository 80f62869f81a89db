//! A claim code that came with another key after it was used, or from elsewhere than from the TPM that it is for.

use super::Known;
use keyward_identity::Account;
use serde_json::json;

pub(super) fn of(account: &Account) -> Option<Known> {
    let invitation = account.invitation.as_ref()?;
    let conflict = invitation.conflict.as_ref()?;
    let device = account.identity.name();
    let how = match (conflict.key, &invitation.claimed) {
        (Some(_), Some(_)) => "was used with two keys",
        (Some(_), None) => "came without evidence of the TPM that it is for",
        (None, _) => "was used, and came again more than an hour later",
    };
    let evidence = json!({
        "certified_key": invitation.claimed.as_ref().map(|claimed| claimed.key.to_string()),
        "other_key": conflict.key.map(|key| key.to_string()),
        "tpm": invitation.endorsement.map(|key| key.to_string()),
    });
    let what = format!(
        "the claim code of device {device} {how}: somebody else may hold it. If you do not know why, revoke the device \
         (keyward device revoke {device}); else give it a new code (keyward device invite {device} --replace)"
    );
    Some((conflict.at, evidence, what))
}
