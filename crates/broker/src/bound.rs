//! The bounds that one client can run into, as they are named to people.

use crate::limits::Limits;

/// Names a bound of [`Limits`] that somebody ran into.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Bound {
    /// Sessions in all.
    Sessions,
    /// Sessions of one identity.
    SessionsPerIdentity,
    /// Subscriptions of one session.
    SubscriptionsPerSession,
    /// Subscriptions of one identity.
    SubscriptionsPerIdentity,
    /// Of these, such with a wildcard.
    WildcardsPerIdentity,
    /// Bytes of the subscriptions of one identity.
    SubscriptionBytesPerIdentity,
    /// Shared subscriptions of one session.
    SharedPerSession,
    /// Shared groups in all.
    Groups,
    /// Shared groups in which one identity has members.
    GroupsPerIdentity,
    /// Members of one shared group.
    GroupMembers,
    /// Members of one identity in one shared group.
    GroupMembersPerIdentity,
    /// Levels of a topic or filter.
    TopicLevels,
    /// Bytes of a topic or filter.
    TopicBytes,
    /// Bytes of a will.
    WillBytes,
    /// Bytes of a client id.
    ClientIdBytes,
    /// Messages under way to us over one link of 5.0.
    ReceiveMaximum,
    /// Packet ids of QoS 2 messages to us that one identity has in use.
    InboundPerIdentity,
    /// Bytes that a client does not take.
    OutboxBytesHard,
    /// Bytes that all clients of one identity do not take.
    OutboxBytesPerIdentity,
}

impl Bound {
    /// Returns its name: the field of [`Limits`], and mostly the key in `keyward.toml`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sessions => "sessions",
            Self::SessionsPerIdentity => "sessions_per_identity",
            Self::SubscriptionsPerSession => "subscriptions_per_session",
            Self::SubscriptionsPerIdentity => "subscriptions_per_identity",
            Self::WildcardsPerIdentity => "wildcards_per_identity",
            Self::SubscriptionBytesPerIdentity => "subscription_bytes_per_identity",
            Self::SharedPerSession => "shared_per_session",
            Self::Groups => "groups",
            Self::GroupMembers => "group_members",
            Self::GroupsPerIdentity => "groups_per_identity",
            Self::GroupMembersPerIdentity => "group_members_per_identity",
            Self::TopicLevels => "topic_levels",
            Self::TopicBytes => "topic_bytes",
            Self::WillBytes => "will_bytes",
            Self::ClientIdBytes => "client_id_bytes",
            Self::ReceiveMaximum => "receive_maximum",
            Self::InboundPerIdentity => "inbound_per_identity",
            Self::OutboxBytesHard => "outbox_bytes_hard",
            Self::OutboxBytesPerIdentity => "outbox_bytes_per_identity",
        }
    }

    /// Returns its value among `limits`.
    pub fn value(self, limits: &Limits) -> u64 {
        let value = match self {
            Self::Sessions => limits.sessions,
            Self::SessionsPerIdentity => limits.sessions_per_identity,
            Self::SubscriptionsPerSession => limits.subscriptions_per_session,
            Self::SubscriptionsPerIdentity => limits.subscriptions_per_identity,
            Self::WildcardsPerIdentity => limits.wildcards_per_identity,
            Self::SubscriptionBytesPerIdentity => limits.subscription_bytes_per_identity,
            Self::SharedPerSession => limits.shared_per_session,
            Self::Groups => limits.groups,
            Self::GroupMembers => limits.group_members,
            Self::GroupsPerIdentity => limits.groups_per_identity,
            Self::GroupMembersPerIdentity => limits.group_members_per_identity,
            Self::TopicLevels => limits.topic_levels,
            Self::TopicBytes => limits.topic_bytes,
            Self::WillBytes => limits.will_bytes,
            Self::ClientIdBytes => limits.client_id_bytes,
            Self::ReceiveMaximum => limits.receive_maximum.get().into(),
            Self::InboundPerIdentity => limits.inbound_per_identity,
            Self::OutboxBytesHard => limits.outbox_bytes_hard,
            Self::OutboxBytesPerIdentity => limits.outbox_bytes_per_identity,
        };
        value as u64
    }
}
