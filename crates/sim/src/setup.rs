//! What a run begins with: drawn from its seed, or put together by a scenario.

use crate::rules::Rules;
use keyward_broker::Limits;
use keyward_ids::Identity;
use keyward_mqtt::packet::Version;
use std::sync::Arc;

/// Is what a run begins with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// From which everything that happens is drawn, the hash keys of brokers too.
    pub seed: u64,
    /// How many shards, 1 to 3.
    pub shards: u16,
    /// The broker's bounds.
    pub limits: Limits,
    /// The identities. All are in the registry at the start: active, epoch 1, revision 0.
    pub accounts: Vec<Identity>,
    /// The client programs.
    pub clients: Vec<ClientSetup>,
    /// The rules at the start: generation 0.
    pub rules: Arc<Rules>,
    /// How the engine answers.
    pub engine: EngineSetup,
}

/// Is one client program. No two have one account and one client id.
#[derive(Debug, Clone)]
pub struct ClientSetup {
    /// Whose credentials it has: an index into [`Setup::accounts`].
    pub account: usize,
    /// Its client id. Programs of other accounts may have the same.
    pub client_id: String,
    /// Which version it speaks.
    pub version: Version,
    /// Whether it keeps the rules of the protocol. Of what a rude one is owed nothing is promised, but others are
    /// protected from it.
    pub is_honest: bool,
}

/// Says how the engine answers tickets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EngineSetup {
    /// At once, always [`Durable`](keyward_broker::CommitOutcome::Durable).
    Memory,
    /// Late, in order, several at once; now and then [`NoRoom`](keyward_broker::CommitOutcome::NoRoom).
    Faulty,
}
