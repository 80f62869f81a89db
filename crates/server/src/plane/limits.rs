//! The bounds of the data plane: what each holds, in which unit, by default how much, and why.
//!
//! What one session, one identity or one shard may hold is bounded by the limits of `broker`; sizes of packets by
//! those of `mqtt`. Here stands what a *connection* may cost before and beside that.

use std::time::Duration;

/// File descriptors that are not for connections: table files and journals of the store, sockets, the ledger. A store that gets
/// none when it has to write a file is broken until the next start.
pub const OWN_DESCRIPTORS: u64 = 256;

/// Connections that there may be however few descriptors there are.
pub const CONNECTIONS_LEAST: usize = 16;

/// Bytes of TLS handshake that a peer may make the broker hold before it is authenticated: the longest handshake
/// message that TLS libraries accept (RFC 8446 §4 would allow 16 MiB), and a chain of a client needs 2 KiB.
pub const HANDSHAKE_BYTES: usize = 64 * 1024;

/// Bytes of CONNECT that a peer may send before it is authenticated; a will and a long user name fit in.
pub const CONNECT_BYTES: usize = 16 * 1024;

/// Bytes of the request that begins a WebSocket: what browsers send with a few cookies.
pub const UPGRADE_BYTES: usize = 8 * 1024;

/// Headers of that request: browsers send twenty.
pub const UPGRADE_HEADERS: usize = 64;

/// Bytes that one frame of a WebSocket may announce: the longest packet of MQTT. A frame is not kept, so it costs no
/// memory; what a packet may weigh is bounded as everywhere.
pub const WEBSOCKET_FRAME_BYTES: u64 = 268_435_460;

/// Bytes that a pending connection is charged for beside its buffers: TLS state (an idle link has 4.6 KB in all) and
/// bookkeeping.
pub const PENDING_OVERHEAD: usize = 6 * 1024;

/// Bytes read from one socket at once by the door; it reads little because little is allowed.
pub const DOOR_READ: usize = 16 * 1024;

/// Bytes of the buffer that a worker reads into; all links share it.
pub const WORKER_READ: usize = 128 * 1024;

/// Bytes read from one link in one tick, so that one busy link cannot keep the others waiting.
pub const READ_PER_LINK: usize = 64 * 1024;

/// Bytes read from all links in one tick: about a millisecond of work.
pub const READ_PER_TICK: usize = 512 * 1024;

/// Packets taken from one link in one tick; the others come in between.
pub const PACKETS_PER_LINK: usize = 64;

/// Packets taken from all links in one tick, so that the inbox with its changes of rights is looked at often.
pub const PACKETS_PER_TICK: usize = 1_024;

/// Packets taken from one link in one tick while the shard has fan-outs left: enough to be heard, and little work beside
/// a slice.
pub const PACKETS_PER_LINK_BEHIND: usize = 4;

/// Reads, packets and filters of all links in such a tick.
pub const EFFORT_PER_TICK_BEHIND: usize = 64;

/// Bytes per second at which a packet must come that was begun, beyond `packet_time`: slower than a modem.
pub const PACKET_RATE: u64 = 4 * 1024;

/// Steps of one enhanced authentication: what methods have needs three at most.
pub const AUTHENTICATION_STEPS: usize = 8;

/// Bytes of a request for a certificate: a signing request for RSA 4096 as PEM, and what is said beside it.
pub const ENROLMENT_BYTES: usize = 12 * 1024;

/// Bytes of a packet on an enrolment link, as it is told to clients of 5.0: such a request, its topic and properties.
pub const ENROLMENT_PACKET: u32 = 16 * 1024;

/// The smallest Maximum Packet Size with which a client may enrol, in bytes: the answer with a certificate for RSA 4096, its issuer and
/// the root fits, with correlation data.
pub const ENROLMENT_ANSWER: u32 = 8 * 1024;

/// Bytes of correlation data that come back with an answer. Beyond it the link is closed (0x95).
pub const ENROLMENT_CORRELATION: usize = 256;

/// Packets on one enrolment link in its life: its requests, a few SUBSCRIBE, and PINGREQ every three seconds. Beyond it the link is
/// closed (0x97): each is answered, and by the door, which everybody waits for who logs in.
pub const ENROLMENT_PACKETS: u32 = 24;

/// Enrolment links of one door. Beyond it the oldest makes room that waits for no answer; if all do, a device is refused (0x89).
pub const ENROLMENT_LINKS: usize = 128;

/// Enrolment links of one identity at one door, apart from its other links. Beyond it the oldest makes room that waits for no
/// answer; if all do, it is refused (0x89).
pub const ENROLMENT_LINKS_PER_IDENTITY: usize = 2;

/// Enrolment links that one identity opens at once after a pause; one a second comes back. Beyond it it is refused (0x89).
pub const ENROLMENT_BURST_PER_IDENTITY: u64 = 20;

/// Requests on one enrolment link: one, and a few that were refused for their form. Beyond it the link is closed (0x97).
pub const APPLICATIONS_PER_LINK: usize = 4;

/// Requests that wait to be decided, of all links. Each takes a signature and a sync: the last waits for about a second.
/// Beyond it a link is closed (0x89).
pub const APPLICATIONS_WAITING: usize = 64;

/// Requests of one device in a minute. Beyond it they are refused for the rest of the minute: whoever holds a code must not
/// keep the disk busy.
pub const APPLICATIONS_PER_MINUTE: u32 = 8;

/// Devices whose requests are counted for that; the one that began longest ago makes room.
pub const APPLICANTS: usize = 1_024;

/// Reads, packets and filters that a link collects before they are counted for its identity (`busy_rate`), so that most
/// reads cost no look-up.
pub const EFFORT_PORTION: u64 = 16;

/// Bytes that a piece of what links send, a read or a TLS record, counts for at least in one tick, however few it has:
/// a thousand of them are as much work as what may be read.
pub const PIECE_BYTES: usize = 512;

/// Different notices that a worker counts within a tick; beyond, the oldest is told at once.
pub const NOTICES_PER_TICK: usize = 16;

/// Messages taken from the inbox in one tick.
pub const INBOX_PER_TICK: usize = 1_024;

/// Readiness events taken from the system at once.
pub const EVENTS_PER_POLL: usize = 1_024;

/// Connections that one door accepts before it looks after those that it has.
pub const ACCEPTS_PER_TICK: usize = 64;

/// Bytes that may come together for a link while its peer takes nothing: beyond, nothing more is read from it, for its
/// answers would only come on top.
pub const UNSENT_BYTES: usize = 256 * 1024;

/// Bytes that a link which is being closed may still send to us; they are thrown away so that the farewell arrives
/// (an unread byte would turn the close into a reset). Twice the largest packet: what refuses a packet is its header.
pub const LINGER_BYTES: usize = 4 * 1024 * 1024;

/// Guesses by address and account whose failures are remembered, and as many for names that nobody has; the stalest
/// makes room.
pub const SLOW_DOWN_ENTRIES: usize = 4_096;

/// Addresses whose failed logins are counted for bans (IPv6: /64); the one whose ban ends first makes room.
pub const BANS: usize = 4_096;

/// The time within which `ban_after` logins must fail.
pub const BAN_WINDOW: Duration = Duration::from_secs(10 * 60);

/// The longest ban: each is twice as long as the one before. A day after the last one it begins anew.
pub const BAN_LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// Identities whose last login is remembered, for `device show`; the older half makes room.
pub const LAST_LOGINS: usize = 16_384;

/// Devices of which a proof waits that two hold their key; others find no place until the next second, when all are taken.
pub const PROOFS: usize = 1_024;

/// Answers of devices for their rolling secrets that wait to be judged. About 300 bytes each; one more is not answered, which costs its device
/// nothing.
pub const RATCHET_ANSWERS_WAITING: usize = 4_096;

/// Things heard of devices that are on their way to the watch; what is more is dropped, counted, and known to the watch.
pub const HEARD: usize = 8_192;

/// Things that one device says in a second of which the watch hears, from each worker; of more it hears that there are more.
pub const HEARD_OF_ONE: u32 = 100;

// The core tells so much of each link that a flood is seen in whatever second the worker counts.
const _: () = assert!(2 * HEARD_OF_ONE <= keyward_broker::limits::SAID_MESSAGES as u32);

/// Ticks of workers in which something was heard that are on their way to the watch.
pub const HEARD_BATCHES: usize = 1_024;

/// Bytes up to which a message goes to the watch whole, with what is counted beside it: of all that are on their way 32 MiB
/// at most. Of a longer one it hears that there was one.
pub const HEARD_MESSAGE_BYTES: usize = 4_096;

/// Sources whose handshakes are counted for their rate; the one that has used up least makes room.
pub const PACED_SOURCES: usize = 4_096;

/// Addresses for which lines of one kind are counted, and offenders whose hits are; the stalest makes room.
pub const REPORTED_ADDRESSES: usize = 1_024;

/// Lines of one kind per address and minute: guesses, other failures, logins. More are counted, not written: a scanner must
/// not write the log full.
pub const LINES_PER_ADDRESS: u32 = 6;

/// Characters of a peer-chosen text that a line shows.
pub const SHOWN_TEXT: usize = 128;

/// Bounds that an installation may change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections in all. 10,000: about 100 MB with TLS and small sessions. Each costs a file descriptor, too.
    pub connections: usize,
    /// Connections per source address (IPv6: per /64). 2,000: a site behind one router is one address.
    pub connections_per_address: usize,
    /// Connections per identity. 100: an application's workers may share a login; a device needs one.
    pub connections_per_identity: usize,
    /// Connections that are not authenticated yet, in all. 2,048: a fleet that comes back after a power cut.
    pub pending: usize,
    /// Connections that are not authenticated yet, per source address. 256; the oldest makes room for a new one, so
    /// that a flood of half-open handshakes does not shut out an honest client of the same house.
    pub pending_per_address: usize,
    /// Bytes that all unauthenticated peers together may make the broker hold. 64 MiB.
    pub pending_bytes: usize,
    /// Handshakes begun (without TLS: connections that have sent something) a second and source address in the long run.
    /// 20: two per cent of a core; 0 is no bound. Beyond it new connections of that address are closed at once.
    pub handshake_rate_per_address: u64,
    /// Handshakes of one source address at once after a pause. 1,000: a house of 200 devices behind one router comes
    /// back after a power cut, each with five attempts, and a site of 2,000 within a minute.
    pub handshake_burst_per_address: u64,
    /// Reads that a connection may take to log in, each of which may look at all that came before. 1,024: 64 KiB of
    /// handshake in pieces of 64 bytes.
    pub pending_reads: u32,
    /// Handshakes begun (without TLS: connections that have sent something) a second in all in the long run. 400: they cost
    /// at most half a core; 0 is no bound. Beyond it new connections wait to be accepted; nobody is refused.
    pub handshake_rate: u64,
    /// Handshakes at once after a pause. 10,000: everybody comes back.
    pub handshake_burst: u64,
    /// Logins a second of one identity in the long run. 10: whoever needs more has lost its mind or its network; 0 is no
    /// bound. Beyond it a login is refused (0x89).
    pub login_rate_per_identity: u64,
    /// Logins of one identity at once after a pause. 400: all its connections, four times.
    pub login_burst_per_identity: u64,
    /// From accept to the end of the TLS handshake. 20 s: an ESP8266 needs 3 to 5 s of its own.
    pub handshake_time: Duration,
    /// From the end of the handshake (plain: from accept) to the end of CONNECT. 10 s.
    pub connect_time: Duration,
    /// From CONNACK to the end of an enrolment link. 60 s: a chip that makes its key before it asks takes some seconds, and nothing
    /// else is done there. Beyond it the link is closed (0xA0).
    pub enrolment_time: Duration,
    /// How long after it began a failed login is answered. 1 s: guessing is slow, whatever the answer cost us.
    pub refusal_delay: Duration,
    /// Failed logins that wait for their answer. 512; beyond it the newest is closed without an answer, whatever its
    /// fault was.
    pub refusals_waiting: usize,
    /// Failed logins of one address within ten minutes after which it is banned, if nobody is logged in from there. 300:
    /// no single client that has a wrong password tries so often, and a guesser is through in a quarter of a minute; 0 is
    /// never.
    pub ban_after: u64,
    /// How long the first ban of an address lasts; each further one twice as long, a day at most. 10 min: whoever mends
    /// a client does not wait for long.
    pub ban_time: Duration,
    /// Threads that check chosen passwords (Argon2id). 1: two cores serve handshakes and messages too.
    pub password_threads: usize,
    /// Chosen passwords that wait for a thread. 64: at 20 to 50 ms each the last waits for about 3 s.
    pub password_queue: usize,
    /// How long a chosen password may wait before it is refused unchecked. 5 s: clients give up after it.
    pub password_age: Duration,
    /// Bytes that one sender may have in one inbox. 4 MiB: two packets of the greatest size.
    pub inbox_bytes: usize,
    /// Bytes of packets that authenticated clients have begun and not finished, in all. 64 MiB: thirty of the
    /// greatest size; beyond it the identity that holds most loses a link (0x97).
    pub unfinished_bytes: usize,
    /// Bytes of these of one identity at one shard. 8 MiB: four packets of the greatest size; beyond it the link that
    /// holds most is closed (0x97).
    pub unfinished_bytes_per_identity: usize,
    /// How long a packet that was begun may take to come, and a second more for each 4 KiB of it. 30 s: a network
    /// that fails for a moment heals in this time.
    pub packet_time: Duration,
    /// Messages a second that one connection may publish. 0, no bound: what is usual differs from house to house, and
    /// links are read in turns anyhow. Beyond it the link is read more slowly; nothing is lost.
    pub publish_rate: u64,
    /// Bytes of topics and payloads a second that one connection may publish. 0, no bound.
    pub publish_bytes_rate: u64,
    /// Reads, packets and filters a second of one identity at one shard from which the log names it. 10,000: a tenth of
    /// what a shard does. Nothing is refused: who keeps a shard busy within all bounds is to be known, not shut out.
    pub busy_rate: u64,
    /// How long a client may take nothing of what is sent to it. 60 s: beyond it the link is dead or hostile.
    pub stall_time: Duration,
    /// How long a farewell may take to arrive. 2 s.
    pub linger_time: Duration,
    /// How long a command waits for the door and all shards to report a change. 5 s.
    pub report_time: Duration,
    /// How long clients are given to take their last packets when the broker stops. 4 s: with the last sync a stop is over
    /// within 5.
    pub shutdown_time: Duration,
    /// TLS 1.2 sessions kept per listener for clients without tickets (BearSSL). 4,096: about 6 MB when full.
    pub tls_sessions: usize,
    /// Events that wait to be told. 1,024; more are counted as dropped.
    pub events: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_address: 2_000,
            connections_per_identity: 100,
            pending: 2_048,
            pending_per_address: 256,
            pending_bytes: 64 * 1024 * 1024,
            handshake_rate_per_address: 20,
            handshake_burst_per_address: 1_000,
            pending_reads: 1_024,
            handshake_rate: 400,
            handshake_burst: 10_000,
            login_rate_per_identity: 10,
            login_burst_per_identity: 400,
            handshake_time: Duration::from_secs(20),
            connect_time: Duration::from_secs(10),
            enrolment_time: Duration::from_secs(60),
            refusal_delay: Duration::from_secs(1),
            refusals_waiting: 512,
            ban_after: 300,
            ban_time: Duration::from_secs(10 * 60),
            password_threads: 1,
            password_queue: 64,
            password_age: Duration::from_secs(5),
            inbox_bytes: 4 * 1024 * 1024,
            unfinished_bytes: 64 * 1024 * 1024,
            unfinished_bytes_per_identity: 8 * 1024 * 1024,
            packet_time: Duration::from_secs(30),
            publish_rate: 0,
            publish_bytes_rate: 0,
            busy_rate: 10_000,
            stall_time: Duration::from_secs(60),
            linger_time: Duration::from_secs(2),
            report_time: Duration::from_secs(5),
            shutdown_time: Duration::from_secs(4),
            tls_sessions: 4_096,
            events: 1_024,
        }
    }
}
