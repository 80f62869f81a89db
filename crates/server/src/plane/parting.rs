//! Connections that are over but for their last bytes.
//!
//! A close while bytes of the peer lie unread becomes a reset, which can destroy the farewell before the peer has
//! read it. So the rest is sent, our half is shut, and what the peer still sends is thrown away until it closes or
//! the time is up.

use crate::plane::admission::ConnectionGuard;
use crate::plane::limits::LINGER_BYTES;
use crate::plane::stream::Stream;
use keyward_mqtt::time::Millis;
use std::io::{ErrorKind, Read, Write};
use std::net::Shutdown;

/// Is a connection that is being closed in order.
pub(crate) struct Parting {
    socket: Stream,
    unsent: Vec<u8>,
    sent: usize,
    shut: bool,
    swallowed: usize,
    deadline: Millis,
    _counted: ConnectionGuard,
}

/// Says whether a connection is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Parted {
    /// The connection can be dropped.
    Yes,
    /// It waits for its socket.
    NotYet,
}

impl Parting {
    /// Sees off a connection. It counts for its address still, but not for its identity: a client that takes over its
    /// own session again and again must not shut itself out.
    pub(crate) fn new(
        socket: Stream,
        unsent: Vec<u8>,
        deadline: Millis,
        mut counted: ConnectionGuard,
    ) -> Self {
        counted.forget_identity();
        Self { socket, unsent, sent: 0, shut: false, swallowed: 0, deadline, _counted: counted }
    }

    /// Returns the bytes that it holds.
    pub(crate) fn held(&self) -> usize {
        self.unsent.capacity()
    }

    pub(crate) fn deadline(&self) -> Millis {
        self.deadline
    }

    /// Goes as far as the socket lets it.
    pub(crate) fn advance(&mut self, now: Millis, buffer: &mut [u8]) -> Parted {
        if now >= self.deadline || self.send() == Parted::Yes {
            return Parted::Yes;
        }
        if self.sent < self.unsent.len() {
            return Parted::NotYet;
        }
        if !self.shut {
            self.shut = true;
            if self.socket.shutdown(Shutdown::Write).is_err() {
                return Parted::Yes;
            }
        }
        self.swallow(buffer)
    }

    fn send(&mut self) -> Parted {
        while self.sent < self.unsent.len() {
            match self.socket.write(&self.unsent[self.sent..]) {
                Ok(0) => return Parted::Yes,
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Parted::NotYet,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Parted::Yes,
            }
        }
        Parted::NotYet
    }

    fn swallow(&mut self, buffer: &mut [u8]) -> Parted {
        while self.swallowed < LINGER_BYTES {
            match self.socket.read(buffer) {
                Ok(0) => return Parted::Yes,
                Ok(count) => self.swallowed += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Parted::NotYet,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Parted::Yes,
            }
        }
        Parted::Yes
    }
}
