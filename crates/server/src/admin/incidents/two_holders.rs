//! A message key that two hold: one number has two messages, or lies far behind one that was used earlier.

use super::Known;
use crate::backup::archive::hex;
use keyward_identity::{Account, SecondHolder, SecondHolderSign};
use serde_json::{Value, json};

pub(super) fn of(account: &Account) -> Option<Known> {
    let (held, found) = account.second_holder()?;
    let (device, kid, evidence) = (account.identity.name(), held.key.kid(), &found.evidence);
    let how = match evidence.sign {
        SecondHolderSign::Equivocation { .. } => {
            format!("signed two messages with the number {}", evidence.number)
        }
        SecondHolderSign::Behind => format!(
            "signed a message with the number {}, later than one with the number {}",
            evidence.number, evidence.highest
        ),
    };
    let what = format!(
        "the message key {kid} of device {device} {how}: two hold it, or the device has lost count. If you flashed the device \
         anew, give it another key (keyward device rekey {device}); else revoke it (keyward device revoke {device})"
    );
    Some((found.at, evidence_of(&kid.to_string(), evidence), what))
}

/// Returns what is known, without the message itself. Numbers are texts: programs that count in floating point would round them.
fn evidence_of(kid: &str, evidence: &SecondHolder) -> Value {
    let (proof, tags) = match evidence.sign {
        SecondHolderSign::Equivocation { tag, earlier } => {
            ("two-messages", Some([tag, earlier].map(|tag| format!("{tag:08x}"))))
        }
        SecondHolderSign::Behind => ("number-behind", None),
    };
    let [tag, earlier] = tags.map_or([None, None], |tags| tags.map(Some));
    json!({
        "key": kid,
        "proof": proof,
        "number": evidence.number.to_string(),
        "highest_number": evidence.highest.to_string(),
        "digest": hex(&evidence.digest),
        "tag": tag,
        "earlier_tag": earlier,
        "topic": evidence.topic,
        "hosts": evidence.hosts,
    })
}
