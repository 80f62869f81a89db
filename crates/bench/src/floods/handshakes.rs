//! Handshakes that are never finished: half a ClientHello, then silence.

use super::Flood;
use super::scene::{Attacker, FIRST_ADDRESS, Tally};
use crate::error::BenchError;

pub(super) const FLOOD: Flood = Flood {
    name: "handshakes",
    what: "connections from eight addresses that send half a ClientHello and nothing more",
    may_grow: 64 * 1024 * 1024,
    because: "`pending_bytes`",
    offender: &[FIRST_ADDRESS],
    enough: 2_100,
    attack,
};

/// A record header that promises 512 bytes of handshake, and the first of them.
const HALF_A_HELLO: [u8; 11] = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3];

fn attack(attacker: &Attacker) -> Result<Tally, BenchError> {
    attacker.besiege(attacker.tls.access.address, |_| HALF_A_HELLO.to_vec())
}
