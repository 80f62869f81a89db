//! One door: a thread and a readiness loop that accepts, does TLS, reads CONNECT, has the login checked, and gives
//! each link to its worker exactly once.
//!
//! A storm of handshakes keeps the doors busy, not the workers. From the end of CONNECT to the hand-over nothing is
//! read from a socket (rule 1).

use super::admission::{Admission, Waiting};
use super::arrival::{Arrival, ArrivalEnd, Candidate, DoorBuffers, Heard, Origin, Said, Stage};
use super::changes::{Changes, Reporting};
use super::channel::Channel;
use super::connect::{Next, decide, said};
use super::events::{LoginCause, LoginFailure, Reporter};
use super::handover::{Handover, WorkerMessage};
use super::inbox::{Inbox, Sender};
use super::limits::{ACCEPTS_PER_TICK, EVENTS_PER_POLL, INBOX_PER_TICK, Limits};
use super::login::{Gate, Known, is_answered_late, reason_of};
use super::parting::{Parted, Parting};
use super::passwords::{Attempt, Outcome, PasswordPool};
use super::remedy::HandshakeCause;
use super::source::Source;
use super::stats::DoorCounts;
use super::timers::{Timers, until};
use super::tls::ListenerTls;
use super::worker::WAKER;
use crate::clock::{self, millis};
use keyward_broker::placement::{HashKey, shard_of};
use keyward_broker::{Attach, LinkId};
use keyward_mqtt::connection::{ConnectionLimits, Farewell, ServerConnection, Step};
use keyward_mqtt::packet::Packet;
use keyward_mqtt::time::{Millis, Now};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use std::collections::{BTreeMap, HashMap};
use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::SyncSender;
use std::time::Duration;
use zeroize::Zeroizing;

/// Reads of one arrival in one tick.
const READS_PER_TICK: usize = 8;

/// How long a door does not accept after the system said that it has no file descriptors left.
const OUT_OF_DESCRIPTORS: Millis = Millis(100);

/// Is what a door is made of.
pub(crate) struct DoorParts {
    pub(crate) poll: Poll,
    pub(crate) inbox: Arc<Inbox<DoorMessage>>,
    /// Which sender it is in the workers' inboxes.
    pub(crate) sender: Sender,
    pub(crate) reporting: Reporting,
    pub(crate) shared: Arc<DoorShared>,
}

/// Is what all doors share.
pub(crate) struct DoorShared {
    pub(crate) gate: Gate,
    pub(crate) passwords: PasswordPool,
    pub(crate) admission: Arc<Admission>,
    pub(crate) waiting: Arc<Waiting>,
    pub(crate) workers: Arc<[Inbox<WorkerMessage>]>,
    pub(crate) hash_key: HashKey,
    pub(crate) reporter: Reporter,
    pub(crate) changes: Arc<Changes>,
    pub(crate) counts: DoorCounts,
    pub(crate) limits: Limits,
    pub(crate) connection_limits: ConnectionLimits,
    pub(crate) client_id_bytes: usize,
    /// Pending connections per source at one door.
    pub(crate) pending_per_source: usize,
    pub(crate) next_link: AtomicU64,
}

/// Is what comes into the inbox of a door.
pub(crate) enum DoorMessage {
    /// A listener is open.
    Listen(OpenListener),
    /// A listener is closed; its connections stay.
    Unlisten(String),
    /// New handshakes of a listener use this configuration.
    Secure(String, ListenerTls),
    /// A new registry decides; links that it does not hold are to be closed.
    Registry(u64),
    /// The pool has checked a password.
    Checked(LinkId, Outcome),
    /// Answered when everything before it is done.
    Acknowledge(SyncSender<()>),
    /// The broker stops.
    Stop,
}

/// Is a listening socket of one listener.
pub(crate) struct OpenListener {
    pub(crate) name: String,
    pub(crate) socket: std::net::TcpListener,
    /// `None` on a listener without TLS.
    pub(crate) tls: Option<ListenerTls>,
}

struct Listening {
    name: String,
    socket: TcpListener,
    tls: Option<ListenerTls>,
    origin: Arc<Origin>,
    /// Tells that connections may wait that no event will tell of.
    backlog: bool,
}

/// Runs until the broker stops.
pub(crate) struct Door {
    parts: DoorParts,
    now: Now,
    listeners: Vec<(Token, Listening)>,
    next_listener: usize,
    no_accept_before: Millis,
    /// Oldest first, for links are numbered in the order in which they come.
    arrivals: BTreeMap<LinkId, Arrival>,
    sources: HashMap<Source, usize>,
    partings: HashMap<LinkId, Parting>,
    timers: Timers<LinkId>,
    again: Vec<LinkId>,
    buffers: DoorBuffers,
    taken: Vec<DoorMessage>,
    stopping: bool,
}

impl Door {
    pub(crate) fn new(parts: DoorParts) -> Self {
        Self {
            parts,
            now: clock::now(),
            listeners: Vec::new(),
            next_listener: usize::MAX,
            no_accept_before: Millis::ZERO,
            arrivals: BTreeMap::new(),
            sources: HashMap::new(),
            partings: HashMap::new(),
            timers: Timers::default(),
            again: Vec::new(),
            buffers: DoorBuffers::default(),
            taken: Vec::new(),
            stopping: false,
        }
    }

    /// Runs the loop.
    pub(crate) fn run(mut self) {
        let mut events = Events::with_capacity(EVENTS_PER_POLL);
        while !self.stopping {
            let sleep = self.sleep();
            match self.parts.poll.poll(&mut events, sleep) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return,
                _ => {}
            }
            self.now = clock::now();
            for id in std::mem::take(&mut self.again) {
                self.listen(id);
            }
            for event in &events {
                self.note(event.token());
            }
            self.empty_inbox();
            self.expire();
            self.accept_all();
        }
    }

    fn sleep(&self) -> Option<Duration> {
        if !self.again.is_empty() {
            return Some(Duration::ZERO);
        }
        let backlog = self.listeners.iter().any(|(_, listening)| listening.backlog);
        let accept = backlog.then_some(self.no_accept_before);
        until(self.now.mono, [self.timers.next(), accept].into_iter().flatten().min())
    }

    fn note(&mut self, token: Token) {
        if token == WAKER {
            return;
        }
        if let Some((_, listening)) = self.listeners.iter_mut().find(|(own, _)| *own == token) {
            listening.backlog = true;
            return;
        }
        let id = LinkId(token.0 as u64);
        self.advance_parting(id);
        self.listen(id);
    }

    // Accepting.

    fn accept_all(&mut self) {
        if self.now.mono < self.no_accept_before {
            return;
        }
        for index in 0..self.listeners.len() {
            if self.listeners[index].1.backlog {
                self.accept(index);
            }
        }
    }

    fn accept(&mut self, index: usize) {
        for _ in 0..ACCEPTS_PER_TICK {
            let listening = &mut self.listeners[index].1;
            match listening.socket.accept() {
                Ok((socket, peer)) => {
                    let (origin, tls) = (listening.origin.clone(), listening.tls.clone());
                    self.welcome(socket, peer, origin, tls);
                }
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => {
                        listening.backlog = false;
                        return;
                    }
                    ErrorKind::Interrupted | ErrorKind::ConnectionAborted => {}
                    _ => {
                        // No descriptors, mostly: what waits keeps waiting.
                        self.no_accept_before = self.now.mono.saturating_add(OUT_OF_DESCRIPTORS);
                        return;
                    }
                },
            }
        }
    }

    /// Takes in a connection, or drops it if a bound says so.
    fn welcome(
        &mut self,
        mut socket: TcpStream,
        peer: SocketAddr,
        origin: Arc<Origin>,
        tls: Option<ListenerTls>,
    ) {
        let shared = self.parts.shared.clone();
        shared.counts.accepted();
        let source = Source::from(peer.ip());
        self.make_room(source);
        let Ok(counted) = shared.admission.enter(source) else { return shared.counts.turned_away() };
        let Some(waiting) = shared.waiting.enter().ok().or_else(|| self.evict_for_place()) else {
            return shared.counts.turned_away();
        };
        let channel = match tls {
            None => Channel::Plain,
            Some(tls) => match Channel::tls(tls.config) {
                Ok(channel) => channel,
                Err(_) => return shared.counts.turned_away(),
            },
        };
        let id = LinkId(shared.next_link.fetch_add(1, Ordering::Relaxed));
        if self.register(&mut socket, id).is_err() {
            return shared.counts.turned_away();
        }
        // Small packets are what MQTT is made of; a socket that cannot do it still works.
        let _: io::Result<()> = socket.set_nodelay(true);
        let connection = ServerConnection::new(shared.connection_limits);
        let now = self.now.mono;
        let arrival = Arrival::new(socket, peer, origin, channel, connection, counted, waiting, now);
        *self.sources.entry(source).or_default() += 1;
        self.arrivals.insert(id, arrival);
        self.arm(id);
    }

    fn register(&self, socket: &mut TcpStream, id: LinkId) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.parts.poll.registry().register(socket, Token(id.0 as usize), interest)
    }

    /// Drops the oldest unfinished connection of a source that has as many as it may have.
    fn make_room(&mut self, source: Source) {
        let count = self.sources.get(&source).copied().unwrap_or(0);
        if count >= self.parts.shared.pending_per_source {
            self.evict(|arrival| arrival.source == source);
        }
    }

    /// Drops the oldest unfinished connection of all, for the place that it holds.
    fn evict_for_place(&mut self) -> Option<super::admission::WaitingGuard> {
        self.evict(|_| true);
        self.parts.shared.waiting.enter().ok()
    }

    fn evict(&mut self, fits: impl Fn(&Arrival) -> bool) {
        let oldest = self.arrivals.iter().find(|(_, arrival)| arrival.is_listened_to() && fits(arrival));
        if let Some(id) = oldest.map(|(id, _)| *id) {
            self.parts.shared.counts.evicted();
            self.remove(id);
        }
    }

    fn remove(&mut self, id: LinkId) -> Option<Arrival> {
        let arrival = self.arrivals.remove(&id)?;
        if let Some(count) = self.sources.get_mut(&arrival.source) {
            *count -= 1;
            if *count == 0 {
                self.sources.remove(&arrival.source);
            }
        }
        Some(arrival)
    }

    // Listening to arrivals.

    fn listen(&mut self, id: LinkId) {
        for _ in 0..READS_PER_TICK {
            let Some(arrival) = self.arrivals.get_mut(&id) else { return };
            if !arrival.is_listened_to() {
                // Its answer may wait for the socket.
                if let Err(end) = arrival.flush() {
                    self.fail(id, &end);
                }
                return;
            }
            let heard = match arrival.flush().and_then(|()| arrival.hear(&mut self.buffers)) {
                Ok(heard) => heard,
                Err(end) => return self.fail(id, &end),
            };
            if arrival.has_shaken_hands() {
                arrival.stage = Stage::Connect;
                arrival.begun = self.now.mono;
                self.parts.shared.counts.handshake();
                self.arm(id);
            }
            match heard {
                Heard::Silence => return,
                Heard::Progress => {}
                Heard::Text => self.read_connect(id),
            }
        }
        self.again.push(id);
    }

    /// Ends an arrival that failed by itself.
    fn fail(&mut self, id: LinkId, end: &ArrivalEnd) {
        if let Some(arrival) = self.remove(id) {
            if let Some(cause) = arrival.cause(end) {
                self.report_handshake(&arrival, cause);
            }
            self.parts.shared.counts.handshake_failed();
        }
    }

    fn report_handshake(&self, arrival: &Arrival, cause: HandshakeCause) {
        let listener = &arrival.origin.listener;
        self.parts.shared.reporter.handshake_failed(self.now.mono, arrival.peer, listener, cause);
    }

    // CONNECT.

    fn read_connect(&mut self, id: LinkId) {
        let Some(arrival) = self.arrivals.get_mut(&id) else { return };
        if arrival.speaks_tls_to_plain_port() {
            let Some(arrival) = self.remove(id) else { return };
            return self.report_handshake(&arrival, HandshakeCause::TlsToPlainPort);
        }
        let plain = std::mem::take(&mut arrival.plain);
        let shared = &self.parts.shared;
        let now = self.now;
        match arrival.connection.decode(now.mono, &plain) {
            Ok(Step::Incomplete { .. }) => arrival.plain = plain,
            Ok(Step::Packet { packet: Packet::Connect(connect), size }) => {
                arrival.begun = now.mono;
                let next = decide(&shared.gate, now, arrival, id, &connect, shared.client_id_bytes);
                let said = said(arrival, &connect);
                arrival.plain = Zeroizing::new(plain[size..].to_vec());
                self.follow(id, next, said);
            }
            Ok(Step::Packet { .. }) => drop(self.remove(id)), // The decoder lets only CONNECT pass first.
            Err(refused) => {
                let version = arrival.connection.version().unwrap_or(keyward_mqtt::packet::Version::V5);
                let said = Said { version, claimed: None, client_id: String::new() };
                self.report_login(id, &said, LoginCause::Protocol(refused.error));
                self.part(id, refused.farewell);
            }
        }
    }

    fn follow(&mut self, id: LinkId, next: Next, said: Said) {
        match next {
            Next::HandOver(known, attach) => self.hand_over(id, &known, attach, &said),
            Next::Refuse(cause) => self.refuse(id, &said, cause),
            Next::Check { record, password, claim } => {
                let Some(arrival) = self.arrivals.get_mut(&id) else { return };
                let inbox = self.parts.inbox.clone();
                let attempt = Attempt {
                    record,
                    password,
                    source: arrival.source,
                    begun: self.now.mono,
                    answer: Box::new(move |outcome| inbox.command(DoorMessage::Checked(id, outcome))),
                };
                match self.parts.shared.passwords.offer(attempt) {
                    Ok(()) => arrival.stage = Stage::Checking(Box::new(Candidate { said, claim })),
                    Err(_) => self.refuse(id, &said, LoginCause::PasswordsWait),
                }
            }
        }
    }

    /// Goes on with a login whose password was checked.
    fn conclude(&mut self, id: LinkId, outcome: Outcome) {
        let Some(arrival) = self.arrivals.get_mut(&id) else { return };
        let Stage::Checking(candidate) = std::mem::replace(&mut arrival.stage, Stage::Connect) else {
            return;
        };
        let Candidate { said, claim } = *candidate;
        let (known, attach) = claim.unzip();
        if outcome == Outcome::TooLate {
            return self.refuse(id, &said, LoginCause::PasswordsWait);
        }
        let name = said.claimed.clone().unwrap_or_default();
        let known = known.filter(|_| outcome == Outcome::Right);
        let checked = self.parts.shared.gate.checked(self.now.mono, arrival.source, &name, known);
        match (checked, attach) {
            (Ok(known), Some(attach)) => self.hand_over(id, &known, attach, &said),
            (Ok(_), None) => self.refuse(id, &said, LoginCause::UnknownName),
            (Err(cause), _) => self.refuse(id, &said, cause),
        }
    }

    /// Gives the link to its worker as one value.
    fn hand_over(&mut self, id: LinkId, known: &Known, attach: Box<Attach>, said: &Said) {
        let shared = self.parts.shared.clone();
        let Some(arrival) = self.arrivals.get_mut(&id) else { return };
        if let Err(bound) = arrival.counted.identify(&known.identity) {
            return self.refuse(id, said, LoginCause::Crowded(bound));
        }
        let Some(mut arrival) = self.remove(id) else { return };
        if self.parts.poll.registry().deregister(&mut arrival.socket).is_err() {
            return;
        }
        let shards = u16::try_from(shared.workers.len()).unwrap_or(u16::MAX);
        let shard = shard_of(&shared.hash_key, &known.identity, attach.client_id(), shards);
        let handover = Handover {
            socket: arrival.socket,
            channel: arrival.channel,
            connection: arrival.connection,
            plain: std::mem::take(&mut *arrival.plain),
            unsent: arrival.unsent,
            attach,
            counted: arrival.counted,
        };
        let weight = handover.weight();
        let message = WorkerMessage::Link(Box::new(handover));
        match shared.workers[usize::from(shard.0)].offer(self.parts.sender, weight, message) {
            Ok(()) => shared.counts.login(),
            Err(WorkerMessage::Link(handover)) => self.take_back(id, *handover, said),
            Err(_) => {}
        }
    }

    /// Tells a link that its worker has no room for it.
    fn take_back(&mut self, id: LinkId, handover: Handover, said: &Said) {
        self.parts.shared.counts.login_failed();
        let Handover { mut socket, mut channel, mut unsent, counted, .. } = handover;
        if self.register(&mut socket, id).is_err() {
            return;
        }
        let mut farewell = Vec::new();
        let reason = reason_of(&LoginCause::WorkerBusy);
        Farewell::ConnAck(said.version, reason).encode(&mut farewell);
        if channel.seal(&farewell, &mut unsent).is_ok() {
            self.see_off(id, Parting::new(socket, unsent, self.linger(), Some(counted)));
        }
    }

    // Refusing.

    fn refuse(&mut self, id: LinkId, said: &Said, cause: LoginCause) {
        let farewell = Farewell::ConnAck(said.version, reason_of(&cause));
        let late = is_answered_late(&cause);
        self.report_login(id, said, cause);
        if !late {
            return self.part(id, farewell);
        }
        let waiting = self.parts.shared.counts.refusals_waiting();
        if waiting >= self.parts.shared.limits.refusals_waiting {
            drop(self.remove(id));
            return;
        }
        if let Some(arrival) = self.arrivals.get_mut(&id) {
            arrival.plain = Zeroizing::default();
            let place = self.parts.shared.counts.wait_for_refusal();
            arrival.stage = Stage::Refused { farewell, _place: place };
            self.arm(id);
        }
    }

    fn report_login(&self, id: LinkId, said: &Said, cause: LoginCause) {
        self.parts.shared.counts.login_failed();
        let Some(arrival) = self.arrivals.get(&id) else { return };
        let failure = LoginFailure {
            peer: arrival.peer,
            listener: arrival.origin.listener.clone(),
            claimed: said.claimed.clone(),
            client_id: said.client_id.clone(),
            cause,
            more: 0,
        };
        self.parts.shared.reporter.login_failed(self.now.mono, failure);
    }

    /// Closes an arrival in order, after a farewell.
    fn part(&mut self, id: LinkId, farewell: Farewell) {
        let Some(mut arrival) = self.remove(id) else { return };
        let mut last = Vec::new();
        farewell.encode(&mut last);
        let sealed = arrival.channel.seal(&last, &mut arrival.unsent);
        if sealed.and_then(|()| arrival.channel.seal_end(&mut arrival.unsent)).is_ok() {
            let parting = Parting::new(arrival.socket, arrival.unsent, self.linger(), Some(arrival.counted));
            self.see_off(id, parting);
        }
    }

    fn linger(&self) -> Millis {
        self.now.mono.saturating_add(millis(self.parts.shared.limits.linger_time))
    }

    fn see_off(&mut self, id: LinkId, parting: Parting) {
        self.timers.enter(parting.deadline(), id);
        self.partings.insert(id, parting);
        self.advance_parting(id);
    }

    fn advance_parting(&mut self, id: LinkId) {
        let Some(parting) = self.partings.get_mut(&id) else { return };
        if parting.advance(self.now.mono, self.buffers.scratch()) == Parted::Yes {
            self.partings.remove(&id);
        }
    }

    // Deadlines.

    fn arm(&mut self, id: LinkId) {
        let deadline = self.arrivals.get(&id).and_then(|arrival| self.deadline(arrival));
        if let Some(at) = deadline {
            self.timers.enter(at, id);
        }
    }

    fn deadline(&self, arrival: &Arrival) -> Option<Millis> {
        let limits = &self.parts.shared.limits;
        let time = match arrival.stage {
            Stage::Handshake => limits.handshake_time,
            Stage::Connect => limits.connect_time,
            Stage::Refused { .. } => limits.refusal_delay,
            Stage::Checking(_) => return None, // The pool answers in any case.
        };
        Some(arrival.begun.saturating_add(millis(time)))
    }

    fn expire(&mut self) {
        while let Some(id) = self.timers.pop_due(self.now.mono) {
            self.advance_parting(id);
            let Some(arrival) = self.arrivals.get(&id) else { continue };
            if self.deadline(arrival).is_none_or(|at| at > self.now.mono) {
                continue; // A later stage has its own entry.
            }
            match arrival.stage {
                Stage::Refused { farewell, .. } => self.part(id, farewell),
                _ => self.run_out(id),
            }
        }
    }

    fn run_out(&mut self, id: LinkId) {
        let Some(arrival) = self.remove(id) else { return };
        self.parts.shared.counts.handshake_failed();
        if let Some(cause) = arrival.cause_of_delay() {
            self.report_handshake(&arrival, cause);
        }
    }

    // The inbox.

    fn empty_inbox(&mut self) {
        let mut taken = std::mem::take(&mut self.taken);
        while self.parts.inbox.take(INBOX_PER_TICK, &mut taken) {}
        for message in taken.drain(..) {
            self.receive(message);
        }
        self.taken = taken;
    }

    fn receive(&mut self, message: DoorMessage) {
        match message {
            DoorMessage::Listen(listener) => self.open(listener),
            DoorMessage::Unlisten(name) => self.listeners.retain(|(_, listening)| listening.name != name),
            DoorMessage::Secure(name, tls) => self.secure(&name, &tls),
            DoorMessage::Registry(revision) => self.close_strangers(revision),
            DoorMessage::Checked(id, outcome) => self.conclude(id, outcome),
            DoorMessage::Acknowledge(answer) => {
                // Whoever asked may have given up.
                let _: Result<_, _> = answer.try_send(());
            }
            DoorMessage::Stop => self.stopping = true,
        }
    }

    fn open(&mut self, listener: OpenListener) {
        let OpenListener { name, socket, tls } = listener;
        let mut socket = TcpListener::from_std(socket);
        let token = Token(self.next_listener);
        self.next_listener -= 1;
        if self.parts.poll.registry().register(&mut socket, token, Interest::READABLE).is_err() {
            return; // The other doors accept.
        }
        let origin = origin(&name, tls.as_ref());
        self.listeners.push((token, Listening { name, socket, tls, origin, backlog: true }));
    }

    fn secure(&mut self, name: &str, tls: &ListenerTls) {
        for (_, listening) in &mut self.listeners {
            if listening.name == name && listening.tls.is_some() {
                listening.origin = origin(name, Some(tls));
                listening.tls = Some(tls.clone());
            }
        }
    }

    /// Closes logins under way that the registry does not hold any more (rule 6), and reports.
    fn close_strangers(&mut self, revision: u64) {
        let gate = &self.parts.shared.gate;
        let is_strange = |arrival: &Arrival| match &arrival.stage {
            Stage::Checking(candidate) => {
                candidate.claim.as_ref().is_some_and(|(known, _)| !gate.holds(known))
            }
            _ => false,
        };
        let strangers: Vec<LinkId> =
            self.arrivals.iter().filter(|(_, arrival)| is_strange(arrival)).map(|(id, _)| *id).collect();
        for id in &strangers {
            drop(self.remove(*id));
        }
        self.parts.shared.changes.directory(self.parts.reporting, revision, strangers.len() as u64);
    }
}

fn origin(name: &str, tls: Option<&ListenerTls>) -> Arc<Origin> {
    let names = tls.map(|tls| tls.names.clone()).unwrap_or_default();
    Arc::new(Origin { listener: name.to_owned(), is_tls: tls.is_some(), names })
}
