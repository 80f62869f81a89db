//! The world: a broker, its clients, the links between them, the operator and the clock, and all that can be done in
//! it. Nothing happens here by itself: [`World::step`] draws what does, a scenario says it.

mod ending;
mod fate;
pub mod script;

use crate::broker::engine::Disk;
use crate::broker::{Broker, Outside};
pub use crate::client::Draft;
use crate::client::{Client, Desk};
use crate::dice::Dice;
use crate::event::{AccountNo, ClientNo, Event, MessageNo, Serial, ShardNo, What};
use crate::log::Log;
use crate::operator::Operator;
use crate::packet::Hello;
use crate::rules::Rules;
use crate::setup::Setup;
use crate::wire::{Aftermath, Wires};
use keyward_broker::{LinkId, ShardStats, Standing};
use keyward_mqtt::packet::SubscribeOptions;
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::time::{Millis, Now, UnixMillis};

/// Bytes that a link takes from the broker before its client has read any.
const WIRE_BYTES: usize = 64 * 1024;

/// The moment at which every run begins.
const BEGIN: Now = Now { mono: Millis::from_secs(1_000), wall: UnixMillis::from_secs(1_800_000_000) };

/// Is a whole world.
pub struct World {
    setup: Setup,
    dice: Dice,
    log: Log,
    wires: Wires,
    clients: Vec<Client>,
    broker: Broker,
    operator: Operator,
    links: u64,
    messages: u64,
    reports: Vec<(usize, Serial)>,
}

/// Says who learns of it when a link is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// Both ends.
    Known,
    /// The client only: the broker holds a half-open link.
    UnknownToBroker,
    /// The broker only.
    UnknownToClient,
    /// Nobody.
    Unknown,
}

impl World {
    /// Begins a world: a broker is running, no client is connected.
    pub fn new(setup: Setup) -> Self {
        let dice = Dice::new(setup.seed);
        Self::begin(setup, dice)
    }

    fn begin(setup: Setup, mut dice: Dice) -> Self {
        let mut log = Log::beginning_at(BEGIN);
        let (mut wires, mut reports) = (Wires::new(), Vec::new());
        let operator = Operator::new(&setup);
        let client = |(no, client): (usize, &crate::setup::ClientSetup)| {
            Client::new(ClientNo(no), client.clone(), setup.accounts[client.account].clone())
        };
        let clients = setup.clients.iter().enumerate().map(client).collect();
        log.say(What::Starts);
        let mut outside =
            Outside { log: &mut log, wires: &mut wires, dice: &mut dice, reports: &mut reports };
        let broker = Broker::start(&setup, &operator, Disk::default(), &mut outside);
        Self { setup, dice, log, wires, clients, broker, operator, links: 0, messages: 0, reports }
    }

    /// Returns what happened since the last question.
    pub fn take_events(&mut self) -> Vec<Event> {
        self.log.take()
    }

    /// Returns what each shard holds.
    pub fn stats(&self) -> Vec<ShardStats> {
        self.broker.stats()
    }

    /// Returns the time.
    pub fn now(&self) -> Now {
        self.log.now
    }

    /// Lets time pass, and nothing else.
    pub fn pass(&mut self, span: Millis) {
        self.log.now.mono = self.log.now.mono.saturating_add(span);
        self.log.now.wall = self.log.now.wall.saturating_add(span);
    }

    /// Sets the wall clock.
    pub fn set_wall_clock(&mut self, wall: UnixMillis) {
        self.log.now.wall = wall;
    }

    /// Numbers a message that was not published before.
    pub fn new_message(&mut self) -> MessageNo {
        self.messages += 1;
        MessageNo(self.messages)
    }

    // Clients.

    fn with<R>(&mut self, client: ClientNo, act: impl FnOnce(&mut Client, &mut Desk<'_>) -> R) -> R {
        let mut desk = Desk { log: &mut self.log, wires: &mut self.wires, dice: &mut self.dice };
        act(&mut self.clients[client.0], &mut desk)
    }

    /// Has a client open a link and send CONNECT; a link that it has it gives up without a word.
    pub fn connect(&mut self, client: ClientNo, hello: Hello) -> LinkId {
        self.links += 1;
        let link = LinkId(self.links);
        self.with(client, |client, desk| client.connect(desk, link, WIRE_BYTES, hello));
        self.broker.accept(link);
        link
    }

    /// Has a client publish at QoS 0 before it has heard of CONNACK.
    pub fn publish_unasked(&mut self, client: ClientNo, draft: Draft) {
        self.with(client, |client, desk| client.publish_unasked(desk, draft));
    }

    /// Has a client publish; it does not if its packet ids or the broker's receive maximum are used up.
    pub fn publish(&mut self, client: ClientNo, draft: Draft) {
        self.with(client, |client, desk| client.publish(desk, draft));
    }

    /// Has a client publish these bytes, in which the number of the draft is.
    pub(crate) fn publish_sealed(&mut self, client: ClientNo, draft: Draft, bytes: Vec<u8>) {
        self.with(client, |client, desk| client.publish_bytes(desk, draft, Some(bytes)));
    }

    /// Has a client subscribe.
    pub fn subscribe(
        &mut self,
        client: ClientNo,
        filters: Vec<(String, SubscribeOptions)>,
        subscription_id: Option<u32>,
    ) {
        self.with(client, |client, desk| client.subscribe(desk, filters, subscription_id));
    }

    /// Has a client unsubscribe.
    pub fn unsubscribe(&mut self, client: ClientNo, filters: Vec<String>) {
        self.with(client, |client, desk| client.unsubscribe(desk, filters));
    }

    /// Has a client say DISCONNECT and close its link.
    pub fn disconnect(&mut self, client: ClientNo, reason: ReasonCode, expiry: Option<u32>) {
        self.with(client, |client, desk| client.disconnect(desk, reason, expiry));
    }

    /// Has a client close its link without a word.
    pub fn break_link(&mut self, client: ClientNo) {
        self.with(client, Client::break_link);
    }

    /// Has a client lose what it knew of its session.
    pub fn forget(&mut self, client: ClientNo) {
        self.with(client, Client::forget);
    }

    /// Has a client read what arrived and deal with it.
    pub fn listen(&mut self, client: ClientNo) {
        self.with(client, Client::listen);
    }

    /// Has a client send all acknowledgements that it owes, or one.
    pub fn acknowledge(&mut self, client: ClientNo, all: bool) {
        self.with(client, |client, desk| client.acknowledge(desk, all));
    }

    /// Says whether a client reads. What it does not read the broker cannot write.
    pub fn set_reading(&mut self, client: ClientNo, reads: bool) {
        self.clients[client.0].set_reading(reads);
    }

    /// Returns the link that a client believes to have.
    pub fn link_of(&self, client: ClientNo) -> Option<LinkId> {
        self.clients[client.0].link()
    }

    /// Tells whether a client was welcomed over its present link.
    pub fn is_open(&self, client: ClientNo) -> bool {
        self.clients[client.0].is_open()
    }

    // Links.

    /// Lets what is under way arrive, in pieces.
    pub fn carry(&mut self) {
        let now = self.log.now.mono;
        for wire in self.wires.values_mut() {
            wire.carry(now, &mut self.dice);
        }
        self.forget_wires();
    }

    /// Lets all that is under way arrive.
    pub fn carry_all(&mut self) {
        self.wires.values_mut().for_each(crate::wire::Wire::carry_all);
        self.forget_wires();
    }

    fn forget_wires(&mut self) {
        self.wires.retain(|_, wire| !wire.is_forgotten());
    }

    /// Cuts a link: what is under way is lost.
    pub fn cut(&mut self, link: LinkId, cut: Cut) {
        if let Some(wire) = self.wires.get_mut(&link) {
            wire.plan(cut.into());
            wire.cut();
        }
    }

    /// Plans that a link is cut after so many bytes more in one direction.
    pub fn cut_after(&mut self, link: LinkId, bytes: usize, from_client: bool, cut: Cut) {
        if let Some(wire) = self.wires.get_mut(&link) {
            wire.plan(cut.into());
            let pipe = if from_client { &mut wire.up } else { &mut wire.down };
            pipe.cut_after(bytes);
        }
    }

    /// Lets nothing arrive over one direction of a link until a time.
    pub fn stall(&mut self, link: LinkId, until: Millis, from_client: bool) {
        if let Some(wire) = self.wires.get_mut(&link) {
            let pipe = if from_client { &mut wire.up } else { &mut wire.down };
            pipe.stall(until);
        }
    }

    /// Says how many bytes a link takes from the broker before its client reads.
    pub fn narrow(&mut self, link: LinkId, bytes: usize) {
        if let Some(wire) = self.wires.get_mut(&link) {
            wire.down.set_capacity(bytes);
        }
    }

    // The broker.

    fn outside(&mut self) -> (&mut Broker, Outside<'_>) {
        let Self { log, wires, dice, reports, broker, .. } = self;
        (broker, Outside { log, wires, dice, reports })
    }

    /// Runs the door once.
    pub fn tick_door(&mut self) {
        let (broker, mut outside) = self.outside();
        broker.tick_door(&mut outside);
    }

    /// Runs a shard's tick: read, empty the inbox, write.
    pub fn tick(&mut self, shard: ShardNo) {
        let (broker, mut outside) = self.outside();
        broker.tick_shard(&mut outside, shard.0);
        for (shard, change) in std::mem::take(&mut self.reports) {
            self.operator.note(&mut self.log, shard, change);
        }
    }

    /// Has the engine answer some of the tickets that wait.
    pub fn answer_some(&mut self) {
        self.broker.answer_some(&mut self.dice);
    }

    /// Has the engine make durable all that waits.
    pub fn answer_all(&mut self) {
        self.broker.answer_all();
    }

    /// Kills the broker and starts another; how much of what was not synced is left, the dice say.
    pub fn crash(&mut self) {
        let keep = self.dice.between(0, self.broker.unsynced());
        self.crash_keeping(keep);
    }

    /// Kills the broker and starts another. Of what was not synced so many batches are left.
    pub fn crash_keeping(&mut self, keep: usize) {
        let unsynced = self.broker.unsynced();
        self.log.say(What::Crashes { unsynced, kept: keep.min(unsynced) });
        self.restart(keep);
    }

    /// Stops the broker in order and starts another.
    pub fn stop(&mut self) {
        self.log.say(What::Stops);
        self.broker.stop();
        // Each shard has told its links when its inbox is empty; what then lies unwritten is lost with the process.
        for _ in 0..1_000 {
            for shard in 0..self.broker.shards() {
                self.tick(ShardNo(shard));
            }
            if self.broker.is_stopped() {
                break;
            }
        }
        self.carry();
        self.broker.flush();
        self.restart(0);
    }

    fn restart(&mut self, keep: usize) {
        let disk = self.broker.crash(keep);
        for wire in self.wires.values_mut() {
            wire.leave_broker();
            let client_learns = self.dice.chance(800);
            wire.plan(Aftermath { client_learns, broker_learns: true });
            wire.cut();
        }
        self.operator.forget_commands();
        self.reports.clear();
        self.be_down();
        self.log.say(What::Starts);
        let Self { setup, log, wires, dice, reports, operator, .. } = self;
        self.broker = Broker::start(setup, operator, disk, &mut Outside { log, wires, dice, reports });
        self.reports.clear();
    }

    // The operator.

    /// Puts other rules on disk and on their way to the shards.
    pub fn set_rules(&mut self, rules: Rules) {
        self.operator.set_rules(&mut self.log, &self.broker, rules);
    }

    /// Puts another standing, or another life, of an account on disk, at the door, and on its way to the shards.
    pub fn set_account(&mut self, account: AccountNo, epoch: u64, standing: Standing) {
        self.operator.set_account(&mut self.log, &mut self.broker, account, epoch, standing);
    }

    /// Puts a device into quarantine, or releases it, on disk, at the door, and on its way to the shards.
    pub(crate) fn set_quarantine(&mut self, account: AccountNo, is_in: bool) {
        self.operator.set_quarantine(&mut self.log, &mut self.broker, account, is_in);
    }

    /// Returns the epoch of an account's credentials and its standing, as they are on disk.
    pub fn account(&self, account: AccountNo) -> (u64, Standing) {
        let principal = self.operator.principal(account);
        (principal.epoch, principal.standing)
    }

    /// Hands the oldest change that is on its way to the next shard.
    pub fn hand_on(&mut self) {
        self.operator.hand_on(&mut self.broker);
    }
}

impl From<Cut> for Aftermath {
    fn from(cut: Cut) -> Self {
        let (client_learns, broker_learns) = match cut {
            Cut::Known => (true, true),
            Cut::UnknownToBroker => (true, false),
            Cut::UnknownToClient => (false, true),
            Cut::Unknown => (false, false),
        };
        Self { client_learns, broker_learns }
    }
}
