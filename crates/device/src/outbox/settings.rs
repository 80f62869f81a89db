//! What the owner of an outbox sets, gets and asks.

use super::entry::Entry;
use crate::limits::{
    OUTBOX_BYTES, OUTBOX_BYTES_LEAST, OUTBOX_ENTRIES, OUTBOX_ENTRIES_MOST, RECORD_BYTES, SEGMENT_BYTES,
};
use crate::state::StateError;

/// Says what happens to a message for which there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Full {
    /// It is refused, with [`StateError::Full`].
    #[default]
    Refuse,
    /// The oldest make room, a segment at a time where bytes are short; they are counted ([`Status::dropped`]).
    DropOldest,
}

/// Says how large an outbox may become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Messages, 1 to a million.
    pub max_entries: u64,
    /// Bytes on disk, at least 1 MiB. An eighth of it, or 1 MiB, is kept free for the moment in which one segment follows another.
    pub max_bytes: u64,
    /// What happens beyond.
    pub full: Full,
}

impl Default for Settings {
    fn default() -> Self {
        Self { max_entries: OUTBOX_ENTRIES, max_bytes: OUTBOX_BYTES, full: Full::Refuse }
    }
}

impl Settings {
    pub(super) fn check(self) -> Result<Self, StateError> {
        let refused = |setting: &str, problem| Err(StateError::damaged(setting.as_ref(), problem));
        if !(1..=OUTBOX_ENTRIES_MOST).contains(&self.max_entries) {
            return refused(
                "max_entries",
                format!("is {}; give 1 to {OUTBOX_ENTRIES_MOST}", self.max_entries),
            );
        }
        if self.max_bytes < OUTBOX_BYTES_LEAST {
            return refused("max_bytes", format!("is {}; give {OUTBOX_BYTES_LEAST} or more", self.max_bytes));
        }
        Ok(self)
    }

    pub(super) fn segment_bytes(self) -> u64 {
        (self.max_bytes / 8).clamp(RECORD_BYTES as u64 + 1024, SEGMENT_BYTES)
    }
}

/// Is a message of an outbox and its number there. Numbers begin at 1 and grow, over restarts too; they have nothing to do with the number that
/// the message is signed with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Waiting {
    /// Its number in the outbox.
    pub id: u64,
    /// The message.
    pub entry: Entry,
}

/// Says how an outbox stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Status {
    /// Messages that wait.
    pub entries: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Messages that were given up for newer ones, since the outbox was made.
    pub dropped: u64,
    /// Messages that could not be read again since the start, at least: their file was damaged. Whoever sees this is to report it.
    pub damaged: u64,
}
