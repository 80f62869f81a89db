//! The aliases that the client gives topics on one link (MQTT 5.0, chapter 3.3.2.3.4), so that a topic which comes
//! again and again is not sent again and again.

use super::terms::Offer;
use crate::codec;
use crate::limits::TOPIC_ALIAS_BYTES;
use crate::packet::{Packet, Publish, Version};
use crate::topic::TopicName;
use alloc::string::String;
use alloc::vec::Vec;
use core::num::NonZeroU16;

/// Bytes that an alias takes; a topic that is no longer saves nothing.
const ALIAS_LEN: usize = 3;

/// Knows what the server was told on this link. A new link begins with a new one [MQTT-3.3.2-7].
#[derive(Debug, Default)]
pub(super) struct Naming {
    most: u16,
    /// The topic used last is first; the one at the end makes room.
    places: Vec<Place>,
}

#[derive(Debug)]
struct Place {
    alias: NonZeroU16,
    topic: String,
    /// The server knows the alias. It does from the second time on that the topic comes: a packet with both is longer.
    is_told: bool,
}

impl Naming {
    /// Holds at most `most` topics: no more than the server's topic alias maximum [MQTT-3.2.2-17].
    pub(super) fn new(most: u16) -> Self {
        Self { most, places: Vec::new() }
    }

    /// Tells whether there may be any.
    pub(super) fn are_offered(&self) -> bool {
        self.most > 0
    }

    /// Puts an alias in the place of a topic that the server knows it for, and beside one that came before. The packet
    /// must be sent then, if it can be written at all.
    pub(super) fn name<'a>(&mut self, publish: Publish<'a>, offer: &Offer) -> Publish<'a> {
        let Some(topic) = publish.topic.filter(|topic| self.are_offered() && is_worth_it(*topic)) else {
            return publish;
        };
        let Some(place) = self.find(topic.as_str()) else {
            self.remember(topic.as_str());
            return publish;
        };
        let mut named = publish.clone();
        named.properties.topic_alias = Some(place.alias);
        if place.is_told {
            named.topic = None;
            return named;
        }
        let packet = Packet::Publish(named);
        place.is_told =
            codec::encoded_len(&packet, Version::V5).is_ok_and(|len| offer.check_len(len).is_ok());
        match packet {
            Packet::Publish(named) if place.is_told => named,
            _ => publish,
        }
    }

    /// Returns the place of a topic, which is the first from then on.
    fn find(&mut self, topic: &str) -> Option<&mut Place> {
        let index = self.places.iter().position(|place| place.topic == topic)?;
        self.places.get_mut(..=index)?.rotate_right(1);
        self.places.first_mut()
    }

    /// Gives a topic the next alias, or that of the topic which was used least lately.
    fn remember(&mut self, topic: &str) {
        let next = u16::try_from(self.places.len() + 1).ok().and_then(NonZeroU16::new);
        if let Some(alias) = next.filter(|alias| alias.get() <= self.most) {
            self.places.push(Place { alias, topic: String::new(), is_told: false });
        }
        self.places.rotate_right(1);
        if let Some(place) = self.places.first_mut() {
            place.topic.clear();
            place.topic.push_str(topic);
            place.is_told = false;
        }
    }
}

fn is_worth_it(topic: TopicName<'_>) -> bool {
    (ALIAS_LEN + 1..=TOPIC_ALIAS_BYTES).contains(&topic.as_str().len())
}
