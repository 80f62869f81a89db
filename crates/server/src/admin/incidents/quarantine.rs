//! A device in quarantine, until it is released.

use super::Known;
use keyward_identity::Account;
use serde_json::json;

pub(super) fn of(account: &Account) -> Option<Known> {
    let quarantine = account.quarantine.as_ref()?;
    let (device, by) = (account.identity.name(), quarantine.by.name());
    let what = format!(
        "device {device} is in quarantine, put there by the {by}: {}. It has its recovery topics only. When it is sound again, with \
         new keys if somebody else may hold the old ones (keyward device rekey {device}), release it: keyward device \
         release {device}",
        quarantine.because
    );
    Some((quarantine.since, json!({ "by": by, "because": quarantine.because }), what))
}
