//! What a message can make a reader hold or look at: bound, unit, default, reason.

/// Bytes of a whole message, signature included. Default 64 KiB: a reading has some hundred bytes, a batch some thousand, and
/// a device must be able to hold a command. A verifier may take less, or more ([`inspect_within`](crate::inspect_within)).
pub const MESSAGE_BYTES: usize = 64 * 1024;

/// Bytes of the protected header of the signature. The longest that the profile can express has 67.
pub const PROTECTED_BYTES: usize = 128;

/// Bytes of a name: an installation, a device, a group. As long as names in Keyward are.
pub const NAME_BYTES: usize = 64;

/// Bytes of a topic: what MQTT can express.
pub const TOPIC_BYTES: usize = 65_535;

/// Bytes of correlation data: what MQTT can express.
pub const CORRELATION_BYTES: usize = 65_535;

/// Bytes of a session nonce, at least: too many to be drawn twice in the life of a session.
pub const NONCE_BYTES_LEAST: usize = 8;

/// Bytes of a session nonce, at most: 128 random bits.
pub const NONCE_BYTES: usize = 16;

/// Numbers that a verifier remembers for each key, counted from the highest: what a device may have under way or send again after
/// newer messages. 1,024 is more than MQTT's receive maximum of any client here.
pub const WINDOW: usize = 1_024;

/// Numbers that a device remembers of the server's key, counted from the highest. 64: commands are few, memory is scarce.
pub const RECENT: usize = 64;

/// Keys in the server's key set. 8: one that signs, one that agrees, the same while they change, and room.
pub const KEY_SET_KEYS: usize = 8;

/// Bytes of one public key in the form of COSE, at most.
pub const KEY_BYTES: usize = 96;

/// Seconds that a message may come from the future. 300: clocks of devices that ask for the time now and then.
pub const FUTURE_SECONDS: u64 = 300;

/// Seconds after which a new message counts as late. 300: as far as clocks may differ.
pub const LATE_SECONDS: u64 = 300;

/// Seconds that a device may be offline and still deliver what it signed meanwhile. Default 7 days.
pub const MAX_OFFLINE_SECONDS: u64 = 7 * 24 * 3_600;

/// Seconds that a command without a nonce is good for. 60: the longest that a person waits for an effect.
pub const COMMAND_SECONDS: u64 = 60;
