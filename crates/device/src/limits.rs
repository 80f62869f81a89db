//! What the device side holds and reads at most: bound, unit, default, reason.

/// Bytes of a file that holds one key. A key of P-256 has 241 as PEM, and a sealed one some more.
pub const KEY_FILE_BYTES: usize = 4 * 1024;
