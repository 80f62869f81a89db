//! What each publisher holds of one queue, and who gives way when that is full (rule 18).

use crate::message::Message;
use crate::placement::{HashKey, Map};
use crate::retained::Holding;
use keyward_ids::Identity;

/// Says by which measure a queue is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    Messages,
    Bytes,
}

impl Measure {
    fn of(self, holding: Holding) -> usize {
        match self {
            Self::Messages => holding.messages,
            Self::Bytes => holding.bytes,
        }
    }
}

/// Counts the messages that wait in one queue by their publishers.
#[derive(Debug)]
pub(crate) struct Publishers(Map<Identity, Holding>);

impl Publishers {
    pub(crate) fn new(hash_key: HashKey) -> Self {
        Self(Map::with_hasher(hash_key))
    }

    /// Counts a message that waits from now on.
    pub(crate) fn add(&mut self, message: &Message) {
        self.0.entry(message.publisher.identity.clone()).or_default().add(Holding::of(message));
    }

    /// Counts a message no longer.
    pub(crate) fn subtract(&mut self, message: &Message) {
        let publisher = &message.publisher.identity;
        if let Some(share) = self.0.get_mut(publisher) {
            share.subtract(Holding::of(message));
            if share.messages == 0 {
                self.0.remove(publisher);
            }
        }
    }

    /// Counts another form of a message in its place.
    pub(crate) fn exchange(&mut self, before: &Message, after: &Message) {
        if let Some(share) = self.0.get_mut(&before.publisher.identity) {
            share.exchange(Holding::of(before), Holding::of(after));
        }
    }

    /// Says whose messages give way to one of `newcomer`: those of publishers that hold most. `None` if `newcomer` is
    /// one of them, or nothing waits.
    pub(crate) fn give_way_to(
        &self,
        newcomer: &Identity,
        measure: Measure,
    ) -> Option<impl Fn(&Message) -> bool> {
        (self.share(newcomer, measure) < self.most(measure)?).then(|| self.greatest(measure)).flatten()
    }

    /// Says whose messages are those of publishers that hold most. `None` if nothing waits.
    pub(crate) fn greatest(&self, measure: Measure) -> Option<impl Fn(&Message) -> bool> {
        let most = self.most(measure)?;
        Some(move |message: &Message| self.share(&message.publisher.identity, measure) == most)
    }

    fn most(&self, measure: Measure) -> Option<usize> {
        self.0.values().map(|holding| measure.of(*holding)).max()
    }

    fn share(&self, publisher: &Identity, measure: Measure) -> usize {
        measure.of(self.0.get(publisher).copied().unwrap_or_default())
    }
}
