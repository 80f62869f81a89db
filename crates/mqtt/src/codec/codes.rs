//! Which packet carries which reason code, from which side (MQTT 5.0, table 2-6), and what 3.1.1 says instead.

use super::{EncodeError, Sender, Violation};
use crate::frame::PacketType;
use crate::packet::Version;
use crate::reason::ReasonCode::{self, *};

/// Turns a byte of a 5.0 packet into a code that this packet may carry from this side.
pub(super) fn parse(kind: PacketType, sender: Sender, byte: u8) -> Result<ReasonCode, Violation> {
    match ReasonCode::from_byte(byte) {
        Some(code) if is_allowed(kind, sender, code) => Ok(code),
        _ => Err(Violation::ReasonCode(byte)),
    }
}

/// Tells whether `sender` may put `code` into this packet.
pub(crate) fn is_allowed(kind: PacketType, sender: Sender, code: ReasonCode) -> bool {
    match kind {
        PacketType::ConnAck => in_connack(code),
        PacketType::PubAck | PacketType::PubRec => match code {
            NoMatchingSubscribers => sender == Sender::Server,
            _ => in_puback(code),
        },
        PacketType::PubRel | PacketType::PubComp => matches!(code, Success | PacketIdentifierNotFound),
        PacketType::SubAck => in_suback(code),
        PacketType::UnsubAck => in_unsuback(code),
        PacketType::Disconnect => match sender {
            Sender::Client => code == DisconnectWithWill || in_any_disconnect(code),
            Sender::Server => in_any_disconnect(code) || in_server_disconnect(code),
        },
        PacketType::Auth => match sender {
            Sender::Client => matches!(code, ContinueAuthentication | ReAuthenticate),
            Sender::Server => matches!(code, ContinueAuthentication | Success),
        },
        PacketType::Connect
        | PacketType::Publish
        | PacketType::Subscribe
        | PacketType::Unsubscribe
        | PacketType::PingReq
        | PacketType::PingResp => false,
    }
}

fn in_connack(code: ReasonCode) -> bool {
    matches!(
        code,
        Success
            | UnspecifiedError
            | MalformedPacket
            | ProtocolError
            | ImplementationSpecificError
            | UnsupportedProtocolVersion
            | ClientIdentifierNotValid
            | BadUserNameOrPassword
            | NotAuthorized
            | ServerUnavailable
            | ServerBusy
            | Banned
            | BadAuthenticationMethod
            | TopicNameInvalid
            | PacketTooLarge
            | QuotaExceeded
            | PayloadFormatInvalid
            | RetainNotSupported
            | QosNotSupported
            | UseAnotherServer
            | ServerMoved
            | ConnectionRateExceeded
    )
}

fn in_puback(code: ReasonCode) -> bool {
    matches!(
        code,
        Success
            | UnspecifiedError
            | ImplementationSpecificError
            | NotAuthorized
            | TopicNameInvalid
            | PacketIdentifierInUse
            | QuotaExceeded
            | PayloadFormatInvalid
    )
}

fn in_suback(code: ReasonCode) -> bool {
    matches!(
        code,
        Success
            | GrantedQos1
            | GrantedQos2
            | UnspecifiedError
            | ImplementationSpecificError
            | NotAuthorized
            | TopicFilterInvalid
            | PacketIdentifierInUse
            | QuotaExceeded
            | SharedSubscriptionsNotSupported
            | SubscriptionIdentifiersNotSupported
            | WildcardSubscriptionsNotSupported
    )
}

fn in_unsuback(code: ReasonCode) -> bool {
    matches!(
        code,
        Success
            | NoSubscriptionExisted
            | UnspecifiedError
            | ImplementationSpecificError
            | NotAuthorized
            | TopicFilterInvalid
            | PacketIdentifierInUse
    )
}

fn in_any_disconnect(code: ReasonCode) -> bool {
    matches!(
        code,
        Success
            | UnspecifiedError
            | MalformedPacket
            | ProtocolError
            | ImplementationSpecificError
            | TopicNameInvalid
            | ReceiveMaximumExceeded
            | TopicAliasInvalid
            | PacketTooLarge
            | MessageRateTooHigh
            | QuotaExceeded
            | AdministrativeAction
            | PayloadFormatInvalid
    )
}

fn in_server_disconnect(code: ReasonCode) -> bool {
    matches!(
        code,
        NotAuthorized
            | ServerBusy
            | ServerShuttingDown
            | KeepAliveTimeout
            | SessionTakenOver
            | TopicFilterInvalid
            | RetainNotSupported
            | QosNotSupported
            | UseAnotherServer
            | ServerMoved
            | SharedSubscriptionsNotSupported
            | ConnectionRateExceeded
            | MaximumConnectTime
            | SubscriptionIdentifiersNotSupported
            | WildcardSubscriptionsNotSupported
    )
}

/// Reads the code of a CONNACK; in 3.1.1 it is a return code from 0 to 5 (MQTT 3.1.1, table 3.1).
pub(super) fn read_connack(version: Version, byte: u8) -> Result<ReasonCode, Violation> {
    if version.is_v5() {
        return parse(PacketType::ConnAck, Sender::Server, byte);
    }
    match byte {
        0 => Ok(Success),
        1 => Ok(UnsupportedProtocolVersion),
        2 => Ok(ClientIdentifierNotValid),
        3 => Ok(ServerUnavailable),
        4 => Ok(BadUserNameOrPassword),
        5 => Ok(NotAuthorized),
        _ => Err(Violation::ReasonCode(byte)),
    }
}

/// Returns the byte of a CONNACK. What 3.1.1 cannot say becomes "server unavailable" where trying again may help,
/// and "not authorized" where it will not.
pub(super) fn write_connack(version: Version, code: ReasonCode) -> u8 {
    if version.is_v5() {
        return code as u8;
    }
    match code {
        Success => 0,
        UnsupportedProtocolVersion => 1,
        ClientIdentifierNotValid => 2,
        BadUserNameOrPassword | BadAuthenticationMethod => 4,
        UnspecifiedError
        | ImplementationSpecificError
        | ServerUnavailable
        | ServerBusy
        | ServerShuttingDown
        | QuotaExceeded
        | UseAnotherServer
        | ServerMoved
        | ConnectionRateExceeded => 3,
        _ => 5,
    }
}

/// Reads one code of a SUBACK; in 3.1.1 the only failure is 0x80 [MQTT-3.9.3-2], in 3.1 there is none.
pub(super) fn read_suback(version: Version, byte: u8) -> Result<ReasonCode, Violation> {
    match (version, byte) {
        (Version::V31 | Version::V311, 0..=2) | (Version::V311, 0x80) | (Version::V5, _) => {
            parse(PacketType::SubAck, Sender::Server, byte)
        }
        (Version::V31 | Version::V311, _) => Err(Violation::ReasonCode(byte)),
    }
}

/// Returns one byte of a SUBACK.
///
/// # Errors
/// 3.1 has no word for a failure.
pub(super) fn write_suback(version: Version, code: ReasonCode) -> Result<u8, EncodeError> {
    match version {
        Version::V31 if code.is_failure() => Err(EncodeError::NotInVersion(version)),
        Version::V311 if code.is_failure() => Ok(UnspecifiedError as u8),
        Version::V31 | Version::V311 | Version::V5 => Ok(code as u8),
    }
}
