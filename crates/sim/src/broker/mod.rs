//! A broker process: a door, shards in their shells, inboxes between them, and an engine.

pub(crate) mod door;
pub(crate) mod engine;
pub(crate) mod inbox;
pub(crate) mod link;
pub(crate) mod shell;

use crate::dice::Dice;
use crate::event::{Serial, What};
use crate::log::Log;
use crate::operator::{Operator, Order};
use crate::records::{Found, Homes};
use crate::setup::{EngineSetup, Setup};
use crate::wire::Wires;
use door::Door;
use engine::{Disk, Engine};
use inbox::{Inbox, Mail};
use keyward_broker::persist::Portion;
use keyward_broker::{HashKey, LinkId, Shard, ShardConfig, ShardIndex, ShardStats, Storage};
use keyward_mqtt::connection::ConnectionLimits;
use keyward_mqtt::time::{Millis, UnixMillis};
use shell::Shell;

/// Is a broker process.
pub(crate) struct Broker {
    door: Door,
    shells: Vec<Shell>,
    inboxes: Vec<Inbox>,
    engine: Engine,
    unsent_bytes: usize,
}

/// Is what one part of a broker sees of the others and of the world.
pub(crate) struct Surroundings<'a> {
    pub(crate) log: &'a mut Log,
    pub(crate) wires: &'a mut Wires,
    pub(crate) inboxes: &'a mut [Inbox],
    pub(crate) engine: &'a mut Engine,
    pub(crate) dice: &'a mut Dice,
    /// What shards have reported.
    pub(crate) reports: &'a mut Vec<(usize, Serial)>,
    /// Bytes that may wait for a link before it is not read any more.
    pub(crate) unsent_bytes: usize,
}

/// Is what a broker needs of the world at each step.
pub(crate) struct Outside<'a> {
    pub(crate) log: &'a mut Log,
    pub(crate) wires: &'a mut Wires,
    pub(crate) dice: &'a mut Dice,
    pub(crate) reports: &'a mut Vec<(usize, Serial)>,
}

impl Broker {
    /// Starts a broker with the registry and the rules of `operator`.
    pub(crate) fn start(setup: &Setup, operator: &Operator, disk: Disk, outside: &mut Outside<'_>) -> Self {
        let shards = setup.shards;
        let count = usize::from(shards);
        let Restart { engine, portions, hash_key, numbers_since } = Restart::read(setup, disk, outside);
        let limits =
            ConnectionLimits { packet_max: setup.limits.packet_bytes, ..ConnectionLimits::default() };
        let draw_budget = || outside.dice.one_of([1_300, 3_000, 20_000, 4_000_000]);
        let budget = setup.inbox_bytes.unwrap_or_else(draw_budget);
        let shell = |index: u16| {
            let is_stored = setup.engine == EngineSetup::Faulty;
            let (index16, limits) = (ShardIndex(index), setup.limits);
            let is_watched = false;
            let config = ShardConfig {
                index: index16,
                shards,
                hash_key,
                limits,
                is_stored,
                numbers_since,
                is_watched,
            };
            Shell::new(usize::from(index), Shard::new(config))
        };
        let mut broker = Self {
            door: Door::new(operator.snapshot(), hash_key, limits, shards),
            shells: (0..shards).map(shell).collect(),
            inboxes: (0..count).map(|_| Inbox::new(count + 1, budget)).collect(),
            engine,
            unsent_bytes: outside.dice.one_of([400, 256 * 1024]),
        };
        let is_restored = !portions.is_empty();
        for (shard, portion) in portions.into_iter().enumerate() {
            broker.with(outside, shard, |shell, around| shell.restore(around, portion));
        }
        // No listener opens before every shard knows the law.
        for shard in 0..count {
            for mail in operator.law() {
                broker.with(outside, shard, |shell, around| shell.prepare(around, mail));
            }
        }
        if is_restored {
            broker.settle(outside);
            for shard in 0..count {
                broker.with(outside, shard, Shell::resume);
            }
            broker.settle(outside);
        }
        broker
    }

    /// Lets the shards say to each other what they have to say, while nobody else is there.
    fn settle(&mut self, outside: &mut Outside<'_>) {
        while self.inboxes.iter().any(|inbox| inbox.len() > 0)
            || self.shells.iter().any(|shell| shell.is_due(outside.log.now.mono))
        {
            for shard in 0..self.shells.len() {
                self.with(outside, shard, Shell::settle);
            }
        }
    }

    /// Dies. The disk is left, with the first `keep` of the batches that were not synced.
    pub(crate) fn crash(&mut self, keep: usize) -> Disk {
        self.engine.crash(keep)
    }

    /// Tells how many batches a crash can take away.
    pub(crate) fn unsynced(&self) -> usize {
        self.engine.unsynced()
    }

    /// Writes what nobody waits for, as a broker does before it ends in order.
    pub(crate) fn flush(&mut self) {
        self.shells.iter_mut().for_each(|shell| shell.write_entry(&mut self.engine));
        self.engine.sync();
    }

    pub(crate) fn disk(&self) -> Option<&Disk> {
        self.engine.disk()
    }

    pub(crate) fn accept(&mut self, link: LinkId) {
        self.door.accept(link);
    }

    /// Runs the door once.
    pub(crate) fn tick_door(&mut self, outside: &mut Outside<'_>) {
        let Self { door, inboxes, engine, unsent_bytes, .. } = self;
        let Outside { log, wires, dice, reports } = outside;
        let unsent_bytes = *unsent_bytes;
        door.tick(&mut Surroundings { log, wires, inboxes, engine, dice, reports, unsent_bytes });
    }

    /// Runs one shard's tick.
    pub(crate) fn tick_shard(&mut self, outside: &mut Outside<'_>, shard: usize) {
        self.with(outside, shard, Shell::tick);
    }

    fn with(
        &mut self,
        outside: &mut Outside<'_>,
        shard: usize,
        act: impl FnOnce(&mut Shell, &mut Surroundings<'_>),
    ) {
        let Self { shells, inboxes, engine, unsent_bytes, .. } = self;
        let Outside { log, wires, dice, reports } = outside;
        let unsent_bytes = *unsent_bytes;
        let around = &mut Surroundings { log, wires, inboxes, engine, dice, reports, unsent_bytes };
        act(&mut shells[shard], around);
    }

    /// Lets the engine answer some of what waits for it.
    pub(crate) fn answer_some(&mut self, dice: &mut Dice) {
        self.engine.answer_some(&mut self.inboxes, dice);
    }

    /// Lets the engine answer the oldest of what waits for it on one shard.
    pub(crate) fn answer(&mut self, shard: usize, count: usize) {
        self.engine.answer(&mut self.inboxes, shard, count);
    }

    /// Says what the engine can take from now on.
    pub(crate) fn turn_storage(&mut self, storage: Storage) {
        self.engine.turn(&mut self.inboxes, storage);
    }

    /// Lets the engine answer all that waits for it.
    pub(crate) fn answer_all(&mut self) {
        self.engine.answer_all(&mut self.inboxes);
    }

    /// Lets the door go by a change of the registry.
    pub(crate) fn swap(&mut self, operator: &Operator) {
        self.door.swap(operator.snapshot());
    }

    /// Puts an order into the inbox of one shard.
    pub(crate) fn order(&mut self, shard: usize, order: &Order) {
        self.inboxes[shard].command(order.mail());
    }

    /// Tells all shards to stop.
    pub(crate) fn stop(&mut self) {
        self.inboxes.iter_mut().for_each(|inbox| inbox.command(Mail::Stop));
    }

    /// Tells whether a broker that was told to stop has told and closed every link.
    pub(crate) fn is_stopped(&self) -> bool {
        self.shells.iter().all(Shell::is_stopped)
    }

    pub(crate) fn shards(&self) -> usize {
        self.shells.len()
    }

    pub(crate) fn stats(&self) -> Vec<ShardStats> {
        self.shells.iter().map(Shell::stats).collect()
    }

    /// Returns when the next timer of a shard is due.
    pub(crate) fn poll_timeout(&self) -> Option<Millis> {
        self.shells.iter().filter_map(Shell::poll_timeout).min()
    }

    /// Tells whether nothing is left to do at `now`.
    pub(crate) fn is_idle(&self, now: Millis) -> bool {
        self.door.is_idle()
            && self.engine.is_idle()
            && self.inboxes.iter().all(|inbox| inbox.len() == 0)
            && self.shells.iter().all(|shell| shell.is_idle(now))
    }
}

/// Is what a broker begins with.
struct Restart {
    engine: Engine,
    /// What each shard gets of what was on disk; empty if nothing is ever.
    portions: Vec<Portion>,
    hash_key: HashKey,
    numbers_since: UnixMillis,
}

impl Restart {
    fn read(setup: &Setup, mut disk: Disk, outside: &mut Outside<'_>) -> Self {
        let fresh = hash_key(outside.dice);
        if setup.engine == EngineSetup::Memory {
            let numbers_since = outside.log.now.wall;
            return Self { engine: Engine::Memory, portions: Vec::new(), hash_key: fresh, numbers_since };
        }
        if !setup.disk {
            disk = Disk::default();
        }
        let recovered = disk.recover(fresh, outside.log.now);
        let (hash_key, numbers_since) = (recovered.hash_key(), recovered.numbers_since());
        let (portions, survey) = recovered.split(setup.shards);
        disk.tidy(&survey);
        let homes = Homes { key: hash_key, shards: setup.shards };
        outside.log.say(What::Finds(Box::new(Found::read(disk.reader(), homes))));
        Self { engine: Engine::on(disk, survey, portions.len()), portions, hash_key, numbers_since }
    }
}

pub(crate) fn hash_key(dice: &mut Dice) -> HashKey {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&dice.draw().to_le_bytes());
    key[8..].copy_from_slice(&dice.draw().to_le_bytes());
    HashKey::new(key)
}
