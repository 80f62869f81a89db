//! The server's end of a link: what dies with the link.

mod authentication;

use super::aliases::AliasTable;
use super::{Framed, find_frame};
use crate::codec::{self, DecodeError, Sender, Violation, connect};
use crate::frame::{self, PacketType};
use crate::limits::ConnectionLimits;
use crate::packet::{ConnAck, Connect, Disconnect, Packet, Version};
use crate::property::{ConnAckProperties, DisconnectProperties};
use crate::reason::ReasonCode;
use crate::time::Millis;
use alloc::vec::Vec;
use authentication::Authentication;

/// Is the server's end of one link.
///
/// Give [`ServerConnection::decode`] the bytes that came, drop `size` of them after each packet, and call it again
/// until it says [`Step::Incomplete`]. After CONNECT nothing is decoded until [`ServerConnection::established`], but the
/// answer to a [`ServerConnection::challenge`].
#[derive(Debug)]
pub struct ServerConnection {
    limits: ConnectionLimits,
    phase: Phase,
    /// When the last packet came.
    heard: Millis,
    /// One and a half keep-alives; `None` is off.
    silence_max: Option<Millis>,
    aliases: AliasTable,
    authentication: Authentication,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Only CONNECT may come.
    New,
    /// CONNECT came; the server has not decided.
    Admitting(Accepted),
    /// The link is open.
    Open(Accepted),
    /// DISCONNECT came.
    Ended(Version),
}

/// Is what later packets are judged by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Accepted {
    version: Version,
    /// CONNECT gave the session an expiry above 0, so DISCONNECT may change it.
    session_expires_later: bool,
}

impl Accepted {
    fn of(connect: &Connect<'_>) -> Self {
        Self {
            version: connect.version,
            session_expires_later: connect.properties.session_expiry.is_some_and(|seconds| seconds > 0),
        }
    }
}

/// Is what [`ServerConnection::decode`] found at the start of its input.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(
    clippy::large_enum_variant,
    reason = "it is taken apart at once; a box would cost an allocation a packet"
)]
pub enum Step<'a> {
    /// The packet is not all there.
    Incomplete {
        /// Bytes of the whole packet if the header tells, else the least that is needed to learn more. Never above
        /// the limit.
        need: usize,
    },
    /// A packet.
    Packet {
        /// The packet, borrowed from the input, the topic of an alias from the connection. A PUBLISH has a topic and no
        /// alias.
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
    /// Returns the last packet on an open link of this version; 3.1.1 has none.
    fn of_open(version: Version, error: &DecodeError) -> Self {
        match version {
            Version::V31 | Version::V311 => Self::Silent,
            Version::V5 => Self::Disconnect(error.reason()),
        }
    }

    /// Returns the answer to a refused first packet, of which `input` is what came. 3.1.1 has return codes for two of
    /// our reasons; for the others the link is closed without an answer [MQTT-3.1.4-1].
    fn of_first(input: &[u8], error: &DecodeError) -> Self {
        if error.packet != Some(PacketType::Connect) {
            return Self::Silent;
        }
        let Some(version) = connect::answer_version(body_of(input)) else { return Self::Silent };
        let has_words = match version {
            Version::V5 => true,
            Version::V31 | Version::V311 => {
                matches!(error.violation, Violation::ProtocolLevel(_) | Violation::ClientIdMissing)
            }
        };
        if has_words { Self::ConnAck(version, error.reason()) } else { Self::Silent }
    }

    /// Tells whether nothing is sent.
    pub fn is_silent(self) -> bool {
        self == Self::Silent
    }

    /// Appends the packet, if there is one.
    pub fn encode(self, out: &mut Vec<u8>) {
        let (packet, version) = match self {
            Self::Silent => return,
            Self::ConnAck(version, reason) => {
                let properties = ConnAckProperties::default();
                (Packet::ConnAck(ConnAck { session_present: false, reason, properties }), version)
            }
            Self::Disconnect(reason) => {
                let properties = DisconnectProperties::default();
                (Packet::Disconnect(Disconnect { reason, properties }), Version::V5)
            }
        };
        let written = codec::encode(&packet, version, out);
        debug_assert!(written.is_ok(), "a packet without text always fits");
    }
}

impl ServerConnection {
    /// Makes the end of a link on which nothing was read.
    pub fn new(limits: ConnectionLimits) -> Self {
        Self {
            limits,
            phase: Phase::New,
            heard: Millis::ZERO,
            silence_max: None,
            aliases: AliasTable::default(),
            authentication: Authentication::default(),
        }
    }

    /// Decodes the packet at the start of `input`.
    ///
    /// # Errors
    /// The peer broke a rule: send the farewell, close the link, and do not call this again.
    pub fn decode<'a>(&'a mut self, now: Millis, input: &'a [u8]) -> Result<Step<'a>, Refused> {
        match self.phase {
            Phase::Open(accepted) => self.decode_open(now, accepted, input),
            _ => self.decode_opening(now, input),
        }
    }

    /// Decodes what comes before the link is open, as [`ServerConnection::decode`] does. What comes then borrows from
    /// the input alone, so the connection can be used while it is looked at. Nothing is decoded on an open link.
    ///
    /// # Errors
    /// As [`ServerConnection::decode`].
    pub fn decode_opening<'a>(&mut self, now: Millis, input: &'a [u8]) -> Result<Step<'a>, Refused> {
        match self.phase {
            Phase::New => self.decode_first(now, input),
            Phase::Admitting(accepted) if self.authentication.is_clients_turn() => {
                self.decode_answer(now, accepted, input)
            }
            Phase::Admitting(_) | Phase::Open(_) => {
                Ok(Step::Incomplete { need: input.len().saturating_add(1) })
            }
            Phase::Ended(_) => after_disconnect(input),
        }
    }

    fn decode_first<'a>(&mut self, now: Millis, input: &'a [u8]) -> Result<Step<'a>, Refused> {
        let refused = |error| Refused { error, farewell: Farewell::of_first(input, &error) };
        let framed = find_frame(Version::V5, input, self.limits.connect_max, |kind| match kind {
            PacketType::Connect => Ok(()),
            _ => Err(Violation::OutOfOrder),
        });
        let (header, frame) = match framed.map_err(refused)? {
            Framed::Incomplete { need } => return Ok(Step::Incomplete { need }),
            Framed::Complete { header, frame } => (header, frame),
        };
        let packet = codec::decode_framed(Version::V5, Sender::Client, &header, frame).map_err(refused)?;
        if let Packet::Connect(connect) = &packet {
            self.phase = Phase::Admitting(Accepted::of(connect));
            self.authentication = Authentication::of(connect.properties.authentication_method);
        }
        self.heard = now;
        Ok(Step::Packet { packet, size: frame.len() })
    }

    /// Decodes the answer to a challenge: until CONNACK only AUTH and DISCONNECT may come [MQTT-3.1.2-30]. A refusal is
    /// a CONNACK still [MQTT-4.12.0-4].
    fn decode_answer<'a>(
        &mut self,
        now: Millis,
        accepted: Accepted,
        input: &'a [u8],
    ) -> Result<Step<'a>, Refused> {
        let Accepted { version, .. } = accepted;
        let refused = |error: DecodeError| {
            let farewell = Farewell::ConnAck(version, error.reason());
            Refused { error, farewell }
        };
        let framed = find_frame(version, input, self.limits.connect_max, |kind| match kind {
            PacketType::Auth | PacketType::Disconnect => Ok(()),
            _ => Err(Violation::OutOfOrder),
        });
        let (header, frame) = match framed.map_err(refused)? {
            Framed::Incomplete { need } => return Ok(Step::Incomplete { need }),
            Framed::Complete { header, frame } => (header, frame),
        };
        let packet = codec::decode_framed(version, Sender::Client, &header, frame).map_err(refused)?;
        self.take_in(now, accepted, &packet).map_err(refused)?;
        Ok(Step::Packet { packet, size: frame.len() })
    }

    fn decode_open<'a>(
        &'a mut self,
        now: Millis,
        accepted: Accepted,
        input: &'a [u8],
    ) -> Result<Step<'a>, Refused> {
        let Accepted { version, .. } = accepted;
        let refused = |error| Refused { error, farewell: Farewell::of_open(version, &error) };
        let framed = find_frame(version, input, self.limits.packet_max, |kind| match kind {
            PacketType::Connect => Err(Violation::Repeated),
            _ => codec::check_sender(version, Sender::Client, kind),
        });
        let (header, frame) = match framed.map_err(refused)? {
            Framed::Incomplete { need } => return Ok(Step::Incomplete { need }),
            Framed::Complete { header, frame } => (header, frame),
        };
        let packet = codec::decode_framed(version, Sender::Client, &header, frame).map_err(refused)?;
        self.take_in(now, accepted, &packet).map_err(refused)?;
        let packet = match packet {
            Packet::Publish(publish) => {
                let noted = self.aliases.note(self.limits.topic_alias_max, &publish);
                let of_publish = |violation| DecodeError { packet: Some(PacketType::Publish), violation };
                noted.map_err(|violation| refused(of_publish(violation)))?;
                Packet::Publish(self.aliases.resolve(publish))
            }
            packet => packet,
        };
        Ok(Step::Packet { packet, size: frame.len() })
    }

    /// Notes what follows from a packet for later ones, and refuses what one packet alone does not show.
    fn take_in(&mut self, now: Millis, accepted: Accepted, packet: &Packet<'_>) -> Result<(), DecodeError> {
        let taken = match packet {
            Packet::Auth(auth) => self.authentication.receive(auth),
            Packet::Disconnect(disconnect) => {
                self.phase = Phase::Ended(accepted.version);
                accepted.check(disconnect)
            }
            _ => Ok(()),
        };
        self.heard = now;
        taken.map_err(|violation| DecodeError { packet: Some(packet.kind()), violation })
    }

    /// Opens the link for all packets after a successful CONNACK; the keep-alive runs from `now` on.
    ///
    /// `keep_alive_secs` is what CONNECT asked for or what the server put in its place; 0 is off.
    pub fn established(&mut self, now: Millis, keep_alive_secs: u16) {
        if let Phase::Admitting(accepted) = self.phase {
            self.phase = Phase::Open(accepted);
            self.authentication.settle();
            self.heard = now;
            self.silence_max = match keep_alive_secs {
                0 => None,
                secs => Some(Millis(u64::from(secs) * 1500)),
            };
        }
    }

    /// Returns when [`ServerConnection::is_late`] will be true if no packet comes: one and a half keep-alives after
    /// the last packet [MQTT-3.1.2-22].
    pub fn poll_timeout(&self) -> Option<Millis> {
        match self.phase {
            Phase::Open(_) => self.silence_max.map(|silence| self.heard.saturating_add(silence)),
            _ => None,
        }
    }

    /// Tells whether the client was silent for too long; tell it 0x8D and close.
    pub fn is_late(&self, now: Millis) -> bool {
        self.poll_timeout().is_some_and(|deadline| now >= deadline)
    }

    /// Returns the bytes of memory that the link's topic aliases take.
    pub fn held(&self) -> usize {
        self.aliases.held()
    }

    /// Returns the version that CONNECT named.
    pub fn version(&self) -> Option<Version> {
        match self.phase {
            Phase::New => None,
            Phase::Admitting(accepted) | Phase::Open(accepted) => Some(accepted.version),
            Phase::Ended(version) => Some(version),
        }
    }
}

impl Accepted {
    /// Checks a DISCONNECT against what CONNECT said [MQTT-3.14.2-2].
    fn check(self, disconnect: &Disconnect<'_>) -> Result<(), Violation> {
        let raises = disconnect.properties.session_expiry.is_some_and(|seconds| seconds > 0);
        if raises && !self.session_expires_later { Err(Violation::SessionExpiryRaised) } else { Ok(()) }
    }
}

/// Refuses the first byte after a DISCONNECT; nothing answers it, for the client has gone.
fn after_disconnect(input: &[u8]) -> Result<Step<'_>, Refused> {
    if input.is_empty() {
        return Ok(Step::Incomplete { need: 1 });
    }
    let error = DecodeError { packet: None, violation: Violation::AfterDisconnect };
    Err(Refused { error, farewell: Farewell::Silent })
}

/// Returns what is there of a packet behind its fixed header.
fn body_of(input: &[u8]) -> &[u8] {
    match frame::peek(input) {
        Ok(Some(header)) => input.get(header.header_len..).unwrap_or_default(),
        _ => &[],
    }
}
