//! A replay of retained messages to one subscription, on the reader's side (rule 12): shards are asked one after the
//! other, slice by slice. Topics on which something newer was delivered meanwhile are left out.

use crate::input::{ReplayAsk, SubscriptionIdSet};
use crate::limits;
use crate::outbound::{Parcel, Place};
use crate::persist::Kept;
use crate::placement::{HashKey, Set, ShardIndex};
use crate::retained::Holding;
use crate::session::SessionRef;
use core::num::NonZeroU32;
use keyward_mqtt::packet::Qos;
use keyward_mqtt::topic::{TopicFilter, TopicName};
use std::collections::VecDeque;
use std::sync::Arc;

/// Is a replay that is due as soon as its SUBACK has left.
#[derive(Debug, Clone)]
pub(crate) struct ReplayOrder {
    pub(crate) filter: Arc<str>,
    pub(crate) qos: Qos,
    pub(crate) id: Option<NonZeroU32>,
}

/// Is a replay under way.
#[derive(Debug)]
pub(crate) struct Replay {
    number: u64,
    order: ReplayOrder,
    /// The shard whose turn it is.
    home: u16,
    after: Option<Arc<str>>,
    /// Whether a slice was asked for and has not come.
    asked: bool,
    /// Hashes of topics that were delivered live.
    seen: Set<u64>,
    /// Live messages that wait because `seen` is full.
    waiting: VecDeque<HeldLive>,
    held: Holding,
}

/// Is a live message that waits for the end of a replay.
#[derive(Debug)]
pub(crate) struct HeldLive {
    /// Its place on disk; what it gets when it is sent is another.
    pub(crate) place: Place,
    pub(crate) parcel: Parcel,
    pub(crate) kept: Kept,
}

/// Says what is to be done with a live message that matches a replay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Live {
    /// It is delivered now.
    Deliver,
    /// It waits for the end of the replay.
    Hold,
    /// It would have to wait, but too many do.
    Drop,
}

impl Replay {
    pub(crate) fn new(number: u64, order: ReplayOrder, hash_key: HashKey) -> Self {
        Self {
            number,
            order,
            home: 0,
            after: None,
            asked: false,
            seen: Set::with_hasher(hash_key),
            waiting: VecDeque::new(),
            held: Holding::default(),
        }
    }

    pub(crate) fn is_of(&self, filter: &str) -> bool {
        *self.order.filter == *filter
    }

    pub(crate) fn matches(&self, topic: TopicName<'_>) -> bool {
        TopicFilter::parse(&self.order.filter).is_ok_and(|filter| filter.matches(topic))
    }

    /// Returns how many topics it remembers.
    pub(crate) fn seen(&self) -> usize {
        self.seen.len()
    }

    /// Notes that a live message is about to be delivered to this subscription, whose session remembers so many topics in
    /// all its replays.
    pub(crate) fn note_live(&mut self, topic_hash: u64, retain: bool, remembered: usize) -> Live {
        if remembered >= limits::REPLAY_SEEN && !self.seen.contains(&topic_hash) {
            let room = self.waiting.len() < limits::REPLAY_HELD;
            return if room { Live::Hold } else { Live::Drop };
        }
        if retain {
            self.seen.insert(topic_hash);
        }
        Live::Deliver
    }

    /// Returns the bytes that it takes beside the messages that wait for its end.
    pub(crate) fn bytes(&self) -> usize {
        limits::REPLAY_OVERHEAD + self.seen.len() * limits::REPLAY_SEEN_BYTES
    }

    /// Returns what waits for its end.
    pub(crate) fn held(&self) -> Holding {
        self.held
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    pub(crate) fn hold(&mut self, live: HeldLive) {
        self.held.add(Holding::of(&live.parcel.message));
        self.waiting.push_back(live);
    }

    /// Returns the live messages that wait.
    pub(crate) fn waiting_mut(&mut self) -> impl Iterator<Item = &mut HeldLive> {
        self.waiting.iter_mut()
    }

    /// Returns the next question and whom to ask; nothing while one is open.
    pub(crate) fn ask(&mut self, session: SessionRef, most: u16) -> Option<(ShardIndex, ReplayAsk)> {
        if self.asked {
            return None;
        }
        self.asked = true;
        let ask = ReplayAsk {
            session,
            replay: self.number,
            filter: Arc::clone(&self.order.filter),
            after: self.after.clone(),
            most,
        };
        Some((ShardIndex(self.home), ask))
    }

    /// Takes note of an answer. Returns whether it belongs to the open question.
    pub(crate) fn answered(&mut self, number: u64, next: Option<Arc<str>>) -> bool {
        if !self.asked || self.number != number {
            return false;
        }
        self.asked = false;
        if next.is_none() {
            self.home += 1;
        }
        self.after = next;
        true
    }

    /// Gives the open question up: it is asked again when somebody is there to hear the answer.
    pub(crate) fn postpone(&mut self) {
        self.asked = false;
    }

    /// Tells whether all shards have been asked.
    pub(crate) fn is_finished(&self, shards: u16) -> bool {
        self.home >= shards
    }

    /// Tells whether the topic was delivered live meanwhile.
    pub(crate) fn is_outdated(&self, topic_hash: u64) -> bool {
        self.seen.contains(&topic_hash)
    }

    pub(crate) fn into_held(self) -> VecDeque<HeldLive> {
        self.waiting
    }

    /// Returns the terms of a replayed message of this quality of service.
    pub(crate) fn terms(&self, qos: Qos) -> (Qos, SubscriptionIdSet) {
        (qos.min(self.order.qos), self.order.id.into_iter().collect())
    }
}
