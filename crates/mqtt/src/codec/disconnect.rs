//! DISCONNECT and AUTH (chapters 3.14 and 3.15).

use super::codes;
use super::properties;
use super::read::Reader;
use super::write::Sink;
use super::{EncodeError, Sender, Violation};
use crate::frame::PacketType;
use crate::packet::{Auth, Disconnect, Version};
use crate::property::{AuthProperties, DisconnectProperties, PropertyId};
use crate::reason::ReasonCode;

pub(super) fn read<'a>(
    version: Version,
    sender: Sender,
    reader: &mut Reader<'a>,
) -> Result<Disconnect<'a>, Violation> {
    let mut disconnect =
        Disconnect { reason: ReasonCode::Success, properties: DisconnectProperties::default() };
    if version.is_v5() && !reader.is_empty() {
        disconnect.reason = codes::parse(PacketType::Disconnect, sender, reader.u8()?)?;
        if !reader.is_empty() {
            disconnect.properties = properties::read(version, reader)?;
        }
    }
    reader.end()?;
    let DisconnectProperties { session_expiry, server_reference, .. } = &disconnect.properties;
    match sender {
        Sender::Client if server_reference.is_some() => {
            Err(Violation::PropertyFromWrongSide(PropertyId::ServerReference))
        }
        Sender::Server if session_expiry.is_some() => {
            Err(Violation::PropertyFromWrongSide(PropertyId::SessionExpiryInterval))
        }
        _ => Ok(disconnect),
    }
}

pub(super) fn write(
    disconnect: &Disconnect<'_>,
    version: Version,
    sink: &mut impl Sink,
) -> Result<(), EncodeError> {
    if !version.is_v5() {
        let plain = disconnect.reason == ReasonCode::Success;
        return if plain { Ok(()) } else { Err(EncodeError::NotInVersion(version)) };
    }
    let bare = disconnect.properties == DisconnectProperties::default();
    if bare && disconnect.reason == ReasonCode::Success {
        return Ok(());
    }
    sink.u8(disconnect.reason as u8);
    if bare { Ok(()) } else { properties::write(&disconnect.properties, version, sink) }
}

pub(super) fn read_auth<'a>(sender: Sender, reader: &mut Reader<'a>) -> Result<Auth<'a>, Violation> {
    let is_empty = reader.is_empty();
    let byte = if is_empty { ReasonCode::Success as u8 } else { reader.u8()? };
    let reason = codes::parse(PacketType::Auth, sender, byte)?;
    if is_empty {
        return Ok(Auth { reason, properties: AuthProperties::default() });
    }
    let properties: AuthProperties<'a> = properties::read(Version::V5, reader)?;
    reader.end()?;
    if properties.authentication_method.is_none() {
        return Err(Violation::AuthMethodMissing);
    }
    Ok(Auth { reason, properties })
}

pub(super) fn write_auth(auth: &Auth<'_>, version: Version, sink: &mut impl Sink) -> Result<(), EncodeError> {
    if !version.is_v5() {
        return Err(EncodeError::NotInVersion(version));
    }
    if auth.reason == ReasonCode::Success && auth.properties == AuthProperties::default() {
        return Ok(());
    }
    if auth.properties.authentication_method.is_none() {
        return Err(EncodeError::PropertyValue(PropertyId::AuthenticationMethod));
    }
    sink.u8(auth.reason as u8);
    properties::write(&auth.properties, version, sink)
}
