//! A published message, as it is shared by queues, retained slots and shards.

use crate::limits;
use crate::shard::Incarnation;
use keyward_ids::Identity;
use keyward_mqtt::codec::EncodeError;
use keyward_mqtt::packet::Qos;
use keyward_mqtt::property::PublishProperties;
use keyward_mqtt::time::Millis;
use keyward_mqtt::topic::TopicName;
use std::sync::Arc;

/// Says who published a message: the identity, and which life of that name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Publisher {
    /// Who.
    pub identity: Identity,
    /// In which epoch of the registry.
    pub epoch: u64,
}

/// Is a message on its way. Immutable and shared.
#[derive(Debug)]
pub struct Message {
    /// Topic, forwarded properties and payload, one after the other.
    bytes: Arc<[u8]>,
    topic_len: usize,
    payload_at: usize,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    pub(crate) expires: Option<Millis>,
    pub(crate) publisher: Publisher,
    /// The session that it came from, for No Local.
    pub(crate) origin: Incarnation,
}

/// Is what a message is made of.
pub(crate) struct Draft<'a> {
    pub(crate) topic: TopicName<'a>,
    pub(crate) properties: &'a PublishProperties<'a>,
    pub(crate) payload: &'a [u8],
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
}

impl Draft<'_> {
    pub(crate) fn finish(
        &self,
        now: Millis,
        publisher: Publisher,
        origin: Incarnation,
    ) -> Result<Message, EncodeError> {
        let topic = self.topic.as_str();
        let mut bytes = Vec::with_capacity(topic.len() + self.payload.len() + 64);
        bytes.extend_from_slice(topic.as_bytes());
        self.properties.encode_forwarded(&mut bytes)?;
        let payload_at = bytes.len();
        bytes.extend_from_slice(self.payload);
        Ok(Message {
            bytes: bytes.into(),
            topic_len: topic.len(),
            payload_at,
            qos: self.qos,
            retain: self.retain,
            expires: self.properties.message_expiry.map(|secs| deadline(now, secs)),
            publisher,
            origin,
        })
    }
}

/// Returns the time `secs` seconds after `now`.
pub(crate) fn deadline(now: Millis, secs: u32) -> Millis {
    now.saturating_add(Millis::from_secs(u64::from(secs)))
}

impl Message {
    /// Returns the topic.
    pub fn topic(&self) -> &str {
        // The bytes come from a text; were they damaged, the empty topic would match nothing.
        self.bytes
            .get(..self.topic_len)
            .and_then(|bytes| core::str::from_utf8(bytes).ok())
            .unwrap_or_default()
    }

    /// Returns the payload.
    pub fn payload(&self) -> &[u8] {
        self.bytes.get(self.payload_at..).unwrap_or_default()
    }

    /// Returns who published it.
    pub fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    pub(crate) fn forwarded(&self) -> &[u8] {
        self.bytes.get(self.topic_len..self.payload_at).unwrap_or_default()
    }

    pub(crate) fn payload_shared(&self) -> (&Arc<[u8]>, core::ops::Range<usize>) {
        (&self.bytes, self.payload_at..self.bytes.len())
    }

    /// Returns the bytes that it is counted with in queues.
    pub fn weight(&self) -> usize {
        self.bytes.len() + limits::MESSAGE_OVERHEAD
    }

    pub(crate) fn is_expired(&self, now: Millis) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// Returns the seconds that are left, rounded up so that a message does not arrive as expired.
    pub(crate) fn seconds_left(&self, now: Millis) -> Option<u32> {
        let left = self.expires?.saturating_sub(now);
        Some(u32::try_from(left.0.div_ceil(1000)).unwrap_or(u32::MAX))
    }
}
