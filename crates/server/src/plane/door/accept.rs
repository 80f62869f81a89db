//! Taking connections in, within bounds. Where a bound is reached the oldest unfinished connection makes room: an
//! honest client needs its place for a fraction of a second, a half-open one holds it for ever.

use super::arrival::{Arrival, Charged, Origin};
use super::{Door, OUT_OF_DESCRIPTORS};
use crate::plane::admission::{Crowd, Crowded};
use crate::plane::events::Offender;
use crate::plane::limits::ACCEPTS_PER_TICK;
use crate::plane::source::{Peer, Source};
use crate::plane::stream::Stream;
use crate::plane::tls::ListenerTls;
use crate::plane::tls::channel::Channel;
use crate::plane::tls::remedy::HandshakeCause;
use crate::plane::transport::Transport;
use crate::plane::websocket::{Origins, WebSocket};
use keyward_broker::LinkId;
use keyward_mqtt::connection::ServerConnection;
use mio::{Interest, Token};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::sync::atomic::Ordering;

impl Door {
    pub(super) fn accept_all(&mut self) {
        if self.now.mono < self.no_accept_before {
            return;
        }
        for index in 0..self.listeners.len() {
            if !self.listeners[index].1.backlog {
                continue;
            }
            match self.parts.shared.admission.may_accept(self.now.mono) {
                Ok(()) => self.accept(index),
                Err(crowd) => return self.wait_to_accept(crowd),
            }
        }
    }

    /// Lets new connections wait where the system keeps them, and says which source keeps the doors busiest.
    fn wait_to_accept(&mut self, crowd: Crowd) {
        self.no_accept_before = crowd.until;
        let rate = self.parts.shared.limits.handshake_rate;
        if let Some(busiest) = crowd.busiest {
            self.report_limit(Offender::Host(busiest.host()), "handshake_rate", rate);
        }
    }

    pub(super) fn accept(&mut self, index: usize) {
        for _ in 0..ACCEPTS_PER_TICK {
            let listening = &mut self.listeners[index].1;
            match listening.socket.accept() {
                Ok((socket, peer)) => {
                    let layers = (listening.tls.clone(), listening.web.clone());
                    let origin = listening.origin.clone();
                    self.welcome(socket, peer, origin, layers);
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
    pub(super) fn welcome(
        &mut self,
        mut socket: Stream,
        peer: Peer,
        origin: Arc<Origin>,
        (tls, web): (Option<ListenerTls>, Option<Arc<Origins>>),
    ) {
        let shared = self.parts.shared.clone();
        shared.counts.accepted();
        let source = Source::from(peer);
        if shared.bans.refuses(self.now.mono, source) {
            return shared.counts.turned_away();
        }
        if !origin.entrance.lets_in(peer) {
            shared.counts.turned_away();
            let cause = HandshakeCause::OutsideNetworks;
            return shared.reporter.handshake_failed(self.now.mono, peer, &origin.listener, cause);
        }
        self.make_room(source);
        let may_begin = shared.admission.may_begin(self.now.mono, source);
        let counted = match may_begin.and_then(|()| shared.admission.enter(source)) {
            Ok(counted) => counted,
            Err(bound) => return self.turn_away(peer, bound),
        };
        let place = self.parts.pending.enter().or_else(|_| {
            self.evict(|_, _| true);
            self.parts.pending.enter()
        });
        let pending = match place {
            Ok(pending) => pending,
            Err(bound) => return self.turn_away(peer, bound),
        };
        let channel = match tls {
            None => Channel::Plain,
            Some(tls) => match Channel::tls(tls.config) {
                Ok(channel) => channel,
                Err(_) => return shared.counts.turned_away(),
            },
        };
        let transport = Transport::new(channel, web.map(WebSocket::new));
        let id = LinkId(shared.next_link.fetch_add(1, Ordering::Relaxed));
        if self.register(&mut socket, id).is_err() {
            return shared.counts.turned_away();
        }
        socket.send_at_once();
        let connection = ServerConnection::new(shared.connection_limits);
        let now = self.now.mono;
        let arrival = Arrival::new(socket, peer, origin, transport, connection, (counted, pending), now);
        *self.sources.entry(source).or_default() += 1;
        self.arrivals.insert(id, arrival);
        self.arm(id);
    }

    /// Drops a connection that has no place, and says so.
    fn turn_away(&self, peer: Peer, bound: Crowded) {
        let shared = &self.parts.shared;
        shared.counts.turned_away();
        self.report_limit(Offender::Host(peer.host()), bound.name(), bound.value(&shared.limits));
    }

    pub(super) fn register(&self, socket: &mut Stream, id: LinkId) -> io::Result<()> {
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.parts.poll.registry().register(socket, Token(id.0 as usize), interest)
    }

    /// Drops the oldest unfinished connection of a source that has as many as it may have.
    pub(super) fn make_room(&mut self, source: Source) {
        let count = self.sources.get(&source).copied().unwrap_or(0);
        if count >= self.parts.shared.pending_per_source {
            self.evict(|_, arrival| arrival.source == source);
        }
    }

    /// Says that an unfinished connection had to make room.
    fn report_eviction(&self, evicted: &Arrival) {
        let shared = &self.parts.shared;
        let count = self.sources.get(&evicted.source).copied().unwrap_or(0) + 1;
        let (name, value) = match count >= shared.pending_per_source {
            true => ("pending_per_address", shared.limits.pending_per_address),
            false => ("pending", shared.limits.pending),
        };
        self.report_limit(Offender::Host(evicted.peer.host()), name, value as u64);
    }

    /// Accounts for what an arrival makes us hold. Where that is too much in all, older ones make room; false if it
    /// is too much for one, or nobody is older.
    pub(super) fn charge(&mut self, id: LinkId) -> bool {
        loop {
            let Some(arrival) = self.arrivals.get_mut(&id) else { return false };
            match arrival.charge() {
                Charged::Yes => return true,
                Charged::TooMuchForOne => return false,
                Charged::TooMuchInAll => {}
            }
            if !self.evict(|other, _| other < id) {
                return false;
            }
        }
    }

    /// Drops the oldest unfinished connection that fits, or else the oldest enrolment link that waits for no answer: its device is
    /// known, may be making its key, and is not for strangers to push out. False if there is none.
    fn evict(&mut self, fits: impl Fn(LinkId, &Arrival) -> bool) -> bool {
        let oldest = |may: fn(&Arrival) -> bool| {
            let mut arrivals = self.arrivals.iter();
            arrivals.find(|(id, arrival)| may(arrival) && fits(**id, arrival)).map(|(id, _)| *id)
        };
        let Some(id) = oldest(Arrival::is_unknown).or_else(|| oldest(Arrival::is_idle_enrolment)) else {
            return false;
        };
        self.parts.shared.counts.evicted();
        if let Some(evicted) = self.remove(id) {
            self.report_eviction(&evicted);
        }
        true
    }

    pub(super) fn remove(&mut self, id: LinkId) -> Option<Arrival> {
        let mut arrival = self.arrivals.remove(&id)?;
        arrival.spend(&self.parts.shared.admission, self.now.mono);
        if let Some(count) = self.sources.get_mut(&arrival.source) {
            *count -= 1;
            if *count == 0 {
                self.sources.remove(&arrival.source);
            }
        }
        Some(arrival)
    }
}
