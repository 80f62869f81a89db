//! Why a packet was refused, by a decoder or by an encoder.

use crate::frame::PacketType;
use crate::limits::TOPIC_ALIAS_BYTES;
use crate::packet::Version;
use crate::property::PropertyId;
use crate::reason::ReasonCode;
use crate::topic::TopicError;
use core::fmt;

/// Says which packet of the peer broke which rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DecodeError {
    /// The packet, if its type could be read.
    pub packet: Option<PacketType>,
    /// The rule.
    pub violation: Violation,
}

/// Says whose fault a refusal is, so that the operator knows where to look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The peer breaks the protocol: its program is wrong, or it is not an MQTT program.
    PeerMisbehaved,
    /// The peer speaks correctly, but another version than we do.
    PeerIncompatible,
    /// The peer asks for more than our limits allow: raise the limit or send less.
    OverLimit,
}

/// Is a rule that a packet broke. `reason()`, `clause()` and `fault()` say what follows from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// The packet type is 0, or 15 in 3.1.1.
    ReservedType,
    /// Reserved bits are not as the standard fixes them.
    ReservedFlags,
    /// A variable byte integer has more than four bytes or is not in its shortest form.
    LengthForm,
    /// The header announces more bytes than the limit; the body was not read.
    TooLarge {
        /// Bytes announced, header included.
        size: u32,
        /// Bytes allowed.
        limit: u32,
    },
    /// A field reaches beyond the end of the packet.
    Truncated,
    /// Bytes follow the last field.
    TrailingBytes,
    /// The first packet on a link is not CONNECT (from a client) or CONNACK or AUTH (from a server).
    OutOfOrder,
    /// A second CONNECT or CONNACK on one link.
    Repeated,
    /// This side of a link never sends this packet in this version.
    WrongSender,
    /// Something follows a DISCONNECT.
    AfterDisconnect,
    /// AUTH, though CONNECT named no authentication method.
    AuthNotBegun,
    /// AUTH names another method than CONNECT did.
    AuthMethodOther,
    /// AUTH, or this kind of AUTH, is not what comes next.
    AuthOutOfTurn,
    /// A text is not UTF-8, or holds a surrogate.
    Utf8,
    /// A text holds U+0000.
    Nul,
    /// The packet identifier is 0.
    PacketIdZero,
    /// The protocol name is neither "MQTT" nor the "MQIsdp" of 3.1.
    ProtocolName,
    /// The protocol level is one that we do not speak.
    ProtocolLevel(u8),
    /// Will QoS or will retain is set without a will, or will QoS is 3.
    WillFlags,
    /// A password without a user name, before 5.0.
    PasswordWithoutUser,
    /// An empty client identifier: in 3.1.1 without clean session, in 3.1 always.
    ClientIdMissing,
    /// Authentication data without an authentication method.
    AuthMethodMissing,
    /// A refusal that claims a present session, or a present session after a clean start.
    SessionPresent,
    /// QoS 3.
    Qos,
    /// DUP is set at QoS 0.
    DupAtQos0,
    /// The topic is not a topic name.
    Topic(TopicError),
    /// The topic is empty and no alias stands for it.
    TopicMissing,
    /// A topic alias that was not allowed.
    TopicAlias,
    /// A topic alias stands for a topic, and none was given for it on this link.
    TopicAliasUnknown,
    /// A topic that is longer than we remember for an alias.
    TopicAliasLength,
    /// A property that the standard does not know.
    UnknownProperty(u32),
    /// A property that this packet does not carry.
    MisplacedProperty(PropertyId),
    /// A property that this side of a link may not send in this packet.
    PropertyFromWrongSide(PropertyId),
    /// A property twice.
    RepeatedProperty(PropertyId),
    /// A property with a value outside its range.
    PropertyValue(PropertyId),
    /// DISCONNECT gives a session an expiry, though CONNECT gave it none.
    SessionExpiryRaised,
    /// A reason code or return code that this packet does not carry, or not from this side.
    ReasonCode(u8),
    /// A SUBSCRIBE or UNSUBSCRIBE without a filter, or an answer without a code.
    EmptyList,
    /// Reserved bits in the options of a subscription.
    SubscribeReserved,
    /// QoS 3 or retain handling 3 in the options of a subscription.
    SubscribeOptions,
    /// No Local on a shared subscription.
    NoLocalShared,
    /// More messages under way than the receive maximum.
    ReceiveMaximum,
    /// An answer to something that was not asked, or with another number of codes than filters.
    Unasked,
}

/// Says why a packet cannot be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EncodeError {
    /// A text or binary value is longer than the 65,535 bytes of its length field.
    ValueTooLong {
        /// Bytes.
        len: usize,
    },
    /// The packet is longer than the 268,435,460 bytes that MQTT can express.
    PacketTooLarge {
        /// Bytes.
        len: usize,
    },
    /// A text holds U+0000, which the peer would refuse [MQTT-1.5.4-2].
    Nul,
    /// A property's value lies outside its range.
    PropertyValue(PropertyId),
    /// The version has no such packet.
    NotInVersion(Version),
    /// A PUBLISH has neither a topic nor an alias.
    TopicMissing,
    /// A 3.1.1 CONNECT has a password but no user name [MQTT-3.1.2-22].
    PasswordWithoutUser,
    /// A list that needs one entry is empty.
    EmptyList,
    /// An AUTH is not due.
    AuthOutOfTurn,
}

impl Violation {
    /// Returns the code that the peer is told in 5.0 (chapter 4.13); 3.1.1 has almost none and just closes.
    pub fn reason(self) -> ReasonCode {
        match self {
            Self::ReservedType
            | Self::ReservedFlags
            | Self::LengthForm
            | Self::Truncated
            | Self::TrailingBytes
            | Self::Utf8
            | Self::Nul
            | Self::WillFlags
            | Self::PasswordWithoutUser
            | Self::Qos
            | Self::DupAtQos0
            | Self::UnknownProperty(_)
            | Self::MisplacedProperty(_)
            | Self::SubscribeReserved => ReasonCode::MalformedPacket,
            Self::OutOfOrder
            | Self::Repeated
            | Self::WrongSender
            | Self::AfterDisconnect
            | Self::AuthNotBegun
            | Self::AuthMethodOther
            | Self::AuthOutOfTurn
            | Self::TopicAliasUnknown
            | Self::PacketIdZero
            | Self::AuthMethodMissing
            | Self::SessionPresent
            | Self::TopicMissing
            | Self::PropertyFromWrongSide(_)
            | Self::RepeatedProperty(_)
            | Self::PropertyValue(_)
            | Self::SessionExpiryRaised
            | Self::ReasonCode(_)
            | Self::EmptyList
            | Self::SubscribeOptions
            | Self::NoLocalShared
            | Self::Unasked => ReasonCode::ProtocolError,
            Self::ProtocolName | Self::ProtocolLevel(_) => ReasonCode::UnsupportedProtocolVersion,
            Self::ClientIdMissing => ReasonCode::ClientIdentifierNotValid,
            Self::Topic(_) => ReasonCode::TopicNameInvalid,
            Self::TopicAlias => ReasonCode::TopicAliasInvalid,
            Self::TopicAliasLength => ReasonCode::QuotaExceeded,
            Self::ReceiveMaximum => ReasonCode::ReceiveMaximumExceeded,
            Self::TooLarge { .. } => ReasonCode::PacketTooLarge,
        }
    }

    /// Returns the rule's number in MQTT 5.0, or the chapter if the rule has no number.
    pub fn clause(self) -> &'static str {
        match self {
            Self::ReservedType => "MQTT 5.0 chapter 2.1.2",
            Self::ReservedFlags => "MQTT-2.1.3-1",
            Self::LengthForm => "MQTT-1.5.5-1",
            Self::TooLarge { .. } => "MQTT-3.1.2-24",
            Self::Truncated | Self::TrailingBytes => "MQTT 5.0 chapter 4.13.1",
            Self::OutOfOrder => "MQTT-3.1.0-1",
            Self::Repeated => "MQTT-3.1.0-2",
            Self::WrongSender => "MQTT 5.0 table 2-1",
            Self::AfterDisconnect => "MQTT-3.14.4-1",
            Self::AuthNotBegun => "MQTT-4.12.0-7",
            Self::AuthMethodOther => "MQTT-4.12.0-5",
            Self::AuthOutOfTurn => "4.12",
            Self::Utf8 => "MQTT-1.5.4-1",
            Self::Nul => "MQTT-1.5.4-2",
            Self::PacketIdZero => "MQTT-2.2.1-3",
            Self::ProtocolName => "MQTT-3.1.2-1",
            Self::ProtocolLevel(_) => "MQTT-3.1.2-2",
            Self::WillFlags => "MQTT-3.1.2-11",
            Self::PasswordWithoutUser => "MQTT 3.1.1 MQTT-3.1.2-22",
            Self::ClientIdMissing => "MQTT 3.1.1 MQTT-3.1.3-8",
            Self::AuthMethodMissing => "MQTT 5.0 chapter 3.1.2.11.10",
            Self::SessionPresent => "MQTT-3.2.2-6",
            Self::Qos => "MQTT-3.3.1-4",
            Self::DupAtQos0 => "MQTT-3.3.1-2",
            Self::Topic(_) => "MQTT-3.3.2-2",
            Self::TopicMissing => "MQTT 5.0 chapter 3.3.2.1",
            Self::TopicAlias => "MQTT-3.3.2-9",
            Self::TopicAliasUnknown | Self::TopicAliasLength => "3.3.2.3.4",
            Self::UnknownProperty(_) | Self::MisplacedProperty(_) => "MQTT 5.0 chapter 2.2.2.2",
            Self::PropertyFromWrongSide(PropertyId::SubscriptionIdentifier) => "MQTT-3.3.4-6",
            Self::PropertyFromWrongSide(_) => "MQTT-3.14.2-2",
            Self::RepeatedProperty(_) | Self::PropertyValue(_) => "MQTT 5.0 chapter 2.2.2",
            Self::SessionExpiryRaised => "MQTT 5.0 chapter 3.14.2.2.2",
            Self::ReasonCode(_) => "MQTT 5.0 table 2-6",
            Self::EmptyList => "MQTT-3.8.3-2",
            Self::SubscribeReserved => "MQTT-3.8.3-5",
            Self::SubscribeOptions => "MQTT 5.0 chapter 3.8.3.1",
            Self::NoLocalShared => "MQTT-3.8.3-4",
            Self::ReceiveMaximum => "MQTT-3.3.4-9",
            Self::Unasked => "MQTT-3.8.4-6",
        }
    }

    /// Returns whose fault the violation is.
    pub fn fault(self) -> Fault {
        match self {
            Self::ProtocolLevel(_) => Fault::PeerIncompatible,
            Self::TooLarge { .. } | Self::TopicAliasLength | Self::Topic(TopicError::TooManyLevels) => {
                Fault::OverLimit
            }
            _ => Fault::PeerMisbehaved,
        }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ReservedType => f.write_str("the packet type is reserved"),
            Self::ReservedFlags => f.write_str("reserved flags are set"),
            Self::LengthForm => f.write_str("a variable byte integer is too long or padded"),
            Self::TooLarge { size, limit } => write!(f, "{size} bytes are announced, {limit} are allowed"),
            Self::Truncated => f.write_str("a field reaches beyond the end of the packet"),
            Self::TrailingBytes => f.write_str("bytes follow the last field"),
            Self::OutOfOrder => f.write_str("it comes before the link is opened"),
            Self::Repeated => f.write_str("it comes a second time"),
            Self::WrongSender => f.write_str("this side never sends it in this version"),
            Self::AfterDisconnect => f.write_str("it follows a DISCONNECT"),
            Self::AuthNotBegun => f.write_str("CONNECT named no authentication method"),
            Self::AuthMethodOther => f.write_str("CONNECT named another authentication method"),
            Self::AuthOutOfTurn => f.write_str("no such step of an authentication comes next"),
            Self::Utf8 => f.write_str("a text is not UTF-8"),
            Self::Nul => f.write_str("a text holds the NUL character"),
            Self::PacketIdZero => f.write_str("the packet identifier is 0"),
            Self::ProtocolName => f.write_str("the protocol name is not \"MQTT\""),
            Self::ProtocolLevel(level) => {
                write!(f, "protocol level {level} is not spoken here: use 3 (MQIsdp), 4 or 5")
            }
            Self::WillFlags => f.write_str("the will flags contradict each other"),
            Self::PasswordWithoutUser => f.write_str("there is a password but no user name"),
            Self::ClientIdMissing => {
                f.write_str("the client id is empty: 5.0 allows it, 3.1.1 with clean session, 3.1 never")
            }
            Self::AuthMethodMissing => f.write_str("the authentication method is missing"),
            Self::SessionPresent => f.write_str("a session cannot be present here"),
            Self::Qos => f.write_str("QoS 3 does not exist"),
            Self::DupAtQos0 => f.write_str("DUP is set at QoS 0"),
            Self::Topic(error) => write!(f, "the topic {error}"),
            Self::TopicMissing => f.write_str("there is neither a topic nor an alias for one"),
            Self::TopicAlias => f.write_str("the topic alias was not allowed"),
            Self::TopicAliasUnknown => f.write_str("the topic alias was given no topic on this link"),
            Self::TopicAliasLength => {
                write!(f, "a topic with an alias has more than {TOPIC_ALIAS_BYTES} bytes")
            }
            Self::UnknownProperty(number) => write!(f, "property {number:#04x} is unknown"),
            Self::MisplacedProperty(id) => write!(f, "the property \"{id}\" does not belong here"),
            Self::PropertyFromWrongSide(id) => write!(f, "this side may not send the property \"{id}\""),
            Self::RepeatedProperty(id) => write!(f, "the property \"{id}\" comes twice"),
            Self::PropertyValue(id) => write!(f, "the property \"{id}\" has a value outside its range"),
            Self::SessionExpiryRaised => f.write_str("the session expiry was 0 and cannot be raised"),
            Self::ReasonCode(code) => write!(f, "code {code:#04x} does not belong here"),
            Self::EmptyList => f.write_str("the list is empty"),
            Self::SubscribeReserved => f.write_str("reserved bits are set in the subscription options"),
            Self::SubscribeOptions => f.write_str("the subscription options hold QoS 3 or retain handling 3"),
            Self::NoLocalShared => f.write_str("No Local is set on a shared subscription"),
            Self::ReceiveMaximum => f.write_str("more messages are under way than the receive maximum"),
            Self::Unasked => f.write_str("it answers nothing that was asked"),
        }
    }
}

impl DecodeError {
    /// Returns the code that the peer is told in 5.0.
    pub fn reason(&self) -> ReasonCode {
        self.violation.reason()
    }

    /// Returns the rule's number in MQTT 5.0, or the chapter if the rule has no number.
    pub fn clause(&self) -> &'static str {
        self.violation.clause()
    }

    /// Returns whose fault the refusal is.
    pub fn fault(&self) -> Fault {
        self.violation.fault()
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(packet) = self.packet {
            write!(f, "{packet}: ")?;
        }
        write!(f, "{} [{}]", self.violation, self.clause())
    }
}

impl core::error::Error for DecodeError {}

impl fmt::Display for EncodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ValueTooLong { len } => write!(f, "a value has {len} bytes, 65535 are the most"),
            Self::PacketTooLarge { len } => {
                write!(f, "the packet has {len} bytes, MQTT can express 268435460")
            }
            Self::Nul => f.write_str("a text holds the NUL character"),
            Self::PropertyValue(id) => write!(f, "the property \"{id}\" has a value outside its range"),
            Self::NotInVersion(version) => write!(f, "{version} has no such packet or code"),
            Self::TopicMissing => f.write_str("there is neither a topic nor an alias for one"),
            Self::PasswordWithoutUser => f.write_str("a password without a user name needs MQTT 5.0"),
            Self::EmptyList => f.write_str("the list is empty"),
            Self::AuthOutOfTurn => f.write_str("no AUTH is due"),
        }
    }
}

impl core::error::Error for EncodeError {}
