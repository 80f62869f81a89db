//! The names that the broker gives topics towards one client (topic aliases, chapter 3.3.2.3.4): direct-mapped by topic
//! hash, so that topics in use push others out without a list of who was used when. They die with the link.

use crate::limits;
use core::num::NonZeroU16;

/// Holds what the client of one link knows.
#[derive(Debug)]
pub(crate) struct TopicAliases {
    most: u16,
    /// By alias, the first is 1; allocated on first use.
    places: Vec<Place>,
    /// Bytes of the topics there.
    topic_bytes: usize,
}

#[derive(Debug, Default)]
struct Place {
    /// The hash of the topic that last had no name here. Only one that comes twice gets one: the packet that gives the
    /// name is longer.
    missed: u64,
    /// Empty while the alias means nothing.
    topic: String,
}

/// Says how a topic is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Naming {
    /// As it is.
    InFull,
    /// As it is, with an alias that stands for it from then on.
    Introduced(NonZeroU16),
    /// By its alias alone.
    Known(NonZeroU16),
}

impl TopicAliases {
    /// Holds as many as the client takes, within our bound.
    pub(crate) fn new(asked: u16) -> Self {
        Self { most: asked.min(limits::TOPIC_ALIASES_OUT), places: Vec::new(), topic_bytes: 0 }
    }

    /// Returns whether there may be any.
    pub(crate) fn are_offered(&self) -> bool {
        self.most > 0
    }

    /// Says how to write `topic`. Where a name is introduced, [`TopicAliases::learn`] must follow once the packet is
    /// in the outbox, and not if it is not.
    pub(crate) fn name(&mut self, topic: &str, hash: u64) -> Naming {
        let is_worth_it =
            topic.len() > limits::TOPIC_ALIAS_MIN && topic.len() <= limits::DECISION_TOPIC_BYTES;
        if !is_worth_it {
            return Naming::InFull;
        }
        if self.places.is_empty() {
            self.places.resize_with(usize::from(self.most), Place::default);
        }
        let Some(alias) = self.alias_of(hash) else { return Naming::InFull };
        let Some(place) = self.places.get_mut(index(alias)) else { return Naming::InFull };
        if place.topic == topic {
            return Naming::Known(alias);
        }
        let comes_again = core::mem::replace(&mut place.missed, hash) == hash;
        if comes_again { Naming::Introduced(alias) } else { Naming::InFull }
    }

    /// Notes that a packet which introduces `alias` for `topic` goes to the client.
    pub(crate) fn learn(&mut self, alias: NonZeroU16, topic: &str) {
        let Some(place) = self.places.get_mut(index(alias)) else { return };
        self.topic_bytes -= place.topic.capacity();
        place.topic.clear();
        place.topic.push_str(topic);
        self.topic_bytes += place.topic.capacity();
    }

    /// Returns the bytes that are held.
    pub(crate) fn bytes(&self) -> usize {
        self.places.len() * size_of::<Place>() + self.topic_bytes
    }

    fn alias_of(&self, hash: u64) -> Option<NonZeroU16> {
        let place = hash.checked_rem(u64::from(self.most))?;
        // Below `most`, which is small.
        NonZeroU16::MIN.checked_add(place as u16)
    }
}

fn index(alias: NonZeroU16) -> usize {
    usize::from(alias.get() - 1)
}
