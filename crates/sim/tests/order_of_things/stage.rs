//! Where a scenario plays: the world, whose every part moves only when the scenario lets it, and the model, which sees
//! everything and breaks the scenario at the first promise that is broken.

mod clients;
mod note;
mod operator;
mod seen;

use keyward_broker::{LinkId, Storage};
use keyward_mqtt::time::Millis;
use keyward_sim::event::{ClientNo, Event, ShardNo};
use keyward_sim::model::Model;
use keyward_sim::setup::Setup;
use keyward_sim::world::World;
use std::collections::BTreeSet;

pub(crate) use note::{Note, qos0, qos1, qos2};

/// Rounds without an event after which nobody has anything left to do: a CONNECT passes the door in three.
const QUIET_ROUNDS: usize = 4;

/// Rounds after which a scenario that still moves never comes to rest.
const ROUNDS: usize = 2_000;

/// Events that a failure shows.
const SHOWN: usize = 60;

/// Is the stage of one scenario.
pub(crate) struct Stage {
    setup: Setup,
    world: World,
    model: Model,
    /// All that has happened.
    events: Vec<Event>,
    /// Where in them the present scene begins.
    scene: usize,
    asleep: BTreeSet<ShardNo>,
    mute: BTreeSet<ClientNo>,
}

impl Stage {
    pub(crate) fn new(setup: Setup) -> Self {
        let mut stage = Self {
            model: Model::new(&setup),
            world: World::scripted(setup.clone()),
            setup,
            events: Vec::new(),
            scene: 0,
            asleep: BTreeSet::new(),
            mute: BTreeSet::new(),
        };
        stage.look();
        stage
    }

    /// Shows the model what has happened.
    fn look(&mut self) -> usize {
        let events = self.world.take_events();
        let count = events.len();
        for event in events {
            let seen = self.model.observe(&event);
            self.events.push(event);
            if let Err(breach) = seen {
                panic!("a promise is broken: {breach}");
            }
        }
        count
    }

    fn act<R>(&mut self, act: impl FnOnce(&mut World) -> R) -> R {
        let result = act(&mut self.world);
        self.look();
        result
    }

    // How the story goes on.

    /// Lets everybody who is awake do all there is to do. Time does not pass, and a slow disk does not answer.
    pub(crate) fn go_on(&mut self) {
        let mut quiet = 0;
        for _ in 0..ROUNDS {
            if quiet == QUIET_ROUNDS {
                return;
            }
            quiet = if self.round() == 0 { quiet + 1 } else { 0 };
        }
        panic!("the scenario does not come to rest");
    }

    /// Lets everybody who is awake have one turn. Returns how much happened.
    pub(crate) fn round(&mut self) -> usize {
        let before = self.events.len();
        self.world.hand_on();
        self.world.carry_all();
        self.world.tick_door();
        for shard in (0..usize::from(self.setup.shards)).map(ShardNo) {
            if !self.asleep.contains(&shard) {
                self.world.tick(shard);
            }
        }
        self.world.carry_all();
        for client in (0..self.setup.clients.len()).map(ClientNo) {
            self.world.listen(client);
            if !self.mute.contains(&client) {
                self.world.acknowledge(client, true);
            }
        }
        self.look();
        self.events.len() - before
    }

    /// Goes on, and has a slow disk make durable whatever is asked for.
    pub(crate) fn go_on_with_disk(&mut self) {
        for _ in 0..ROUNDS {
            let before = self.events.len();
            self.go_on();
            self.world.answer_all();
            self.go_on();
            if self.events.len() == before {
                return;
            }
        }
        panic!("the disk never comes to rest");
    }

    /// Has the disk answer all that a shard asked for.
    pub(crate) fn disk_answers(&mut self, shard: ShardNo) {
        self.act(|world| world.answer(shard, usize::MAX));
    }

    /// Says what a slow disk can take from now on; each shard hears of it when it runs.
    pub(crate) fn disk_is(&mut self, storage: Storage) {
        self.act(|world| world.turn_storage(storage));
    }

    /// Has the disk write all that it can be given, and answer nothing.
    pub(crate) fn disk_writes(&mut self) {
        self.act(World::write_all);
    }

    /// Kills the broker and starts another with the same disk, if it is a slow one; what was not synced is lost.
    pub(crate) fn crash(&mut self) {
        self.act(World::crash);
    }

    /// Keeps a shard from running.
    pub(crate) fn sleep(&mut self, shard: ShardNo) {
        self.asleep.insert(shard);
    }

    /// Lets a shard run again.
    pub(crate) fn wake(&mut self, shard: ShardNo) {
        self.asleep.remove(&shard);
    }

    /// Lets a shard run once.
    pub(crate) fn tick(&mut self, shard: ShardNo) {
        self.act(|world| world.tick(shard));
    }

    /// Lets the door run once.
    pub(crate) fn tick_door(&mut self) {
        self.act(World::tick_door);
    }

    /// Lets what is under way over a client's link arrive.
    pub(crate) fn deliver(&mut self, client: ClientNo) {
        let link = self.link(client);
        self.act(|world| world.deliver(link));
    }

    /// Lets what is under way over one link arrive.
    pub(crate) fn deliver_over(&mut self, link: LinkId) {
        self.act(|world| world.deliver(link));
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, seconds: u64) {
        self.world.pass(Millis::from_secs(seconds));
    }

    /// Begins a scene: everything before it has landed, and what is asked about begins here.
    pub(crate) fn scene(&mut self) {
        self.go_on();
        self.pass(2);
        self.scene = self.events.len();
    }

    /// Brings the scenario to its end: everybody wakes, what is owed arrives, all leave, and nothing is left.
    pub(crate) fn end(mut self) {
        self.asleep.clear();
        self.act(World::settle);
        self.act(World::abandon);
        for stats in self.world.stats() {
            assert_eq!((stats.sessions, stats.links, stats.queued, stats.groups), (0, 0, 0, 0));
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let _unseen = self.world.take_events();
            let first = self.events.len().saturating_sub(SHOWN);
            self.events[first..].iter().for_each(|event| eprintln!("  {event}"));
        }
    }
}
