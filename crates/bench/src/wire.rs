//! One end of a connection without waiting: TCP, with or without TLS.

use mio::net::TcpStream;
use rustls::Connection;
use std::io::{self, Read, Write};

/// Bytes that are read from a socket at once.
const READ: usize = 128 * 1024;

/// Buffers that all links of a thread share. The default has none: it takes their place while they are in use.
#[derive(Default)]
pub(crate) struct Scratch {
    cipher: Vec<u8>,
    /// What was read: the beginning of a frame that was kept, then what came.
    pub(crate) plain: Vec<u8>,
}

impl Scratch {
    /// Allocates them.
    pub(crate) fn new() -> Self {
        Self { cipher: vec![0; READ], plain: vec![0; 2 * READ] }
    }
}

/// What a read brought: how many bytes stand in `Scratch::plain`, and whether there may be more in the socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) len: usize,
    pub(crate) more: bool,
}

/// A link's socket, TLS state, and the half of a frame that came last.
pub(crate) struct Wire {
    pub(crate) tcp: TcpStream,
    tls: Option<Box<Connection>>,
    kept: Vec<u8>,
}

impl Wire {
    /// Takes a socket; with a TLS connection it speaks TLS.
    pub(crate) fn new(tcp: TcpStream, tls: Option<Connection>) -> Self {
        Self { tcp, tls: tls.map(Box::new), kept: Vec::new() }
    }

    /// Reads once, without waiting. What the caller does not use of it goes back by [`Wire::keep`].
    ///
    /// # Errors
    /// What the socket says; the end of the stream is `UnexpectedEof`, a fault of TLS `InvalidData`.
    pub(crate) fn read(&mut self, scratch: &mut Scratch) -> io::Result<Option<Got>> {
        let from = self.kept.len();
        scratch.plain.resize(scratch.plain.len().max(from + 2 * READ), 0);
        scratch.plain[..from].copy_from_slice(&self.kept);
        let target = match self.tls {
            None => &mut scratch.plain[from..from + READ],
            Some(_) => &mut scratch.cipher[..],
        };
        let count = match self.tcp.read(target) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
            Err(error) => return Err(error),
        };
        let brought = match &mut self.tls {
            None => count,
            Some(tls) => decrypt(tls, &scratch.cipher[..count], &mut scratch.plain[from..])?,
        };
        self.kept.clear();
        Ok(Some(Got { len: from + brought, more: count == READ }))
    }

    /// Keeps the beginning of a frame for the next read.
    pub(crate) fn keep(&mut self, rest: &[u8]) {
        self.kept.extend_from_slice(rest);
    }

    /// Sends as much as the socket takes now: for TLS the handshake too. What remains is in `out` or encrypted.
    ///
    /// # Errors
    /// What the socket says, other than that it would block.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        let done = match &mut self.tls {
            None => write_plain(&mut self.tcp, out),
            Some(tls) => {
                tls.writer().write_all(out)?;
                out.clear();
                write_tls(&mut self.tcp, tls)
            }
        };
        match done {
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::NotConnected) => {
                Ok(())
            }
            other => other,
        }
    }

    /// Whether TLS has something to send on its own account.
    pub(crate) fn wants_write(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.wants_write())
    }
}

fn write_plain(tcp: &mut TcpStream, out: &mut Vec<u8>) -> io::Result<()> {
    let mut sent = 0;
    let done = loop {
        if sent == out.len() {
            break Ok(());
        }
        match tcp.write(&out[sent..]) {
            Ok(0) => break Err(io::ErrorKind::WriteZero.into()),
            Ok(count) => sent += count,
            Err(error) => break Err(error),
        }
    };
    out.drain(..sent);
    done
}

fn write_tls(tcp: &mut TcpStream, tls: &mut Connection) -> io::Result<()> {
    while tls.wants_write() {
        tls.write_tls(tcp)?;
    }
    Ok(())
}

/// Decrypts all of `cipher`; records are at most as long in plain, so `plain` has room.
fn decrypt(tls: &mut Connection, mut cipher: &[u8], plain: &mut [u8]) -> io::Result<usize> {
    let mut brought = 0;
    while !cipher.is_empty() {
        tls.read_tls(&mut cipher)?;
        tls.process_new_packets().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        loop {
            match tls.reader().read(&mut plain[brought..]) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => brought += count,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => return Err(error),
            }
        }
    }
    Ok(brought)
}
