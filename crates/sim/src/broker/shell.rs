//! One shard with its shell, run as the server's worker runs it (rule 2): read ready links → empty the inbox → let the
//! shard decide → write each dirty link once.
//!
//! One thing differs, and the shard allows it: an outbox is taken as soon as its link is dirty, and its bytes wait here
//! for the end of the tick. So the trace shows each packet at the moment at which it was decided.

mod ending;
mod reading;

use super::Surroundings;
use super::engine::Engine;
use super::inbox::{Handover, Mail};
use super::link::{Link, Parting};
use crate::event::{Serial, ShardNo, What};
use crate::signing;
use keyward_broker::output::Report;
use keyward_broker::persist::Portion;
use keyward_broker::{Check, Input, LinkId, Outbox, Output, Shard, ShardStats, Ticket};
use keyward_mqtt::packet::Version;
use keyward_mqtt::time::Millis;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// Messages taken from the inbox in one tick.
const INBOX_PER_TICK: usize = 32;

/// How often a signature is verified in a later tick only, of a thousand.
const LATE: u64 = 500;

/// How often a tick ends with handing in what nobody waits for, of a thousand.
const LAZY: u64 = 100;

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
    /// Messages whose signatures are being verified, in order.
    unchecked: VecDeque<Box<Check>>,
    /// What the shard was told last that the shell holds.
    burden: usize,
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
            unchecked: VecDeque::new(),
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
            && self.unchecked.is_empty()
            && self.links.values().all(|link| link.established)
    }

    pub(crate) fn is_stopped(&self) -> bool {
        self.stopping && self.links.is_empty()
    }

    /// Gives the shard what it has to know before the first link.
    pub(crate) fn prepare(&mut self, around: &mut Surroundings<'_>, mail: Mail) {
        self.receive(around, mail);
    }

    /// Gives the shard what was on disk, before anything else.
    pub(crate) fn restore(&mut self, around: &mut Surroundings<'_>, portion: Portion) {
        self.shard.restore(around.log.now, portion);
        self.collect(around);
        self.apply_outputs(around);
    }

    /// Lets the shard go on with what was under way: every shard knows what the others want.
    pub(crate) fn resume(&mut self, around: &mut Surroundings<'_>) {
        self.handle(around, Input::Restored);
    }

    /// Does what there is to do before anybody is connected.
    pub(crate) fn settle(&mut self, around: &mut Surroundings<'_>) {
        self.run_shard(around);
        self.empty_inbox(around);
    }

    /// Gives the engine what the shard has recorded and nobody waits for.
    pub(crate) fn write_entry(&mut self, engine: &mut Engine) {
        engine.store(self.index, &mut self.shard, None);
    }

    /// Does one tick.
    pub(crate) fn tick(&mut self, around: &mut Surroundings<'_>) {
        let before = around.log.len();
        self.expire(around);
        self.run_shard(around);
        self.read_links(around);
        self.empty_inbox(around);
        self.check_some(around);
        self.write_links(around);
        self.advance_partings(around);
        self.weigh(around);
        if around.dice.chance(LAZY) {
            self.write_entry(around.engine);
        }
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

    pub(crate) fn is_due(&self, now: Millis) -> bool {
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
        let (asked, answered) = self.shard.tickets();
        self.shard.handle(around.log.now, input);
        self.tell_tickets(around, asked, answered);
        self.collect(around);
    }

    /// Keeps what the shard says, and tells the trace of it.
    fn collect(&mut self, around: &mut Surroundings<'_>) {
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

    /// Tells the trace of tickets that this input has drawn or brought answers to: one commit may answer several.
    fn tell_tickets(&mut self, around: &mut Surroundings<'_>, asked: Ticket, answered: Ticket) {
        let (shard, (newest, done)) = (self.no(), self.shard.tickets());
        if done > answered {
            around.log.say(What::Answers { shard, through: done });
        }
        if newest > asked {
            around.log.say(What::Asks { shard, ticket: newest });
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
            Output::Denied(denial) => What::Denies { shard, denial: denial.clone() },
            Output::Notice(notice) => What::Notes { shard, notice: notice.clone() },
            Output::Reported(report) => What::Reports { shard, change: serial(report) },
            Output::Established { .. }
            | Output::Dirty(_)
            | Output::Commit(_)
            | Output::ReadPage(_)
            | Output::Check(_)
            | Output::SecondHolder(_)
            | Output::Ratchet(_)
            | Output::Said { .. } => return,
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
                if around.engine.store(self.index, &mut self.shard, Some(ticket)) {
                    self.answer(around, ticket);
                }
            }
            Output::ReadPage(ask) => {
                around.log.say(What::WantsPage { shard: self.no() });
                around.engine.ask(self.index, ask);
            }
            Output::Check(check) => self.unchecked.push_back(check),
            Output::Reported(report) => around.reports.push((self.index, serial(&report))),
            Output::Dirty(_) | Output::Denied(_) | Output::Notice(_) => {}
            Output::SecondHolder(_) | Output::Ratchet(_) | Output::Said { .. } => {}
        }
    }

    /// Gives the shard what was found of some signatures; whose message it was is read again.
    fn check_some(&mut self, around: &mut Surroundings<'_>) {
        while !self.unchecked.is_empty() && !around.dice.chance(LATE) {
            let Some(check) = self.unchecked.pop_front() else { break };
            if !self.stopping {
                let link = check.link();
                self.handle(around, Input::Checked(check.run(signing::check)));
                self.enqueue(link);
            }
        }
    }

    fn answer(&mut self, around: &mut Surroundings<'_>, through: Ticket) {
        self.feed(around, Input::Committed { through });
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
            Mail::Committed(through) => {
                self.answer(around, through);
                self.apply_outputs(around);
            }
            Mail::Page(page) => {
                around.log.say(What::GetsPage { shard });
                self.handle(around, Input::Page(page));
            }
            Mail::Storage(storage) => {
                around.log.say(What::Learns { shard, storage });
                self.handle(around, Input::Storage(storage));
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
}

fn serial(report: &Report) -> Serial {
    match report {
        Report::Policy { generation } => Serial::Rules(*generation),
        Report::Directory { revision, .. } => Serial::Registry(*revision),
    }
}
