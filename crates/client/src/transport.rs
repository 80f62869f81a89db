//! A blocking byte stream with deadlines: plain TCP, or TLS over it.
//!
//! One thread, no background work: whoever waits says until when.

use crate::clock;
use crate::error::ClientError;
use crate::options::ClientOptions;
use crate::resolver;
use crate::tls;
use rustls::ClientConnection;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

/// The most bytes that one read takes.
const READ_CHUNK: usize = 16 * 1024;

/// Says what a read came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Received {
    /// At least one byte was appended.
    Bytes,
    /// The peer is done.
    End,
    /// The deadline passed.
    Nothing,
}

/// Is a connection to a broker.
pub(crate) struct Transport {
    socket: TcpStream,
    tls: Option<Box<ClientConnection>>,
    host: String,
}

impl Transport {
    /// Connects, and completes the TLS handshake if there is one. With the fingerprint of a root it trusts that root alone, and
    /// whatever else the options say of TLS counts for nothing.
    pub(crate) fn connect(
        options: &ClientOptions,
        root: Option<&[u8; 32]>,
        deadline: Instant,
    ) -> Result<Self, ClientError> {
        let socket = dial(options, deadline)?;
        socket.set_nodelay(true).map_err(ClientError::Broken)?;
        let tls = match root {
            Some(fingerprint) => Some(tls::start_pinned(fingerprint, &options.host)?),
            None => options.tls.as_ref().map(|tls| tls::start(tls, &options.host)).transpose()?,
        };
        let mut transport = Self { socket, tls: tls.map(Box::new), host: options.host.clone() };
        transport.shake_hands(deadline)?;
        Ok(transport)
    }

    /// Returns the socket, to wait for it together with others.
    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Returns the address of this end.
    pub(crate) fn local_addr(&self) -> Option<SocketAddr> {
        self.socket.local_addr().ok()
    }

    /// Sends all of `bytes`. [`ClientError::Closed`] if the peer hung up: what it said last may still be read, and
    /// is the reason. (A broker that refuses a certificate says so after the client's handshake is done,
    /// RFC 8446 §4.4.2.)
    pub(crate) fn send(&mut self, bytes: &[u8], deadline: Instant) -> Result<(), ClientError> {
        match self.write_all(bytes, deadline) {
            Err(ClientError::Broken(error)) if is_hangup(&error) => Err(ClientError::Closed),
            other => other,
        }
    }

    fn write_all(&mut self, bytes: &[u8], deadline: Instant) -> Result<(), ClientError> {
        match &mut self.tls {
            None => {
                let timeout = remaining(deadline);
                self.socket.set_write_timeout(Some(timeout)).map_err(ClientError::Broken)?;
                self.socket.write_all(bytes).map_err(ClientError::Broken)
            }
            Some(tls) => {
                let mut rest = bytes;
                while !rest.is_empty() {
                    // Short when rustls' buffer is full: then it has to be emptied first.
                    let taken = tls.writer().write(rest).map_err(ClientError::Broken)?;
                    rest = &rest[taken..];
                    flush(tls, &mut self.socket, deadline)?;
                }
                Ok(())
            }
        }
    }

    /// Appends to `into` what has arrived, waiting for it until `deadline` at the latest.
    pub(crate) fn receive(&mut self, into: &mut Vec<u8>, deadline: Instant) -> Result<Received, ClientError> {
        let Some(tls) = &mut self.tls else {
            let mut chunk = [0; READ_CHUNK];
            return Ok(match read_until(&mut self.socket, &mut chunk, deadline)? {
                None => Received::Nothing,
                Some(0) => Received::End,
                Some(count) => {
                    into.extend_from_slice(&chunk[..count]);
                    Received::Bytes
                }
            });
        };
        loop {
            match take_plaintext(tls, into)? {
                Received::Nothing => {}
                done => return Ok(done),
            }
            if !advance(tls, &mut self.socket, &self.host, deadline)? {
                return Ok(Received::Nothing);
            }
        }
    }

    fn shake_hands(&mut self, deadline: Instant) -> Result<(), ClientError> {
        let Some(tls) = &mut self.tls else { return Ok(()) };
        while tls.is_handshaking() {
            flush(tls, &mut self.socket, deadline)?;
            if !advance(tls, &mut self.socket, &self.host, deadline)? {
                return Err(ClientError::TimedOut { awaited: "TLS handshake" });
            }
        }
        // The last flight of the handshake; a hang-up here is explained at the first read.
        match flush(tls, &mut self.socket, deadline) {
            Err(ClientError::Broken(error)) if is_hangup(&error) => Ok(()),
            other => other,
        }
    }

    /// Says goodbye on the transport: what was sent before is delivered first.
    pub(crate) fn close(mut self, deadline: Instant) {
        if let Some(tls) = &mut self.tls {
            tls.send_close_notify();
            // The peer may be gone already: then there is nobody to say goodbye to.
            drop(flush(tls, &mut self.socket, deadline));
        }
        drop(self.socket.shutdown(std::net::Shutdown::Write));
        // Reading to the end makes sure that the last bytes are not lost to a reset.
        let mut rest = Vec::new();
        while let Ok(Received::Bytes) = self.receive(&mut rest, deadline) {
            rest.clear();
        }
    }
}

fn dial(options: &ClientOptions, deadline: Instant) -> Result<TcpStream, ClientError> {
    let address = format!("{}:{}", options.host, options.port);
    let resolve = |source| ClientError::Resolve { host: options.host.clone(), source };
    let mut last = io::Error::new(ErrorKind::NotFound, "no address");
    for address in resolver::addresses(&options.host, deadline).map_err(resolve)? {
        let candidate = SocketAddr::new(address, options.port);
        match TcpStream::connect_timeout(&candidate, remaining(deadline)) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(ClientError::Unreachable { address, source: last })
}

/// Decrypts what is there already.
fn take_plaintext(tls: &mut ClientConnection, into: &mut Vec<u8>) -> Result<Received, ClientError> {
    let mut chunk = [0; READ_CHUNK];
    match tls.reader().read(&mut chunk) {
        Ok(0) => Ok(Received::End),
        Ok(count) => {
            into.extend_from_slice(&chunk[..count]);
            Ok(Received::Bytes)
        }
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(Received::Nothing),
        // The peer left without close_notify. MQTT frames its packets, so nothing can be cut off unnoticed.
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => Ok(Received::End),
        Err(error) => Err(ClientError::Broken(error)),
    }
}

/// Reads TLS records once; false if nothing came before `deadline`.
fn advance(
    tls: &mut ClientConnection,
    socket: &mut TcpStream,
    host: &str,
    deadline: Instant,
) -> Result<bool, ClientError> {
    let timeout = remaining(deadline);
    socket.set_read_timeout(Some(timeout)).map_err(ClientError::Broken)?;
    match tls.read_tls(socket) {
        Ok(0) if tls.is_handshaking() => Err(ClientError::Closed),
        Ok(_) => {
            let outcome = tls.process_new_packets();
            // An alert of ours may be waiting: the broker logs why the client left.
            drop(flush(tls, socket, deadline));
            outcome.map(|_| true).map_err(|error| tls::explain(error, host))
        }
        Err(error) if is_timeout(&error) => Ok(false),
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(true),
        Err(error) if is_hangup(&error) => Err(ClientError::Closed),
        Err(error) => Err(ClientError::Broken(error)),
    }
}

fn flush(tls: &mut ClientConnection, socket: &mut TcpStream, deadline: Instant) -> Result<(), ClientError> {
    while tls.wants_write() {
        socket.set_write_timeout(Some(remaining(deadline))).map_err(ClientError::Broken)?;
        tls.write_tls(socket).map_err(ClientError::Broken)?;
    }
    Ok(())
}

fn read_until(
    socket: &mut TcpStream,
    chunk: &mut [u8],
    deadline: Instant,
) -> Result<Option<usize>, ClientError> {
    socket.set_read_timeout(Some(remaining(deadline))).map_err(ClientError::Broken)?;
    match socket.read(chunk) {
        Ok(count) => Ok(Some(count)),
        Err(error) if is_timeout(&error) || error.kind() == ErrorKind::Interrupted => Ok(None),
        Err(error) if is_hangup(&error) => Ok(Some(0)),
        Err(error) => Err(ClientError::Broken(error)),
    }
}

/// Returns what is left until `deadline`, at least a millisecond: a timeout of zero means none to the system.
fn remaining(deadline: Instant) -> Duration {
    deadline.saturating_duration_since(clock::now()).max(Duration::from_millis(1))
}

fn is_timeout(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut)
}

fn is_hangup(error: &io::Error) -> bool {
    matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe | ErrorKind::ConnectionAborted)
}
