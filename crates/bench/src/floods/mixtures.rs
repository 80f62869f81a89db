//! Topics of twelve levels with all mixtures of `+` and literals: 4,096 filters that overlap on one topic, and messages
//! to it.

use super::Flood;
use super::scene::{Attacker, Tally};
use crate::error::BenchError;

pub(super) const FLOOD: Flood = Flood {
    name: "mixtures",
    what: "all 4,096 mixtures of + and literals in twelve levels, then messages to the one topic that all match; counted \
           are filters and messages",
    may_grow: 32_000_000,
    because: "`subscription_bytes_per_identity`",
    offender: &["user:attacker", "wildcards_per_identity"],
    enough: 4_096,
    attack,
};

const LINKS: u64 = 8;
const LEVELS: u32 = 12;
/// Filters in one packet.
const BATCH: usize = 64;
/// Messages in one write.
const MESSAGES: usize = 10;
/// Messages in all.
const MOST: u64 = 10_000_000;

fn attack(attacker: &Attacker) -> Result<Tally, BenchError> {
    let mut links = attacker.links("mix", LINKS)?;
    let mut tally = Tally::default();
    let filters: Vec<String> = (0..1 << LEVELS).map(mixture).collect();
    for (batch, number) in filters.chunks(BATCH).zip((0..links.len()).cycle()) {
        tally.refused += links[number].subscribe_all(batch)?;
        tally.done += batch.len() as u64;
    }
    let topics = vec![mixture(0); MESSAGES];
    while attacker.has_time() && tally.done < MOST {
        for link in &mut links {
            tally.refused += link.publish_all(&topics, b"x", false)?;
            tally.done += MESSAGES as u64;
        }
    }
    Ok(tally)
}

/// Returns a filter whose levels are `+` where `bits` has a one.
fn mixture(bits: u32) -> String {
    let level = |n: u32| if bits >> n & 1 == 1 { "/+".to_owned() } else { format!("/level{n}") };
    std::iter::once("attack".to_owned()).chain((0..LEVELS).map(level)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mixtures_of_twelve_levels_are_4096_different_filters() {
        let all: std::collections::BTreeSet<String> = (0..1 << LEVELS).map(mixture).collect();
        assert_eq!(all.len(), 4_096);
        assert!(all.iter().all(|filter| filter.split('/').count() == 13));
        assert!(mixture(5).starts_with("attack/+/level1/+/level3/"));
    }
}
