//! What comes into a shard.

use crate::attach::{Attach, LinkId};
use crate::group::{HandOut, Joined, ToGroup};
use crate::message::Message;
use crate::outbound::Place;
use crate::persist::{Entry, Page, Publication};
use crate::placement::ShardIndex;
use crate::principal::Directory;
use crate::session::SessionRef;
use crate::signature::Checked;
use core::num::NonZeroU32;
use keyward_mqtt::packet::Packet;
use keyward_policy::Policy;
use std::sync::Arc;

/// Is one event. Policy and directory change only here, between two inputs: no decision sees two generations.
#[derive(Debug)]
pub enum Input<'a> {
    /// The door hands over an authenticated link.
    Attach(Box<Attach>),
    /// A link sent a packet, CONNECT excluded.
    Packet {
        /// From which link; an unknown one is ignored, for it may have been closed a moment ago.
        link: LinkId,
        /// What it sent.
        packet: Packet<'a>,
    },
    /// A link ended without DISCONNECT: closed by the peer, silent too long, or in breach of the protocol. Its will
    /// is due.
    Lost {
        /// Which link; an unknown one is ignored.
        link: LinkId,
    },
    /// Another shard says something.
    FromShard(ShardMessage),
    /// The store answers: everything is durable that was to be up to this ticket.
    Committed {
        /// The newest ticket that this answers. Answers come in order.
        through: Ticket,
    },
    /// The store was read, as [`Output::ReadPage`](crate::Output::ReadPage) asked.
    Page(Page),
    /// The signature of a message was verified, as [`Output::Check`](crate::Output::Check) asked: its link may be fed again.
    Checked(Checked),
    /// What came of an answer, as [`Output::Ratchet`](crate::Output::Ratchet) asked: the device is told it on its link.
    Ratchet {
        /// Which link; an unknown one is ignored.
        link: LinkId,
        /// What it is told.
        text: String,
    },
    /// What the store can take from now on.
    Storage(Storage),
    /// All shards were given what was on disk ([`Shard::restore`](crate::Shard::restore)) and know of each other: what
    /// was under way goes on.
    Restored,
    /// Another policy is in force from now on.
    Policy {
        /// Its number; later ones are higher.
        generation: u64,
        /// Its rules.
        policy: Arc<Policy>,
    },
    /// Another revision of the registry is in force from now on.
    Directory(Arc<Directory>),
    /// Everything taken with [`Shard::take_outbox`](crate::Shard::take_outbox) so far has been written: what waited
    /// for room may go on.
    Written {
        /// To which link.
        link: LinkId,
    },
    /// The shell holds so many bytes for the links of this shard and in its inbox, beyond what it took from outboxes
    /// and has not written: said when it changed, once a tick.
    Burden {
        /// How many.
        bytes: usize,
    },
    /// The broker itself publishes these topics and payloads, retained: what `$SYS/` holds. A topic that does not begin
    /// with `$` is left out.
    Announce(&'a [(String, Vec<u8>)]),
    /// The time of [`Shard::poll_timeout`](crate::Shard::poll_timeout) has come.
    Timeout,
    /// The broker stops: every link is told and closed. Nothing but `Timeout` comes after.
    Shutdown,
}

/// Numbers a thing that must be durable before its effect may be seen (rule 14).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Ticket(pub u64);

/// Says what the store can take (rule 19). Room is asked for before something is taken: what was taken is written, into
/// the reserve if need be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Storage {
    /// Everything.
    #[default]
    Open,
    /// Nothing more that would have to be stored; what was taken before is written still.
    Full,
    /// Nothing any more: no ticket will be answered.
    Broken,
}

/// Is what one shard says to another. Handling one never makes a shard speak to a third (rule 3), but for a shared
/// group: it hands messages out for credit that a third gave, and tells all when it begins or ends.
#[derive(Debug)]
pub struct ShardMessage(pub(crate) Letter);

#[derive(Debug)]
pub(crate) struct Letter {
    pub(crate) from: ShardIndex,
    pub(crate) body: Body,
}

#[derive(Debug)]
pub(crate) enum Body {
    /// A published message: to be kept as the retained message of its topic, to be delivered, or both.
    Publish { message: Arc<Message>, retain: bool, deliver: bool, asks: Option<Asks> },
    /// Says which places are reserved for a message of the receiver's: what it is to write with it.
    Reserved { publication: Publication, entry: Box<Entry>, places: usize },
    /// The retained message of a publication is on disk.
    Slotted { publication: Publication },
    /// What was reserved for a publication of the sender's is on disk.
    Settled { publication: Publication },
    /// What some session of the sender wants; `None` is nothing any more.
    Interest { filter: Arc<str>, level: Option<Stored>, token: u64 },
    /// The receiver's interest is known up to this token.
    InterestKnown { through: u64 },
    /// Asks for retained messages.
    ReplayAsk(ReplayAsk),
    /// Some retained messages.
    ReplaySlice(ReplaySlice),
    /// A member says something to its group.
    ToGroup(ToGroup),
    /// A group answers one that wants to be a member.
    Joined(Joined),
    /// A group hands a message to a member.
    HandOut(HandOut),
    /// A group has let go of a message of QoS 2, durably: the session that was chosen for it may be sent it.
    Released { session: SessionRef, place: Place },
    /// The sender goes by other rules or another registry: what its members might not read they are asked about again.
    Reconsider,
}

/// Says what the publisher's shard waits for (rule 15).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Asks {
    pub(crate) publication: Publication,
    /// For the places of stored sessions and groups.
    pub(crate) places: bool,
    /// For the retained slot.
    pub(crate) slot: bool,
}

/// Tells whether some session that outlives its link is among those that want a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stored(pub(crate) bool);

#[derive(Debug, Clone)]
pub(crate) struct ReplayAsk {
    pub(crate) session: SessionRef,
    pub(crate) replay: u64,
    pub(crate) filter: Arc<str>,
    /// The topic after which to go on.
    pub(crate) after: Option<Arc<str>>,
    pub(crate) most: u16,
}

#[derive(Debug)]
pub(crate) struct ReplaySlice {
    pub(crate) session: SessionRef,
    pub(crate) replay: u64,
    pub(crate) messages: Vec<Arc<Message>>,
    /// Where the next slice goes on; `None` at the end.
    pub(crate) next: Option<Arc<str>>,
}

/// Holds the identifiers of the subscriptions that a message came through. Mostly none or one.
#[derive(Debug, Clone)]
pub(crate) enum SubscriptionIdSet {
    /// The first so many of these.
    Few(u8, [NonZeroU32; Self::FEW]),
    Many(Arc<[NonZeroU32]>),
}

impl SubscriptionIdSet {
    const FEW: usize = 5;
    pub(crate) const NONE: Self = Self::Few(0, [NonZeroU32::MIN; Self::FEW]);

    pub(crate) fn as_slice(&self) -> &[NonZeroU32] {
        match self {
            Self::Few(len, ids) => ids.get(..usize::from(*len)).unwrap_or_default(),
            Self::Many(ids) => ids,
        }
    }
}

impl FromIterator<NonZeroU32> for SubscriptionIdSet {
    fn from_iter<I: IntoIterator<Item = NonZeroU32>>(ids: I) -> Self {
        let (mut len, mut few) = (0, [NonZeroU32::MIN; Self::FEW]);
        let mut ids = ids.into_iter();
        for place in &mut few {
            let Some(id) = ids.next() else { return Self::Few(len, few) };
            *place = id;
            len += 1;
        }
        match ids.next() {
            None => Self::Few(len, few),
            Some(next) => Self::Many(few.into_iter().chain([next]).chain(ids).collect()),
        }
    }
}

impl ShardMessage {
    pub(crate) fn new(from: ShardIndex, body: Body) -> Self {
        Self(Letter { from, body })
    }

    /// Returns the bytes that the message keeps in memory, for the budget of an inbox (rule 3). What is shared counts
    /// in full.
    pub fn weight(&self) -> usize {
        let body = match &self.0.body {
            Body::Publish { message, .. } => message.weight(),
            Body::Interest { filter, .. } => filter.len(),
            Body::Reserved { entry, .. } => entry.bytes(),
            Body::Slotted { .. } | Body::Settled { .. } => 0,
            Body::InterestKnown { .. } | Body::Joined(_) | Body::Reconsider | Body::Released { .. } => 0,
            Body::ToGroup(word) => word.group.len(),
            Body::HandOut(hand) => hand.parcel.message.weight(),
            Body::ReplayAsk(ask) => ask.filter.len() + ask.after.as_ref().map_or(0, |topic| topic.len()),
            Body::ReplaySlice(slice) => slice.messages.iter().map(|message| message.weight()).sum(),
        };
        size_of::<Letter>() + body
    }
}
