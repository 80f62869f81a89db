//! Where a connection comes from, as far as bounds and slow-downs care.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// Says who is at the other end of a connection, as far as the system knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Peer {
    /// A client on TCP.
    Remote(SocketAddr),
    /// A program of this machine, on a Unix socket.
    Local {
        /// The user that it ran as when it connected.
        uid: u32,
    },
}

impl Peer {
    /// Returns who it is without the port, which every connection has another of.
    pub fn host(self) -> Host {
        match self {
            Self::Remote(address) => Host::Address(address.ip()),
            Self::Local { uid } => Host::Local { uid },
        }
    }
}

impl fmt::Display for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Remote(address) => address.fmt(f),
            Self::Local { .. } => self.host().fmt(f),
        }
    }
}

/// Is who failures and limits are told of that nobody has a name for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Host {
    /// An address.
    Address(IpAddr),
    /// A user of this machine.
    Local {
        /// Its number.
        uid: u32,
    },
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => address.to_canonical().fmt(f),
            Self::Local { uid } => write!(f, "uid:{uid}"),
        }
    }
}

/// Is what a bound counts for: an IPv4 address, the first 64 bits of an IPv6 address, because one house gets all the
/// rest, or a user of this machine. Addresses of a link (fe80::/10) count each for itself: all links share these 64 bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Source {
    /// An IPv4 address, also one that came mapped into IPv6.
    V4(Ipv4Addr),
    /// The network of an IPv6 address.
    V6([u16; 4]),
    /// An address of one link, and which link that is; 0 if nobody has said.
    OnLink(Ipv6Addr, u32),
    /// A user of this machine, on a Unix socket.
    Local(u32),
}

impl From<Host> for Source {
    fn from(host: Host) -> Self {
        match host {
            Host::Address(address) => address.into(),
            Host::Local { uid } => Self::Local(uid),
        }
    }
}

impl From<IpAddr> for Source {
    fn from(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(v4) => Self::V4(v4),
            IpAddr::V6(v6) if v6.is_unicast_link_local() => Self::OnLink(v6, 0),
            IpAddr::V6(v6) => Self::V6(network(v6)),
        }
    }
}

impl From<Peer> for Source {
    fn from(peer: Peer) -> Self {
        match peer {
            Peer::Remote(SocketAddr::V6(address)) if address.ip().is_unicast_link_local() => {
                Self::OnLink(*address.ip(), address.scope_id())
            }
            peer => peer.host().into(),
        }
    }
}

impl Source {
    /// Tells whether it is this machine.
    pub(crate) fn is_this_machine(self) -> bool {
        match self {
            Self::V4(address) => address.is_loopback(),
            Self::V6(network) => network == [0; 4],
            Self::OnLink(..) => false,
            Self::Local(_) => true,
        }
    }

    /// Returns who it is; a network is its first address.
    pub(crate) fn host(self) -> Host {
        match self {
            Self::V4(address) => Host::Address(address.into()),
            Self::V6([a, b, c, d]) => Host::Address(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()),
            Self::OnLink(address, _) => Host::Address(address.into()),
            Self::Local(uid) => Host::Local { uid },
        }
    }
}

fn network(address: Ipv6Addr) -> [u16; 4] {
    let [a, b, c, d, ..] = address.segments();
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(text: &str) -> Source {
        text.parse::<IpAddr>().unwrap().into()
    }

    #[test]
    fn one_ipv6_network_is_one_source() {
        assert_eq!(source("2001:db8:1:2::1"), source("2001:db8:1:2:ffff::9"));
        assert_ne!(source("2001:db8:1:2::1"), source("2001:db8:1:3::1"));
    }

    #[test]
    fn an_address_of_a_link_is_one_source_by_itself_and_on_each_link_another() {
        let peer = |text: &str| Source::from(Peer::Remote(text.parse().unwrap()));
        assert_eq!(peer("[fe80::1%2]:1000"), peer("[fe80::1%2]:2000"));
        assert_ne!(peer("[fe80::1%2]:1000"), peer("[fe80::2%2]:1000"), "another machine");
        assert_ne!(peer("[fe80::1%2]:1000"), peer("[fe80::1%3]:1000"), "another link");
        assert_eq!(peer("[2001:db8:1:2::1]:1000"), source("2001:db8:1:2::9"));
        assert_eq!(peer("[fe80::1%2]:1000").host(), Host::Address("fe80::1".parse().unwrap()));
    }

    #[test]
    fn a_mapped_address_is_its_ipv4_address() {
        assert_eq!(source("::ffff:192.0.2.7"), source("192.0.2.7"));
        assert_ne!(source("192.0.2.7"), source("192.0.2.8"));
    }
}
