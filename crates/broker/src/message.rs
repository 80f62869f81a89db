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
    /// In which epoch of the registry.
    pub epoch: u64,
}

impl Publisher {
    /// No account reaches this epoch.
    const EPOCH_OF_BROKER: u64 = u64::MAX;

    /// Returns the broker itself, which publishes below `$SYS/`.
    pub(crate) fn broker() -> Option<Self> {
        let identity = Identity::new(Kind::User, "keyward").ok()?;
        Some(Self { identity, epoch: Self::EPOCH_OF_BROKER })
    }

    /// Tells whether this is the broker itself, whatever the accounts are called.
    pub(crate) fn is_broker(&self) -> bool {
        self.epoch == Self::EPOCH_OF_BROKER
    }
}

/// Is a message on its way. Immutable and shared.
#[derive(Debug)]
pub struct Message {
    /// Topic and forwarded properties, and the payload if it is small.
    head: Box<[u8]>,
    topic_len: usize,
    forwarded_end: usize,
    /// A payload that is large enough to be shared by outboxes.
    large: Option<Arc<[u8]>>,
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

impl From<Draft<'_>> for Message {
    fn from(draft: Draft<'_>) -> Self {
        let is_large = draft.payload.len() >= limits::SHARED_PAYLOAD;
        let inline = if is_large { &[] } else { draft.payload };
        Self {
            head: [draft.topic.as_bytes(), draft.forwarded, inline].concat().into(),
            topic_len: draft.topic.len(),
            forwarded_end: draft.topic.len() + draft.forwarded.len(),
            large: is_large.then(|| draft.payload.into()),
            qos: draft.qos,
            retain: draft.retain,
            expires: draft.expires,
            publisher: draft.publisher,
            origin: draft.origin,
            is_will: draft.is_will,
        }
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
        self.head.get(..self.topic_len).and_then(|bytes| core::str::from_utf8(bytes).ok()).unwrap_or_default()
    }

    /// Returns the payload.
    pub fn payload(&self) -> &[u8] {
        match &self.large {
            Some(large) => large,
            None => self.head.get(self.forwarded_end..).unwrap_or_default(),
        }
    }

    /// Returns who published it.
    pub fn publisher(&self) -> &Publisher {
        &self.publisher
    }

    pub(crate) fn topic_name(&self) -> Option<TopicName<'_>> {
        TopicName::parse(self.topic()).ok()
    }

    pub(crate) fn forwarded(&self) -> &[u8] {
        self.head.get(self.topic_len..self.forwarded_end).unwrap_or_default()
    }

    /// Appends the payload to an outbox, shared if it is large.
    pub(crate) fn append_payload(&self, outbox: &mut Outbox) {
        match &self.large {
            Some(large) => outbox.push_shared(large),
            None => outbox.push(self.payload()),
        }
    }

    /// Returns the bytes that it is counted with in queues.
    pub fn weight(&self) -> usize {
        self.head.len() + self.large.as_ref().map_or(0, |large| large.len()) + limits::MESSAGE_OVERHEAD
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
