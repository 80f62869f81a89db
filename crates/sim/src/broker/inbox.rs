//! The one queue into a shard (rule 3): what was put in before stands before, whoever put it in.

use keyward_broker::persist::Page;
use keyward_broker::{Attach, Directory, LinkId, ShardMessage, Storage, Ticket};
use keyward_mqtt::connection::ServerConnection;
use keyward_policy::Policy;
use std::collections::VecDeque;
use std::sync::Arc;

/// Is a link that the door gives away as one value (rule 1).
pub(crate) struct Handover {
    pub(crate) link: LinkId,
    pub(crate) connection: ServerConnection,
    /// What came behind CONNECT.
    pub(crate) rest: Vec<u8>,
    pub(crate) attach: Box<Attach>,
}

/// Is what lies in an inbox.
pub(crate) enum Mail {
    Link(Box<Handover>),
    Letter {
        from: usize,
        message: ShardMessage,
    },
    Policy {
        generation: u64,
        policy: Arc<Policy>,
    },
    Directory(Arc<Directory>),
    /// The tickets of the shard up to this one are answered.
    Committed(Ticket),
    /// What some messages on disk say was read.
    Page(Page),
    Storage(Storage),
    Stop,
}

/// Says whether a sender has budget left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Room {
    Left,
    Exhausted,
}

struct Entry {
    sender: Option<usize>,
    weight: usize,
    mail: Mail,
}

/// Is the queue into one shard. Senders are the shards and, behind them, the door.
pub(crate) struct Inbox {
    queue: VecDeque<Entry>,
    used: Vec<usize>,
    bytes_per_sender: usize,
}

impl Inbox {
    pub(crate) fn new(senders: usize, bytes_per_sender: usize) -> Self {
        Self { queue: VecDeque::new(), used: vec![0; senders], bytes_per_sender }
    }

    /// Puts in what costs nobody's budget.
    pub(crate) fn command(&mut self, mail: Mail) {
        self.queue.push_back(Entry { sender: None, weight: 0, mail });
    }

    /// Puts in what can be refused. Returns false if the sender has no budget.
    pub(crate) fn offer(&mut self, sender: usize, weight: usize, mail: Mail) -> bool {
        let has_budget = self.used[sender] + weight <= self.bytes_per_sender;
        if has_budget {
            self.post(sender, weight, mail);
        }
        has_budget
    }

    /// Puts in what cannot be refused.
    pub(crate) fn post(&mut self, sender: usize, weight: usize, mail: Mail) {
        self.used[sender] += weight;
        self.queue.push_back(Entry { sender: Some(sender), weight, mail });
    }

    pub(crate) fn room(&self, sender: usize) -> Room {
        if self.used[sender] <= self.bytes_per_sender { Room::Left } else { Room::Exhausted }
    }

    pub(crate) fn take(&mut self) -> Option<Mail> {
        let Entry { sender, weight, mail } = self.queue.pop_front()?;
        if let Some(sender) = sender {
            self.used[sender] -= weight;
        }
        Some(mail)
    }

    /// Returns the bytes of all that lies here.
    pub(crate) fn bytes(&self) -> usize {
        self.used.iter().sum()
    }

    pub(crate) fn len(&self) -> usize {
        self.queue.len()
    }
}
