//! PUBLISH (chapter 3.3).

use super::properties;
use super::read::Reader;
use super::write::Sink;
use super::{EncodeError, Sender, Violation};
use crate::packet::{Delivery, Publish, Qos, Version};
use crate::property::{PropertyId, PublishProperties, SubscriptionIds};
use crate::topic::TopicName;

const RETAIN: u8 = 1;
const QOS_SHIFT: u8 = 1;
pub(crate) const DUP: u8 = 1 << 3;

pub(super) fn read<'a>(
    version: Version,
    sender: Sender,
    flags: u8,
    reader: &mut Reader<'a>,
) -> Result<Publish<'a>, Violation> {
    let dup = flags & DUP != 0;
    let qos = Qos::from_byte((flags >> QOS_SHIFT) & 0b11).ok_or(Violation::Qos)?;
    if dup && qos == Qos::AtMostOnce {
        return Err(Violation::DupAtQos0);
    }
    let topic = reader.text()?;
    let delivery = match qos {
        Qos::AtMostOnce => Delivery::AtMostOnce,
        Qos::AtLeastOnce => Delivery::AtLeastOnce(reader.packet_id()?),
        Qos::ExactlyOnce => Delivery::ExactlyOnce(reader.packet_id()?),
    };
    let properties: PublishProperties<'a> = properties::read(version, reader)?;
    if sender == Sender::Client && !matches!(properties.subscription_ids, SubscriptionIds::None) {
        return Err(Violation::PropertyFromWrongSide(PropertyId::SubscriptionIdentifier));
    }
    Ok(Publish {
        dup,
        delivery,
        retain: flags & RETAIN != 0,
        topic: read_topic(topic, &properties)?,
        properties,
        payload: reader.rest(),
    })
}

fn read_topic<'a>(
    text: &'a str,
    properties: &PublishProperties<'a>,
) -> Result<Option<TopicName<'a>>, Violation> {
    if !text.is_empty() {
        return TopicName::parse(text).map(Some).map_err(Violation::Topic);
    }
    if properties.topic_alias.is_none() { Err(Violation::TopicMissing) } else { Ok(None) }
}

pub(super) fn flags(dup: bool, qos: Qos, retain: bool) -> u8 {
    // [MQTT-3.3.1-2]: QoS 0 is never marked as a repetition.
    let dup = if dup && qos != Qos::AtMostOnce { DUP } else { 0 };
    dup | (qos as u8) << QOS_SHIFT | u8::from(retain)
}

pub(super) fn write(
    publish: &Publish<'_>,
    version: Version,
    sink: &mut impl Sink,
) -> Result<(), EncodeError> {
    let has_alias = version.is_v5() && publish.properties.topic_alias.is_some();
    match publish.topic {
        Some(topic) => sink.binary(topic.as_str().as_bytes())?,
        None if has_alias => sink.u16(0),
        None => return Err(EncodeError::TopicMissing),
    }
    if let Some(id) = publish.delivery.id() {
        sink.u16(id.0.get());
    }
    properties::write(&publish.properties, version, sink)?;
    sink.put(publish.payload);
    Ok(())
}
