//! Everything that goes from the shard to one session: messages, offered, queued and paced by what the client takes,
//! and answers in the order of its packets.

mod answer;
mod offer;
mod pump;
mod share;
mod write;

use crate::law::Law;
use crate::limits::Limits;
use crate::outgoing::Outgoing;
use crate::permit::Entitled;
use crate::placement::HashKey;
use crate::retained::Holding;
use crate::session::{Session, SessionRef};
use crate::shard::ShardStats;
use keyward_mqtt::time::Millis;

pub(crate) use offer::Offer;

/// Is one session with all that a delivery to it needs to know.
#[derive(Debug)]
pub(crate) struct Delivery<'a> {
    pub(crate) at: SessionRef,
    pub(crate) session: &'a mut Session,
    pub(crate) entitled: Entitled<'a>,
    pub(crate) law: &'a Law,
    pub(crate) out: &'a mut Outgoing,
    pub(crate) stats: &'a mut ShardStats,
    /// Whether the credentials hold with which the link was opened. If not, it is about to be closed.
    pub(crate) is_current: bool,
    pub(crate) terms: Terms<'a>,
    /// What the queues of its principal held before this delivery, those of its other sessions included.
    pub(crate) principal_holds: Holding,
    /// What the session itself held before this delivery.
    pub(crate) held_before: Holding,
    /// Bytes that waited for the links of its principal before this delivery, and for those of all.
    pub(crate) principal_outboxes: usize,
    pub(crate) outboxes_before: usize,
}

/// Is what is the same for all deliveries of one input.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Terms<'a> {
    pub(crate) now: Millis,
    pub(crate) limits: &'a Limits,
    pub(crate) hash_key: HashKey,
    pub(crate) shards: u16,
    pub(crate) progress: Progress,
    pub(crate) pressure: Pressure,
    /// Bytes that were left of the shard's portion of `memory_total` before this delivery.
    pub(crate) memory_left: usize,
    /// Messages and bytes that the principal of this session may have in its queues on this shard.
    pub(crate) principal_bound: Holding,
    /// Bytes that may wait for the links of this principal.
    pub(crate) outboxes_bound: usize,
}

/// Says how far what answers wait for has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Progress {
    /// Everything up to this ticket is answered by the store.
    pub(crate) committed: crate::input::Ticket,
    /// Our interest up to this token is known to all shards.
    pub(crate) settled: u64,
}

/// Says how short memory is (invariant 11).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Pressure {
    /// There is enough.
    None,
    /// Above 80 %: QoS 0 is not held for links that are behind.
    High,
    /// Above 90 %: nothing more is queued.
    Critical,
}

impl Delivery<'_> {
    /// Tells whether there is a link that may be given messages.
    fn is_connected(&self) -> bool {
        self.is_current && self.session.link.as_ref().is_some_and(|link| link.established)
    }

    /// Tells whether the link may be given another message.
    fn can_write(&self) -> bool {
        let bound = match self.terms.pressure {
            Pressure::None => self.terms.limits.outbox_bytes,
            Pressure::High => self.terms.limits.outbox_bytes / 8,
            Pressure::Critical => self.terms.limits.outbox_bytes / 64,
        };
        self.is_connected()
            && self.session.link.as_ref().is_some_and(|link| link.waiting_bytes() < bound)
            && self.outboxes_have_room()
    }

    /// Tells whether more may wait for the links of this principal.
    fn outboxes_have_room(&self) -> bool {
        // All that is written in a delivery is for the links of one principal.
        let waits = (self.principal_outboxes + self.out.outbox_bytes).saturating_sub(self.outboxes_before);
        waits < self.terms.outboxes_bound
    }

    /// Tells whether the link takes more, only there is no room for it among the outboxes of its principal: nothing will
    /// be written to it that could set it going again.
    pub(crate) fn is_starved(&self) -> bool {
        !self.outboxes_have_room()
            && self.is_connected()
            && self.session.link.as_ref().is_some_and(|link| link.waiting_bytes() == 0)
    }
}
