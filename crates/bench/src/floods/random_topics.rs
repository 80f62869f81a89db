//! A publisher of random topics: what is remembered of a topic never helps.

use super::Flood;
use super::scene::{Attacker, Tally};
use crate::error::BenchError;

pub(super) const FLOOD: Flood = Flood {
    name: "random-topics",
    what: "messages of QoS 1 that each have another topic of twelve levels, two links of one identity",
    may_grow: 2 * 10 * 1024 * 1024,
    because: "`ROUTES` and `KEPT_MESSAGES` of two shards",
    offender: &["user:attacker", "busy_rate"],
    enough: 100_000,
    attack,
};

/// At most as many shards are touched.
const LINKS: u64 = 2;
/// Messages in one write: below the receive maximum that Keyward announces.
const BATCH: u64 = 200;
/// Messages in all.
const MOST: u64 = 10_000_000;

fn attack(attacker: &Attacker) -> Result<Tally, BenchError> {
    let mut links = attacker.links("random", LINKS)?;
    let mut tally = Tally::default();
    while attacker.has_time() && tally.done < MOST {
        for link in &mut links {
            let topics: Vec<String> = (tally.done..tally.done + BATCH).map(topic).collect();
            tally.refused += link.publish_all(&topics, b"x", false)?;
            tally.done += BATCH;
        }
    }
    Ok(tally)
}

/// Returns a topic that looks random, another for each number.
fn topic(number: u64) -> String {
    let mixed = number.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let level = |n: u32| format!("/{:x}", mixed.rotate_left(n * 5) as u16);
    std::iter::once("attack".to_owned()).chain((1..12).map(level)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn topics_have_twelve_levels_and_do_not_come_again() {
        let topics: std::collections::BTreeSet<String> = (0..10_000).map(topic).collect();
        assert_eq!(topics.len(), 10_000);
        assert!(topics.iter().all(|topic| topic.split('/').count() == 12));
    }
}
