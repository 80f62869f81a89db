//! Encrypted records on disk, in segments that are only appended to and removed whole: what outbox and sealed store share.
//!
//! A record is durable when [`Log::append`] returns, after one sync; two where it begins a segment. A segment is written to by one run of
//! the program only. So whatever a power cut leaves behind at its end is never written over, and no nonce comes twice. How the bytes lie: `segment.rs`.

mod master;
mod segment;

pub(crate) use master::Master;
pub(crate) use segment::{Kind, overhead};

use crate::disk::{Directory, UNFINISHED};
use crate::limits::RECORD_BYTES;
use crate::state::StateError;
use segment::{HEADER, Segment};
use std::collections::BTreeMap;
use zeroize::Zeroizing;

/// Says where a record lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The number of its segment.
    pub(crate) segment: u64,
    /// The byte at which it begins.
    pub(crate) at: u64,
}

/// Is what a reader of all records is told.
pub(crate) enum Found<'a> {
    /// A record.
    Record(Place, &'a [u8]),
    /// Bytes that are no record although records follow in their segment, or a segment without any although others follow.
    Damage,
}

/// Is a folder of segments.
#[derive(Debug)]
pub(crate) struct Log {
    dir: Box<dyn Directory>,
    kind: Kind,
    master: Master,
    segments: BTreeMap<u64, Segment>,
    /// The segment of this run that is appended to.
    writing: Option<u64>,
    /// The highest number that was ever seen.
    last: u64,
    /// Set when a failed write could not be taken back.
    broken: bool,
}

impl Log {
    /// Opens all segments and shows their records to `visit`, in the order in which they were written. What a power cut left
    /// unfinished is no record. A first segment of [`Log::stage`] hides those before it, which are removed.
    ///
    /// # Errors
    /// The disk; what `visit` says.
    pub(crate) fn open(
        dir: Box<dyn Directory>,
        kind: Kind,
        master: Master,
        mut visit: impl FnMut(Found<'_>) -> Result<(), StateError>,
    ) -> Result<Self, StateError> {
        let numbers = numbers(&*dir)?;
        let last = numbers.last().copied().unwrap_or(0);
        let mut log =
            Self { dir, kind, master, segments: BTreeMap::new(), writing: None, last, broken: false };
        for number in &numbers {
            if let Some(segment) =
                Segment::open(&*log.dir, kind, &log.master, *number).map_err(|e| log.failed("read", e))?
            {
                log.segments.insert(*number, segment);
            }
            let is_empty = !log.visit_segment(*number, &mut visit)?;
            let size = log.dir.size(&name(*number)).map_err(|e| log.failed("read", e))?.unwrap_or(0);
            if is_empty && *number == last && size <= FIRST_WRITE {
                // Its first write was cut off: it never held anything.
                log.remove(*number)?;
            } else if is_empty {
                visit(Found::Damage)?;
                log.segments.entry(*number).or_insert(Segment::unreadable(*number, size));
            }
        }
        Ok(log)
    }

    /// Shows the records of one segment, and tells whether there was any.
    fn visit_segment(
        &self,
        number: u64,
        visit: &mut impl FnMut(Found<'_>) -> Result<(), StateError>,
    ) -> Result<bool, StateError> {
        let Some(segment) = self.segments.get(&number) else { return Ok(false) };
        let (mut at, mut any, mut strange) = (HEADER, false, false);
        while let Some(step) = segment.step(&*self.dir, at).map_err(|e| self.failed("read", e))? {
            if let Some(record) = &step.record {
                // A power cut leaves what is no record at the end only; before a record it is damage.
                if std::mem::take(&mut strange) {
                    visit(Found::Damage)?;
                }
                visit(Found::Record(Place { segment: number, at }, record))?;
                any = true;
            } else {
                strange = true;
            }
            at = step.next;
        }
        Ok(any)
    }

    /// Appends a record; it is durable when this returns. Begins a segment where the one in use would grow beyond `segment_bytes`.
    ///
    /// # Errors
    /// The disk. The record is then not there, or the log is [broken](StateError::Broken) and it may be when it is opened again.
    pub(crate) fn append(&mut self, record: &[u8], segment_bytes: u64) -> Result<Place, StateError> {
        if self.broken {
            return Err(StateError::Broken { folder: self.dir.path().to_owned() });
        }
        let needed = record.len() as u64 + overhead();
        let fits = |segment: &Segment| segment.len() + needed <= segment_bytes;
        match self.writing.filter(|number| self.segments.get(number).is_some_and(fits)) {
            Some(number) => self.extend(number, record),
            None => self.begin(record),
        }
    }

    fn extend(&mut self, number: u64, record: &[u8]) -> Result<Place, StateError> {
        let dir = &*self.dir;
        let Some(segment) = self.segments.get_mut(&number) else {
            return Err(StateError::Broken { folder: dir.path().to_owned() });
        };
        let at = segment.len();
        let name = name(number);
        let written = segment.seal(record).and_then(|bytes| {
            dir.write(&name, at, &bytes)?;
            dir.sync(&name)?;
            Ok(bytes.len())
        });
        match written {
            Ok(len) => segment.grow(len),
            Err(error) => {
                // The place is never written again: another record there would have the same nonce.
                self.writing = None;
                self.broken = dir.cut(&name, at).and_then(|()| dir.sync(&name)).is_err();
                return Err(self.failed("write", error));
            }
        }
        Ok(Place { segment: number, at })
    }

    fn begin(&mut self, record: &[u8]) -> Result<Place, StateError> {
        let (number, segment) = self.create(&[record], name)?;
        self.segments.insert(number, segment);
        self.writing = Some(number);
        Ok(Place { segment: number, at: HEADER })
    }

    /// Writes a whole segment, under the name that `named` gives, and syncs it and its name.
    fn create(&mut self, records: &[&[u8]], named: fn(u64) -> String) -> Result<(u64, Segment), StateError> {
        let number = self.last + 1;
        let (mut segment, mut bytes) =
            Segment::create(self.kind, &self.master, number).map_err(|e| self.failed("encrypt", e))?;
        segment.grow(bytes.len());
        for record in records {
            let sealed = segment.seal(record).map_err(|e| self.failed("encrypt", e))?;
            segment.grow(sealed.len());
            bytes.extend(sealed);
        }
        self.last = number;
        self.writing = None;
        let (dir, name) = (&*self.dir, named(number));
        let written =
            dir.write(&name, 0, &bytes).and_then(|()| dir.sync(&name)).and_then(|()| dir.sync_names());
        match written {
            Ok(()) => Ok((number, segment)),
            Err(error) => {
                self.broken = dir.remove(&name).and_then(|()| dir.sync_names()).is_err();
                Err(self.failed("write", error))
            }
        }
    }

    /// Writes all of `records` as the first of a segment that takes the place of every other, whole or not at all.
    ///
    /// # Errors
    /// The disk. The old segments are then as they were, or the log is [broken](StateError::Broken).
    pub(crate) fn rewrite(&mut self, records: &[&[u8]]) -> Result<Vec<Place>, StateError> {
        if self.broken {
            return Err(StateError::Broken { folder: self.dir.path().to_owned() });
        }
        let (number, segment) = self.create(records, |number| name(number) + UNFINISHED)?;
        let dir = &*self.dir;
        let renamed = dir.rename(&(name(number) + UNFINISHED), &name(number)).and_then(|()| dir.sync_names());
        if let Err(error) = renamed {
            self.broken = true;
            return Err(self.failed("rename a file in", error));
        }
        let mut at = HEADER;
        let places = records.iter().map(|record| {
            let place = Place { segment: number, at };
            at += record.len() as u64 + overhead();
            place
        });
        let places = places.collect();
        let old: Vec<u64> = self.segments.keys().copied().collect();
        self.segments.insert(number, segment);
        self.writing = Some(number);
        for number in old {
            self.remove(number)?;
        }
        Ok(places)
    }

    /// Reads a record; nothing if it is not as it was written.
    ///
    /// # Errors
    /// The disk.
    pub(crate) fn read(&self, place: Place) -> Result<Option<Zeroizing<Vec<u8>>>, StateError> {
        let Some(segment) = self.segments.get(&place.segment) else { return Ok(None) };
        let step = segment.step(&*self.dir, place.at).map_err(|e| self.failed("read", e))?;
        Ok(step.and_then(|step| step.record))
    }

    /// Removes a segment. That is not durable: after a power cut it may be there again.
    ///
    /// # Errors
    /// The disk.
    pub(crate) fn remove(&mut self, number: u64) -> Result<(), StateError> {
        self.dir.remove(&name(number)).map_err(|e| self.failed("remove a file of", e))?;
        self.segments.remove(&number);
        self.writing = self.writing.filter(|writing| *writing != number);
        Ok(())
    }

    /// Returns the numbers of the segments, oldest first.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = u64> {
        self.segments.keys().copied()
    }

    /// Returns the bytes of a segment.
    pub(crate) fn segment_bytes(&self, number: u64) -> u64 {
        self.segments.get(&number).map_or(0, Segment::len)
    }

    /// Returns the bytes of all segments.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments.values().map(Segment::len).sum()
    }

    pub(crate) fn dir(&self) -> &dyn Directory {
        &*self.dir
    }

    fn failed(&self, action: &'static str, error: std::io::Error) -> StateError {
        StateError::disk(self.dir.path(), action, error)
    }
}

/// The most bytes that the first write to a segment has.
const FIRST_WRITE: u64 = HEADER + overhead() + RECORD_BYTES as u64;

/// Returns the bytes of a segment with one record of `len` bytes.
pub(crate) fn created_bytes(len: usize) -> u64 {
    HEADER + overhead() + len as u64
}

/// Returns the name of a segment.
fn name(number: u64) -> String {
    format!("{number:016x}.log")
}

/// Lists the numbers of the segments in a folder, and removes what was not finished.
fn numbers(dir: &dyn Directory) -> Result<Vec<u64>, StateError> {
    let names = dir.names().map_err(|e| StateError::disk(dir.path(), "list", e))?;
    let mut numbers = Vec::new();
    for found in names {
        if found.ends_with(UNFINISHED) {
            dir.remove(&found).map_err(|e| StateError::disk(dir.path(), "remove a file of", e))?;
        }
        let number = found.strip_suffix(".log").and_then(|hex| u64::from_str_radix(hex, 16).ok());
        numbers.extend(number.filter(|number| name(*number) == found && *number < u64::MAX));
    }
    numbers.sort_unstable();
    Ok(numbers)
}
