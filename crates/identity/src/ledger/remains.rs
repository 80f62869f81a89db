//! What can still be read of a ledger, whole or damaged.
//!
//! Every record carries a checksum of its own, so that those behind a damage can be found; and every record names the
//! chain up to it, so that a record which one copy lost can be taken from the other.

use super::{
    AuditEntry, COPIES, LedgerError, Position,
    mend::{Found, Tail, lost_record},
    record::{self, BadRecord, CHECKSUM_LEN, HEAD_LEN, LENGTH_LEN, TRAILER_LEN},
    scan::MAGIC,
};
use crate::{
    files::{self, FileError},
    limits,
};
use std::{
    collections::BTreeMap,
    ops::{Range, RangeInclusive},
    path::Path,
};

/// The shortest record, in bytes: no actor, no events.
const SHORTEST: usize = LENGTH_LEN + HEAD_LEN + TRAILER_LEN;

/// More records than any ledger has. With the bound on lengths this rules out nearly every place that is no record before
/// anything is hashed.
const MOST: u64 = 1 << 40;

/// Holds both copies of a ledger, and where in them records stand whose checksum is right.
pub(crate) struct Remains {
    copies: [Vec<u8>; 2],
    records: BTreeMap<u64, Vec<Place>>,
    is_ended: bool,
}

struct Place {
    copy: usize,
    bytes: Range<usize>,
}

impl Remains {
    /// Reads what is in `dir`; `None` if neither copy is there. Nothing is changed. A copy that the disk does not give
    /// back any more is read as an empty one.
    pub(crate) fn read(dir: &Path) -> Result<Option<Self>, LedgerError> {
        let [a, b] = COPIES.map(|name| bytes_of(&dir.join(name)));
        let (a, b) = (a?, b?);
        if a.is_none() && b.is_none() {
            return Ok(None);
        }
        Self::of([a, b]).map(Some)
    }

    /// Looks for records in two copies; one that is missing is `None`.
    pub(crate) fn of(copies: [Option<Vec<u8>>; 2]) -> Result<Self, LedgerError> {
        let mut records: BTreeMap<u64, Vec<Place>> = BTreeMap::new();
        let mut ends = Vec::new();
        for (copy, bytes) in copies.iter().enumerate() {
            let found = find(bytes.as_deref().unwrap_or_default())?;
            ends.push(end(bytes.as_deref(), found.last()));
            for (sequence, bytes) in found {
                records.entry(sequence).or_default().push(Place { copy, bytes });
            }
        }
        let last = records.last_key_value().map(|(sequence, _)| *sequence);
        // A record that is torn in both copies was not torn by one loss of power; a start lets that pass, this does not.
        let is_clean = |end: &Found| Some(end.end.sequence) == last && end.tail == Tail::Clean;
        let is_ended = ends.iter().any(is_clean) && lost_record(&ends[0], &ends[1]).is_none();
        Ok(Self { copies: copies.map(Option::unwrap_or_default), records, is_ended })
    }

    /// Returns the number of the last record that can be read; 0 if there is none.
    pub(crate) fn last(&self) -> u64 {
        self.records.last_key_value().map_or(0, |(sequence, _)| *sequence)
    }

    /// Tells whether nothing that may have been acknowledged stood behind the last record.
    pub(crate) fn is_ended(&self) -> bool {
        self.is_ended
    }

    /// Returns the record that follows `position` on its chain.
    pub(crate) fn following(&self, position: &Position) -> Option<(&[u8], AuditEntry)> {
        let sequence = position.sequence + 1;
        self.of_number(sequence).find_map(|bytes| {
            let hash = record::check(&position.hash, sequence, bytes).ok()?;
            Some((bytes, record::parse(sequence, hash, bytes).ok()?))
        })
    }

    /// Returns the numbers of the records up to `last` with the hash that each claims.
    pub(crate) fn hashes_to(&self, last: u64) -> impl Iterator<Item = (u64, [u8; 32])> {
        let places = self
            .records
            .range(..=last)
            .flat_map(|(sequence, _)| self.of_number(*sequence).map(move |bytes| (*sequence, bytes)));
        places.filter_map(|(sequence, bytes)| Some((sequence, record::claimed_hash(bytes)?)))
    }

    /// Reads the records behind number `last` by their own checksum alone.
    ///
    /// # Errors
    /// [`LedgerError::Newer`] if one was written by a newer program.
    pub(crate) fn behind(&self, last: u64) -> Result<Vec<AuditEntry>, LedgerError> {
        let mut entries = Vec::new();
        for sequence in self.records.range(last + 1..).map(|(sequence, _)| *sequence) {
            for bytes in self.of_number(sequence) {
                let hash = record::claimed_hash(bytes).unwrap_or_default();
                match record::parse(sequence, hash, bytes) {
                    Ok(entry) => {
                        entries.push(entry);
                        break;
                    }
                    Err(BadRecord::Newer(what)) => return Err(LedgerError::Newer { sequence, what }),
                    Err(BadRecord::Damaged(_)) => {}
                }
            }
        }
        Ok(entries)
    }

    /// Reads record `sequence` by its own checksum alone.
    pub(crate) fn entry(&self, sequence: u64) -> Option<AuditEntry> {
        self.of_number(sequence)
            .find_map(|bytes| record::parse(sequence, record::claimed_hash(bytes)?, bytes).ok())
    }

    fn of_number(&self, sequence: u64) -> impl Iterator<Item = &[u8]> {
        let places = self.records.get(&sequence).map(Vec::as_slice).unwrap_or_default();
        places.iter().filter_map(|place| self.copies.get(place.copy)?.get(place.bytes.clone()))
    }
}

/// Reads a copy; `None` if it is not there.
fn bytes_of(path: &Path) -> Result<Option<Vec<u8>>, LedgerError> {
    match files::read_regular(path, usize::MAX - 1) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.is_not_found() => Ok(None),
        // A bad block: what else there is must do.
        Err(FileError::Io { action: "read", .. }) => Ok(Some(Vec::new())),
        Err(error) => Err(error.into()),
    }
}

/// Finds the records whose checksum is right, in rising order of their numbers.
fn find(bytes: &[u8]) -> Result<Vec<(u64, Range<usize>)>, LedgerError> {
    let mut found: Vec<(u64, Range<usize>)> = Vec::new();
    let mut last = 0;
    let mut at = if bytes.starts_with(MAGIC) { MAGIC.len() } else { 0 };
    while at + SHORTEST <= bytes.len() {
        match record_at(bytes, at, last + 1..=MOST)? {
            Some((sequence, len)) => {
                found.push((sequence, at..at + len));
                (last, at) = (sequence, at + len);
            }
            None => at += 1,
        }
    }
    Ok(found)
}

/// Returns number and length of the record that begins at `at`, if one does whose number may be one of `numbers`.
fn record_at(
    bytes: &[u8],
    at: usize,
    numbers: RangeInclusive<u64>,
) -> Result<Option<(u64, usize)>, LedgerError> {
    let read = |from: usize, len: usize| bytes.get(at + from..at + from + len);
    let Some(length) = read(0, LENGTH_LEN).and_then(|length| length.try_into().ok()) else { return Ok(None) };
    let body = u32::from_le_bytes(length) as usize;
    let number = read(LENGTH_LEN + 1, 8).and_then(|number| number.try_into().ok()).map(u64::from_le_bytes);
    let Some(number) = number.filter(|number| numbers.contains(number)) else { return Ok(None) };
    if !(HEAD_LEN..=limits::LEDGER_RECORD_BYTES).contains(&body) {
        return Ok(None);
    }
    let len = LENGTH_LEN + body + TRAILER_LEN;
    let Some(record) = read(0, len).filter(|record| record::is_sound(record)) else { return Ok(None) };
    match record::version(record) {
        Ok(()) => Ok(Some((number, len))),
        Err(what) => Err(LedgerError::Newer { sequence: number, what }),
    }
}

/// Says where a copy ends and what stands behind its last record.
fn end(bytes: Option<&[u8]>, last: Option<&(u64, Range<usize>)>) -> Found {
    let (sequence, offset) = last.map_or((0, MAGIC.len()), |(sequence, bytes)| (*sequence, bytes.end));
    let tail = match bytes {
        None => Tail::Missing,
        Some(bytes) => tail(bytes.get(offset..).unwrap_or_default()),
    };
    Found { end: Position { sequence, offset: offset as u64, ..Position::START }, tail }
}

/// Judges what stands behind the last record of a copy as a start would.
fn tail(rest: &[u8]) -> Tail {
    let Some((length, behind)) = rest.split_first_chunk::<LENGTH_LEN>() else {
        return if rest.is_empty() { Tail::Clean } else { Tail::Torn };
    };
    let body = u32::from_le_bytes(*length) as usize;
    let is_torn = match body {
        0 => {
            behind.len() <= limits::LEDGER_RECORD_BYTES + TRAILER_LEN && behind.iter().all(|byte| *byte == 0)
        }
        body => body <= limits::LEDGER_RECORD_BYTES && behind.len() < body + TRAILER_LEN,
    };
    if is_torn { Tail::Torn } else { Tail::Damaged("its checksum is wrong") }
}

const _: () = assert!(CHECKSUM_LEN + 32 == TRAILER_LEN, "a trailer is chain and checksum");

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{clock::WallTime, events::Event};

    /// Returns the bytes of a ledger of so many records, and where each begins.
    fn ledger(count: u64) -> (Vec<u8>, Vec<usize>) {
        let (mut bytes, mut last, mut begins) = (MAGIC.to_vec(), record::GENESIS, Vec::new());
        for sequence in 1..=count {
            let events = [Event::ConfigChanged { summary: format!("change {sequence}") }];
            let (record, hash) = record::encode(&last, sequence, WallTime(sequence), "t", &events).unwrap();
            begins.push(bytes.len());
            bytes.extend(record);
            last = hash;
        }
        (bytes, begins)
    }

    fn numbers(a: &[u8], b: &[u8]) -> Vec<u64> {
        let remains = Remains::of([Some(a.to_vec()), Some(b.to_vec())]).unwrap();
        remains.behind(0).unwrap().iter().map(|entry| entry.sequence).collect()
    }

    #[test]
    fn records_behind_a_damage_are_found_wherever_it_lies() {
        let (whole, begins) = ledger(5);
        for at in (0..whole.len()).step_by(3) {
            let mut damaged = whole.clone();
            damaged[at] ^= 0x41;
            let hit = begins.iter().rposition(|begin| *begin <= at).map(|index| index as u64 + 1);
            let left: Vec<u64> = (1..=5).filter(|number| Some(*number) != hit).collect();
            assert_eq!(numbers(&damaged, &damaged), left, "at {at}");
        }
    }

    #[test]
    fn a_record_that_one_copy_lost_is_taken_from_the_other() {
        let (whole, begins) = ledger(5);
        let (mut a, mut b) = (whole.clone(), whole);
        a[begins[1] + 30] ^= 1;
        b[begins[3] + 30] ^= 1;
        let remains = Remains::of([Some(a), Some(b)]).unwrap();
        let mut position = Position::START;
        while let Some((bytes, entry)) = remains.following(&position) {
            let offset = position.offset + bytes.len() as u64;
            position = Position { sequence: entry.sequence, hash: entry.hash, offset };
        }
        assert_eq!((position.sequence, remains.last(), remains.is_ended()), (5, 5, true));
    }

    #[test]
    fn bytes_taken_out_of_the_middle_hide_no_record_behind_them() {
        let (mut bytes, begins) = ledger(9);
        bytes.drain(begins[2] + 5..begins[6] + 7);
        assert_eq!(numbers(&bytes, &bytes), [1, 2, 8, 9]);
    }

    #[test]
    fn a_record_that_was_damaged_at_the_end_of_both_copies_is_known_to_be_missing() {
        let (mut bytes, begins) = ledger(3);
        bytes[begins[2] + 30] ^= 1;
        let both = Remains::of([Some(bytes.clone()), Some(bytes.clone())]).unwrap();
        assert!(!both.is_ended());
        let torn =
            Remains::of([Some(bytes[..begins[2]].to_vec()), Some(bytes[..begins[2]].to_vec())]).unwrap();
        assert!(torn.is_ended());
        assert!(!Remains::of([None, Some(bytes)]).unwrap().is_ended());
        assert!(!Remains::of([None, Some(Vec::new())]).unwrap().is_ended());
    }
}
