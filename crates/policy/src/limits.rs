//! The bounds of a policy. A text beyond one of them is refused as a whole, like any other error.
//!
//! They are there so that a slip (a generated file, a wrong folder) is noticed at load and not as a slow broker:
//! a decision looks at each filter that applies to the subject, so filters are what costs.

/// The most rule files. A house has a handful; each account with a preset has one of its own.
pub const MAX_FILES: usize = 1_024;

/// The longest rule file, in bytes.
pub const MAX_FILE_BYTES: usize = 256 * 1024;

/// The most rules in all files together.
pub const MAX_RULES: usize = 4_096;

/// The most filters (`topics`) of one rule.
pub const MAX_TOPICS_PER_RULE: usize = 64;

/// The most filters in all files together.
pub const MAX_FILTERS: usize = 8_192;

/// The most names in the `who` of one rule; more belong into a role.
pub const MAX_WHO_PER_RULE: usize = 64;

/// The most roles in all files together.
pub const MAX_ROLES: usize = 256;

/// The most members of one role.
pub const MAX_ROLE_MEMBERS: usize = 1_024;

/// The longest filter of a rule, in bytes, before values stand in it.
pub const MAX_FILTER_BYTES: usize = 1_024;

/// The most levels of a rule's filter. To class a subscription costs a look at the rules per level.
pub const MAX_FILTER_LEVELS: usize = 32;

/// The longest note of a rule, in bytes.
pub const MAX_NOTE_BYTES: usize = 512;

/// The first and the last tier that a file may name; smaller decides earlier.
pub const TIERS: core::ops::RangeInclusive<u8> = 1..=99;

/// The tier of a file that names none.
pub const DEFAULT_TIER: u8 = 10;

/// The highest level of a key that can be demanded.
pub const MAX_KEY_LEVEL: u8 = 3;

/// How old a signed message may be where nothing is said, in seconds: a week off the network.
pub const DEFAULT_MAX_OFFLINE_SECONDS: u64 = 7 * 86_400;

/// How old a signed message may be at most, in seconds: a season.
pub const MAX_OFFLINE_SECONDS: u64 = 92 * 86_400;

/// The most errors that one load reports; a person mends the first ones anyhow.
pub const MAX_ERRORS: usize = 50;

// The shapes of a filter are at most one level deeper than any rule's filter and must be topics all the same.
const _: () = assert!(MAX_FILTER_LEVELS < keyward_mqtt::topic::MAX_LEVELS);
const _: () = assert!(MAX_FILTERS >= MAX_RULES);
