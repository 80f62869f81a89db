//! The bounds that the file may change, laid over the defaults of the parts that keep them.

use super::{
    error::{ConfigError, Places},
    unit::{ByteSize, Count, Span},
};
use crate::{clock::millis, plane::limits::Limits as PlaneLimits};
use keyward_broker::limits::Limits as BrokerLimits;
use serde::Deserialize;
use std::num::NonZeroU16;
use toml::Spanned;

/// Holds all bounds that an installation may change, as they hold.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Limits {
    /// What sessions, subscriptions, queues and retained messages may hold.
    pub broker: BrokerLimits,
    /// What connections may hold.
    pub plane: PlaneLimits,
}

/// A count of things, at least one.
type Number = Option<Count<1, 100_000_000>>;
/// How often a second; 0 is no bound.
type Rate = Option<Count<0, 100_000_000>>;
/// A count that MQTT carries in two bytes.
type Short = Option<Count<1, 65_535>>;

/// The `[limits]` section as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct File {
    packet_bytes: Option<Spanned<ByteSize>>,
    memory_total: Option<Spanned<ByteSize>>,
    connections: Number,
    connections_per_address: Number,
    connections_per_identity: Number,
    pending: Number,
    pending_per_address: Number,
    pending_bytes: Option<ByteSize>,
    handshake_rate: Rate,
    handshake_burst: Number,
    handshake_rate_per_address: Rate,
    handshake_burst_per_address: Number,
    login_rate_per_identity: Rate,
    login_burst_per_identity: Number,
    handshake_time: Option<Span>,
    connect_time: Option<Span>,
    stall_time: Option<Span>,
    packet_time: Option<Span>,
    unfinished_bytes: Option<ByteSize>,
    unfinished_bytes_per_identity: Option<ByteSize>,
    publish_rate: Rate,
    publish_bytes_rate: Option<ByteSize>,
    busy_rate: Number,
    ban_after: Rate,
    ban_time: Option<Span>,
    password_threads: Option<Count<1, 16>>,
    password_queue: Number,
    password_age: Option<Span>,
    sessions: Number,
    sessions_per_identity: Number,
    session_expiry: Option<Span>,
    subscriptions_per_session: Number,
    subscriptions_per_identity: Number,
    wildcards_per_identity: Number,
    subscription_bytes_per_identity: Option<ByteSize>,
    shared_per_session: Number,
    groups: Number,
    group_members: Number,
    groups_per_identity: Number,
    topic_levels: Option<Count<1, 200>>,
    topic_bytes: Option<Count<64, 65_535>>,
    queue_messages: Number,
    queue_bytes: Option<Spanned<ByteSize>>,
    queue_messages_per_identity: Number,
    queue_bytes_per_identity: Option<ByteSize>,
    in_flight: Short,
    receive_maximum: Short,
    inbound_per_identity: Number,
    topic_alias_max: Option<Count<0, 65_535>>,
    retained: Number,
    retained_bytes: Option<ByteSize>,
    retained_per_identity: Number,
    retained_bytes_per_identity: Option<ByteSize>,
    keep_alive: Option<Spanned<Span>>,
}

/// The smallest packet bound: a CONNECT of 16 KiB must fit.
const PACKET_MIN: u64 = 16 * 1024;
/// The smallest memory budget: below it not even the door's 64 MiB for strangers have room.
const MEMORY_MIN: u64 = 128 << 20;

pub(super) fn validate(raw: &File, places: &Places<'_>) -> Result<Limits, Vec<ConfigError>> {
    let mut limits = Limits::default();
    lay_over_broker(raw, &mut limits.broker);
    lay_over_plane(raw, &mut limits.plane);
    let mut errors = Vec::new();
    if let Some(packet) = &raw.packet_bytes {
        match u32::try_from(packet.get_ref().0) {
            Ok(bytes) if (PACKET_MIN..=keyward_mqtt::limits::PACKET_BYTES.into()).contains(&bytes.into()) => {
                let slack =
                    BrokerLimits::default().outbox_bytes_hard - BrokerLimits::default().packet_bytes as usize;
                limits.broker.packet_bytes = bytes;
                limits.broker.outbox_bytes_hard = bytes as usize + slack;
            }
            _ => errors.push(places.error(&packet.span(), "a size from 16 KiB to 256 MiB")),
        }
    }
    if let Some(queue) = &raw.queue_bytes
        && queue.get_ref().0 < limits.broker.packet_bytes.into()
    {
        let expected = format!(
            "at least packet_bytes, {} bytes, or such a packet fits into no queue",
            limits.broker.packet_bytes
        );
        errors.push(places.error(&queue.span(), expected));
    }
    if let Some(memory) = raw.memory_total.as_ref().filter(|memory| memory.get_ref().0 < MEMORY_MIN) {
        errors.push(places.error(&memory.span(), "at least 128 MiB"));
    }
    if let Some(keep_alive) = &raw.keep_alive {
        let secs = u16::try_from(keep_alive.get_ref().0.as_secs()).ok().and_then(NonZeroU16::new);
        match secs {
            Some(secs) => limits.broker.keep_alive_secs = secs,
            None => errors.push(places.error(&keep_alive.span(), "a time from 1 s to 65535 s")),
        }
    }
    if errors.is_empty() { Ok(limits) } else { Err(errors) }
}

fn lay_over_broker(raw: &File, broker: &mut BrokerLimits) {
    count(raw.sessions, &mut broker.sessions);
    count(raw.sessions_per_identity, &mut broker.sessions_per_identity);
    count(raw.subscriptions_per_session, &mut broker.subscriptions_per_session);
    count(raw.subscriptions_per_identity, &mut broker.subscriptions_per_identity);
    count(raw.wildcards_per_identity, &mut broker.wildcards_per_identity);
    size(raw.subscription_bytes_per_identity, &mut broker.subscription_bytes_per_identity);
    count(raw.shared_per_session, &mut broker.shared_per_session);
    count(raw.groups, &mut broker.groups);
    count(raw.group_members, &mut broker.group_members);
    count(raw.groups_per_identity, &mut broker.groups_per_identity);
    count(raw.topic_levels, &mut broker.topic_levels);
    count(raw.topic_bytes, &mut broker.topic_bytes);
    count(raw.queue_messages, &mut broker.queue_messages);
    count(raw.queue_messages_per_identity, &mut broker.queue_messages_per_identity);
    count(raw.retained, &mut broker.retained);
    count(raw.retained_per_identity, &mut broker.retained_per_identity);
    size(raw.queue_bytes.as_ref().map(|size| *size.get_ref()), &mut broker.queue_bytes);
    size(raw.queue_bytes_per_identity, &mut broker.queue_bytes_per_identity);
    size(raw.retained_bytes, &mut broker.retained_bytes);
    size(raw.retained_bytes_per_identity, &mut broker.retained_bytes_per_identity);
    size(raw.memory_total.as_ref().map(|size| *size.get_ref()), &mut broker.memory_total);
    short(raw.in_flight, &mut broker.in_flight);
    short(raw.receive_maximum, &mut broker.receive_maximum);
    count(raw.inbound_per_identity, &mut broker.inbound_per_identity);
    if let Some(most) = raw.topic_alias_max.and_then(|count| u16::try_from(count.0).ok()) {
        broker.topic_alias_max = most;
    }
    if let Some(Span(expiry)) = raw.session_expiry {
        broker.session_expiry = millis(expiry);
    }
}

fn lay_over_plane(raw: &File, plane: &mut PlaneLimits) {
    count(raw.connections, &mut plane.connections);
    count(raw.connections_per_address, &mut plane.connections_per_address);
    count(raw.connections_per_identity, &mut plane.connections_per_identity);
    count(raw.pending, &mut plane.pending);
    count(raw.pending_per_address, &mut plane.pending_per_address);
    count(raw.password_threads, &mut plane.password_threads);
    count(raw.password_queue, &mut plane.password_queue);
    size(raw.pending_bytes, &mut plane.pending_bytes);
    rate(raw.handshake_rate, &mut plane.handshake_rate);
    rate(raw.handshake_burst, &mut plane.handshake_burst);
    rate(raw.handshake_rate_per_address, &mut plane.handshake_rate_per_address);
    rate(raw.handshake_burst_per_address, &mut plane.handshake_burst_per_address);
    rate(raw.login_rate_per_identity, &mut plane.login_rate_per_identity);
    rate(raw.login_burst_per_identity, &mut plane.login_burst_per_identity);
    rate(raw.ban_after, &mut plane.ban_after);
    rate(raw.publish_rate, &mut plane.publish_rate);
    rate(raw.busy_rate, &mut plane.busy_rate);
    if let Some(ByteSize(bytes)) = raw.publish_bytes_rate {
        plane.publish_bytes_rate = bytes;
    }
    size(raw.unfinished_bytes, &mut plane.unfinished_bytes);
    size(raw.unfinished_bytes_per_identity, &mut plane.unfinished_bytes_per_identity);
    time(raw.packet_time, &mut plane.packet_time);
    time(raw.handshake_time, &mut plane.handshake_time);
    time(raw.connect_time, &mut plane.connect_time);
    time(raw.stall_time, &mut plane.stall_time);
    time(raw.ban_time, &mut plane.ban_time);
    time(raw.password_age, &mut plane.password_age);
}

fn count<const MIN: u64, const MAX: u64>(given: Option<Count<MIN, MAX>>, target: &mut usize) {
    if let Some(Count(number)) = given {
        *target = usize::try_from(number).unwrap_or(usize::MAX);
    }
}

fn rate<const MIN: u64, const MAX: u64>(given: Option<Count<MIN, MAX>>, target: &mut u64) {
    if let Some(Count(number)) = given {
        *target = number;
    }
}

fn short(given: Short, target: &mut NonZeroU16) {
    if let Some(number) = given.and_then(|count| NonZeroU16::new(u16::try_from(count.0).ok()?)) {
        *target = number;
    }
}

fn size(given: Option<ByteSize>, target: &mut usize) {
    if let Some(ByteSize(bytes)) = given {
        *target = usize::try_from(bytes).unwrap_or(usize::MAX);
    }
}

fn time(given: Option<Span>, target: &mut std::time::Duration) {
    if let Some(Span(time)) = given {
        *target = time;
    }
}
