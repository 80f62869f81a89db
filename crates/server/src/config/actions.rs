//! What follows by itself from what the watch finds: `[watch.actions]`.
//!
//! Nothing but proof shuts a device out: what anybody can bring about by failing to log in, by saying what was said before or by speaking without a
//! signature would make the broker a weapon against its devices.

use super::error::{ConfigError, Places};
use keyward_watch::finding::Class;
use serde::Deserialize;
use std::collections::BTreeMap;
use toml::Spanned;

/// What can be proven by a device's own signature or credential, and is not proven in the ledger.
const PROVABLE: [Class; 5] = [
    Class::EpochsInterleave,
    Class::NumbersBehind,
    Class::KeyLevelFell,
    Class::StaleRatchet,
    Class::Tampered,
];

/// What nobody proves, and keys may be withheld for: that a device is in other hands. A person gives them back by one command.
pub(crate) const IN_OTHER_HANDS: [Class; 3] = [Class::DestroyedOrStolen, Class::TheftSuspected, Class::Moved];

/// Says what follows by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// Somebody is told.
    #[default]
    Notify,
    /// Its device is taken out of its groups, which get new keys: it reads nothing more of what they are told.
    Withhold,
    /// If it is proven, its device goes into quarantine.
    Quarantine,
    /// If it is proven, its device is revoked.
    Revoke,
}

/// Is `[watch.actions]` as it is written: a kind of incident and what follows.
pub(super) type File = BTreeMap<Spanned<String>, Spanned<Action>>;

/// Holds what follows by itself from each kind of incident.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Actions(BTreeMap<Class, Action>);

impl Actions {
    /// Returns what follows from a kind, if it is proven. That two starts of a device speak in turns proves, as two messages under one number do, that two
    /// hold its key: `two_holders` says what follows if nothing else does.
    pub fn of(&self, class: Class, two_holders: bool) -> Action {
        let usual = match class {
            Class::EpochsInterleave if two_holders => Action::Quarantine,
            _ => Action::Notify,
        };
        self.0.get(&class).copied().unwrap_or(usual)
    }
}

pub(super) fn validate(raw: &File, places: &Places<'_>) -> Result<Actions, Vec<ConfigError>> {
    let (mut actions, mut errors) = (BTreeMap::new(), Vec::new());
    for (kind, action) in raw {
        let Some(class) = Class::ALL.iter().find(|class| class.word() == kind.get_ref()) else {
            errors.push(places.error(&kind.span(), "a kind of incident, as docs/watch.md lists them"));
            continue;
        };
        match (*class, *action.get_ref()) {
            (Class::Equivocation, _) => {
                errors.push(places.error(&kind.span(), "`two_holders` of [quarantine] in its place"));
            }
            (class, action) if action == Action::Notify || PROVABLE.contains(&class) => {
                actions.insert(class, action);
            }
            (class, Action::Withhold) if IN_OTHER_HANDS.contains(&class) => {
                actions.insert(class, Action::Withhold);
            }
            (class, _) => {
                let provable = PROVABLE.map(Class::word).join(", ");
                let or = if IN_OTHER_HANDS.contains(&class) { " or \"withhold\"" } else { "" };
                let expected = format!(
                    "\"notify\"{or}, for no signature proves this kind: anybody could shut a device out by it (what can be proven: {provable})"
                );
                errors.push(places.error(&action.span(), expected));
            }
        }
    }
    if errors.is_empty() { Ok(Actions(actions)) } else { Err(errors) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn actions(text: &str) -> Result<Actions, String> {
        let config = Config::parse("keyward.toml", &format!("[watch.actions]\n{text}"));
        config.map(|config| config.actions).map_err(|errors| errors.to_string())
    }

    #[test]
    fn what_is_proven_may_shut_a_device_out_if_somebody_says_so() {
        let none = actions("").unwrap();
        assert_eq!(none.of(Class::EpochsInterleave, true), Action::Quarantine, "as `two_holders` says");
        assert_eq!(none.of(Class::EpochsInterleave, false), Action::Notify);
        assert_eq!(none.of(Class::KeyLevelFell, true), Action::Notify);
        let some =
            actions("key-level-fell = \"quarantine\"\ntampered = \"revoke\"\nepochs-interleave = \"notify\"")
                .unwrap();
        assert_eq!(some.of(Class::KeyLevelFell, true), Action::Quarantine);
        assert_eq!(some.of(Class::Tampered, true), Action::Revoke);
        assert_eq!(some.of(Class::EpochsInterleave, true), Action::Notify);
    }

    #[test]
    fn what_anybody_can_bring_about_shuts_nobody_out() {
        for class in
            Class::ALL.iter().filter(|class| !PROVABLE.contains(class) && **class != Class::Equivocation)
        {
            assert!(actions(&format!("{class} = \"notify\"")).is_ok(), "{class}");
            let is_withheld = actions(&format!("{class} = \"withhold\"")).is_ok();
            assert_eq!(is_withheld, IN_OTHER_HANDS.contains(class), "{class}");
            for action in ["quarantine", "revoke"] {
                let error = actions(&format!("{class} = \"{action}\"")).unwrap_err();
                let column = class.word().len() + 4;
                assert!(
                    error.contains(&format!("keyward.toml:2:{column}: watch.actions.{class}")),
                    "{error}"
                );
                assert!(error.contains("no signature proves"), "{error}");
            }
        }
    }

    #[test]
    fn what_is_written_wrong_is_named() {
        for (text, what) in [
            ("theft = \"notify\"", "2:1: watch.actions.theft: expected a kind of incident"),
            ("tampered = \"explode\"", "watch.actions.tampered"),
            ("equivocation = \"revoke\"", "two_holders"),
        ] {
            let error = actions(text).unwrap_err();
            assert!(error.contains(what), "{text}: {error}");
        }
    }
}
