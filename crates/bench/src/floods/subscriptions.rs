//! Subscriptions by the hundred thousand, each to a filter of its own.

use super::Flood;
use super::scene::{Attacker, Tally};
use crate::error::BenchError;

pub(super) const FLOOD: Flood = Flood {
    name: "subscriptions",
    what: "subscriptions to ever new filters of five levels, 100 in a packet, 20 links of one identity",
    may_grow: 32_000_000,
    because: "`subscription_bytes_per_identity`",
    offender: &["user:attacker", "subscription"],
    enough: 40_000,
    attack,
};

const LINKS: u64 = 20;
/// Filters in one packet.
const BATCH: u64 = 100;
/// Filters in all.
const MOST: u64 = 10_000_000;

fn attack(attacker: &Attacker) -> Result<Tally, BenchError> {
    let mut links = attacker.links("hoard", LINKS)?;
    let mut tally = Tally::default();
    while attacker.has_time() && tally.done < MOST {
        for link in &mut links {
            let filters: Vec<String> =
                (0..BATCH).map(|n| format!("attack/house/{}/room/{n}", tally.done)).collect();
            tally.refused += link.subscribe_all(&filters)?;
            tally.done += BATCH;
        }
    }
    Ok(tally)
}
