//! Who wants which topics: sessions and groups of this shard, one by one, and other shards, as one bit each (rule 10).

use crate::input::Stored;
use crate::limits;
use crate::permit::Topic;
use crate::placement::{HashKey, ShardIndex, ShardSet};
use crate::routes::Routes;
use crate::session::Incarnation;
use crate::tree::FilterTree;
use core::num::NonZeroU32;
use keyward_mqtt::packet::Qos;
use keyward_mqtt::topic::{TopicFilter, TopicName};
use keyward_policy::Reading;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Holds every filter that somebody wants.
#[derive(Debug)]
pub(crate) struct Interest {
    tree: FilterTree<Wanted>,
    routes: Routes,
    /// Numbers what was told to other shards.
    issued: u64,
    /// Up to which token each other shard knows our interest.
    known: Vec<u64>,
    /// Bytes that filters take at other shards because somebody here wants them.
    copied: usize,
    me: ShardIndex,
}

/// Is who subscribed, by slot. Sessions come first, so that one input has one trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reader {
    /// A session of this shard.
    Session(u32),
    /// A shared group that lives here; for interest it is one session (rule 11).
    Group(u32),
}

/// Is one subscription of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Subscriber {
    pub(crate) incarnation: Incarnation,
    pub(crate) qos: Qos,
    pub(crate) no_local: bool,
    pub(crate) retain_as_published: bool,
    pub(crate) id: Option<NonZeroU32>,
    /// How much of the filter the session may read (rule 8).
    pub(crate) reading: Reading,
    /// The stamp of the rights by which that was found; by others it says nothing.
    pub(crate) classed: u64,
}

/// Says who wants one filter.
#[derive(Debug)]
struct Wanted {
    filter: Arc<str>,
    /// Ordered, so that one input has one trace.
    subscribers: BTreeMap<Reader, Subscriber>,
    /// How many of them are of stored sessions.
    stored: usize,
    /// The token with which other shards were told.
    token: u64,
    elsewhere: ShardSet,
    stored_by: ShardSet,
}

/// Is one subscription that matches a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Match {
    pub(crate) reader: Reader,
    pub(crate) subscriber: Subscriber,
}

/// Says whom a message concerns beside the sessions here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Reach {
    /// Other shards where somebody wants it.
    pub(crate) shards: ShardSet,
    /// Whether a session that outlives its link wants it, here or there.
    pub(crate) stored: bool,
    /// Those of `shards` where such a session does.
    pub(crate) stored_by: ShardSet,
    /// What it cost to find that out, in nodes and subscriptions looked at.
    pub(crate) cost: usize,
}

/// Says what the other shards are to be told after a change.
#[derive(Debug, Clone)]
pub(crate) struct Announcement {
    pub(crate) filter: Arc<str>,
    pub(crate) level: Option<Stored>,
    /// 0 if nobody waits for an answer.
    pub(crate) token: u64,
}

impl Subscribed {
    /// Tells whether there was no such subscription.
    pub(crate) fn is_new(&self) -> bool {
        self.before.is_none()
    }
}

/// Is the result of a subscription.
#[derive(Debug)]
pub(crate) struct Subscribed {
    pub(crate) filter: Arc<str>,
    /// The subscription that it replaced.
    pub(crate) before: Option<Subscriber>,
    /// The token that all shards must know before the SUBACK leaves.
    pub(crate) token: u64,
    pub(crate) announcement: Option<Announcement>,
}

impl Wanted {
    fn new(filter: &str) -> Self {
        Self {
            filter: filter.into(),
            subscribers: BTreeMap::new(),
            stored: 0,
            token: 0,
            elsewhere: ShardSet::default(),
            stored_by: ShardSet::default(),
        }
    }

    fn level(&self) -> Option<Stored> {
        (!self.subscribers.is_empty()).then_some(Stored(self.stored > 0))
    }

    fn is_unused(&self) -> bool {
        self.subscribers.is_empty() && self.elsewhere.is_empty()
    }
}

impl Interest {
    pub(crate) fn new(hash_key: HashKey, me: ShardIndex, shards: u16) -> Self {
        Self {
            tree: FilterTree::new(hash_key),
            routes: Routes::default(),
            issued: 0,
            known: vec![0; usize::from(shards)],
            copied: 0,
            me,
        }
    }

    /// Returns the bytes that the copies of filters at other shards take.
    pub(crate) fn copied_bytes(&self) -> usize {
        self.copied * (self.known.len() - 1)
    }

    /// Returns the token up to which all other shards know our interest.
    pub(crate) fn settled(&self) -> u64 {
        let others = self.known.iter().enumerate().filter(|(shard, _)| *shard != usize::from(self.me.0));
        others.map(|(_, token)| *token).min().unwrap_or(u64::MAX)
    }

    /// Notes that `shard` knows our interest up to `token`.
    pub(crate) fn acknowledge(&mut self, shard: ShardIndex, token: u64) {
        if let Some(known) = self.known.get_mut(usize::from(shard.0)) {
            *known = token.max(*known);
        }
    }

    /// Adds or replaces the subscription of a reader.
    pub(crate) fn subscribe(
        &mut self,
        filter: TopicFilter<'_>,
        reader: Reader,
        subscriber: Subscriber,
        stored: bool,
    ) -> Subscribed {
        let wanted = self.tree.entry(filter, || Wanted::new(filter.as_str()));
        let level = wanted.level();
        let before = wanted.subscribers.insert(reader, subscriber);
        if before.is_none() && stored {
            wanted.stored += 1;
        }
        let announcement = announce(wanted, level, &mut self.issued, &mut self.copied);
        Subscribed { filter: Arc::clone(&wanted.filter), before, token: wanted.token, announcement }
    }

    /// Removes the subscription of a reader. `None` if there was none.
    pub(crate) fn unsubscribe(
        &mut self,
        filter: TopicFilter<'_>,
        reader: Reader,
        stored: bool,
    ) -> Option<Option<Announcement>> {
        let wanted = self.tree.get_mut(filter)?;
        let before = wanted.level();
        wanted.subscribers.remove(&reader)?;
        if stored {
            wanted.stored = wanted.stored.saturating_sub(1);
        }
        let announcement = announce(wanted, before, &mut self.issued, &mut self.copied);
        if wanted.is_unused() {
            self.tree.remove(filter);
        }
        Some(announcement)
    }

    /// Notes that the session of a subscription is stored now, or is not any more.
    pub(crate) fn set_stored(&mut self, filter: TopicFilter<'_>, stored: bool) -> Option<Announcement> {
        let wanted = self.tree.get_mut(filter)?;
        let before = wanted.level();
        wanted.stored = if stored { wanted.stored + 1 } else { wanted.stored.saturating_sub(1) };
        announce(wanted, before, &mut self.issued, &mut self.copied)
    }

    /// Classes a subscription anew.
    pub(crate) fn class(&mut self, filter: TopicFilter<'_>, slot: u32, reading: Reading, classed: u64) {
        if let Some(subscriber) =
            self.tree.get_mut(filter).and_then(|wanted| wanted.subscribers.get_mut(&Reader::Session(slot)))
        {
            subscriber.reading = reading;
            subscriber.classed = classed;
        }
    }

    /// Notes what another shard wants.
    pub(crate) fn hear(&mut self, from: ShardIndex, filter: TopicFilter<'_>, level: Option<Stored>) {
        let wanted = self.tree.entry(filter, || Wanted::new(filter.as_str()));
        wanted.elsewhere.set(from, level.is_some());
        wanted.stored_by.set(from, level == Some(Stored(true)));
        if wanted.is_unused() {
            self.tree.remove(filter);
        }
    }

    /// Finds whom a message concerns; puts the subscriptions here into `matches`, which is empty, if they are asked for:
    /// ordered by session, those of one session by their identifiers.
    pub(crate) fn find(&mut self, topic: Topic<'_>, matches: Option<&mut Vec<Match>>) -> Reach {
        if let Some(route) = self.routes.get(topic, self.tree.changes()) {
            if let Some(matches) = matches {
                matches.extend_from_slice(&route.matches);
            }
            return Reach { cost: 1 + route.matches.len(), ..route.reach };
        }
        let Some(matches) = matches else { return self.search(topic.name, |_| {}) };
        let reach = self.search(topic.name, |found| matches.push(found));
        matches.sort_unstable_by_key(|found| (found.reader, found.subscriber.id));
        self.routes.note(topic, self.tree.changes(), matches, reach);
        reach
    }

    /// Walks through the tree.
    fn search(&self, topic: TopicName<'_>, mut visit: impl FnMut(Match)) -> Reach {
        let mut reach = Reach::default();
        let mut found = 0;
        let nodes = self.tree.for_each_match(topic, |wanted| {
            found += wanted.subscribers.len();
            reach.shards.union(wanted.elsewhere);
            reach.stored_by.union(wanted.stored_by);
            reach.stored |= wanted.stored > 0 || !wanted.stored_by.is_empty();
            for (reader, subscriber) in &wanted.subscribers {
                visit(Match { reader: *reader, subscriber: *subscriber });
            }
        });
        reach.cost = nodes + found;
        reach
    }
}

/// Returns the bytes that a filter takes in the tree of a shard.
pub(crate) fn branch_bytes(filter: &str) -> usize {
    filter.len() + (filter.matches('/').count() + 1) * limits::FILTER_LEVEL
}

/// Says what is to be told if the level changed. Interest may be coarser than what is wanted, never finer: a rise is
/// answered before anybody relies on it, a fall is not.
fn announce(
    wanted: &mut Wanted,
    before: Option<Stored>,
    issued: &mut u64,
    copied: &mut usize,
) -> Option<Announcement> {
    let level = wanted.level();
    if level == before {
        return None;
    }
    match (before, level) {
        (None, _) => *copied += branch_bytes(&wanted.filter),
        (_, None) => *copied = copied.saturating_sub(branch_bytes(&wanted.filter)),
        _ => {}
    }
    let rises = before.is_none() || level == Some(Stored(true));
    if rises {
        *issued += 1;
        wanted.token = *issued;
    }
    let token = if rises { wanted.token } else { 0 };
    Some(Announcement { filter: Arc::clone(&wanted.filter), level, token })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TOPICS: [&str; 9] = ["a", "a/b", "a/b/c", "a/c", "b", "b/b/c", "/b", "$s/b", "a/"];
    const FILTERS: [&str; 16] = [
        "#", "+", "+/b", "+/+/c", "a", "a/#", "a/+", "a/b", "a/b/#", "a/b/c", "a/+/c", "/b", "$s/#", "$s/b",
        "a/", "b/b/c",
    ];
    const READINGS: [Reading; 3] = [Reading::Never, Reading::Mixed, Reading::Covered];

    #[derive(Debug, Clone)]
    enum Step {
        Subscribe { filter: usize, slot: u32, id: u32, stored: bool },
        Unsubscribe { filter: usize, slot: u32 },
        SetStored { filter: usize, stored: bool },
        Class { filter: usize, slot: u32, reading: usize },
        Hear { filter: usize, from: u16, level: Option<bool> },
    }

    fn step() -> impl Strategy<Value = Step> {
        let (filter, slot) = (0..FILTERS.len(), 0..4_u32);
        prop_oneof![
            (filter.clone(), slot.clone(), 1..4_u32, any::<bool>())
                .prop_map(|(filter, slot, id, stored)| Step::Subscribe { filter, slot, id, stored }),
            (filter.clone(), slot.clone()).prop_map(|(filter, slot)| Step::Unsubscribe { filter, slot }),
            (filter.clone(), any::<bool>()).prop_map(|(filter, stored)| Step::SetStored { filter, stored }),
            (filter.clone(), slot, 0..3_usize).prop_map(|(filter, slot, reading)| Step::Class {
                filter,
                slot,
                reading
            }),
            (filter, 1..4_u16, any::<Option<bool>>()).prop_map(|(filter, from, level)| Step::Hear {
                filter,
                from,
                level
            }),
        ]
    }

    fn subscriber(slot: u32, id: u32) -> Subscriber {
        Subscriber {
            incarnation: Incarnation(u64::from(slot)),
            qos: Qos::AtLeastOnce,
            no_local: false,
            retain_as_published: false,
            id: NonZeroU32::new(id),
            reading: Reading::Mixed,
            classed: 1,
        }
    }

    fn play(interest: &mut Interest, step: &Step) {
        let filter = |index: usize| TopicFilter::parse(FILTERS[index]).unwrap();
        match *step {
            Step::Subscribe { filter: index, slot, id, stored } => {
                interest.subscribe(filter(index), Reader::Session(slot), subscriber(slot, id), stored);
            }
            Step::Unsubscribe { filter: index, slot } => {
                interest.unsubscribe(filter(index), Reader::Session(slot), false);
            }
            Step::SetStored { filter: index, stored } => {
                interest.set_stored(filter(index), stored);
            }
            Step::Class { filter: index, slot, reading } => {
                interest.class(filter(index), slot, READINGS[reading], 2);
            }
            Step::Hear { filter: index, from, level } => {
                interest.hear(ShardIndex(from), filter(index), level.map(Stored));
            }
        }
    }

    proptest! {
        #[test]
        fn a_remembered_route_is_what_the_tree_says(steps in proptest::collection::vec(step(), 1..60)) {
            let hash_key = HashKey::new([9; 16]);
            let mut interest = Interest::new(hash_key, ShardIndex(0), 4);
            for step in steps {
                play(&mut interest, &step);
                for text in TOPICS {
                    let name = TopicName::parse(text).unwrap();
                    let mut expected = Vec::new();
                    let reach = interest.search(name, |found| expected.push(found));
                    expected.sort_by_key(|found| (found.reader, found.subscriber.id));
                    // The third time it is remembered.
                    for _ in 0..3 {
                        let mut matches = Vec::new();
                        let found = interest.find(Topic::new(name, &hash_key), Some(&mut matches));
                        prop_assert_eq!((found.shards, found.stored), (reach.shards, reach.stored));
                        let order = |found: &Match| (found.reader, found.subscriber.id, found.subscriber.classed, found.subscriber.reading as u8);
                        matches.sort_by_key(order);
                        expected.sort_by_key(order);
                        prop_assert_eq!(&matches, &expected);
                    }
                    prop_assert!(interest.routes.get(Topic::new(name, &hash_key), interest.tree.changes()).is_some());
                }
            }
        }
    }

    #[test]
    fn a_filter_of_other_levels_flushes_no_route() {
        let hash_key = HashKey::new([9; 16]);
        let mut interest = Interest::new(hash_key, ShardIndex(0), 1);
        let topic = Topic::new(TopicName::parse("a/b/c").unwrap(), &hash_key);
        let mut is_flushed_by = |filter: &str| {
            for _ in 0..3 {
                interest.find(topic, Some(&mut Vec::new()));
            }
            interest.subscribe(
                TopicFilter::parse(filter).unwrap(),
                Reader::Session(0),
                subscriber(0, 1),
                false,
            );
            interest.routes.get(topic, interest.tree.changes()).is_none()
        };
        assert!(["b/#", "a/c", "a/c/#", "$s/+", "c"].iter().all(|filter| !is_flushed_by(filter)));
        assert!(["#", "+/x", "a/#", "a/+/x", "a/b/#", "a/b/x"].iter().all(|filter| is_flushed_by(filter)));
    }
}
