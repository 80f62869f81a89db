//! Packets that come one byte at a time, on many links of one identity.

use super::Flood;
use super::scene::{Attacker, Tally};
use crate::codec::{self, Publish, Version};
use crate::error::BenchError;

pub(super) const FLOOD: Flood = Flood {
    name: "one-byte",
    what: "50 links of one identity that publish byte by byte; counted are bytes",
    may_grow: 8 * 1024 * 1024,
    because: "`unfinished_bytes_per_identity`",
    offender: &["user:attacker", "busy_rate"],
    enough: 100_000,
    attack,
};

const LINKS: u64 = 50;
/// Bytes in all.
const MOST: u64 = 100_000_000;

fn attack(attacker: &Attacker) -> Result<Tally, BenchError> {
    let mut frame = Vec::new();
    let message = Publish { topic: "attack/drip", qos: 0, retain: false, id: 0, payload: &[b'x'; 100] };
    codec::publish(&mut frame, Version::V5, message);
    let mut links = attacker.links("drip", LINKS)?;
    let mut tally = Tally::default();
    for byte in frame.chunks(1).cycle() {
        if !attacker.has_time() || tally.done >= MOST || links.is_empty() {
            break;
        }
        let before = links.len();
        links.retain_mut(|link| link.send(byte).is_ok());
        tally.refused += (before - links.len()) as u64;
        tally.done += before as u64;
    }
    Ok(tally)
}
