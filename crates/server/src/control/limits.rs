//! The bounds of the control socket: each with its unit, its default and the reason.

use std::time::Duration;

/// Connections at a time. An operator has one; a script that leaks them is noticed before it costs much.
pub const CONTROL_CONNECTIONS: usize = 8;

/// The longest request, in bytes. The largest one holds a signing request of 8 KiB as base64.
pub const CONTROL_REQUEST_BYTES: usize = 64 * 1024;

/// The longest payload of a command that is signed over the socket, in bytes: as base64 it fits into a request.
pub const COMMAND_BYTES: usize = 40 * 1024;

/// The longest correlation data of such a command, in bytes.
pub const CORRELATION_BYTES: usize = 1_024;

/// The longest time that such a command is good, in seconds: 7 days, for a device that is switched on once a week.
pub const COMMAND_SECONDS: u64 = 7 * 86_400;

/// Commands that are signed in a second, in the long run. Each is a record of the ledger, which is kept for ever: a script that runs wild
/// must not fill the disk as fast as it can ask.
pub const COMMANDS_PER_SECOND: u64 = 5;

/// Commands that are signed at once after a pause: one to each device of a large house.
pub const COMMANDS_AT_ONCE: u64 = 1_000;

/// The longest answer that a client reads, in bytes: the list of a million devices.
pub const CONTROL_ANSWER_BYTES: usize = 512 * 1024 * 1024;

/// How long a connection may be silent before or within a request, and how long an answer may take to be read.
pub const CONTROL_SILENCE: Duration = Duration::from_secs(30);

/// How long a client waits for an answer. Hashing, signing, syncing and the reports of all shards take less than a
/// second together; a broken disk takes longer.
pub const CONTROL_ANSWER_TIME: Duration = Duration::from_secs(60);

/// The most changes that `audit` returns.
pub const AUDIT_ROWS: usize = 1_000;

/// Bytes of one piece of a stream. 64 KiB: a few copies of it exist at a time.
pub const STREAM_PIECE: usize = 64 * 1024;

/// How long the socket rests when the system gives it no connection: out of file descriptors it would spin.
pub const CONTROL_RETRY: Duration = Duration::from_millis(100);
