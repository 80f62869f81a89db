//! One door: a thread and a readiness loop that accepts, does TLS, reads CONNECT, has the login checked, and gives
//! each link to its worker exactly once.
//!
//! A storm of handshakes keeps the doors busy, not the workers. From the end of CONNECT to the hand-over nothing is
//! read from a socket (rule 1).

mod accept;
mod arrival;
mod connect;
mod enrolment;
mod exchange;
pub(crate) mod gate;
mod login;
pub(crate) mod passwords;
mod refuse;
mod slowdown;
mod succession;

use crate::clock::{self, millis};
use crate::plane::admission::Admission;
use crate::plane::authentication::Method;
use crate::plane::bans::Bans;
use crate::plane::changes::{Changes, Reporting};
use crate::plane::enrolment::{Answer, Applications};
use crate::plane::entrance::Entrance;
use crate::plane::events::{Offender, Reporter};
use crate::plane::handover::WorkerMessage;
use crate::plane::inbox::{Inbox, Sender};
use crate::plane::last_logins::LastLogins;
use crate::plane::limits::{EVENTS_PER_POLL, INBOX_PER_TICK, Limits};
use crate::plane::parting::Parting;
use crate::plane::pending::Pending;
use crate::plane::source::Source;
use crate::plane::stats::DoorCounts;
use crate::plane::stream::{Acceptor, ListenSocket};
use crate::plane::timers::{Timers, until};
use crate::plane::tls::ListenerTls;
use crate::plane::tls::remedy::HandshakeCause;
use crate::plane::transport::TransportFault;
use crate::plane::websocket::Origins;
use crate::plane::worker::WAKER;
use arrival::{Arrival, ArrivalEnd, DoorBuffers, Heard, Origin, Stage};
use gate::Gate;
use keyward_broker::LinkId;
use keyward_broker::placement::HashKey;
use keyward_mqtt::connection::ConnectionLimits;
use keyward_mqtt::time::{Millis, Now};
use mio::{Events, Poll, Token};
use passwords::{Outcome, PasswordPool};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

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
    pub(crate) pending: Arc<Pending>,
    pub(crate) shared: Arc<DoorShared>,
}

/// Is what all doors share.
pub(crate) struct DoorShared {
    pub(crate) gate: Gate,
    pub(crate) methods: Vec<Arc<dyn Method>>,
    pub(crate) passwords: PasswordPool,
    /// Where devices apply for certificates.
    pub(crate) applications: Option<Applications>,
    pub(crate) admission: Arc<Admission>,
    pub(crate) bans: Bans,
    pub(crate) last_logins: LastLogins,
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
    /// A listener is closed, and nobody gets in by its rules any more; who is in stays.
    Unlisten(String),
    /// New handshakes of a listener use this configuration.
    Secure(String, ListenerTls),
    /// A new registry decides; links that it does not hold are to be closed.
    Registry(u64),
    /// The pool has checked a password.
    Checked(LinkId, Outcome),
    /// An application for a certificate was decided.
    Answered(LinkId, Answer),
    /// Answered when everything before it is done.
    Acknowledge(SyncSender<()>),
    /// The broker stops.
    Stop,
}

/// Is a listening socket of one listener.
pub(crate) struct OpenListener {
    pub(crate) name: String,
    pub(crate) socket: ListenSocket,
    /// `None` on a listener without TLS.
    pub(crate) tls: Option<ListenerTls>,
    /// The pages of which origins may connect; `None` on a listener without WebSocket.
    pub(crate) web: Option<Arc<Origins>>,
    pub(crate) entrance: Arc<Entrance>,
}

struct Listening {
    name: String,
    socket: Acceptor,
    tls: Option<ListenerTls>,
    web: Option<Arc<Origins>>,
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
    /// Those that had more to say than one tick allows.
    again: BTreeSet<LinkId>,
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
            again: BTreeSet::new(),
            buffers: DoorBuffers::default(),
            taken: Vec::new(),
            stopping: false,
        }
    }

    /// Runs the loop.
    ///
    /// # Errors
    /// The system refuses to say what is ready; the door cannot go on.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS_PER_POLL);
        while !self.stopping {
            let sleep = self.sleep();
            match self.parts.poll.poll(&mut events, sleep) {
                Err(error) if error.kind() != ErrorKind::Interrupted => return Err(error),
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
        Ok(())
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
            if !self.charge(id) {
                return self.fail(id, &ArrivalEnd::Crowded);
            }
            let most = self.parts.shared.limits.pending_reads;
            let Some(arrival) = self.arrivals.get_mut(&id) else { return };
            if arrival.reads > most {
                return self.fail(id, &ArrivalEnd::Fragments);
            }
            if arrival.has_shaken_hands() {
                arrival.stage = Stage::Connect;
                arrival.begun = self.now.mono;
                arrival.spend(&self.parts.shared.admission, self.now.mono);
                self.parts.shared.counts.handshake();
                self.arm(id);
            }
            match heard {
                Heard::Silence => return,
                Heard::Progress => {}
                Heard::Text => self.read_connect(id),
            }
        }
        self.again.insert(id);
    }

    /// Ends an arrival that failed by itself. What a WebSocket had to say is seen off.
    fn fail(&mut self, id: LinkId, end: &ArrivalEnd) {
        if let Some(arrival) = self.remove(id) {
            if matches!(arrival.stage, Stage::Enrolling(_)) {
                return; // It has logged in, as far as it can.
            }
            if let Some(cause) = arrival.cause(end) {
                self.report_handshake(&arrival, cause);
            }
            if matches!(end, ArrivalEnd::Fragments) {
                let who = Offender::Host(arrival.peer.host());
                let most = self.parts.shared.limits.pending_reads;
                self.report_limit(who, "pending_reads", most.into());
            }
            self.parts.shared.counts.handshake_failed();
            if matches!(end, ArrivalEnd::Transport(TransportFault::Web(_))) {
                self.take_leave(id, arrival);
            }
        }
    }

    fn report_handshake(&self, arrival: &Arrival, cause: HandshakeCause) {
        let listener = &arrival.origin.listener;
        self.parts.shared.reporter.handshake_failed(self.now.mono, arrival.peer, listener, cause);
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
        let time = match &arrival.stage {
            Stage::Handshake => limits.handshake_time,
            // The whole exchange, not a step of it.
            Stage::Connect | Stage::Proving(_) | Stage::Succeeding(_) => limits.connect_time,
            Stage::Enrolling(enrolling) => {
                let (time, silence) = (millis(limits.enrolment_time), arrival.connection.poll_timeout());
                return Some(enrolling.deadline(arrival.begun, time, silence));
            }
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
                Stage::Enrolling(_) => self.end_enrolment(id),
                // The older certificate lives until the next login.
                Stage::Succeeding(_) => self.settle_succession(id),
                _ => self.run_out(id),
            }
        }
    }

    fn run_out(&mut self, id: LinkId) {
        let Some(arrival) = self.remove(id) else { return };
        self.parts.shared.counts.handshake_failed();
        let limits = &self.parts.shared.limits;
        let (limit, time) = match arrival.stage {
            Stage::Handshake => ("handshake_time", limits.handshake_time),
            _ => ("connect_time", limits.connect_time),
        };
        self.report_limit(Offender::Host(arrival.peer.host()), limit, time.as_secs());
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
            DoorMessage::Unlisten(name) => self.close(&name),
            DoorMessage::Secure(name, tls) => self.secure(&name, &tls),
            DoorMessage::Registry(revision) => self.close_strangers(revision),
            DoorMessage::Checked(id, outcome) => self.conclude(id, outcome),
            DoorMessage::Answered(id, answer) => self.answer_application(id, answer),
            DoorMessage::Acknowledge(answer) => {
                // Whoever asked may have given up.
                let _: Result<_, _> = answer.try_send(());
            }
            DoorMessage::Stop => self.stopping = true,
        }
    }

    fn open(&mut self, listener: OpenListener) {
        let OpenListener { name, socket, tls, web, entrance } = listener;
        let mut socket = Acceptor::from(socket);
        let token = Token(self.next_listener);
        self.next_listener -= 1;
        if socket.register(self.parts.poll.registry(), token).is_err() {
            return; // The other doors accept.
        }
        let origin = origin(&name, tls.as_ref(), entrance);
        self.listeners.push((token, Listening { name, socket, tls, web, origin, backlog: true }));
    }

    /// Closes a listener, and what came by it and has not logged in. Who is refused waits for the answer still.
    fn close(&mut self, name: &str) {
        self.listeners.retain(|(_, listening)| listening.name != name);
        self.drop_those(|arrival| {
            arrival.origin.listener == name && !matches!(arrival.stage, Stage::Refused { .. })
        });
    }

    fn secure(&mut self, name: &str, tls: &ListenerTls) {
        for (_, listening) in &mut self.listeners {
            if listening.name == name && listening.tls.is_some() {
                listening.origin = origin(name, Some(tls), listening.origin.entrance.clone());
                listening.tls = Some(tls.clone());
            }
        }
    }

    /// Closes logins under way that the registry does not hold any more (rule 6), and reports.
    fn close_strangers(&mut self, revision: u64) {
        let (shared, now) = (Arc::clone(&self.parts.shared), self.now);
        let closed = self.drop_those(|arrival| match &arrival.stage {
            Stage::Checking(candidate) => {
                candidate.claim.as_ref().is_some_and(|claim| !shared.gate.holds(&claim.known))
            }
            Stage::Enrolling(enrolling) => !shared.gate.holds_applicant(now, enrolling.applicant()),
            _ => false,
        });
        shared.changes.directory(self.parts.reporting, revision, closed);
    }

    /// Drops the arrivals that are meant, without a farewell; returns how many those were.
    fn drop_those(&mut self, is_meant: impl Fn(&Arrival) -> bool) -> u64 {
        let meant: Vec<LinkId> =
            self.arrivals.iter().filter(|(_, arrival)| is_meant(arrival)).map(|(id, _)| *id).collect();
        meant.into_iter().filter_map(|id| self.remove(id)).count() as u64
    }
}

fn origin(name: &str, tls: Option<&ListenerTls>, entrance: Arc<Entrance>) -> Arc<Origin> {
    let names = tls.map(|tls| tls.names.clone()).unwrap_or_default();
    Arc::new(Origin { listener: name.to_owned(), is_tls: tls.is_some(), names, entrance })
}
