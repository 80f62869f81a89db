//! The client's end: one link at a time, and the session that outlives it.

use crate::codec::{DecodeError, EncodeError};
use crate::limits::ClientLimits;
use crate::packet::Ack;
use crate::packet::{
    Auth, ConnAck, Connect, Disconnect, PacketId, Publish, Qos, SubAck, SubscribeFilters, UnsubscribeFilters,
};
use crate::property::{PublishProperties, SubscribeProperties, UnsubscribeProperties};
use crate::reason::ReasonCode;
use crate::time::Millis;
use crate::topic::TopicName;
use alloc::vec::Vec;

/// Is the client's end of a link, and its session.
///
/// The rule of use: [`connect`](Self::connect) on a fresh link; then again and again give
/// [`handle`](Self::handle) what was read, send what [`output`](Self::output) holds and say so with
/// [`written`](Self::written), and call [`handle_timeout`](Self::handle_timeout) at
/// [`poll_timeout`](Self::poll_timeout). When the link is gone for whatever reason call
/// [`link_lost`](Self::link_lost); the session stays, and the next `connect` goes on with it.
///
/// A message that came is acknowledged by what `handle` appends to the output: who wants to keep it safe first does so
/// before sending the output.
#[derive(Debug)]
pub struct ClientConnection {
    limits: ClientLimits,
}

/// Is what [`ClientConnection::handle`] found at the start of its input.
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
        discarded: Discarded,
    },
    /// The server refused the link.
    Refused(ConnAck<'a>),
    /// A message; one of QoS 2 comes once.
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

/// Lists messages that were given up with a session: published, never acknowledged.
pub type Discarded = Vec<PacketId>;

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
    /// The session was begun in another version of the protocol, and messages of it wait.
    OtherVersion,
    /// As many messages wait as [`ClientLimits::queue_max`] allows.
    QueueFull,
    /// As many requests wait as [`ClientLimits::requests_max`] allows.
    TooManyRequests,
    /// The server takes no packet of this size.
    PacketTooLarge,
    /// The server does not take this quality of service.
    QosNotSupported,
    /// The server does not take retained messages.
    RetainNotSupported,
    /// Topic aliases, which this client does not resolve.
    TopicAlias,
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

impl ClientConnection {
    /// Makes a client without a link and with an empty session.
    pub fn new(limits: ClientLimits) -> Self {
        Self { limits }
    }

    /// Begins a link: CONNECT is in the output. A receive maximum and a maximum packet size are those of `connect`.
    ///
    /// # Errors
    /// There is a link already, the session has another version, or the packet cannot be written.
    pub fn connect(&mut self, now: Millis, connect: &Connect<'_>) -> Result<(), ClientError> {
        todo!("{now:?} {connect:?} {:?}", self.limits)
    }

    /// Deals with the packet at the start of `input`.
    ///
    /// # Errors
    /// The server broke a rule: send the output and close.
    pub fn handle<'a>(&mut self, now: Millis, input: &'a [u8]) -> Result<ClientStep<'a>, ClientError> {
        todo!("{now:?} {input:?}")
    }

    /// Publishes. QoS 0 needs a link and returns no identifier; QoS 1 and 2 are kept until [`ClientEvent::Published`]
    /// names the identifier.
    ///
    /// # Errors
    /// There is no link (QoS 0), no place, or the server does not take such a message.
    pub fn publish(&mut self, now: Millis, message: &Message<'_>) -> Result<Option<PacketId>, ClientError> {
        todo!("{now:?} {message:?}")
    }

    /// Asks for topics; the answer names the identifier. A request dies with its link.
    ///
    /// # Errors
    /// There is no link, or no place.
    pub fn subscribe(
        &mut self,
        now: Millis,
        filters: SubscribeFilters<'_>,
        properties: &SubscribeProperties<'_>,
    ) -> Result<PacketId, ClientError> {
        todo!("{now:?} {filters:?} {properties:?}")
    }

    /// Gives topics up; the answer names the identifier. A request dies with its link.
    ///
    /// # Errors
    /// There is no link, or no place.
    pub fn unsubscribe(
        &mut self,
        now: Millis,
        filters: UnsubscribeFilters<'_>,
        properties: &UnsubscribeProperties<'_>,
    ) -> Result<PacketId, ClientError> {
        todo!("{now:?} {filters:?} {properties:?}")
    }

    /// Ends the link: DISCONNECT is in the output; close when it is sent. 3.1.1 knows [`ReasonCode::Success`] only.
    ///
    /// # Errors
    /// There is no link, or the packet cannot be written.
    pub fn disconnect(&mut self, disconnect: &Disconnect<'_>) -> Result<(), ClientError> {
        todo!("{disconnect:?} {:?}", ReasonCode::Success)
    }

    /// Returns when [`ClientConnection::handle_timeout`] wants to be called.
    pub fn poll_timeout(&self) -> Option<Millis> {
        todo!()
    }

    /// Sends a sign of life if one is due.
    ///
    /// # Errors
    /// [`ClientError::ServerSilent`]: CONNACK or PINGRESP did not come in time.
    pub fn handle_timeout(&mut self, now: Millis) -> Result<(), ClientError> {
        todo!("{now:?}")
    }

    /// Returns the bytes that wait to be sent.
    pub fn output(&self) -> &[u8] {
        todo!()
    }

    /// Drops the first `count` bytes of the output, which were sent.
    pub fn written(&mut self, count: usize) {
        todo!("{count:?}")
    }

    /// Forgets the link and keeps the session.
    pub fn link_lost(&mut self) {
        todo!()
    }

    /// Tells whether the server accepted the link that there is.
    pub fn is_connected(&self) -> bool {
        todo!()
    }

    /// Returns how many messages of QoS 1 and 2 are not acknowledged yet.
    pub fn unacknowledged(&self) -> usize {
        todo!()
    }
}
