//! Where a listener listens: an address and a port, or a Unix socket and who may open it.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    path::PathBuf,
};

/// Says where a listener listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// On a TCP port; 0 lets the system choose.
    Network {
        /// What it binds.
        address: Address,
        /// The port.
        port: u16,
    },
    /// On a Unix socket.
    Socket {
        /// Its file, at an absolute path.
        path: PathBuf,
        /// Who may connect: the permissions of the file.
        mode: SocketMode,
    },
}

/// Is the permissions of the file of a Unix socket: whoever may write to it may connect. Written `"0660"`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketMode(u32);

impl SocketMode {
    /// Parses three or four octal digits; `None` if it is not that, or if the broker itself were shut out.
    pub fn parse(text: &str) -> Option<Self> {
        let is_octal = matches!(text.len(), 3 | 4) && text.bytes().all(|byte| matches!(byte, b'0'..=b'7'));
        let mode = u32::from_str_radix(text, 8).ok().filter(|_| is_octal)?;
        (mode <= 0o777 && mode & 0o600 == 0o600).then_some(Self(mode))
    }

    /// Returns the permissions as the system has them.
    pub fn bits(self) -> u32 {
        self.0
    }
}

impl Default for SocketMode {
    /// The broker's user, and its group: that is how programs of other users are let in, one by one.
    fn default() -> Self {
        Self(0o660)
    }
}

impl fmt::Display for SocketMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04o}", self.0)
    }
}

/// Says what a listener binds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// All addresses, IPv4 and IPv6.
    All,
    /// One address.
    One(IpAddr),
}

impl Address {
    /// Parses `*` or an IP address. `None` if it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::All);
        }
        text.parse().ok().map(Self::One)
    }

    /// Returns the addresses to bind.
    pub fn to_bind(self) -> Vec<IpAddr> {
        match self {
            Self::All => vec![Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::UNSPECIFIED.into()],
            Self::One(ip) => vec![ip],
        }
    }

    /// Tells whether only programs of this machine reach it.
    pub fn is_loopback(self) -> bool {
        matches!(self, Self::One(ip) if ip.is_loopback())
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.pad("*"),
            Self::One(ip) => ip.fmt(f),
        }
    }
}
