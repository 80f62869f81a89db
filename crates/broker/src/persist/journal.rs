//! Counts which messages on disk are still referred to.

use super::entry::Entry;
use super::{MESSAGE, Survey};
use crate::message::MessageId;
use siphasher::sip::SipHasher13;
use std::collections::HashMap;
use std::hash::BuildHasherDefault;

/// How many records refer to each message.
// Ids are given by the broker, not by peers: no key is needed.
pub(super) type References = HashMap<MessageId, i32, BuildHasherDefault<SipHasher13>>;

/// Counts references: a message for many sessions is stored once, and goes with the last place that refers to it. Used
/// by the one thread that writes the entries of all shards, in the order in which it writes them.
#[derive(Debug, Default)]
pub struct Journal {
    references: References,
}

impl Journal {
    /// Begins with what was found at the start.
    pub fn new(survey: Survey) -> Self {
        Self { references: survey.references }
    }

    /// Returns how many messages are on disk.
    pub fn messages(&self) -> usize {
        self.references.len()
    }

    /// Completes an entry: messages that nothing refers to any more are deleted with it.
    pub fn complete(&mut self, entry: &mut Entry) {
        for (message, more) in &entry.references {
            *self.references.entry(*message).or_default() += *more;
        }
        for (message, _) in &entry.references {
            if self.references.get(message).is_some_and(|count| *count <= 0) {
                self.references.remove(message);
                entry.changes.delete(MESSAGE, &message.0.to_be_bytes());
            }
        }
    }
}
