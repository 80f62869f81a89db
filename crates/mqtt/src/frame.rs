//! The fixed header (chapter 2.1): which packet comes, and how long it is, before its body is there.

use crate::codec::{DecodeError, VARINT_MAX, Violation, varint_len};
use crate::packet::Version;
use core::fmt;

/// Is the type of a control packet (chapter 2.1.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum PacketType {
    /// CONNECT.
    Connect = 1,
    /// CONNACK.
    ConnAck = 2,
    /// PUBLISH.
    Publish = 3,
    /// PUBACK.
    PubAck = 4,
    /// PUBREC.
    PubRec = 5,
    /// PUBREL.
    PubRel = 6,
    /// PUBCOMP.
    PubComp = 7,
    /// SUBSCRIBE.
    Subscribe = 8,
    /// SUBACK.
    SubAck = 9,
    /// UNSUBSCRIBE.
    Unsubscribe = 10,
    /// UNSUBACK.
    UnsubAck = 11,
    /// PINGREQ.
    PingReq = 12,
    /// PINGRESP.
    PingResp = 13,
    /// DISCONNECT.
    Disconnect = 14,
    /// AUTH, 5.0 only.
    Auth = 15,
}

impl PacketType {
    fn from_nibble(nibble: u8) -> Option<Self> {
        Some(match nibble {
            1 => Self::Connect,
            2 => Self::ConnAck,
            3 => Self::Publish,
            4 => Self::PubAck,
            5 => Self::PubRec,
            6 => Self::PubRel,
            7 => Self::PubComp,
            8 => Self::Subscribe,
            9 => Self::SubAck,
            10 => Self::Unsubscribe,
            11 => Self::UnsubAck,
            12 => Self::PingReq,
            13 => Self::PingResp,
            14 => Self::Disconnect,
            15 => Self::Auth,
            _ => return None,
        })
    }

    /// Returns the flags that the standard fixes for this type; `None` for PUBLISH, whose flags carry meaning.
    pub(crate) fn fixed_flags(self) -> Option<u8> {
        match self {
            Self::Publish => None,
            Self::PubRel | Self::Subscribe | Self::Unsubscribe => Some(0b0010),
            _ => Some(0),
        }
    }

    /// Returns the standard's name, in capitals.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Connect => "CONNECT",
            Self::ConnAck => "CONNACK",
            Self::Publish => "PUBLISH",
            Self::PubAck => "PUBACK",
            Self::PubRec => "PUBREC",
            Self::PubRel => "PUBREL",
            Self::PubComp => "PUBCOMP",
            Self::Subscribe => "SUBSCRIBE",
            Self::SubAck => "SUBACK",
            Self::Unsubscribe => "UNSUBSCRIBE",
            Self::UnsubAck => "UNSUBACK",
            Self::PingReq => "PINGREQ",
            Self::PingResp => "PINGRESP",
            Self::Disconnect => "DISCONNECT",
            Self::Auth => "AUTH",
        }
    }
}

impl fmt::Display for PacketType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Is a read fixed header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Which packet.
    pub kind: PacketType,
    /// The low four bits of the first byte.
    pub flags: u8,
    /// Bytes of the fixed header: 2 to 5.
    pub header_len: usize,
    /// Bytes of the whole packet, the header included.
    pub total_len: usize,
}

impl Header {
    /// Tells whether the remaining length has its shortest form, which 5.0 demands [MQTT-1.5.5-1] and 3.1.1 does not.
    pub(crate) fn is_shortest(&self) -> bool {
        self.header_len == 1 + varint_len(self.total_len - self.header_len)
    }
}

/// Reads the first byte of a packet.
///
/// # Errors
/// The type is 0, or the flags are not those of the type [MQTT-2.1.3-1]. DUP passes where MQTT 3.1 lets it stand: the
/// version is not known here.
#[inline]
pub fn peek_type(first: u8) -> Result<PacketType, DecodeError> {
    let Some(kind) = PacketType::from_nibble(first >> 4) else {
        return Err(DecodeError { packet: None, violation: Violation::ReservedType });
    };
    let flags = first & 0x0F;
    match kind.fixed_flags() {
        Some(fixed) if fixed != flags && !is_repeated(kind, flags) => {
            Err(DecodeError { packet: Some(kind), violation: Violation::ReservedFlags })
        }
        _ => Ok(kind),
    }
}

/// Refuses DUP on a packet other than PUBLISH where the version does not allow it.
#[inline]
pub(crate) fn check_flags(version: Version, kind: PacketType, flags: u8) -> Result<(), Violation> {
    if version != Version::V31 && is_repeated(kind, flags) {
        return Err(Violation::ReservedFlags);
    }
    Ok(())
}

/// Tells whether the flags are those of a PUBREL, SUBSCRIBE or UNSUBSCRIBE that is sent again (MQTT 3.1, chapter 2.1).
#[inline]
fn is_repeated(kind: PacketType, flags: u8) -> bool {
    kind.fixed_flags() == Some(0b0010) && flags == 0b1010
}

/// Reads the fixed header at the start of `input`; `None` if it is not all there. The body need not be there.
///
/// # Errors
/// As [`peek_type`], or the remaining length has a fifth byte.
#[inline]
pub fn peek(input: &[u8]) -> Result<Option<Header>, DecodeError> {
    let Some((&first, rest)) = input.split_first() else { return Ok(None) };
    let kind = peek_type(first)?;
    let mut remaining = 0;
    for (index, &byte) in rest.iter().take(4).enumerate() {
        remaining |= usize::from(byte & 0x7F) << (7 * index);
        if byte & 0x80 == 0 {
            let header_len = index + 2;
            let total_len = header_len + remaining;
            return Ok(Some(Header { kind, flags: first & 0x0F, header_len, total_len }));
        }
    }
    if rest.len() < 4 {
        return Ok(None);
    }
    debug_assert!(remaining <= VARINT_MAX as usize);
    Err(DecodeError { packet: Some(kind), violation: Violation::LengthForm })
}
