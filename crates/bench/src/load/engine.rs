//! The generator's loop: connect, subscribe, warm up, count, drain.

use super::flow::{Flow, Stamp};
use super::pace::Pace;
use super::{Access, Options, Outcome, Watcher};
use crate::clock;
use crate::codec::{self, Ack, Connect, Frame};
use crate::error::BenchError;
use crate::histogram::Histogram;
use crate::process;
use crate::shape::Role;
use crate::tls;
use crate::wire::{Scratch, Wire};
use mio::net::TcpStream;
use mio::{Events, Interest, Poll, Token};
use rustls::ClientConfig;
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Clients that log in at the same time: brokers bound those that have not logged in yet.
const AT_THE_DOOR: usize = 32;
/// How long all clients may take to log in and subscribe.
const SET_UP: Duration = Duration::from_secs(60);
/// How long nothing may arrive before a run is given up.
const STALL: Duration = Duration::from_secs(10);
/// How long the last messages may take after the counted part.
const DRAIN: Duration = Duration::from_secs(3);

struct Client {
    /// `None` until it is its turn to connect.
    wire: Option<Wire>,
    role: Role,
    out: Vec<u8>,
    dirty: bool,
    flow: Option<usize>,
    /// The number of the next message of each flow that this client reads.
    expected: BTreeMap<u32, u32>,
}

/// Numbers of the counted part's beginning.
struct Mark {
    at: Instant,
    delivered: u64,
    generator: process::CpuTime,
}

/// One run.
pub(super) struct Engine<'a> {
    access: &'a Access,
    options: &'a Options,
    tls: Option<Arc<ClientConfig>>,
    poll: Poll,
    scratch: Scratch,
    begin: Instant,
    clients: Vec<Client>,
    flows: Vec<Flow>,
    /// Clients with something to write, and flows with something new, since the last end of a tick.
    dirty: Vec<usize>,
    moved: Vec<usize>,
    begun: usize,
    ready: usize,
    delivered: u64,
    out_of_order: u64,
    latency: Histogram,
    counting: bool,
}

impl<'a> Engine<'a> {
    /// Makes the clients; none connects yet.
    pub(super) fn new(access: &'a Access, options: &'a Options) -> Result<Self, BenchError> {
        let roles = options.shape.roles(options.clients, "bench/load");
        let copies = options.shape.copies(options.clients);
        let mut flows = Vec::new();
        let mut clients = Vec::with_capacity(roles.len());
        for (number, role) in roles.into_iter().enumerate() {
            let flow = role.publishes.as_ref().map(|topic| {
                flows.push(Flow::new(number, topic, copies, options));
                flows.len() - 1
            });
            let (out, expected) = (Vec::new(), BTreeMap::new());
            clients.push(Client { wire: None, role, out, dirty: false, flow, expected });
        }
        Ok(Self {
            access,
            options,
            tls: access.ca.as_deref().map(tls::client_config).transpose()?,
            poll: Poll::new().map_err(BenchError::io("making a poll"))?,
            scratch: Scratch::new(),
            begin: clock::now(),
            clients,
            flows,
            dirty: Vec::new(),
            moved: Vec::new(),
            begun: 0,
            ready: 0,
            delivered: 0,
            out_of_order: 0,
            latency: Histogram::new(),
            counting: false,
        })
    }

    /// Does the whole run.
    pub(super) fn run(mut self, watcher: &mut dyn Watcher) -> Result<Outcome, BenchError> {
        let mut events = Events::with_capacity(1_024);
        self.set_up(&mut events)?;
        self.begin = clock::now();
        let mut pace = self.options.rate.map(|rate| Pace::new(rate, self.options.burst));
        self.moved = (0..self.flows.len()).collect();
        self.send_until(self.begin + self.options.warm_up, &mut events, &mut pace)?;
        watcher.opened()?;
        self.counting = true;
        let mark = self.mark()?;
        self.send_until(mark.at + self.options.length, &mut events, &mut pace)?;
        let end = self.mark()?;
        watcher.closed()?;
        self.counting = false;
        self.drain(&mut events)?;
        Ok(Outcome {
            seconds: (end.at - mark.at).as_secs_f64(),
            delivered: end.delivered - mark.delivered,
            delivered_in_all: self.delivered,
            lost: self.flows.iter().map(Flow::missing).sum(),
            out_of_order: self.out_of_order,
            latency: self.latency.percentiles(),
            generator: end.generator - mark.generator,
        })
    }

    fn mark(&self) -> Result<Mark, BenchError> {
        let generator = process::cpu_time(std::process::id())?;
        Ok(Mark { at: clock::now(), delivered: self.delivered, generator })
    }

    fn set_up(&mut self, events: &mut Events) -> Result<(), BenchError> {
        let end = clock::now() + SET_UP;
        while self.ready < self.clients.len() {
            while self.begun < self.clients.len() && self.begun - self.ready < AT_THE_DOOR {
                self.connect(self.begun)?;
                self.begun += 1;
            }
            if clock::now() > end {
                let (ready, all) = (self.ready, self.clients.len());
                let problem =
                    format!("only {ready} of {all} clients could log in and subscribe in {SET_UP:?}");
                return Err(self.broken(problem));
            }
            self.tick(events, Duration::from_millis(100))?;
        }
        Ok(())
    }

    fn connect(&mut self, number: usize) -> Result<(), BenchError> {
        let doing = format!("connecting to {}", self.access.address);
        let mut tcp = TcpStream::connect(self.access.address).map_err(BenchError::io(doing.clone()))?;
        let interest = Interest::READABLE | Interest::WRITABLE;
        self.poll
            .registry()
            .register(&mut tcp, Token(number), interest)
            .map_err(BenchError::io(doing.clone()))?;
        tcp.set_nodelay(true).map_err(BenchError::io(doing))?;
        let client = &mut self.clients[number];
        let client_id = format!("load{}-{number}", std::process::id());
        let login = self.access.login.as_ref().map(|(user, password)| (user.as_str(), password.as_str()));
        let who = Connect { client_id: &client_id, clean: true, expiry_secs: 0, login };
        codec::connect(&mut client.out, self.options.version, who);
        client.wire = Some(Wire::new(tcp, self.tls.as_ref().map(tls::client).transpose()?.map(Into::into)));
        // The writable event sends it.
        Ok(())
    }

    /// Sends and receives until `end`.
    fn send_until(
        &mut self,
        end: Instant,
        events: &mut Events,
        pace: &mut Option<Pace>,
    ) -> Result<(), BenchError> {
        let mut last = (self.delivered, clock::now());
        loop {
            let now = clock::now();
            if now >= end {
                return Ok(());
            }
            if self.delivered > last.0 {
                last = (self.delivered, now);
            } else if now - last.1 > STALL {
                return Err(self.broken(format!("nothing was delivered for {STALL:?}")));
            }
            let now_ns = nanos(now - self.begin);
            let patience = match pace {
                None => {
                    self.refill(now_ns);
                    end - now
                }
                Some(pace) => {
                    self.send_due(pace, now_ns);
                    pace.sleep(now_ns).min(end - now)
                }
            };
            self.flush()?;
            self.tick(events, patience.min(Duration::from_secs(1)))?;
        }
    }

    /// Closed loop: each flow that has room for a burst sends one.
    fn refill(&mut self, now_ns: u64) {
        for number in std::mem::take(&mut self.moved) {
            self.flows[number].moved = false;
            while self.flows[number].under_way() + self.options.burst <= self.options.window {
                self.burst(number, now_ns);
            }
        }
    }

    /// Open loop: everything that is due is sent, unless the flow whose turn it is has its window full.
    fn send_due(&mut self, pace: &mut Pace, now_ns: u64) {
        for number in std::mem::take(&mut self.moved) {
            self.flows[number].moved = false;
        }
        loop {
            let (beat, due_ns) = pace.next();
            let number = (beat % self.flows.len() as u64) as usize;
            if due_ns > now_ns || self.flows[number].under_way() + self.options.burst > self.options.window {
                return;
            }
            self.burst(number, due_ns);
            pace.advance();
        }
    }

    fn burst(&mut self, number: usize, due_ns: u64) {
        let flow = &mut self.flows[number];
        for _ in 0..self.options.burst {
            flow.append(&mut self.clients[flow.client].out, number as u32, due_ns);
        }
        let client = flow.client;
        self.mark_dirty(client);
    }

    /// Waits for what is under way, then says goodbye.
    fn drain(&mut self, events: &mut Events) -> Result<(), BenchError> {
        let end = clock::now() + DRAIN;
        while clock::now() < end && self.flows.iter().any(|flow| flow.under_way() > 0) {
            self.flush()?;
            self.tick(events, Duration::from_millis(20))?;
        }
        for number in 0..self.clients.len() {
            codec::disconnect(&mut self.clients[number].out);
            self.mark_dirty(number);
        }
        self.flush()
    }

    /// Waits for events at most so long, reads what came, writes what that brought about.
    fn tick(&mut self, events: &mut Events, patience: Duration) -> Result<(), BenchError> {
        match self.poll.poll(events, Some(patience)) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            other => other.map_err(BenchError::io("waiting for events"))?,
        }
        for event in events.iter() {
            let number = event.token().0;
            if event.is_readable() {
                self.read(number)?;
            }
            let client = &self.clients[number];
            let tls_wants = client.wire.as_ref().is_some_and(Wire::wants_write);
            if tls_wants || (event.is_writable() && !client.out.is_empty()) {
                self.mark_dirty(number);
            }
        }
        // In a saturating run the next messages ride with the acknowledgements of this tick.
        if self.ready < self.clients.len() { self.flush() } else { Ok(()) }
    }

    fn read(&mut self, number: usize) -> Result<(), BenchError> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let done = self.read_into(number, &mut scratch);
        self.scratch = scratch;
        done
    }

    fn read_into(&mut self, number: usize, scratch: &mut Scratch) -> Result<(), BenchError> {
        let now_ns = nanos(clock::now() - self.begin);
        loop {
            let Some(wire) = &mut self.clients[number].wire else { return Ok(()) };
            let got = match wire.read(scratch) {
                Ok(Some(got)) => got,
                Ok(None) => return Ok(()),
                Err(error) => return Err(self.broken(format!("client {number} lost its link: {error}"))),
            };
            let mut used = 0;
            while let Some((frame, length)) =
                codec::decode(&scratch.plain[used..got.len], self.options.version)?
            {
                self.take(number, frame, now_ns)?;
                used += length;
            }
            if let Some(wire) = &mut self.clients[number].wire {
                wire.keep(&scratch.plain[used..got.len]);
            }
            if !got.more {
                return Ok(());
            }
        }
    }

    fn take(&mut self, number: usize, frame: Frame<'_>, now_ns: u64) -> Result<(), BenchError> {
        match frame {
            Frame::Publish { qos, id, payload, .. } => {
                match qos {
                    0 => {}
                    1 => self.answer(number, Ack::Puback, id),
                    _ => self.answer(number, Ack::Pubrec, id),
                }
                return self.arrived(number, payload, now_ns);
            }
            Frame::Ack { code, .. } if code >= 0x80 => {
                return Err(self.broken(format!("it refused a message: {code:#x}")));
            }
            Frame::Ack { ack: Ack::Puback | Ack::Pubcomp, id, .. } => self.acknowledged(number, id, now_ns),
            Frame::Ack { ack: Ack::Pubrec, id, .. } => self.answer(number, Ack::Pubrel, id),
            Frame::Ack { ack: Ack::Pubrel, id, .. } => self.answer(number, Ack::Pubcomp, id),
            Frame::Connack { code: 0 } => self.admitted(number),
            Frame::Suback { code, .. } if code < 0x80 => self.ready += 1,
            Frame::Connack { code } => return Err(self.broken(format!("it refused a client: {code:#x}"))),
            Frame::Suback { code, .. } => {
                return Err(self.broken(format!("it refused a subscription: {code:#x}")));
            }
            Frame::Disconnect { code } => {
                return Err(self.broken(format!("it sent client {number} away: {code:#x}")));
            }
            Frame::Pingresp | Frame::Unsuback { .. } => {}
            Frame::Connect { .. } | Frame::Subscribe { .. } | Frame::Pingreq => {
                return Err(self.broken("it speaks like a client".to_owned()));
            }
        }
        Ok(())
    }

    fn admitted(&mut self, number: usize) {
        let client = &mut self.clients[number];
        match &client.role.reads {
            None => self.ready += 1,
            Some(filter) => {
                let filters = [filter.as_str()];
                codec::subscribe(&mut client.out, self.options.version, 1, filters, self.options.qos);
                self.mark_dirty(number);
            }
        }
    }

    fn arrived(&mut self, number: usize, payload: &[u8], now_ns: u64) -> Result<(), BenchError> {
        let stamp = Stamp::read(payload).filter(|stamp| (stamp.flow as usize) < self.flows.len());
        let Some(stamp) = stamp else {
            return Err(self.broken("it delivered a message that this run did not send".to_owned()));
        };
        let next = self.clients[number].expected.entry(stamp.flow).or_insert(0);
        if *next != stamp.number {
            self.out_of_order += 1;
        }
        *next = stamp.number.wrapping_add(1);
        self.count(stamp.due_ns, now_ns);
        self.flows[stamp.flow as usize].delivered += 1;
        self.mark_moved(stamp.flow as usize);
        Ok(())
    }

    fn acknowledged(&mut self, number: usize, id: u16, now_ns: u64) {
        let Some(flow) = self.clients[number].flow else { return };
        if let Some((due_ns, in_turn)) = self.flows[flow].confirm(id) {
            self.count(due_ns, now_ns);
            self.out_of_order += u64::from(!in_turn);
        }
        self.mark_moved(flow);
    }

    fn count(&mut self, due_ns: u64, now_ns: u64) {
        self.delivered += 1;
        if self.counting {
            self.latency.record(Duration::from_nanos(now_ns.saturating_sub(due_ns)));
        }
    }

    fn answer(&mut self, number: usize, ack: Ack, id: u16) {
        codec::ack(&mut self.clients[number].out, ack, id);
        self.mark_dirty(number);
    }

    fn mark_moved(&mut self, flow: usize) {
        if !self.flows[flow].moved {
            self.flows[flow].moved = true;
            self.moved.push(flow);
        }
    }

    fn mark_dirty(&mut self, number: usize) {
        if !self.clients[number].dirty {
            self.clients[number].dirty = true;
            self.dirty.push(number);
        }
    }

    fn flush(&mut self) -> Result<(), BenchError> {
        for number in std::mem::take(&mut self.dirty) {
            let client = &mut self.clients[number];
            client.dirty = false;
            let Some(wire) = &mut client.wire else { continue };
            if let Err(error) = wire.write(&mut client.out) {
                return Err(self.broken(format!("client {number} could not write: {error}")));
            }
        }
        Ok(())
    }

    fn broken(&self, problem: String) -> BenchError {
        BenchError::broker(self.access.address.to_string(), problem)
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}
