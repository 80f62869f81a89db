//! One worker: a thread, a readiness loop, a shard and its links.
//!
//! A tick (rule 2): read ready links → empty the inbox → let the shard decide → write each dirty link once → sleep.
//! Reading comes first on purpose: what was put into the inbox before a client could learn of it is known before a
//! packet that the client then sent is decided.

mod burden;
mod commits;
mod effort;
mod ending;
mod inflow;
mod link;
mod notices;
mod ratchet;
mod reading;
mod reauthentication;
mod unfinished;

use crate::clock::{self, millis};
use crate::plane::changes::{Changes, Reporting};
use crate::plane::committer::Desk;
use crate::plane::events::{Offender, Reporter};
use crate::plane::handover::{Handover, WorkerMessage};
use crate::plane::hearing::{Hearing, Mouth};
use crate::plane::inbox::{Inbox, Room, Sender};
use crate::plane::limits::{EVENTS_PER_POLL, INBOX_PER_TICK, Limits};
use crate::plane::pages::PageDesk;
use crate::plane::parting::Parting;
use crate::plane::proofs::{Causes, Proof};
use crate::plane::ratchets::RatchetDesk;
use crate::plane::signatures::SignatureDesk;
use crate::plane::source::Peer;
use crate::plane::timers::{Timers, until};
use burden::Burden;
use commits::Commits;
use effort::Efforts;
use keyward_broker::output::Report;
use keyward_broker::{DeniedAction, Input, LinkId, Notice, Output, SecondHolder, Shard, ShardIndex};
use keyward_identity::limits::EVIDENCE_HOSTS;
use keyward_ids::Identity;
use keyward_mqtt::time::{Millis, Now};
use keyward_mqtt::topic::TopicFilter;
use link::{Buffers, Flushed, Link};
use mio::event::Event;
use mio::{Events, Interest, Poll, Token};
use notices::Notices;
use std::collections::{HashMap, VecDeque};
use std::io;
use std::sync::Arc;
use unfinished::Unfinished;

/// The token of a loop's own waker; links are numbered from 1.
pub(crate) const WAKER: Token = Token(0);

/// Is what a worker is made of.
pub(crate) struct WorkerParts {
    pub(crate) poll: Poll,
    pub(crate) shard: Shard,
    /// What the shard said while it was restored.
    pub(crate) said: VecDeque<Output>,
    /// Where what the shard records is handed in, if there is a store.
    pub(crate) desk: Option<Arc<Desk>>,
    /// Who reads what is on disk, if there is a store.
    pub(crate) pages: Option<PageDesk>,
    /// Who verifies signatures.
    pub(crate) signatures: SignatureDesk,
    /// What shards found out about keys that two hold.
    pub(crate) proofs: Arc<Causes>,
    /// The inboxes of all workers, in the order of their shards.
    pub(crate) inboxes: Arc<[Inbox<WorkerMessage>]>,
    pub(crate) index: ShardIndex,
    /// Which sender it is in the others' inboxes.
    pub(crate) sender: Sender,
    pub(crate) reporting: Reporting,
    pub(crate) changes: Arc<Changes>,
    pub(crate) reporter: Reporter,
    /// Who judges what devices answer for their rolling secrets, if anybody does.
    pub(crate) ratchets: Option<RatchetDesk>,
    /// Where the watch is told what devices do, if there is one.
    pub(crate) watch: Option<Mouth>,
    pub(crate) limits: Limits,
    pub(crate) broker_limits: keyward_broker::Limits,
    /// The size of the largest packet.
    pub(crate) packet_bytes: usize,
}

/// Runs until the broker stops.
pub(crate) struct Worker {
    parts: WorkerParts,
    now: Now,
    links: HashMap<LinkId, Link>,
    partings: HashMap<LinkId, Parting>,
    buffers: Buffers,
    /// Links that may have something to read.
    ready: VecDeque<LinkId>,
    dirty: Vec<LinkId>,
    timers: Timers<LinkId>,
    outputs: VecDeque<Output>,
    commits: Commits,
    taken: Vec<WorkerMessage>,
    /// The shards whose inboxes are over our budget, a bit each: links are not read until there is room.
    held_by: u64,
    unfinished: Unfinished,
    burden: Burden,
    efforts: Efforts,
    notices: Notices,
    hearing: Hearing,
    /// Bytes of MQTT that links have received.
    received: u64,
    stopping: Option<Millis>,
}

/// Says whether work is left that needs no event.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Work {
    Left,
    Done,
}

impl Worker {
    pub(crate) fn new(mut parts: WorkerParts) -> Self {
        let outputs = std::mem::take(&mut parts.said);
        let commits = Commits::new(parts.desk.take(), parts.index);
        let hearing = Hearing::new(parts.watch.take());
        Self {
            parts,
            now: clock::now(),
            links: HashMap::new(),
            partings: HashMap::new(),
            buffers: Buffers::default(),
            ready: VecDeque::new(),
            dirty: Vec::new(),
            timers: Timers::default(),
            outputs,
            commits,
            taken: Vec::new(),
            held_by: 0,
            unfinished: Unfinished::default(),
            burden: Burden::default(),
            efforts: Efforts::default(),
            notices: Notices::default(),
            hearing,
            received: 0,
            stopping: None,
        }
    }

    /// Runs the loop.
    ///
    /// # Errors
    /// The system refuses to say what is ready; the worker cannot go on.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_PER_POLL);
        let mut work = Work::Done;
        while !self.is_finished() {
            let sleep = match work {
                Work::Left => Some(std::time::Duration::ZERO),
                Work::Done => until(self.now.mono, self.next_deadline()),
            };
            match self.parts.poll.poll(&mut events, sleep) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
            self.now = clock::now();
            for event in &events {
                self.note(event);
            }
            work = self.tick();
        }
        Ok(())
    }

    fn is_finished(&self) -> bool {
        self.stopping.is_some_and(|deadline| {
            let is_done = self.links.is_empty() && self.partings.is_empty() && self.commits.are_written();
            self.now.mono >= deadline || is_done
        })
    }

    fn next_deadline(&self) -> Option<Millis> {
        let deadlines = [self.timers.next(), self.parts.shard.poll_timeout(), self.stopping];
        deadlines.into_iter().flatten().min()
    }

    fn tick(&mut self) -> Work {
        self.expire();
        self.run_shard();
        let reading = self.read_links();
        let receiving = self.empty_inbox();
        self.commits.hand_in(&mut self.parts.shard);
        let writing = self.write_links();
        self.tell_burden();
        self.notices.tell(&self.parts.reporter);
        self.hearing.hand_over(self.now.wall);
        let idle = [reading, receiving, writing] == [Work::Done; 3] && self.dirty.is_empty();
        if idle { Work::Done } else { Work::Left }
    }

    /// Notes what an event says; nothing is read or written yet.
    fn note(&mut self, event: &Event) {
        if event.token() == WAKER {
            return;
        }
        let id = LinkId(event.token().0 as u64);
        if self.partings.contains_key(&id) {
            return self.advance_parting(id);
        }
        let Some(link) = self.links.get_mut(&id) else { return };
        if event.is_read_closed() || event.is_error() {
            link.hung_up = true;
        }
        if event.is_writable() && link.is_blocked() {
            self.dirty.push(id);
        }
        if event.is_readable() || event.is_read_closed() || event.is_error() {
            self.enqueue(id);
        }
    }

    fn enqueue(&mut self, id: LinkId) {
        if let Some(link) = self.links.get_mut(&id).filter(|link| link.waits_to_be_read()) {
            link.queued = true;
            self.ready.push_back(id);
        }
    }

    // The shard.

    fn run_shard(&mut self) {
        // What it said while it was restored.
        self.apply_outputs();
        if self.is_shard_due() {
            self.handle(Input::Timeout);
        }
    }

    fn is_shard_due(&self) -> bool {
        is_due(&self.parts.shard, self.now)
    }

    fn handle(&mut self, input: Input<'_>) {
        feed(&mut self.parts.shard, &mut self.outputs, self.now, input);
        self.apply_outputs();
    }

    fn apply_outputs(&mut self) {
        while let Some(output) = self.outputs.pop_front() {
            self.apply(output);
        }
    }

    fn apply(&mut self, output: Output) {
        match output {
            Output::Established { link, keep_alive } => self.establish(link, keep_alive),
            Output::Dirty(id) => {
                if let Some(link) = self.links.get_mut(&id) {
                    link.dirty = true;
                    self.dirty.push(id);
                }
            }
            Output::Close { link, cause, last: None } => self.close(link, cause),
            Output::Close { link, cause, last: Some(last) } => {
                self.note_leave(link, cause.into());
                let mut bytes = Vec::with_capacity(last.len());
                last.slices().for_each(|slice| bytes.extend_from_slice(slice));
                self.parts.shard.recycle(last);
                self.part(link, &bytes);
            }
            Output::ToShard { to, message } => {
                let weight = message.weight();
                let inbox = &self.parts.inboxes[usize::from(to.0)];
                if inbox.post(self.parts.sender, weight, WorkerMessage::Shard(message)) == Room::Exhausted {
                    self.held_by |= 1 << to.0;
                }
            }
            Output::Commit(through) => {
                if !self.commits.await_ticket(through) {
                    // Without a store what is in memory is as durable as it gets.
                    feed(&mut self.parts.shard, &mut self.outputs, self.now, Input::Committed { through });
                }
            }
            Output::ReadPage(ask) => {
                if let Some(pages) = &self.parts.pages {
                    pages.ask(self.parts.index, ask);
                }
            }
            Output::Check(check) => self.parts.signatures.ask(self.parts.index, check),
            Output::Ratchet(answer) => self.offer_ratchet(*answer),
            Output::SecondHolder(found) => self.keep_proof(*found),
            Output::Said { message, signed } => self.hearing.said(message, signed),
            Output::Denied(denial) => {
                if let DeniedAction::Signed(unfit) = denial.action {
                    self.hearing.unfit(&denial.identity, unfit);
                }
                self.parts.reporter.denied(denial);
            }
            Output::Notice(Notice::Limit { identity, bound }) => {
                let value = bound.value(&self.parts.broker_limits);
                self.report_limit(identity, bound.name(), value);
            }
            Output::Notice(notice) => {
                if let Some((notice, times)) = self.notices.count(notice) {
                    self.parts.reporter.notice(notice, times);
                }
            }
            Output::Reported(Report::Policy { generation }) => {
                self.parts.changes.policy(self.parts.reporting, generation);
            }
            Output::Reported(Report::Directory { revision, closed }) => {
                self.parts.changes.directory(self.parts.reporting, revision, closed);
            }
        }
    }

    /// Keeps a proof that two hold a key, with the hosts from which the device is connected, that of the message first. All links of
    /// a device are here.
    fn keep_proof(&self, found: SecondHolder) {
        if !self.parts.proofs.is_news(&found.identity) {
            return;
        }
        let others =
            self.links.values().filter(|link| link.identity == found.identity && link.id != found.link);
        let links = self.links.get(&found.link).into_iter().chain(others).take(EVIDENCE_HOSTS);
        let hosts = links.filter_map(Link::peer).map(|peer| peer.host().to_string()).collect();
        self.parts.proofs.add(Proof::new(found, hosts));
    }

    fn establish(&mut self, id: LinkId, keep_alive: u16) {
        let Some(link) = self.links.get_mut(&id) else { return };
        if let Some(late) = link.establish(self.now.mono, keep_alive) {
            self.arm(id, late);
        }
        if let Some(link) = self.links.get(&id) {
            let from = link.peer().map(Peer::host);
            self.hearing.connected(&link.identity, id.0, (from, link.fingerprint()), keep_alive);
        }
        // Its next packets may lie decrypted with us already, so it is run once without waiting for the socket.
        self.enqueue(id);
    }

    // The inbox.

    fn empty_inbox(&mut self) -> Work {
        let mut taken = std::mem::take(&mut self.taken);
        let more = self.inbox().take(INBOX_PER_TICK, &mut taken);
        let any = !taken.is_empty();
        for message in taken.drain(..) {
            self.receive(message);
        }
        self.taken = taken;
        // A link that was taken over is to be read, and its shard may have work: look again before sleeping.
        if more || any { Work::Left } else { Work::Done }
    }

    fn inbox(&self) -> &Inbox<WorkerMessage> {
        &self.parts.inboxes[usize::from(self.parts.index.0)]
    }

    fn receive(&mut self, message: WorkerMessage) {
        if self.stopping.is_some() && !matches!(message, WorkerMessage::Committed { .. }) {
            return;
        }
        match message {
            WorkerMessage::Committed { through, entry } => {
                self.commits.take_back(entry);
                if let Some(through) = through {
                    self.handle(Input::Committed { through });
                }
            }
            WorkerMessage::Page(page) => self.handle(Input::Page(page)),
            WorkerMessage::Checked(checked) => {
                let link = checked.link();
                self.handle(Input::Checked(checked));
                // What it sent meanwhile lies with us already.
                self.enqueue(link);
            }
            WorkerMessage::Ratchet { link, identity, ruling } => self.tell_ratchet(link, &identity, ruling),
            WorkerMessage::Storage(storage) => self.handle(Input::Storage(storage)),
            WorkerMessage::Link(handover) => self.attach(*handover),
            WorkerMessage::Shard(message) => self.handle(Input::FromShard(message)),
            WorkerMessage::Policy { generation, policy } => {
                self.handle(Input::Policy { generation, policy });
            }
            WorkerMessage::Directory(directory) => self.handle(Input::Directory(directory)),
            WorkerMessage::Count(answer) => {
                // Whoever asked may have given up.
                let _: Result<_, _> = answer.try_send((self.parts.shard.stats(), self.received));
            }
            WorkerMessage::Acknowledge(answer) => {
                let _: Result<_, _> = answer.try_send(());
            }
            WorkerMessage::CountSessions { identities, answer } => {
                let shard = &self.parts.shard;
                let count = |identity| (shard.sessions_of(identity), shard.waiting_for(identity));
                let _: Result<_, _> = answer.try_send(identities.iter().map(count).collect());
            }
            WorkerMessage::Announce(values) => self.handle(Input::Announce(&values)),
            WorkerMessage::RetainedTopics { filters, most, answer } => {
                let filters = filters.iter().filter_map(|filter| TopicFilter::parse(filter).ok());
                let shard = &mut self.parts.shard;
                let topics = filters.flat_map(|filter| shard.retained_topics(filter, most)).collect();
                let _: Result<_, _> = answer.try_send(topics);
            }
            WorkerMessage::Stop => {
                self.stopping = Some(self.now.mono.saturating_add(millis(self.parts.limits.shutdown_time)));
                self.handle(Input::Shutdown);
            }
        }
    }

    fn attach(&mut self, handover: Handover) {
        self.received += handover.plain.len() as u64;
        let (mut link, attach) = Link::new(handover);
        let id = link.id;
        let interest = Interest::READABLE | Interest::WRITABLE;
        let registry = self.parts.poll.registry();
        if registry.register(link.socket(), Token(id.0 as usize), interest).is_err() {
            return; // The system has no memory; the client comes again.
        }
        self.unfinished.change(link.identity(), 0, link.held());
        self.burden.weigh(&mut link);
        self.links.insert(id, link);
        self.handle(Input::Attach(attach));
    }

    // Writing.

    fn write_links(&mut self) -> Work {
        let dirty = std::mem::take(&mut self.dirty);
        let mut work = Work::Done;
        for id in dirty {
            if self.write_link(id) == Work::Left {
                work = Work::Left;
            }
        }
        work
    }

    /// Writes what there is for a link; a link that was not read meanwhile is to be read again.
    fn write_link(&mut self, id: LinkId) -> Work {
        self.write_what_there_is(id);
        let Some(link) = self.links.get_mut(&id) else { return Work::Done };
        self.burden.weigh(link);
        if link.is_blocked() || !std::mem::take(&mut link.is_held_back) {
            return Work::Done;
        }
        self.enqueue(id);
        Work::Left
    }

    fn write_what_there_is(&mut self, id: LinkId) {
        let now = self.now.mono;
        let Some(link) = self.links.get_mut(&id) else { return };
        let was_blocked = link.is_blocked();
        if was_blocked {
            match link.flush(now) {
                Ok(Flushed::Yes) => self.written(id),
                Ok(Flushed::Blocked) => return self.watch_stall(id),
                Err(end) => return self.end_link(id, end),
            }
        }
        let Some(link) = self.links.get_mut(&id) else { return };
        if !std::mem::take(&mut link.dirty) {
            return;
        }
        let Some(outbox) = self.parts.shard.take_outbox(id) else { return };
        let flushed = link.write(now, &outbox, &mut self.buffers);
        self.parts.shard.recycle(outbox);
        match flushed {
            Ok(Flushed::Yes) => self.written(id),
            Ok(Flushed::Blocked) => self.watch_stall(id),
            Err(end) => self.end_link(id, end),
        }
    }

    fn written(&mut self, id: LinkId) {
        self.handle(Input::Written { link: id });
    }

    /// Tells people that a client ran into a limit.
    fn report_limit(&self, identity: Identity, limit: &'static str, value: u64) {
        self.parts.reporter.limit(self.now.mono, Offender::Identity(identity), limit, value);
    }

    fn watch_stall(&mut self, id: LinkId) {
        self.arm(id, self.now.mono.saturating_add(millis(self.parts.limits.stall_time)));
    }
}

/// Tells whether slices of earlier work wait.
fn is_due(shard: &Shard, now: Now) -> bool {
    shard.poll_timeout().is_some_and(|at| at <= now.mono)
}

/// Gives the shard one input and collects what comes out before the next.
fn feed(shard: &mut Shard, outputs: &mut VecDeque<Output>, now: Now, input: Input<'_>) {
    shard.handle(now, input);
    outputs.extend(std::iter::from_fn(|| shard.poll_output()));
}
