//! One shard with its shell, run as the server's worker runs it (rule 2): read ready links → empty the inbox → let the
//! shard decide → write each dirty link once.
//!
//! One thing differs, and the shard allows it: an outbox is taken as soon as its link is dirty, and its bytes wait here
//! for the end of the tick. So the trace shows each packet at the moment at which it was decided.

use super::Surroundings;
use super::inbox::{Handover, Mail, Room};
use super::link::{Decoder, Link, Parting};
use crate::event::{Serial, ShardNo, What};
use crate::wire::Stream;
use keyward_broker::output::Report;
use keyward_broker::{CommitOutcome, Input, LinkId, Outbox, Output, Shard, ShardStats};
use keyward_mqtt::connection::{Farewell, Step};
use keyward_mqtt::packet::{Packet, Version};
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::time::Millis;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Packets taken from one link in one tick. Few, so that ticks of shards interleave.
const PACKETS_PER_LINK: usize = 16;

/// Packets taken from all links in one tick.
const PACKETS_PER_TICK: usize = 48;

/// Messages taken from the inbox in one tick.
const INBOX_PER_TICK: usize = 32;

/// Bytes read from a link at once.
const READ: usize = 4096;

/// How long a client may take nothing of what is sent to it.
const STALL_TIME: Millis = Millis::from_secs(60);

/// How long a farewell may take to arrive.
const LINGER_TIME: Millis = Millis::from_secs(2);

/// Is a shard with its links.
pub(crate) struct Shell {
    index: usize,
    shard: Shard,
    links: BTreeMap<LinkId, Link>,
    partings: BTreeMap<LinkId, Parting>,
    ready: VecDeque<LinkId>,
    dirty: BTreeSet<LinkId>,
    outputs: VecDeque<Output>,
    /// Links that the shard has closed and the shell has not yet.
    closed: BTreeSet<LinkId>,
    stopping: bool,
    /// What the shard was told last that the shell holds.
    burden: usize,
}

/// Says how far reading a link went.
enum Drained {
    /// Everything that has arrived was decoded.
    Yes,
    /// The link used its share of the tick.
    NotYet,
    /// The peer is gone.
    Gone,
    /// The peer broke a rule.
    Refused(Farewell),
}

impl Shell {
    pub(crate) fn new(index: usize, shard: Shard) -> Self {
        Self {
            index,
            shard,
            links: BTreeMap::new(),
            partings: BTreeMap::new(),
            ready: VecDeque::new(),
            dirty: BTreeSet::new(),
            outputs: VecDeque::new(),
            closed: BTreeSet::new(),
            stopping: false,
            burden: 0,
        }
    }

    fn no(&self) -> ShardNo {
        ShardNo(self.index)
    }

    pub(crate) fn stats(&self) -> ShardStats {
        self.shard.stats()
    }

    pub(crate) fn poll_timeout(&self) -> Option<Millis> {
        self.shard.poll_timeout()
    }

    /// Tells whether nothing is left to do for shell and shard at `now`.
    pub(crate) fn is_idle(&self, now: Millis) -> bool {
        !self.is_due(now)
            && self.ready.is_empty()
            && self.dirty.is_empty()
            && self.partings.is_empty()
            && self.links.values().all(|link| link.established)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopping && self.links.is_empty()
    }

    /// Gives the shard what it has to know before the first link.
    pub(crate) fn prepare(&mut self, around: &mut Surroundings<'_>, mail: Mail) {
        self.receive(around, mail);
    }

    /// Does one tick.
    pub(crate) fn tick(&mut self, around: &mut Surroundings<'_>) {
        let before = around.log.len();
        self.expire(around);
        self.run_shard(around);
        self.read_links(around);
        self.empty_inbox(around);
        self.write_links(around);
        self.advance_partings(around);
        self.weigh(around);
        if around.log.len() > before {
            let is_done = !self.is_due(around.log.now.mono);
            around.log.say(What::Counts { shard: self.no(), stats: self.shard.stats(), is_done });
        }
    }

    /// Tells the shard what the shell holds for its links (invariant 11).
    fn weigh(&mut self, around: &mut Surroundings<'_>) {
        let unread = self.links.values().filter_map(|link| link.decoder.as_ref());
        let held = unread.map(|decoder| decoder.bytes.len()).sum::<usize>();
        let parting = self.partings.values().map(|parting| parting.unsent.len()).sum::<usize>();
        let bytes = held + parting + around.inboxes[self.index].bytes();
        if bytes != self.burden {
            self.burden = bytes;
            self.handle(around, Input::Burden { bytes });
        }
    }

    // The shard.

    fn is_due(&self, now: Millis) -> bool {
        self.shard.poll_timeout().is_some_and(|at| at <= now)
    }

    fn run_shard(&mut self, around: &mut Surroundings<'_>) {
        if self.is_due(around.log.now.mono) {
            around.log.say(What::Ticks { shard: self.no() });
            self.handle(around, Input::Timeout);
        }
    }

    fn handle(&mut self, around: &mut Surroundings<'_>, input: Input<'_>) {
        self.feed(around, input);
        self.apply_outputs(around);
    }

    /// Gives the shard one input, tells the trace what follows, and keeps the outputs.
    fn feed(&mut self, around: &mut Surroundings<'_>, input: Input<'_>) {
        self.shard.handle(around.log.now, input);
        while let Some(output) = self.shard.poll_output() {
            match output {
                Output::Dirty(link) => {
                    if let Some(outbox) = self.shard.take_outbox(link) {
                        self.fetch(around, link, &outbox);
                        self.shard.recycle(outbox);
                        self.dirty.insert(link);
                    }
                }
                output => {
                    self.tell(around, &output);
                    self.outputs.push_back(output);
                }
            }
        }
    }

    /// Takes the bytes of an outbox for a link, and tells what they say.
    fn fetch(&mut self, around: &mut Surroundings<'_>, id: LinkId, outbox: &Outbox) {
        let shard = self.no();
        let Some(link) = self.links.get_mut(&id) else { return };
        for (packet, bytes) in link.take(outbox) {
            around.log.say(What::Writes { shard, link: id, packet, bytes });
        }
    }

    fn tell(&mut self, around: &mut Surroundings<'_>, output: &Output) {
        let shard = self.no();
        let what = match output {
            Output::Close { link, cause, last } => {
                if let Some(last) = last {
                    self.fetch(around, *link, last);
                }
                self.closed.insert(*link);
                What::Closes { shard, link: *link, cause: *cause, flushed: last.is_some() }
            }
            Output::ToShard { to, .. } => What::Posts { from: shard, to: ShardNo(usize::from(to.0)) },
            Output::Commit(ticket) => What::Asks { shard, ticket: *ticket },
            Output::Denied(denial) => What::Denies { shard, denial: denial.clone() },
            Output::Notice(notice) => What::Notes { shard, notice: notice.clone() },
            Output::Reported(report) => What::Reports { shard, change: serial(report) },
            Output::Established { .. } | Output::Dirty(_) => return,
        };
        around.log.say(what);
    }

    fn apply_outputs(&mut self, around: &mut Surroundings<'_>) {
        while let Some(output) = self.outputs.pop_front() {
            self.apply(around, output);
        }
    }

    fn apply(&mut self, around: &mut Surroundings<'_>, output: Output) {
        match output {
            Output::Established { link, keep_alive } => {
                if let Some(link) = self.links.get_mut(&link) {
                    link.establish(around.log.now.mono, keep_alive);
                }
                self.enqueue(link);
            }
            Output::Close { link, last: None, .. } => self.drop_link(around, link),
            Output::Close { link, last: Some(_), .. } => self.part(around, link),
            Output::ToShard { to, message } => {
                let weight = message.weight();
                let mail = Mail::Letter { from: self.index, message };
                around.inboxes[usize::from(to.0)].post(self.index, weight, mail);
            }
            Output::Commit(ticket) => {
                if let Some(outcome) = around.engine.store(self.index, ticket) {
                    self.answer(around, ticket, outcome);
                }
            }
            Output::Reported(report) => around.reports.push((self.index, serial(&report))),
            Output::Dirty(_) | Output::Denied(_) | Output::Notice(_) => {}
        }
    }

    fn answer(
        &mut self,
        around: &mut Surroundings<'_>,
        through: keyward_broker::Ticket,
        outcome: CommitOutcome,
    ) {
        around.log.say(What::Answers { shard: self.no(), through, outcome });
        self.feed(around, Input::Committed { through, outcome });
    }

    // Reading.

    fn enqueue(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(&id).filter(|link| link.established && !link.queued) {
            link.queued = true;
            self.ready.push_back(id);
        }
    }

    /// Finds the links that have something to read, in the order in which the system happens to name them.
    fn poll(&mut self, around: &mut Surroundings<'_>) {
        let mut ready: Vec<LinkId> = Vec::new();
        for (id, link) in &self.links {
            let wire = around.wires.get(id);
            let readable = wire.is_none_or(|wire| wire.up.has_arrived() || wire.broker_end() == Stream::Over);
            if link.established && !link.queued && readable {
                ready.push(*id);
            }
        }
        around.dice.shuffle(&mut ready);
        ready.into_iter().for_each(|id| self.enqueue(id));
    }

    fn read_links(&mut self, around: &mut Surroundings<'_>) {
        self.poll(around);
        if self.stopping {
            self.ready.clear();
        }
        let mut packets = PACKETS_PER_TICK;
        for _ in 0..self.ready.len() {
            let held = around.inboxes.iter().any(|inbox| inbox.room(self.index) == Room::Exhausted);
            if held || packets == 0 || self.is_due(around.log.now.mono) {
                break;
            }
            if let Some(id) = self.ready.pop_front() {
                self.read_link(around, id, &mut packets);
            }
        }
    }

    fn read_link(&mut self, around: &mut Surroundings<'_>, id: LinkId, packets: &mut usize) {
        let Some(link) = self.links.get_mut(&id) else { return };
        link.queued = false;
        if !link.unsent.is_empty() && self.shard.outbox_bytes_of(id) > around.unsent_bytes {
            return; // Who does not read is not read.
        }
        let Some(mut decoder) = link.decoder.take() else { return };
        let drained = self.drain(around, id, &mut decoder, packets);
        if let Some(link) = self.links.get_mut(&id) {
            link.decoder = Some(decoder);
        }
        self.apply_outputs(around);
        match drained {
            Drained::Yes => {}
            Drained::NotYet => self.enqueue(id),
            Drained::Gone => {
                self.drop_link(around, id);
                self.lose(around, id);
            }
            Drained::Refused(farewell) => {
                self.close_with(around, id, farewell);
                self.lose(around, id);
            }
        }
    }

    fn drain(
        &mut self,
        around: &mut Surroundings<'_>,
        id: LinkId,
        decoder: &mut Decoder,
        packets: &mut usize,
    ) -> Drained {
        let mut share = PACKETS_PER_LINK.min(*packets);
        let now = around.log.now.mono;
        loop {
            let size = match decoder.connection.decode(now, &decoder.bytes) {
                Err(refused) => return Drained::Refused(refused.farewell),
                Ok(Step::Packet { packet, size }) => {
                    self.take(around, id, packet);
                    size
                }
                Ok(Step::Incomplete { .. }) => {
                    let Some(wire) = around.wires.get_mut(&id) else { return Drained::Gone };
                    let more = wire.up.read(READ);
                    match (more.is_empty(), wire.broker_end()) {
                        (true, Stream::Over) => return Drained::Gone,
                        (true, Stream::Open) => return Drained::Yes,
                        (false, _) => decoder.bytes.extend(more),
                    }
                    continue;
                }
            };
            decoder.bytes.drain(..size);
            *packets -= 1;
            share -= 1;
            if share == 0 || self.is_due(now) {
                return Drained::NotYet;
            }
        }
    }

    /// Gives the shard a packet. What comes behind the end of a link is given to it too, as the worker does; the shard
    /// knows the link no longer.
    fn take(&mut self, around: &mut Surroundings<'_>, id: LinkId, packet: Packet<'_>) {
        if !self.closed.contains(&id)
            && let Some(link) = self.links.get_mut(&id)
        {
            let packet = link.hear(&packet);
            around.log.say(What::Takes { shard: ShardNo(self.index), link: id, packet });
        }
        self.feed(around, Input::Packet { link: id, packet });
    }

    // The inbox.

    fn empty_inbox(&mut self, around: &mut Surroundings<'_>) {
        for _ in 0..INBOX_PER_TICK {
            let Some(mail) = around.inboxes[self.index].take() else { break };
            if !self.stopping {
                self.receive(around, mail);
            }
        }
    }

    fn receive(&mut self, around: &mut Surroundings<'_>, mail: Mail) {
        let shard = self.no();
        match mail {
            Mail::Link(handover) => self.attach(around, *handover),
            Mail::Letter { from, message } => {
                around.log.say(What::Reads { shard, from: ShardNo(from) });
                self.handle(around, Input::FromShard(message));
            }
            Mail::Policy { generation, policy } => {
                around.log.say(What::Enacts { shard, change: Serial::Rules(generation) });
                self.handle(around, Input::Policy { generation, policy });
            }
            Mail::Directory(directory) => {
                around.log.say(What::Enacts { shard, change: Serial::Registry(directory.revision()) });
                self.handle(around, Input::Directory(directory));
            }
            Mail::Committed { through, outcome } => {
                self.answer(around, through, outcome);
                self.apply_outputs(around);
            }
            Mail::Stop => {
                self.stopping = true;
                self.handle(around, Input::Shutdown);
            }
        }
    }

    fn attach(&mut self, around: &mut Surroundings<'_>, handover: Handover) {
        let Handover { link: id, connection, rest, attach } = handover;
        around.log.say(What::Attaches { shard: self.no(), link: id });
        let version = connection.version().unwrap_or(Version::V5);
        self.links.insert(id, Link::new(version, connection, rest));
        self.handle(around, Input::Attach(attach));
    }

    // Writing.

    fn write_links(&mut self, around: &mut Surroundings<'_>) {
        for id in std::mem::take(&mut self.dirty) {
            self.write_link(around, id);
        }
    }

    fn write_link(&mut self, around: &mut Surroundings<'_>, id: LinkId) {
        let (Some(link), Some(wire)) = (self.links.get_mut(&id), around.wires.get_mut(&id)) else { return };
        let written = wire.send_down(&link.unsent);
        link.unsent.drain(..written);
        if link.unsent.is_empty() {
            link.stalled = None;
            return self.handle(around, Input::Written { link: id });
        }
        if written > 0 {
            link.stalled = None;
        }
        link.stalled.get_or_insert(around.log.now.mono);
        self.dirty.insert(id);
    }

    // Ends.

    /// Ends links whose client is silent or takes nothing for too long.
    fn expire(&mut self, around: &mut Surroundings<'_>) {
        let now = around.log.now.mono;
        let stalled: Vec<LinkId> = self
            .links
            .iter()
            .filter(|(_, link)| link.stalled.is_some_and(|since| since.saturating_add(STALL_TIME) <= now))
            .map(|(id, _)| *id)
            .collect();
        for id in stalled {
            self.drop_link(around, id);
            self.lose(around, id);
        }
        let late: Vec<LinkId> =
            self.links.iter().filter(|(_, link)| link.is_late(now)).map(|(id, _)| *id).collect();
        for id in late {
            let version = self.links.get(&id).map(|link| link.version);
            let farewell = match version {
                Some(Version::V5) => Farewell::Disconnect(ReasonCode::KeepAliveTimeout),
                _ => Farewell::Silent,
            };
            self.close_with(around, id, farewell);
            self.lose(around, id);
        }
    }

    fn lose(&mut self, around: &mut Surroundings<'_>, id: LinkId) {
        if !self.closed.contains(&id) {
            around.log.say(What::Loses { shard: self.no(), link: id });
        }
        self.handle(around, Input::Lost { link: id });
    }

    /// Closes a link in order, with a farewell of the shell's own.
    fn close_with(&mut self, around: &mut Surroundings<'_>, id: LinkId, farewell: Farewell) {
        let Some(link) = self.links.get_mut(&id) else { return };
        let mut bytes = Vec::new();
        farewell.encode(&mut bytes);
        link.unsent.extend(bytes);
        self.part(around, id);
    }

    /// Closes a link at once; what was not written is dropped. A close with unread bytes may reset the link, which
    /// destroys what is under way.
    fn drop_link(&mut self, around: &mut Surroundings<'_>, id: LinkId) {
        self.dirty.remove(&id);
        if self.links.remove(&id).is_none() {
            return;
        }
        if let Some(wire) = around.wires.get_mut(&id) {
            wire.leave_broker();
            if around.dice.chance(300) {
                wire.cut();
            }
        }
    }

    /// Sees a link off: what is unsent is sent, within a bound of time.
    fn part(&mut self, around: &mut Surroundings<'_>, id: LinkId) {
        self.dirty.remove(&id);
        if let Some(link) = self.links.remove(&id) {
            let deadline = around.log.now.mono.saturating_add(LINGER_TIME);
            self.partings.insert(id, Parting { unsent: link.unsent, deadline });
        }
    }

    fn advance_partings(&mut self, around: &mut Surroundings<'_>) {
        let now = around.log.now.mono;
        self.partings.retain(|id, parting| {
            let Some(wire) = around.wires.get_mut(id) else { return false };
            let written = wire.send_down(&parting.unsent);
            parting.unsent.drain(..written);
            let over = parting.unsent.is_empty() || now >= parting.deadline;
            if over {
                wire.leave_broker();
            }
            !over
        });
    }
}

fn serial(report: &Report) -> Serial {
    match report {
        Report::Policy { generation } => Serial::Rules(*generation),
        Report::Directory { revision, .. } => Serial::Registry(*revision),
    }
}
