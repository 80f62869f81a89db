//! What becomes durable together.

use crate::message::MessageId;
use keyward_store::Batch;

/// Is what becomes durable together: changes of records, and how many records more refer to each message, or fewer.
#[derive(Debug, Default)]
pub struct Entry {
    pub(crate) changes: Batch,
    pub(crate) references: Vec<(MessageId, i32)>,
}

impl Entry {
    /// Tells whether nothing changes.
    pub fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.references.is_empty()
    }

    /// Returns the bytes that it holds.
    pub fn bytes(&self) -> usize {
        self.changes.bytes() + self.references.len() * size_of::<(MessageId, i32)>()
    }

    /// Returns the changes, for the engine.
    pub fn changes(&self) -> &Batch {
        &self.changes
    }

    /// Forgets everything and keeps the buffers.
    pub fn clear(&mut self) {
        self.changes.clear();
        self.references.clear();
    }

    pub(super) fn append(&mut self, other: &Self) {
        self.changes.append(&other.changes);
        self.references.extend_from_slice(&other.references);
    }

    pub(super) fn refer(&mut self, message: MessageId, more: i32) {
        match self.references.last_mut() {
            Some((last, count)) if *last == message => *count += more,
            _ => self.references.push((message, more)),
        }
    }
}
