//! One shard: everything that happens to its sessions, one input after the other.

use crate::attach::LinkId;
use crate::input::Input;
use crate::limits::Limits;
use crate::outbox::Outbox;
use crate::output::Output;
use crate::placement::{HashKey, ShardIndex};
use keyward_mqtt::time::{Millis, Now};

/// Numbers a session, over all shards; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Incarnation(pub(crate) u64);

/// Says what a shard is one of.
#[derive(Debug, Clone, Copy)]
pub struct ShardConfig {
    /// Which shard this is.
    pub index: ShardIndex,
    /// How many there are, 1 to [`SHARDS_MAX`](crate::placement::SHARDS_MAX).
    pub shards: u16,
    /// The broker's hash key.
    pub hash_key: HashKey,
    /// The broker's bounds.
    pub limits: Limits,
}

/// Counts what a shard holds and did, for `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ShardStats {
    /// Sessions, connected or not.
    pub sessions: u64,
    /// Sessions with a link.
    pub links: u64,
    /// Subscriptions.
    pub subscriptions: u64,
    /// Retained messages on this shard.
    pub retained: u64,
    /// Bytes of these.
    pub retained_bytes: u64,
    /// Messages in queues or under way.
    pub queued: u64,
    /// Bytes of these; what is shared counts for each queue.
    pub queued_bytes: u64,
    /// Messages received from clients, since the start.
    pub received: u64,
    /// Messages written to clients, since the start.
    pub sent: u64,
    /// Messages that matched a subscription but that the subscriber may not read, since the start.
    pub withheld: u64,
}

/// Is the routing core. See the crate's documentation for how to use one.
#[derive(Debug)]
pub struct Shard {}

impl Shard {
    /// Makes an empty shard. Until it is given a policy and a directory it refuses everything.
    pub fn new(config: ShardConfig) -> Self {
        todo!("{config:?}")
    }

    /// Takes one input.
    pub fn handle(&mut self, now: Now, input: Input<'_>) {
        todo!("{now:?} {input:?}")
    }

    /// Returns the next output; `None` when there is none before the next input.
    pub fn poll_output(&mut self) -> Option<Output> {
        todo!()
    }

    /// Returns when [`Input::Timeout`] is due; a time that is not later than the last input's means at once.
    pub fn poll_timeout(&self) -> Option<Millis> {
        todo!()
    }

    /// Takes the bytes that wait for `link`. Give the outbox back with [`Shard::recycle`] once it is written, and say
    /// [`Input::Written`] when everything taken has been.
    pub fn take_outbox(&mut self, link: LinkId) -> Option<Outbox> {
        todo!("{link:?}")
    }

    /// Takes an outbox back for its buffers; what is still in it is dropped.
    pub fn recycle(&mut self, outbox: Outbox) {
        todo!("{outbox:?}")
    }

    /// Counts what the shard holds and did.
    pub fn stats(&self) -> ShardStats {
        todo!()
    }
}
