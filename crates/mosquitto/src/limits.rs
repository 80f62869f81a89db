//! The bounds of what is read. Files beyond them are refused as a whole.

/// The longest file, in bytes: a password file of some 20,000 users.
pub const MAX_FILE_BYTES: usize = 4 * 1024 * 1024;

/// The most files that the folders of `include_dir` may hold together.
pub const MAX_INCLUDED: usize = 64;

/// The longest line, in bytes.
pub const MAX_LINE_BYTES: usize = 8 * 1024;

/// The most listeners.
pub const MAX_LISTENERS: usize = 64;

/// The most entries of a password file, and clients, groups or roles of dynamic security.
pub const MAX_ENTRIES: usize = 20_000;

/// The most rules of an `acl_file`, and of dynamic security.
pub const MAX_RULES: usize = 20_000;
