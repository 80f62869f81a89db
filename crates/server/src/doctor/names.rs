//! By which names clients find the broker.

use super::{Check, Facts, Profile, StartedBy, Step, Weakness};

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "unnamed",
        from: Profile::Commercial,
        why: "clients are given an address, and lose the broker when the address changes",
        look: unnamed,
    },
    Check {
        name: "unnamed-container",
        from: Profile::Home,
        why: "the names that a container has are known inside of it only: no client reaches the broker by them",
        look: unnamed_container,
    },
];

fn unnamed(facts: &Facts) -> Vec<Weakness> {
    if facts.is_named || facts.started_by == StartedBy::Container {
        return Vec::new();
    }
    let what = "nobody has named the broker: its certificate holds what this machine calls itself";
    vec![Weakness::new(what, Step::keyward("server name add NAME"))]
}

fn unnamed_container(facts: &Facts) -> Vec<Weakness> {
    if facts.is_named || facts.started_by != StartedBy::Container {
        return Vec::new();
    }
    let what = "nobody has named the broker, and it runs in a container";
    vec![Weakness::new(
        what,
        [
            Step::by(
                "set KEYWARD_NAMES to the names and addresses of the host, and make the container anew; or:",
            ),
            Step::keyward("server name add NAME"),
        ],
    )]
}
