//! What the device side holds and reads at most: bound, unit, default, reason.

use std::time::Duration;

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

/// Bytes of the string that a device scans. 1 KiB: an id, a code, a fingerprint and eight hosts have less; a QR code holds 2,953.
pub const CLAIM_BYTES: usize = 1_024;

/// Hosts of that string. 8: names and addresses of one server.
pub const CLAIM_HOSTS: usize = 8;

/// Bytes of the answer to an application, and of what is kept of it. 64 KiB: two certificates, a root and eight keys have 8 KiB.
pub const ANSWER_BYTES: usize = 64 * 1_024;

/// How long a server may take to connect, and to answer an application. 20 seconds: as long as for CONNACK.
pub const APPLICATION_TIME: Duration = Duration::from_secs(20);

/// Messages of the outbox under way at once. 16: hides a round trip; after a lost link as many are sent again.
pub const IN_FLIGHT: usize = 16;

/// The longest first pause before a link is tried again; it doubles with each failure. 1 second.
pub const PAUSE_FIRST: Duration = Duration::from_secs(1);

/// The longest pause between two tries. 5 minutes: a server that comes back is found before people ask.
pub const PAUSE_LONGEST: Duration = Duration::from_secs(5 * 60);

/// How long a link must have stood for the pauses to begin anew. 1 minute: a server that lets in and closes is none that works.
pub const LINK_STANDS: Duration = Duration::from_secs(60);

/// How long the outbox waits after a message that the server could not take now. 5 seconds.
pub const REFUSED_PAUSE: Duration = Duration::from_secs(5);

/// How long what a server has to answer may take. 10 seconds.
pub const ANSWER_TIME: Duration = Duration::from_secs(10);

/// Seconds between signs of life. 60.
pub const KEEP_ALIVE: u16 = 60;

/// Bytes of one reading, before it is signed. 63 KiB: with its signature it is a message of 64 KiB.
pub const READING_BYTES: usize = 63 * 1_024;

/// Readings of one batch. 1,024: at most a kilobyte of heads.
pub const BATCH_READINGS: usize = 1_024;

/// Bytes of one batch, its readings each with its head: with the head of the array it is a payload.
pub const BATCH_BYTES: usize = READING_BYTES - 3;

/// Batches that are being gathered at a time. 64, so 4 MiB: beyond it the oldest is closed.
pub const BATCHES: usize = 64;

/// How long a reading may wait for others of its batch. 1 hour: whoever said it waits for its acknowledgement as long.
pub const BATCH_TIME: Duration = Duration::from_secs(3_600);

/// Rules of batches, and of whom messages are encrypted for. 64 of each.
pub const RULES: usize = 64;

/// Bytes of a topic. 1 KiB: what MQTT could take, 64 KiB, nobody reads.
pub const TOPIC_BYTES: usize = 1_024;

/// Numbers that may lie between the oldest message that waits and one that is sent ahead of it. 900: a server remembers 1,024, and what is
/// further below than that would be refused for good.
pub const AHEAD_NUMBERS: u64 = 900;

/// Groups that a device is a member of. 64: as many as an installation has.
pub const GROUPS: usize = 64;

/// Keys of one group that a device keeps, the newest. 24: as many as the server keeps; what is older is read by nobody who comes later either.
pub const GROUP_KEYS: usize = 24;

/// Filters of topics on which a device obeys. 16.
pub const COMMAND_FILTERS: usize = 16;

/// Bytes of one record of a log, before encryption: a batch of an outbox, a change of a sealed store. 160 KiB: the longest message (64 KiB)
/// on the longest topic (64 KiB) fits in.
pub const RECORD_BYTES: usize = 160 * 1024;

/// Bytes of a folder's key as the key store closed it. 4 KiB: a sealed object of a TPM has some 300.
pub const WRAPPED_KEY_BYTES: usize = 4 * 1024;

/// Messages that an outbox holds. Default 65,536, 18 hours at one a second; at most a million, each may need 32 bytes of memory.
pub const OUTBOX_ENTRIES: u64 = 65_536;

/// Messages that an outbox may be told to hold, at most.
pub const OUTBOX_ENTRIES_MOST: u64 = 1_000_000;

/// Bytes on disk of an outbox. Default 64 MiB; at least [`OUTBOX_BYTES_LEAST`].
pub const OUTBOX_BYTES: u64 = 64 * 1024 * 1024;

/// Bytes on disk that an outbox may be told to use, at least. 1 MiB: some of the longest messages, and a segment in reserve.
pub const OUTBOX_BYTES_LEAST: u64 = 1024 * 1024;

/// Bytes of a segment of an outbox, at most: the step in which room is given back. 1 MiB; of a small outbox an eighth.
pub const SEGMENT_BYTES: u64 = 1024 * 1024;

/// Bytes of messages that one look into an outbox returns, beyond the first. 256 KiB: what a link takes at a time.
pub const PEEK_BYTES: usize = 256 * 1024;

/// User properties of a message in an outbox. 64: more than anybody sends.
pub const OUTBOX_USER_PROPERTIES: usize = 64;

/// Acknowledgements after which an outbox writes down how far they go, if no message comes that takes it along. 256: as many are sent again
/// after a power cut, and a verifier remembers 1,024 numbers.
pub const ACKNOWLEDGED_UNWRITTEN: u64 = 256;

/// Bytes of a name in a sealed store.
pub const SEALED_NAME_BYTES: usize = 255;

/// Bytes of a value in a sealed store. 64 KiB: certificates, lists, a model of a few thousand weights.
pub const SEALED_VALUE_BYTES: usize = 64 * 1024;

/// Names in a sealed store.
pub const SEALED_NAMES: usize = 4_096;

/// Bytes of all names and values in a sealed store, 7 more for each. 1 MiB; on disk it takes twice that and [`SEALED_SLACK_BYTES`], and once more while it is
/// written anew.
pub const SEALED_BYTES: usize = 1024 * 1024;

/// Bytes of outdated changes that a sealed store keeps besides as many as it holds. 128 KiB: a small store is written anew after some hundred
/// changes, not after each.
pub const SEALED_SLACK_BYTES: u64 = 128 * 1024;

/// Changes of a sealed store after which the hardware counter is raised once more. 256: a TPM bears some 100,000 writes.
pub const SEALED_MARK_CHANGES: u32 = 256;

/// Messages that the server refused for good and that are kept aside, the newest. 1,024.
pub const ASIDE: u64 = 1_024;

/// Commands that wait for the application. 64: what comes beyond is not obeyed.
pub const COMMANDS_WAITING: usize = 64;

/// Messages that go ahead of all others at a time. 16: as many as are under way at once.
pub const URGENT: usize = 16;

/// How long a TPM may take for one command: it makes a key of RSA in half a minute at worst.
pub const TPM_ANSWER_SECONDS: Duration = Duration::from_secs(60);

/// How long a connection to a simulated TPM may take.
pub const TPM_CONNECT_SECONDS: Duration = Duration::from_secs(5);

/// How often a command is tried again while a TPM says that it is busy: with pauses that double from 10 ms on, for 2.5 s in all.
pub const TPM_TRIES: u32 = 8;
