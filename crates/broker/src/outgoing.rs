//! What a shard has to say: to the shell, to other shards and to itself.

use crate::attach::LinkId;
use crate::input::{Body, ShardMessage, Ticket};
use crate::limits;
use crate::link::Link;
use crate::ordered::OrderedDeque;
use crate::outbox::Outbox;
use crate::output::{CloseCause, Notice, Output};
use crate::persist::{PageLine, Recorder};
use crate::placement::ShardIndex;
use crate::session::SessionRef;
use keyward_mqtt::reason::ReasonCode;
use std::collections::{BTreeMap, VecDeque};

/// Gathers outputs and work for later.
#[derive(Debug)]
pub(crate) struct Outgoing {
    me: ShardIndex,
    pub(crate) outputs: VecDeque<Output>,
    /// What this shard says to itself, in the same words as to others.
    pub(crate) mail: VecDeque<Body>,
    /// Links to be closed at the end of this input.
    pub(crate) doomed: Vec<Doom>,
    /// Sessions whose link has answers that wait, by the ticket for which the first of them does.
    pub(crate) holding: OrderedDeque<(Ticket, SessionRef), ()>,
    /// Bytes in outboxes, taken ones included.
    pub(crate) outbox_bytes: usize,
    /// Packets there.
    pub(crate) outbox_packets: usize,
    /// Packets and bytes that were written into outboxes since the start.
    pub(crate) packets_sent: u64,
    pub(crate) bytes_sent: u64,
    /// What is to be on disk.
    pub(crate) record: Recorder,
    /// What is to be read from there.
    pub(crate) pages: PageLine,
    /// What is said to shards once what it asserts is durable, by ticket and in order.
    when_durable: BTreeMap<(Ticket, u64), (ShardIndex, Body)>,
    when_durable_begun: u64,
    /// Empty, with buffers.
    pool: Vec<Outbox>,
    /// Bytes of these buffers.
    pool_bytes: usize,
}

/// Is the end of a link that was decided while its session was busy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Doom {
    pub(crate) link: LinkId,
    pub(crate) cause: CloseCause,
    /// What a client of 5.0 is told.
    pub(crate) farewell: Option<ReasonCode>,
}

impl Outgoing {
    pub(crate) fn new(me: ShardIndex, is_stored: bool) -> Self {
        Self {
            me,
            outputs: VecDeque::new(),
            mail: VecDeque::new(),
            doomed: Vec::new(),
            holding: OrderedDeque::default(),
            outbox_bytes: 0,
            outbox_packets: 0,
            packets_sent: 0,
            bytes_sent: 0,
            record: Recorder::new(is_stored),
            pages: PageLine::default(),
            when_durable: BTreeMap::new(),
            when_durable_begun: 0,
            pool: Vec::new(),
            pool_bytes: 0,
        }
    }

    pub(crate) fn say(&mut self, output: Output) {
        self.outputs.push_back(output);
    }

    pub(crate) fn notice(&mut self, notice: Notice) {
        self.say(Output::Notice(notice));
    }

    /// Sends `body` to a shard, this one included.
    pub(crate) fn post(&mut self, to: ShardIndex, body: Body) {
        if to == self.me {
            self.mail.push_back(body);
        } else {
            self.say(Output::ToShard { to, message: ShardMessage::new(self.me, body) });
        }
    }

    /// Sends `body` to a shard, this one included, once what was recorded before is durable.
    pub(crate) fn post_when_durable(&mut self, to: ShardIndex, body: Body) {
        let ticket = self.record.ticket();
        self.when_durable_begun += 1;
        self.when_durable.insert((ticket, self.when_durable_begun), (to, body));
    }

    /// Sends what waited for tickets up to this one.
    pub(crate) fn post_durable(&mut self, done: Ticket) {
        while let Some(first) = self.when_durable.first_entry()
            && first.key().0 <= done
        {
            let (to, body) = first.remove();
            self.post(to, body);
        }
    }

    /// Writes into the outbox of `link` the packet that `write` appends, and reports the link dirty once.
    pub(crate) fn write<R>(&mut self, link: &mut Link, write: impl FnOnce(&mut Outbox) -> R) -> R {
        if link.outbox.is_unallocated()
            && let Some(outbox) = self.pool.pop()
        {
            self.pool_bytes -= outbox.capacity();
            link.outbox = outbox;
        }
        let before = link.outbox.len();
        let result = write(&mut link.outbox);
        let written = link.outbox.len() - before;
        if written > 0 {
            self.outbox_bytes += written;
            self.outbox_packets += 1;
            self.packets_sent += 1;
            self.bytes_sent += written as u64;
            link.waiting_packets += 1;
        }
        if !link.dirty && !link.outbox.is_empty() {
            link.dirty = true;
            self.say(Output::Dirty(link.id));
        }
        result
    }

    /// Hands the bytes of `link` to the shell.
    pub(crate) fn take(&mut self, link: &mut Link) -> Outbox {
        link.dirty = false;
        link.taken += link.outbox.len();
        core::mem::take(&mut link.outbox)
    }

    /// Notes that everything taken of `link` was written. Returns how many bytes that were.
    pub(crate) fn written(&mut self, link: &mut Link) -> usize {
        let written = core::mem::take(&mut link.taken);
        self.outbox_bytes = self.outbox_bytes.saturating_sub(written);
        // Packets of which none is in the outbox are written; of the others nobody knows how many are.
        if link.outbox.is_empty() {
            self.outbox_packets = self.outbox_packets.saturating_sub(link.waiting_packets);
            link.waiting_packets = 0;
        }
        written
    }

    /// Keeps the buffers of an outbox for the next link.
    pub(crate) fn recycle(&mut self, mut outbox: Outbox) {
        outbox.clear();
        if !outbox.is_unallocated() && self.pool_bytes + outbox.capacity() <= limits::OUTBOX_POOL {
            self.pool_bytes += outbox.capacity();
            self.pool.push(outbox);
        }
    }

    pub(crate) fn doom(&mut self, link: LinkId, cause: CloseCause, farewell: Option<ReasonCode>) {
        self.doomed.push(Doom { link, cause, farewell });
    }
}
