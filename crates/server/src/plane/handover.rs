//! A link on its way from the door to its worker, and what else goes into a worker's inbox.

use crate::plane::admission::ConnectionGuard;
use crate::plane::authentication::Method;
use crate::plane::ratchets::Ruling;
use crate::plane::stream::Stream;
use crate::plane::transport::Transport;
use keyward_broker::persist::{Entry, Page};
use keyward_broker::{Attach, Checked, Directory, LinkId, ShardMessage, ShardStats, Storage, Ticket};
use keyward_ids::Identity;
use keyward_mqtt::connection::ServerConnection;
use keyward_policy::Policy;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

/// Is an authenticated link as one value (rule 1). Nothing was read from its socket since the end of CONNECT.
pub(crate) struct Handover {
    pub(crate) socket: Stream,
    pub(crate) transport: Transport,
    pub(crate) connection: ServerConnection,
    /// By which the client proved who it is, for the next time.
    pub(crate) method: Option<Arc<dyn Method>>,
    /// MQTT bytes that came behind the CONNECT.
    pub(crate) plain: Vec<u8>,
    /// Bytes of the transport that the socket did not take yet.
    pub(crate) unsent: Vec<u8>,
    pub(crate) attach: Box<Attach>,
    pub(crate) counted: ConnectionGuard,
}

impl Handover {
    /// What the will of a CONNECT may weigh beside the buffers: as much as the CONNECT.
    const OVERHEAD: usize = 4 * 1024;

    /// Returns the bytes that it keeps in memory, for the budget of the inbox.
    pub(crate) fn weight(&self) -> usize {
        Self::OVERHEAD + self.transport.held() + self.plain.len() + self.unsent.len()
    }
}

/// Is what comes into the inbox of a worker.
pub(crate) enum WorkerMessage {
    /// The door hands over a link.
    Link(Box<Handover>),
    /// Another shard says something.
    Shard(ShardMessage),
    /// Another policy is in force.
    Policy {
        /// Its number.
        generation: u64,
        /// Its rules.
        policy: Arc<Policy>,
    },
    /// Another revision of the registry is in force.
    Directory(Arc<Directory>),
    /// Somebody wants the figures of the shard, and how many bytes of MQTT its links have received.
    Count(SyncSender<(ShardStats, u64)>),
    /// Answered in turn, to show that the worker does.
    Acknowledge(SyncSender<()>),
    /// Somebody wants to know how many sessions of the shard are these identities', and how many messages wait in them.
    CountSessions {
        /// Whose.
        identities: Arc<[Identity]>,
        /// Where to say it, in their order.
        answer: SyncSender<Vec<(usize, usize)>>,
    },
    /// The broker itself publishes.
    Announce(Vec<(String, Vec<u8>)>),
    /// Somebody wants to know which topics below these filters hold a retained message.
    RetainedTopics {
        /// The filters.
        filters: Arc<[String]>,
        /// How many topics are enough.
        most: u16,
        /// Where to say it.
        answer: SyncSender<Vec<String>>,
    },
    /// The committer gives back an entry that is written; what was awaited is durable up to this ticket.
    Committed {
        /// Up to which; `None` if nobody waited.
        through: Option<Ticket>,
        /// For its buffers.
        entry: Entry,
    },
    /// What some messages on disk say was read.
    Page(Page),
    /// The signature of a message was verified.
    Checked(Checked),
    /// A device answered for its rolling secret, and this came of it.
    Ratchet {
        /// On which link.
        link: LinkId,
        /// Whose that was.
        identity: Identity,
        /// What.
        ruling: Ruling,
    },
    /// What the store can take from now on.
    Storage(Storage),
    /// The broker stops.
    Stop,
}
