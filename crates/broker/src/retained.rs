//! The retained messages that live on one shard (rule 12): a tree by topic levels, ordered, so that a replay visits
//! only what its filter matches and can go on where it stopped.

use crate::limits;
use crate::message::Message;
use crate::placement::{HashKey, Map};
use crate::principal::Principal;
use core::ops::{Bound, ControlFlow};
use keyward_ids::Identity;
use keyward_mqtt::time::Millis;
use keyward_mqtt::topic::{Level, TopicFilter, TopicName};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Holds the retained messages of one shard.
#[derive(Debug)]
pub(crate) struct Retained {
    root: Node,
    expiries: BTreeSet<(Millis, Arc<str>)>,
    by_publisher: Map<Identity, Holding>,
    held: Holding,
    bounds: Bounds,
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
}

#[derive(Debug, Default)]
struct Node {
    slot: Option<Box<Slot>>,
    children: BTreeMap<Box<str>, Node>,
}

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
    fn fits(self, more: Self, bound: Self) -> bool {
        self.messages + more.messages <= bound.messages && self.bytes + more.bytes <= bound.bytes
    }

    pub(crate) fn add(&mut self, more: Self) {
        self.messages += more.messages;
        self.bytes += more.bytes;
    }

    pub(crate) fn subtract(&mut self, less: Self) {
        self.messages = self.messages.saturating_sub(less.messages);
        self.bytes = self.bytes.saturating_sub(less.bytes);
    }

    pub(crate) fn of(message: &Message) -> Self {
        Self { messages: 1, bytes: message.weight() }
    }
}

impl Retained {
    pub(crate) fn new(hash_key: HashKey, bounds: Bounds) -> Self {
        Self {
            root: Node::default(),
            expiries: BTreeSet::new(),
            by_publisher: Map::with_hasher(hash_key),
            held: Holding::default(),
            bounds,
        }
    }

    pub(crate) fn held(&self) -> Holding {
        self.held
    }

    /// Puts `message` into the slot of its topic in place of what is there; an empty payload empties the slot
    /// [MQTT-3.3.1-6]. Returns false if there was no room: the slot is then empty, for what it held is outdated.
    pub(crate) fn put(&mut self, topic: TopicName<'_>, message: Arc<Message>) -> bool {
        self.remove(topic);
        if message.payload().is_empty() {
            return true;
        }
        let size = Holding::of(&message);
        let by_publisher = self.by_publisher.get(&message.publisher.identity).copied().unwrap_or_default();
        if !self.held.fits(size, self.bounds.all) || !by_publisher.fits(size, self.bounds.per_publisher) {
            return false;
        }
        self.held.add(size);
        self.by_publisher.entry(message.publisher.identity.clone()).or_default().add(size);
        if let Some(expires) = message.expires {
            self.expiries.insert((expires, topic.as_str().into()));
        }
        let mut node = &mut self.root;
        for level in topic.levels() {
            if !node.children.contains_key(level) {
                node.children.insert(level.into(), Node::default());
            }
            node = node.children.entry(level.into()).or_default();
        }
        node.slot = Some(Box::new(Slot { message, verdict: None }));
        true
    }

    /// Empties the slot of `topic`.
    pub(crate) fn remove(&mut self, topic: TopicName<'_>) {
        let Some(slot) = take(&mut self.root, topic.levels()) else { return };
        let size = Holding::of(&slot.message);
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
        judge: impl FnMut(&mut Slot) -> Fate,
    ) -> Slice {
        let cursor: Option<Vec<&str>> = after.map(|topic| topic.split('/').collect());
        let levels: Vec<Level<'_>> = filter.levels().collect();
        let mut walk = Walk {
            judge,
            path: String::new(),
            depth: 0,
            messages: Vec::new(),
            erased: Vec::new(),
            stopped: None,
            most: usize::from(most.max(1)),
            bytes: limits::REPLAY_SLICE_BYTES,
            visits: limits::REPLAY_VISITS,
        };
        // A break only says that the slice is full; `stopped` holds where.
        let _ = walk.visit(&mut self.root, &levels, cursor.as_deref());
        let (messages, erased, next) = (walk.messages, walk.erased, walk.stopped);
        for topic in erased {
            if let Ok(name) = TopicName::parse(&topic) {
                self.remove(name);
            }
        }
        Slice { messages, next }
    }
}

fn take<'t>(node: &mut Node, mut levels: impl Iterator<Item = &'t str>) -> Option<Box<Slot>> {
    let Some(level) = levels.next() else { return node.slot.take() };
    let child = node.children.get_mut(level)?;
    let slot = take(child, levels);
    if child.slot.is_none() && child.children.is_empty() {
        node.children.remove(level);
    }
    slot
}

struct Walk<J> {
    judge: J,
    path: String,
    depth: usize,
    messages: Vec<Arc<Message>>,
    erased: Vec<Box<str>>,
    stopped: Option<Arc<str>>,
    most: usize,
    bytes: usize,
    visits: u32,
}

impl<J: FnMut(&mut Slot) -> Fate> Walk<J> {
    /// Visits `node`, which matched all levels before `levels`, and what lies below it. A `cursor` holds the levels
    /// below this node of the topic after which to begin; the node itself and all before the cursor are then done.
    fn visit(&mut self, node: &mut Node, levels: &[Level<'_>], cursor: Option<&[&str]>) -> ControlFlow<()> {
        let ends_here = matches!(levels, [] | [Level::Hash]);
        if ends_here && cursor.is_none() && self.depth > 0 {
            self.take(node);
        }
        if cursor.is_none() {
            self.count_visit()?;
        }
        let (wanted, below) = match levels {
            [] => return ControlFlow::Continue(()),
            [Level::Hash, ..] => (None, levels),
            [Level::Plus, below @ ..] => (None, below),
            [Level::Literal(text), below @ ..] => (Some(*text), below),
        };
        let (start, deeper) = match cursor {
            Some([first, deeper @ ..]) => (Some(*first), Some(deeper)),
            Some([]) | None => (None, None),
        };
        match wanted {
            Some(text) => self.visit_one(node, text, below, start, deeper),
            None => self.visit_all(node, below, start, deeper),
        }
    }

    fn visit_one(
        &mut self,
        node: &mut Node,
        text: &str,
        below: &[Level<'_>],
        start: Option<&str>,
        deeper: Option<&[&str]>,
    ) -> ControlFlow<()> {
        if start.is_some_and(|start| text < start) {
            return ControlFlow::Continue(());
        }
        let Some(child) = node.children.get_mut(text) else { return ControlFlow::Continue(()) };
        self.descend(text, child, below, if start == Some(text) { deeper } else { None })
    }

    fn visit_all(
        &mut self,
        node: &mut Node,
        below: &[Level<'_>],
        start: Option<&str>,
        deeper: Option<&[&str]>,
    ) -> ControlFlow<()> {
        let first = start.map_or(Bound::Unbounded, Bound::Included);
        let at_root = self.depth == 0;
        for (level, child) in node.children.range_mut::<str, _>((first, Bound::Unbounded)) {
            if at_root && level.starts_with('$') {
                continue;
            }
            self.descend(level, child, below, if start == Some(level) { deeper } else { None })?;
        }
        ControlFlow::Continue(())
    }

    fn descend(
        &mut self,
        level: &str,
        child: &mut Node,
        below: &[Level<'_>],
        cursor: Option<&[&str]>,
    ) -> ControlFlow<()> {
        let before = self.path.len();
        if self.depth > 0 {
            self.path.push('/');
        }
        self.path.push_str(level);
        self.depth += 1;
        self.visit(child, below, cursor)?;
        self.depth -= 1;
        self.path.truncate(before);
        ControlFlow::Continue(())
    }

    fn take(&mut self, node: &mut Node) {
        let Some(slot) = node.slot.as_deref_mut() else { return };
        match (self.judge)(slot) {
            Fate::Deliver => {
                self.most -= 1;
                self.bytes = self.bytes.saturating_sub(slot.message.weight());
                self.messages.push(Arc::clone(&slot.message));
            }
            Fate::Withhold => {}
            Fate::Erase => self.erased.push(self.path.as_str().into()),
        }
    }

    fn count_visit(&mut self) -> ControlFlow<()> {
        self.visits = self.visits.saturating_sub(1);
        if self.depth == 0 || (self.most > 0 && self.bytes > 0 && self.visits > 0) {
            return ControlFlow::Continue(());
        }
        self.stopped = Some(self.path.as_str().into());
        ControlFlow::Break(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::{Draft, Publisher};
    use crate::session::Incarnation;
    use keyward_mqtt::packet::Qos;
    use proptest::prelude::*;

    fn store(topics: &BTreeSet<String>) -> Retained {
        let bound = Holding { messages: 1_000, bytes: 1_000_000 };
        let mut retained = Retained::new(HashKey::new([5; 16]), Bounds { all: bound, per_publisher: bound });
        for topic in topics {
            let message = Message::from(Draft {
                topic,
                forwarded: &[],
                payload: b"x",
                qos: Qos::AtMostOnce,
                retain: true,
                expires: None,
                publisher: Publisher { identity: "device:a".parse().unwrap(), epoch: 1 },
                origin: Incarnation(1),
                is_will: false,
            });
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
            prop_assert!(retained.root.children.is_empty() && retained.by_publisher.is_empty());
        }
    }
}
