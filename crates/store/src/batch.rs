//! Changes that are kept together or not at all, in one buffer.

use crate::{Table, limits};

/// Bytes before each key: kind and table, length of the key, length of the value.
const HEAD: usize = 2 + 2 + 4;
const PUT: u8 = 0;
const DELETE: u8 = 1;

/// Collects changes. They lie one behind the other in one buffer, which [`Batch::clear`] keeps for the next use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Batch {
    buffer: Vec<u8>,
}

/// Is one change of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change<'a> {
    /// Sets the value of a key, whether or not there was one.
    Put {
        /// Where.
        table: Table,
        /// Not empty.
        key: &'a [u8],
        /// May be empty, which is not the same as absent.
        value: &'a [u8],
    },
    /// Removes a key, whether or not it is there.
    Delete {
        /// Where.
        table: Table,
        /// Not empty.
        key: &'a [u8],
    },
}

impl Batch {
    /// Makes an empty one, without a buffer.
    #[must_use]
    pub const fn new() -> Self {
        Self { buffer: Vec::new() }
    }

    /// Adds: this key has this value from now on.
    ///
    /// # Panics
    /// The key is empty or longer than [`limits::KEY_BYTES`], or the value longer than [`limits::VALUE_BYTES`]: the
    /// caller's bounds are smaller than these.
    pub fn put(&mut self, table: Table, key: &[u8], value: &[u8]) {
        self.push(PUT, table, key, value);
    }

    /// Adds: this key is absent from now on.
    ///
    /// # Panics
    /// As [`Batch::put`].
    pub fn delete(&mut self, table: Table, key: &[u8]) {
        self.push(DELETE, table, key, &[]);
    }

    /// Adds the changes of another batch behind its own.
    pub fn append(&mut self, other: &Self) {
        self.buffer.extend_from_slice(&other.buffer);
    }

    /// Forgets all changes and keeps the buffer.
    pub fn clear(&mut self) {
        self.buffer.clear();
    }

    /// Tells whether there is no change.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.buffer.is_empty()
    }

    /// Tells the bytes of its keys and values, and eight for each change: what it costs to hold.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.buffer.len()
    }

    /// Lists the changes in the order in which they were added.
    #[must_use]
    pub fn changes(&self) -> Changes<'_> {
        Changes { rest: &self.buffer }
    }

    fn push(&mut self, kind: u8, table: Table, key: &[u8], value: &[u8]) {
        assert!(!key.is_empty() && key.len() <= limits::KEY_BYTES, "a key of {} bytes", key.len());
        assert!(value.len() <= limits::VALUE_BYTES, "a value of {} bytes", value.len());
        self.buffer.reserve(HEAD + key.len() + value.len());
        self.buffer.extend([kind, table.number()]);
        self.buffer.extend((key.len() as u16).to_le_bytes());
        self.buffer.extend((value.len() as u32).to_le_bytes());
        self.buffer.extend_from_slice(key);
        self.buffer.extend_from_slice(value);
    }
}

impl<'a> IntoIterator for &'a Batch {
    type Item = Change<'a>;
    type IntoIter = Changes<'a>;

    fn into_iter(self) -> Changes<'a> {
        self.changes()
    }
}

/// Lists the changes of a batch.
#[derive(Debug, Clone)]
pub struct Changes<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Changes<'a> {
    type Item = Change<'a>;

    fn next(&mut self) -> Option<Change<'a>> {
        let ([kind, table, key @ .., v0, v1, v2, v3], rest) = self.rest.split_first_chunk::<HEAD>()?;
        let (key, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*key)))?;
        let (value, rest) = rest.split_at_checked(u32::from_le_bytes([*v0, *v1, *v2, *v3]) as usize)?;
        self.rest = rest;
        let table = Table::new(*table);
        Some(if *kind == PUT { Change::Put { table, key, value } } else { Change::Delete { table, key } })
    }
}
