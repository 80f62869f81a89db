//! What a shard holds and did, in figures.

use super::Shard;
use crate::output::Unfit;

/// Counts what a shard holds and did, for `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShardStats {
    /// Sessions, connected or not.
    pub sessions: u64,
    /// Sessions with a link.
    pub links: u64,
    /// Subscriptions that are not shared.
    pub subscriptions: u64,
    /// Shared subscriptions.
    pub shared_subscriptions: u64,
    /// Shared groups on this shard.
    pub groups: u64,
    /// Retained messages on this shard.
    pub retained: u64,
    /// Bytes of these.
    pub retained_bytes: u64,
    /// Messages in queues or under way.
    pub queued: u64,
    /// Bytes of these; what is shared counts for each queue.
    pub queued_bytes: u64,
    /// Bytes that wait for links to be written.
    pub outbox_bytes: u64,
    /// Packets that wait there.
    pub outbox_packets: u64,
    /// Messages received from clients, since the start.
    pub received: u64,
    /// Bytes of their payloads.
    pub received_payload: u64,
    /// Messages written to clients, since the start.
    pub sent: u64,
    /// Bytes of their payloads.
    pub sent_payload: u64,
    /// Messages that were to be sent and were lost because a receiver or this shard was behind, since the start.
    pub dropped: u64,
    /// Packets received from clients, CONNECT included, since the start.
    pub packets_received: u64,
    /// Packets written for clients, since the start; farewells are not counted.
    pub packets_sent: u64,
    /// Bytes of these.
    pub bytes_sent: u64,
    /// Bytes that count against `memory_total` (invariant 11).
    pub memory: u64,
    /// Sessions that ended because nobody came back for them, since the start.
    pub expired: u64,
    /// Messages that matched a subscription but that the subscriber may not read, since the start.
    pub withheld: u64,
    /// Signed messages that were verified and counted, since the start.
    pub verified: u64,
    /// Signed messages that came again and went to nobody, since the start.
    pub repeated: u64,
    /// Messages that did not count as signed where that was looked at, since the start: in the order of [`Unfit::ALL`].
    pub unfit: [u64; Unfit::ALL.len()],
    /// Bytes of messages that wait to be verified, now.
    pub unchecked_bytes: u64,
}

impl ShardStats {
    /// Adds the figures of another shard.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            sessions: self.sessions + other.sessions,
            links: self.links + other.links,
            subscriptions: self.subscriptions + other.subscriptions,
            shared_subscriptions: self.shared_subscriptions + other.shared_subscriptions,
            groups: self.groups + other.groups,
            retained: self.retained + other.retained,
            retained_bytes: self.retained_bytes + other.retained_bytes,
            queued: self.queued + other.queued,
            queued_bytes: self.queued_bytes + other.queued_bytes,
            outbox_bytes: self.outbox_bytes + other.outbox_bytes,
            outbox_packets: self.outbox_packets + other.outbox_packets,
            received: self.received + other.received,
            received_payload: self.received_payload + other.received_payload,
            sent: self.sent + other.sent,
            sent_payload: self.sent_payload + other.sent_payload,
            dropped: self.dropped + other.dropped,
            packets_received: self.packets_received + other.packets_received,
            packets_sent: self.packets_sent + other.packets_sent,
            bytes_sent: self.bytes_sent + other.bytes_sent,
            memory: self.memory + other.memory,
            expired: self.expired + other.expired,
            withheld: self.withheld + other.withheld,
            verified: self.verified + other.verified,
            repeated: self.repeated + other.repeated,
            unfit: core::array::from_fn(|at| {
                self.unfit.get(at).unwrap_or(&0) + other.unfit.get(at).unwrap_or(&0)
            }),
            unchecked_bytes: self.unchecked_bytes + other.unchecked_bytes,
        }
    }
}

impl Shard {
    /// Counts what the shard holds and did.
    pub fn stats(&self) -> ShardStats {
        let retained = self.retained.held();
        ShardStats {
            sessions: self.sessions.len() as u64,
            links: self.by_link.len() as u64,
            subscriptions: self.subscriptions as u64,
            shared_subscriptions: self.memberships.held as u64,
            groups: self.groups.len() as u64,
            retained: retained.messages as u64,
            retained_bytes: retained.bytes as u64,
            queued: self.queued.messages as u64,
            queued_bytes: self.queued.bytes as u64,
            outbox_bytes: self.out.outbox_bytes as u64,
            outbox_packets: self.out.outbox_packets as u64,
            memory: self.memory() as u64,
            unchecked_bytes: self.unchecked.bytes() as u64,
            packets_sent: self.out.packets_sent,
            bytes_sent: self.out.bytes_sent,
            ..self.stats
        }
    }
}
