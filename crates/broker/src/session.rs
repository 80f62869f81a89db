//! What survives a link: subscriptions, messages under way, the will.

use crate::attach::{Attach, LinkId, Testament};
use crate::input::Ticket;
use crate::limits;
use crate::link::Link;
use crate::message::Publisher;
use crate::outbound::{Outbound, Place};
use crate::permit::Decisions;
use crate::persist::{Away, SessionTerms};
use crate::placement::{HashKey, Map};
use crate::replay::Replay;
use crate::retained::Holding;
use crate::share::{Joining, Shares};
use keyward_ids::{ClientId, Identity};
use keyward_mqtt::packet::Version;
use keyward_mqtt::time::{Millis, UnixMillis};
use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

/// Numbers a session, over all shards; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Incarnation(pub(crate) u64);

/// Points to a session of one shard; points to nothing once the session has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct SessionRef {
    pub(crate) slot: u32,
    pub(crate) incarnation: Incarnation,
}

/// Names a session. The identity is part of it: a client id that another identity uses is another session.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct SessionKey {
    pub(crate) identity: Identity,
    pub(crate) client_id: ClientId,
}

/// Says how long a session outlives its link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lifetime {
    /// It ends with the link.
    WithLink,
    /// It ends so long after the link.
    After(Millis),
}

/// Is an incoming QoS 2 message whose packet id is in use: a repetition is answered and not published again. A client
/// that lost its memory may use the packet id for another message over a later link; the digest tells the two apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Inbound {
    /// The keyed hash of topic and payload.
    pub(crate) digest: u64,
    /// Over which link it came.
    pub(crate) link: LinkId,
    /// The ticket under which it waits for the disk, its PUBREC not sent; `None` once it is accepted.
    pub(crate) waits_for: Option<Ticket>,
}

/// Is one session.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) key: SessionKey,
    pub(crate) incarnation: Incarnation,
    /// The life of the identity in which it was opened.
    pub(crate) life: u64,
    /// The slot of its principal.
    pub(crate) resident: usize,
    pub(crate) lifetime: Lifetime,
    /// Whether it is over and only its subscriptions are still to be taken away.
    pub(crate) has_ended: bool,
    pub(crate) link: Option<Box<Link>>,
    pub(crate) expires_at: Option<Millis>,
    pub(crate) will: Option<Box<Testament>>,
    pub(crate) will_at: Option<Millis>,
    /// Whether the will is on disk.
    pub(crate) will_is_kept: bool,
    /// Whether the will was left with an earlier process, in which its client was connected: it is back in time if it
    /// comes before the will is due.
    pub(crate) will_is_of_before: bool,
    pub(crate) filters: BTreeSet<Arc<str>>,
    pub(crate) shares: Shares,
    /// The stamp of the rights by which its subscriptions are classed.
    pub(crate) classed: u64,
    pub(crate) outbound: Outbound,
    /// Packet ids of incoming QoS 2 messages.
    pub(crate) inbound: Map<u16, Inbound>,
    /// The newest ticket under which an end of an exchange of QoS 2 is stored: that PUBREC or PUBREL came.
    pub(crate) exchanged: Ticket,
    pub(crate) replays: VecDeque<Replay>,
    pub(crate) replays_begun: u64,
    pub(crate) publish_decisions: Decisions<{ limits::PUBLISH_DECISIONS }>,
    pub(crate) read_decisions: Decisions<{ limits::READ_DECISIONS }>,
    /// The bytes of the rights that it has for itself, where rules depend on the client id.
    pub(crate) rights_bytes: usize,
    /// The bytes that it is counted with now.
    counted: usize,
}

impl Session {
    pub(crate) fn new(
        key: SessionKey,
        incarnation: Incarnation,
        life: u64,
        resident: usize,
        hash_key: HashKey,
    ) -> Self {
        Self {
            key,
            incarnation,
            life,
            resident,
            lifetime: Lifetime::WithLink,
            has_ended: false,
            link: None,
            expires_at: None,
            will: None,
            will_at: None,
            will_is_kept: false,
            will_is_of_before: false,
            filters: BTreeSet::new(),
            shares: Shares::default(),
            classed: 0,
            outbound: Outbound::new(hash_key),
            inbound: Map::with_hasher(hash_key),
            exchanged: Ticket::default(),
            replays: VecDeque::new(),
            replays_begun: 0,
            publish_decisions: Decisions::default(),
            read_decisions: Decisions::default(),
            rights_bytes: 0,
            counted: 0,
        }
    }

    /// Returns the messages that it holds: those under way, those that wait, and those that wait for a replay to end.
    pub(crate) fn held(&self) -> Holding {
        let mut held = self.outbound.held();
        self.replays.iter().for_each(|replay| held.add(replay.held()));
        held
    }

    /// Tells whether the session outlives its link: what happens to it is durable.
    pub(crate) fn is_stored(&self) -> bool {
        self.lifetime != Lifetime::WithLink
    }

    /// Tells whether it is not the one that this CONNECT takes up: the client wants a new one, or the name has another
    /// life.
    pub(crate) fn begins_anew(&self, attach: &Attach) -> bool {
        attach.clean_start || self.life != attach.publisher.life
    }

    /// Gives up replays, and with them the live messages that waited for their ends.
    pub(crate) fn drop_replays(&mut self, mut is_dropped: impl FnMut(&Replay) -> bool) {
        let (replays, outbound) = (&mut self.replays, &mut self.outbound);
        replays.retain_mut(|replay| {
            let is_dropped = is_dropped(replay);
            if is_dropped {
                replay.waiting_mut().for_each(|held| outbound.leave(held.place, held.kept, &held.parcel));
            }
            !is_dropped
        });
    }

    /// Notes that nothing of it is on disk any more, but for messages that are not in memory if these stay.
    pub(crate) fn forsake(&mut self, stays: Away) {
        for held in self.replays.iter_mut().flat_map(Replay::waiting_mut) {
            let kept = core::mem::take(&mut held.kept);
            self.outbound.leave(held.place, kept, &held.parcel);
        }
        self.outbound.forsake(stays);
    }

    /// Returns what its record says; `None` if it has none.
    pub(crate) fn terms(&self, left: Option<UnixMillis>) -> Option<SessionTerms> {
        let Lifetime::After(span) = self.lifetime else { return None };
        Some(SessionTerms { key: self.key.clone(), life: self.life, span, left })
    }

    /// Notes that a place is on disk. Returns false if it is over.
    pub(crate) fn settle(&mut self, place: Place) -> bool {
        let mut waiting = self.replays.iter_mut().flat_map(Replay::waiting_mut);
        if let Some(held) = waiting.find(|held| held.place == place) {
            return held.kept.settle();
        }
        self.outbound.settle(place)
    }

    /// Returns the bytes that it was counted with, and is counted with from now on: all but its queue, its outbox and
    /// its subscriptions, which have counts of their own.
    pub(crate) fn weigh(&mut self) -> (usize, usize) {
        let after = limits::SESSION_OVERHEAD
            + self.key.client_id.as_str().len()
            + self.will.as_ref().map_or(0, |will| will.weight())
            + self.inbound.capacity() * limits::INBOUND_BYTES
            + self.publish_decisions.bytes()
            + self.read_decisions.bytes()
            + self.rights_bytes
            + self.replays.iter().map(Replay::bytes).sum::<usize>()
            + self.shares.joining.len() * size_of::<Joining>()
            + self.link.as_ref().map_or(0, |link| {
                let unchecked = link.unchecked.as_ref().map_or(0, |unchecked| unchecked.weight());
                limits::LINK_OVERHEAD + link.held_bytes + link.aliases.bytes() + unchecked
            });
        (core::mem::replace(&mut self.counted, after), after)
    }

    /// Returns the bytes that it was counted with.
    pub(crate) fn counted(&self) -> usize {
        self.counted
    }

    /// Gives back what is remembered only to be faster.
    pub(crate) fn forget_decisions(&mut self) {
        self.publish_decisions = Decisions::default();
        self.read_decisions = Decisions::default();
    }

    pub(crate) fn publisher(&self) -> Publisher {
        Publisher { identity: self.key.identity.clone(), life: self.life }
    }

    pub(crate) fn link_id(&self) -> Option<LinkId> {
        self.link.as_ref().map(|link| link.id)
    }

    pub(crate) fn version(&self) -> Version {
        self.link.as_ref().map_or(Version::V5, |link| link.version)
    }
}
