//! One link in the hands of a worker: its socket, its transport, its decoder, and the bytes that are not done with.

use super::inflow::Inflow;
use crate::plane::admission::ConnectionGuard;
use crate::plane::authentication::{Method, Proof};
use crate::plane::handover::Handover;
use crate::plane::hearing::Leave;
use crate::plane::limits::{PIECE_BYTES, READ_PER_LINK, WORKER_READ};
use crate::plane::pace::Spent;
use crate::plane::parting::Parting;
use crate::plane::source::Peer;
use crate::plane::stream::Stream;
use crate::plane::tls::fingerprint::Fingerprint;
use crate::plane::transport::{Ending, Transport, TransportFault};
use crate::plane::websocket::WebSocketFault;
use keyward_broker::{LinkId, Outbox};
use keyward_ids::Identity;
use keyward_mqtt::connection::{Farewell, Refused, ServerConnection};
use keyward_mqtt::packet::Packet;
use keyward_mqtt::time::{Millis, Now};
use std::io::{ErrorKind, IoSlice, Read, Write};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

/// Buffers of a worker that all its links use in turn.
pub(crate) struct Buffers {
    wire: Box<[u8]>,
    plain: Vec<u8>,
    text: Vec<u8>,
}

impl Default for Buffers {
    fn default() -> Self {
        Self { wire: vec![0; WORKER_READ].into(), plain: Vec::new(), text: Vec::new() }
    }
}

impl Buffers {
    /// Returns a buffer for bytes that are thrown away.
    pub(crate) fn scratch(&mut self) -> &mut [u8] {
        &mut self.wire
    }
}

/// Is a link of a worker.
pub(crate) struct Link {
    pub(crate) id: LinkId,
    pub(super) identity: Identity,
    socket: Stream,
    pub(super) transport: Transport,
    /// How it ends, once that is known.
    pub(super) leave: Option<Leave>,
    pub(super) connection: ServerConnection,
    /// By which the client proved who it is.
    pub(super) method: Option<Arc<dyn Method>>,
    /// The proof that it is giving again.
    pub(super) proof: Option<Proof>,
    inflow: Inflow,
    pub(super) unsent: Vec<u8>,
    sent: usize,
    /// Since when the peer has taken nothing though there was something.
    stalled: Option<Millis>,
    /// Tells that its session is there, so that packets may be decoded.
    pub(crate) established: bool,
    /// Tells that it stands in the queue of links to be read.
    pub(crate) queued: bool,
    /// Tells that the system said the peer's half is closed: a short read is not the end then.
    pub(crate) hung_up: bool,
    /// Tells that the shard has bytes for it.
    pub(crate) dirty: bool,
    /// Tells that it is not read because its peer takes nothing of what has come together for it.
    pub(crate) is_held_back: bool,
    /// Until when it is not read because it publishes too fast.
    pub(crate) paused: Option<Millis>,
    pub(crate) pace: Pace,
    /// What its client made us do that is not counted yet.
    pub(super) effort: u64,
    /// Bytes before encryption that were taken from the shard and are not written.
    taken: usize,
    /// The bytes that it is counted with.
    counted_bytes: usize,
    /// The deadline for which it stands among the timers.
    pub(crate) armed: Option<Millis>,
    counted: ConnectionGuard,
}

/// Is what a link has used up of the rates at which it may publish.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Pace {
    pub(crate) messages: Spent,
    pub(crate) bytes: Spent,
}

/// Is what came from a socket.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Came {
    /// Bytes as they go over the wire.
    pub(super) wire: usize,
    /// Bytes of MQTT.
    pub(super) text: usize,
    /// Reads or TLS records, whichever are more.
    pub(super) pieces: usize,
}

impl Came {
    /// Returns what it counts for in a tick, in bytes.
    pub(super) fn cost(self) -> usize {
        self.wire.max(self.pieces * PIECE_BYTES)
    }
}

/// Says how far reading went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Drained {
    /// The socket has nothing more now.
    Yes,
    /// The link used its share of the tick.
    NotYet,
}

/// Says why a link is over.
#[derive(Debug)]
pub(crate) enum LinkEnd {
    /// The peer closed it, or the network did, or its TLS records are not in order.
    Gone,
    /// The peer closed its WebSocket in order, and is answered.
    Closed,
    /// The peer broke a rule of WebSocket, and is told.
    Broken(WebSocketFault),
    /// The peer broke a rule of MQTT.
    Refused(Refused),
}

impl From<TransportFault> for LinkEnd {
    fn from(fault: TransportFault) -> Self {
        match fault {
            TransportFault::Tls(_) => Self::Gone,
            TransportFault::Web(fault) => Self::Broken(fault),
        }
    }
}

/// Says whether everything that was taken from the shard is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flushed {
    /// Nothing is left.
    Yes,
    /// The peer takes no more now.
    Blocked,
}

impl Link {
    /// Takes a link over, and the CONNECT that comes with it.
    pub(crate) fn new(handover: Handover) -> (Self, Box<keyward_broker::Attach>) {
        let Handover { socket, transport, connection, method, plain, unsent, attach, counted } = handover;
        let link = Self {
            id: attach.link(),
            identity: attach.identity().clone(),
            socket,
            transport,
            leave: None,
            connection,
            method,
            proof: None,
            inflow: Inflow::new(plain),
            unsent,
            sent: 0,
            stalled: None,
            established: false,
            queued: false,
            hung_up: false,
            dirty: false,
            is_held_back: false,
            paused: None,
            pace: Pace::default(),
            effort: 0,
            taken: 0,
            counted_bytes: 0,
            armed: None,
            counted,
        };
        (link, attach)
    }

    /// Returns what its TLS hello has in common with others of its program; `None` without TLS.
    pub(crate) fn fingerprint(&self) -> Option<Fingerprint> {
        self.transport.hello().map(|hello| hello.fingerprint)
    }

    /// Returns who is at the other end; `None` once the connection is gone.
    pub(crate) fn peer(&self) -> Option<Peer> {
        self.socket.peer()
    }

    pub(crate) fn socket(&mut self) -> &mut Stream {
        &mut self.socket
    }

    /// Opens the link for packets; returns when the client will be late.
    pub(crate) fn establish(&mut self, now: Millis, keep_alive: u16) -> Option<Millis> {
        self.established = true;
        self.connection.established(now, keep_alive);
        self.connection.poll_timeout()
    }

    /// Reads what the socket has, up to the link's share, and delivers whole packets until `deliver` breaks off.
    pub(crate) fn read(
        &mut self,
        now: Now,
        buffers: &mut Buffers,
        came: &mut Came,
        mut deliver: impl FnMut(Packet<'_>) -> ControlFlow<()>,
    ) -> Result<Drained, LinkEnd> {
        loop {
            // What came behind CONNECT, or was too much for the last tick: no event will come for it.
            if self.inflow.may_be_whole()
                && self.inflow.digest(&mut self.connection, now, &[], &mut deliver)?.is_break()
            {
                return Ok(Drained::NotYet);
            }
            if self.transport.is_closed_by_peer() {
                return Err(if self.transport.has_farewell() { LinkEnd::Closed } else { LinkEnd::Gone });
            }
            if came.wire >= READ_PER_LINK {
                return Ok(Drained::NotYet);
            }
            let held = self.transport.restore(&mut buffers.wire);
            let count = match self.socket.read(&mut buffers.wire[held..]) {
                Ok(0) => return Err(LinkEnd::Gone),
                Ok(count) => count,
                Err(error) => return self.unread(error.kind(), &mut buffers.wire[..held]),
            };
            let short = held + count < buffers.wire.len();
            came.wire += count;
            let wire = &mut buffers.wire[..held + count];
            let text = self.transport.open(wire, &mut buffers.plain, &mut self.unsent)?;
            came.text += text.len();
            came.pieces += self.transport.take_pieces(1);
            if self.inflow.digest(&mut self.connection, now, text, &mut deliver)?.is_break() {
                return Ok(Drained::NotYet);
            }
            if short && !self.hung_up && !self.transport.is_closed_by_peer() {
                return Ok(Drained::Yes);
            }
        }
    }

    /// Puts the bytes of an unfinished record back after a read that gave nothing.
    fn unread(&mut self, error: ErrorKind, held: &mut [u8]) -> Result<Drained, LinkEnd> {
        self.transport.keep(held);
        match error {
            ErrorKind::WouldBlock => Ok(Drained::Yes),
            ErrorKind::Interrupted => Ok(Drained::NotYet),
            _ => Err(LinkEnd::Gone),
        }
    }

    /// Tells whether it may be put into the queue of links to be read.
    pub(crate) fn waits_to_be_read(&self) -> bool {
        self.established && !self.is_waiting_for_us()
    }

    /// Tells whether what it said lies unread because of us.
    pub(crate) fn is_waiting_for_us(&self) -> bool {
        self.queued || self.is_held_back || self.paused.is_some()
    }

    /// Tells whether more than `most` bytes of answers wait for its peer that the shard does not count as its outbox.
    pub(super) fn owes_more_than(&self, most: usize) -> bool {
        self.unsent.len().saturating_sub(self.sent).saturating_sub(self.taken) > most
    }

    /// Returns the bytes that it was counted with, and is counted with from now on: packets and TLS records that are
    /// not whole, topics with an alias, and of what is to be written that which the shard does not count.
    pub(crate) fn weigh(&mut self) -> (usize, usize) {
        let unsent = self.unsent.capacity().saturating_sub(self.taken);
        let after = self.held() + self.transport.held() + unsent;
        (std::mem::replace(&mut self.counted_bytes, after), after)
    }

    /// Returns the bytes that it was counted with.
    pub(crate) fn counted(&self) -> usize {
        self.counted_bytes
    }

    /// Returns how many bytes of an unfinished packet, and of topics with an alias, it holds.
    pub(crate) fn held(&self) -> usize {
        self.inflow.held() + self.connection.held()
    }

    /// Returns whose link it is.
    pub(crate) fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Returns when the packet that the client has begun must be whole.
    pub(crate) fn packet_deadline(&self, time: Duration) -> Option<Millis> {
        self.inflow.deadline(time)
    }

    /// Tells whether bytes wait for the peer to take more.
    pub(crate) fn is_blocked(&self) -> bool {
        self.sent < self.unsent.len()
    }

    /// Returns since when the peer has taken nothing.
    pub(crate) fn stalled_since(&self) -> Option<Millis> {
        self.stalled
    }

    /// Writes an outbox: one system call if the peer takes it all.
    pub(crate) fn write(
        &mut self,
        now: Millis,
        outbox: &Outbox,
        buffers: &mut Buffers,
    ) -> Result<Flushed, LinkEnd> {
        self.taken += outbox.len();
        if self.transport.is_bare() && !self.is_blocked() {
            let written = write_slices(&mut self.socket, outbox)?;
            keep_rest(outbox, written, &mut self.unsent);
        } else {
            buffers.text.clear();
            if self.transport.begin(outbox.len(), &mut buffers.text) {
                outbox.slices().for_each(|slice| buffers.text.extend_from_slice(slice));
            }
            self.transport.seal_framed(&buffers.text, &mut self.unsent)?;
            buffers.text.shrink_to(WORKER_READ);
        }
        self.flush(now)
    }

    /// Writes what is left from before.
    pub(crate) fn flush(&mut self, now: Millis) -> Result<Flushed, LinkEnd> {
        while self.sent < self.unsent.len() {
            match self.socket.write(&self.unsent[self.sent..]) {
                Ok(0) => return Err(LinkEnd::Gone),
                Ok(count) => {
                    self.sent += count;
                    self.stalled = None;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.stalled.get_or_insert(now);
                    return Ok(Flushed::Blocked);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(LinkEnd::Gone),
            }
        }
        self.stalled = None;
        self.sent = 0;
        self.taken = 0;
        self.unsent = Vec::new();
        Ok(Flushed::Yes)
    }

    /// Returns when the client will be late if no packet comes.
    pub(crate) fn poll_timeout(&self) -> Option<Millis> {
        self.connection.poll_timeout()
    }

    /// Tells whether the client was silent for too long.
    pub(crate) fn is_late(&self, now: Millis) -> bool {
        self.connection.is_late(now)
    }

    /// Tells whether its peer waits for an end beside that of the connection.
    pub(crate) fn has_farewell(&self) -> bool {
        self.transport.has_farewell()
    }

    /// Returns what a client is told that is closed for `reason`.
    pub(crate) fn farewell(&self, reason: keyward_mqtt::reason::ReasonCode) -> Farewell {
        match self.connection.version() {
            Some(keyward_mqtt::packet::Version::V5) => Farewell::Disconnect(reason),
            _ => Farewell::Silent,
        }
    }

    /// Ends the link in order: what is unsent, then `last`, then the end of the transport.
    pub(crate) fn part(mut self, last: &[u8], ending: Ending, deadline: Millis) -> Parting {
        // A transport that fails here has nothing more to say; what it had is sent.
        let sealed = self.transport.seal(last, &mut self.unsent);
        if sealed.is_ok() {
            let _: Result<(), TransportFault> = self.transport.seal_end(ending, &mut self.unsent);
        }
        let unsent = self.unsent.split_off(self.sent);
        Parting::new(self.socket, unsent, deadline, self.counted)
    }
}

fn write_slices(socket: &mut Stream, outbox: &Outbox) -> Result<usize, LinkEnd> {
    /// The system takes 1,024 at once; more than a few dozen do not come up.
    const AT_ONCE: usize = 64;
    let mut slices = [IoSlice::new(&[]); AT_ONCE];
    let mut count = 0;
    for (place, slice) in slices.iter_mut().zip(outbox.slices()) {
        *place = IoSlice::new(slice);
        count += 1;
    }
    match socket.write_vectored(&slices[..count]) {
        Ok(written) => Ok(written),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
        Err(_) => Err(LinkEnd::Gone),
    }
}

/// Appends what stands behind the first `written` bytes of `outbox`.
fn keep_rest(outbox: &Outbox, written: usize, unsent: &mut Vec<u8>) {
    let mut skip = written;
    for slice in outbox.slices() {
        let skipped = skip.min(slice.len());
        unsent.extend_from_slice(&slice[skipped..]);
        skip -= skipped;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plane::limits::READ_PER_TICK;

    #[test]
    fn single_bytes_use_up_a_tick_as_long_reads_do() {
        let single = Came { wire: 1, text: 1, pieces: 1 };
        let records = Came { wire: 64_000, text: 2_800, pieces: 2_800 };
        let long = Came { wire: 64_000, text: 63_000, pieces: 4 };
        assert_eq!(single.cost(), PIECE_BYTES);
        assert!(records.cost() > 2 * READ_PER_TICK, "no other link is read in this tick");
        assert_eq!(long.cost(), 64_000);
    }
}
