//! CONNECT and CONNACK (chapters 3.1 and 3.2).

use super::codes;
use super::properties;
use super::read::Reader;
use super::write::Sink;
use super::{EncodeError, Violation};
use crate::packet::{ConnAck, Connect, Qos, Version, Will};
use crate::topic::TopicName;

const NAME: &[u8] = b"MQTT";
/// The name in MQTT 3.1.
const NAME_OF_3_1: &[u8] = b"MQIsdp";

const RESERVED: u8 = 1;
const CLEAN_START: u8 = 1 << 1;
const WILL: u8 = 1 << 2;
const WILL_QOS_SHIFT: u8 = 3;
const WILL_QOS: u8 = 0b11 << WILL_QOS_SHIFT;
const WILL_RETAIN: u8 = 1 << 5;
const PASSWORD: u8 = 1 << 6;
const USERNAME: u8 = 1 << 7;

fn name_and_level(version: Version) -> (&'static [u8], u8) {
    match version {
        Version::V31 => (NAME_OF_3_1, 3),
        Version::V311 => (NAME, 4),
        Version::V5 => (NAME, 5),
    }
}

fn read_version(reader: &mut Reader<'_>) -> Result<Version, Violation> {
    let name = reader.binary()?;
    if name != NAME && name != NAME_OF_3_1 {
        return Err(Violation::ProtocolName);
    }
    match (name, reader.u8()?) {
        (NAME_OF_3_1, 3) => Ok(Version::V31),
        (NAME, 4) => Ok(Version::V311),
        (NAME, 5) => Ok(Version::V5),
        (_, other) => Err(Violation::ProtocolLevel(other)),
    }
}

/// Returns the version in whose words the sender of this CONNECT body, whole or cut, can be answered. A level that
/// we do not speak is answered in the nearest version; bit 7 is a bridge's mark and no part of the level.
pub(crate) fn answer_version(body: &[u8]) -> Option<Version> {
    match read_version(&mut Reader::new(body)) {
        Ok(version) => Some(version),
        Err(Violation::ProtocolLevel(level)) if level & 0x7F > 4 => Some(Version::V5),
        Err(Violation::ProtocolLevel(_)) => Some(Version::V311),
        Err(_) => None,
    }
}

pub(super) fn read<'a>(reader: &mut Reader<'a>) -> Result<Connect<'a>, Violation> {
    let version = read_version(reader)?;
    let flags = reader.u8()?;
    check_flags(version, flags)?;
    let keep_alive = reader.u16()?;
    // MQTT 3.1, chapter 3.1: the remaining length outweighs these two flags; what is not there was not sent.
    let has =
        |flag, reader: &Reader<'_>| flags & flag != 0 && !(version == Version::V31 && reader.is_empty());
    let connect = Connect {
        version,
        clean_start: flags & CLEAN_START != 0,
        keep_alive,
        properties: properties::read(version, reader)?,
        client_id: reader.text()?,
        will: if flags & WILL == 0 { None } else { Some(read_will(version, flags, reader)?) },
        username: if has(USERNAME, reader) { Some(reader.text()?) } else { None },
        password: if has(PASSWORD, reader) { Some(reader.binary()?) } else { None },
    };
    reader.end()?;
    let authentication = &connect.properties;
    if authentication.authentication_data.is_some() && authentication.authentication_method.is_none() {
        return Err(Violation::AuthMethodMissing);
    }
    let may_be_empty = match version {
        Version::V31 => false,
        Version::V311 => connect.clean_start,
        Version::V5 => true,
    };
    if connect.client_id.is_empty() && !may_be_empty {
        return Err(Violation::ClientIdMissing);
    }
    Ok(connect)
}

fn check_flags(version: Version, flags: u8) -> Result<(), Violation> {
    if flags & RESERVED != 0 {
        return Err(Violation::ReservedFlags);
    }
    // [MQTT-3.1.2-11], -12, -13: without a will its QoS and retain are 0.
    let stray = flags & WILL == 0 && flags & (WILL_QOS | WILL_RETAIN) != 0;
    if stray || flags & WILL_QOS == WILL_QOS {
        return Err(Violation::WillFlags);
    }
    if !version.is_v5() && flags & (USERNAME | PASSWORD) == PASSWORD {
        return Err(Violation::PasswordWithoutUser);
    }
    Ok(())
}

fn read_will<'a>(version: Version, flags: u8, reader: &mut Reader<'a>) -> Result<Will<'a>, Violation> {
    Ok(Will {
        qos: Qos::from_byte((flags & WILL_QOS) >> WILL_QOS_SHIFT).ok_or(Violation::WillFlags)?,
        retain: flags & WILL_RETAIN != 0,
        properties: properties::read(version, reader)?,
        topic: TopicName::parse(reader.text()?).map_err(Violation::Topic)?,
        payload: reader.binary()?,
    })
}

pub(super) fn write(connect: &Connect<'_>, sink: &mut impl Sink) -> Result<(), EncodeError> {
    let version = connect.version;
    if !version.is_v5() && connect.password.is_some() && connect.username.is_none() {
        return Err(EncodeError::PasswordWithoutUser);
    }
    let (name, level) = name_and_level(version);
    sink.binary(name)?;
    sink.u8(level);
    sink.u8(flags(connect));
    sink.u16(connect.keep_alive);
    properties::write(&connect.properties, version, sink)?;
    sink.text(connect.client_id)?;
    if let Some(will) = &connect.will {
        properties::write(&will.properties, version, sink)?;
        sink.text(will.topic.as_str())?;
        sink.binary(will.payload)?;
    }
    if let Some(username) = connect.username {
        sink.text(username)?;
    }
    if let Some(password) = connect.password {
        sink.binary(password)?;
    }
    Ok(())
}

fn flags(connect: &Connect<'_>) -> u8 {
    let mut flags = 0;
    if connect.clean_start {
        flags |= CLEAN_START;
    }
    if let Some(will) = &connect.will {
        flags |= WILL | (will.qos as u8) << WILL_QOS_SHIFT;
        if will.retain {
            flags |= WILL_RETAIN;
        }
    }
    if connect.password.is_some() {
        flags |= PASSWORD;
    }
    if connect.username.is_some() {
        flags |= USERNAME;
    }
    flags
}

pub(super) fn read_ack<'a>(version: Version, reader: &mut Reader<'a>) -> Result<ConnAck<'a>, Violation> {
    let session_present = match reader.u8()? {
        // 3.1 does not use this byte.
        _ if version == Version::V31 => false,
        0 => false,
        1 => true,
        _ => return Err(Violation::ReservedFlags),
    };
    let reason = codes::read_connack(version, reader.u8()?)?;
    if session_present && reason.is_failure() {
        return Err(Violation::SessionPresent);
    }
    let properties = properties::read(version, reader)?;
    reader.end()?;
    Ok(ConnAck { session_present, reason, properties })
}

pub(super) fn write_ack(
    ack: &ConnAck<'_>,
    version: Version,
    sink: &mut impl Sink,
) -> Result<(), EncodeError> {
    // 3.1 has no such flag.
    let session_present = ack.session_present && !ack.reason.is_failure() && version != Version::V31;
    sink.u8(u8::from(session_present));
    sink.u8(codes::write_connack(version, ack.reason));
    properties::write(&ack.properties, version, sink)
}
