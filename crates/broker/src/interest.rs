//! Who wants which topics: sessions of this shard, one by one, and other shards, as one bit each (rule 10).

use crate::input::Stored;
use crate::limits;
use crate::placement::{HashKey, ShardIndex};
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
    /// Numbers what was told to other shards.
    issued: u64,
    /// Up to which token each other shard knows our interest.
    known: Vec<u64>,
    /// Bytes that filters take at other shards because somebody here wants them.
    copied: usize,
    me: ShardIndex,
}

/// Is one subscription of a session.
#[derive(Debug, Clone, Copy)]
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
    /// By slot of the session; ordered, so that one input has one trace.
    subscribers: BTreeMap<u32, Subscriber>,
    /// How many of them are of stored sessions.
    stored: usize,
    /// The token with which other shards were told.
    token: u64,
    elsewhere: ShardSet,
    stored_by: ShardSet,
}

/// Is a set of shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ShardSet(u64);

impl ShardSet {
    pub(crate) fn insert(&mut self, shard: ShardIndex) {
        self.0 |= Self::bit(shard);
    }

    fn set(&mut self, shard: ShardIndex, member: bool) {
        if member {
            self.0 |= Self::bit(shard);
        } else {
            self.0 &= !Self::bit(shard);
        }
    }

    pub(crate) fn contains(self, shard: ShardIndex) -> bool {
        self.0 & Self::bit(shard) != 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    pub(crate) fn union(&mut self, other: Self) {
        self.0 |= other.0;
    }

    pub(crate) fn iter(self) -> impl Iterator<Item = ShardIndex> {
        (0..64).map(ShardIndex).filter(move |shard| self.contains(*shard))
    }

    fn bit(shard: ShardIndex) -> u64 {
        1_u64.checked_shl(u32::from(shard.0)).unwrap_or(0)
    }
}

/// Is one subscription that matches a message.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Match {
    pub(crate) slot: u32,
    pub(crate) subscriber: Subscriber,
}

/// Says whom a message concerns beside the sessions here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Reach {
    /// Other shards where somebody wants it.
    pub(crate) shards: ShardSet,
    /// Whether a session that outlives its link wants it, here or there.
    pub(crate) stored: bool,
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

    /// Adds or replaces the subscription of a session.
    pub(crate) fn subscribe(
        &mut self,
        filter: TopicFilter<'_>,
        slot: u32,
        subscriber: Subscriber,
        stored: bool,
    ) -> Subscribed {
        let wanted = self.tree.entry(filter, || Wanted::new(filter.as_str()));
        let level = wanted.level();
        let before = wanted.subscribers.insert(slot, subscriber);
        if before.is_none() && stored {
            wanted.stored += 1;
        }
        let announcement = announce(wanted, level, &mut self.issued, &mut self.copied);
        Subscribed { filter: Arc::clone(&wanted.filter), before, token: wanted.token, announcement }
    }

    /// Removes the subscription of a session. `None` if there was none.
    pub(crate) fn unsubscribe(
        &mut self,
        filter: TopicFilter<'_>,
        slot: u32,
        stored: bool,
    ) -> Option<Option<Announcement>> {
        let wanted = self.tree.get_mut(filter)?;
        let before = wanted.level();
        wanted.subscribers.remove(&slot)?;
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
            self.tree.get_mut(filter).and_then(|wanted| wanted.subscribers.get_mut(&slot))
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

    /// Finds whom a message concerns; appends the subscriptions here to `matches`, if they are asked for.
    pub(crate) fn find(&self, topic: TopicName<'_>, mut matches: Option<&mut Vec<Match>>) -> Reach {
        let mut reach = Reach::default();
        let mut found = 0;
        let nodes = self.tree.for_each_match(topic, |wanted| {
            found += wanted.subscribers.len();
            reach.shards.union(wanted.elsewhere);
            reach.stored |= wanted.stored > 0 || !wanted.stored_by.is_empty();
            if let Some(matches) = matches.as_deref_mut() {
                let subscribers = wanted.subscribers.iter();
                matches.extend(
                    subscribers.map(|(slot, subscriber)| Match { slot: *slot, subscriber: *subscriber }),
                );
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
