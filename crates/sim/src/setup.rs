//! What a run begins with: drawn from its seed, or put together by a scenario.

use crate::dice::Dice;
use crate::rules::{Rule, Rules};
use core::num::NonZeroU16;
use keyward_broker::Limits;
use keyward_ids::Identity;
use keyward_mqtt::packet::Version;
use keyward_mqtt::time::Millis;
use keyward_policy::{Action, Effect};
use std::sync::Arc;

/// Is what a run begins with.
#[derive(Debug, Clone)]
pub struct Setup {
    /// From which everything that happens is drawn, the hash keys of brokers too.
    pub seed: u64,
    /// How many shards, 1 to 8.
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
    /// Whether what a slow engine has on disk is there after a crash; if not, the next broker begins with nothing.
    pub disk: bool,
    /// Whether what devices publish must be signed. A device has a key that the world knows.
    pub signed: bool,
    /// Bytes that each sender may have in an inbox; `None`: drawn anew for each broker process.
    pub inbox_bytes: Option<usize>,
}

/// Is one client program. No two have one account and one client id, but for an empty one.
#[derive(Debug, Clone)]
pub struct ClientSetup {
    /// Whose credentials it has: an index into [`Setup::accounts`].
    pub account: usize,
    /// Its client id; programs of other accounts may have the same. With an empty one it gets another at each CONNECT.
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
    /// At once; it has room for everything.
    Memory,
    /// Late, in order, several at once; now and then it is [`Full`](keyward_broker::Storage::Full) for a while.
    Faulty,
}

/// The topics of drawn worlds.
pub(crate) const TOPICS: [&str; 9] =
    ["pump/a", "pump/b", "lamp/a", "devices/lamp/b", "site/a", "site/b", "site/b/c", "all", "site"];

/// The filters of drawn worlds.
pub(crate) const FILTERS: [&str; 16] = [
    "#",
    "pump/#",
    "pump/a",
    "lamp/+",
    "devices/+/b",
    "site/#",
    "site/+",
    "site/b/c",
    "site/a",
    "+/a",
    "all",
    "+",
    "$share/one/site/#",
    "$share/one/+/a",
    "$share/two/site/#",
    "$share/two/all",
];

/// What rules of drawn worlds speak of.
const GRANTS: [&str; 9] = ["#", "site/#", "site/+", "site/b", "pump/#", "pump/b", "+/a", "all", "lamp/#"];

impl Setup {
    /// Draws a setup from a seed; `disk` says whether what is on disk survives crashes.
    ///
    /// # Panics
    /// The names of the accounts are no names: a mistake in this module.
    pub fn draw(seed: u64, shards: u16, disk: bool) -> Self {
        let mut dice = Dice::new(seed ^ 0x5E7B_0F5E_ED00);
        let names = ["device:pump", "device:lamp", "user:app", "user:eve"];
        let accounts: Vec<Identity> = names.iter().map(|name| account(name)).collect();
        let clients = draw_clients(&mut dice, accounts.len());
        let rules = Arc::new(draw_rules(&mut dice, &accounts));
        let engine = dice.one_of([EngineSetup::Memory, EngineSetup::Faulty, EngineSetup::Faulty]);
        let limits = draw_limits(&mut dice);
        Self {
            seed,
            shards,
            limits,
            accounts,
            clients,
            rules,
            engine,
            disk,
            signed: false,
            inbox_bytes: None,
        }
    }
}

fn account(name: &str) -> Identity {
    match name.parse() {
        Ok(identity) => identity,
        Err(error) => panic!("{name} {error}"),
    }
}

fn draw_clients(dice: &mut Dice, accounts: usize) -> Vec<ClientSetup> {
    let mut clients = Vec::new();
    for account in 0..accounts {
        // The same client ids in every account: a session belongs to an identity.
        for number in 0..dice.between(2, 3) {
            clients.push(ClientSetup {
                account,
                client_id: format!("c{number}"),
                version: dice.one_of([Version::V31, Version::V311, Version::V5, Version::V5]),
                is_honest: !dice.chance(150),
            });
        }
    }
    clients
}

/// Draws rules: mostly generous, so that messages flow, and each time different ones.
pub(crate) fn draw_rules(dice: &mut Dice, accounts: &[Identity]) -> Rules {
    let mut rules = Vec::new();
    for who in accounts {
        let generous = dice.chance(650);
        let topics = if generous { vec!["#".to_owned()] } else { draw_grants(dice) };
        let mut actions = match dice.below(9) {
            0 => vec![Action::Publish],
            1 => vec![Action::Subscribe],
            _ => vec![Action::Publish, Action::Subscribe],
        };
        if dice.chance(700) {
            actions.push(Action::Share);
        }
        rules.push(Rule { who: who.clone(), effect: Effect::Allow, actions, topics });
        if dice.chance(300) {
            let action = dice.one_of([Action::Publish, Action::Subscribe, Action::Receive, Action::Share]);
            let topics = draw_grants(dice);
            rules.push(Rule { who: who.clone(), effect: Effect::Deny, actions: vec![action], topics });
        }
    }
    Rules(rules)
}

fn draw_grants(dice: &mut Dice) -> Vec<String> {
    let mut grants: Vec<String> = Vec::new();
    for _ in 0..dice.between(1, 3) {
        let grant = dice.one_of(GRANTS).to_owned();
        if !grants.contains(&grant) {
            grants.push(grant);
        }
    }
    grants
}

/// Draws bounds, some of them so small that they are reached.
fn draw_limits(dice: &mut Dice) -> Limits {
    let mut limits = Limits { session_expiry: Millis::from_secs(900), ..Limits::default() };
    limits.keep_alive_secs = NonZeroU16::MIN.saturating_add(59);
    let small = |dice: &mut Dice, bound: &mut usize, choices: [usize; 3]| {
        if dice.chance(150) {
            *bound = dice.one_of(choices);
        }
    };
    small(dice, &mut limits.queue_messages, [4, 12, 40]);
    small(dice, &mut limits.queue_bytes, [1_600, 4_000, 16_000]);
    small(dice, &mut limits.queue_messages_per_identity, [12, 40, 90]);
    small(dice, &mut limits.sessions_per_identity, [3, 6, 9]);
    small(dice, &mut limits.subscriptions_per_session, [1, 3, 5]);
    small(dice, &mut limits.subscriptions_per_identity, [3, 6, 12]);
    small(dice, &mut limits.wildcards_per_identity, [3, 6, 12]);
    small(dice, &mut limits.retained, [6, 9, 12]);
    small(dice, &mut limits.retained_per_identity, [3, 6, 9]);
    small(dice, &mut limits.outbox_bytes, [100, 300, 1_500]);
    small(dice, &mut limits.memory_total, [200_000, 320_000, 480_000]);
    if dice.chance(200) {
        // What is waiting for a slow client may be so much that not even answers have room.
        limits.outbox_bytes = 100;
        limits.outbox_bytes_hard = 600;
    }
    let few = |dice: &mut Dice| NonZeroU16::MIN.saturating_add(dice.one_of([0, 1, 3, 9]));
    if dice.chance(400) {
        limits.in_flight = few(dice);
    }
    if dice.chance(400) {
        limits.receive_maximum = few(dice);
    }
    limits
}
