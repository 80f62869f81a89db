//! The bounds of what is remembered of refusals: each with its unit, its default and the reason.

/// Rows of each kind: denials, failed logins, failed handshakes. More than a person reads; a few hundred KiB.
pub const DENIAL_ROWS: usize = 2_048;

/// Rows of one identity or address, so that one that tries every topic does not push out the others.
pub const DENIAL_ROWS_EACH: usize = 64;

/// Characters of a topic or a name that a row keeps.
pub const DENIAL_TEXT: usize = 256;

/// Counted facts (dropped messages, withheld wills …) that are told apart by identity; what is beyond is counted by
/// its kind alone.
pub const NOTICE_ROWS: usize = 256;
