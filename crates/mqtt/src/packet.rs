//! The control packets as values that borrow from the buffer they were read from.
//!
//! One type serves all protocol versions: what a version lacks is empty when decoded and left out when encoded.

use crate::frame::PacketType;
use crate::property::{
    AckProperties, AuthProperties, ConnAckProperties, ConnectProperties, DisconnectProperties,
    PublishProperties, SubscribeProperties, UnsubscribeProperties, WillProperties,
};
use crate::reason::ReasonCode;
use crate::topic::TopicName;
use core::fmt;
use core::num::NonZeroU16;

/// Is a version of the protocol that this crate speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Version {
    /// MQTT 3.1, protocol name "MQIsdp", level 3.
    V31,
    /// MQTT 3.1.1, protocol level 4.
    V311,
    /// MQTT 5.0, protocol level 5.
    V5,
}

impl Version {
    /// Tells whether it is 5.0, which alone has properties and reason codes; the two before differ little.
    pub fn is_v5(self) -> bool {
        self == Self::V5
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::V31 => "MQTT 3.1",
            Self::V311 => "MQTT 3.1.1",
            Self::V5 => "MQTT 5.0",
        })
    }
}

/// Is a quality of service (chapter 4.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Qos {
    /// QoS 0.
    #[default]
    AtMostOnce = 0,
    /// QoS 1.
    AtLeastOnce = 1,
    /// QoS 2.
    ExactlyOnce = 2,
}

/// Identifies an exchange on a link; never zero [MQTT-2.2.1-3].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PacketId(pub NonZeroU16);

/// Is any control packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Packet<'a> {
    /// Client to server: the first packet.
    Connect(Connect<'a>),
    /// Server to client: the answer to CONNECT.
    ConnAck(ConnAck<'a>),
    /// A message, either way.
    Publish(Publish<'a>),
    /// Acknowledges a QoS 1 message.
    PubAck(Ack<'a>),
    /// First answer to a QoS 2 message.
    PubRec(Ack<'a>),
    /// Second step of a QoS 2 exchange.
    PubRel(Ack<'a>),
    /// Last step of a QoS 2 exchange.
    PubComp(Ack<'a>),
    /// Client to server: asks for topics.
    Subscribe(Subscribe<'a>),
    /// Server to client: the answer, a code for each filter.
    SubAck(SubAck<'a>),
    /// Client to server: gives topics up.
    Unsubscribe(Unsubscribe<'a>),
    /// Server to client: the answer; 3.1.1 carries no codes.
    UnsubAck(SubAck<'a>),
    /// Client to server: a sign of life.
    PingReq,
    /// Server to client: the answer.
    PingResp,
    /// Ends a link; in 3.1.1 from the client only.
    Disconnect(Disconnect<'a>),
    /// Enhanced authentication, 5.0 only.
    Auth(Auth<'a>),
}

impl Packet<'_> {
    /// Returns the type of the packet.
    pub fn kind(&self) -> PacketType {
        match self {
            Self::Connect(_) => PacketType::Connect,
            Self::ConnAck(_) => PacketType::ConnAck,
            Self::Publish(_) => PacketType::Publish,
            Self::PubAck(_) => PacketType::PubAck,
            Self::PubRec(_) => PacketType::PubRec,
            Self::PubRel(_) => PacketType::PubRel,
            Self::PubComp(_) => PacketType::PubComp,
            Self::Subscribe(_) => PacketType::Subscribe,
            Self::SubAck(_) => PacketType::SubAck,
            Self::Unsubscribe(_) => PacketType::Unsubscribe,
            Self::UnsubAck(_) => PacketType::UnsubAck,
            Self::PingReq => PacketType::PingReq,
            Self::PingResp => PacketType::PingResp,
            Self::Disconnect(_) => PacketType::Disconnect,
            Self::Auth(_) => PacketType::Auth,
        }
    }
}

/// Opens a link (chapter 3.1).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connect<'a> {
    /// The protocol version that the client speaks.
    pub version: Version,
    /// Clean Session of 3.1.1, Clean Start of 5.0.
    pub clean_start: bool,
    /// Seconds; 0 is off.
    pub keep_alive: u16,
    /// Which session; empty asks the server to choose.
    pub client_id: &'a str,
    /// What to publish when the link is lost.
    pub will: Option<Will<'a>>,
    /// User name.
    pub username: Option<&'a str>,
    /// Password; any bytes.
    pub password: Option<&'a [u8]>,
    /// Properties of 5.0.
    pub properties: ConnectProperties<'a>,
}

/// Is the message that a server publishes for a client that it lost (chapter 3.1.2.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Will<'a> {
    /// Where it is published.
    pub topic: TopicName<'a>,
    /// What is published.
    pub payload: &'a [u8],
    /// With which quality of service.
    pub qos: Qos,
    /// Whether it is retained.
    pub retain: bool,
    /// Properties of 5.0.
    pub properties: WillProperties<'a>,
}

/// Answers CONNECT (chapter 3.2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConnAck<'a> {
    /// Whether the server held a session; false whenever `reason` is a refusal [MQTT-3.2.2-6].
    pub session_present: bool,
    /// The verdict, a code of 5.0; the encoder translates it for 3.1.1.
    pub reason: ReasonCode,
    /// Properties of 5.0.
    pub properties: ConnAckProperties<'a>,
}

/// Carries a message (chapter 3.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Set on a repeated delivery.
    pub dup: bool,
    /// Quality of service and, above 0, the packet identifier.
    pub delivery: Delivery,
    /// Retain flag.
    pub retain: bool,
    /// The topic; `None` if a topic alias stands for it.
    pub topic: Option<TopicName<'a>>,
    /// Properties of 5.0.
    pub properties: PublishProperties<'a>,
    /// The message, any bytes.
    pub payload: &'a [u8],
}

/// Joins the quality of service with the packet identifier that it needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delivery {
    /// QoS 0 has no identifier [MQTT-2.2.1-2].
    AtMostOnce,
    /// QoS 1.
    AtLeastOnce(PacketId),
    /// QoS 2.
    ExactlyOnce(PacketId),
}

impl Delivery {
    /// Returns the quality of service.
    pub fn qos(self) -> Qos {
        match self {
            Self::AtMostOnce => Qos::AtMostOnce,
            Self::AtLeastOnce(_) => Qos::AtLeastOnce,
            Self::ExactlyOnce(_) => Qos::ExactlyOnce,
        }
    }

    /// Returns the packet identifier, if there is one.
    pub fn id(self) -> Option<PacketId> {
        match self {
            Self::AtMostOnce => None,
            Self::AtLeastOnce(id) | Self::ExactlyOnce(id) => Some(id),
        }
    }
}

/// Is a PUBACK, PUBREC, PUBREL or PUBCOMP (chapters 3.4 to 3.7).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ack<'a> {
    /// Which exchange.
    pub id: PacketId,
    /// The verdict; always success in 3.1.1.
    pub reason: ReasonCode,
    /// Properties of 5.0.
    pub properties: AckProperties<'a>,
}

/// Asks for topics (chapter 3.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subscribe<'a> {
    /// Which exchange.
    pub id: PacketId,
    /// Properties of 5.0.
    pub properties: SubscribeProperties<'a>,
    /// At least one filter with its options [MQTT-3.8.3-2].
    pub filters: SubscribeFilters<'a>,
}

/// Says how a subscription wants its messages (chapter 3.8.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SubscribeOptions {
    /// The highest quality of service.
    pub qos: Qos,
    /// Whether messages of the subscriber's own client are left out.
    pub no_local: bool,
    /// Whether the retain flag is forwarded as it was published.
    pub retain_as_published: bool,
    /// Whether retained messages are sent at subscribe.
    pub retain_handling: RetainHandling,
}

/// Says when retained messages are sent (chapter 3.8.3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum RetainHandling {
    /// At every subscribe.
    #[default]
    Always = 0,
    /// Only if the subscription did not exist.
    IfNew = 1,
    /// Never.
    Never = 2,
}

/// Gives topics up (chapter 3.10).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unsubscribe<'a> {
    /// Which exchange.
    pub id: PacketId,
    /// Properties of 5.0.
    pub properties: UnsubscribeProperties<'a>,
    /// At least one filter [MQTT-3.10.3-2].
    pub filters: UnsubscribeFilters<'a>,
}

/// Answers SUBSCRIBE or UNSUBSCRIBE (chapters 3.9 and 3.11).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubAck<'a> {
    /// Which exchange.
    pub id: PacketId,
    /// Properties of 5.0.
    pub properties: AckProperties<'a>,
    /// A code for each filter, in their order.
    pub reasons: ReasonCodes<'a>,
}

/// Ends a link (chapter 3.14).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disconnect<'a> {
    /// Why; always normal in 3.1.1.
    pub reason: ReasonCode,
    /// Properties of 5.0.
    pub properties: DisconnectProperties<'a>,
}

/// Carries a step of enhanced authentication (chapter 3.15).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Auth<'a> {
    /// Which step.
    pub reason: ReasonCode,
    /// Properties of 5.0.
    pub properties: AuthProperties<'a>,
}

// The three lists below are decoded lazily from checked bytes, or borrowed from a slice when a packet is built; how
// they are read is in `lists`.

/// Lists the filters of a SUBSCRIBE. Texts are valid UTF-8; whether each is a filter is the broker's to say, filter
/// by filter, so that one bad filter does not cost the others.
#[derive(Debug, Clone, Copy)]
pub enum SubscribeFilters<'a> {
    /// The checked payload of a packet.
    Raw(&'a [u8]),
    /// Built by hand.
    List(&'a [(&'a str, SubscribeOptions)]),
}

/// Lists the filters of an UNSUBSCRIBE.
#[derive(Debug, Clone, Copy)]
pub enum UnsubscribeFilters<'a> {
    /// The checked payload of a packet.
    Raw(&'a [u8]),
    /// Built by hand.
    List(&'a [&'a str]),
}

/// Lists the codes of a SUBACK or UNSUBACK.
#[derive(Debug, Clone, Copy)]
pub enum ReasonCodes<'a> {
    /// The checked payload of a packet.
    Raw(&'a [u8]),
    /// Built by hand.
    List(&'a [ReasonCode]),
}
