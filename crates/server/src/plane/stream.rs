//! The sockets that links and listeners lie on: TCP, or a Unix socket of this machine.

use crate::peer;
use crate::plane::source::Peer;
use mio::event::Source;
use mio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use mio::{Interest, Registry, Token};
use std::io::{self, IoSlice, Read, Write};
use std::net::{IpAddr, Shutdown};

/// Is the socket of one connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Stream {
    /// Lets small packets leave at once: they are what MQTT is made of. A socket that cannot do it still works.
    pub(crate) fn send_at_once(&self) {
        if let Self::Tcp(stream) = self {
            let _: io::Result<()> = stream.set_nodelay(true);
        }
    }

    /// Returns the address that the peer connected to; `None` for a Unix socket, or if the connection is gone.
    pub(crate) fn local_ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(stream) => Some(stream.local_addr().ok()?.ip()),
            Self::Unix(_) => None,
        }
    }

    /// Returns who is at the other end; `None` once the connection is gone.
    pub(crate) fn peer(&self) -> Option<Peer> {
        match self {
            Self::Tcp(stream) => stream.peer_addr().ok().map(Peer::Remote),
            Self::Unix(stream) => peer::user(stream).ok().map(|uid| Peer::Local { uid }),
        }
    }

    /// Closes one half or both.
    pub(crate) fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.shutdown(how),
            Self::Unix(stream) => stream.shutdown(how),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.read(buffer),
            Self::Unix(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write(bytes),
            Self::Unix(stream) => stream.write(bytes),
        }
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        match self {
            Self::Tcp(stream) => stream.write_vectored(slices),
            Self::Unix(stream) => stream.write_vectored(slices),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Source for Stream {
    fn register(&mut self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.register(registry, token, interest),
            Self::Unix(stream) => stream.register(registry, token, interest),
        }
    }

    fn reregister(&mut self, registry: &Registry, token: Token, interest: Interest) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.reregister(registry, token, interest),
            Self::Unix(stream) => stream.reregister(registry, token, interest),
        }
    }

    fn deregister(&mut self, registry: &Registry) -> io::Result<()> {
        match self {
            Self::Tcp(stream) => stream.deregister(registry),
            Self::Unix(stream) => stream.deregister(registry),
        }
    }
}

/// Is a socket that listens, before a door has it.
#[derive(Debug)]
pub(crate) enum ListenSocket {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

impl ListenSocket {
    /// Makes another handle of the same socket.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Tcp(socket) => Self::Tcp(socket.try_clone()?),
            Self::Unix(socket) => Self::Unix(socket.try_clone()?),
        })
    }
}

/// Is a socket that listens, in the readiness loop of a door.
#[derive(Debug)]
pub(crate) enum Acceptor {
    Tcp(TcpListener),
    Unix(UnixListener),
}

impl From<ListenSocket> for Acceptor {
    fn from(socket: ListenSocket) -> Self {
        match socket {
            ListenSocket::Tcp(socket) => Self::Tcp(TcpListener::from_std(socket)),
            ListenSocket::Unix(socket) => Self::Unix(UnixListener::from_std(socket)),
        }
    }
}

impl Acceptor {
    /// Takes the next connection, and who is at its other end.
    pub(crate) fn accept(&self) -> io::Result<(Stream, Peer)> {
        match self {
            Self::Tcp(socket) => {
                socket.accept().map(|(stream, peer)| (Stream::Tcp(stream), Peer::Remote(peer)))
            }
            Self::Unix(socket) => {
                let (stream, _) = socket.accept()?;
                // Who is gone already is nobody's peer.
                let uid = peer::user(&stream).map_err(|_| io::ErrorKind::ConnectionAborted)?;
                Ok((Stream::Unix(stream), Peer::Local { uid }))
            }
        }
    }

    /// Lets the loop say when connections wait.
    pub(crate) fn register(&mut self, registry: &Registry, token: Token) -> io::Result<()> {
        match self {
            Self::Tcp(socket) => registry.register(socket, token, Interest::READABLE),
            Self::Unix(socket) => registry.register(socket, token, Interest::READABLE),
        }
    }
}
