//! The bounds of what an import keeps.

/// The longest note of an import under way, in bytes: `keyward.toml` before and after, each byte escaped, and a line for each
/// rule file.
pub const MAX_JOURNAL_BYTES: usize = 4 * 1024 * 1024;
