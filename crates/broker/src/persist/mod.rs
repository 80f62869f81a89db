//! What a shard has on disk: one record for each thing that survives, and how they are written and read again. This is
//! the one place that knows which table holds what (`docs/format.md` shows every byte).
//!
//! While the broker runs, a shard only writes: its [`Recorder`] gathers what changes, an input at a time, and the shell
//! gives what [`Shard::take_entry`](crate::Shard::take_entry) returns to the [`Journal`], which counts how many records
//! refer to each message and lets a message go with the last of them. At a start [`recover`] reads everything.
//!
//! Records name each other by numbers that are never used again: a session and a group by its incarnation, a message by
//! its id. So a record that a crash left without the one that it belongs to is seen to be nobody's.

mod commits;
mod entry;
mod format;
mod inspection;
mod journal;
mod messages;
mod numbers;
mod pages;
mod publication;
mod recorder;
mod records;
mod recovered;
mod recovery;
mod wire;

pub use entry::Entry;
pub use format::{FORMAT, NEEDS, UPGRADES, Upgrade, upgrades};
pub use inspection::{Inspected, Inspection, inspect};
pub use journal::Journal;
pub use numbers::{begin_numbers, is_new};
pub use pages::{Page, PageAsk};
pub(crate) use pages::{PageLine, Paging, Wanted};
pub(crate) use publication::{Away, Filing, Kept, Owner, Publication, Reservation, Reserved, Settlement};
pub(crate) use recorder::Recorder;
pub(crate) use recovered::{GroupRecord, SessionRecord};
pub use recovered::{Portion, Recovered, Survey};
pub use recovery::{RecoveryError, recover};
pub(crate) use wire::{SessionTerms, WillRecord};

use keyward_store::Table;

/// What is said once: the format and the release that it needs, the key of hashes, since when numbers are known. By name.
pub(crate) const META: Table = Table::new(0);
/// Stored sessions, by incarnation.
pub(crate) const SESSION: Table = Table::new(1);
/// Their subscriptions, by incarnation and filter.
pub(crate) const SUBSCRIPTION: Table = Table::new(2);
/// Packet ids of QoS 2 messages from their clients, by incarnation and id.
pub(crate) const INBOUND: Table = Table::new(3);
/// Messages for sessions and groups, by incarnation and place.
pub(crate) const PLACE: Table = Table::new(4);
/// What they say, by message id.
pub(crate) const MESSAGE: Table = Table::new(5);
/// QoS 2 messages that were accepted and have not gone to their readers, by message id.
pub(crate) const ACCEPTED: Table = Table::new(6);
/// Retained messages, by topic.
pub(crate) const RETAINED: Table = Table::new(7);
/// Wills that outlive the process, by incarnation.
pub(crate) const WILL: Table = Table::new(8);
/// Shared groups, by incarnation.
pub(crate) const GROUP: Table = Table::new(9);

/// Numbers of signed messages that were seen, by life, key and place in its window.
pub(crate) const WINDOW: Table = Table::new(10);

/// Says what a table's rows mean for those of others, where some of them are lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Nothing can be used without it.
    Root,
    /// It says what was sent and what has arrived: with a hole in it something would happen twice.
    Exact,
    /// Others refer to its rows; what refers to a lost one is lost too, and nothing else.
    Referred,
    /// Each row stands for itself.
    Alone,
}

/// Tells which kind a table is.
pub fn kind_of(table: Table) -> Kind {
    match table {
        META => Kind::Root,
        MESSAGE => Kind::Referred,
        RETAINED => Kind::Alone,
        _ => Kind::Exact,
    }
}

/// The name of the key of hashes in [`META`].
pub(crate) const HASH_KEY: &[u8] = b"hash-key";
/// The name, in [`META`], of the moment since which numbers of signed messages are known.
pub(crate) const NUMBERS_SINCE: &[u8] = b"numbers-since";
/// The name of the format's version in [`META`].
pub(crate) const FORMAT_KEY: &[u8] = b"format";
/// The name of the release that it needs.
pub(crate) const NEEDS_KEY: &[u8] = b"needs";
