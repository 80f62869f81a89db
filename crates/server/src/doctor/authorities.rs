//! Authorities of others whose client certificates are accepted.

use super::{Authority, Check, Facts, Profile, Step, Weakness, certificates::SOON};
use crate::config::Listener;

pub(super) const CHECKS: &[Check] = &[
    Check {
        name: "authority-unconfirmed",
        from: Profile::Home,
        why: "nobody knows what it revoked after the backup that was restored; until then its clients stay out",
        look: unconfirmed,
    },
    Check {
        name: "authority-ends",
        from: Profile::Home,
        why: "every client with a certificate of it is refused from that day on",
        look: ends,
    },
    Check {
        name: "authority-list-overdue",
        from: Profile::Home,
        why: "what it has revoked since then is still accepted here",
        look: overdue,
    },
    Check {
        name: "authority-unbound",
        from: Profile::Home,
        why: "it lets nobody in, and whoever holds its key could speak as whoever is bound one day",
        look: unbound,
    },
    Check {
        name: "authority-everywhere",
        from: Profile::Commercial,
        why: "whoever holds its key, or one of its clients', may knock at listeners that were never meant for them",
        look: everywhere,
    },
    Check {
        name: "authority-unrevocable",
        from: Profile::Commercial,
        why: "a key that was stolen from a device of it is accepted until the certificate ends",
        look: without_list,
    },
    Check {
        name: "authority-proves-nothing",
        from: Profile::Commercial,
        why: "its certificates only let clients knock: whoever has one device's password is that device",
        look: proves_nothing,
    },
];

/// Makes a finding of each authority that is meant.
fn of_those(
    facts: &Facts,
    is_meant: impl Fn(&Authority) -> bool,
    weakness: impl Fn(&Authority) -> Weakness,
) -> Vec<Weakness> {
    facts.authorities.iter().filter(|authority| is_meant(authority)).map(weakness).collect()
}

fn unconfirmed(facts: &Facts) -> Vec<Weakness> {
    let waits = |authority: &Authority| !authority.is_confirmed;
    of_those(facts, waits, |authority| {
        let name = &authority.name;
        let mend = [
            Step::by("give it its newest list of revoked certificates, then:"),
            Step::keyward(format!("authority trust confirm {name}")),
        ];
        Weakness::new(format!("the trusted authority {name} is not confirmed since a restore"), mend)
    })
}

fn ends(facts: &Facts) -> Vec<Weakness> {
    let near = |authority: &Authority| authority.not_after < facts.now.after(SOON);
    of_those(facts, near, |authority| {
        let what = format!("the trusted authority {} ends on {}", authority.name, authority.not_after);
        Weakness::new(what, Step::by("give its clients certificates of this broker before that day"))
    })
}

fn overdue(facts: &Facts) -> Vec<Weakness> {
    let is_late = |authority: &Authority| authority.next_list.is_some_and(|due| due < facts.now);
    of_those(facts, is_late, |authority| {
        let due = authority.next_list.map(|due| format!(" since {due}")).unwrap_or_default();
        let what = format!(
            "the list of revoked certificates of the trusted authority {} is overdue{due}",
            authority.name
        );
        Weakness::new(what, new_list(authority))
    })
}

fn unbound(facts: &Facts) -> Vec<Weakness> {
    let is_idle = |authority: &Authority| !authority.proves_nothing && authority.bound == 0;
    of_those(facts, is_idle, |authority| {
        let name = &authority.name;
        let mut mend =
            vec![Step::by("bind the names of its clients (keyward authority trust bind --help), or:")];
        mend.extend(removal(facts, name));
        Weakness::new(format!("no name of the trusted authority {name} is bound to anybody"), mend)
    })
}

/// Finds listeners that heed every trusted authority though there are others where its clients could come.
fn everywhere(facts: &Facts) -> Vec<Weakness> {
    let listeners = facts.config.iter().flat_map(|config| &config.listeners);
    let asking: Vec<&Listener> = listeners.filter(|listener| listener.takes_certificates()).collect();
    if facts.authorities.is_empty() || asking.len() < 2 {
        return Vec::new();
    }
    let names: Vec<&str> = facts.authorities.iter().map(|authority| authority.name.as_str()).collect();
    let weakness = |listener: &&Listener| {
        let name = &listener.name;
        let what = format!("every trusted authority counts at listener {name}: {}", names.join(", "));
        let mend = [
            Step::by(format!(
                "name in `trusted` of listener {name} in keyward.toml those whose clients come there; trusted = [] is none"
            )),
            Step::keyward("reload"),
        ];
        Weakness::new(what, mend)
    };
    asking.iter().filter(|listener| listener.trusted.is_none()).map(weakness).collect()
}

fn without_list(facts: &Facts) -> Vec<Weakness> {
    of_those(
        facts,
        |authority| !authority.has_list,
        |authority| {
            let what =
                format!("the trusted authority {} has no list of revoked certificates", authority.name);
            Weakness::new(what, new_list(authority))
        },
    )
}

fn proves_nothing(facts: &Facts) -> Vec<Weakness> {
    of_those(
        facts,
        |authority| authority.proves_nothing,
        |authority| {
            let name = &authority.name;
            let mut mend = removal(facts, name);
            mend.push(Step::by(match naming(facts, name).is_empty() {
                true => "then add it with --identity common-name, and bind the names of its clients",
                false => {
                    "then add it with --identity common-name, bind the names of its clients, and name it there again"
                }
            }));
            Weakness::new(format!("certificates of the trusted authority {name} prove nobody"), mend)
        },
    )
}

/// Lists the steps that remove an authority: not before the listeners that name it are told.
fn removal(facts: &Facts, name: &str) -> Vec<Step> {
    let naming = naming(facts, name);
    let mut steps = Vec::new();
    if !naming.is_empty() {
        let words = format!(
            "take {name} out of `trusted` of listener {} in keyward.toml (trusted = [] is none), then:",
            naming.join(" and ")
        );
        steps.extend([Step::by(words), Step::keyward("reload")]);
    }
    steps.push(Step::keyward(format!("authority trust remove {name}")));
    steps
}

/// Returns the names of the listeners that name an authority.
fn naming<'f>(facts: &'f Facts, name: &str) -> Vec<&'f str> {
    let listeners = facts.config.iter().flat_map(|config| &config.listeners);
    let names_it =
        |listener: &&Listener| listener.trusted.iter().flatten().any(|named| named.as_str() == name);
    listeners.filter(names_it).map(|listener| listener.name.as_str()).collect()
}

fn new_list(authority: &Authority) -> Step {
    Step::keyward(format!("authority trust crl {} --crl FILE", authority.name))
}
