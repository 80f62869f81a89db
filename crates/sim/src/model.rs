//! The reference model: what must and what must not arrive, without any of the broker's machinery. It sees events, in
//! their order, and knows nothing else.
//!
//! It is naive on purpose: lists that are searched, rules that are asked one by one. Where the order of things leaves
//! a race open, a message that *must* arrive becomes one that *may*; none that may not arrive ever does.

mod answer;
mod attach;
mod client;
mod delivery;
mod departure;
mod groups;
mod holes;
mod law;
mod link;
mod message;
mod notice;
mod operator;
mod rest;
mod restart;
mod retained;
mod room;
mod session;

use crate::event::{AccountNo, Change, ClientNo, Event, MessageNo, ShardNo, What};
use crate::races::{Race, Races};
use crate::setup::{EngineSetup, Setup};
use core::fmt;
use groups::Groups;
use keyward_broker::{LinkId, ShardStats, Storage};
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::time::{Millis, UnixMillis};
use law::Law;
use link::{Flights, Link};
use message::{Losses, Message};
use restart::{Before, Ghost};
use retained::Slots;
use room::Taking;
use session::Sessions;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Is a promise that was broken, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Breach(String);

impl Breach {
    /// Says what was broken.
    pub(crate) fn new(what: String) -> Self {
        Self(what)
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl core::error::Error for Breach {}

type Checked<T = ()> = Result<T, Breach>;

macro_rules! breach {
    ($($words:tt)*) => { Err($crate::model::Breach(format!($($words)*))) };
}
use breach;

/// Is what a client published under one packet id, the last one last, each message with its ticket.
type Published = Vec<(Option<MessageNo>, u64)>;

/// Is the model of one run.
#[derive(Debug)]
pub struct Model {
    setup: Setup,
    now: Millis,
    wall: UnixMillis,
    /// Counts events.
    step: u64,
    law: Law,
    /// The last step at which the law changed, ordered or in force.
    law_changed: u64,
    links: BTreeMap<LinkId, Link>,
    sessions: Sessions,
    sessions_begun: u64,
    /// What each client has not finished, of the session that it has.
    flights: BTreeMap<ClientNo, Flights>,
    messages: BTreeMap<MessageNo, Message>,
    slots: Slots,
    groups: Groups,
    losses: Losses,
    shards: Vec<Shard>,
    /// Letters between shards that were posted and not read.
    letters: usize,
    /// What was just taken: what is said of memory or of room next refuses it.
    taking: Option<Taking>,
    /// A link that a shard has taken and not refused so far.
    attaching: Option<(ShardNo, LinkId)>,
    /// Whether the process was told to stop: it counts nothing any more.
    is_stopping: bool,
    races: Races,
    /// Links whose will was seen before their end.
    early_wills: Vec<LinkId>,
    /// What there was when the last process ended, if something of it is on disk.
    before: Option<Before>,
    /// Stored sessions that ended in this process.
    ghosts: Vec<Ghost>,
    /// What was on disk at the start and may not have been sent, by packet id.
    unsent: BTreeMap<(ClientNo, u16), Option<MessageNo>>,
    /// The QoS 2 messages that each client published under each packet id, the last one last, each with its ticket.
    last_inbound: BTreeMap<(ClientNo, u16), Published>,
    /// Packet ids on disk of which it is not certain for which message they stand.
    vague: BTreeSet<(ClientNo, u16)>,
    /// Clients whose session expired since they were last there.
    expired: BTreeSet<ClientNo>,
}

/// Is what the model knows of one shard.
#[derive(Debug, Clone, Default)]
struct Shard {
    asked: u64,
    answered: u64,
    /// What it heard that the store can take.
    storage: Storage,
    /// Pages that are being read for it.
    pages: usize,
    /// Who posted the letters that it has not read.
    inbox: VecDeque<ShardNo>,
    stats: ShardStats,
}

impl Model {
    /// Makes the model of a run that has not begun.
    pub fn new(setup: &Setup) -> Self {
        Self {
            setup: setup.clone(),
            now: Millis::ZERO,
            wall: UnixMillis(0),
            step: 0,
            law: Law::new(setup),
            law_changed: 0,
            links: BTreeMap::new(),
            sessions: BTreeMap::new(),
            sessions_begun: 0,
            flights: BTreeMap::new(),
            messages: BTreeMap::new(),
            slots: Slots::default(),
            groups: Groups::default(),
            losses: Losses::default(),
            shards: vec![Shard::default(); usize::from(setup.shards)],
            letters: 0,
            attaching: None,
            taking: None,
            is_stopping: false,
            races: Races::default(),
            early_wills: Vec::new(),
            before: None,
            ghosts: Vec::new(),
            unsent: BTreeMap::new(),
            last_inbound: BTreeMap::new(),
            vague: BTreeSet::new(),
            expired: BTreeSet::new(),
        }
    }

    /// Takes the next event.
    ///
    /// # Errors
    /// It breaks a promise.
    pub fn observe(&mut self, event: &Event) -> Result<(), Breach> {
        (self.now, self.wall) = (event.at.mono, event.at.wall);
        self.step += 1;
        self.finish_attach(&event.what)?;
        if !matches!(event.what, What::Notes { .. } | What::Denies { .. } | What::Asks { .. }) {
            self.taking = None;
        }
        match &event.what {
            What::Connects { client, link, hello } => {
                let is_honest = self.setup.clients[client.0].is_honest;
                self.links.insert(*link, Link::new(*client, hello.clone(), is_honest));
            }
            What::Says { link, packet, .. } => {
                let is_early = self.link(*link)?.say(packet);
                self.races.note_if(is_early, Race::PacketBeforeConnAck);
            }
            What::Hears { link, packet, .. } => self.link(*link)?.hear(packet)?,
            What::Breaks { link, .. } => {
                let of = self.link(*link)?;
                of.given_up = true;
                let in_hand_over = of.shard.is_some() && of.session.is_none();
                self.races.note_if(in_hand_over, Race::LinkLostInHandOver);
            }
            What::Forgets { .. } => {}
            What::Judges { link, verdict } => {
                self.races.note_if(*verdict == Err(ReasonCode::ServerBusy), Race::InboxFull);
                self.link(*link)?.shard = verdict.ok();
            }
            What::Attaches { shard, link } => self.attaching = Some((*shard, *link)),
            What::Takes { shard, link, packet } => self.take(*shard, *link, packet)?,
            What::Writes { shard, link, packet, bytes } => self.write(*shard, *link, packet, *bytes)?,
            What::Loses { shard, link } => {
                self.races.note_if(self.shards[shard.0].pages > 0, Race::LinkLostWhileReading);
                self.lose(*link);
            }
            What::Closes { shard, link, cause, .. } => self.close(*shard, *link, *cause)?,
            What::Ticks { shard } => self.tick(*shard),
            What::Posts { from, to } => {
                self.letters += 1;
                let inbox = &mut self.shards[to.0].inbox;
                let is_shared = inbox.iter().any(|other| other != from);
                inbox.push_back(*from);
                self.races.note_if(is_shared, Race::TwoSendersInOneInbox);
            }
            What::Reads { shard, .. } => {
                self.letters = self.letters.saturating_sub(1);
                self.shards[shard.0].inbox.pop_front();
            }
            What::Denies { .. } => {}
            What::Notes { shard, notice } => self.note(*shard, notice)?,
            What::Counts { shard, stats, is_done } => {
                self.races.note_if(!is_done, Race::WorkLeftForLater);
                self.count(*shard, stats)?;
            }
            What::Asks { shard, ticket } => self.shards[shard.0].asked = ticket.0,
            What::Answers { shard, through } => self.hear_of_disk(*shard, *through)?,
            What::WantsPage { shard } => self.shards[shard.0].pages += 1,
            What::GetsPage { shard } => {
                self.shards[shard.0].pages -= 1;
                self.races.note(Race::PageRead);
            }
            What::Learns { shard, storage } => self.learn(*shard, *storage),
            What::Orders(change) => {
                self.law.order(change);
                self.law_changed = self.step;
                match change {
                    Change::Account { account, .. } => self.doubt_retained(Some(*account)),
                    Change::Rules { .. } => self.doubt_forbidden(),
                    Change::Quarantine { .. } => {}
                }
            }
            What::Enacts { shard, change } => self.enact(*shard, *change),
            What::Reports { shard, change } => self.report(*shard, *change)?,
            What::Returns(_) => {}
            What::Stops => self.is_stopping = true,
            What::Crashes { unsynced, kept } => {
                self.races.note_if(kept < unsynced, Race::CrashWithUnsyncedBatch);
                let is_between = self.sessions.values().any(|session| !session.acknowledged.is_empty());
                self.races.note_if(is_between, Race::CrashBetweenPubRecAndPubRel);
            }
            What::Starts => {
                self.end_process();
                self.is_stopping = false;
                self.law.start();
            }
            What::Finds(found) => self.find(found)?,
            What::Leaves(left) => return breach!("left on disk, in each table: {left:?}"),
            What::Settled => self.settled()?,
            What::Abandoned => self.abandoned()?,
        }
        Ok(())
    }

    /// Returns how often each race occurred.
    pub fn races(&self) -> &Races {
        &self.races
    }

    fn link(&mut self, link: LinkId) -> Checked<&mut Link> {
        self.links.get_mut(&link).ok_or_else(|| Breach(format!("link {} was never opened", link.0)))
    }

    fn account(&self, client: ClientNo) -> AccountNo {
        AccountNo(self.setup.clients[client.0].account)
    }

    /// All that lived in memory is gone.
    fn end_process(&mut self) {
        self.links.values_mut().for_each(|link| link.is_open = false);
        if self.setup.engine == EngineSetup::Faulty && self.setup.disk {
            for client in self.sessions.keys().copied().collect::<Vec<_>>() {
                self.note_lost_link(client);
            }
            self.before = Some(Before {
                sessions: core::mem::take(&mut self.sessions),
                flights: core::mem::take(&mut self.flights),
                ghosts: core::mem::take(&mut self.ghosts),
                answered: self.shards.iter().map(|shard| shard.answered).collect(),
            });
        } else {
            self.sessions.clear();
            self.flights.clear();
            self.slots.clear();
            self.groups.clear();
        }
        self.unsent.clear();
        for message in self.messages.values_mut() {
            message.flying = false;
        }
        self.shards.fill(Shard::default());
        self.letters = 0;
        self.attaching = None;
    }
}
