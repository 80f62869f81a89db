//! What an operator can choose about the engine.

use crate::limits;

/// Says what a sync promises. Who wants no promise at all opens `keyward_store::memory::MemoryEngine` instead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Durability {
    /// What was synced survives a loss of power: one `fdatasync` for each sync.
    #[default]
    Synced,
    /// What was synced survives the end of the process, not of the system, which writes when it likes.
    Os,
}

/// Opens an engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// What a sync promises. Default: [`Durability::Synced`].
    pub durability: Durability,
    /// Below how many free bytes of the file system there is no room. Default: [`limits::RESERVE_BYTES`] or
    /// [`limits::RESERVE_PERCENT`] of the file system, whichever is less.
    pub reserve: Option<u64>,
    /// Bytes of the cache of blocks read from table files. Default 32 MiB. Not yet flushed messages come on top, at most about
    /// twice [`limits::JOURNAL_BYTES`].
    pub cache: u64,
    /// Bytes of a table's changes in memory before they are flushed to a file; of a new store, for fjall remembers it. A
    /// compaction needs about twelve times as much room, which the reserve has to hold.
    /// Default [`limits::MEMTABLE_BYTES`].
    pub memtable: u64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            durability: Durability::Synced,
            reserve: None,
            cache: limits::CACHE_BYTES,
            memtable: limits::MEMTABLE_BYTES,
        }
    }
}
