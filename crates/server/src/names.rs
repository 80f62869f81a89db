//! The names and addresses that this machine answers to.

use crate::container;
use keyward_identity::ServerName;
use std::net::IpAddr;

/// Finds host name, `NAME.local`, `localhost`, loopback and interface addresses. What cannot be read is left out.
pub fn find() -> Vec<ServerName> {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    // The random name of a container would change with the next one, and nobody can look it up.
    let host = if container::is_here() && container::is_random_name(&host) { String::new() } else { host };
    let addresses = if_addrs::get_if_addrs().unwrap_or_default();
    of(&host, addresses.iter().map(if_addrs::Interface::ip))
}

fn of(host: &str, addresses: impl Iterator<Item = IpAddr>) -> Vec<ServerName> {
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    let first = host.split('.').next().unwrap_or_default();
    if !first.is_empty() && !host.eq_ignore_ascii_case("localhost") {
        names.extend([host.to_owned(), first.to_owned(), format!("{first}.local")]);
    }
    names.extend(addresses.filter(is_reachable).map(|address| address.to_string()));
    let mut names: Vec<ServerName> = names.iter().filter_map(|name| name.parse().ok()).collect();
    names.sort();
    names.dedup();
    names
}

/// A link-local IPv6 address is good on one link only, with a zone that no certificate can name.
fn is_reachable(address: &IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => !address.is_unspecified(),
        IpAddr::V6(address) => !address.is_unspecified() && !address.is_unicast_link_local(),
    }
}

/// Parses the comma-separated list of `KEYWARD_NAMES`.
///
/// # Errors
/// A line that names the first entry that is no name.
pub fn parse_list(list: &str) -> Result<Vec<ServerName>, String> {
    list.split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(|name| name.parse().map_err(|error| format!("KEYWARD_NAMES: {error}")))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(names: &[ServerName]) -> Vec<String> {
        names.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_machine_answers_to_its_name_its_short_name_and_its_addresses() {
        let addresses = ["192.168.1.7", "fe80::1", "fd00::7", "127.0.0.1"].map(|a| a.parse().unwrap());
        let found = texts(&of("Gate.home.arpa", addresses.into_iter()));
        for name in [
            "gate.home.arpa",
            "gate",
            "gate.local",
            "localhost",
            "127.0.0.1",
            "::1",
            "192.168.1.7",
            "fd00::7",
        ] {
            assert!(found.contains(&name.to_owned()), "{name} is missing in {found:?}");
        }
        assert!(!found.contains(&"fe80::1".to_owned()));
        assert_eq!(found.len(), 8);
    }

    #[test]
    fn a_host_name_that_no_certificate_can_hold_is_left_out() {
        assert_eq!(texts(&of("bad host!", std::iter::empty())), ["localhost", "127.0.0.1", "::1"]);
        assert_eq!(of("", std::iter::empty()).len(), 3);
    }

    #[test]
    fn a_list_of_names_is_split_and_checked() {
        assert_eq!(texts(&parse_list("mqtt.home, 10.0.0.1,").unwrap()), ["mqtt.home", "10.0.0.1"]);
        assert!(parse_list("a b").unwrap_err().starts_with("KEYWARD_NAMES: "));
    }
}
