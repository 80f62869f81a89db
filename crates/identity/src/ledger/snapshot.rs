//! The state at one record, so that a start need not replay the ledger from its beginning.
//!
//! A snapshot is only a shortcut: one that is missing, damaged, of another format or not on the ledger's chain is
//! ignored and written anew.
//!
//! ```text
//! magic (16) | SHA-256 of the rest (32) | JSON: sequence, hash and offset of the record, state
//! ```

use super::scan::Position;
use crate::{
    files::{self, FileError},
    limits,
    state::State,
    wire,
};
use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};
use std::path::Path;

const MAGIC: &[u8; 16] = b"keyward-state\0\0\x02";

#[derive(Serialize)]
struct Out<'a> {
    sequence: u64,
    #[serde(with = "wire::base64")]
    hash: [u8; 32],
    offset: u64,
    state: &'a State,
}

#[derive(Deserialize)]
struct In {
    sequence: u64,
    #[serde(with = "wire::base64")]
    hash: [u8; 32],
    offset: u64,
    state: State,
}

/// Writes the snapshot of the state at `position`.
pub(crate) fn write(path: &Path, position: Position, state: &State) -> Result<(), FileError> {
    files::replace(path, &encode(position, state))
}

fn encode(position: Position, state: &State) -> Vec<u8> {
    let Position { sequence, hash, offset } = position;
    seal(&serde_json::to_vec(&Out { sequence, hash, offset, state }).unwrap_or_default())
}

fn seal(json: &[u8]) -> Vec<u8> {
    let sum = digest::digest(&digest::SHA256, json);
    [MAGIC.as_slice(), sum.as_ref(), json].concat()
}

/// Reads a snapshot. `None` if there is none that can be used.
pub(crate) fn read(path: &Path) -> Option<(Position, State)> {
    decode(&files::read_regular(path, limits::SNAPSHOT_BYTES).ok()?)
}

fn decode(bytes: &[u8]) -> Option<(Position, State)> {
    let (sum, json) = bytes.strip_prefix(MAGIC)?.split_first_chunk::<32>()?;
    if digest::digest(&digest::SHA256, json).as_ref() != sum {
        return None;
    }
    let In { sequence, hash, offset, state } = serde_json::from_slice(json).ok()?;
    Some((Position { sequence, hash, offset }, state))
}

/// Reads the JSON of a snapshot, its sum made right. `None` if it is refused, else whether it reads the same after it
/// was written again.
#[cfg(feature = "decoders")]
pub(crate) fn survives_a_trip(json: &[u8]) -> Option<bool> {
    let (position, state) = decode(&seal(json))?;
    Some(decode(&encode(position, &state)).is_some_and(|again| again == (position, state)))
}
