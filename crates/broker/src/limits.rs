//! What peers can make a shard hold: bound, unit, default, reason. `docs/limits.md` lists them for operators.
//!
//! Bounds "per identity" hold over all its sessions. Those of a device are on one shard; a user's are spread, so each
//! shard grants a user an equal portion (rule 4).

use core::num::NonZeroU16;
use keyward_mqtt::time::Millis;

/// Bounds one broker. A shard leases its portion of what is meant "in all".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a client id. Default 256: MQTT promises 23; longer ones are seen from libraries that use UUIDs.
    pub client_id_bytes: usize,
    /// Sessions in all, connected or not. Default 100,000: about 200 MB when they are idle.
    pub sessions: usize,
    /// Sessions of one identity. Default 256: a shared login of a large house; a device needs one or two.
    pub sessions_per_identity: usize,
    /// How long a session may outlive its link. Default 30 days: long enough for a holiday, short enough that what
    /// nobody fetches goes away.
    pub session_expiry: Millis,
    /// Subscriptions of one session. Default 1,000.
    pub subscriptions_per_session: usize,
    /// Subscriptions of one identity. Default 10,000.
    pub subscriptions_per_identity: usize,
    /// Of these, such with a wildcard. Default 1,000: only they can overlap without end, and one message costs as much
    /// as it has subscriptions that match.
    pub wildcards_per_identity: usize,
    /// Bytes of the subscriptions of one identity, each with [`SUBSCRIPTION_OVERHEAD`] and [`FILTER_LEVEL`]. Default
    /// 32 MB: 10,000 of the usual five levels.
    pub subscription_bytes_per_identity: usize,
    /// Shared subscriptions of one session. Default 100: each is looked at when the session has room for more.
    pub shared_per_session: usize,
    /// Shared groups in all. Default 20,000.
    pub groups: usize,
    /// Shared groups in which one identity has members; each shard grants an equal portion. Default 1,000: a twentieth of
    /// all.
    pub groups_per_identity: usize,
    /// Members of one shared group. Default 256: each may be asked about a message that others may not read.
    pub group_members: usize,
    /// Members of one identity in one shared group. Default 100, as many as it may have connections: others find a seat.
    pub group_members_per_identity: usize,
    /// Levels of a topic or filter. Default 32, as many as a rule can name; MQTT itself sets no bound, and the deepest
    /// topics in use have about ten.
    pub topic_levels: usize,
    /// Bytes of a topic or filter. Default 4,096: four times what a rule can name; MQTT would allow 65,535, and each
    /// retained topic and each subscription holds it more than once.
    pub topic_bytes: usize,
    /// Messages of QoS 1 and 2 that one session holds, those under way included. Default 1,000, as Mosquitto. A shared
    /// group has the same bound for what waits.
    pub queue_messages: usize,
    /// Bytes of these messages (payload, topic and properties). Default 16 MB: eight messages of the largest size. For
    /// a shared group, too.
    pub queue_bytes: usize,
    /// Messages held in the sessions of one identity, and as many in the shared groups that it is charged for: those that
    /// it opened, or whose opener has no room. Default 20,000.
    pub queue_messages_per_identity: usize,
    /// Bytes of these. Default 64 MB.
    pub queue_bytes_per_identity: usize,
    /// Messages of QoS 1 and 2 under way to one client at once; the client's receive maximum may be lower.
    /// Default 64: hides a round trip, and is little to send again.
    pub in_flight: NonZeroU16,
    /// Messages of QoS 1 and 2 that a client of 5.0 may have under way to us: the receive maximum that we announce.
    /// Default 256.
    pub receive_maximum: NonZeroU16,
    /// QoS 2 messages to us of one identity whose PUBREL has not come, each with [`INBOUND_BYTES`]. Default 1,000,000,
    /// 48 MB: a client before 5.0 knows no receive maximum and may use all 65,535 packet ids at once.
    pub inbound_per_identity: usize,
    /// Topic aliases that a client of 5.0 may set on its link, as we announce it; 0 offers none. Default 10, as
    /// Mosquitto.
    pub topic_alias_max: u16,
    /// Bytes that wait for a link to be written; beyond, QoS 0 is dropped and the rest waits in the queue.
    /// Default 256 KiB: a second of a slow link.
    pub outbox_bytes: usize,
    /// Bytes beyond which a link is closed because its client reads nothing, only answers are left to grow then.
    /// Default 64 KiB above the largest packet and `outbox_bytes`.
    pub outbox_bytes_hard: usize,
    /// Bytes that wait for all links of one identity. Default 32 MiB: a hundred links that are as far behind as
    /// `outbox_bytes` lets them. Beyond it its links get what has been written, and answers up to `outbox_bytes` each.
    pub outbox_bytes_per_identity: usize,
    /// Bytes of a packet to or from a client, announced in CONNACK. Default 2,000,000.
    pub packet_bytes: u32,
    /// Bytes of a will's topic, payload and properties. Default 16 KiB, as much as a CONNECT may have.
    pub will_bytes: usize,
    /// Retained messages in all. Default 200,000.
    pub retained: usize,
    /// Bytes of all retained messages. Default 256 MB.
    pub retained_bytes: usize,
    /// Retained messages of one publisher. Default 20,000: a gateway for a few thousand sensors.
    pub retained_per_identity: usize,
    /// Bytes of these. Default 64 MB.
    pub retained_bytes_per_identity: usize,
    /// Seconds of keep-alive that a client of 5.0 may ask for at most; one that asks for none gets this.
    /// Default 3,600: a link whose peer vanished is found within two hours.
    pub keep_alive_secs: NonZeroU16,
    /// Bytes of all that clients make the broker hold after their login: queues, outboxes, retained messages, sessions
    /// and links, subscriptions, messages between shards, packets that are not whole, what was not written yet
    /// (invariant 11). Default 1 GiB: at 80 % QoS 0 is no longer sent to links that are behind, at 90 % what would be
    /// queued or retained, subscriptions and new sessions are refused, at 100 % what a client would have to acknowledge
    /// is not sent either.
    pub memory_total: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            client_id_bytes: 256,
            sessions: 100_000,
            sessions_per_identity: 256,
            session_expiry: Millis::from_secs(30 * 24 * 3600),
            subscriptions_per_session: 1_000,
            subscriptions_per_identity: 10_000,
            wildcards_per_identity: 1_000,
            subscription_bytes_per_identity: 32_000_000,
            shared_per_session: 100,
            groups: 20_000,
            groups_per_identity: 1_000,
            group_members: 256,
            group_members_per_identity: 100,
            topic_levels: 32,
            topic_bytes: 4_096,
            queue_messages: 1_000,
            queue_bytes: 16_000_000,
            queue_messages_per_identity: 20_000,
            queue_bytes_per_identity: 64_000_000,
            in_flight: NonZeroU16::MIN.saturating_add(63),
            receive_maximum: NonZeroU16::MIN.saturating_add(255),
            inbound_per_identity: 1_000_000,
            topic_alias_max: 10,
            outbox_bytes: 256 * 1024,
            outbox_bytes_hard: 2_000_000 + 320 * 1024,
            outbox_bytes_per_identity: 32 * 1024 * 1024,
            packet_bytes: 2_000_000,
            will_bytes: 16 * 1024,
            retained: 200_000,
            retained_bytes: 256_000_000,
            retained_per_identity: 20_000,
            retained_bytes_per_identity: 64_000_000,
            keep_alive_secs: NonZeroU16::MIN.saturating_add(3_599),
            memory_total: 1 << 30,
        }
    }
}

/// Topics that the replays of retained messages of one session remember as delivered live; beyond, live messages of the subscription
/// wait for the end of the replay (rule 12).
pub const REPLAY_SEEN: usize = 4_096;

/// Live messages that wait for the end of a replay, per subscription; they count as queued. Beyond, they are dropped and counted: the
/// replay was already too long to follow.
pub const REPLAY_HELD: usize = 1_024;

/// Retained messages in one slice of a replay, at most; the send quota may allow fewer.
pub const REPLAY_SLICE: u16 = 64;

/// Retained topics that one slice of a replay looks at: a slice costs at most about half a millisecond.
pub const REPLAY_VISITS: u32 = 2_048;

/// Bytes after which a slice of a replay ends; one message is always taken.
pub const REPLAY_SLICE_BYTES: usize = 64 * 1024;

/// Steps of fan-outs between two [`crate::Input::Timeout`]: a node or a subscription looked at is one step, a receiver
/// [`FANOUT_RECEIVER`]. About a millisecond of work (rule 2), whatever overlapping subscriptions make of a message.
pub const FANOUT_SLICE: usize = 8_192;

/// Bytes of the messages that wait for their fan-out on a shard; beyond, QoS 0 is dropped, and for the rest the shard
/// works before it takes more.
pub const FANOUT_WAITING_BYTES: usize = 4 * 1024 * 1024;

/// Of these, bytes of the messages of one publisher: half, so that there is room for others'.
pub const FANOUT_WAITING_BYTES_PER_IDENTITY: usize = FANOUT_WAITING_BYTES / 2;

/// Publishers for whose waiting messages a shard keeps buffers: more seldom wait at once.
pub const FANOUT_LINES_KEPT: usize = 4;

/// Messages for which each of these buffers has room: 64 KiB.
pub const FANOUT_LINE_KEPT: usize = 1_024;

/// Steps that a receiver counts for.
pub const FANOUT_RECEIVER: usize = 8;

/// Bytes written towards a receiver that count for a step beside [`FANOUT_RECEIVER`]: a slice writes at most 1 MiB, so that
/// large messages to many are written as little at a time as small ones.
pub const FANOUT_BYTES: usize = 128;

/// Steps that a session counts for beside if its subscriptions must be classed anew.
pub const RECLASS_COST: usize = 128;

/// Principals that one slice of a registry change looks at; one that is refused counts for [`SWEEP_CLOSE_COST`].
pub const SWEEP_SLICE: usize = 4_096;

/// See [`SWEEP_SLICE`].
pub const SWEEP_CLOSE_COST: usize = 16;

/// Messages of shared groups that one slice looks at again after rules or the registry have changed; a group counts for
/// one. About a millisecond of work.
pub const REVIEW_SLICE: usize = 4_096;

/// Steps that a filter of SUBSCRIBE or UNSUBSCRIBE counts for, see [`FANOUT_SLICE`].
pub const FILTER_COST: usize = 8;

/// Timers and expired retained messages that one call works off.
pub const TIMER_SLICE: usize = 256;

/// Subscriptions of ended sessions that one call takes away: about a millisecond of work.
pub const END_SLICE: usize = 1_024;

/// Sessions that one call of a shutdown looks at, to tell their clients.
pub const SHUTDOWN_SLICE: usize = 512;

/// Messages from other shards and of one's own that one call works off before it returns.
pub const WORK_SLICE: usize = 64;

/// Compiled rights of publishers that are not here, remembered for retained messages. Forgetting costs a compilation.
pub const ABSENT_RIGHTS: usize = 256;

/// Decisions about publishing that a session remembers (rule 8).
pub const PUBLISH_DECISIONS: usize = 32;

/// Decisions about reading that a session remembers (rule 8).
pub const READ_DECISIONS: usize = 64;

/// Bytes of a topic beyond which a decision about it is not remembered but made again: what is remembered stands in no
/// budget, and few topics are longer.
pub const DECISION_TOPIC_BYTES: usize = 256;

/// Routes that a shard remembers (rule 8): a few thousand topics in use. With `ROUTE_MATCHES` and
/// `DECISION_TOPIC_BYTES` at most 8 MB per shard, below 1 MB in practice.
pub const ROUTES: usize = 4_096;

/// Subscriptions of a remembered route; where there are more, finding them is little beside serving them.
pub const ROUTE_MATCHES: usize = 32;

/// Counters that tell whether a remembered route still holds, shared by the first levels of topics: 32 KiB.
pub const ROUTE_COUNTERS: usize = 4_096;

/// Topic aliases that the broker sets towards one client, at most; the client may take fewer. At most 9 KiB per link, with
/// topics up to `DECISION_TOPIC_BYTES`.
pub const TOPIC_ALIASES_OUT: u16 = 32;

/// Bytes of a topic up to which it gets no alias, which would save nothing: three is what the alias takes.
pub const TOPIC_ALIAS_MIN: usize = 3;

/// Distance below which the places of the oldest unfinished and the newest sent message lie (rule 16): packet ids of
/// messages under way are all different.
pub const PLACE_WINDOW: u64 = 65_535;

/// Bytes of the largest buffer of a message that is kept for later ones; buffers have powers of two.
pub const KEPT_MESSAGE_MAX: usize = 16 * 1024;

/// Bytes of the smallest.
pub const KEPT_MESSAGE_MIN: usize = 128;

/// Messages of one size whose memory a shard keeps for later ones, in use or not: as many as are usually under way.
pub const KEPT_MESSAGES: usize = 1_024;

/// Bytes of these, per size: with eight sizes at most 2 MiB, and a few hundred KiB in practice.
pub const KEPT_MESSAGES_BYTES: usize = 256 * 1024;

/// Kept messages that are looked at before a new one is made.
pub const KEPT_MESSAGES_LOOKS: usize = 4;

/// Payload bytes from which a payload is shared by all outboxes instead of copied into each.
pub const SHARED_PAYLOAD: usize = 1_024;

/// Bytes of buffers that a shard keeps for the next outbox; an emptied one with more is given back to the allocator.
pub const OUTBOX_KEPT: usize = 16 * 1024;

/// Answers of one link that wait for the disk or for other shards: one for each packet id, and some requests more.
pub const HELD_ANSWERS: usize = 66_000;

/// Bytes of empty outboxes that a shard keeps: enough for a fan-out to thousands of clients.
pub const OUTBOX_POOL: usize = 2 * 1024 * 1024;

/// Incoming QoS 2 messages for which an idle session, or links with waiting answers for which a shard, keeps memory.
pub const ORDERED_KEPT: usize = 64;

/// Bytes of the buffer that a shard keeps for each of the twelve kinds of PUBLISH heads.
pub const KEPT_FRAME: usize = 4 * 1024;

/// Receivers of one message for which a shard keeps its buffer.
pub const MATCHES_KEPT: usize = 4_096;

/// Bytes that a message is counted with beyond its buffer, which holds topic, payload and properties.
pub const MESSAGE_OVERHEAD: usize = 240;

/// Bytes of topic, properties and payload with which a message stays in memory while it waits on disk as well: less than
/// what is held for it in any case.
pub const BODY_KEPT: usize = 128;

/// Messages that are read from disk ahead of their turn, for each connected session and each shared group.
pub const READ_AHEAD: usize = 64;

/// Bytes after which a page of them ends; one message is always read.
pub const READ_AHEAD_BYTES: usize = 256 * 1024;

/// Bytes of pages that are read for a shard at a time, or one page: however many come back at once, the others wait in line.
pub const PAGES_UNDER_WAY: usize = 4 * 1024 * 1024;

/// Bytes that a retained message is counted with beyond these: its slot in an ordered map that may be half empty, and
/// what its topic is remembered with there and among the expiries.
pub const RETAINED_OVERHEAD: usize = 192;

/// Bytes that a subscription is counted with beyond its filter (three times: tree, session, branches) and its levels.
pub const SUBSCRIPTION_OVERHEAD: usize = 800;

/// Messages that a shared group may hand to one member before it grants more; the member's send quota may allow fewer.
pub const GROUP_CREDIT: u16 = 64;

/// Bytes that a shared group is counted with beyond what a subscription to its filter is, and each member there.
pub const GROUP_OVERHEAD: usize = 600;

/// Bytes that each level of a subscription's filter is counted with: a branch with a hash map of its own.
pub const FILTER_LEVEL: usize = 400;

/// Bytes that a session is counted with beyond client id, will, subscriptions and queue.
pub const SESSION_OVERHEAD: usize = 1_536;

/// Bytes that a link of a session is counted with beyond its outbox: socket, TLS state, decoder.
pub const LINK_OVERHEAD: usize = 8 * 1024;

/// Bytes that a place for the packet id of an incoming QoS 2 message is counted with: its slot in a hash map.
pub const INBOUND_BYTES: usize = 48;

/// Bytes that a replay of retained messages is counted with beyond what it remembers.
pub const REPLAY_OVERHEAD: usize = 256;

/// Bytes that each topic is counted with that a replay remembers.
pub const REPLAY_SEEN_BYTES: usize = 20;

/// The least time that clients have after a restart to come back before the wills that they left are published: the
/// retained "online" of a device that died with the broker does not stay for ever, and thousands of "offline" are not
/// sent to devices that are about to return.
pub const RESTART_GRACE: Millis = Millis::from_secs(60);

/// Bytes of messages that wait to be verified, of one shard: what is more gets 0x97. A link has one message under way, of 64 KiB at most, but
/// what it sent stays in the queue when it is gone.
pub const UNCHECKED_BYTES: usize = 16 * 1024 * 1024;

/// Bytes of these that are one device's, on however many links: what is more gets 0x97. Enough for 30 links with a message of 64 KiB each.
pub const UNCHECKED_BYTES_PER_DEVICE: usize = 2 * 1024 * 1024;

/// Devices that are counted there before those are forgotten of which nothing waits; at least, then twice as many as are left.
pub const UNCHECKED_TIDY: usize = 64;

/// Keys whose numbers one slice looks at after the registry has changed, to forget those that are gone. Well below a millisecond of work.
pub const WINDOWS_SLICE: usize = 1_024;

/// Messages that a link may send in [`UNFIT_TIME`] that are refused for their signature, this one included: then it is closed.
pub const UNFIT_MESSAGES: u8 = 5;

/// The time in which these are counted.
pub const UNFIT_TIME: Millis = Millis::from_secs(60);

/// Messages of one link in [`SAID_TIME`] of which whoever watches devices is told. Others of the same second change nothing that it
/// concludes, and cost the same to tell.
pub const SAID_MESSAGES: u16 = 200;

/// The time in which these are counted.
pub const SAID_TIME: Millis = Millis::from_secs(1);

/// Bytes of what a device answers for its rolling secret that are looked at: 16 digits, 20, and 64, with a space between them.
pub const RATCHET_ANSWER_BYTES: usize = 128;

/// Bytes of a will that are taken even when memory is short: "offline" fits in.
pub const SMALL_WILL: usize = 1_024;
