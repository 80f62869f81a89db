//! A PUBLISH for many receivers: what is the same for all is encoded once, the rest is written before it.

use super::properties::PropertySet;
use super::write::{Count, Sink};
use super::{EncodeError, VARINT_MAX, publish, varint_len};
use crate::frame::PacketType;
use crate::packet::{Delivery, Version};
use crate::property::{PropertyId, PublishProperties, SubscriptionIds, UserProperties};
use alloc::vec::Vec;
use core::num::{NonZeroU16, NonZeroU32};

/// Is everything of a PUBLISH but its payload, for one receiver.
#[derive(Debug, Clone, Copy)]
pub struct PublishHead<'a> {
    /// The receiver's version; only 5.0 gets properties.
    pub version: Version,
    /// Whether this delivery repeats an earlier one.
    pub dup: bool,
    /// Quality of service and packet identifier.
    pub delivery: Delivery,
    /// Retain flag.
    pub retain: bool,
    /// A topic name that was parsed; empty only where `topic_alias` stands for it.
    pub topic: &'a str,
    /// The receiver's name for the topic, on its link; left out before 5.0.
    pub topic_alias: Option<NonZeroU16>,
    /// What [`PublishProperties::encode_forwarded`] wrote.
    pub forwarded: &'a [u8],
    /// Seconds that are left.
    pub message_expiry: Option<u32>,
    /// Identifiers of the subscriptions that match, each at most 268,435,455.
    pub subscription_ids: &'a [NonZeroU32],
    /// Bytes of the payload, which the caller writes after the head.
    pub payload_len: usize,
}

impl PublishHead<'_> {
    fn properties_len(&self) -> usize {
        let expiry = if self.message_expiry.is_some() { 5 } else { 0 };
        let ids: usize = self.subscription_ids.iter().map(|id| 1 + varint_len(id.get() as usize)).sum();
        let alias = if self.topic_alias.is_some() { 3 } else { 0 };
        expiry + alias + ids + self.forwarded.len()
    }

    fn remaining_len(&self) -> usize {
        let packet_id = if self.delivery.id().is_some() { 2 } else { 0 };
        let properties = match self.version {
            Version::V31 | Version::V311 => 0,
            Version::V5 => {
                let len = self.properties_len();
                varint_len(len) + len
            }
        };
        (2 + self.topic.len() + packet_id + properties).saturating_add(self.payload_len)
    }

    fn check(&self, remaining: usize) -> Result<(), EncodeError> {
        // [MQTT-3.3.2-8], chapter 3.3.2.1: only an alias can stand for a topic, and only 5.0 has aliases.
        if self.topic.is_empty() && !(self.version.is_v5() && self.topic_alias.is_some()) {
            return Err(EncodeError::TopicMissing);
        }
        if remaining > VARINT_MAX as usize {
            return Err(EncodeError::PacketTooLarge { len: remaining });
        }
        if self.subscription_ids.iter().any(|id| id.get() > VARINT_MAX) {
            return Err(EncodeError::PropertyValue(PropertyId::SubscriptionIdentifier));
        }
        Ok(())
    }
}

/// Returns the bytes of the whole packet, payload included, to be compared with a receiver's maximum packet size.
pub fn publish_len(head: &PublishHead<'_>) -> usize {
    let remaining = head.remaining_len();
    remaining.saturating_add(1 + varint_len(remaining))
}

/// Appends everything of a PUBLISH but its payload.
///
/// # Errors
/// The topic is too long, or empty without an alias, an identifier is out of range, or the packet is longer than MQTT can express;
/// `out` is then unchanged.
pub fn encode_publish_head(out: &mut Vec<u8>, head: &PublishHead<'_>) -> Result<(), EncodeError> {
    let remaining = head.remaining_len();
    head.check(remaining)?;
    let start = out.len();
    out.reserve(1 + varint_len(remaining) + remaining - head.payload_len);
    let written = write_head(out, head, remaining);
    if written.is_err() {
        out.truncate(start);
    }
    written
}

fn write_head(out: &mut Vec<u8>, head: &PublishHead<'_>, remaining: usize) -> Result<(), EncodeError> {
    let flags = publish::flags(head.dup, head.delivery.qos(), head.retain);
    out.u8((PacketType::Publish as u8) << 4 | flags);
    out.varint(remaining)?;
    out.binary(head.topic.as_bytes())?;
    if let Some(id) = head.delivery.id() {
        out.u16(id.0.get());
    }
    if !head.version.is_v5() {
        return Ok(());
    }
    out.varint(head.properties_len())?;
    if let Some(seconds) = head.message_expiry {
        out.u8(PropertyId::MessageExpiryInterval as u8);
        out.u32(seconds);
    }
    if let Some(alias) = head.topic_alias {
        out.u8(PropertyId::TopicAlias as u8);
        out.u16(alias.get());
    }
    for id in head.subscription_ids {
        out.u8(PropertyId::SubscriptionIdentifier as u8);
        out.varint(id.get() as usize)?;
    }
    out.put(head.forwarded);
    Ok(())
}

impl PublishProperties<'_> {
    /// Appends the properties that a server passes on unaltered ([MQTT-3.3.2-4], -15, -16, -17, -20): payload format,
    /// content type, response topic, correlation data, and in their order those user properties whose name `passes`. There is no
    /// length before them.
    ///
    /// # Errors
    /// A value is too long or holds NUL; `out` is then unchanged.
    pub fn encode_forwarded(
        &self,
        passes: impl Fn(&str) -> bool,
        out: &mut Vec<u8>,
    ) -> Result<(), EncodeError> {
        // What belongs to one delivery is left out: expiry is counted down, alias and identifiers are the receiver's.
        let forwarded = PublishProperties {
            message_expiry: None,
            topic_alias: None,
            subscription_ids: SubscriptionIds::None,
            user: UserProperties::None,
            ..self.clone()
        };
        let mut count = Count::default();
        forwarded.write_each(&mut count)?;
        write_user(self.user, &passes, &mut count)?;
        out.reserve(count.0);
        forwarded.write_each(out)?;
        write_user(self.user, &passes, out)
    }
}

fn write_user(
    properties: UserProperties<'_>,
    passes: impl Fn(&str) -> bool,
    sink: &mut impl Sink,
) -> Result<(), EncodeError> {
    for (name, value) in properties.into_iter().filter(|(name, _)| passes(name)) {
        sink.u8(PropertyId::UserProperty as u8);
        sink.text(name)?;
        sink.text(value)?;
    }
    Ok(())
}
