//! What the shard makes the process hold, in bytes, and how short memory is (invariant 11). Counted are queues,
//! outboxes, retained messages, sessions with their links and wills, subscriptions and the copies of their filters at
//! other shards, messages that wait for their fan-out or the disk, and what the shell holds for the links of the shard.

use super::Shard;
use super::portion::portion;
use crate::delivery::Pressure;

impl Shard {
    /// Returns the bytes that count against the shard's portion of `memory_total`.
    pub(super) fn memory(&self) -> usize {
        self.queued.in_memory()
            + self.retained.held().bytes
            + self.out.outbox_bytes
            + self.session_bytes
            + self.subscription_bytes
            + self.interest.copied_bytes()
            + self.fanouts.bytes()
            + self.commits.bytes()
            + self.out.record.bytes()
            + self.out.pages.bytes()
            + self.windows.bytes()
            + self.burden
    }

    /// Returns the bytes that the shard may hold in all.
    fn memory_bound(&self) -> usize {
        portion(self.config.limits.memory_total, self.config.shards)
    }

    /// Returns the bytes that are left.
    pub(super) fn memory_left(&self) -> usize {
        self.memory_bound().saturating_sub(self.memory())
    }

    pub(super) fn pressure(&self) -> Pressure {
        let (used, total) = (self.memory(), self.memory_bound());
        if used >= total / 10 * 9 {
            Pressure::Critical
        } else if used >= total / 10 * 8 {
            Pressure::High
        } else {
            Pressure::None
        }
    }

    /// Counts a session anew after something of it has changed that is not among the queues.
    pub(super) fn weigh(&mut self, slot: u32) {
        let is_short = self.pressure() == Pressure::Critical;
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        if is_short {
            session.forget_decisions();
        }
        let (before, after) = session.weigh();
        self.session_bytes = self.session_bytes + after - before;
    }
}
