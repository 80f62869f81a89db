//! What the shard has recorded, on its way to the committer and back.

use crate::plane::committer::{Desk, Submission};
use keyward_broker::persist::Entry;
use keyward_broker::{Shard, ShardIndex, Ticket};
use std::sync::Arc;

/// Hands in one entry at a time.
pub(super) struct Commits {
    desk: Option<Arc<Desk>>,
    index: ShardIndex,
    /// Somebody waits for everything up to this ticket.
    awaited: Option<Ticket>,
    /// Empty, with buffers; `None` while an entry is under way.
    spare: Option<Entry>,
    /// Whether the shard had nothing to write when it was asked last.
    is_idle: bool,
}

impl Commits {
    pub(super) fn new(desk: Option<Arc<Desk>>, index: ShardIndex) -> Self {
        Self { desk, index, awaited: None, spare: Some(Entry::default()), is_idle: true }
    }

    /// Notes that somebody waits for a ticket. Returns false if there is no store.
    pub(super) fn await_ticket(&mut self, through: Ticket) -> bool {
        if self.desk.is_some() {
            self.awaited = Some(through);
        }
        self.desk.is_some()
    }

    /// Hands in what was recorded since the last time, if the last entry is written.
    pub(super) fn hand_in(&mut self, shard: &mut Shard) {
        let Some(desk) = &self.desk else { return };
        self.is_idle = false;
        let Some(mut entry) = self.spare.take() else { return };
        shard.take_entry(&mut entry);
        let through = self.awaited.take();
        if entry.is_empty() && through.is_none() {
            self.is_idle = true;
            self.spare = Some(entry);
            return;
        }
        desk.submit(self.index, Submission { entry, through });
    }

    /// Takes an entry back that is written.
    pub(super) fn take_back(&mut self, entry: Entry) {
        self.spare = Some(entry);
    }

    /// Tells whether everything that was recorded is written.
    pub(super) fn are_written(&self) -> bool {
        self.desk.is_none() || (self.is_idle && self.spare.is_some())
    }
}
