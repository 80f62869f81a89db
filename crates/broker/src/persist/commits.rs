//! What the shell is told to make durable, and what follows.

use super::publication::Publication;
use crate::input::Ticket;
use crate::placement::ShardIndex;
use std::collections::VecDeque;

/// Numbers what the shell is told to make durable. Tickets come in the order of inputs; what a retained message waits
/// for does not stand behind publications whose places are still being gathered: of two shards each may wait for the other's
/// slot.
#[derive(Debug, Default)]
pub(super) struct Commits {
    number: u64,
    said: Ticket,
    answered: Ticket,
    unanswered: VecDeque<Commit>,
    /// Publications whose slots are durable, not told yet.
    pub(super) slotted: VecDeque<(ShardIndex, Publication)>,
}

#[derive(Debug)]
struct Commit {
    number: u64,
    through: Ticket,
    slots: Vec<(ShardIndex, Publication)>,
}

impl Commits {
    pub(super) fn say(
        &mut self,
        through: Ticket,
        slots: &mut Vec<(ShardIndex, Publication)>,
    ) -> Option<Ticket> {
        if through <= self.said && slots.is_empty() {
            return None;
        }
        self.said = self.said.max(through);
        self.number += 1;
        let slots = core::mem::take(slots);
        self.unanswered.push_back(Commit { number: self.number, through: self.said, slots });
        Some(Ticket(self.number))
    }

    pub(super) fn answered(&mut self, number: Ticket) -> Ticket {
        while let Some(commit) = self.unanswered.pop_front_if(|first| first.number <= number.0) {
            self.answered = self.answered.max(commit.through);
            self.slotted.extend(commit.slots);
        }
        self.answered
    }
}
