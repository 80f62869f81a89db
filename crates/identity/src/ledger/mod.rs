//! The ledger: an append-only, hash-chained file of events, kept twice.

use crate::{clock::WallTime, events::Event, files::FileError};
use std::path::PathBuf;

/// Says why the ledger cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// A file could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Both copies are damaged in one place.
    #[error(
        "{dir}: the ledger is damaged after record {last_good} and neither copy can mend the other ({what}); \
         revocations could be lost, so nothing starts: restore the folder from a backup", dir = .dir.display()
    )]
    Damaged {
        /// The folder.
        dir: PathBuf,
        /// The last record that is whole.
        last_good: u64,
        /// What is wrong behind it.
        what: String,
    },
    /// A write failed earlier, and what is on disk is not known.
    #[error("an earlier write of the ledger failed; restart, so that it is read and checked again")]
    Broken,
    /// A record is larger than any that is read.
    #[error("the record has {len} bytes; a ledger record has at most {}", crate::limits::LEDGER_RECORD_BYTES)]
    RecordTooLarge {
        /// Its length in bytes.
        len: usize,
    },
    /// A record was written by a newer program.
    #[error(
        "record {sequence} of the ledger was written by a newer program ({what}); install that version or newer"
    )]
    Newer {
        /// The record.
        sequence: u64,
        /// What is not understood.
        what: String,
    },
}

/// Holds one record of the ledger: who changed what, when. Everything exact; escape it where people read it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// The number of the record, from 1.
    pub sequence: u64,
    /// What the clock showed.
    pub at: WallTime,
    /// Who gave the command.
    pub actor: String,
    /// What happened.
    pub events: Vec<Event>,
    /// The SHA-256 that chains this record to all before it.
    pub hash: [u8; 32],
}

/// Iterates over the ledger in order.
pub struct AuditTrail {
    _private: (),
}

impl Iterator for AuditTrail {
    type Item = Result<AuditEntry, LedgerError>;
    fn next(&mut self) -> Option<Self::Item> {
        todo!()
    }
}
