//! What happens in the world, as values: the reference model sees these and nothing else.
//!
//! Events stand in the order in which they happened. Those of clients ([`What::Connects`], [`What::Says`],
//! [`What::Hears`], [`What::Breaks`]) are told from the client's end of a link, those of shards ([`What::Attaches`],
//! [`What::Takes`], [`What::Writes`], [`What::Closes`] …) from the broker's end; between the two lie the link and its
//! faults. Printed, an event is one line of the trace: two runs of one seed print the same lines.

use crate::packet::{Hello, Packet};
use crate::records::Found;
use crate::rules::Rules;
use core::fmt;
use keyward_broker::{CloseCause, Denial, LinkId, Notice, ShardStats, Standing, Storage, Ticket};
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::time::Now;
use std::sync::Arc;

/// Numbers an account: an index into [`Setup::accounts`](crate::setup::Setup::accounts).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AccountNo(pub usize);

/// Numbers a client program: an index into [`Setup::clients`](crate::setup::Setup::clients).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientNo(pub usize);

/// Numbers a shard, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ShardNo(pub usize);

/// Numbers a published message, over the whole run; it stands in the payload. The same number published again is the
/// same message sent again, never another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MessageNo(pub u64);

/// Is one thing that happened.
#[derive(Debug, Clone)]
pub struct Event {
    /// When.
    pub at: Now,
    /// What.
    pub what: What,
}

/// Is what happened.
#[derive(Debug, Clone)]
pub enum What {
    // A client's end of a link.
    /// A client opens a link and sends CONNECT. Its older link, if it had one, it has given up; the broker may not
    /// know that yet.
    Connects {
        /// Who.
        client: ClientNo,
        /// Over which link; never used again, also after a restart.
        link: LinkId,
        /// What CONNECT says.
        hello: Hello,
    },
    /// A client sends a packet; it may never arrive.
    Says {
        /// Who.
        client: ClientNo,
        /// Over which link.
        link: LinkId,
        /// What.
        packet: Packet,
    },
    /// A client got a packet and has dealt with it.
    Hears {
        /// Who.
        client: ClientNo,
        /// Over which link.
        link: LinkId,
        /// What.
        packet: Packet,
    },
    /// A client learns, or decides, that its link is over.
    Breaks {
        /// Whose.
        client: ClientNo,
        /// Which link.
        link: LinkId,
    },
    /// A client loses what it knew of its session: its next CONNECT asks for a new one.
    Forgets {
        /// Who.
        client: ClientNo,
    },

    // The broker's end.
    /// The door has judged a CONNECT by its own registry; an admitted link is in the inbox of its shard now.
    Judges {
        /// Which link.
        link: LinkId,
        /// The shard that gets it, or what the client is told.
        verdict: Result<ShardNo, ReasonCode>,
    },
    /// A shard takes a link from its inbox: from now on it acts for this client, or refuses it at once (then
    /// [`What::Closes`] follows).
    Attaches {
        /// Which shard.
        shard: ShardNo,
        /// Which link.
        link: LinkId,
    },
    /// A shard takes a packet from a link: the moment of every decision about publishing and subscribing.
    Takes {
        /// Which shard.
        shard: ShardNo,
        /// From which link.
        link: LinkId,
        /// What; a publish that names its topic by an alias has the topic here.
        packet: Packet,
    },
    /// A shell writes a packet of its shard to a link, CONNACK included: the moment by which reading was decided.
    Writes {
        /// Which shard.
        shard: ShardNo,
        /// To which link.
        link: LinkId,
        /// What.
        packet: Packet,
        /// Its size on the wire.
        bytes: usize,
    },
    /// A shell tells its shard that a link is lost: closed by the peer, silent too long, or in breach of the protocol.
    Loses {
        /// Which shard.
        shard: ShardNo,
        /// Which link.
        link: LinkId,
    },
    /// A shard ends a link.
    Closes {
        /// Which shard.
        shard: ShardNo,
        /// Which link.
        link: LinkId,
        /// Why.
        cause: CloseCause,
        /// Whether what was written before is sent still.
        flushed: bool,
    },
    /// A shard's timers and slices run.
    Ticks {
        /// Which shard.
        shard: ShardNo,
    },
    /// A shard puts a letter into the inbox of another.
    Posts {
        /// The sender.
        from: ShardNo,
        /// The receiver.
        to: ShardNo,
    },
    /// A shard takes a letter of another from its inbox.
    Reads {
        /// The receiver.
        shard: ShardNo,
        /// The sender.
        from: ShardNo,
    },
    /// A shard says that something was refused.
    Denies {
        /// Which shard.
        shard: ShardNo,
        /// What.
        denial: Denial,
    },
    /// A shard says that something was dropped or withheld.
    Notes {
        /// Which shard.
        shard: ShardNo,
        /// What.
        notice: Notice,
    },
    /// What a shard holds after a tick in which something happened.
    Counts {
        /// Which shard.
        shard: ShardNo,
        /// What it holds.
        stats: ShardStats,
        /// Whether it has nothing left that it could do at once.
        is_done: bool,
    },

    // The engine.
    /// A shard asks for something to be made durable.
    Asks {
        /// Which shard.
        shard: ShardNo,
        /// By which number.
        ticket: Ticket,
    },
    /// A shard hears the engine's answer.
    Answers {
        /// Which shard.
        shard: ShardNo,
        /// All tickets up to this one are durable.
        through: Ticket,
    },
    /// A shard wants to have read what some messages on disk say.
    WantsPage {
        /// Which shard.
        shard: ShardNo,
    },
    /// A shard is given what was read.
    GetsPage {
        /// Which shard.
        shard: ShardNo,
    },
    /// A shard hears what the engine can take from now on.
    Learns {
        /// Which shard.
        shard: ShardNo,
        /// What it can take.
        storage: Storage,
    },

    // The operator.
    /// The operator changes something: it is on disk, the door goes by it from now on, and it lies in every inbox.
    Orders(Change),
    /// A shard goes by a change from now on.
    Enacts {
        /// Which shard.
        shard: ShardNo,
        /// Which change.
        change: Serial,
    },
    /// A shard reports that all that follows from a change is done.
    Reports {
        /// Which shard.
        shard: ShardNo,
        /// Which change.
        change: Serial,
    },
    /// All shards have reported: the operator's command returns.
    Returns(Serial),

    // The process.
    /// The broker process dies: every link is over. Registry and rules are on disk; of all else what the engine had
    /// written, if it writes.
    Crashes {
        /// How many batches were written and not synced.
        unsynced: usize,
        /// The first of them that are on disk all the same.
        kept: usize,
    },
    /// A broker process begins with the registry and the rules of this moment.
    Starts,
    /// It finds this on disk and begins with it; with an engine in memory there is nothing to be found.
    Finds(Box<Found>),
    /// The operator stops the broker in order: each link is told. A [`What::Starts`] follows.
    Stops,

    // The end of a run.
    /// Faults have ceased, every honest client that has a session is connected, and nothing is under way any more:
    /// what was owed has arrived.
    Settled,
    /// Records are on disk that belong to nobody: in each table so many.
    Leaves(Vec<(usize, usize)>),
    /// All clients have left and time has passed beyond every expiry and delay.
    Abandoned,
}

/// Is a change that an operator makes.
#[derive(Debug, Clone)]
pub enum Change {
    /// Other rules.
    Rules {
        /// Their generation, from 1.
        generation: u64,
        /// What they say.
        rules: Arc<Rules>,
    },
    /// Another standing, or another life, of one account.
    Account {
        /// The registry's revision that this makes, from 1.
        revision: u64,
        /// Whose.
        account: AccountNo,
        /// In which life of its name: another number means that a credential was taken away, or that the name was
        /// removed and added again.
        epoch: u64,
        /// What it may do.
        standing: Standing,
    },
    /// A device is put into quarantine, or released.
    Quarantine {
        /// The registry's revision that this makes, from 1.
        revision: u64,
        /// Which device.
        account: AccountNo,
        /// Whether it is there from now on.
        is_in: bool,
    },
}

/// Names a change by its number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Serial {
    /// A generation of the rules.
    Rules(u64),
    /// A revision of the registry.
    Registry(u64),
}

impl Change {
    /// Returns its number.
    pub fn serial(&self) -> Serial {
        match self {
            Self::Rules { generation, .. } => Serial::Rules(*generation),
            Self::Account { revision, .. } | Self::Quarantine { revision, .. } => Serial::Registry(*revision),
        }
    }
}

impl fmt::Display for AccountNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "account {}", self.0)
    }
}

impl fmt::Display for ClientNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "client {}", self.0)
    }
}

impl fmt::Display for ShardNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "shard {}", self.0)
    }
}

impl fmt::Display for MessageNo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "m{}", self.0)
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rules(generation) => write!(f, "generation {generation}"),
            Self::Registry(revision) => write!(f, "revision {revision}"),
        }
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rules { generation, rules } => write!(f, "generation {generation}: {rules}"),
            Self::Account { revision, account, epoch, standing } => {
                write!(f, "revision {revision}: {account} epoch {epoch} {standing:?}")
            }
            Self::Quarantine { revision, account, is_in } => {
                let way = if *is_in { "into" } else { "out of" };
                write!(f, "revision {revision}: {account} {way} quarantine")
            }
        }
    }
}

impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:>9} {}", self.at.mono.0, self.what)
    }
}

impl fmt::Display for What {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connects { client, link, hello } => write!(f, "{client} link {} > {hello}", link.0),
            Self::Says { client, link, packet } => write!(f, "{client} link {} > {packet}", link.0),
            Self::Hears { client, link, packet } => write!(f, "{client} link {} < {packet}", link.0),
            Self::Breaks { client, link } => write!(f, "{client} link {} is over", link.0),
            Self::Forgets { client } => write!(f, "{client} forgets its session"),
            Self::Judges { link, verdict: Ok(shard) } => write!(f, "door: link {} goes to {shard}", link.0),
            Self::Judges { link, verdict: Err(reason) } => {
                write!(f, "door: link {} refused, {}", link.0, reason.as_str())
            }
            Self::Attaches { shard, link } => write!(f, "{shard} attaches link {}", link.0),
            Self::Takes { shard, link, packet } => write!(f, "{shard} takes from link {}: {packet}", link.0),
            Self::Writes { shard, link, packet, bytes } => {
                write!(f, "{shard} writes to link {}: {packet}, {bytes} bytes", link.0)
            }
            Self::Loses { shard, link } => write!(f, "{shard} loses link {}", link.0),
            Self::Closes { shard, link, cause, flushed } => {
                let how = if *flushed { "flushed" } else { "dropped" };
                write!(f, "{shard} closes link {}, {cause:?}, {how}", link.0)
            }
            Self::Ticks { shard } => write!(f, "{shard} ticks"),
            Self::Posts { from, to } => write!(f, "{from} posts to {to}"),
            Self::Reads { shard, from } => write!(f, "{shard} reads a letter of {from}"),
            Self::Denies { shard, denial } => {
                let Denial { identity, client_id, action, topic, .. } = denial;
                write!(f, "{shard} denies {identity} ({client_id}) to {action} {topic}")
            }
            Self::Notes { shard, notice } => write!(f, "{shard} notes {notice:?}"),
            Self::Counts { shard, stats, is_done } => {
                let left = if *is_done { "" } else { " and has work left" };
                write!(f, "{shard} holds {stats:?}{left}")
            }
            Self::Asks { shard, ticket } => write!(f, "{shard} asks for ticket {}", ticket.0),
            Self::Answers { shard, through } => {
                write!(f, "engine answers {shard} through ticket {}", through.0)
            }
            Self::WantsPage { shard } => write!(f, "{shard} wants a page"),
            Self::GetsPage { shard } => write!(f, "{shard} gets a page"),
            Self::Learns { shard, storage } => write!(f, "{shard} learns that the store is {storage:?}"),
            Self::Orders(change) => write!(f, "operator orders {change}"),
            Self::Enacts { shard, change } => write!(f, "{shard} goes by {change}"),
            Self::Reports { shard, change } => write!(f, "{shard} reports {change}"),
            Self::Returns(change) => write!(f, "operator hears of {change}"),
            Self::Crashes { unsynced, kept } => {
                write!(f, "the broker dies, with {kept} of {unsynced} batches that were not synced")
            }
            Self::Starts => f.write_str("a broker starts"),
            Self::Finds(found) => write!(f, "it finds {found:?}"),
            Self::Leaves(left) => write!(f, "left on disk, in each table: {left:?}"),
            Self::Stops => f.write_str("the broker stops"),
            Self::Settled => f.write_str("the world has settled"),
            Self::Abandoned => f.write_str("everybody has left"),
        }
    }
}
