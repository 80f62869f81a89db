//! A message that waits, and how it lies in a record.
//!
//! ```text
//! record = first[8] acknowledged[8] dropped[8] count[4] *entry
//! entry  = flags topic[2+n] ?expiry[4] ?content[2+n] ?response[2+n] ?correlation[2+n] users[1] *(name[2+n] value[2+n]) payload[4+n]
//! flags  = 0-1 QoS, 2 retain, 3 payload format is there, 4 it is text, 5 expiry, 6 content type, 7 response topic; correlation: bit 7 of users
//! ```

use crate::bytes::{Bytes, put_long, put_short};
use crate::limits::OUTBOX_USER_PROPERTIES;
use keyward_mqtt::packet::Qos;
use std::fmt;

/// Is a message as it will be published: signed before it is stored, so that it is the same bytes however often it is sent.
#[derive(Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where, at most 65,535 bytes.
    pub topic: String,
    /// With which quality of service. 0 is allowed and means that it may be lost on the way.
    pub qos: Qos,
    /// Whether the broker keeps it for those who subscribe later.
    pub retain: bool,
    /// The properties of MQTT 5.
    pub properties: Properties,
    /// The message.
    pub payload: Vec<u8>,
}

/// Holds the properties of MQTT 5 that a stored message has.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Properties {
    /// Whether the payload is UTF-8.
    pub payload_format: Option<bool>,
    /// Seconds that it stays of use from the moment when it is sent.
    pub message_expiry: Option<u32>,
    /// What kind of content it is, at most 65,535 bytes.
    pub content_type: Option<String>,
    /// Where an answer is expected, at most 65,535 bytes.
    pub response_topic: Option<String>,
    /// What the answer has to carry, at most 65,535 bytes.
    pub correlation_data: Option<Vec<u8>>,
    /// Names and values in their order, at most 64.
    pub user: Vec<(String, String)>,
}

impl Entry {
    /// Makes a message of QoS 1 that is not retained.
    pub fn new(topic: impl Into<String>, payload: impl Into<Vec<u8>>) -> Self {
        Self {
            topic: topic.into(),
            qos: Qos::AtLeastOnce,
            retain: false,
            properties: Properties::default(),
            payload: payload.into(),
        }
    }

    /// Appends the entry to a record; nothing if a part of it is longer than it may be.
    pub(super) fn write(&self, out: &mut Vec<u8>) -> Option<()> {
        let Properties {
            payload_format,
            message_expiry,
            content_type,
            response_topic,
            correlation_data,
            user,
        } = &self.properties;
        let bit = |set: bool, bit: u8| u8::from(set) << bit;
        out.push(
            self.qos as u8
                | bit(self.retain, 2)
                | bit(payload_format.is_some(), 3)
                | bit(*payload_format == Some(true), 4)
                | bit(message_expiry.is_some(), 5)
                | bit(content_type.is_some(), 6)
                | bit(response_topic.is_some(), 7),
        );
        put_short(out, self.topic.as_bytes())?;
        out.extend(message_expiry.iter().flat_map(|seconds| seconds.to_be_bytes()));
        let texts = [content_type, response_topic];
        texts.into_iter().flatten().try_for_each(|text| put_short(out, text.as_bytes()))?;
        let users =
            u8::try_from(user.len()).ok().filter(|users| usize::from(*users) <= OUTBOX_USER_PROPERTIES)?;
        out.push(users | bit(correlation_data.is_some(), 7));
        correlation_data.iter().try_for_each(|data| put_short(out, data))?;
        user.iter().try_for_each(|(name, value)| {
            put_short(out, name.as_bytes())?;
            put_short(out, value.as_bytes())
        })?;
        put_long(out, &self.payload)
    }

    fn read(bytes: &mut Bytes<'_>) -> Option<Self> {
        let flags = bytes.u8()?;
        let is = |bit: u8| flags >> bit & 1 == 1;
        let qos = match flags & 3 {
            0 => Qos::AtMostOnce,
            1 => Qos::AtLeastOnce,
            2 => Qos::ExactlyOnce,
            _ => return None,
        };
        let topic = bytes.text()?;
        let message_expiry = if is(5) { Some(bytes.u32()?) } else { None };
        let content_type = if is(6) { Some(bytes.text()?) } else { None };
        let response_topic = if is(7) { Some(bytes.text()?) } else { None };
        let users = bytes.u8()?;
        let correlation_data = if users >> 7 == 1 { Some(bytes.short()?.to_vec()) } else { None };
        let users = usize::from(users & 0x7f);
        if users > OUTBOX_USER_PROPERTIES {
            return None;
        }
        let user = (0..users).map(|_| Some((bytes.text()?, bytes.text()?))).collect::<Option<_>>()?;
        if is(4) && !is(3) {
            return None;
        }
        let payload_format = is(3).then_some(is(4));
        let properties = Properties {
            payload_format,
            message_expiry,
            content_type,
            response_topic,
            correlation_data,
            user,
        };
        Some(Self { topic, qos, retain: is(2), properties, payload: bytes.long()?.to_vec() })
    }
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Entry")
            .field("topic", &self.topic)
            .field("qos", &self.qos)
            .field("retain", &self.retain)
            .field("payload_bytes", &self.payload.len())
            .finish_non_exhaustive()
    }
}

/// Is what stands at the beginning of a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Head {
    /// The number of its first entry; of the next if it has none.
    pub(super) first: u64,
    /// Up to which number all were acknowledged when it was written.
    pub(super) acknowledged: u64,
    /// How many were given up for newer ones by then.
    pub(super) dropped: u64,
    /// How many entries it has.
    pub(super) count: u32,
}

impl Head {
    pub(super) fn write(self) -> Vec<u8> {
        let numbers = [self.first, self.acknowledged, self.dropped];
        let mut out: Vec<u8> = numbers.into_iter().flat_map(u64::to_be_bytes).collect();
        out.extend(self.count.to_be_bytes());
        out
    }

    /// Reads the head of a record; nothing if its numbers cannot be.
    pub(super) fn read(bytes: &mut Bytes<'_>) -> Option<Self> {
        let head = Self {
            first: bytes.u64()?,
            acknowledged: bytes.u64()?,
            dropped: bytes.u64()?,
            count: bytes.u32()?,
        };
        let end = head.first.checked_add(u64::from(head.count))?;
        (head.first > 0 && head.acknowledged < head.first && end < u64::MAX).then_some(head)
    }
}

/// Reads a whole record; nothing if it is none, or anything follows.
pub(super) fn read(record: &[u8]) -> Option<(Head, Vec<Entry>)> {
    let mut bytes = Bytes(record);
    let head = Head::read(&mut bytes)?;
    let entries = (0..head.count).map(|_| Entry::read(&mut bytes)).collect::<Option<_>>()?;
    bytes.0.is_empty().then_some((head, entries))
}

/// Reads a record and writes it again.
#[cfg(feature = "decoders")]
pub(crate) fn rewritten(record: &[u8]) -> Option<Vec<u8>> {
    let (head, entries) = read(record)?;
    let mut out = head.write();
    entries.iter().try_for_each(|entry| entry.write(&mut out))?;
    Some(out)
}
