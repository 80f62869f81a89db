//! The server's end of a link: what dies with the link.

use crate::codec::{self, DecodeError};
use crate::limits::ConnectionLimits;
use crate::packet::{Packet, Version};
use crate::reason::ReasonCode;
use crate::time::Millis;
use alloc::vec::Vec;

/// Is the server's end of one link.
///
/// Give [`ServerConnection::decode`] the bytes that came, drop `size` of them after each packet, and call it again
/// until it says [`Step::Incomplete`]. After CONNECT nothing is decoded until [`ServerConnection::established`].
#[derive(Debug)]
pub struct ServerConnection {
    limits: ConnectionLimits,
}

/// Is what [`ServerConnection::decode`] found at the start of its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step<'a> {
    /// The packet is not all there.
    Incomplete {
        /// Bytes of the whole packet if the header tells, else the least that is needed to learn more. Never above
        /// the limit.
        need: usize,
    },
    /// A packet.
    Packet {
        /// The packet, borrowed from the input.
        packet: Packet<'a>,
        /// Its bytes, to be dropped from the input.
        size: usize,
    },
}

/// Says why a link must be closed, and what is sent before that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// The rule that the peer broke.
    pub error: DecodeError,
    /// What it is told.
    pub farewell: Farewell,
}

/// Is the last packet on a refused link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Farewell {
    /// Nothing: the version has no words for it, or the peer speaks no MQTT.
    Silent,
    /// A CONNACK that refuses.
    ConnAck(Version, ReasonCode),
    /// A DISCONNECT of 5.0.
    Disconnect(ReasonCode),
}

impl Farewell {
    /// Appends the packet, if there is one.
    pub fn encode(self, out: &mut Vec<u8>) {
        todo!("{out:?}")
    }
}

impl ServerConnection {
    /// Makes the end of a link on which nothing was read.
    pub fn new(limits: ConnectionLimits) -> Self {
        Self { limits }
    }

    /// Decodes the packet at the start of `input`.
    ///
    /// # Errors
    /// The peer broke a rule: send the farewell, close the link, and do not call this again.
    pub fn decode<'a>(&mut self, now: Millis, input: &'a [u8]) -> Result<Step<'a>, Refused> {
        todo!("{now:?} {input:?} {:?} {:?}", self.limits, codec::VARINT_MAX)
    }

    /// Opens the link for all packets after a successful CONNACK; the keep-alive runs from `now` on.
    ///
    /// `keep_alive_secs` is what CONNECT asked for or what the server put in its place; 0 is off.
    pub fn established(&mut self, now: Millis, keep_alive_secs: u16) {
        todo!("{now:?} {keep_alive_secs:?}")
    }

    /// Returns when [`ServerConnection::is_late`] will be true if no packet comes: one and a half keep-alives after
    /// the last packet [MQTT-3.1.2-22].
    pub fn poll_timeout(&self) -> Option<Millis> {
        todo!()
    }

    /// Tells whether the client was silent for too long; tell it 0x8D and close.
    pub fn is_late(&self, now: Millis) -> bool {
        todo!("{now:?}")
    }

    /// Returns the version that CONNECT named.
    pub fn version(&self) -> Option<Version> {
        todo!()
    }
}
