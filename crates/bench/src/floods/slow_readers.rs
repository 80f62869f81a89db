//! Readers that subscribe and then read nothing, and somebody who writes to them.

use super::Flood;
use super::scene::{Attacker, Tally};
use crate::caller::Caller;
use crate::error::BenchError;

pub(super) const FLOOD: Flood = Flood {
    name: "slow-readers",
    what: "as many links as one identity gets that read nothing, half at QoS 1; counted are messages of 10 kB to all",
    may_grow: 64_000_000 + 100 * 2 * 256 * 1024,
    because: "`queue_bytes_per_identity`, `outbox_bytes` and `UNSENT_BYTES` of 100 links",
    offender: &["user:attacker", "receiver is slow"],
    enough: 1_000,
    attack,
};

/// More than `connections_per_identity`.
const LINKS: u64 = 200;
/// Messages in one write.
const BATCH: usize = 5;
/// Messages in all.
const MOST: u64 = 100_000;

fn attack(attacker: &Attacker) -> Result<Tally, BenchError> {
    let mut writer = attacker.plain.log_in("writer", false)?;
    let mut tally = Tally::default();
    let mut readers = Vec::new();
    for number in 0..LINKS {
        match subscribed(attacker, number) {
            Ok(reader) => readers.push(reader),
            Err(_) => tally.refused += 1,
        }
    }
    let topics = vec!["attack/slow".to_owned(); BATCH];
    while attacker.has_time() && tally.done < MOST {
        tally.refused += writer.publish_all(&topics, &[b'x'; 10_000], false)?;
        tally.done += BATCH as u64;
    }
    Ok(tally)
}

fn subscribed(attacker: &Attacker, number: u64) -> Result<Caller, BenchError> {
    let mut reader = attacker.plain.log_in(&format!("reader{number}"), false)?;
    reader.subscribe(["attack/slow"], (number % 2) as u8)?;
    Ok(reader)
}
