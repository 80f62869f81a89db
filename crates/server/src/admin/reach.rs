//! Where clients reach the broker.

use crate::{
    config::{Address, Config, Listener, Place},
    control::Reach,
};
use keyward_identity::{NameOrigin, Registrar, ServerName, ServerNames as Known};
use std::net::{IpAddr, SocketAddr};

/// Guesses how a client on another machine reaches the broker: a name that the operator chose, else an address of the
/// network, else the machine's name, each only if the certificate holds it; a listener on one address is reached there.
pub(super) fn reach(config: &Config, bound: &[(String, Vec<SocketAddr>)], registrar: &Registrar) -> Reach {
    let (name, address, configured) = match config.listeners.get(config.main_listener()) {
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
    let (host, otherwise) = match address {
        Address::One(ip) if certified.contains(&ServerName::Ip(ip)) => (ip.to_string(), ip.to_string()),
        _ => (host(&certified, registrar.server_names()), self::address(&certified)),
    };
    Reach { host, otherwise, port, is_of_container: false }
}

/// Returns an address of the network that the certificate holds, else `localhost`: good without a resolver.
fn address(certified: &[ServerName]) -> String {
    let of_network = certified.iter().find(
        |name| matches!(name, ServerName::Ip(ip) if ip.is_ipv4() && !ip.is_loopback() && !ip.is_unspecified()),
    );
    of_network.map_or_else(|| "localhost".to_owned(), ToString::to_string)
}

fn host(certified: &[ServerName], known: &Known) -> String {
    let rank = |name: &&ServerName| match name {
        name if known.origin(name) == Some(NameOrigin::Added) => 0,
        ServerName::Ip(IpAddr::V4(ip)) if !ip.is_loopback() => 1,
        ServerName::Dns(name) if name.ends_with(".local") => 2,
        ServerName::Dns(name) if name != "localhost" => 3,
        _ => 4,
    };
    certified.iter().min_by_key(rank).map_or_else(|| "localhost".to_owned(), ToString::to_string)
}
