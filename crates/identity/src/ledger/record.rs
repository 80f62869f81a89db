//! One record as bytes.
//!
//! ```text
//! length of the body (4 bytes, little-endian)
//! body: version 1 (1) | sequence (8) | wall time in ms (8) | length of the actor (2) | actor | events as JSON
//! SHA-256 of: hash of the record before | length | body           the chain (32)
//! first 8 bytes of the SHA-256 of: length | body | chain          the checksum (8)
//! ```
//!
//! Numbers are little-endian. The chain shows that nothing was left out or exchanged; the checksum shows damage.

use super::{AuditEntry, LedgerError};
use crate::{clock::WallTime, events::Event, limits};
use aws_lc_rs::digest;
use std::path::Path;

const VERSION: u8 = 1;
/// Bytes before the body: its length.
pub(super) const LENGTH_LEN: usize = 4;
/// Bytes behind the body: chain and checksum.
pub(super) const TRAILER_LEN: usize = 32 + CHECKSUM_LEN;
pub(super) const CHECKSUM_LEN: usize = 8;
/// Bytes of the body before the actor.
pub(super) const HEAD_LEN: usize = 1 + 8 + 8 + 2;

/// The hash that the first record is chained to.
pub(super) const GENESIS: [u8; 32] = [0; 32];

/// Says why bytes are no record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum BadRecord {
    Damaged(&'static str),
    Newer(String),
}

impl BadRecord {
    /// Says it of record `sequence` of the log at `path`.
    pub(super) fn of(self, path: &Path, sequence: u64) -> LedgerError {
        match self {
            Self::Damaged(what) => LedgerError::damaged(path, sequence, what),
            Self::Newer(what) => LedgerError::Newer { sequence, what },
        }
    }
}

fn sha256(parts: [&[u8]; 3]) -> [u8; 32] {
    let mut context = digest::Context::new(&digest::SHA256);
    parts.iter().for_each(|part| context.update(part));
    let mut hash = [0; 32];
    hash.copy_from_slice(context.finish().as_ref());
    hash
}

/// Writes a record that follows the one with the hash `previous`; returns its bytes and its hash. `None` if its body
/// is larger than [`limits::LEDGER_RECORD_BYTES`].
pub(super) fn encode(
    previous: &[u8; 32],
    sequence: u64,
    at: WallTime,
    actor: &str,
    events: &[Event],
) -> Result<(Vec<u8>, [u8; 32]), usize> {
    let json = serde_json::to_vec(events).unwrap_or_default();
    let len = HEAD_LEN + actor.len() + json.len();
    let (Ok(body_len), Ok(actor_len)) = (u32::try_from(len), u16::try_from(actor.len())) else {
        return Err(len);
    };
    if len > limits::LEDGER_RECORD_BYTES || json.is_empty() {
        return Err(len);
    }
    let mut bytes = Vec::with_capacity(LENGTH_LEN + len + TRAILER_LEN);
    bytes.extend(body_len.to_le_bytes());
    bytes.push(VERSION);
    bytes.extend(sequence.to_le_bytes());
    bytes.extend(at.0.to_le_bytes());
    bytes.extend(actor_len.to_le_bytes());
    bytes.extend(actor.as_bytes());
    bytes.extend(json);
    let chain = sha256([previous, &bytes, &[]]);
    bytes.extend(chain);
    let checksum = sha256([&bytes, &[], &[]]);
    bytes.extend(&checksum[..CHECKSUM_LEN]);
    Ok((bytes, chain))
}

/// Replaces chain and checksum by those that fit, as one who can write to the file could.
#[cfg(feature = "decoders")]
pub(super) fn seal(previous: &[u8; 32], record: &mut [u8]) {
    let Some(content) = record.len().checked_sub(TRAILER_LEN) else { return };
    let chain = sha256([previous, &record[..content], &[]]);
    record[content..content + 32].copy_from_slice(&chain);
    let checksum = sha256([&record[..content + 32], &[], &[]]);
    record[content + 32..].copy_from_slice(&checksum[..CHECKSUM_LEN]);
}

/// Tells whether the checksum of a whole record is right. Says nothing of its chain.
pub(super) fn is_sound(bytes: &[u8]) -> bool {
    let split = bytes.split_last_chunk::<CHECKSUM_LEN>();
    split.is_some_and(|(rest, checksum)| sha256([rest, &[], &[]])[..CHECKSUM_LEN] == *checksum)
}

/// Returns the hash that a whole record claims to have.
pub(super) fn claimed_hash(bytes: &[u8]) -> Option<[u8; 32]> {
    let (rest, _) = bytes.split_last_chunk::<CHECKSUM_LEN>()?;
    rest.last_chunk::<32>().copied()
}

/// Says of a whole record that a newer program wrote it.
pub(super) fn version(bytes: &[u8]) -> Result<(), String> {
    match bytes.get(LENGTH_LEN) {
        Some(&VERSION) => Ok(()),
        version => Err(format!("record version {}", version.copied().unwrap_or_default())),
    }
}

/// Checks a whole record (length, body, trailer) and returns its hash.
pub(super) fn check(previous: &[u8; 32], sequence: u64, bytes: &[u8]) -> Result<[u8; 32], BadRecord> {
    let damaged = BadRecord::Damaged;
    if !is_sound(bytes) {
        return Err(damaged("its checksum is wrong"));
    }
    let (rest, _) = bytes.split_last_chunk::<CHECKSUM_LEN>().ok_or(damaged("it is too short"))?;
    let (content, chain) = rest.split_last_chunk::<32>().ok_or(damaged("it is too short"))?;
    if sha256([previous, content, &[]]) != *chain {
        return Err(damaged("it does not follow the record before it"));
    }
    let body = content.get(LENGTH_LEN..).unwrap_or_default();
    match body.first() {
        Some(&VERSION) => {}
        Some(version) => return Err(BadRecord::Newer(format!("record version {version}"))),
        None => return Err(damaged("it is empty")),
    }
    if body.get(1..9) != Some(&sequence.to_le_bytes()) {
        return Err(damaged("its number is wrong"));
    }
    Ok(*chain)
}

/// Reads a record that was checked.
pub(super) fn parse(sequence: u64, hash: [u8; 32], bytes: &[u8]) -> Result<AuditEntry, BadRecord> {
    let damaged = || BadRecord::Damaged("its fields do not fit");
    let body = bytes.get(LENGTH_LEN..bytes.len().saturating_sub(TRAILER_LEN)).ok_or_else(damaged)?;
    let at = body.get(9..17).and_then(|at| at.try_into().ok()).map(u64::from_le_bytes).ok_or_else(damaged)?;
    let actor_len = body.get(17..HEAD_LEN).and_then(|len| len.try_into().ok()).map(u16::from_le_bytes);
    let rest = body.get(HEAD_LEN..).ok_or_else(damaged)?;
    let (actor, json) =
        rest.split_at_checked(usize::from(actor_len.ok_or_else(damaged)?)).ok_or_else(damaged)?;
    let actor = std::str::from_utf8(actor).map_err(|_| damaged())?.to_owned();
    let events = serde_json::from_slice(json).map_err(|error| BadRecord::Newer(error.to_string()))?;
    Ok(AuditEntry { sequence, at: WallTime(at), actor, events, hash })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> (Vec<u8>, [u8; 32]) {
        let events = [Event::ConfigChanged { summary: "x".into() }];
        encode(&GENESIS, 1, WallTime(7), "anna", &events).unwrap()
    }

    #[test]
    fn a_record_survives_writing_and_reading() {
        let (bytes, hash) = record();
        assert_eq!(check(&GENESIS, 1, &bytes), Ok(hash));
        let entry = parse(1, hash, &bytes).unwrap();
        assert_eq!((entry.at, entry.actor.as_str(), entry.events.len()), (WallTime(7), "anna", 1));
    }

    #[test]
    fn every_flipped_bit_and_every_wrong_place_is_noticed() {
        let (bytes, hash) = record();
        for at in 0..bytes.len() * 8 {
            let mut flipped = bytes.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            assert!(check(&GENESIS, 1, &flipped).is_err(), "bit {at}");
        }
        assert!(check(&hash, 1, &bytes).is_err());
        assert!(check(&GENESIS, 2, &bytes).is_err());
        assert!(check(&GENESIS, 1, &[]).is_err());
    }

    /// Writes a record with a sound trace of bytes around another body.
    fn with_body(body: &[u8]) -> Vec<u8> {
        let mut bytes = (body.len() as u32).to_le_bytes().to_vec();
        bytes.extend(body);
        bytes.extend(sha256([&GENESIS, &bytes, &[]]));
        let checksum = sha256([&bytes, &[], &[]]);
        bytes.extend(&checksum[..CHECKSUM_LEN]);
        bytes
    }

    #[test]
    fn a_record_of_a_newer_program_is_told_from_a_damaged_one() {
        let (bytes, _) = record();
        let mut body = bytes[LENGTH_LEN..bytes.len() - TRAILER_LEN].to_vec();
        body[0] = 2;
        assert!(matches!(check(&GENESIS, 1, &with_body(&body)), Err(BadRecord::Newer(_))));
        body[0] = VERSION;
        let text = String::from_utf8_lossy(&body).replace("config-changed", "future-events!");
        let bytes = with_body(text.as_bytes());
        let hash = check(&GENESIS, 1, &bytes).unwrap();
        assert!(matches!(parse(1, hash, &bytes), Err(BadRecord::Newer(_))));
    }

    /// The bytes of a record are a format: a ledger written today is read in ten years.
    #[test]
    fn the_format_of_a_record_does_not_change() {
        let (bytes, _) = record();
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let body = concat!(
            "41000000",
            "01",
            "0100000000000000",
            "0700000000000000",
            "0400",
            "616e6e61",
            "5b7b226576656e74223a22636f6e6669672d6368616e676564222c2273756d6d617279223a2278227d5d"
        );
        assert!(hex.starts_with(body), "{hex}");
    }
}
