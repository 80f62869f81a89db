//! Devices and users: how they prove themselves, and whether they should still be there.

use super::{Check, Facts, Profile, Step, Weakness};
use crate::quoting::quote;
use crate::whereabouts::{Ground, low_key};
use keyward_identity::{Account, Chip, Exposure, Power, Standing};
use keyward_ids::{Identity, Kind, SiteId, TypeId, UserId};
use std::fmt::Write;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "unconfirmed",
        from: Profile::Home,
        why: "nobody knows whether they were shut out after the backup that was restored; until then they stay out",
        look: unconfirmed,
    },
    Check {
        name: "quarantine",
        from: Profile::Home,
        why: "it reports nothing and takes no commands until a person has looked after it",
        look: quarantined,
    },
    Check {
        name: "weak-password",
        from: Profile::Home,
        why: "it was carried over from another broker, and is guessed quickly, by whoever has the file or by whoever tries",
        look: weak_passwords,
    },
    Check {
        name: "exposed-password",
        from: Profile::Home,
        why: "it was used without TLS before it was carried over: whoever listened has it, and comes in with it over TLS too",
        look: exposed_passwords,
    },
    Check {
        name: "device-password",
        from: Profile::Commercial,
        why: "a password that is read out of one device opens the door from anywhere, and is not noticed",
        look: device_passwords,
    },
    Check {
        name: "exposed-device",
        from: Profile::Commercial,
        why: "anybody can lay hands on it, and a chip without a secure element gives its key to whoever opens it",
        look: exposed,
    },
    Check {
        name: "low-key-level",
        from: Profile::Commercial,
        why: "what it signs is believed, and whoever carries it off copies its key: from then on two can sign as that device",
        look: low_keys,
    },
    Check {
        name: "unprotected-chip",
        from: Profile::Commercial,
        why: "whoever holds it for some minutes reads its key out of the flash, and is that device from then on",
        look: chips,
    },
    Check {
        name: "shared-login",
        from: Profile::Commercial,
        why: "nobody can tell who of them did something, and whoever is thrown out takes the others along",
        look: shared,
    },
    Check {
        name: "plain-mark",
        from: Profile::Commercial,
        why: "its password crosses the network in clear: whoever is on the way has it, and reads and changes what it says",
        look: marked,
    },
];

fn unconfirmed(facts: &Facts) -> Vec<Weakness> {
    let waiting =
        |account: &&std::sync::Arc<Account>| matches!(account.standing, Standing::Unconfirmed { .. });
    let count = facts.accounts.iter().filter(waiting).count();
    if count == 0 {
        return Vec::new();
    }
    let what = format!("{count} devices and users are not confirmed since a restore");
    vec![Weakness::new(what, Step::keyward("store confirm --help"))]
}

fn quarantined(facts: &Facts) -> Vec<Weakness> {
    let weakness = |account: &std::sync::Arc<Account>| {
        let (name, quarantine) = (account.identity.name(), account.quarantine.as_ref()?);
        let what = format!(
            "{} is in quarantine since {}, put there by the {}: {}",
            account.identity,
            quarantine.since,
            quarantine.by.name(),
            quarantine.because
        );
        let mend = vec![
            Step::by("look at the device: is it where it was, and is it one?"),
            Step::keyward(format!("device rekey {name}")),
            Step::keyward(format!("device release {name}")),
        ];
        Some(Weakness::new(what, mend))
    };
    facts.accounts.iter().filter_map(weakness).collect()
}

fn weak_passwords(facts: &Facts) -> Vec<Weakness> {
    let weakness = |account: &std::sync::Arc<Account>| {
        let note = account.password.as_ref().filter(|password| password.is_weak())?.note()?;
        let (identity, name) = (&account.identity, account.identity.name());
        let mend = Step::keyward(format!("{} passwd {name}", word(identity)));
        Some(Weakness::new(format!("the password of {identity} is {note}"), mend))
    };
    facts.accounts.iter().filter(|account| account.is_active()).filter_map(weakness).collect()
}

fn exposed_passwords(facts: &Facts) -> Vec<Weakness> {
    let weakness = |account: &std::sync::Arc<Account>| {
        let (identity, name) = (&account.identity, account.identity.name());
        let what = format!("the password of {identity} may have been read on the network");
        Weakness::new(what, Step::keyward(format!("{} passwd {name}", word(identity))))
    };
    let open = facts.accounts.iter().filter(|account| account.is_active());
    open.filter(|account| account.has_exposed_password()).map(weakness).collect()
}

/// Returns the command that changes such an account.
fn word(identity: &Identity) -> &'static str {
    match identity.kind() {
        Kind::User => "user",
        Kind::Device => "device",
    }
}

fn devices(facts: &Facts) -> impl Iterator<Item = &Account> {
    let accounts = facts.accounts.iter().map(|account| &**account);
    accounts.filter(|account| account.identity.kind() == Kind::Device && account.is_active())
}

fn device_passwords(facts: &Facts) -> Vec<Weakness> {
    let weakness = |account: &Account| {
        let what = format!("device {} proves itself with a password", account.identity.name());
        Weakness::new(what, anew(facts, account))
    };
    devices(facts).filter(|account| account.password.is_some()).map(weakness).collect()
}

/// Gives a device a new certificate and nothing else: it is removed and added again as what it was.
pub(super) fn anew(facts: &Facts, account: &Account) -> Vec<Step> {
    let id = account.identity.name();
    // Where its first bundle may lie still, nothing is written.
    let mut add = format!("device add {id} --out {id}-new");
    let mut flag = |name: &str, value: Option<&str>| {
        if let Some(value) = value {
            let _ = write!(add, " --{name} {}", quote(value));
        }
    };
    flag("type", account.device_type.as_ref().map(TypeId::as_str));
    flag("site", account.site.as_ref().map(SiteId::as_str));
    flag("exposure", account.exposure.map(Exposure::name));
    let place = &account.place;
    flag("gateway", place.gateway.as_deref());
    flag("circuit", place.circuit.as_deref());
    flag("power", place.power.map(Power::name));
    flag("interval", place.interval_secs.map(|secs| format!("{secs}s")).as_deref());
    flag("fence", place.fence.map(|fence| fence.to_string()).as_deref());
    flag("chip", account.chip.map(chip));
    let preset = facts.policy.as_ref().ok().and_then(|policy| policy.preset_of(&account.identity));
    if let Some(preset) = preset {
        flag("preset", Some(&preset.name));
        flag("topic", preset.topic.as_deref());
        flag("mac", preset.mac.as_deref());
    }
    let mut steps = vec![
        Step::by(format!("when somebody can go to {id} (what waits in its sessions is lost):")),
        Step::keyward(format!("device remove {id}")),
        Step::keyward(add),
        Step::by(format!("then give it the key and the certificate in {id}-new")),
    ];
    if let Some(preset) = preset.filter(|preset| preset.edited) {
        let file = &preset.file;
        steps.push(Step::by(format!("and put back into {file} what you had changed there: {file}.removed")));
    }
    steps
}

fn chip(chip: Chip) -> &'static str {
    match chip {
        Chip::Esp8266 => "esp8266",
        Chip::Esp32 => "esp32",
    }
}

fn exposed(facts: &Facts) -> Vec<Weakness> {
    let weakness = |account: &Account| {
        let id = account.identity.name();
        let mend = format!(
            "put device {id} behind a lock, or use a chip that keeps its key; let rules give it its own topics only"
        );
        Weakness::new(format!("device {id} stands where anybody can open it"), Step::by(mend))
    };
    // Of a key that is kept too badly `low-key-level` says more.
    let is_told = |account: &&Account| {
        facts
            .policy
            .as_ref()
            .is_ok_and(|policy| low_key(account, Exposure::Public, policy, facts.now).is_some())
    };
    let public = devices(facts).filter(|account| is_public(facts, account));
    public.filter(|account| !is_told(account)).map(weakness).collect()
}

fn is_public(facts: &Facts, account: &Account) -> bool {
    let ground = facts.config.as_ref().map(Ground::from).unwrap_or_default();
    ground.exposure(account).value == Exposure::Public
}

fn low_keys(facts: &Facts) -> Vec<Weakness> {
    let Ok(policy) = &facts.policy else { return Vec::new() };
    let weakness = |account: &Account| {
        let id = account.identity.name();
        let what = low_key(account, Exposure::Public, policy, facts.now)?;
        let mend = [
            Step::by(format!("give {id} a key that a chip keeps (docs/device.md), then:")),
            Step::keyward(format!("device rekey {id}")),
            Step::by("or put it behind a lock, then:"),
            Step::keyward(format!("device place {id} --exposure locked")),
        ];
        Some(Weakness::new(format!("device {id}: {what}"), mend))
    };
    devices(facts).filter(|account| is_public(facts, account)).filter_map(weakness).collect()
}

fn chips(facts: &Facts) -> Vec<Weakness> {
    let weakness = |account: &Account| {
        let (chip, mend) = match account.chip? {
            Chip::Esp8266 => ("ESP8266, which protects nothing", "use a chip that keeps its key"),
            Chip::Esp32 => (
                "ESP32",
                "burn its fuses for flash encryption and secure boot, or use a chip that keeps its key",
            ),
        };
        let id = account.identity.name();
        let mend = format!("{mend}; let rules give device {id} its own topics only");
        Some(Weakness::new(format!("device {id} is an {chip}"), Step::by(mend)))
    };
    devices(facts).filter_map(weakness).collect()
}

fn shared(facts: &Facts) -> Vec<Weakness> {
    let active = facts.accounts.iter().filter(|account| account.is_active());
    let weakness = |account: &std::sync::Arc<Account>| {
        let identity = &account.identity;
        // Who comes in without a login is a finding of its own.
        if is_anonymous(facts, identity) {
            return None;
        }
        let used = facts.client_ids.iter().find(|(known, count)| known == identity && *count > 1);
        let what = match used {
            Some((_, count)) => format!("{count} client ids use the login of {identity}"),
            None if has_preset_of_a_house(facts, identity) => {
                format!("{identity} has the preset home: one login for everything in a house")
            }
            None => return None,
        };
        let mend = [
            Step::by("add an account for each program and each device that uses it, then:"),
            Step::keyward(format!("{} remove {}", word(identity), identity.name())),
        ];
        Some(Weakness::new(what, mend))
    };
    active.filter_map(weakness).collect()
}

fn is_anonymous(facts: &Facts, identity: &Identity) -> bool {
    let Ok(config) = &facts.config else { return false };
    let is_named = |user: &UserId| *identity == Identity::User(user.clone());
    config.listeners.iter().any(|listener| listener.anonymous_as.as_ref().is_some_and(is_named))
}

fn has_preset_of_a_house(facts: &Facts, identity: &Identity) -> bool {
    let preset = facts.policy.as_ref().ok().and_then(|policy| policy.preset_of(identity));
    preset.is_some_and(|preset| preset.name == "home")
}

fn marked(facts: &Facts) -> Vec<Weakness> {
    let weakness = |account: &std::sync::Arc<Account>| {
        let (identity, name) = (&account.identity, account.identity.name());
        let kind = word(identity);
        let mend = [
            Step::by("let it speak TLS, then:"),
            Step::keyward(format!("{kind} plain {name} --clear")),
            Step::keyward(format!("{kind} passwd {name}")),
        ];
        Weakness::new(format!("{identity} is marked plain"), mend)
    };
    facts.accounts.iter().filter(|account| account.is_active() && account.plain).map(weakness).collect()
}
