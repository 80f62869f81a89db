//! Members of shared groups that come and go while messages are shared among them.

use super::Flood;
use super::scene::{Attacker, Tally};
use crate::error::BenchError;

pub(super) const FLOOD: Flood = Flood {
    name: "shares",
    what: "ten links that join 100 groups each, publish to them and leave, again and again; counted are joins",
    may_grow: 32_000_000,
    because: "`subscription_bytes_per_identity`",
    offender: &["user:attacker", "busy_rate"],
    enough: 20_000,
    attack,
};

const LINKS: u64 = 10;
/// Groups that a link joins at once: as many as it may.
const GROUPS: usize = 100;
/// Messages before it leaves.
const MESSAGES: usize = 10;
/// Joins in all.
const MOST: u64 = 10_000_000;

fn attack(attacker: &Attacker) -> Result<Tally, BenchError> {
    let mut links = attacker.links("member", LINKS)?;
    let topics: Vec<String> = (0..MESSAGES).map(topic).collect();
    let mut tally = Tally::default();
    while attacker.has_time() && tally.done < MOST {
        // Half of the links meet in the same groups, the others come into new ones.
        let round = tally.done / (LINKS * GROUPS as u64);
        let groups: [Vec<String>; 2] = ["old".to_owned(), format!("new{round}")]
            .map(|name| (0..GROUPS).map(|n| format!("$share/{name}-{n}/{}", topic(n % MESSAGES))).collect());
        for (link, filters) in links.iter_mut().zip(groups.iter().cycle()) {
            tally.refused += link.subscribe_all(filters)?;
            tally.refused += link.publish_all(&topics, b"x", false)?;
            tally.done += GROUPS as u64;
        }
        for (link, filters) in links.iter_mut().zip(groups.iter().cycle()) {
            link.unsubscribe_all(filters)?;
        }
    }
    Ok(tally)
}

fn topic(number: usize) -> String {
    format!("attack/shared/{number}")
}
