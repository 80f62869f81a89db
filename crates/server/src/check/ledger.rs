//! The ledger: its chain from the first record to the last, and whether both copies say the same.

use crate::admin::unreadable;
use crate::control::Refusal;
use crate::home::Home;
use keyward_identity::restore::LedgerCopy;
use keyward_identity::{AuditTrail, Registrar, files};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

/// Says what was found of the ledger.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LedgerReport {
    /// How many records it has.
    pub records: u64,
    /// The bytes of one copy.
    pub bytes: u64,
    /// What is wrong, a sentence each.
    pub problems: Vec<String>,
}

/// Holds the ledger open as it is now; it may grow while it is read.
pub(crate) struct LedgerFiles {
    copy: LedgerCopy,
    other: io::Result<File>,
    other_path: PathBuf,
    trail: AuditTrail,
}

/// Names the two copies.
pub(super) fn copies(home: &Home) -> [PathBuf; 2] {
    ["a.log", "b.log"].map(|name| home.directory().join("ledger").join(name))
}

impl LedgerFiles {
    /// Opens both copies; nobody writes to them at this moment.
    pub(crate) fn of(home: &Home, registrar: &Registrar) -> Result<Self, Refusal> {
        let [_, other_path] = copies(home);
        let copy = registrar.ledger_copy().map_err(unreadable)?;
        let trail = registrar.audit(0).map_err(unreadable)?;
        Ok(Self {
            copy,
            other: files::open_regular(&other_path).map_err(io::Error::other),
            other_path,
            trail,
        })
    }

    /// Reads all of it. `tell` is called now and then.
    pub(crate) fn check(self, tell: &mut dyn FnMut()) -> LedgerReport {
        let (records, bytes) = (self.copy.records, self.copy.len);
        let mut report = LedgerReport { records, bytes, problems: Vec::new() };
        let mut read = 0;
        for entry in self.trail {
            match entry {
                Ok(entry) => read = entry.sequence,
                Err(error) => {
                    report.problems.push(error.to_string());
                    break;
                }
            }
            if read % 1_024 == 0 {
                tell();
            }
        }
        if report.problems.is_empty() && read < records {
            report.problems.push(format!("the ledger ends behind record {read}, {records} were written"));
        }
        let differ = match self.other {
            Ok(other) => differ(self.copy, BufReader::new(other), Some(bytes)),
            Err(error) => Err(error),
        };
        report.problems.extend(sentence(&self.other_path, differ));
        report
    }
}

/// Compares the copies of a ledger that nobody has open.
pub(super) fn compare(home: &Home) -> Option<String> {
    let [a, b] = copies(home);
    let open = |path: &Path| files::open_regular(path).map_err(io::Error::other);
    let differ = open(&a).and_then(|a| differ(BufReader::new(a), BufReader::new(open(&b)?), None));
    sentence(&b, differ)
}

fn sentence(path: &Path, differ: io::Result<Option<u64>>) -> Option<String> {
    match differ {
        Ok(None) => None,
        Ok(Some(at)) => Some(format!(
            "{}: is another copy of the ledger than a.log beside it, from byte {at} on; a start mends the one from the \
             other if it can",
            path.display()
        )),
        Err(error) => Some(format!("{}: {error}", path.display())),
    }
}

/// Finds the first byte in which two copies differ, within so many bytes or to the end of both.
fn differ(mut a: impl Read, mut b: impl Read, within: Option<u64>) -> io::Result<Option<u64>> {
    const PIECE: u64 = 64 << 10;
    let (mut one, mut other, mut at) = (Vec::new(), Vec::new(), 0);
    loop {
        let most = within.map_or(PIECE, |within| PIECE.min(within - at));
        one.clear();
        other.clear();
        a.by_ref().take(most).read_to_end(&mut one)?;
        b.by_ref().take(most).read_to_end(&mut other)?;
        if one != other {
            let same = one.iter().zip(&other).take_while(|(one, other)| one == other).count();
            return Ok(Some(at + same as u64));
        }
        if one.is_empty() {
            return Ok(None);
        }
        at += one.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_byte_that_differs_is_found() {
        let long = vec![7; 200_000];
        let mut other = long.clone();
        other[150_000] = 8;
        let differ = |a: &[u8], b: &[u8], within| differ(a, b, within).unwrap();
        assert_eq!(differ(&long, &long, None), None);
        assert_eq!(differ(&long, &other, None), Some(150_000));
        assert_eq!(differ(&long, &other, Some(150_000)), None);
        assert_eq!(differ(&long, &long[..100], None), Some(100));
        assert_eq!(differ(&long, &long[..100], Some(200)), Some(100));
        assert_eq!(differ(&[], &[], None), None);
    }
}
