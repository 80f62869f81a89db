//! What `keyward.toml` opens or promises too little.

use super::{Check, Facts, Mend, Profile, Weakness};
use crate::config::Durability;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "configuration-valid",
        from: Profile::Home,
        why: "with a file that is not valid the broker does not start, and a reload changes nothing",
        look: valid,
    },
    Check {
        name: "durability",
        from: Profile::Home,
        why: "what the broker has acknowledged can be lost with the power",
        look: durability,
    },
    Check {
        name: "plain-listener",
        from: Profile::Home,
        why: "passwords and messages can be read and changed by anybody on the way",
        look: plain,
    },
    Check {
        name: "anonymous",
        from: Profile::Home,
        why: "whoever reaches the listener is let in, without showing anything",
        look: anonymous,
    },
    Check {
        name: "password-login",
        from: Profile::Commercial,
        why: "a password can be copied, guessed and shared; a certificate belongs to one key",
        look: passwords,
    },
];

fn valid(facts: &Facts) -> Vec<Weakness> {
    let refused = facts.config.as_ref().err().or(facts.refused_config.as_ref());
    let weakness = |what: &String| {
        Weakness::new(
            what.clone(),
            Mend::by("correct the line that is named; `keyward reload` says whether it is good"),
        )
        .unusable()
    };
    refused.map(weakness).into_iter().collect()
}

fn durability(facts: &Facts) -> Vec<Weakness> {
    let Ok(config) = &facts.config else { return Vec::new() };
    let promise = match config.store.durability {
        Durability::Synced => return Vec::new(),
        Durability::Os => "\"os\": a crash of the system or a loss of power",
        Durability::Memory => "\"memory\": every end of the broker",
    };
    let mend = Mend::by("set store.durability = \"synced\" in keyward.toml, then restart the broker");
    vec![Weakness::new(format!("store.durability is {promise} loses messages"), mend)]
}

fn plain(facts: &Facts) -> Vec<Weakness> {
    let Ok(config) = &facts.config else { return Vec::new() };
    let open = config.listeners.iter().filter(|listener| listener.is_plain_network());
    let weakness = |listener: &crate::config::Listener| {
        let from: Vec<String> = listener.from.iter().map(ToString::to_string).collect();
        let what = format!(
            "listener {} speaks MQTT without TLS on the network, to {}",
            listener.name,
            from.join(", ")
        );
        Weakness::new(what, Mend::keyward(format!("listener remove {}", listener.name)))
    };
    open.map(weakness).collect()
}

fn anonymous(facts: &Facts) -> Vec<Weakness> {
    let Ok(config) = &facts.config else { return Vec::new() };
    let weakness = |listener: &crate::config::Listener| {
        let user = listener.anonymous_as.as_ref()?;
        let what = format!("listener {}: clients that show nothing become user:{user}", listener.name);
        Some(Weakness::new(
            what,
            Mend::by(format!("take anonymous_as out of listener {} in keyward.toml", listener.name)),
        ))
    };
    config.listeners.iter().filter_map(weakness).collect()
}

fn passwords(facts: &Facts) -> Vec<Weakness> {
    let Ok(config) = &facts.config else { return Vec::new() };
    let reachable = |listener: &&crate::config::Listener| {
        listener.tls && listener.address().is_some_and(|address| !address.is_loopback())
    };
    let lax =
        config.listeners.iter().filter(reachable).filter(|listener| !listener.login.needs_certificate());
    let weakness = |listener: &crate::config::Listener| {
        let what = format!("listener {} lets clients in with a password alone", listener.name);
        let mend = format!(
            "set login = \"certificate\" for listener {} in keyward.toml, once all clients have one",
            listener.name
        );
        Weakness::new(what, Mend::by(mend))
    };
    lax.map(weakness).collect()
}
