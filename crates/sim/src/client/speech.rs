//! From the packets of the trace to bytes.

use crate::packet::{Ack, Hello, Packet, Publish, Will};
use crate::setup::ClientSetup;
use core::num::{NonZeroU16, NonZeroU32};
use keyward_ids::Identity;
use keyward_mqtt::codec;
use keyward_mqtt::packet::{self as mqtt, PacketId, Qos, SubscribeFilters, UnsubscribeFilters, Version};
use keyward_mqtt::property::{
    AckProperties, ConnectProperties, DisconnectProperties, PublishProperties, SubscribeProperties,
    UnsubscribeProperties, WillProperties,
};
use keyward_mqtt::topic::TopicName;

/// Writes a CONNECT: the user name says who it is, the password which credentials it has.
pub(super) fn connect(setup: &ClientSetup, identity: &Identity, hello: &Hello) -> Vec<u8> {
    let (name, password) = (identity.to_string(), hello.epoch.to_string());
    let payload = hello.will.as_ref().map(|will| payload_of(&will.message)).unwrap_or_default();
    let connect = mqtt::Connect {
        version: hello.version,
        clean_start: hello.clean_start,
        keep_alive: hello.keep_alive,
        client_id: &setup.client_id,
        will: hello.will.as_ref().and_then(|will| last_will(will, &payload)),
        username: Some(&name),
        password: Some(password.as_bytes()),
        properties: ConnectProperties {
            session_expiry: hello.session_expiry,
            receive_maximum: hello.receive_maximum.and_then(NonZeroU16::new),
            maximum_packet_size: hello.maximum_packet_size.and_then(NonZeroU32::new),
            topic_alias_maximum: hello.topic_alias_maximum,
            ..ConnectProperties::default()
        },
    };
    write(&mqtt::Packet::Connect(connect), hello.version)
}

fn payload_of(publish: &Publish) -> Vec<u8> {
    publish.number.map(|number| crate::words::payload(number, false)).unwrap_or_default()
}

fn last_will<'a>(will: &'a Will, payload: &'a [u8]) -> Option<mqtt::Will<'a>> {
    Some(mqtt::Will {
        topic: TopicName::parse(&will.message.topic).ok()?,
        payload,
        qos: will.message.qos,
        retain: will.message.retain,
        properties: WillProperties {
            delay: Some(will.delay).filter(|delay| *delay > 0),
            message_expiry: will.message.expiry,
            ..WillProperties::default()
        },
    })
}

/// Writes a PUBLISH. With an alias that the broker knows the topic need not stand there.
pub(super) fn publish(version: Version, publish: &Publish, payload: &[u8], says_topic: bool) -> Vec<u8> {
    let delivery = match (publish.qos, publish.id.and_then(NonZeroU16::new)) {
        (Qos::AtLeastOnce, Some(id)) => mqtt::Delivery::AtLeastOnce(PacketId(id)),
        (Qos::ExactlyOnce, Some(id)) => mqtt::Delivery::ExactlyOnce(PacketId(id)),
        _ => mqtt::Delivery::AtMostOnce,
    };
    let packet = mqtt::Publish {
        dup: publish.dup,
        delivery,
        retain: publish.retain,
        topic: if says_topic { TopicName::parse(&publish.topic).ok() } else { None },
        properties: PublishProperties {
            message_expiry: publish.expiry,
            topic_alias: publish.alias.and_then(NonZeroU16::new),
            ..PublishProperties::default()
        },
        payload,
    };
    write(&mqtt::Packet::Publish(packet), version)
}

/// Writes any packet but CONNECT.
pub(super) fn encode(version: Version, packet: &Packet, payload: &[u8]) -> Vec<u8> {
    let packet = match packet {
        Packet::Publish(message) => return publish(version, message, payload, true),
        Packet::PubAck(ack) => mqtt::Packet::PubAck(own_ack(*ack)),
        Packet::PubRec(ack) => mqtt::Packet::PubRec(own_ack(*ack)),
        Packet::PubRel(ack) => mqtt::Packet::PubRel(own_ack(*ack)),
        Packet::PubComp(ack) => mqtt::Packet::PubComp(own_ack(*ack)),
        Packet::Subscribe { id, subscription_id, filters } => {
            let filters: Vec<_> =
                filters.iter().map(|(filter, options)| (filter.as_str(), *options)).collect();
            let properties = SubscribeProperties {
                subscription_id: subscription_id.and_then(NonZeroU32::new),
                ..SubscribeProperties::default()
            };
            let filters = SubscribeFilters::List(&filters);
            return write(
                &mqtt::Packet::Subscribe(mqtt::Subscribe { id: packet_id(*id), properties, filters }),
                version,
            );
        }
        Packet::Unsubscribe { id, filters } => {
            let filters: Vec<_> = filters.iter().map(String::as_str).collect();
            let unsubscribe = mqtt::Unsubscribe {
                id: packet_id(*id),
                properties: UnsubscribeProperties::default(),
                filters: UnsubscribeFilters::List(&filters),
            };
            return write(&mqtt::Packet::Unsubscribe(unsubscribe), version);
        }
        Packet::PingReq => mqtt::Packet::PingReq,
        Packet::Disconnect { reason, session_expiry } => mqtt::Packet::Disconnect(mqtt::Disconnect {
            reason: *reason,
            properties: DisconnectProperties {
                session_expiry: *session_expiry,
                ..DisconnectProperties::default()
            },
        }),
        // What only a broker says, and what has no bytes of its own.
        Packet::ConnAck { .. }
        | Packet::SubAck { .. }
        | Packet::UnsubAck { .. }
        | Packet::PingResp
        | Packet::Other(_) => return Vec::new(),
    };
    write(&packet, version)
}

fn own_ack(ack: Ack) -> mqtt::Ack<'static> {
    mqtt::Ack { id: packet_id(ack.id), reason: ack.reason, properties: AckProperties::default() }
}

fn packet_id(id: u16) -> PacketId {
    PacketId(NonZeroU16::new(id).unwrap_or(NonZeroU16::MIN))
}

/// # Panics
/// The packet cannot be written: the world drew something that no client could say.
fn write(packet: &mqtt::Packet<'_>, version: Version) -> Vec<u8> {
    let mut bytes = Vec::new();
    if let Err(error) = codec::encode(packet, version, &mut bytes) {
        panic!("a client cannot write {packet:?}: {error}");
    }
    bytes
}
