//! Networks whose clients may connect to a listener.

use std::{fmt, net::IpAddr};

/// Is a network whose clients may connect. Written `192.168.1.0/24`, `fd00::/8`, or as one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Network(ipnet::IpNet);

impl Network {
    /// Parses a network or an address. `None` if it is neither, or if there are bits beyond the prefix
    /// (`192.168.1.7/24`): nobody knows then which of the two was meant.
    pub fn parse(text: &str) -> Option<Self> {
        let net = match text.parse::<IpAddr>() {
            Ok(address) => address.into(),
            Err(_) => text.parse::<ipnet::IpNet>().ok().filter(|net| net.trunc() == *net)?,
        };
        Some(Self(net))
    }

    /// Tells whether an address is of this network. An IPv4 address that came mapped into IPv6 is its IPv4 address.
    pub fn contains(&self, address: IpAddr) -> bool {
        self.0.contains(&address.to_canonical())
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_network_holds_its_own_addresses_and_no_other() {
        let network = Network::parse("192.168.1.0/24").unwrap();
        for (address, inside) in
            [("192.168.1.7", true), ("::ffff:192.168.1.7", true), ("192.168.2.7", false), ("::1", false)]
        {
            assert_eq!(network.contains(address.parse().unwrap()), inside, "{address}");
        }
        assert_eq!(Network::parse("10.0.0.7").unwrap().to_string(), "10.0.0.7/32");
        for text in ["192.168.1.7/24", "192.168.1.0/33", "192.168.1", "", "home"] {
            assert_eq!(Network::parse(text), None, "{text}");
        }
    }
}
