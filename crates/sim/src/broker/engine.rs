//! What makes things durable: it answers tickets in order, each once (rule 13).

use super::inbox::{Inbox, Mail};
use crate::dice::Dice;
use crate::setup::EngineSetup;
use keyward_broker::{CommitOutcome, Ticket};
use std::collections::VecDeque;

/// Is the engine of a broker.
pub(crate) enum Engine {
    /// Answers at once.
    Memory,
    /// Answers when it likes; holds the tickets of each shard that wait.
    Faulty(Vec<VecDeque<Ticket>>),
}

impl Engine {
    pub(crate) fn new(setup: EngineSetup, shards: usize) -> Self {
        match setup {
            EngineSetup::Memory => Self::Memory,
            EngineSetup::Faulty => Self::Faulty(vec![VecDeque::new(); shards]),
        }
    }

    /// Takes a ticket of a shard; returns the answer if it comes at once.
    pub(crate) fn store(&mut self, shard: usize, ticket: Ticket) -> Option<CommitOutcome> {
        match self {
            Self::Memory => Some(CommitOutcome::Durable),
            Self::Faulty(waiting) => {
                waiting[shard].push_back(ticket);
                None
            }
        }
    }

    /// Answers some tickets of one shard, now and then that there is no room.
    pub(crate) fn answer_some(&mut self, inboxes: &mut [Inbox], dice: &mut Dice) {
        let Self::Faulty(waiting) = self else { return };
        let shard = dice.below(waiting.len());
        let count = match dice.below(3) {
            0 => waiting[shard].len(),
            _ => dice.between(1, 3).min(waiting[shard].len()),
        };
        let outcome = if dice.chance(60) { CommitOutcome::NoRoom } else { CommitOutcome::Durable };
        self.answer(inboxes, shard, count, outcome);
    }

    /// Answers the oldest tickets of one shard, at most so many.
    pub(crate) fn answer(
        &mut self,
        inboxes: &mut [Inbox],
        shard: usize,
        count: usize,
        outcome: CommitOutcome,
    ) {
        let Self::Faulty(waiting) = self else { return };
        let count = count.min(waiting[shard].len());
        if let Some(through) = waiting[shard].drain(..count).next_back() {
            inboxes[shard].command(Mail::Committed { through, outcome });
        }
    }

    /// Answers everything that waits: it is durable.
    pub(crate) fn answer_all(&mut self, inboxes: &mut [Inbox]) {
        let Self::Faulty(waiting) = self else { return };
        for (waiting, inbox) in waiting.iter_mut().zip(inboxes) {
            if let Some(through) = waiting.drain(..).next_back() {
                inbox.command(Mail::Committed { through, outcome: CommitOutcome::Durable });
            }
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        match self {
            Self::Memory => true,
            Self::Faulty(waiting) => waiting.iter().all(VecDeque::is_empty),
        }
    }
}
