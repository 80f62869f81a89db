//! The retained messages that live on one shard (rule 12): one map by topic, ordered level by level, so that a replay
//! leaps over branches that its filter does not match and can go on where it stopped. A deep topic costs no more than
//! its bytes.

use crate::limits;
use crate::message::Message;
use crate::placement::{HashKey, Map};
use crate::principal::Principal;
use core::ops::Bound;
use keyward_ids::Identity;
use keyward_mqtt::time::Millis;
use keyward_mqtt::topic::{Level, TopicFilter, TopicName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Holds the retained messages of one shard.
#[derive(Debug)]
pub(crate) struct Retained {
    slots: BTreeMap<Key, Slot>,
    expiries: BTreeSet<(Millis, Arc<str>)>,
    by_publisher: Map<Identity, Holding>,
    held: Holding,
    bounds: Bounds,
    /// Topics whose slots have become empty, not recorded yet.
    emptied: Vec<Box<str>>,
}

/// Says how much may be held.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) all: Holding,
    pub(crate) per_publisher: Holding,
}

/// Counts messages and their bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Holding {
    pub(crate) messages: usize,
    pub(crate) bytes: usize,
    /// How many of these bytes are on disk only.
    pub(crate) away: usize,
}

/// Is a topic with NUL, which no topic holds, in place of each `/`: texts then compare as their levels do, and a topic
/// stands right before those below it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key(Box<str>);

/// Is one retained message with what was last decided about its publisher.
#[derive(Debug)]
pub(crate) struct Slot {
    pub(crate) message: Arc<Message>,
    pub(crate) verdict: Option<Verdict>,
}

/// Remembers whether the publisher may still write here: valid for this generation and this value of the principal.
#[derive(Debug)]
pub(crate) struct Verdict {
    pub(crate) generation: u64,
    pub(crate) principal: Arc<Principal>,
    pub(crate) allowed: bool,
}

/// Says what is to be done with a slot that a replay comes across.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is delivered.
    Deliver,
    /// It is passed over.
    Withhold,
    /// It can never be delivered again.
    Erase,
}

impl Fate {
    pub(crate) fn deliver_if(allowed: bool) -> Self {
        if allowed { Self::Deliver } else { Self::Withhold }
    }
}

/// Is a part of a replay.
#[derive(Debug)]
pub(crate) struct Slice {
    pub(crate) messages: Vec<Arc<Message>>,
    /// The topic after which to go on; `None` at the end.
    pub(crate) next: Option<Arc<str>>,
}

impl Holding {
    /// Makes a bound of so many messages and bytes.
    pub(crate) fn bound(messages: usize, bytes: usize) -> Self {
        Self { messages, bytes, away: 0 }
    }

    /// Returns the bytes that are in memory.
    pub(crate) fn in_memory(self) -> usize {
        self.bytes.saturating_sub(self.away)
    }

    /// Tells whether `bound` has room for `more` beside this.
    pub(crate) fn fits(self, more: Self, bound: Self) -> bool {
        self.messages + more.messages <= bound.messages && self.bytes + more.bytes <= bound.bytes
    }

    pub(crate) fn add(&mut self, more: Self) {
        self.messages += more.messages;
        self.bytes += more.bytes;
        self.away += more.away;
    }

    pub(crate) fn subtract(&mut self, less: Self) {
        self.messages = self.messages.saturating_sub(less.messages);
        self.bytes = self.bytes.saturating_sub(less.bytes);
        self.away = self.away.saturating_sub(less.away);
    }

    /// Counts `after` in the place of `before`.
    pub(crate) fn exchange(&mut self, before: Self, after: Self) {
        self.subtract(before);
        self.add(after);
    }

    pub(crate) fn of(message: &Message) -> Self {
        Self { messages: 1, bytes: message.weight(), away: message.weight_away() }
    }

    /// Counts a message with what its slot costs.
    fn of_slot(message: &Message) -> Self {
        let topic = message.topic().len();
        let expiry = if message.expires.is_some() { topic } else { 0 };
        Self::bound(1, message.weight() + topic + expiry + limits::RETAINED_OVERHEAD)
    }
}

impl Retained {
    pub(crate) fn new(hash_key: HashKey, bounds: Bounds) -> Self {
        Self {
            slots: BTreeMap::new(),
            expiries: BTreeSet::new(),
            by_publisher: Map::with_hasher(hash_key),
            held: Holding::default(),
            bounds,
            emptied: Vec::new(),
        }
    }

    /// Returns the topics whose slots have become empty since the last question.
    pub(crate) fn take_emptied(&mut self) -> Vec<Box<str>> {
        core::mem::take(&mut self.emptied)
    }

    pub(crate) fn held(&self) -> Holding {
        self.held
    }

    /// Puts `message` into the slot of its topic in place of what is there; an empty payload empties the slot
    /// [MQTT-3.3.1-6]. Returns false if there was no room: the slot is then empty, for what it held is outdated.
    pub(crate) fn put(&mut self, topic: TopicName<'_>, message: Arc<Message>) -> bool {
        let had_one = self.take_out(topic);
        if message.payload().is_empty() {
            self.note_emptied(topic, had_one);
            return true;
        }
        let size = Holding::of_slot(&message);
        let by_publisher = self.by_publisher.get(&message.publisher.identity).copied().unwrap_or_default();
        if !self.held.fits(size, self.bounds.all) || !by_publisher.fits(size, self.bounds.per_publisher) {
            self.note_emptied(topic, had_one);
            return false;
        }
        self.held.add(size);
        self.by_publisher.entry(message.publisher.identity.clone()).or_default().add(size);
        if let Some(expires) = message.expires {
            self.expiries.insert((expires, topic.as_str().into()));
        }
        self.slots.insert(Key::new(topic.as_str()), Slot { message, verdict: None });
        true
    }

    /// Empties the slot of `topic`.
    pub(crate) fn remove(&mut self, topic: TopicName<'_>) {
        let had_one = self.take_out(topic);
        self.note_emptied(topic, had_one);
    }

    fn note_emptied(&mut self, topic: TopicName<'_>, had_one: bool) {
        if had_one {
            self.emptied.push(topic.as_str().into());
        }
    }

    /// Takes out what the slot of `topic` holds. Returns whether that was a client's message.
    fn take_out(&mut self, topic: TopicName<'_>) -> bool {
        let Some(slot) = self.slots.remove(&Key::new(topic.as_str())) else { return false };
        let size = Holding::of_slot(&slot.message);
        self.held.subtract(size);
        let publisher = &slot.message.publisher.identity;
        if let Some(holding) = self.by_publisher.get_mut(publisher) {
            holding.subtract(size);
            if holding.messages == 0 {
                self.by_publisher.remove(publisher);
            }
        }
        if let Some(expires) = slot.message.expires {
            self.expiries.remove(&(expires, topic.as_str().into()));
        }
        !slot.message.publisher.is_broker()
    }

    /// Returns when the next message expires.
    pub(crate) fn next_expiry(&self) -> Option<Millis> {
        self.expiries.first().map(|(expires, _)| *expires)
    }

    /// Removes messages that have expired, at most `most` of them.
    pub(crate) fn expire(&mut self, now: Millis, most: usize) {
        for _ in 0..most {
            match self.expiries.first() {
                Some((expires, topic)) if *expires <= now => {
                    let (expires, topic) = (*expires, Arc::clone(topic));
                    match TopicName::parse(&topic) {
                        Ok(name) => self.remove(name),
                        // Cannot happen; the entry must go all the same.
                        Err(_) => drop(self.expiries.remove(&(expires, topic))),
                    }
                }
                _ => return,
            }
        }
    }

    /// Collects what `filter` matches after the topic `after`: at most `most` messages and about 64 KiB (one message
    /// at least), in an order that does not change. `judge` says what becomes of each.
    pub(crate) fn slice(
        &mut self,
        filter: TopicFilter<'_>,
        after: Option<&str>,
        most: u16,
        mut judge: impl FnMut(&mut Slot) -> Fate,
    ) -> Slice {
        let levels: Vec<Level<'_>> = filter.levels().collect();
        let mut from = after.map_or(Bound::Unbounded, |topic| Bound::Excluded(Key::new(topic)));
        let (mut messages, mut erased, mut next) = (Vec::new(), Vec::new(), None);
        let (mut bytes, mut visits) = (limits::REPLAY_SLICE_BYTES, limits::REPLAY_VISITS);
        while let Some((key, slot)) = self.slots.range_mut((from, Bound::Unbounded)).next() {
            let leap = key.compare(&levels);
            if leap == Leap::Matches {
                match judge(slot) {
                    Fate::Deliver => {
                        bytes = bytes.saturating_sub(slot.message.weight());
                        messages.push(Arc::clone(&slot.message));
                    }
                    Fate::Withhold => {}
                    Fate::Erase => erased.push(key.topic()),
                }
            }
            visits -= 1;
            if messages.len() >= usize::from(most) || bytes == 0 || visits == 0 {
                next = Some(key.topic().into());
                break;
            }
            from = match leap {
                Leap::Matches | Leap::Next => Bound::Excluded(key.copy()),
                Leap::To(key) => Bound::Included(key),
                Leap::End => break,
            };
        }
        for topic in erased {
            if let Ok(name) = TopicName::parse(&topic) {
                self.remove(name);
            }
        }
        Slice { messages, next }
    }
}

/// Says where, in the order of topics, a filter may match next.
#[derive(Debug, PartialEq, Eq)]
enum Leap {
    /// It matches here.
    Matches,
    /// Perhaps at the very next topic.
    Next,
    /// Nowhere before this.
    To(Key),
    /// Nowhere.
    End,
}

impl Key {
    const SEPARATOR: char = '\0';
    /// Stands behind a topic and all that lies below it: the character after the separator.
    const PAST: char = '\u{1}';

    fn new(topic: &str) -> Self {
        Self(topic.replace('/', "\0").into())
    }

    fn copy(&self) -> Self {
        Self(self.0.clone())
    }

    fn topic(&self) -> String {
        self.0.replace(Self::SEPARATOR, "/")
    }

    /// Matches this topic with a filter; tells where to go on if it does not match.
    fn compare(&self, filter: &[Level<'_>]) -> Leap {
        let mut wanted = filter.iter();
        // The bytes of this topic whose levels matched, the separator behind them included.
        let mut matched = 0;
        for level in self.0.split(Self::SEPARATOR) {
            let hidden = matched == 0 && self.0.starts_with('$');
            match wanted.next() {
                Some(Level::Hash | Level::Plus) if hidden => return self.past(matched + level.len()),
                Some(Level::Hash) => return Leap::Matches,
                Some(Level::Literal(text)) if *text > level => {
                    return Leap::To(Self([&self.0[..matched], text].concat().into()));
                }
                Some(Level::Literal(text)) if *text < level => {
                    return matched.checked_sub(1).map_or(Leap::End, |before| self.past(before));
                }
                None => return matched.checked_sub(1).map_or(Leap::End, |before| self.past(before)),
                Some(Level::Literal(_) | Level::Plus) => matched += level.len() + 1,
            }
        }
        // A final `#` matches the level above it too [MQTT-4.7.1-2].
        if matches!(wanted.as_slice(), [] | [Level::Hash]) { Leap::Matches } else { Leap::Next }
    }

    /// Leaps over the topic that ends at byte `end` of this one, and over all below it.
    fn past(&self, end: usize) -> Leap {
        let mut past = String::from(&self.0[..end]);
        past.push(Self::PAST);
        Leap::To(Self(past.into()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::Draft;
    use proptest::prelude::*;

    fn store(topics: &BTreeSet<String>) -> Retained {
        let bound = Holding::bound(20_000, 100_000_000);
        let mut retained = Retained::new(HashKey::new([5; 16]), Bounds { all: bound, per_publisher: bound });
        for topic in topics {
            let message = Message::from(Draft { topic, retain: true, ..Draft::of("device:a", b"x") });
            assert!(retained.put(TopicName::parse(topic).unwrap(), Arc::new(message)));
        }
        retained
    }

    /// Collects a whole replay, slice by slice.
    fn replay(retained: &mut Retained, filter: &str, most: u16, fate: Fate) -> Vec<String> {
        let filter = TopicFilter::parse(filter).unwrap();
        let mut topics = Vec::new();
        let mut after: Option<Arc<str>> = None;
        loop {
            let slice = retained.slice(filter, after.as_deref(), most, |_| fate);
            assert!(slice.messages.len() <= usize::from(most));
            topics.extend(slice.messages.iter().map(|message| message.topic().to_owned()));
            after = slice.next;
            if after.is_none() {
                return topics;
            }
        }
    }

    fn any_topic() -> impl Strategy<Value = String> {
        proptest::collection::vec(prop_oneof![Just("a"), Just("b"), Just(""), Just("$c")], 1..5)
            .prop_map(|levels| levels.join("/"))
            .prop_filter("empty", |topic| !topic.is_empty())
    }

    fn any_filter() -> impl Strategy<Value = String> {
        let level = prop_oneof![Just("a"), Just("b"), Just(""), Just("$c"), Just("+"), Just("+")];
        (proptest::collection::vec(level, 0..5), any::<bool>())
            .prop_map(|(mut levels, hash)| {
                if hash {
                    levels.push("#");
                }
                levels.join("/")
            })
            .prop_filter("empty", |filter| !filter.is_empty())
    }

    #[test]
    fn a_replay_leaps_over_what_its_filter_does_not_match() {
        let beside = (0..10_000).map(|number| format!("b/{number}/x/y"));
        let topics = beside.chain(["a/1/x".to_owned(), "c/1/x".to_owned()]).collect();
        let mut retained = store(&topics);
        for filter in ["+/1/x", "c/+/x", "a/#"] {
            let slice = retained.slice(TopicFilter::parse(filter).unwrap(), None, 64, |_| Fate::Deliver);
            assert_eq!(slice.next, None, "{filter} looked at more than {} topics", limits::REPLAY_VISITS);
            assert!(!slice.messages.is_empty());
        }
    }

    proptest! {
        #[test]
        fn a_replay_in_slices_finds_each_match_once(
            topics in proptest::collection::btree_set(any_topic(), 0..30),
            filter in any_filter(),
            most in 1..6_u16,
        ) {
            let parsed = TopicFilter::parse(&filter).unwrap();
            let expected: BTreeSet<_> =
                topics.iter().filter(|t| parsed.matches(TopicName::parse(t).unwrap())).cloned().collect();
            let found = replay(&mut store(&topics), &filter, most, Fate::Deliver);
            prop_assert_eq!(found.len(), expected.len());
            prop_assert_eq!(found.into_iter().collect::<BTreeSet<_>>(), expected);
        }

        #[test]
        fn erasing_everything_leaves_no_branch(
            topics in proptest::collection::btree_set(any_topic(), 0..30),
        ) {
            let mut retained = store(&topics);
            prop_assert_eq!(retained.held().messages, topics.len());
            for filter in ["#", "$c/#"] {
                replay(&mut retained, filter, 2, Fate::Erase);
            }
            prop_assert_eq!(retained.held(), Holding::default());
            prop_assert!(retained.slots.is_empty() && retained.by_publisher.is_empty());
        }
    }
}
