//! One shard: everything that happens to its sessions, one input after the other.

mod acks;
mod announce;
mod attach;
mod charges;
mod close;
mod commit;
mod deliver;
mod ending;
mod fanout;
mod group;
mod inbound;
mod mail;
mod member;
mod memory;
mod pages;
mod portion;
mod publish;
mod ratchet;
mod restore;
mod settle;
mod signed;
mod stats;
mod subscribe;
mod sweep;
mod timers;
mod waiting;
mod will;

use crate::attach::LinkId;
use crate::bound::Bound;
use crate::frames::Frames;
use crate::input::{Input, ShardMessage, Storage, Ticket};
use crate::interest::{Interest, Match};
use crate::law::Law;
use crate::limits::{self, Limits};
use crate::outbox::Outbox;
use crate::outgoing::{Doom, Outgoing};
use crate::output::{CloseCause, Notice, Output, Report};
use crate::persist::Entry;
use crate::placement::{HashKey, Map, SHARDS_MAX, ShardIndex};
use crate::recycled::RecycledMessages;
use crate::resident::Residents;
use crate::retained::{Bounds, Fate, Holding, Retained};
use crate::session::{Session, SessionKey, SessionRef};
use crate::signature::Queue;
use crate::windows::Windows;
use commit::Commits;
use ending::Endings;
use group::Groups;
use keyward_ids::Identity;
use keyward_mqtt::packet::{Disconnect, Packet};
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::time::{Millis, Now, UnixMillis};
use keyward_mqtt::topic::TopicFilter;
use member::Memberships;
use portion::portion;
use restore::Restoring;
use slab::Slab;
use std::collections::BTreeSet;
use sweep::Sweep;
use timers::Timer;
use waiting::Waiting;

pub(crate) use signed::Unchecked;
pub use stats::ShardStats;

/// Says what a shard is one of.
#[derive(Debug, Clone, Copy)]
pub struct ShardConfig {
    /// Which shard this is.
    pub index: ShardIndex,
    /// How many there are, 1 to [`SHARDS_MAX`].
    pub shards: u16,
    /// The broker's hash key.
    pub hash_key: HashKey,
    /// The broker's bounds.
    pub limits: Limits,
    /// Whether there is a store: if not, nothing is recorded, and whoever is asked to commit answers at once.
    pub is_stored: bool,
    /// Since when every number of a signed message that was taken is known ([`Recovered::numbers_since`](crate::persist::Recovered)).
    pub numbers_since: UnixMillis,
    /// Whether it is told what devices say ([`Output::Said`](crate::Output::Said)).
    pub is_watched: bool,
}

/// Is the routing core. See the crate's documentation for how to use one.
#[derive(Debug)]
pub struct Shard {
    config: ShardConfig,
    now: Now,
    law: Law,
    residents: Residents,
    sessions: Slab<Session>,
    /// Sessions, groups and messages that were numbered.
    numbered: u64,
    /// Below every number that is given.
    last_number: u64,
    by_key: Map<SessionKey, u32>,
    by_link: Map<LinkId, u32>,
    interest: Interest,
    retained: Retained,
    queued: Holding,
    subscriptions: usize,
    subscription_bytes: usize,
    /// What sessions weigh beside queues, outboxes and subscriptions.
    session_bytes: usize,
    /// What the shell holds for the links of this shard.
    burden: usize,
    timers: BTreeSet<(Millis, SessionRef, Timer)>,
    groups: Groups,
    memberships: Memberships,
    commits: Commits,
    storage: Storage,
    fanouts: Waiting,
    /// Steps of fan-outs that are left before the next [`Input::Timeout`].
    fanout_budget: usize,
    /// Empty between two messages; kept for its buffer.
    matches: Vec<Match>,
    frames: Frames,
    /// The forwarded properties of the message that is being made; kept for its buffer.
    forwarded: Vec<u8>,
    recycled: RecycledMessages,
    windows: Windows,
    /// What waits to be verified.
    unchecked: Queue,
    sweep: Option<Sweep>,
    is_stopping: bool,
    /// The session after those that the shutdown has come to.
    stopping: Option<usize>,
    endings: Endings,
    restoring: Restoring,
    out: Outgoing,
    /// Principals with starved links whose outboxes have become less.
    relieved: Vec<usize>,
    stats: ShardStats,
}

impl Shard {
    /// Makes an empty shard. Until it is given a policy and a directory it refuses everything.
    pub fn new(config: ShardConfig) -> Self {
        let config = ShardConfig { shards: config.shards.clamp(1, SHARDS_MAX), ..config };
        let ShardConfig { index, shards, hash_key, limits, is_stored, .. } = config;
        let portion = |messages, bytes| Holding::bound(portion(messages, shards), portion(bytes, shards));
        let bounds = Bounds {
            all: portion(limits.retained, limits.retained_bytes),
            per_publisher: portion(limits.retained_per_identity, limits.retained_bytes_per_identity),
        };
        Self {
            config,
            now: Now::default(),
            law: Law::new(hash_key),
            residents: Residents::new(hash_key),
            sessions: Slab::new(),
            numbered: 0,
            last_number: 0,
            by_key: Map::with_hasher(hash_key),
            by_link: Map::with_hasher(hash_key),
            interest: Interest::new(hash_key, index, shards),
            retained: Retained::new(hash_key, bounds),
            queued: Holding::default(),
            subscriptions: 0,
            subscription_bytes: 0,
            session_bytes: 0,
            burden: 0,
            timers: BTreeSet::new(),
            groups: Groups::new(hash_key),
            memberships: Memberships::default(),
            commits: Commits::default(),
            storage: Storage::default(),
            fanouts: Waiting::new(hash_key),
            fanout_budget: limits::FANOUT_SLICE,
            matches: Vec::new(),
            frames: Frames::default(),
            forwarded: Vec::new(),
            recycled: RecycledMessages::default(),
            windows: Windows::default(),
            unchecked: Queue::new(hash_key),
            sweep: None,
            is_stopping: false,
            stopping: None,
            endings: Endings::default(),
            restoring: Restoring::default(),
            out: Outgoing::new(index, is_stored),
            relieved: Vec::new(),
            stats: ShardStats::default(),
        }
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        // Time does not run backwards, whatever the caller says.
        self.now = Now { mono: now.mono.max(self.now.mono), wall: now.wall };
        self.out.record.begin_input(self.now);
        match input {
            Input::Attach(attach) => self.attach(*attach),
            Input::Packet { link, packet } => self.packet(link, packet),
            Input::Lost { link } => self.lost(link),
            Input::FromShard(ShardMessage(letter)) => self.read(letter.from, letter.body),
            Input::Committed { through } => self.committed(through),
            Input::Page(page) => self.take_page(page),
            Input::Checked(checked) => self.checked(&checked),
            Input::Ratchet { link, text } => self.tell_ratchet(link, text),
            Input::Storage(storage) => self.hear_of_store(storage),
            Input::Restored => self.resume(),
            Input::Policy { generation, policy } => {
                self.law.enact_policy(generation, policy);
                self.ask_members_again();
                self.out.say(Output::Reported(Report::Policy { generation }));
            }
            Input::Directory(directory) => self.enact_directory(directory),
            Input::Written { link } => self.written(link),
            Input::Burden { bytes } => self.burden = bytes,
            Input::Announce(values) => self.publish_own(values),
            Input::Timeout => self.run_timers(),
            Input::Shutdown => self.shut_down(),
        }
        self.finish_input();
    }

    /// Returns the next output; `None` when there is none before the next input.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.out.outputs.pop_front()
    }

    /// Returns when [`Input::Timeout`] is due; a time that is not later than the last input's means at once.
    /// Links are not to be read while it is due, but for a little from those of [`Shard::may_be_read`]: what they say
    /// would wait behind the work that is left, and in memory.
    pub fn poll_timeout(&self) -> Option<Millis> {
        if self.has_work() {
            return Some(self.now.mono);
        }
        let timer = self.next_timer().map(|(due, ..)| due);
        [timer, self.retained.next_expiry()].into_iter().flatten().min()
    }

    /// Takes the bytes that wait for `link`. Give the outbox back with [`Shard::recycle`] once it is written, and say
    /// [`Input::Written`] when everything taken has been.
    pub fn take_outbox(&mut self, link: LinkId) -> Option<Outbox> {
        let slot = self.by_link.get(&link)?;
        let link = self.sessions.get_mut(*slot as usize)?.link.as_deref_mut()?;
        Some(self.out.take(link))
    }

    /// Returns how many bytes wait for `link` that were not taken.
    pub fn outbox_bytes_of(&self, link: LinkId) -> usize {
        let slot = self.by_link.get(&link);
        let session = slot.and_then(|slot| self.sessions.get(*slot as usize));
        session.and_then(|session| session.link.as_ref()).map_or(0, |link| link.outbox.len())
    }

    /// Takes what is to be written to the store, in exchange for an entry of which only the buffers are used. Everything
    /// is in it for which [`Output::Commit`] was said.
    pub fn take_entry(&mut self, entry: &mut Entry) {
        self.out.record.take(entry);
    }

    /// Returns the newest ticket for which something waits, and up to which ticket everything is durable: for whoever checks
    /// the order of things. [`Output::Commit`] may be said later, and for several of them.
    pub fn tickets(&self) -> (Ticket, Ticket) {
        (self.out.record.issued(), self.commits.done())
    }

    /// Takes an outbox back for its buffers; what is still in it is dropped.
    pub fn recycle(&mut self, outbox: Outbox) {
        self.out.recycle(outbox);
    }

    /// Counts the sessions of an identity on this shard, connected or not. Each has a client id of its own.
    pub fn sessions_of(&self, identity: &Identity) -> usize {
        self.residents.find(identity).map_or(0, |resident| resident.sessions.len())
    }

    /// Counts the messages that wait in the sessions of an identity on this shard, sent and not acknowledged ones too.
    pub fn waiting_for(&self, identity: &Identity) -> usize {
        self.residents.find(identity).map_or(0, |resident| resident.queued.messages)
    }

    /// Lists topics of this shard with a retained message that `filter` matches: at most `most`, and no more than one
    /// slice of a replay comes across.
    pub fn retained_topics(&mut self, filter: TopicFilter<'_>, most: u16) -> Vec<String> {
        let slice = self.retained.slice(filter, None, most, |_| Fate::Deliver);
        slice.messages.iter().map(|message| message.topic().to_owned()).collect()
    }

    /// Does what this input left to do, as far as a slice goes.
    fn finish_input(&mut self) {
        for _ in 0..limits::WORK_SLICE {
            let Some(body) = self.out.mail.pop_front() else { break };
            self.read(self.config.index, body);
        }
        loop {
            if let Some(doom) = self.out.doomed.pop() {
                self.close_doomed(doom);
            } else if let Some(resident) = self.relieved.pop() {
                self.feed_starved(resident);
            } else {
                break;
            }
        }
        self.record_emptied_slots();
        self.forget_windows();
        if let Some(stale) = self.windows.next_stale() {
            self.out.record.window_gone(&stale);
        }
        while let Some(page) = self.out.pages.next(self.memory_left()) {
            self.out.say(Output::ReadPage(page));
        }
        if let Some(through) = self.out.record.next_commit() {
            self.out.say(Output::Commit(through));
        }
    }

    fn close_doomed(&mut self, doom: Doom) {
        if let Some(slot) = self.by_link.get(&doom.link).copied() {
            self.cut(slot, doom.cause, doom.farewell, true);
            self.leave(slot, true);
        }
    }

    fn has_work(&self) -> bool {
        self.fanout_budget == 0 || !self.fanouts.is_empty() || self.has_work_beside_fanouts()
    }

    fn has_work_beside_fanouts(&self) -> bool {
        !self.out.mail.is_empty()
            || self.sweep.is_some()
            || self.groups.are_under_review()
            || self.stopping.is_some()
            || !self.endings.is_empty()
            || self.windows.has_work()
    }

    fn packet(&mut self, link: LinkId, packet: Packet<'_>) {
        let Some(slot) = self.by_link.get(&link).copied() else { return };
        if self
            .sessions
            .get(slot as usize)
            .is_some_and(|it| it.link.as_ref().is_some_and(|link| link.unchecked.is_some()))
        {
            // The shell does not feed a link that is held; what would overtake a message must not be taken.
            return self.violation(slot, ReasonCode::ImplementationSpecificError);
        }
        self.stats.packets_received += 1;
        match packet {
            Packet::Publish(publish) => self.publish(slot, &publish),
            Packet::PubAck(ack) => self.pub_ack(slot, ack.id),
            Packet::PubRec(ack) => self.pub_rec(slot, ack.id, ack.reason),
            Packet::PubRel(ack) => self.pub_rel(slot, ack.id),
            Packet::PubComp(ack) => self.pub_comp(slot, ack.id),
            Packet::Subscribe(subscribe) => self.subscribe(slot, &subscribe),
            Packet::Unsubscribe(unsubscribe) => self.unsubscribe(slot, &unsubscribe),
            Packet::PingReq => {
                self.deliver(slot, |delivery| delivery.pong());
            }
            Packet::Disconnect(disconnect) => self.disconnect(slot, &disconnect),
            Packet::Connect(_)
            | Packet::ConnAck(_)
            | Packet::SubAck(_)
            | Packet::UnsubAck(_)
            | Packet::PingResp
            | Packet::Auth(_) => self.violation(slot, ReasonCode::ProtocolError),
        }
    }

    fn disconnect(&mut self, slot: u32, disconnect: &Disconnect<'_>) {
        if let Some(expiry) = disconnect.properties.session_expiry
            && !self.change_expiry(slot, expiry)
        {
            return self.violation(slot, ReasonCode::ProtocolError);
        }
        // Only a normal end takes the will away [MQTT-3.14.4-3].
        let fire_will = disconnect.reason != ReasonCode::Success;
        self.cut(slot, CloseCause::Disconnected, None, true);
        self.leave(slot, fire_will);
    }

    /// Ends a link whose client broke a rule of the protocol.
    fn violation(&mut self, slot: u32, reason: ReasonCode) {
        self.cut(slot, CloseCause::Violation(reason), Some(reason), true);
        self.leave(slot, true);
    }

    /// Tells people that the owner of a session ran into a bound.
    fn notice_limit(&mut self, slot: u32, bound: Bound) {
        if let Some(session) = self.sessions.get(slot as usize) {
            let identity = session.key.identity.clone();
            self.out.notice(Notice::Limit { identity, bound });
        }
    }

    /// Says which bound of topics and filters `text` breaks.
    fn topic_bound(&self, text: &str) -> Option<Bound> {
        if text.len() > self.config.limits.topic_bytes {
            return Some(Bound::TopicBytes);
        }
        let levels = text.bytes().filter(|byte| *byte == b'/').count() + 1;
        (levels > self.config.limits.topic_levels).then_some(Bound::TopicLevels)
    }

    fn session_ref(&self, slot: u32) -> Option<SessionRef> {
        self.sessions.get(slot as usize).map(|session| SessionRef { slot, incarnation: session.incarnation })
    }

    /// Returns the session that `at` points to, if it still exists.
    fn resolve(&self, at: SessionRef) -> Option<&Session> {
        self.sessions.get(at.slot as usize).filter(|session| session.incarnation == at.incarnation)
    }
}
