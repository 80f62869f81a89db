//! What comes out of a shard.

use crate::attach::LinkId;
use crate::bound::Bound;
use crate::input::{ShardMessage, Ticket};
use crate::message::Message;
use crate::outbox::Outbox;
use crate::persist::PageAsk;
use crate::placement::ShardIndex;
use crate::ratchet::RatchetAnswer;
use crate::second_holder::SecondHolder;
use crate::signature::Check;
use core::fmt;
use keyward_envelope::{Kid, Sequence};
use keyward_ids::{ClientId, Identity};
use keyward_mqtt::reason::ReasonCode;
use keyward_policy::CitedRule;
use std::sync::Arc;

/// Is one thing for the shell to do.
#[derive(Debug)]
pub enum Output {
    /// The link has its session; its CONNACK is in the outbox.
    Established {
        /// Which link.
        link: LinkId,
        /// Seconds of keep-alive that hold; 0 is off.
        keep_alive: u16,
    },
    /// The link has bytes to be written. Said once until they are taken.
    Dirty(LinkId),
    /// The link is over; the shard knows it no longer.
    Close {
        /// Which link.
        link: LinkId,
        /// Why.
        cause: CloseCause,
        /// `Some`: write what was taken before and then this (it may be empty), then close. `None`: close at once and
        /// drop what was not written.
        last: Option<Outbox>,
    },
    /// Another shard is to get this.
    ToShard {
        /// Which shard.
        to: ShardIndex,
        /// What it gets.
        message: ShardMessage,
    },
    /// Make durable what this ticket stands for, then answer with [`Input::Committed`](crate::Input::Committed).
    /// Without a store the shell answers at once.
    Commit(Ticket),
    /// Read what some messages on disk say, off the shard's thread, then give it back with
    /// [`Input::Page`](crate::Input::Page). Only with a store.
    ReadPage(PageAsk),
    /// Verify the signature of a message, off the shard's thread, then give what was found back with
    /// [`Input::Checked`](crate::Input::Checked). Until then its link is not to be fed
    /// ([`Shard::is_held`](crate::Shard::is_held)): what it sends next waits in order.
    Check(Box<Check>),
    /// A device answered for its rolling secret. What comes of it is given back with [`Input::Ratchet`](crate::Input::Ratchet), at any
    /// time or never.
    Ratchet(Box<RatchetAnswer>),
    /// Two hold a message key, or its device has lost count. Said of each message that proves it.
    SecondHolder(Box<SecondHolder>),
    /// A device said something, and that was accepted. Only if [`ShardConfig::is_watched`](crate::ShardConfig::is_watched), and of one
    /// link in a second only the first [`SAID_MESSAGES`](crate::limits::SAID_MESSAGES).
    Said {
        /// What it said.
        message: Arc<Message>,
        /// What its signature proves; `None` if none was asked for.
        signed: Option<Signed>,
    },
    /// Somebody was refused something.
    Denied(Denial),
    /// Something happened that is counted and shown.
    Notice(Notice),
    /// A change is in force and all that follows from it was done.
    Reported(Report),
}

/// Is what the signature of a message proves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signed {
    /// By which key.
    pub kid: Kid,
    /// Its number: starts of the device, then messages since.
    pub sequence: Sequence,
    /// When it was made, in seconds since 1970; `None` if it has the nonce of its link instead.
    pub made: Option<u64>,
    /// How well its key is kept.
    pub level: u8,
    /// Whether it was made a while ago.
    pub is_late: bool,
}

/// Says which change is in force.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Report {
    /// Every decision from now on is made by this generation of the policy.
    Policy {
        /// Which generation.
        generation: u64,
    },
    /// Every link that this revision of the registry does not allow is closed, every session that it ends is ended.
    Directory {
        /// Which revision.
        revision: u64,
        /// How many links were closed.
        closed: u64,
    },
}

/// Says why the shard ended a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CloseCause {
    /// The client said DISCONNECT.
    Disconnected,
    /// A newer link has the session.
    TakenOver,
    /// CONNECT was refused.
    Refused(ReasonCode),
    /// The client broke a rule of the protocol.
    Violation(ReasonCode),
    /// The identity was revoked, disabled or removed.
    NotAllowed,
    /// The client does not read what it is sent.
    NotReading,
    /// There is no room left, in memory or in the store, for what the client sends.
    NoRoom,
    /// The broker stops.
    ShuttingDown,
}

/// Is one refusal, for people to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denial {
    /// Who was refused.
    pub identity: Identity,
    /// Through which client id.
    pub client_id: ClientId,
    /// What it wanted.
    pub action: DeniedAction,
    /// The topic, or the filter of a subscription; empty for `Attach`. Chosen by the peer.
    pub topic: Box<str>,
    /// Which rule denied it; `None` if no rule allows it.
    pub rule: Option<CitedRule>,
}

/// Is what somebody was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum DeniedAction {
    /// To publish.
    Publish,
    /// To subscribe.
    Subscribe,
    /// To leave a will, or to have it published.
    Will,
    /// To be connected at all: the registry does not know it, or not any more.
    Attach,
    /// To publish a message that is not signed as it has to be.
    Signed(Unfit),
}

/// Says why a message does not count as signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Unfit {
    /// It is no signed message.
    Form,
    /// It names a key that the device does not have.
    Key,
    /// Its key is retired.
    Retired,
    /// Its key is not kept well enough.
    Level,
    /// Its signature does not hold.
    Signature,
    /// It is too old, expired, or from the future.
    Age,
    /// It was signed for another session than the one of its link.
    Session,
    /// Its number is so far below the newest one that nobody remembers whether it was seen.
    Replay,
    /// Another message of its number was seen: two hold the key, or the device has lost count.
    Equivocation,
    /// It is dated before the moment since which taken numbers are known: it may have been taken.
    BeforeRecord,
}

impl Unfit {
    /// Lists all, in the order in which they are declared.
    pub const ALL: [Self; 10] = [
        Self::Form,
        Self::Key,
        Self::Retired,
        Self::Level,
        Self::Signature,
        Self::Age,
        Self::Session,
        Self::Replay,
        Self::Equivocation,
        Self::BeforeRecord,
    ];
}

/// They are counted by their places in the list.
const _: () = assert!(matches!(Unfit::ALL.last(), Some(last) if *last as usize + 1 == Unfit::ALL.len()));

impl fmt::Display for Unfit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Form => "not signed",
            Self::Key => "unknown key",
            Self::Retired => "retired key",
            Self::Level => "level of its key",
            Self::Signature => "bad signature",
            Self::Age => "age",
            Self::Session => "nonce of another session",
            Self::Replay => "old number",
            Self::Equivocation => "number used twice",
            Self::BeforeRecord => "before the record of numbers",
        })
    }
}

impl fmt::Display for DeniedAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Publish => "publish",
            Self::Subscribe => "subscribe",
            Self::Will => "will",
            Self::Attach => "attach",
            Self::Signed(unfit) => return write!(f, "publish signed ({unfit})"),
        })
    }
}

/// Is something that was done without anybody being told: counted per identity and shown by `status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Notice {
    /// A message was not delivered because its publisher was revoked or removed since.
    PublisherGone {
        /// Who had published it.
        publisher: Identity,
    },
    /// A QoS 0 message was dropped because the receiver is slow.
    TooSlow {
        /// Who should have got it.
        receiver: Identity,
    },
    /// A QoS 0 message was dropped because the shard of its receivers is far behind.
    ShardBehind {
        /// Who had published it.
        publisher: Identity,
    },
    /// A message was lost because a queue was full; the publisher is the one that held most of it (rule 18).
    QueueFull {
        /// Whose message was lost.
        publisher: Identity,
        /// Whose queue was full.
        receiver: Identity,
    },
    /// A retained message was not kept because there are too many, or too many of its publisher, or memory is short. It
    /// was delivered.
    RetainedFull {
        /// Who had published it.
        publisher: Identity,
    },
    /// A QoS 2 message that waited for the disk went nowhere, because its publisher may not publish it any more: it was
    /// acknowledged all the same.
    PublishWithheld {
        /// Whose message it was.
        publisher: Identity,
    },
    /// A message that is signed does not count as signed.
    Unfit {
        /// Who had published it.
        publisher: Identity,
        /// Why.
        unfit: Unfit,
    },
    /// A message was refused because so many wait to be verified.
    VerifiersBehind {
        /// Who had published it.
        publisher: Identity,
    },
    /// A will was not published because its owner may not publish any more.
    WillWithheld {
        /// Whose will it was.
        owner: Identity,
    },
    /// A message was not sent because it is larger than the client accepts [MQTT-3.1.2-25].
    TooLarge {
        /// Who should have got it.
        receiver: Identity,
    },
    /// Something was refused, or a link closed, because the identity ran into a bound.
    Limit {
        /// Whose client it was.
        identity: Identity,
        /// Which bound.
        bound: Bound,
    },
    /// A message was lost because the queue of a shared group was full; the publisher is the one that held most of it
    /// (rule 18).
    GroupFull {
        /// Whose message was lost.
        publisher: Identity,
    },
    /// A QoS 0 message for a shared group was dropped because no member was connected.
    GroupAbsent {
        /// Who had published it.
        publisher: Identity,
    },
    /// A message for a shared group was dropped because no member may read it.
    GroupDenied {
        /// Who had published it.
        publisher: Identity,
    },
    /// A message that waited could not be read from disk again; nobody gets it.
    Damaged {
        /// Who had published it.
        publisher: Identity,
    },
    /// A message was refused, or a session, because memory is short (invariant 11).
    NoMemory {
        /// Who wanted it.
        identity: Identity,
    },
    /// A message was refused, a subscription or a session, because the store has no room or failed (rule 19).
    NoRoom {
        /// Who wanted it.
        identity: Identity,
    },
}
