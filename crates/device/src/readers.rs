//! Who may read what the device says: everybody whom the broker lets, or who holds a key.

use crate::batch::{any_matches, check_filters};
use crate::limits::RULES;
use keyward_envelope::PublicKey;

/// Says for whom what is said on some topics is encrypted, inside the signature.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncryptRule {
    /// Topic filters.
    pub topics: Vec<String>,
    /// Who reads it.
    pub readers: Readers,
}

/// Says who reads what is encrypted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Readers {
    /// Who holds the other half of this key of P-256.
    Holder(PublicKey),
    /// The members of this group; the device is one of them.
    Group(String),
}

/// Finds the readers of a topic; the first rule that names it counts, and everybody reads what no rule names.
pub(crate) fn of<'r>(rules: &'r [EncryptRule], topic: &str) -> Option<&'r Readers> {
    rules.iter().find(|rule| any_matches(&rule.topics, topic)).map(|rule| &rule.readers)
}

/// Looks at what an owner wrote: a filter that matches nothing would leave open what was to be closed.
pub(crate) fn check(rules: &[EncryptRule]) -> Result<(), String> {
    if rules.len() > RULES {
        return Err(format!("{} rules of encryption, and {RULES} are the most", rules.len()));
    }
    for EncryptRule { topics, readers } in rules {
        if topics.is_empty() {
            return Err(
                "a rule of encryption needs `topics`: filters of the topics that it is for".to_owned()
            );
        }
        check_filters(topics)?;
        if matches!(readers, Readers::Holder(key) if key.to_sec1().is_none()) {
            return Err("the key of a reader is one of P-256; with another nobody can agree".to_owned());
        }
    }
    Ok(())
}
