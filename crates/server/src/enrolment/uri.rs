//! The one string that a device scans: where to go, how to know the server, and the code.

use std::net::Ipv6Addr;

/// Writes `keyward://HOST:PORT/ID?code=CODE&root=SHA256[&or=HOST:PORT]…`: an id is of characters that need no escape. `root` is the
/// fingerprint of the server root's certificate, 64 hexadecimal digits: the device lets no server have the code whose chain does
/// not end there.
pub(crate) fn claim_uri(id: &str, hosts: &[(String, u16)], code: &str, fingerprint: &str) -> String {
    let authority = |(host, port): &(String, u16)| match host.parse::<Ipv6Addr>() {
        Ok(address) => format!("[{address}]:{port}"),
        Err(_) => format!("{host}:{port}"),
    };
    let mut hosts = hosts.iter().map(authority);
    let root: String = fingerprint.chars().filter(|c| *c != ':').map(|c| c.to_ascii_lowercase()).collect();
    let mut uri = format!("keyward://{}/{id}?code={code}&root={root}", hosts.next().unwrap_or_default());
    for other in hosts {
        uri.push_str("&or=");
        uri.push_str(&other);
    }
    uri
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_that_a_device_needs_stands_in_one_string() {
        let hosts = [("gate.local".to_owned(), 8883), ("fd00::1".to_owned(), 8883)];
        assert_eq!(
            claim_uri("pump-1", &hosts, "abc", "AB:0C"),
            "keyward://gate.local:8883/pump-1?code=abc&root=ab0c&or=[fd00::1]:8883"
        );
    }
}
