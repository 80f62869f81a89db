//! What the device side holds and reads at most: bound, unit, default, reason.

/// Bytes of a file that holds one key. A key of P-256 has 241 as PEM, and a sealed one some more.
pub const KEY_FILE_BYTES: usize = 4 * 1024;

/// Bytes of the secret under which key files are sealed, at least: 256 bits, so that nobody searches for it with a copy of the disk.
pub const SEALING_SECRET_BYTES_LEAST: usize = 32;

/// Bytes of that secret, at most: more than any tool makes.
pub const SEALING_SECRET_BYTES: usize = 4 * 1024;

/// Bytes of the text that names a key store: a path, a few attributes.
pub const KEY_SPEC_BYTES: usize = 4 * 1024;

/// Bytes of the PIN of a token. 255: what PKCS #11 libraries take.
pub const PIN_BYTES: usize = 255;
