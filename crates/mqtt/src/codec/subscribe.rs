//! SUBSCRIBE and UNSUBSCRIBE (chapters 3.8 and 3.10).

use super::properties;
use super::read::Reader;
use super::write::Sink;
use super::{EncodeError, Violation};
use crate::packet::{
    Subscribe, SubscribeFilters, SubscribeOptions, Unsubscribe, UnsubscribeFilters, Version,
};

pub(super) fn read<'a>(version: Version, reader: &mut Reader<'a>) -> Result<Subscribe<'a>, Violation> {
    let id = reader.packet_id()?;
    let properties = properties::read(version, reader)?;
    if reader.is_empty() {
        return Err(Violation::EmptyList);
    }
    let mut entries = *reader;
    while !entries.is_empty() {
        let filter = entries.text()?;
        check_options(version, filter, entries.u8()?)?;
    }
    Ok(Subscribe { id, properties, filters: SubscribeFilters::Raw(reader.rest()) })
}

fn check_options(version: Version, filter: &str, byte: u8) -> Result<(), Violation> {
    let reserved = match version {
        Version::V31 | Version::V311 => 0b1111_1100,
        Version::V5 => 0b1100_0000,
    };
    if byte & reserved != 0 {
        return Err(Violation::SubscribeReserved);
    }
    let options = SubscribeOptions::from_byte(byte).ok_or(Violation::SubscribeOptions)?;
    if options.no_local && filter.starts_with("$share/") {
        return Err(Violation::NoLocalShared);
    }
    Ok(())
}

pub(super) fn write(
    subscribe: &Subscribe<'_>,
    version: Version,
    sink: &mut impl Sink,
) -> Result<(), EncodeError> {
    sink.u16(subscribe.id.0.get());
    properties::write(&subscribe.properties, version, sink)?;
    if subscribe.filters.is_empty() {
        return Err(EncodeError::EmptyList);
    }
    for (filter, options) in subscribe.filters {
        sink.text(filter)?;
        sink.u8(match version {
            Version::V31 | Version::V311 => options.qos as u8,
            Version::V5 => options.to_byte(),
        });
    }
    Ok(())
}

pub(super) fn read_un<'a>(version: Version, reader: &mut Reader<'a>) -> Result<Unsubscribe<'a>, Violation> {
    let id = reader.packet_id()?;
    let properties = properties::read(version, reader)?;
    if reader.is_empty() {
        return Err(Violation::EmptyList);
    }
    let mut entries = *reader;
    while !entries.is_empty() {
        entries.text()?;
    }
    Ok(Unsubscribe { id, properties, filters: UnsubscribeFilters::Raw(reader.rest()) })
}

pub(super) fn write_un(
    unsubscribe: &Unsubscribe<'_>,
    version: Version,
    sink: &mut impl Sink,
) -> Result<(), EncodeError> {
    sink.u16(unsubscribe.id.0.get());
    properties::write(&unsubscribe.properties, version, sink)?;
    if unsubscribe.filters.is_empty() {
        return Err(EncodeError::EmptyList);
    }
    for filter in unsubscribe.filters {
        sink.text(filter)?;
    }
    Ok(())
}
