//! What members of shared groups and the groups say to each other, across shards (rule 11).
//!
//! A member grants credit; the group hands one message out for each credit; the member's shard gives exactly one
//! [`Outcome`] for each message that it was handed. Credit belongs to a *turn*: a member that cannot take what it was
//! handed begins another turn, in which everything handed out before is given back, so that what it gets keeps its
//! order. With a grant it says how much has come to it: the group hands out nothing in the new turn before the rest is
//! back.

use crate::bound::Bound;
use crate::law::LawStamp;
use crate::message::Publisher;
use crate::outbound::{Parcel, Place};
use crate::placement::ShardIndex;
use crate::session::{Incarnation, SessionRef};
use core::num::NonZeroU32;
use keyward_mqtt::packet::Qos;
use std::sync::Arc;

/// Names the membership of one session in one group; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seat {
    /// The member's shard.
    pub(crate) shard: ShardIndex,
    pub(crate) number: u64,
}

/// Says on what terms a session is a member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Membership {
    pub(crate) session: SessionRef,
    /// Whether the session outlives its link.
    pub(crate) stored: bool,
    pub(crate) qos: Qos,
    pub(crate) retain_as_published: bool,
    pub(crate) id: Option<NonZeroU32>,
}

/// Is what a member says to its group.
#[derive(Debug)]
pub(crate) struct ToGroup {
    /// The whole text, `$share/NAME/FILTER`.
    pub(crate) group: Arc<str>,
    pub(crate) seat: Seat,
    pub(crate) word: Word,
}

/// Is what a member can say.
#[derive(Debug)]
pub(crate) enum Word {
    /// It joins, or its terms change. An answer is wanted unless `question` is 0.
    Join { membership: Membership, owner: Publisher, question: u64 },
    /// It is a member no longer.
    Leave,
    /// It takes so many messages more, in this turn; so many that it was handed have come to its shard so far.
    Grant { turn: u64, credit: u16, seen: u64 },
    /// Its link ended, and this turn began.
    Away { turn: u64 },
    /// Says what became of a message.
    Settle { letter: u64, outcome: Outcome },
}

/// Says what became of a message that was handed out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The group need not keep it: it has arrived, or it is the session's now and no other's.
    Done,
    /// It is QoS 2, and this session's and no other's in this place of its queue: it is sent once the group has let go of
    /// it, durably, and says so.
    Chosen { session: SessionRef, place: Place },
    /// The member may not read it by this law: it is for another.
    Denied { by: LawStamp },
    /// It is larger than the member's client accepts: it is for another.
    TooLarge,
    /// The member cannot take it now.
    Unable,
}

/// Is a message on its way from a group to the member that was chosen.
#[derive(Debug)]
pub(crate) struct HandOut {
    pub(crate) group: Arc<str>,
    /// Which group of that name.
    pub(crate) incarnation: Incarnation,
    pub(crate) session: SessionRef,
    pub(crate) seat: Seat,
    pub(crate) turn: u64,
    /// The number of the message in its group.
    pub(crate) letter: u64,
    pub(crate) parcel: Parcel,
}

/// Answers [`Word::Join`].
#[derive(Debug)]
pub(crate) struct Joined {
    pub(crate) session: SessionRef,
    pub(crate) question: u64,
    /// Which bound it ran into; `None`: it is a member now, and all shards know of the group.
    pub(crate) refused: Option<Bound>,
}

/// Says to which group a QoS 1 message under way belongs until it is acknowledged.
#[derive(Debug)]
pub(crate) struct Loan {
    pub(crate) home: ShardIndex,
    pub(crate) group: Arc<str>,
    pub(crate) seat: Seat,
    pub(crate) letter: u64,
}

impl ToGroup {
    pub(crate) fn settle(group: Arc<str>, seat: Seat, letter: u64, outcome: Outcome) -> Self {
        Self { group, seat, word: Word::Settle { letter, outcome } }
    }
}

impl Loan {
    /// Says to the group what became of the message.
    pub(crate) fn settle(self, outcome: Outcome) -> (ShardIndex, ToGroup) {
        (self.home, ToGroup::settle(self.group, self.seat, self.letter, outcome))
    }
}
