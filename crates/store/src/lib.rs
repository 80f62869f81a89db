//! The storage contract: ordered tables of bytes, changed by batches that are kept whole or not at all.
//!
//! How to use it: collect changes in a [`Batch`]; give it to [`Engine::append`], which makes it seen; after any number of
//! batches call [`Engine::sync`] once, which makes all of them durable; only then say to anyone that they are kept.
//! What is recovered after a crash is a prefix of the batches in the order of their appends, at least up to the last
//! sync that returned. [`Read`] gives single values and ordered pages ([`Scan`]), from any thread; a [snapshot](Read::snapshot)
//! stands still while others write.
//!
//! There are tables only. No log: a queue is an ordered range of keys, read by [`Scan`] and trimmed by deleting. No
//! revisions: every record has exactly one writer (the shard that owns its session), so there is nothing to compare.
//!
//! What is not here: what keys and values mean (the broker's journal), files (`engine`), the thread that gathers the batches
//! of all shards (`server`). Nothing in this crate does IO, reads a clock or draws a random number.

mod batch;
mod error;
pub mod faulty;
pub mod limits;
pub mod memory;
mod scan;
pub mod suite;
mod table;

pub use batch::{Batch, Change, Changes};
pub use error::{Broken, ReadError};
pub use scan::{Rows, Scan};
pub use table::Table;

use std::sync::Arc;

/// Reads what was appended, durable or not.
pub trait Read: Send + Sync {
    /// Gives the value of a key, nothing if there is none.
    ///
    /// # Errors
    /// What is there cannot be read. Nothing is said about other keys.
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError>;

    /// Reads the next page of a scan and tells whether it holds anything. Between two pages nothing is borrowed: the
    /// next page shows what stands after the scan's position by then.
    ///
    /// # Errors
    /// Something on the page cannot be read. The page is then empty, and the scan stays where it was.
    fn next_page(&self, scan: &mut Scan) -> Result<bool, ReadError>;

    /// Gives a view that shows what is appended now, and nothing of what comes later: whole batches, and a prefix of them. It
    /// holds up nobody who appends. While it is held, an engine may keep the room of what is deleted: hold it as long as it is
    /// read.
    fn snapshot(&self) -> Arc<dyn Read>;
}

/// Keeps batches. It has one owner, who appends and syncs; others read through [`Engine::reader`].
pub trait Engine: Read {
    /// Applies the changes of a batch in their order, all or none. All reads see them at once, before they are durable.
    /// An empty batch changes nothing.
    ///
    /// Room is not asked for here: what was taken is appended, into the reserve if need be.
    ///
    /// # Errors
    /// Final; whether this batch is recovered is unknown until the engine is opened again.
    fn append(&mut self, batch: &Batch) -> Result<(), Broken>;

    /// Tells whether there is room above the reserve: if not, nothing more is to be taken that would have to be appended.
    ///
    /// # Errors
    /// The engine is broken.
    fn has_room(&mut self) -> Result<bool, Broken>;

    /// Makes everything durable that was appended before. What durable means is an option of the engine: memory
    /// promises nothing.
    ///
    /// # Errors
    /// Final: from now on every append and every sync is [`Broken`], reads go on. Which of the batches since the last
    /// good sync are recovered is unknown, but they are a prefix.
    fn sync(&mut self) -> Result<(), Broken>;

    /// Gives a handle that reads from other threads, and goes on to read when this engine is broken.
    fn reader(&self) -> Arc<dyn Read>;
}
