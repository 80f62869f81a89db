//! A published message, as it is shared by queues, retained slots and shards.

use crate::limits;
use crate::outbox::Outbox;
use crate::session::Incarnation;
use keyward_ids::{Identity, Kind};
use keyward_mqtt::packet::Qos;
use keyward_mqtt::time::Millis;
use keyward_mqtt::topic::TopicName;
use std::sync::Arc;

/// Says who published a message: the identity, and which life of that name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Publisher {
    /// Who.
    pub identity: Identity,
    /// In which life of that name.
    pub life: u64,
}

impl Publisher {
    /// No name has so many lives.
    const LIFE_OF_BROKER: u64 = u64::MAX;

    /// Returns the broker itself, which publishes below `$SYS/`.
    pub(crate) fn broker() -> Option<Self> {
        let identity = Identity::new(Kind::User, "keyward").ok()?;
        Some(Self { identity, life: Self::LIFE_OF_BROKER })
    }

    /// Tells whether this is the broker itself, whatever the accounts are called.
    pub(crate) fn is_broker(&self) -> bool {
        self.life == Self::LIFE_OF_BROKER
    }
}

/// Numbers a message, over all shards and all lives of the process; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct MessageId(pub(crate) u64);

/// Is a message on its way. Immutable and shared.
#[derive(Debug)]
pub struct Message {
    /// Topic, forwarded properties and payload.
    bytes: Vec<u8>,
    topic_len: usize,
    payload_at: usize,
    pub(crate) id: MessageId,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    pub(crate) expires: Option<Millis>,
    pub(crate) publisher: Publisher,
    /// The session that it came from, for No Local.
    pub(crate) origin: Incarnation,
    pub(crate) is_will: bool,
}

/// Is what a message is made of.
#[derive(Debug)]
pub(crate) struct Draft<'a> {
    pub(crate) id: MessageId,
    pub(crate) topic: &'a str,
    pub(crate) forwarded: &'a [u8],
    pub(crate) payload: &'a [u8],
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    pub(crate) expires: Option<Millis>,
    pub(crate) publisher: Publisher,
    pub(crate) origin: Incarnation,
    pub(crate) is_will: bool,
}

impl Draft<'_> {
    /// Returns how many bytes topic, forwarded properties and payload have together.
    pub(crate) fn len(&self) -> usize {
        self.topic.len() + self.forwarded.len() + self.payload.len()
    }
}

impl From<Draft<'_>> for Message {
    fn from(draft: Draft<'_>) -> Self {
        let buffer = Vec::with_capacity(draft.len());
        Self::in_buffer(buffer, draft)
    }
}

/// Returns the time `secs` seconds after `now`.
pub(crate) fn deadline(now: Millis, secs: u32) -> Millis {
    now.saturating_add(Millis::from_secs(u64::from(secs)))
}

impl Message {
    /// Makes a message in a buffer that was another's before.
    pub(crate) fn in_buffer(mut bytes: Vec<u8>, draft: Draft<'_>) -> Self {
        bytes.clear();
        bytes.extend_from_slice(draft.topic.as_bytes());
        bytes.extend_from_slice(draft.forwarded);
        bytes.extend_from_slice(draft.payload);
        Self {
            bytes,
            topic_len: draft.topic.len(),
            payload_at: draft.topic.len() + draft.forwarded.len(),
            id: draft.id,
            qos: draft.qos,
            retain: draft.retain,
            expires: draft.expires,
            publisher: draft.publisher,
            origin: draft.origin,
            is_will: draft.is_will,
        }
    }

    /// Gives the buffer away; the message is empty then.
    pub(crate) fn take_buffer(&mut self) -> Vec<u8> {
        (self.topic_len, self.payload_at) = (0, 0);
        core::mem::take(&mut self.bytes)
    }

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

    pub(crate) fn topic_name(&self) -> Option<TopicName<'_>> {
        TopicName::parse(self.topic()).ok()
    }

    pub(crate) fn forwarded(&self) -> &[u8] {
        self.bytes.get(self.topic_len..self.payload_at).unwrap_or_default()
    }

    /// Appends the payload to an outbox, shared if it is large.
    pub(crate) fn append_payload(self: &Arc<Self>, outbox: &mut Outbox) {
        if self.payload().len() >= limits::SHARED_PAYLOAD {
            outbox.push_shared(self);
        } else {
            outbox.push(self.payload());
        }
    }

    /// Returns the bytes that it is counted with in queues: what its buffer holds in memory and its overhead.
    pub fn weight(&self) -> usize {
        self.bytes.capacity() + limits::MESSAGE_OVERHEAD
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
