//! Retained messages by the hundred thousand, each on a topic of its own.

use super::Flood;
use super::scene::{Attacker, Tally};
use crate::error::BenchError;

pub(super) const FLOOD: Flood = Flood {
    name: "retained",
    what: "retained messages of 64 bytes on ever new topics at QoS 1, four links of one identity",
    may_grow: 64_000_000,
    because: "`retained_bytes_per_identity`",
    offender: &["user:attacker", "retained"],
    enough: 100_000,
    attack,
};

/// Messages in all.
const MOST: u64 = 10_000_000;
/// Messages in one write: below the receive maximum that Keyward announces.
const BATCH: u64 = 100;
const LINKS: u64 = 4;

fn attack(attacker: &Attacker) -> Result<Tally, BenchError> {
    let mut links = attacker.links("hoard", LINKS)?;
    let mut tally = Tally::default();
    while attacker.has_time() && tally.done < MOST {
        for link in &mut links {
            let topics: Vec<String> = (0..BATCH).map(|n| format!("attack/kept/{}", tally.done + n)).collect();
            tally.refused += link.publish_all(&topics, &[b'x'; 64], true)?;
            tally.done += BATCH;
        }
    }
    Ok(tally)
}
