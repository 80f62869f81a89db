//! The bounds of backups: bound, unit, default, reason. Nothing here is set by an operator.

/// Bytes of stored rows in one file of an archive, but for a row that is longer. 1 MiB: what is held in memory at a time.
pub const CHUNK_BYTES: usize = 1 << 20;

/// The longest file of rows that is read, in bytes: one row as long as the store takes, and a full chunk before it.
pub const ROWS_BYTES: u64 =
    (keyward_store::limits::VALUE_BYTES + keyward_store::limits::KEY_BYTES) as u64 + 2 * CHUNK_BYTES as u64;

/// Files of an archive. 1,000,000: a store of a terabyte.
pub const ARCHIVE_FILES: usize = 1_000_000;

/// Bytes of the manifest, which has ten short lines.
pub const MANIFEST_BYTES: usize = 64 << 10;

/// Bytes of the list of contents, of at most 256 for each of [`ARCHIVE_FILES`].
pub const CONTENTS_BYTES: usize = 256 * ARCHIVE_FILES;

/// Bytes of a ledger in an archive: as much as a tar header of the plain kind can say, a ledger of some ten million changes.
pub const LEDGER_BYTES: u64 = (8 << 30) - 1;

/// Bytes of a file's path in an archive: as much as a tar header of the plain kind holds.
pub const PATH_BYTES: usize = 100;

/// The work of guessing a passphrase once, as a power of two of scrypt's N with r = 8: 18 takes 256 MiB and about a second,
/// which is what the age tool chooses.
pub const SCRYPT_WORK: u8 = 18;

/// The most such work that a file can ask for when it is opened. 20: a gigabyte and some seconds.
pub const SCRYPT_WORK_MAX: u8 = 20;

/// Bytes of a passphrase.
pub const PASSPHRASE_BYTES: usize = 1_024;

/// Bytes of a file with age keys or recipients.
pub const KEY_FILE_BYTES: usize = 64 << 10;
