//! What `keyward.toml` promises too little; what its listeners open is in `listeners`.

use super::{Check, Facts, Profile, Step, Weakness};
use crate::config::{Durability, Listener};
use crate::login::LoginRule;

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
        name: "no-bans",
        from: Profile::Home,
        why: "whoever reaches a listener may guess passwords for ever; they are slowed down, and never shut out",
        look: bans,
    },
    Check {
        name: "notify-files",
        from: Profile::Home,
        why: "who is to be told of incidents is told nothing",
        look: notify_files,
    },
];

fn valid(facts: &Facts) -> Vec<Weakness> {
    let refused = facts.config.as_ref().err().or(facts.refused_config.as_ref());
    let weakness = |what: &String| {
        Weakness::new(what.clone(), [Step::by("correct the line that is named"), Step::keyward("reload")])
            .unusable()
    };
    refused.map(weakness).into_iter().collect()
}

fn durability(facts: &Facts) -> Vec<Weakness> {
    let Ok(config) = &facts.config else { return Vec::new() };
    let (promise, numbers) = match config.store.durability {
        Durability::Synced => return Vec::new(),
        Durability::Os => (
            "\"os\": a crash of the system or a loss of power",
            "the numbers of the last seconds are lost with it, and what somebody captured of them counts once more",
        ),
        Durability::Memory => (
            "\"memory\": every end of the broker",
            "no number is known from before a start, so what devices signed before it is refused then",
        ),
    };
    let mend = || Step::by("set store.durability = \"synced\" in keyward.toml, then restart the broker");
    let messages = Weakness::new(format!("store.durability is {promise} loses messages"), mend());
    let required = facts.policy.iter().flat_map(|policy| policy.required_signatures()).next();
    let signed = required.map(|place| {
        let what = format!("{} requires signed messages, of which each counts once: {numbers}", place.cite());
        Weakness::new(what, mend())
    });
    [messages].into_iter().chain(signed).collect()
}

fn notify_files(facts: &Facts) -> Vec<Weakness> {
    let weakness = |what: &String| {
        Weakness::new(what.clone(), [Step::by("make the file usable"), Step::keyward("notify test")])
    };
    facts.notify_files.iter().map(weakness).collect()
}

fn bans(facts: &Facts) -> Vec<Weakness> {
    let Ok(config) = &facts.config else { return Vec::new() };
    let takes_passwords =
        |listener: &Listener| listener.is_on_network() && listener.login != LoginRule::Certificate;
    if config.limits.plane.ban_after != 0 || !config.listeners.iter().any(takes_passwords) {
        return Vec::new();
    }
    let mend = Step::by("take the line ban_after out of [limits] in keyward.toml, then restart the broker");
    vec![Weakness::new("limits.ban_after is 0: no address is ever banned for failed logins", mend)]
}
