//! The embedded engine: the contract of `keyward-store` kept in a directory of its own, on fjall.
//!
//! How to use it: [`DiskEngine::open`] with a directory that nobody else writes to; append any number of batches, then
//! call `sync` once (group commit: a sync costs the same for one batch as for a thousand). A second process that opens
//! the same directory is refused. Broken is final: close it and open it again.
//!
//! What is in the directory: `FORMAT` (which version wrote it), `LOCK`, `SYNCED` (the number of the last sync, and of the
//! one before), `data` (fjall's).
//! Copy it only while nobody has it open.
//!
//! What fjall does not do and this crate adds:
//!
//! - fjall cuts a journal at the first bytes that it does not understand, also in the middle, and opens with what is
//!   left. Here the journals are read before fjall sees them: a torn end is cut, damage before something that was synced
//!   stops the opening and names file and offset (`journal`). Each sync ends with a numbered mark, and `SYNCED`
//!   holds the number: an opening that finds less is an error (`marks`).
//! - fjall deletes a keyspace whose manifest is missing and opens without it. Here the files that must be there are
//!   looked for first (`layout`).
//! - fjall's write waits for ever for a flush that has failed. Here the wait comes before the write and ends with an error
//!   (`lsm`).
//! - fjall gives room back only while enough is written, so a full store that is emptied would stay full. Here it is
//!   flushed and compacted when there is no room (`making_room`).
//! - fjall may panic on damaged files. Its panics are caught and become errors; but a panic while it opens would end the
//!   process, so the manifests, where that was seen, are compared with their checksums first (`layout`).
//!
//! [`DiskEngine::open_prefix`] reads what is before the damage in a journal, for whoever has to begin anew and wants to keep
//! that.
//!
//! What is still possible: damage in a table file is found when it is read, not before. If the very last sync and
//! `SYNCED` are damaged together, the loss is not noticed. On a full disk a table of which more is left than half of what is
//! free is not compacted at once: the room of what was deleted in it comes back when that was enough for an ordinary
//! compaction. With a reserve smaller than a compaction needs, a compaction can fill the disk, and the engine breaks.
//!
//! What is not here: what keys and values mean, the thread that owns the engine, backups.

mod error;
mod files;
mod format;
mod journal;
mod layout;
pub mod limits;
mod lsm;
mod making_room;
mod marks;
mod open;
mod options;
mod room;

pub use error::OpenError;
pub use open::{DiskEngine, DiskReader};
pub use options::{Durability, Options};
