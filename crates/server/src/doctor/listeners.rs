//! Whom the listeners let in, and what can be read on the way.

use super::{Check, Facts, Profile, Step, Weakness};
use crate::config::{Listener, Place};
use crate::plane::Origins;
use std::net::IpAddr;

pub(super) const CHECKS: &[Check] = &[
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
    Check {
        name: "open-socket",
        from: Profile::Home,
        why: "every program of every user of this machine may connect there and guess passwords",
        look: open_sockets,
    },
    Check {
        name: "any-page",
        from: Profile::Home,
        why: "a browser shows its user's certificate for any page: each one that the user opens acts as that user",
        look: any_page,
    },
    Check {
        name: "page-without-tls",
        from: Profile::Home,
        why: "whoever is on the way writes into such a page, which then acts as whoever opened it",
        look: pages_without_tls,
    },
];

/// Makes a finding of each listener that is meant.
fn of_those(facts: &Facts, weakness: impl Fn(&Listener) -> Option<Weakness>) -> Vec<Weakness> {
    let listeners = facts.config.iter().flat_map(|config| &config.listeners);
    listeners.filter_map(weakness).collect()
}

/// Says what to change in the file, and brings it into force.
fn edit(what: String) -> [Step; 2] {
    [Step::by(what), Step::keyward("reload")]
}

fn plain(facts: &Facts) -> Vec<Weakness> {
    of_those(facts, |listener| {
        let from: Vec<String> = listener.from.iter().map(ToString::to_string).collect();
        let (name, from) = (&listener.name, from.join(", "));
        let what = format!("listener {name} speaks MQTT without TLS on the network, to {from}");
        let mend = Step::keyward(format!("listener remove {name}"));
        listener.is_plain_network().then(|| Weakness::new(what, mend))
    })
}

fn anonymous(facts: &Facts) -> Vec<Weakness> {
    of_those(facts, |listener| {
        let (name, user) = (&listener.name, listener.anonymous_as.as_ref()?);
        let what = format!("listener {name}: clients that show nothing become user:{user}");
        let mend = edit(format!("take anonymous_as out of listener {name} in keyward.toml"));
        Some(Weakness::new(what, mend))
    })
}

fn passwords(facts: &Facts) -> Vec<Weakness> {
    of_those(facts, |listener| {
        let name = &listener.name;
        let is_lax = listener.tls && listener.is_on_network() && !listener.login.needs_certificate();
        let what = format!("listener {name} lets clients in with a password alone");
        let mend = edit(format!(
            "set login = \"certificate\" for listener {name} in keyward.toml, once all clients have one"
        ));
        is_lax.then(|| Weakness::new(what, mend))
    })
}

/// What of a socket's mode lets everybody connect: whoever may write to it may.
const EVERYBODY: u32 = 0o002;

fn open_sockets(facts: &Facts) -> Vec<Weakness> {
    of_those(facts, |listener| {
        let (name, Place::Socket { path, mode }) = (&listener.name, &listener.place) else { return None };
        let what =
            format!("listener {name}: socket_mode {mode} lets every user connect to {}", path.display());
        let mend = edit(format!(
            "set socket_mode = \"0660\" for listener {name} in keyward.toml, and put who needs it into the broker's group"
        ));
        (mode.bits() & EVERYBODY != 0).then(|| Weakness::new(what, mend))
    })
}

fn any_page(facts: &Facts) -> Vec<Weakness> {
    of_those(facts, |listener| {
        let name = &listener.name;
        let what = format!("listener {name}: origins lets the pages of every host connect");
        let mend = edit(format!(
            "name the pages that need it in origins of listener {name} in keyward.toml, like https://panel.example, or take \
             origins out"
        ));
        (listener.pages() == Origins::All).then(|| Weakness::new(what, mend))
    })
}

fn pages_without_tls(facts: &Facts) -> Vec<Weakness> {
    of_those(facts, |listener| {
        let Origins::Listed(listed) = listener.pages() else { return None };
        let open: Vec<String> = listed.into_iter().filter(|origin| is_read_on_the_way(origin)).collect();
        let (name, pages) = (&listener.name, open.join(", "));
        let what = format!("listener {name}: origins lets pages connect that come without TLS: {pages}");
        let mend = edit(format!(
            "serve these pages by https, and write https:// for them in origins of listener {name} in keyward.toml"
        ));
        // Where the listener itself can be read on the network, that is the finding.
        (!listener.is_plain_network() && !open.is_empty()).then(|| Weakness::new(what, mend))
    })
}

/// Tells whether a page of this origin crosses a network in clear.
fn is_read_on_the_way(origin: &str) -> bool {
    let Some((scheme, authority)) = origin.split_once("://") else { return false };
    let host = match authority.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host,
        _ => authority,
    };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    let is_here = host.eq_ignore_ascii_case("localhost")
        || bare.parse().is_ok_and(|address: IpAddr| address.is_loopback());
    scheme.eq_ignore_ascii_case("http") && !is_here
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_of_this_machine_is_on_no_way() {
        for origin in
            ["http://localhost:1880", "http://127.0.0.1", "http://[::1]:80", "https://panel.example"]
        {
            assert!(!is_read_on_the_way(origin), "{origin}");
        }
        for origin in ["http://panel.example", "HTTP://192.168.1.9:1880", "http://[fd00::1]:80"] {
            assert!(is_read_on_the_way(origin), "{origin}");
        }
    }
}
