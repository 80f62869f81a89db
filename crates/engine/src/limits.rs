//! What the engine bounds: bound, unit, default, reason. An operator sets reserve and cache through `Options`.

/// The usual reserve in bytes, below which nothing more is to be taken. 256 MiB: what was taken before, a journal, and a
/// compaction that is under way still fit.
pub const RESERVE_BYTES: u64 = 256 << 20;

/// The usual reserve on a small file system, in hundredths of it.
pub const RESERVE_PERCENT: u64 = 2;

/// Bytes of all journals before fjall flushes whoever holds them back. 128 MiB: bounds memory and the time to reopen.
pub const JOURNAL_BYTES: u64 = 128 << 20;

/// Bytes of a table's changes in memory before they are flushed to a file, unless the options say otherwise. 16 MiB, of which up to five can exist for each
/// table.
pub const MEMTABLE_BYTES: u64 = 16 << 20;

/// The same for the marks of syncs. 1 MiB: left alone they would hold back the journals.
pub const MARKS_BYTES: u64 = 1 << 20;

/// Bytes of a table file. 16 MiB: a compaction rewrites several, and needs their room beside them.
pub const FILE_BYTES: u64 = 16 << 20;

/// File descriptors kept open for table files. 128, of the 1,024 that a process often has.
pub const OPEN_FILES: usize = 128;

/// Threads that flush and compact. Two: with one, a flush waits for a compaction, and writers for the flush.
pub const WORKERS: usize = 2;

/// Sealed memtables of a table at which an append waits. fjall itself waits at 4, but without an end when flushing has failed.
pub const SEALED_MEMTABLES: usize = 2;

/// Runs of a table's first level at which an append waits for a compaction. fjall itself waits at 30, without an end.
pub const FIRST_LEVEL_RUNS: usize = 24;

/// Bytes of the cache of blocks unless the options say otherwise. 32 MiB: queues are read once, in order.
pub const CACHE_BYTES: u64 = 32 << 20;
