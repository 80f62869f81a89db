//! The floor: moves PUBLISH frames between links and answers what a client waits for, and does nothing else that a
//! broker does. No permissions, no queues, no sessions; a link that does not read is closed.

use crate::clock;
use crate::codec::{self, Ack, Frame, Version};
use crate::error::BenchError;
use crate::tls;
use crate::wire::{Scratch, Wire};
use mio::net::{TcpListener, TcpStream};
use mio::{Events, Interest, Poll, Token};
use rustls::ServerConfig;
use slab::Slab;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Links at a time.
const LINKS: usize = 20_000;
/// Bytes that may wait for a link that does not read.
const UNSENT: usize = 8 * 1024 * 1024;
/// Tokens of listeners; links count from zero.
const PLAIN: Token = Token(usize::MAX - 2);
const TLS: Token = Token(usize::MAX - 3);

struct Link {
    wire: Wire,
    version: Version,
    out: Vec<u8>,
    dirty: bool,
    next_id: u16,
    route: Route,
}

/// Who gets what a link publishes, for its last topic.
#[derive(Default)]
struct Route {
    topic: Vec<u8>,
    epoch: u64,
    readers: Vec<usize>,
}

struct Subscription {
    link: usize,
    filter: Vec<u8>,
}

/// A relay with its listeners.
pub(crate) struct Relay {
    poll: Poll,
    plain: TcpListener,
    tls: Option<(TcpListener, Arc<ServerConfig>)>,
    links: Slab<Link>,
    subscriptions: Vec<Subscription>,
    /// Counts changes of `subscriptions`; routes of an older number are looked up again.
    epoch: u64,
    dirty: Vec<usize>,
}

impl Relay {
    /// Opens the listeners on these addresses; port 0 lets the system choose.
    pub(crate) fn open(
        plain: SocketAddr,
        tls: Option<(SocketAddr, Arc<ServerConfig>)>,
    ) -> Result<Self, BenchError> {
        let poll = Poll::new().map_err(BenchError::io("making a poll"))?;
        let listen = |address: SocketAddr, token| -> Result<TcpListener, BenchError> {
            let doing = format!("listening on {address}");
            let mut listener = TcpListener::bind(address).map_err(BenchError::io(doing.clone()))?;
            poll.registry()
                .register(&mut listener, token, Interest::READABLE)
                .map_err(BenchError::io(doing))?;
            Ok(listener)
        };
        let plain = listen(plain, PLAIN)?;
        let tls = match tls {
            None => None,
            Some((address, config)) => Some((listen(address, TLS)?, config)),
        };
        let (links, subscriptions, dirty) = (Slab::new(), Vec::new(), Vec::new());
        Ok(Self { poll, plain, tls, links, subscriptions, epoch: 1, dirty })
    }

    /// Returns where it listens without TLS.
    pub(crate) fn address(&self) -> Result<SocketAddr, BenchError> {
        self.plain.local_addr().map_err(BenchError::io("asking for the own address"))
    }

    /// Relays until `end`.
    pub(crate) fn run(mut self, end: Instant) -> Result<(), BenchError> {
        let mut events = Events::with_capacity(1_024);
        let mut scratch = Scratch::new();
        while clock::now() < end {
            let patience = Some(Duration::from_secs(1));
            match self.poll.poll(&mut events, patience) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other.map_err(BenchError::io("waiting for events"))?,
            }
            for event in &events {
                match event.token() {
                    PLAIN | TLS => self.accept(event.token())?,
                    Token(link) => self.ready(link, event.is_readable(), &mut scratch),
                }
            }
            self.flush();
        }
        Ok(())
    }

    fn accept(&mut self, token: Token) -> Result<(), BenchError> {
        loop {
            let listener = match &self.tls {
                Some((listener, _)) if token == TLS => listener,
                _ => &self.plain,
            };
            match listener.accept() {
                Ok((tcp, _)) if self.links.len() < LINKS => self.add(tcp, token == TLS)?,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(BenchError::io("accepting")(error)),
            }
        }
    }

    fn add(&mut self, tcp: TcpStream, with_tls: bool) -> Result<(), BenchError> {
        let tls = match &self.tls {
            Some((_, config)) if with_tls => Some(tls::server(config)?),
            _ => None,
        };
        let doing = "taking a connection";
        tcp.set_nodelay(true).map_err(BenchError::io(doing))?;
        let link = Link {
            wire: Wire::new(tcp, tls),
            version: Version::V311,
            out: Vec::new(),
            dirty: false,
            next_id: 0,
            route: Route::default(),
        };
        let entry = self.links.vacant_entry();
        let token = Token(entry.key());
        let link = entry.insert(link);
        self.poll
            .registry()
            .register(&mut link.wire.tcp, token, Interest::READABLE | Interest::WRITABLE)
            .map_err(BenchError::io(doing))
    }

    fn ready(&mut self, number: usize, readable: bool, scratch: &mut Scratch) {
        // An event of a link that was closed in this very tick.
        if !self.links.contains(number) {
            return;
        }
        if readable && self.read(number, scratch).is_err() {
            return self.close(number);
        }
        let link = &self.links[number];
        if !link.out.is_empty() || link.wire.wants_write() {
            self.mark(number);
        }
    }

    fn read(&mut self, number: usize, scratch: &mut Scratch) -> Result<(), BenchError> {
        loop {
            let got = self.links[number].wire.read(scratch).map_err(BenchError::io("reading"))?;
            let Some(got) = got else { return Ok(()) };
            let mut used = 0;
            loop {
                let version = self.links[number].version;
                let Some((frame, length)) = codec::decode(&scratch.plain[used..got.len], version)? else {
                    break;
                };
                self.take(number, frame, &scratch.plain[used..used + length])?;
                used += length;
            }
            self.links[number].wire.keep(&scratch.plain[used..got.len]);
            if !got.more {
                return Ok(());
            }
        }
    }

    fn take(&mut self, number: usize, frame: Frame<'_>, bytes: &[u8]) -> Result<(), BenchError> {
        let link = &mut self.links[number];
        match frame {
            Frame::Connect { version } => {
                link.version = version;
                codec::connack(&mut link.out, version);
            }
            Frame::Subscribe { id, filter, qos } => {
                codec::suback(&mut link.out, link.version, id, qos);
                self.epoch += 1;
                self.subscriptions.push(Subscription { link: number, filter: filter.to_owned() });
            }
            Frame::Publish { qos, topic, id, id_at, .. } => {
                match qos {
                    0 => {}
                    1 => codec::ack(&mut link.out, Ack::Puback, id),
                    _ => codec::ack(&mut link.out, Ack::Pubrec, id),
                }
                self.forward(number, topic, bytes, (qos > 0).then_some(id_at));
            }
            Frame::Ack { ack: Ack::Pubrel, id, .. } => codec::ack(&mut link.out, Ack::Pubcomp, id),
            Frame::Ack { ack: Ack::Pubrec, id, .. } => codec::ack(&mut link.out, Ack::Pubrel, id),
            Frame::Ack { .. } => {}
            Frame::Pingreq => codec::pingresp(&mut link.out),
            Frame::Disconnect { .. } => return Err(BenchError::broker("client", "it says goodbye")),
            Frame::Connack { .. } | Frame::Suback { .. } | Frame::Unsuback { .. } | Frame::Pingresp => {
                return Err(BenchError::broker("client", "it speaks like a server"));
            }
        }
        self.mark(number);
        Ok(())
    }

    fn forward(&mut self, from: usize, topic: &[u8], bytes: &[u8], id_at: Option<usize>) {
        let mut route = std::mem::take(&mut self.links[from].route);
        if route.epoch != self.epoch || route.topic != topic {
            let wanted = self.subscriptions.iter().filter(|one| matches(&one.filter, topic));
            route = Route {
                topic: topic.to_owned(),
                epoch: self.epoch,
                readers: wanted.map(|s| s.link).collect(),
            };
        }
        for reader in &route.readers {
            let link = &mut self.links[*reader];
            let start = link.out.len();
            link.out.extend_from_slice(bytes);
            if let Some(id_at) = id_at {
                link.next_id = link.next_id.checked_add(1).unwrap_or(1);
                link.out[start + id_at..start + id_at + 2].copy_from_slice(&link.next_id.to_be_bytes());
            }
            self.mark(*reader);
        }
        self.links[from].route = route;
    }

    fn mark(&mut self, number: usize) {
        let link = &mut self.links[number];
        if !link.dirty {
            link.dirty = true;
            self.dirty.push(number);
        }
    }

    /// Writes each link once that has something to say.
    fn flush(&mut self) {
        for number in std::mem::take(&mut self.dirty) {
            let Some(link) = self.links.get_mut(number) else { continue };
            link.dirty = false;
            if link.wire.write(&mut link.out).is_err() || link.out.len() > UNSENT {
                self.close(number);
            }
        }
    }

    fn close(&mut self, number: usize) {
        let mut link = self.links.remove(number);
        // Closing the socket takes it out of the poll as well; an error here changes nothing.
        let _ = self.poll.registry().deregister(&mut link.wire.tcp);
        self.subscriptions.retain(|one| one.link != number);
        self.epoch += 1;
    }
}

/// A filter is a topic, or a topic whose last level is `+`: no shape has another.
fn matches(filter: &[u8], topic: &[u8]) -> bool {
    match filter.strip_suffix(b"+") {
        None => filter == topic,
        Some(front) => topic.strip_prefix(front).is_some_and(|level| !level.contains(&b'/')),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plus_at_the_end_stands_for_one_level() {
        assert!(matches(b"t/+", b"t/17"));
        assert!(!matches(b"t/+", b"t/17/a"));
        assert!(!matches(b"t/+", b"u/17"));
        assert!(matches(b"t/1", b"t/1"));
        assert!(!matches(b"t/1", b"t/17"));
    }
}
