//! Handshakes that are never finished: half a ClientHello, then silence.

use super::Flood;
use super::scene::{Attacker, Tally};
use crate::error::BenchError;
use std::collections::VecDeque;
use std::io::Write;
use std::net::TcpStream;
use std::time::Duration;

pub(super) const FLOOD: Flood = Flood {
    name: "handshakes",
    what: "connections that send half a ClientHello and nothing more, the oldest dropped at 2,000",
    may_grow: 64 * 1024 * 1024,
    because: "`pending_bytes`",
    offender: &["127.0.0.1"],
    attack,
};

/// Connections that are held open.
const HELD: usize = 2_000;
/// Connections in all.
const MOST: u64 = 1_000_000;
/// A record header that promises 512 bytes of handshake, and the first of them.
const HALF_A_HELLO: [u8; 11] = [0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3];

fn attack(attacker: &Attacker) -> Result<Tally, BenchError> {
    let mut held = VecDeque::with_capacity(HELD);
    let mut tally = Tally::default();
    while attacker.has_time() && tally.done < MOST {
        tally.done += 1;
        let opened = TcpStream::connect_timeout(&attacker.tls.access.address, Duration::from_secs(1));
        match opened.and_then(|mut tcp| tcp.write_all(&HALF_A_HELLO).map(|()| tcp)) {
            Ok(tcp) => held.push_back(tcp),
            Err(_) => tally.refused += 1,
        }
        if held.len() > HELD {
            held.pop_front();
        }
    }
    Ok(tally)
}
