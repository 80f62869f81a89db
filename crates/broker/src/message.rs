//! A published message, as it is shared by queues, retained slots and shards.

use crate::limits;
use crate::outbox::Outbox;
use crate::session::Incarnation;
use keyward_ids::{Identity, Kind};
use keyward_mqtt::packet::Qos;
use keyward_mqtt::time::Millis;
use keyward_mqtt::topic::TopicName;
use std::sync::{Arc, OnceLock};

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
///
/// Of a message that waits on disk only a *stand-in* is held: all but topic, forwarded properties and payload. All
/// queues that let go of the body share it.
#[derive(Debug)]
pub struct Message {
    content: Content,
    /// The bytes that it is counted with in queues, its body included, here or not.
    weight: usize,
    /// Whether this is a stand-in.
    is_away: bool,
    /// The stand-in, once somebody let go of the body.
    stand_in: OnceLock<Arc<Self>>,
    pub(crate) id: MessageId,
    pub(crate) qos: Qos,
    pub(crate) retain: bool,
    pub(crate) expires: Option<Millis>,
    pub(crate) publisher: Publisher,
    /// The session that it came from, for No Local.
    pub(crate) origin: Incarnation,
    pub(crate) is_will: bool,
}

/// Is what a message says: topic, forwarded properties and payload.
#[derive(Debug, Default)]
pub(crate) struct Content {
    bytes: Vec<u8>,
    topic_len: usize,
    payload_at: usize,
}

impl Content {
    /// Copies a body into a buffer that was another's before.
    pub(crate) fn in_buffer(mut bytes: Vec<u8>, topic: &str, forwarded: &[u8], payload: &[u8]) -> Self {
        bytes.clear();
        bytes.extend_from_slice(topic.as_bytes());
        bytes.extend_from_slice(forwarded);
        bytes.extend_from_slice(payload);
        Self { bytes, topic_len: topic.len(), payload_at: topic.len() + forwarded.len() }
    }
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
    pub(crate) fn in_buffer(bytes: Vec<u8>, draft: Draft<'_>) -> Self {
        let content = Content::in_buffer(bytes, draft.topic, draft.forwarded, draft.payload);
        Self {
            weight: content.bytes.capacity() + limits::MESSAGE_OVERHEAD,
            content,
            is_away: false,
            stand_in: OnceLock::new(),
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
        core::mem::take(&mut self.content).bytes
    }

    fn with_content(&self, content: Content, is_away: bool) -> Self {
        Self {
            content,
            weight: self.weight,
            is_away,
            stand_in: OnceLock::new(),
            id: self.id,
            qos: self.qos,
            retain: self.retain,
            expires: self.expires,
            publisher: self.publisher.clone(),
            origin: self.origin,
            is_will: self.is_will,
        }
    }

    /// Makes the stand-in of a message on disk without making the message first; small ones are made whole.
    pub(crate) fn found(draft: Draft<'_>) -> Self {
        let len = draft.len();
        if len <= limits::BODY_KEPT {
            return draft.into();
        }
        let empty = Draft { topic: "", forwarded: &[], payload: &[], ..draft };
        let found = Self::from(empty);
        Self { weight: len + limits::MESSAGE_OVERHEAD, is_away: true, ..found }
    }

    /// Tells whether the body is worth letting go of: the stand-in weighs as much as a small one.
    pub(crate) fn may_leave(&self) -> bool {
        !self.is_away && self.content.bytes.len() > limits::BODY_KEPT
    }

    /// Tells whether this is a stand-in: the body is on disk only.
    pub(crate) fn is_away(&self) -> bool {
        self.is_away
    }

    /// Returns the stand-in of this message, which is one for all who let go of the body.
    pub(crate) fn stand_in(&self) -> Arc<Self> {
        let make = || Arc::new(self.with_content(Content::default(), true));
        Arc::clone(self.stand_in.get_or_init(make))
    }

    /// Makes the message of a stand-in whole with the body that was read; without one it is a message that nobody may
    /// read, and goes nowhere.
    pub(crate) fn whole(stand_in: &Arc<Self>, content: Option<Content>) -> Arc<Self> {
        let whole = stand_in.with_content(content.unwrap_or_default(), false);
        let _ = whole.stand_in.set(Arc::clone(stand_in));
        Arc::new(whole)
    }

    /// Returns the topic.
    pub fn topic(&self) -> &str {
        // The bytes come from a text; were they damaged, the empty topic would match nothing.
        self.content
            .bytes
            .get(..self.content.topic_len)
            .and_then(|bytes| core::str::from_utf8(bytes).ok())
            .unwrap_or_default()
    }

    /// Returns the payload.
    pub fn payload(&self) -> &[u8] {
        self.content.bytes.get(self.content.payload_at..).unwrap_or_default()
    }

    /// Returns who published it.
    pub fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    pub(crate) fn topic_name(&self) -> Option<TopicName<'_>> {
        TopicName::parse(self.topic()).ok()
    }

    pub(crate) fn forwarded(&self) -> &[u8] {
        self.content.bytes.get(self.content.topic_len..self.content.payload_at).unwrap_or_default()
    }

    /// Appends the payload to an outbox, shared if it is large.
    pub(crate) fn append_payload(self: &Arc<Self>, outbox: &mut Outbox) {
        if self.payload().len() >= limits::SHARED_PAYLOAD {
            outbox.push_shared(self);
        } else {
            outbox.push(self.payload());
        }
    }

    /// Returns the bytes that it is counted with in queues: what its buffer holds, in memory or on disk, and its overhead.
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// Returns how many of them are on disk only.
    pub(crate) fn weight_away(&self) -> usize {
        if self.is_away { self.weight.saturating_sub(limits::MESSAGE_OVERHEAD) } else { 0 }
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

#[cfg(test)]
impl<'a> Draft<'a> {
    /// Drafts a message of QoS 0 on topic `t` for tests; `publisher` is written as `device:ID` or `user:NAME`.
    pub(crate) fn of(publisher: &str, payload: &'a [u8]) -> Self {
        Self {
            id: MessageId(1),
            topic: "t",
            forwarded: &[],
            payload,
            qos: Qos::AtMostOnce,
            retain: false,
            expires: None,
            publisher: Publisher { identity: publisher.parse().unwrap(), life: 1 },
            origin: Incarnation(1),
            is_will: false,
        }
    }
}
