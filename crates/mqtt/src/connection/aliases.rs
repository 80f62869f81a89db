//! The topics that the other side of a link has given numbers to (MQTT 5.0, chapter 3.3.2.3.4).

use crate::codec::Violation;
use crate::limits::TOPIC_ALIAS_BYTES;
use crate::packet::Publish;
use crate::topic::TopicName;
use alloc::boxed::Box;
use alloc::vec::Vec;
use core::num::NonZeroU16;

/// Maps the aliases of one link to their topics. It dies with the link [MQTT-3.3.2-7].
#[derive(Debug, Default)]
pub(super) struct AliasTable {
    /// The topic of alias 1 first; empty is none.
    topics: Vec<Box<str>>,
    bytes: usize,
}

impl AliasTable {
    /// Notes what a packet says of an alias of at most `max`.
    ///
    /// # Errors
    /// The alias is above `max` [MQTT-3.3.2-9], [MQTT-3.1.2-26], stands for nothing, or names a topic of more than
    /// [`TOPIC_ALIAS_BYTES`].
    pub(super) fn note(&mut self, max: u16, publish: &Publish<'_>) -> Result<(), Violation> {
        let Some(alias) = publish.properties.topic_alias else { return Ok(()) };
        if alias.get() > max {
            return Err(Violation::TopicAlias);
        }
        match publish.topic {
            Some(topic) => self.set(alias, topic),
            None => self.get(alias).map(|_| ()).ok_or(Violation::TopicAliasUnknown),
        }
    }

    /// Puts the topic in the place of an alias that was noted. The publish then has a topic and no alias, so that
    /// whoever asks for a permission asks for the topic.
    pub(super) fn resolve<'a>(&'a self, mut publish: Publish<'a>) -> Publish<'a> {
        if let Some(alias) = publish.properties.topic_alias.take() {
            publish.topic = publish.topic.or_else(|| self.get(alias));
        }
        publish
    }

    /// Gives an alias a topic, in place of the one that it had [MQTT-3.3.2-12].
    fn set(&mut self, alias: NonZeroU16, topic: TopicName<'_>) -> Result<(), Violation> {
        let topic = topic.as_str();
        if topic.len() > TOPIC_ALIAS_BYTES {
            return Err(Violation::TopicAliasLength);
        }
        let index = usize::from(alias.get() - 1);
        if index >= self.topics.len() {
            self.topics.resize(index + 1, Box::default());
        }
        if let Some(known) = self.topics.get_mut(index).filter(|known| &***known != topic) {
            self.bytes = self.bytes + topic.len() - known.len();
            *known = topic.into();
        }
        Ok(())
    }

    fn get(&self, alias: NonZeroU16) -> Option<TopicName<'_>> {
        let topic = self.topics.get(usize::from(alias.get() - 1))?;
        (!topic.is_empty()).then(|| TopicName::of_parsed(topic))
    }

    /// Returns the bytes that it holds.
    pub(super) fn held(&self) -> usize {
        self.bytes + self.topics.capacity() * size_of::<Box<str>>()
    }
}
