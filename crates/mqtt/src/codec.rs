//! Packets to bytes and back. Decoding borrows from the input and allocates nothing.
//!
//! The rules that need more than one packet (order, receive maximum, keep-alive) are in [`crate::connection`]; which
//! filter of a SUBSCRIBE is acceptable is the broker's to say. Payloads are bytes here: whether one is the UTF-8 that
//! its payload format indicator claims is not checked.

mod ack;
pub(crate) mod codes;
pub(crate) mod connect;
mod disconnect;
mod error;
mod forward;
mod properties;
pub(crate) mod publish;
pub(crate) mod read;
mod subscribe;
mod write;

pub use error::{DecodeError, EncodeError, Fault, Violation};
pub use forward::{PublishHead, encode_publish_head, publish_len};

use crate::frame::{self, Header, PacketType};
use crate::packet::{Packet, Version};
use alloc::vec::Vec;
use read::Reader;
use write::{Count, Sink};

/// The largest value of a variable byte integer (chapter 1.5.5).
pub const VARINT_MAX: u32 = 268_435_455;

/// Is a side of a link: some packets, codes and properties belong to one side only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sender {
    /// The side that sends CONNECT.
    Client,
    /// The side that answers it.
    Server,
}

/// Decodes `frame`, which is exactly one packet, as sent by `sender`. A CONNECT brings its own version; `version` is
/// that of all other packets.
///
/// # Errors
/// [`DecodeError`] names the first rule that the packet breaks.
pub fn decode<'a>(version: Version, sender: Sender, frame: &'a [u8]) -> Result<Packet<'a>, DecodeError> {
    let Some(header) = frame::peek(frame)? else {
        return Err(DecodeError { packet: None, violation: Violation::Truncated });
    };
    if frame.len() > header.total_len {
        return Err(DecodeError { packet: Some(header.kind), violation: Violation::TrailingBytes });
    }
    decode_framed(version, sender, &header, frame)
}

/// Decodes the packet behind a header that was read already.
#[inline]
pub(crate) fn decode_framed<'a>(
    version: Version,
    sender: Sender,
    header: &Header,
    frame: &'a [u8],
) -> Result<Packet<'a>, DecodeError> {
    let refused = |violation| DecodeError { packet: Some(header.kind), violation };
    frame::check_flags(version, header.kind, header.flags).map_err(refused)?;
    match frame.get(header.header_len..header.total_len) {
        Some(body) => decode_body(version, sender, header, body).map_err(refused),
        None => Err(refused(Violation::Truncated)),
    }
}

#[inline]
fn decode_body<'a>(
    version: Version,
    sender: Sender,
    header: &Header,
    body: &'a [u8],
) -> Result<Packet<'a>, Violation> {
    check_sender(version, sender, header.kind)?;
    let reader = &mut Reader::new(body);
    let packet = match header.kind {
        PacketType::Connect => Packet::Connect(connect::read(reader)?),
        PacketType::ConnAck => Packet::ConnAck(connect::read_ack(version, reader)?),
        PacketType::Publish => Packet::Publish(publish::read(version, sender, header.flags, reader)?),
        PacketType::PubAck => Packet::PubAck(ack::read(header.kind, version, sender, reader)?),
        PacketType::PubRec => Packet::PubRec(ack::read(header.kind, version, sender, reader)?),
        PacketType::PubRel => Packet::PubRel(ack::read(header.kind, version, sender, reader)?),
        PacketType::PubComp => Packet::PubComp(ack::read(header.kind, version, sender, reader)?),
        PacketType::Subscribe => Packet::Subscribe(subscribe::read(version, reader)?),
        PacketType::SubAck => Packet::SubAck(ack::read_sub(version, reader)?),
        PacketType::Unsubscribe => Packet::Unsubscribe(subscribe::read_un(version, reader)?),
        PacketType::UnsubAck => Packet::UnsubAck(ack::read_unsub(version, reader)?),
        PacketType::PingReq => Packet::PingReq,
        PacketType::PingResp => Packet::PingResp,
        PacketType::Disconnect => Packet::Disconnect(disconnect::read(version, sender, reader)?),
        PacketType::Auth => Packet::Auth(disconnect::read_auth(sender, reader)?),
    };
    reader.end()?;
    if wire_version(&packet, version).is_v5() && !header.is_shortest() {
        return Err(Violation::LengthForm);
    }
    Ok(packet)
}

/// Refuses what this side of a link never sends (MQTT 5.0, table 2-1). AUTH, and DISCONNECT from a server, came with
/// 5.0.
pub(crate) fn check_sender(version: Version, sender: Sender, kind: PacketType) -> Result<(), Violation> {
    use PacketType as P;
    let sent = match kind {
        P::Connect | P::Subscribe | P::Unsubscribe | P::PingReq => sender == Sender::Client,
        P::ConnAck | P::SubAck | P::UnsubAck | P::PingResp => sender == Sender::Server,
        P::Publish | P::PubAck | P::PubRec | P::PubRel | P::PubComp => true,
        P::Disconnect => sender == Sender::Client || version.is_v5(),
        P::Auth if !version.is_v5() => return Err(Violation::ReservedType),
        P::Auth => true,
    };
    if sent { Ok(()) } else { Err(Violation::WrongSender) }
}

/// Appends `packet` to `out` as `version` writes it: 3.1.1 loses properties and gets its own codes in CONNACK and
/// SUBACK, and loses the codes of other acknowledgements. A CONNECT brings its own version.
///
/// # Errors
/// [`EncodeError`] says what cannot be written; `out` is then unchanged.
pub fn encode(packet: &Packet<'_>, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    let remaining = remaining_len(packet, version)?;
    out.reserve(1 + varint_len(remaining) + remaining);
    out.u8(first_byte(packet));
    out.varint(remaining)?;
    write_body(packet, version, out)
}

/// Returns the bytes that [`encode`] would append, the fixed header included.
///
/// # Errors
/// As [`encode`].
pub fn encoded_len(packet: &Packet<'_>, version: Version) -> Result<usize, EncodeError> {
    let remaining = remaining_len(packet, version)?;
    Ok(1 + varint_len(remaining) + remaining)
}

/// Counts the bytes of the body. Whatever cannot be written is found here, before a byte is.
fn remaining_len(packet: &Packet<'_>, version: Version) -> Result<usize, EncodeError> {
    let mut count = Count::default();
    write_body(packet, version, &mut count)?;
    if count.0 > VARINT_MAX as usize {
        return Err(EncodeError::PacketTooLarge { len: count.0 });
    }
    Ok(count.0)
}

fn wire_version(packet: &Packet<'_>, version: Version) -> Version {
    match packet {
        Packet::Connect(connect) => connect.version,
        _ => version,
    }
}

fn first_byte(packet: &Packet<'_>) -> u8 {
    let kind = packet.kind();
    let flags = match (packet, kind.fixed_flags()) {
        (Packet::Publish(publish), _) => publish::flags(publish.dup, publish.delivery.qos(), publish.retain),
        (_, fixed) => fixed.unwrap_or_default(),
    };
    (kind as u8) << 4 | flags
}

fn write_body(packet: &Packet<'_>, version: Version, sink: &mut impl Sink) -> Result<(), EncodeError> {
    match packet {
        Packet::Connect(packet) => connect::write(packet, sink),
        Packet::ConnAck(packet) => connect::write_ack(packet, version, sink),
        Packet::Publish(packet) => publish::write(packet, version, sink),
        Packet::PubAck(packet)
        | Packet::PubRec(packet)
        | Packet::PubRel(packet)
        | Packet::PubComp(packet) => ack::write(packet, version, sink),
        Packet::Subscribe(packet) => subscribe::write(packet, version, sink),
        Packet::SubAck(packet) => ack::write_sub(packet, version, sink),
        Packet::Unsubscribe(packet) => subscribe::write_un(packet, version, sink),
        Packet::UnsubAck(packet) => ack::write_unsub(packet, version, sink),
        Packet::PingReq | Packet::PingResp => Ok(()),
        Packet::Disconnect(packet) => disconnect::write(packet, version, sink),
        Packet::Auth(packet) => disconnect::write_auth(packet, version, sink),
    }
}

/// Returns how many bytes a variable byte integer takes; 4 for a value that is too large for one.
pub(crate) fn varint_len(value: usize) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}
