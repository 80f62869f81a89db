//! What the data plane tells the rest of the program: refusals and counted facts, over a bounded queue.
//!
//! Telling never delays a link: if the queue is full the event is dropped and counted. Every failure is told, so that
//! it can be counted, but *lines* about one source are bounded, for a scanner must not write the log full; the next
//! line that is written says how many were left out.

use crate::plane::source::{Host, Peer};
use crate::plane::tls::remedy::HandshakeCause;
use crate::plane::websocket::WebSocketFault;
use keyward_broker::{Denial, Notice};
use keyward_ids::Identity;
use keyward_mqtt::time::Millis;
use lines::{Hits, LineLimit};
use std::fmt;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

mod lines;
mod login;

pub use login::{LoggedIn, LoginCause, LoginFailure};

/// Takes what the data plane tells. It is called on one thread of its own and may take its time.
pub trait Sink: Send + Sync + 'static {
    /// A publish, a subscription or a delivery was refused.
    fn denied(&self, denial: Denial);
    /// A login failed.
    fn login_failed(&self, failure: LoginFailure);
    /// Somebody logged in.
    fn logged_in(&self, login: LoggedIn);
    /// A connection failed before its CONNECT.
    fn handshake_failed(&self, failure: HandshakeFailure);
    /// Something happened, so many times.
    fn notice(&self, notice: Notice, times: u64);
    /// Somebody ran into a limit.
    fn limit(&self, hit: LimitHit);
    /// A client that had logged in broke the protocol of WebSocket, so many times since this was told last.
    fn frames_broken(&self, identity: Identity, fault: WebSocketFault, times: u64);
}

/// Tells of a limit that was reached.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LimitHit {
    /// Who ran into it.
    pub who: Offender,
    /// Its name: mostly the key in `keyward.toml`.
    pub limit: &'static str,
    /// Its value; times in seconds.
    pub value: u64,
    /// How often since this was told last.
    pub times: u64,
}

/// Says who ran into a limit.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Offender {
    /// A client that has logged in.
    Identity(Identity),
    /// A client that nobody knows yet.
    Host(Host),
}

impl fmt::Display for Offender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Identity(identity) => identity.fmt(f),
            Self::Host(host) => host.fmt(f),
        }
    }
}

/// Tells of a connection that failed before its CONNECT was whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandshakeFailure {
    /// Where it came from.
    pub peer: Peer,
    /// At which listener.
    pub listener: String,
    /// Why it failed.
    pub cause: HandshakeCause,
    /// One line for people, with the remedy; what the peer chose is escaped.
    pub line: String,
    /// Whether it is worth a line of the log.
    pub log: LogLine,
}

/// Says whether a failure gets a line of the log; it counts in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogLine {
    /// It gets one.
    Written {
        /// Lines about this source that were left out since the last one.
        left_out: u32,
    },
    /// It gets none: its source has caused enough of them.
    LeftOut,
}

enum Event {
    Denied(Denial),
    LoggedIn(LoggedIn),
    Login(LoginFailure),
    Handshake(HandshakeFailure),
    Notice(Notice, u64),
    Limit(LimitHit),
    Broken(Identity, WebSocketFault, u64),
}

/// Is the way into the queue of events; cheap to clone.
#[derive(Clone)]
pub(crate) struct Reporter {
    queue: SyncSender<Event>,
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    dropped: AtomicU64,
    /// Those of failures that are not held against an address.
    lines: Mutex<LineLimit>,
    /// Those of failures that are: who counts them must not be blinded by others.
    guesses: Mutex<LineLimit>,
    /// Those of logins, which must not keep failures out of the log.
    logins: Mutex<LineLimit>,
    hits: Mutex<Hits>,
}

impl Reporter {
    /// Starts the thread that hands events to `sink`; it ends when the last reporter is dropped.
    pub(crate) fn start(sink: Arc<dyn Sink>, places: usize) -> io::Result<(Self, thread::JoinHandle<()>)> {
        let (queue, events) = sync_channel(places);
        let thread = thread::Builder::new().name("events".into()).spawn(move || deliver(&events, &*sink))?;
        Ok((Self { queue, shared: Arc::default() }, thread))
    }

    pub(crate) fn denied(&self, denial: Denial) {
        self.send(Event::Denied(denial));
    }

    pub(crate) fn notice(&self, notice: Notice, times: u64) {
        self.send(Event::Notice(notice, times));
    }

    /// Tells that `who` ran into a limit; at most once a second each, with how often it was.
    pub(crate) fn limit(&self, now: Millis, who: Offender, limit: &'static str, value: u64) {
        let times = self.shared.hits.lock().unwrap_or_else(PoisonError::into_inner).count(now, &who, limit);
        if let Some(times) = times {
            self.send(Event::Limit(LimitHit { who, limit, value, times }));
        }
    }

    /// Tells that a client broke the protocol of WebSocket; at most once a second each.
    pub(crate) fn broken(&self, now: Millis, identity: Identity, fault: WebSocketFault) {
        let who = Offender::Identity(identity.clone());
        let times =
            self.shared.hits.lock().unwrap_or_else(PoisonError::into_inner).count(now, &who, "frames");
        if let Some(times) = times {
            self.send(Event::Broken(identity, fault, times));
        }
    }

    /// Tells of a failed login; decides about its line.
    pub(crate) fn login_failed(&self, now: Millis, failure: LoginFailure) {
        let limit = match failure.cause.is_held_against() {
            true => &self.shared.guesses,
            false => &self.shared.lines,
        };
        let log = allow(limit, now, failure.peer);
        self.send(Event::Login(LoginFailure { log, ..failure }));
    }

    /// Tells of a login, unless its source has caused enough lines.
    pub(crate) fn logged_in(&self, now: Millis, login: LoggedIn) {
        let line = allow(&self.shared.logins, now, login.peer);
        if let LogLine::Written { left_out } = line {
            self.send(Event::LoggedIn(LoggedIn { left_out, ..login }));
        }
    }

    pub(crate) fn handshake_failed(&self, now: Millis, peer: Peer, listener: &str, cause: HandshakeCause) {
        let line = cause.line(peer, listener);
        let (listener, log) = (listener.to_owned(), allow(&self.shared.lines, now, peer));
        self.send(Event::Handshake(HandshakeFailure { peer, listener, cause, line, log }));
    }

    /// Returns how many events were dropped because the queue was full.
    pub(crate) fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }

    fn send(&self, event: Event) {
        if self.queue.try_send(event).is_err() {
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Decides about a line.
fn allow(limit: &Mutex<LineLimit>, now: Millis, peer: Peer) -> LogLine {
    limit.lock().unwrap_or_else(PoisonError::into_inner).allow(now, peer.into())
}

fn deliver(events: &Receiver<Event>, sink: &dyn Sink) {
    for event in events {
        match event {
            Event::Denied(denial) => sink.denied(denial),
            Event::LoggedIn(login) => sink.logged_in(login),
            Event::Login(failure) => sink.login_failed(failure),
            Event::Handshake(failure) => sink.handshake_failed(failure),
            Event::Notice(notice, times) => sink.notice(notice, times),
            Event::Limit(hit) => sink.limit(hit),
            Event::Broken(identity, fault, times) => sink.frames_broken(identity, fault, times),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plane::limits::LINES_PER_ADDRESS;

    /// Counts lines and hands on to what remembers.
    #[derive(Default)]
    struct Counting {
        lines: AtomicU64,
        logins: AtomicU64,
        journal: crate::journal::Journal,
    }

    impl Sink for Counting {
        fn denied(&self, _: Denial) {}
        fn login_failed(&self, failure: LoginFailure) {
            if failure.log != LogLine::LeftOut {
                self.lines.fetch_add(1, Ordering::Relaxed);
            }
            self.journal.login_failed(failure);
        }
        fn handshake_failed(&self, failure: HandshakeFailure) {
            self.journal.handshake_failed(failure);
        }
        fn logged_in(&self, login: LoggedIn) {
            self.logins.fetch_add(1 + u64::from(login.left_out), Ordering::Relaxed);
        }
        fn notice(&self, _: Notice, _: u64) {}
        fn limit(&self, _: LimitHit) {}
        fn frames_broken(&self, _: Identity, _: WebSocketFault, _: u64) {}
    }

    fn failure(peer: Peer, claimed: &str, cause: LoginCause) -> LoginFailure {
        LoginFailure {
            peer,
            listener: "mqtts".to_owned(),
            claimed: Some(claimed.to_owned()),
            client_id: "c".to_owned(),
            cause,
            log: LogLine::LeftOut,
        }
    }

    #[test]
    fn handshakes_that_fail_and_what_counts_for_nothing_keep_no_guess_out_of_the_log() {
        let sink = Arc::new(Counting::default());
        let (reporter, thread) = Reporter::start(sink.clone(), 64).unwrap();
        let peer = Peer::Remote("192.0.2.7:1000".parse().unwrap());
        for _ in 0..LINES_PER_ADDRESS {
            reporter.handshake_failed(Millis(0), peer, "mqtts", HandshakeCause::TooSlow);
        }
        reporter.login_failed(Millis(0), failure(peer, "a", LoginCause::ClientId));
        reporter.login_failed(Millis(1), failure(peer, "anna", LoginCause::WrongPassword));
        drop(reporter);
        thread.join().unwrap();
        assert_eq!(sink.lines.load(Ordering::Relaxed), 1);
    }

    #[test]
    fn every_failure_of_an_address_counts_though_only_some_get_a_line() {
        let sink = Arc::new(Counting::default());
        let (reporter, thread) = Reporter::start(sink.clone(), 64).unwrap();
        let peer = Peer::Remote("192.0.2.7:1000".parse().unwrap());
        for n in 0..20 {
            let name = format!("name-{}", n % 3);
            reporter.login_failed(Millis(n), failure(peer, &name, LoginCause::UnknownName));
            reporter.handshake_failed(Millis(n), peer, "mqtts", HandshakeCause::TooSlow);
        }
        drop(reporter);
        thread.join().unwrap();
        let report = sink.journal.report(crate::clock::now(), None, &|_| None);
        assert_eq!(report.logins.len(), 3);
        assert_eq!(report.logins.iter().map(|row| row.count).sum::<u64>(), 20);
        assert_eq!(report.handshakes.iter().map(|row| row.count).collect::<Vec<_>>(), [20]);
        assert_eq!(sink.journal.last_hour(crate::clock::now()), [0, 20, 20]);
        assert!(sink.lines.load(Ordering::Relaxed) <= u64::from(LINES_PER_ADDRESS));
    }
}
