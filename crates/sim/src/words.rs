//! From bytes and borrowed packets to the owned packets of the trace, and payloads that say which message they are.

use crate::event::MessageNo;
use crate::packet::{Ack, Packet, Publish, Terms};
use keyward_mqtt::codec::{self, Sender};
use keyward_mqtt::frame;
use keyward_mqtt::packet::{self as mqtt, Version};
use std::collections::BTreeMap;

/// The bytes of a filled payload; large enough to be shared instead of copied by the broker.
const FILLED: usize = 1_100;

/// Writes the payload of a message: its number, then filling if it is to be large.
pub(crate) fn payload(number: MessageNo, large: bool) -> Vec<u8> {
    let mut payload = format!("{number};").into_bytes();
    if large {
        payload.resize(FILLED, b'.');
    }
    payload
}

/// Reads the number out of a payload, signed or not.
pub(crate) fn number(payload: &[u8]) -> Option<MessageNo> {
    let payload = crate::signing::content(payload).unwrap_or(payload);
    let text = core::str::from_utf8(payload).ok()?;
    text.strip_prefix('m')?.split_once(';')?.0.parse().ok().map(MessageNo)
}

/// Knows the topics that aliases stand for, in one direction of one link.
#[derive(Debug, Default)]
pub(crate) struct Aliases(BTreeMap<u16, String>);

impl Aliases {
    fn resolve(&mut self, publish: &mqtt::Publish<'_>) -> String {
        let topic = publish.topic.map(|topic| topic.as_str()).filter(|topic| !topic.is_empty());
        match (topic, publish.properties.topic_alias) {
            (Some(topic), Some(alias)) => {
                self.0.insert(alias.get(), topic.to_owned());
                topic.to_owned()
            }
            (Some(topic), None) => topic.to_owned(),
            (None, Some(alias)) => self.0.get(&alias.get()).cloned().unwrap_or_default(),
            (None, None) => String::new(),
        }
    }

    /// Owns a packet.
    pub(crate) fn own(&mut self, packet: &mqtt::Packet<'_>) -> Packet {
        match packet {
            mqtt::Packet::ConnAck(ack) => {
                let terms = Terms {
                    assigned_client_id: ack.properties.assigned_client_id.map(str::to_owned),
                    session_expiry: ack.properties.session_expiry,
                    receive_maximum: ack.properties.receive_maximum.map(|most| most.get()),
                    topic_alias_maximum: ack.properties.topic_alias_maximum,
                    keep_alive: ack.properties.server_keep_alive,
                };
                Packet::ConnAck { session_present: ack.session_present, reason: ack.reason, terms }
            }
            mqtt::Packet::Publish(publish) => Packet::Publish(self.own_publish(publish)),
            mqtt::Packet::PubAck(ack) => Packet::PubAck(own_ack(ack)),
            mqtt::Packet::PubRec(ack) => Packet::PubRec(own_ack(ack)),
            mqtt::Packet::PubRel(ack) => Packet::PubRel(own_ack(ack)),
            mqtt::Packet::PubComp(ack) => Packet::PubComp(own_ack(ack)),
            mqtt::Packet::Subscribe(subscribe) => Packet::Subscribe {
                id: subscribe.id.0.get(),
                subscription_id: subscribe.properties.subscription_id.map(|id| id.get()),
                filters: subscribe
                    .filters
                    .into_iter()
                    .map(|(filter, options)| (filter.to_owned(), options))
                    .collect(),
            },
            mqtt::Packet::SubAck(ack) => {
                Packet::SubAck { id: ack.id.0.get(), reasons: ack.reasons.into_iter().collect() }
            }
            mqtt::Packet::Unsubscribe(unsubscribe) => Packet::Unsubscribe {
                id: unsubscribe.id.0.get(),
                filters: unsubscribe.filters.into_iter().map(str::to_owned).collect(),
            },
            mqtt::Packet::UnsubAck(ack) => {
                Packet::UnsubAck { id: ack.id.0.get(), reasons: ack.reasons.into_iter().collect() }
            }
            mqtt::Packet::PingReq => Packet::PingReq,
            mqtt::Packet::PingResp => Packet::PingResp,
            mqtt::Packet::Disconnect(disconnect) => Packet::Disconnect {
                reason: disconnect.reason,
                session_expiry: disconnect.properties.session_expiry,
            },
            mqtt::Packet::Connect(_) | mqtt::Packet::Auth(_) => {
                Packet::Other(packet.kind().as_str().to_owned())
            }
        }
    }

    fn own_publish(&mut self, publish: &mqtt::Publish<'_>) -> Publish {
        Publish {
            number: number(publish.payload),
            topic: self.resolve(publish),
            alias: publish.properties.topic_alias.map(|alias| alias.get()),
            qos: publish.delivery.qos(),
            id: publish.delivery.id().map(|id| id.0.get()),
            retain: publish.retain,
            dup: publish.dup,
            expiry: publish.properties.message_expiry,
            subscription_ids: publish
                .properties
                .subscription_ids
                .into_iter()
                .map(core::num::NonZeroU32::get)
                .collect(),
        }
    }
}

fn own_ack(ack: &mqtt::Ack<'_>) -> Ack {
    Ack { id: ack.id.0.get(), reason: ack.reason }
}

/// Takes the first packet of the broker off `bytes`; `None` if it is not all there.
///
/// # Panics
/// The broker wrote what is no packet: nothing worse can happen to a client.
pub(crate) fn take_packet(version: Version, aliases: &mut Aliases, bytes: &mut Vec<u8>) -> Option<Packet> {
    let header = match frame::peek(bytes) {
        Ok(header) => header?,
        Err(error) => panic!("the broker wrote no packet: {error}"),
    };
    if bytes.len() < header.total_len {
        return None;
    }
    let packet = match codec::decode(version, Sender::Server, &bytes[..header.total_len]) {
        Ok(packet) => aliases.own(&packet),
        Err(error) => panic!("the broker wrote a packet that is wrong: {error}"),
    };
    bytes.drain(..header.total_len);
    Some(packet)
}
