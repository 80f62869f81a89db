//! A place where clients knock, and the socket behind it.

use crate::login::LoginRule;
use crate::plane::entrance::Entrance;
use crate::plane::websocket::Origins;
use socket2::{Domain, Socket, Type};
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;

/// Names a listener; unique among those of one data plane.
pub type ListenerName = String;

/// Describes a listener.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listener {
    /// Its name, as in `keyward.toml` and in `status`.
    pub name: ListenerName,
    /// Where it listens.
    pub endpoint: Endpoint,
    /// What is spoken on it.
    pub protocol: Protocol,
    /// What protects it.
    pub security: Security,
    /// What it asks of clients.
    pub entrance: Entrance,
}

/// Says where a listener listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// On TCP: one socket each, for an IPv6 socket takes IPv6 only. Port 0 takes a free port, the same one for all
    /// addresses.
    Addresses(Vec<SocketAddr>),
    /// On a Unix socket.
    Socket {
        /// Its file, which comes and goes with the listener.
        path: PathBuf,
        /// Who may connect: the permissions of the file.
        mode: u32,
    },
}

/// Says what is spoken on a listener.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Protocol {
    /// MQTT.
    #[default]
    Mqtt,
    /// MQTT in the frames of WebSocket.
    WebSocket {
        /// The pages of which origins may connect.
        origins: Arc<Origins>,
    },
}

/// Says what protects a listener.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// TLS.
    Tls,
    /// Nothing: for a loopback address or a network that something else protects. Passwords travel in clear text.
    Plain,
}

impl Listener {
    /// Makes a TLS listener that demands a certificate or a password.
    pub fn tls(name: impl Into<ListenerName>, addresses: Vec<SocketAddr>) -> Self {
        let (endpoint, entrance) = (Endpoint::Addresses(addresses), Entrance::default());
        Self { name: name.into(), endpoint, protocol: Protocol::Mqtt, security: Security::Tls, entrance }
    }

    /// Makes a listener without TLS that demands a password.
    pub fn plain(name: impl Into<ListenerName>, addresses: Vec<SocketAddr>) -> Self {
        let entrance = Entrance { login: LoginRule::Password, ..Entrance::default() };
        Self { security: Security::Plain, entrance, ..Self::tls(name, addresses) }
    }
}

/// Says why a listener could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// Another program, or another Keyward, has the port.
    #[error("{address} is in use by another program")]
    InUse {
        /// What was asked for.
        address: SocketAddr,
    },
    /// The port is below 1024 and the user is not root, or the system forbids it otherwise.
    #[error("no permission to listen on {address}")]
    Forbidden {
        /// What was asked for.
        address: SocketAddr,
    },
    /// No interface of this machine has the address.
    #[error("{address} is not an address of this machine")]
    NoSuchAddress {
        /// What was asked for.
        address: SocketAddr,
    },
    /// There is a listener of this name already.
    #[error("there is a listener `{name}` already")]
    NameTaken {
        /// The name.
        name: ListenerName,
    },
    /// TLS is asked for and the data plane has no server certificate yet.
    #[error("listener `{name}` asks for TLS, but no server certificate is loaded")]
    NoCertificate {
        /// The listener.
        name: ListenerName,
    },
    /// TLS is asked for and its settings do not work.
    #[error(transparent)]
    Tls(#[from] crate::plane::tls::TlsError),
    /// The system gave the doors no handles of the socket.
    #[error("listener `{name}`: {error}")]
    Handles {
        /// The listener.
        name: ListenerName,
        /// What the system said.
        error: io::Error,
    },
    /// Somebody listens on the Unix socket.
    #[error("{path:?} is in use by another program")]
    SocketInUse {
        /// Its file.
        path: PathBuf,
    },
    /// Something that is no socket lies where the Unix socket should.
    #[error("{path:?} is there and is no socket: remove it, or name another path")]
    NoSocket {
        /// What lies there.
        path: PathBuf,
    },
    /// Everybody may write to the folder of the Unix socket, and put another one into its place.
    #[error("everybody may write to the folder of {path:?}: take that right away, or name another folder")]
    OpenFolder {
        /// The file of the socket.
        path: PathBuf,
    },
    /// There is no folder for the socket.
    #[error(
        "cannot listen on {path:?}: its folder is not there; make it first, open to the broker's user and its group only"
    )]
    NoFolder {
        /// The file of the socket.
        path: PathBuf,
    },
    /// The system refused to listen on the Unix socket.
    #[error("cannot listen on {path:?}: {error}")]
    Socket {
        /// Its file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// The system refused for another reason.
    #[error("cannot listen on {address}: {error}")]
    System {
        /// What was asked for.
        address: SocketAddr,
        /// What the system said.
        error: io::Error,
    },
}

/// Is a listener that is open, with the ports that it got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// What was asked for.
    pub listener: Listener,
    /// Where it listens in fact; none on a Unix socket.
    pub addresses: Vec<SocketAddr>,
}

/// Opens the sockets of a listener, ready for non-blocking accepts. On a machine without IPv6 its IPv6 addresses are
/// left out, if there are others.
///
/// # Errors
/// [`ListenError`], which names the address; no socket stays open then.
pub(crate) fn open_all(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, ListenError> {
    let chooses = addresses.iter().any(|address| address.port() == 0);
    let mut attempts = if chooses { PORTS_TRIED } else { 1 };
    loop {
        attempts -= 1;
        match open_once(addresses) {
            // The port that the system chose for one address may be taken at the next.
            Err(ListenError::InUse { .. }) if attempts > 0 => {}
            result => return result,
        }
    }
}

fn open_once(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, ListenError> {
    let mut open: Vec<TcpListener> = Vec::new();
    let mut port = None;
    for &asked in addresses {
        let mut address = asked;
        if let (0, Some(port)) = (asked.port(), port) {
            address.set_port(port);
        }
        match bind(address) {
            Ok(socket) => {
                port = port.or_else(|| socket.local_addr().ok().map(|address| address.port()));
                open.push(socket);
            }
            Err(error) if lacks_family(&error) && addresses.len() > 1 => {}
            Err(error) => return Err(named(address, error)),
        }
    }
    match (open.is_empty(), addresses.first()) {
        (true, Some(&address)) => Err(ListenError::NoSuchAddress { address }),
        _ => Ok(open),
    }
}

/// Tells whether the system has no such kind of address at all.
fn lacks_family(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::AFNOSUPPORT.raw_os_error())
}

fn named(address: SocketAddr, error: io::Error) -> ListenError {
    match error.kind() {
        io::ErrorKind::AddrInUse => ListenError::InUse { address },
        io::ErrorKind::PermissionDenied => ListenError::Forbidden { address },
        io::ErrorKind::AddrNotAvailable => ListenError::NoSuchAddress { address },
        _ => ListenError::System { address, error },
    }
}

fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(socket2::Protocol::TCP))?;
    if address.is_ipv6() {
        socket.set_only_v6(true)?;
    }
    // Lets a restarted broker take its port while old connections are in TIME_WAIT; it does not let two listen.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// Ports that are tried where the system may choose one for several addresses.
const PORTS_TRIED: u32 = 16;

/// Connections that wait in the system for the door; the system cuts it to `net.core.somaxconn`.
const BACKLOG: i32 = 1_024;

#[cfg(test)]
mod tests {
    use super::*;

    fn open(address: &str) -> Result<TcpListener, ListenError> {
        open_all(&[address.parse().unwrap()]).map(|mut sockets| sockets.remove(0))
    }

    #[test]
    fn a_port_in_use_is_named() {
        let first = open("127.0.0.1:0").unwrap();
        let address = first.local_addr().unwrap();
        let error = open(&address.to_string()).unwrap_err();
        assert!(matches!(error, ListenError::InUse { address: named } if named == address), "{error}");
        assert_eq!(error.to_string(), format!("{address} is in use by another program"));
    }

    #[test]
    fn a_strange_address_is_named() {
        assert!(matches!(open("192.0.2.1:8883"), Err(ListenError::NoSuchAddress { .. })));
    }

    #[test]
    fn ipv4_and_ipv6_get_one_free_port_however_many_are_taken_at_one_of_them() {
        // Every other test of this machine may hold ports of IPv4 that are free at IPv6; these do.
        let _taken: Vec<_> = (0..400).map(|_| open("127.0.0.1:0").unwrap()).collect();
        for _ in 0..400 {
            open_all(&["[::1]:0".parse().unwrap(), "127.0.0.1:0".parse().unwrap()]).unwrap();
        }
        let both = open_all(&["[::1]:0".parse().unwrap(), "127.0.0.1:0".parse().unwrap()]).unwrap();
        let ports: Vec<u16> = both.iter().map(|socket| socket.local_addr().unwrap().port()).collect();
        assert!(ports.iter().all(|port| *port == ports[0]), "{ports:?}");
    }
}
