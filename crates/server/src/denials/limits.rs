//! The bounds of what is remembered of refusals: each with its unit, its default and the reason.

use keyward_mqtt::time::Millis;

/// Rows of each kind: denials, failed logins, failed handshakes. More than a person reads; a few hundred KiB.
pub const DENIAL_ROWS: usize = 2_048;

/// Rows of one identity or address, so that one that tries every topic does not push out the others.
pub const DENIAL_ROWS_EACH: usize = 64;

/// Characters of a topic or a name that a row keeps.
pub const DENIAL_TEXT: usize = 256;

/// Counted facts (dropped messages, limits reached …) that are told apart by identity or address; the one that was not
/// heard of for longest makes room, and is counted by its kind alone.
pub const NOTICE_ROWS: usize = 256;

/// How often a fact that goes on gets a line of the log. A minute: often enough to be noticed, too seldom to fill a disk.
pub const FACT_LINE_EVERY: Millis = Millis::from_secs(60);
