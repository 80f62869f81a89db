//! Which of the two copies is right.
//!
//! A record is written and synced in copy A, then in copy B, and only then acknowledged. So a loss of power leaves at
//! most one copy with a torn record: A, while B ends before it (the record was never acknowledged: it is dropped), or
//! B, while A has it whole (it is kept, and B is mended). Everything else is damage: the copy with more whole records
//! mends the other; where neither has a record whole that may have been acknowledged, nothing starts.

use super::{
    LedgerError,
    scan::{Next, Position, Scanner, failed},
};
use crate::files::{self, FileError};
use std::{cmp::Ordering, fs::OpenOptions, io::Read, path::Path};

/// What stands behind the whole records of one copy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Tail {
    Clean,
    Torn,
    Damaged(&'static str),
    Missing,
}

pub(super) struct Found {
    pub(super) end: Position,
    pub(super) tail: Tail,
}

fn survey(path: &Path) -> Result<Found, LedgerError> {
    let missing = Found { end: Position::START, tail: Tail::Missing };
    let mut scanner = match Scanner::open(path) {
        Ok(Some(scanner)) => scanner,
        Ok(None) => return Ok(missing),
        Err(error) if error.is_not_found() => return Ok(missing),
        Err(error) => return Err(error.into()),
    };
    let tail = loop {
        match scanner.next()? {
            Next::Whole => {}
            Next::End => break Tail::Clean,
            Next::Torn => break Tail::Torn,
            Next::Damaged(what) => break Tail::Damaged(what),
            Next::Newer(what) => {
                return Err(LedgerError::Newer { sequence: scanner.position.sequence + 1, what });
            }
        }
    };
    Ok(Found { end: scanner.position, tail })
}

/// Tells what is wrong if a record that may have been acknowledged is whole in neither copy.
///
/// A record of its full length that is damaged was not acknowledged only if a loss of power hit it while it was
/// written to copy A: then B ends cleanly before it.
pub(super) fn lost_record(a: &Found, b: &Found) -> Option<&'static str> {
    let (Tail::Damaged(what), other) = (match a.end.sequence.cmp(&b.end.sequence) {
        Ordering::Less => (&b.tail, None),
        Ordering::Greater => (&a.tail, None),
        Ordering::Equal if matches!(b.tail, Tail::Damaged(_)) => (&b.tail, None),
        Ordering::Equal => (&a.tail, Some(&b.tail)),
    }) else {
        return None;
    };
    (other != Some(&Tail::Clean)).then_some(*what)
}

/// Makes the two copies equal and whole; returns where they end and what was mended, in sentences.
pub(super) fn mend(a: &Path, b: &Path) -> Result<(Position, Vec<String>), LedgerError> {
    let (in_a, in_b) = (survey(a)?, survey(b)?);
    if in_a.tail == Tail::Clean && in_b.tail == Tail::Clean && in_a.end == in_b.end {
        return Ok((in_a.end, Vec::new()));
    }
    let a_leads = in_a.end.sequence >= in_b.end.sequence;
    let ((good, best), (other, rest)) =
        if a_leads { ((a, &in_a), (b, &in_b)) } else { ((b, &in_b), (a, &in_a)) };
    let refuse = |what: &str| Err(LedgerError::damaged(good, best.end.sequence, what));
    if best.end.sequence == 0 {
        return refuse("neither copy has a first record");
    }
    if rest.tail != Tail::Missing && !begin_alike(good, other, rest.end.offset)? {
        return refuse("the copies differ in what both have");
    }
    if let Some(what) = lost_record(&in_a, &in_b) {
        return refuse(what);
    }
    let mut mended = Vec::new();
    if best.tail != Tail::Clean {
        cut(good, best.end.offset)?;
        mended.push(format!(
            "{}: dropped a record behind number {} that was never finished",
            good.display(),
            best.end.sequence
        ));
    }
    if rest.end != best.end || rest.tail != Tail::Clean {
        let max = usize::try_from(best.end.offset).unwrap_or(usize::MAX);
        files::replace(other, &files::read_regular(good, max)?)?;
        if best.tail == Tail::Clean {
            mended.push(format!(
                "{}: was {}; restored from the other copy",
                other.display(),
                rest.tail.word()
            ));
        }
    }
    Ok((best.end, mended))
}

impl Tail {
    fn word(&self) -> &'static str {
        match self {
            Self::Clean | Self::Torn => "incomplete",
            Self::Damaged(_) => "damaged",
            Self::Missing => "missing",
        }
    }
}

fn cut(path: &Path, len: u64) -> Result<(), FileError> {
    // Checks that it is a regular file and no link before it is opened for writing.
    files::open_regular(path)?;
    let cut = OpenOptions::new().write(true).open(path).and_then(|file| {
        file.set_len(len)?;
        file.sync_all()
    });
    cut.map_err(|source| FileError::Io { path: path.to_owned(), action: "cut", source })
}

fn begin_alike(a: &Path, b: &Path, len: u64) -> Result<bool, FileError> {
    let (mut a_file, mut b_file) = (files::open_regular(a)?.take(len), files::open_regular(b)?.take(len));
    let (mut a_part, mut b_part) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut left = len;
    while left > 0 {
        let part = usize::try_from(left).unwrap_or(usize::MAX).min(a_part.len());
        a_file.read_exact(&mut a_part[..part]).map_err(|source| failed(a, source))?;
        b_file.read_exact(&mut b_part[..part]).map_err(|source| failed(b, source))?;
        if a_part[..part] != b_part[..part] {
            return Ok(false);
        }
        left -= part as u64;
    }
    Ok(true)
}
