//! What this shard has of the bounds that hold for the whole broker or for one identity.

use super::ShardConfig;
use crate::retained::Holding;
use keyward_ids::{Identity, Kind};

/// Returns a shard's portion of what is meant for all; never nothing.
pub(super) fn portion(total: usize, shards: u16) -> usize {
    (total / usize::from(shards)).max(1)
}

/// Returns what is leased to this shard of a bound per identity: a device has all its sessions here, a user's are
/// spread (rule 4).
pub(super) fn lease(total: usize, identity: &Identity, shards: u16) -> usize {
    match identity.kind() {
        Kind::Device => total,
        Kind::User => portion(total, shards),
    }
}

/// Returns how many bytes may wait here for all links of an identity.
pub(super) fn outboxes_bound(config: &ShardConfig, identity: &Identity) -> usize {
    lease(config.limits.outbox_bytes_per_identity, identity, config.shards)
}

/// Returns how much may be queued here for all sessions of an identity.
pub(super) fn queue_bound(config: &ShardConfig, identity: &Identity) -> Holding {
    let limits = &config.limits;
    let bytes = lease(limits.queue_bytes_per_identity, identity, config.shards);
    Holding::bound(lease(limits.queue_messages_per_identity, identity, config.shards), bytes)
}
