//! The acknowledgements: PUBACK, PUBREC, PUBREL, PUBCOMP (chapters 3.4 to 3.7), SUBACK and UNSUBACK (3.9, 3.11).

use super::codes;
use super::properties;
use super::read::Reader;
use super::write::Sink;
use super::{EncodeError, Sender, Violation};
use crate::frame::PacketType;
use crate::packet::{Ack, ReasonCodes, SubAck, Version};
use crate::property::{AckProperties, UserProperties};
use crate::reason::ReasonCode;

pub(super) fn read<'a>(
    kind: PacketType,
    version: Version,
    sender: Sender,
    reader: &mut Reader<'a>,
) -> Result<Ack<'a>, Violation> {
    let mut ack =
        Ack { id: reader.packet_id()?, reason: ReasonCode::Success, properties: AckProperties::default() };
    // 5.0 may leave out the properties, or the code and the properties; 3.1.1 has neither.
    if version.is_v5() && !reader.is_empty() {
        ack.reason = codes::parse(kind, sender, reader.u8()?)?;
        if !reader.is_empty() {
            ack.properties = properties::read(version, reader)?;
        }
    }
    reader.end()?;
    Ok(ack)
}

pub(super) fn write(ack: &Ack<'_>, version: Version, sink: &mut impl Sink) -> Result<(), EncodeError> {
    sink.u16(ack.id.0.get());
    if !version.is_v5() {
        return Ok(());
    }
    let bare = is_empty(&ack.properties);
    if bare && ack.reason == ReasonCode::Success {
        return Ok(());
    }
    sink.u8(ack.reason as u8);
    if bare { Ok(()) } else { properties::write(&ack.properties, version, sink) }
}

fn is_empty(properties: &AckProperties<'_>) -> bool {
    let AckProperties { reason_string, user } = properties;
    reason_string.is_none() && (matches!(user, UserProperties::None) || user.is_empty())
}

pub(super) fn read_sub<'a>(version: Version, reader: &mut Reader<'a>) -> Result<SubAck<'a>, Violation> {
    let id = reader.packet_id()?;
    let properties = properties::read(version, reader)?;
    let codes = reader.rest();
    for &byte in codes {
        codes::read_suback(version, byte)?;
    }
    if codes.is_empty() {
        return Err(Violation::EmptyList);
    }
    Ok(SubAck { id, properties, reasons: ReasonCodes::Raw(codes) })
}

pub(super) fn read_unsub<'a>(version: Version, reader: &mut Reader<'a>) -> Result<SubAck<'a>, Violation> {
    let id = reader.packet_id()?;
    if !version.is_v5() {
        reader.end()?;
        return Ok(SubAck { id, properties: AckProperties::default(), reasons: ReasonCodes::Raw(&[]) });
    }
    let properties = properties::read(version, reader)?;
    let codes = reader.rest();
    for &byte in codes {
        codes::parse(PacketType::UnsubAck, Sender::Server, byte)?;
    }
    if codes.is_empty() {
        return Err(Violation::EmptyList);
    }
    Ok(SubAck { id, properties, reasons: ReasonCodes::Raw(codes) })
}

pub(super) fn write_sub(ack: &SubAck<'_>, version: Version, sink: &mut impl Sink) -> Result<(), EncodeError> {
    sink.u16(ack.id.0.get());
    properties::write(&ack.properties, version, sink)?;
    if ack.reasons.is_empty() {
        return Err(EncodeError::EmptyList);
    }
    for code in ack.reasons {
        sink.u8(codes::write_suback(version, code)?);
    }
    Ok(())
}

pub(super) fn write_unsub(
    ack: &SubAck<'_>,
    version: Version,
    sink: &mut impl Sink,
) -> Result<(), EncodeError> {
    sink.u16(ack.id.0.get());
    if !version.is_v5() {
        return Ok(());
    }
    properties::write(&ack.properties, version, sink)?;
    if ack.reasons.is_empty() {
        return Err(EncodeError::EmptyList);
    }
    for code in ack.reasons {
        sink.u8(code as u8);
    }
    Ok(())
}
