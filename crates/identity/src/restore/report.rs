//! What a restore found and did, for the operator.

use crate::clock::WallTime;
use keyward_ids::{Identity, InstallationId};

/// Says what became of the ledger.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// Whose ledger it is.
    pub installation: InstallationId,
    /// When the backup was taken.
    pub taken: WallTime,
    /// The number of the last record in the backup.
    pub backup_records: u64,
    /// What the old ledger was good for.
    pub old_ledger: OldLedger,
    /// How much was taken away again.
    pub applied: Applied,
    /// Identities in the list that the restored ledger does not know, at most eight: was a name mistyped?
    pub strangers: Vec<Identity>,
    /// The time from which and to which it is not known what was taken away; `None` if it is known to now.
    pub unknown: Option<(WallTime, WallTime)>,
    /// How many identities start unconfirmed for that.
    pub unconfirmed: usize,
    /// All of it in sentences, a line each, with what to do.
    pub sentences: Vec<String>,
}

/// Says what the old ledger was good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OldLedger {
    /// There was none.
    Absent,
    /// Nothing in it could be read.
    Unreadable,
    /// It ends before the backup does: nothing in it is news.
    Older,
    /// It was read to its end: nothing since the backup is lost.
    Whole {
        /// The number of its last record.
        records: u64,
    },
    /// It is damaged.
    Damaged {
        /// The last record before the damage: up to here nothing is lost.
        records: u64,
        /// How many records behind the damage were read for what was taken away.
        salvaged: u64,
    },
}

/// Counts what was taken away again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Applied {
    /// Identities revoked.
    pub revoked: usize,
    /// Identities removed.
    pub removed: usize,
    /// Identities disabled.
    pub disabled: usize,
    /// Passwords taken away.
    pub passwords: usize,
    /// Certificates taken away.
    pub certificates: usize,
}
