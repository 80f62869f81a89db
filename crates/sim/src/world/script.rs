//! A world in which a script decides what happens next, and nothing is drawn: so a scenario leads the broker into one
//! race and no other.
//!
//! What the dice would decide goes its quiet way: bytes arrive when they are carried, and whole; the door judges a
//! CONNECT in one tick, checks it again in the next, and hands it over in the third.

use super::World;
use crate::broker;
use crate::dice::Dice;
use crate::event::ShardNo;
use crate::setup::Setup;
use keyward_broker::placement::{self, HashKey};
use keyward_broker::{LinkId, ShardIndex, Storage};
use keyward_ids::{ClientId, Identity};

impl World {
    /// Begins a world in which nothing is drawn; the seed of `setup` is of no account.
    pub fn scripted(setup: Setup) -> Self {
        Self::begin(setup, Dice::still())
    }

    /// Lets what is under way over one link arrive.
    pub fn deliver(&mut self, link: LinkId) {
        if let Some(wire) = self.wires.get_mut(&link) {
            wire.carry_all();
        }
        self.forget_wires();
    }

    /// Has the engine answer the oldest tickets of one shard, at most so many.
    pub fn answer(&mut self, shard: ShardNo, count: usize) {
        self.broker.answer(shard.0, count);
    }

    /// Has the engine write and sync what nobody waits for, and answer nothing.
    pub fn write_all(&mut self) {
        self.broker.flush();
    }

    /// Says what a slow engine can take from now on; that lies in every inbox then.
    pub fn turn_storage(&mut self, storage: Storage) {
        self.broker.turn_storage(storage);
    }
}

/// Returns the shard of a session, in a scripted world of so many shards.
pub fn home_of_session(identity: &Identity, client_id: &str, shards: u16) -> ShardNo {
    number(placement::shard_of(&key(), identity, &ClientId::new(client_id), shards))
}

/// Returns the shard of a topic's retained message, in a scripted world of so many shards.
pub fn home_of_topic(topic: &str, shards: u16) -> ShardNo {
    number(placement::topic_home(&key(), topic, shards))
}

/// Returns the shard of a shared group (`$share/NAME/FILTER`), in a scripted world of so many shards.
pub fn home_of_group(text: &str, shards: u16) -> ShardNo {
    number(placement::group_home(&key(), text, shards))
}

fn key() -> HashKey {
    broker::hash_key(&mut Dice::still())
}

fn number(shard: ShardIndex) -> ShardNo {
    ShardNo(usize::from(shard.0))
}
