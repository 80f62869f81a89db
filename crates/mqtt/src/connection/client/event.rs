//! What a client's end says to the application, and what the application says to it.

use crate::codec::{DecodeError, EncodeError};
use crate::packet::{Ack, Auth, ConnAck, Disconnect, PacketId, Publish, Qos, SubAck};
use crate::property::PublishProperties;
use crate::topic::TopicName;
use alloc::vec::Vec;
use core::fmt;

/// Is what [`ClientConnection::handle`](crate::connection::ClientConnection::handle) found at the start of its input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientStep<'a> {
    /// The packet is not all there.
    Incomplete {
        /// Bytes of the whole packet if the header tells, else the least that is needed to learn more.
        need: usize,
    },
    /// A packet was dealt with.
    Packet {
        /// What the application learns of it; nothing of pings and of the inner steps of QoS 2.
        event: Option<ClientEvent<'a>>,
        /// Its bytes, to be dropped from the input.
        size: usize,
    },
}

/// Is what the application learns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ClientEvent<'a> {
    /// The server accepted the link. Messages that were waiting are in the output now.
    Connected {
        /// Its CONNACK.
        connack: ConnAck<'a>,
        /// The exchanges of an earlier session that the server no longer holds; they are given up [MQTT-3.2.2-5].
        discarded: Vec<PacketId>,
    },
    /// The server refused the link.
    Refused(ConnAck<'a>),
    /// A message, with a topic and without an alias; one of QoS 2 comes once.
    Message(Publish<'a>),
    /// A message of QoS 1 or 2 arrived at the server, or was refused by it (see the code).
    Published(Ack<'a>),
    /// The answer to a SUBSCRIBE.
    Subscribed(SubAck<'a>),
    /// The answer to an UNSUBSCRIBE.
    Unsubscribed(SubAck<'a>),
    /// A step of enhanced authentication.
    Auth(Auth<'a>),
    /// The server ends the link and says why; 5.0 only.
    Disconnected(Disconnect<'a>),
}

/// Is a message to publish.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message<'a> {
    /// Where.
    pub topic: TopicName<'a>,
    /// What.
    pub payload: &'a [u8],
    /// With which quality of service.
    pub qos: Qos,
    /// Whether the server keeps it.
    pub retain: bool,
    /// Properties of 5.0.
    pub properties: PublishProperties<'a>,
}

/// Says why the client's end cannot go on, or cannot do what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClientError {
    /// The server broke the protocol. The output holds a DISCONNECT where 5.0 wants one: send it and close.
    Server(DecodeError),
    /// The packet cannot be written.
    Encode(EncodeError),
    /// The server was silent for too long: close.
    ServerSilent,
    /// There is no link, or its CONNACK has not come.
    NotConnected,
    /// There is a link already.
    AlreadyConnected,
    /// Messages of the session wait that are encoded for the other version of the protocol.
    OtherVersion,
    /// As many messages wait as [`ClientLimits::queue_max`](crate::limits::ClientLimits::queue_max) allows.
    QueueFull,
    /// As many requests wait as [`ClientLimits::requests_max`](crate::limits::ClientLimits::requests_max) allows.
    TooManyRequests,
    /// The server takes no packet of this size.
    PacketTooLarge,
    /// The server does not take this quality of service.
    QosNotSupported,
    /// The server does not take retained messages.
    RetainNotSupported,
    /// The message has a topic alias already: the client gives topics theirs.
    TopicAlias,
}

impl From<EncodeError> for ClientError {
    fn from(error: EncodeError) -> Self {
        Self::Encode(error)
    }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Server(error) => write!(f, "the server broke the protocol: {error}"),
            Self::Encode(error) => write!(f, "the packet cannot be written: {error}"),
            Self::ServerSilent => f.write_str("the server does not answer"),
            Self::NotConnected => f.write_str("there is no open link to the server"),
            Self::AlreadyConnected => f.write_str("there is a link to the server already"),
            Self::OtherVersion => {
                f.write_str("messages wait that need the protocol version of the last link")
            }
            Self::QueueFull => f.write_str("too many messages wait for an acknowledgement: try again later"),
            Self::TooManyRequests => f.write_str("too many requests wait for an answer: try again later"),
            Self::PacketTooLarge => f.write_str("the server takes no packet of this size"),
            Self::QosNotSupported => f.write_str("the server does not take this quality of service"),
            Self::RetainNotSupported => f.write_str("the server does not take retained messages"),
            Self::TopicAlias => f.write_str("topic aliases are given by the client: leave them out"),
        }
    }
}

impl core::error::Error for ClientError {}
