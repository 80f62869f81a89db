//! A message whose places are being gathered, here and on other shards (rule 15).

use super::entry::Entry;
use crate::input::Ticket;
use crate::message::{Message, MessageId};
use crate::placement::{ShardIndex, ShardSet};
use crate::session::{Incarnation, SessionRef};
use std::sync::Arc;

/// Numbers a message whose places are being gathered; never used again while the process lives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Publication(pub(crate) u64);

/// Says whose place it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Owner {
    Session(SessionRef),
    /// The slot of a group, and its incarnation.
    Group(u32, Incarnation),
}

impl Owner {
    pub(crate) fn incarnation(self) -> Incarnation {
        match self {
            Self::Session(at) => at.incarnation,
            Self::Group(_, incarnation) => incarnation,
        }
    }
}

/// Says how a place stands on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Kept {
    /// It is in memory only.
    #[default]
    No,
    /// The shard of the publisher writes it, and will say when that is done.
    Reserved,
    /// It is written with an entry of this shard, or was.
    Stored,
    /// It is on disk, and is known to be.
    Durable,
    /// It is reserved, and was given up before that was settled: it will be on disk, and is then to be taken off.
    GivenUp,
}

impl Kept {
    /// Tells whether the place is on disk, or will be with an entry of this shard: when it is over, that is recorded.
    pub(crate) fn is_stored(self) -> bool {
        matches!(self, Self::Stored | Self::Durable)
    }

    /// Gives the place up. Returns whether it is on disk, and to be taken off.
    pub(crate) fn forsake(&mut self) -> bool {
        let was_stored = self.is_stored();
        *self = match self {
            Self::No | Self::Stored | Self::Durable => Self::No,
            Self::Reserved | Self::GivenUp => Self::GivenUp,
        };
        was_stored
    }

    /// Wants a place again that was given up.
    pub(crate) fn reclaim(&mut self) {
        if *self == Self::GivenUp {
            *self = Self::Reserved;
        }
    }

    /// Notes that the place is on disk. Returns false if it was given up before.
    pub(crate) fn settle(&mut self) -> bool {
        *self = match self {
            Self::Reserved | Self::Stored | Self::Durable => Self::Durable,
            Self::No | Self::GivenUp => Self::No,
        };
        *self == Self::Durable
    }
}

/// Says what becomes of places on disk that are given up, where the message is not in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Away {
    /// They go like all others: nobody gets these messages.
    Goes,
    /// They stay until their messages were read and sent.
    Stays,
}

impl Away {
    /// Tells whether the place of this message stays.
    pub(crate) fn keeps(self, message: &Message) -> bool {
        self == Self::Stays && message.is_away()
    }
}

/// Says into what the places go that are taken now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Filing {
    /// Into the newest entry: what is sent belongs to no publication of this moment.
    #[default]
    Newest,
    /// Into a publication of this shard.
    Publication(Publication),
    /// Into what is reserved for another shard's.
    Reservation,
}

/// Is a place that waits for its entry, with the message that it refers to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reserved {
    pub(crate) owner: Owner,
    pub(crate) place: u64,
    pub(crate) message: MessageId,
}

/// Is what this shard reserves for a message that another publishes.
#[derive(Debug)]
pub(crate) struct Reservation {
    pub(crate) from: ShardIndex,
    pub(crate) publication: Publication,
    pub(crate) entry: Box<Entry>,
    pub(crate) places: Vec<Reserved>,
}

impl Reservation {
    pub(crate) fn new(from: ShardIndex, publication: Publication) -> Box<Self> {
        Box::new(Self { from, publication, entry: Box::default(), places: Vec::new() })
    }
}

/// Is what follows when an entry is durable.
#[derive(Debug)]
pub(crate) struct Settlement {
    pub(crate) publication: Option<Publication>,
    /// The shards that reserved places.
    pub(crate) shards: ShardSet,
    /// Places here that may be sent now, or whose messages need not be held in memory any longer.
    pub(crate) places: Vec<Reserved>,
}

/// Is a part of the log of this shard that waits for its places.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) entry: Entry,
    /// The first ticket that may not be answered before this part is written.
    pub(super) first: Ticket,
    pub(super) through: Ticket,
    /// What is still to come: the end of the fan-out here, the answers of other shards.
    pub(super) open: usize,
    pub(super) message: Arc<Message>,
    /// Whether the message waited on disk for its turn (QoS 2).
    pub(super) was_accepted: bool,
    pub(super) places: i32,
    pub(super) shards: ShardSet,
    /// Places here that something follows for once they are durable.
    pub(super) places_to_settle: Vec<Reserved>,
}
