//! The bounds of this crate: each with its unit, its default and the reason.

/// Accounts that an installation may hold, tombstones included. A million devices fit into the memory of the
/// smallest machine that could serve them.
pub const ACCOUNTS: usize = 1_000_000;

/// Certificates that one account may hold at a time. Two are needed while one replaces the other; eight leave room
/// for a user with several machines.
pub const CERTIFICATES_PER_ACCOUNT: usize = 8;

/// Message keys that one account may hold at a time, and as many to which is encrypted. Two are needed while one replaces the other; four leave room for those that
/// verify only what is old.
pub const MESSAGE_KEYS_PER_ACCOUNT: usize = 4;

/// The highest level of a message key: its hardware vouched for it.
pub const MESSAGE_KEY_LEVEL: u8 = 3;

/// The longest time for which a message key that is retired is accepted still, in seconds: a season, for devices that wake rarely.
pub const MESSAGE_KEY_OVERLAP_SECONDS: u64 = 92 * 86_400;

/// Groups whose members share a key. All their keys of [`GROUP_EPOCHS`] fit into one small file.
pub const GROUPS: usize = 64;

/// Members of one group. Each gets a message of its own with each new key.
pub const GROUP_MEMBERS: usize = 1_024;

/// Members of all groups together: at most so many messages are signed when every group gets a new key.
pub const MEMBERSHIPS: usize = 20_480;

/// Epochs of a group's key that are kept: seven days of one a day, and sixteen more that began because somebody left. With one
/// more the oldest ends before its time.
pub const GROUP_EPOCHS: usize = 24;

/// The longest time for which the key of an old epoch is kept, in seconds: as long as messages may be on their way
/// ([`MESSAGE_KEY_OVERLAP_SECONDS`]).
pub const GROUP_EPOCH_SECONDS: u64 = MESSAGE_KEY_OVERLAP_SECONDS;

/// Names and addresses of this server: found, added and hidden ones together.
pub const SERVER_NAMES: usize = 64;

/// Bytes that the server's Certificate message takes at most: some small TLS stacks have no more room.
pub const CERTIFICATE_MESSAGE_BYTES: usize = 1_500;

/// Bytes that all names together may take in the server's certificate, so that the Certificate message stays under
/// [`CERTIFICATE_MESSAGE_BYTES`]. Names found by themselves give way to those that were added.
pub const NAME_BYTES: usize = 330;

/// Bytes that the names *added by the operator* may take of [`NAME_BYTES`]. One of the longest fits, and `localhost`
/// and some addresses beside it.
pub const ADDED_NAME_BYTES: usize = 264;

/// The longest DNS name, in bytes (RFC 1035 §2.3.4).
pub const DNS_NAME_BYTES: usize = 253;

/// The longest note on an account, in bytes: one line that a person wrote.
pub const NOTE_BYTES: usize = 256;

/// The longest reason, of a quarantine, a maintenance window or a move, in bytes: one line, of a person or with the evidence of the broker.
pub const REASON_BYTES: usize = 512;

/// The longest name of a gateway or circuit, in bytes: as of an id.
pub const PLACE_NAME_BYTES: usize = 64;

/// The longest time from one report of a device to the next, in seconds: 30 days.
pub const INTERVAL_SECONDS: u64 = 30 * 86_400;

/// The longest name of what is worked on, in bytes: a kind, a site, and a gateway of it.
pub const SCOPE_BYTES: usize = 160;

/// The longest maintenance window, in seconds: 7 days, as the watch takes them.
pub const MAINTENANCE_SECONDS: u64 = 7 * 86_400;

/// Maintenance windows that are open at once: fewer than the watch knows, more than any crew works in.
pub const MAINTENANCE_WINDOWS: usize = 256;

/// The longest name of who gave a command, in bytes.
pub const ACTOR_BYTES: usize = 128;

/// The longest audit note on a changed file, in bytes: a diff that a person would still read.
pub const CONFIG_NOTE_BYTES: usize = 32 * 1024;

/// The longest signing request, in bytes. One for RSA 4096 in PEM has about 1,800.
pub const CSR_BYTES: usize = 8 * 1024;

/// The largest body of a ledger record, in bytes. A configuration note fits even if every byte of it is escaped.
pub const LEDGER_RECORD_BYTES: usize = 256 * 1024;

/// Bytes kept free on disk behind the last record of each copy of the ledger. 256 KiB: about a thousand revocations on a full
/// disk, or the largest record.
pub const LEDGER_RESERVE_BYTES: u64 = 256 * 1024;

/// The largest snapshot that is read, in bytes: a million accounts of 1 KiB.
pub const SNAPSHOT_BYTES: usize = 1024 * 1024 * 1024;

/// The largest list of what was revoked that is read, in bytes: a line for each of [`ACCOUNTS`].
pub const REVOKED_LIST_BYTES: usize = 64 * 1024 * 1024;

/// Records after the snapshot that make the next start write a new one. Replaying so many takes milliseconds.
pub const SNAPSHOT_AFTER: u64 = 1_024;

/// The largest key, certificate or lock file that is read, in bytes.
pub const SMALL_FILE_BYTES: usize = 64 * 1024;

/// The longest password and passphrase that can be set, in bytes. Hashing cost does not grow with it, memory would.
pub const PASSWORD_BYTES: usize = 1_024;

/// The shortest password that a person may choose, in characters (NIST SP 800-63B §3.1.1).
pub const CHOSEN_PASSWORD_CHARS: usize = 8;

/// The longest password hash that is imported, in bytes: Argon2id with a salt and a hash of 64 bytes each has 210.
pub const IMPORTED_HASH_BYTES: usize = 512;

/// Iterations of PBKDF2 that an imported hash may ask for: a check of a third of a second. OWASP recommends 210,000,
/// Mosquitto's default is 1,000.
pub const IMPORTED_ITERATIONS: u32 = 500_000;

/// KiB of memory that an imported Argon2id hash may ask for: 64 MiB for as long as it is checked. Mosquitto asks for 46.
pub const IMPORTED_ARGON2_KIB: u32 = 64 * 1024;

/// KiB of memory times passes that an imported Argon2id hash may ask for: a check of a quarter of a second.
pub const IMPORTED_ARGON2_WORK: u64 = 256 * 1024;

/// Lanes that an imported Argon2id hash may ask for; they are gone through one after the other.
pub const IMPORTED_ARGON2_LANES: u32 = 8;

/// New hashes of imported passwords in one command.
pub const REHASHES: usize = 64;

/// Bytes that are kept of the topic of a message that proves a second holder of a key.
pub const EVIDENCE_TOPIC_BYTES: usize = 256;

/// Links of the device that are named beside such a proof.
pub const EVIDENCE_HOSTS: usize = 8;

/// For how many seconds a claim code may be used: a minute, for tests and robots, to a month, for a batch on its way from a
/// factory. The command line gives a day.
pub const CLAIM_SECONDS: std::ops::RangeInclusive<u64> = 60..=30 * 86_400;

/// Certificates that renew the same one and were not used yet: one, and one more if the device lost power before it had stored
/// the first key. They take each other's place only after [`RENEWAL_PAUSE`].
pub const RENEWALS_OUTSTANDING: usize = 2;

/// How long such a certificate stands before another one takes its place; an eighth of the last third of the old one's life
/// if that is less. So a device that forgets its key each time writes two records a day.
pub const RENEWAL_PAUSE: std::time::Duration = std::time::Duration::from_secs(86_400);

/// Authorities of others whose client certificates are accepted. One comes from Mosquitto, another while it is replaced; each
/// costs a look at every handshake under a strange authority.
pub const TRUSTED_AUTHORITIES: usize = 4;

/// Certificates of one such authority, and its lists of revoked certificates.
pub const TRUSTED_CERTIFICATES: usize = 8;

/// The largest file with the certificates of such an authority, in bytes: eight of the usual size.
pub const TRUSTED_CERTIFICATE_BYTES: usize = 12 * 1024;

/// The largest file with its lists of revoked certificates, in bytes: about 600 certificates as PEM. It fits into a
/// request, along with the authority.
pub const REVOCATION_LIST_BYTES: usize = 32 * 1024;

/// The longest name of something that was made elsewhere and is kept here, in bytes.
pub const LOCAL_NAME_BYTES: usize = 32;

/// Common names in certificates of trusted authorities that stand for one identity.
pub const BOUND_NAMES: usize = 8;

/// The longest common name that is bound, in bytes; RFC 5280 has 64 characters.
pub const COMMON_NAME_BYTES: usize = 128;

/// Certificates of this server that other authorities made: one a listener.
pub const IMPORTED_CERTIFICATES: usize = 16;

/// Command keys of the server at one time: one, its successor, and room for a second hurry. A key set has 8 places.
pub const COMMAND_KEYS: usize = 4;

/// The longest time that one command key waits for another, in seconds: 90 days, as long as a key set is good.
pub const COMMAND_KEY_SECONDS: u64 = 90 * 86_400;

/// The longest topic of a signed command, in bytes: it stands in the ledger.
pub const COMMAND_TOPIC_BYTES: usize = 1_024;

/// Numbers that are set aside at once: one for each member of a group.
pub const RESERVED_NUMBERS: u32 = 65_536;

/// The largest file with the key of such a certificate, in bytes. RSA 4096 takes 3,300.
pub const SERVER_KEY_BYTES: usize = 8 * 1024;

const _: () = assert!(
    (TRUSTED_CERTIFICATE_BYTES + REVOCATION_LIST_BYTES) / 3 * 4 + 4_096 < LEDGER_RECORD_BYTES,
    "an authority and its lists fit into a record even if they came as DER"
);

const _: () = assert!(CONFIG_NOTE_BYTES * 6 < LEDGER_RECORD_BYTES, "a note fits into a record");

const _: () = assert!(
    (GROUP_MEMBERS + 1) * 240 < LEDGER_RECORD_BYTES,
    "a group is deleted in one record, with a line for each member: two names of 64 bytes and the words around them"
);

const _: () = assert!(
    (GROUPS * (GROUP_EPOCHS + 1) * 20 * 4 / 3) * 4 / 3 * 66 / 64 + 1_024 < SMALL_FILE_BYTES,
    "the keys of groups fit into a key file, sealed and in base64 twice, with those that are about to be forgotten"
);
