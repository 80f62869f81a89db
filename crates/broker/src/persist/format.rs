//! The version of the records: which one a store has, which release reads it, and how an older one becomes today's.

use super::wire::Reader;
use super::{FORMAT_KEY, META, NEEDS_KEY, RecoveryError};
use keyward_store::{Batch, Read, ReadError};

/// The version of all records; a broker refuses a store with a higher one.
pub const FORMAT: u32 = 2;

/// The first release that reads [`FORMAT`]. It stands beside it in the store, so that an older program can name it.
pub const NEEDS: &str = "0.1.0";

/// The way from each older format to the next one, oldest first.
pub const UPGRADES: &[Upgrade] = &[Upgrade {
    from: 1,
    what: "numbers of signed messages are remembered; there are none yet",
    changes: |_| Ok(Batch::new()),
}];

const _: () = assert!(UPGRADES.len() as u32 + 1 == FORMAT, "each older format has a way to the next one");

/// Makes the records of one format those of the next.
#[derive(Debug, Clone, Copy)]
pub struct Upgrade {
    /// The format that it begins with; it ends with the next one.
    pub from: u32,
    /// What it does, for the log: a clause that follows "format 1 → 2:".
    pub what: &'static str,
    /// What changes: it is kept whole or not at all, with the new version.
    pub changes: fn(&dyn Read) -> Result<Batch, ReadError>,
}

impl Upgrade {
    /// Returns what brings a store from `from` to the next format: append it, and sync.
    ///
    /// # Errors
    /// The store cannot be read.
    pub fn batch(&self, store: &dyn Read) -> Result<Batch, ReadError> {
        let mut batch = (self.changes)(store)?;
        put_format(&mut batch, self.from + 1);
        Ok(batch)
    }
}

/// Returns what leads from the format of a store to today's, in order: nothing if it is today's, or if the store is empty.
///
/// # Errors
/// It has a newer format, one that no upgrade begins with, or cannot be read.
pub fn upgrades<'a>(store: &dyn Read, known: &'a [Upgrade]) -> Result<Vec<&'a Upgrade>, RecoveryError> {
    let Some(found) = read_format(store)? else { return Ok(Vec::new()) };
    let from = |format| known.iter().find(|upgrade| upgrade.from == format);
    (found..FORMAT).map(|format| from(format).ok_or(RecoveryError::Older { found })).collect()
}

/// Reads which format a store has; an empty one has none.
pub(super) fn read_format(store: &dyn Read) -> Result<Option<u32>, RecoveryError> {
    let found = store.get(META, FORMAT_KEY)?.and_then(|bytes| Reader::new(&bytes).u32());
    let Some(found) = found.filter(|found| *found > FORMAT) else { return Ok(found) };
    let needs = store.get(META, NEEDS_KEY)?.and_then(|bytes| String::from_utf8(bytes).ok());
    Err(RecoveryError::Newer { found, needs })
}

pub(super) fn put_format(batch: &mut Batch, format: u32) {
    batch.put(META, FORMAT_KEY, &format.to_be_bytes());
    batch.put(META, NEEDS_KEY, NEEDS.as_bytes());
}
