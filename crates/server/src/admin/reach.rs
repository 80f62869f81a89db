//! Where clients reach the broker.

use crate::{
    config::{Address, Config, Listener, Place},
    control::Reach,
};
use keyward_identity::{NameOrigin, Registrar, ServerName};
use std::net::{IpAddr, SocketAddr};

/// Guesses how a client on another machine reaches the broker: a name that the operator chose, else an address of the
/// network, else the machine's name, each only if the certificate holds it; a listener on one address is reached there.
/// `in_container` says that what was found here means nothing outside.
pub(super) fn reach(
    config: &Config,
    bound: &[(String, Vec<SocketAddr>)],
    registrar: &Registrar,
    in_container: bool,
) -> Reach {
    reach_of(config, config.main_listener(), bound, registrar, in_container)
}

/// The same for the listener in the given place of the configuration.
pub(super) fn reach_of(
    config: &Config,
    place: usize,
    bound: &[(String, Vec<SocketAddr>)],
    registrar: &Registrar,
    in_container: bool,
) -> Reach {
    let (name, address, configured) = match config.listeners.get(place) {
        Some(Listener { name, place: Place::Network { address, port }, .. }) => {
            (name.as_str(), *address, *port)
        }
        _ => ("", Address::All, crate::config::MQTTS_PORT),
    };
    let open = bound.iter().find(|(open, _)| open == name).and_then(|(_, addresses)| addresses.first());
    let port = open.map_or(configured, SocketAddr::port);
    let address = match open {
        Some(open) if !open.ip().is_unspecified() => Address::One(open.ip()),
        Some(_) => Address::All,
        None => address,
    };
    let certified = registrar.server_identity().names.clone();
    let known = registrar.server_names();
    let is_chosen = |name: &ServerName| known.origin(name) == Some(NameOrigin::Added);
    let (host, otherwise) = match address {
        Address::One(ip) if certified.contains(&ServerName::Ip(ip)) => (ip.to_string(), ip.to_string()),
        _ => {
            let host = host(&certified, is_chosen);
            let otherwise = instead(&certified, is_chosen, in_container).unwrap_or_else(|| host.clone());
            (host, otherwise)
        }
    };
    Reach { host, otherwise, port, is_of_container: false }
}

/// Returns what is good without a resolver: an address that the operator chose, else one of the network, each only if the
/// certificate holds it, else `localhost`. `None` in a container of which no address was chosen.
fn instead(
    certified: &[ServerName],
    is_chosen: impl Fn(&ServerName) -> bool,
    in_container: bool,
) -> Option<String> {
    let of_network = certified.iter().filter(
        |name| matches!(name, ServerName::Ip(ip) if ip.is_ipv4() && !ip.is_loopback() && !ip.is_unspecified()),
    );
    let best = of_network.filter(|name| !in_container || is_chosen(name)).min_by_key(|name| !is_chosen(name));
    match best {
        None if in_container => None,
        None => Some("localhost".to_owned()),
        Some(name) => Some(name.to_string()),
    }
}

fn host(certified: &[ServerName], is_chosen: impl Fn(&ServerName) -> bool) -> String {
    let rank = |name: &&ServerName| match name {
        // A single word is known to the containers beside this one, or where a search domain completes it.
        ServerName::Dns(word) if is_chosen(name) && !word.contains('.') => 1,
        name if is_chosen(name) => 0,
        ServerName::Ip(IpAddr::V4(ip)) if !ip.is_loopback() => 2,
        ServerName::Dns(name) if name.ends_with(".local") => 3,
        ServerName::Dns(name) if name != "localhost" => 4,
        _ => 5,
    };
    certified.iter().min_by_key(rank).map_or_else(|| "localhost".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<ServerName> {
        let mut names: Vec<ServerName> = names.iter().map(|name| name.parse().unwrap()).collect();
        names.sort();
        names
    }

    /// The names of a container of Compose were `keyward`, by which the containers beside it call it, and those of the host.
    /// Bundles of devices led to `keyward`, which nothing outside knows, or to the container's own address.
    #[test]
    fn a_bundle_leads_to_what_is_known_outside_of_a_container() {
        let found = ["localhost", "172.18.0.2"];
        let chosen = names(&["keyward", "mqtt.home", "192.168.1.10"]);
        let certified = names(&[&["keyward", "mqtt.home", "192.168.1.10"], &found[..]].concat());
        let is_chosen = |name: &ServerName| chosen.contains(name);
        assert_eq!(host(&certified, is_chosen), "mqtt.home");
        for in_container in [true, false] {
            assert_eq!(instead(&certified, is_chosen, in_container).as_deref(), Some("192.168.1.10"));
        }
        let (only, certified) = (names(&["mqtt.home"]), names(&[&["mqtt.home"], &found[..]].concat()));
        let is_chosen = |name: &ServerName| only.contains(name);
        assert_eq!(instead(&certified, is_chosen, true), None);
        assert_eq!(instead(&certified, is_chosen, false).as_deref(), Some("172.18.0.2"));
    }

    #[test]
    fn a_single_word_that_was_chosen_comes_before_what_was_found() {
        let certified = names(&["broker", "localhost", "192.168.1.10", "vm.local"]);
        let is_broker = |name: &ServerName| name.to_string() == "broker";
        assert_eq!(host(&certified, is_broker), "broker");
        assert_eq!(host(&certified, |_| false), "192.168.1.10");
        assert_eq!(instead(&names(&["localhost"]), |_| false, false).as_deref(), Some("localhost"));
    }
}
