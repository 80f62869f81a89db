//! What makes things durable: it answers tickets in order, each once (rule 13), and says what it can take (rule 19).

use super::inbox::{Inbox, Mail};
use crate::dice::Dice;
use crate::setup::EngineSetup;
use keyward_broker::{Storage, Ticket};
use std::collections::VecDeque;

/// Is the engine of a broker.
pub(crate) enum Engine {
    /// Answers at once, and has room for everything.
    Memory,
    /// Answers when it likes, and has room at times.
    Faulty(Faulty),
}

/// Is an engine that is slow and runs full.
pub(crate) struct Faulty {
    /// The tickets of each shard that wait.
    waiting: Vec<VecDeque<Ticket>>,
    /// What it can take; the shards hear of it one after another.
    storage: Storage,
}

impl Engine {
    pub(crate) fn new(setup: EngineSetup, shards: usize) -> Self {
        match setup {
            EngineSetup::Memory => Self::Memory,
            EngineSetup::Faulty => {
                Self::Faulty(Faulty { waiting: vec![VecDeque::new(); shards], storage: Storage::Open })
            }
        }
    }

    /// Takes a ticket of a shard. Tells whether the answer comes at once. What was taken is written, however full it is.
    pub(crate) fn store(&mut self, shard: usize, ticket: Ticket) -> bool {
        match self {
            Self::Memory => true,
            Self::Faulty(faulty) => {
                faulty.waiting[shard].push_back(ticket);
                false
            }
        }
    }

    /// Answers some tickets of one shard; now and then it runs full, or has room again.
    pub(crate) fn answer_some(&mut self, inboxes: &mut [Inbox], dice: &mut Dice) {
        let Self::Faulty(faulty) = self else { return };
        let shard = dice.below(faulty.waiting.len());
        let count = match dice.below(3) {
            0 => faulty.waiting[shard].len(),
            _ => dice.between(1, 3).min(faulty.waiting[shard].len()),
        };
        let turns = match faulty.storage {
            Storage::Open => dice.chance(15).then_some(Storage::Full),
            Storage::Full => dice.chance(100).then_some(Storage::Open),
            Storage::Broken => None,
        };
        if let Some(storage) = turns {
            self.turn(inboxes, storage);
        }
        self.answer(inboxes, shard, count);
    }

    /// Can take more, or less, from now on, and puts that into every inbox. What is broken stays so.
    pub(crate) fn turn(&mut self, inboxes: &mut [Inbox], storage: Storage) {
        let Self::Faulty(faulty) = self else { return };
        if faulty.storage != storage && faulty.storage != Storage::Broken {
            faulty.storage = storage;
            inboxes.iter_mut().for_each(|inbox| inbox.command(Mail::Storage(storage)));
        }
    }

    /// Answers the oldest tickets of one shard, at most so many.
    pub(crate) fn answer(&mut self, inboxes: &mut [Inbox], shard: usize, count: usize) {
        let Self::Faulty(Faulty { waiting, storage }) = self else { return };
        let count = if *storage == Storage::Broken { 0 } else { count.min(waiting[shard].len()) };
        if let Some(through) = waiting[shard].drain(..count).next_back() {
            inboxes[shard].command(Mail::Committed(through));
        }
    }

    /// Answers everything that waits.
    pub(crate) fn answer_all(&mut self, inboxes: &mut [Inbox]) {
        for shard in 0..inboxes.len() {
            self.answer(inboxes, shard, usize::MAX);
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        match self {
            Self::Memory => true,
            Self::Faulty(faulty) => faulty.waiting.iter().all(VecDeque::is_empty),
        }
    }
}
