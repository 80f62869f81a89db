//! A connection in the hands of the door: from accept to the end of its CONNECT.

use crate::plane::admission::{Admission, ConnectionGuard};
use crate::plane::authentication::Method;
use crate::plane::door::enrolment::Enrolling;
use crate::plane::door::exchange::Proving;
use crate::plane::door::gate::Known;
use crate::plane::door::slowdown::Guess;
use crate::plane::door::succession::Succession;
use crate::plane::entrance::Entrance;
use crate::plane::events::LoginCause;
use crate::plane::limits::{CONNECT_BYTES, DOOR_READ, HANDSHAKE_BYTES};
use crate::plane::pending::PendingGuard;
use crate::plane::source::{Peer, Source};
use crate::plane::stats::RefusalGuard;
use crate::plane::stream::Stream;
use crate::plane::tls::certificate::ServerNames;
use crate::plane::tls::hello::Dialect;
use crate::plane::tls::remedy::{Circumstances, HandshakeCause, cause_of, cause_of_leaving};
use crate::plane::transport::{Transport, TransportFault};
use keyward_broker::Attach;
use keyward_mqtt::connection::{Farewell, ServerConnection};
use keyward_mqtt::packet::Version;
use keyward_mqtt::time::Millis;
use std::io::{ErrorKind, Read, Write};
use std::sync::Arc;
use zeroize::{Zeroize, Zeroizing};

/// Is the part of a listener that its connections remember.
#[derive(Debug)]
pub(crate) struct Origin {
    pub(crate) listener: String,
    pub(crate) is_tls: bool,
    pub(crate) names: Arc<ServerNames>,
    pub(crate) entrance: Arc<Entrance>,
}

/// Buffers of a door that all its arrivals use in turn.
pub(crate) struct DoorBuffers {
    wire: Box<[u8]>,
    plain: Vec<u8>,
}

impl Default for DoorBuffers {
    fn default() -> Self {
        // What TLS opens is never longer than what came: this never grows and leaves no passwords behind.
        let wire = vec![0; HANDSHAKE_BYTES + DOOR_READ].into();
        Self { wire, plain: Vec::with_capacity(HANDSHAKE_BYTES + DOOR_READ) }
    }
}

impl DoorBuffers {
    /// Returns a buffer for bytes that are thrown away.
    pub(crate) fn scratch(&mut self) -> &mut [u8] {
        &mut self.wire
    }
}

/// Is a connection that is not authenticated yet.
pub(crate) struct Arrival {
    pub(crate) socket: Stream,
    pub(crate) peer: Peer,
    pub(crate) source: Source,
    pub(crate) origin: Arc<Origin>,
    pub(crate) transport: Transport,
    pub(crate) connection: ServerConnection,
    /// MQTT bytes, from the first of CONNECT on; it carries passwords.
    pub(crate) plain: Zeroizing<Vec<u8>>,
    pub(crate) unsent: Vec<u8>,
    pub(crate) counted: ConnectionGuard,
    pub(crate) pending: PendingGuard,
    /// When its stage began.
    pub(crate) begun: Millis,
    pub(crate) stage: Stage,
    /// By which it proved who it is.
    pub(crate) method: Option<Arc<dyn Method>>,
    /// Tells whether it has sent anything: what connects and leaves is no client.
    spoke: bool,
    /// How often its socket gave something.
    pub(crate) reads: u32,
    /// Tells whether it was counted against the rate of handshakes.
    is_spent: bool,
}

/// Says what an arrival waits for.
pub(crate) enum Stage {
    /// The end of the TLS handshake.
    Handshake,
    /// The end of CONNECT.
    Connect,
    /// The next step of its enhanced authentication.
    Proving(Box<Proving>),
    /// The pool that checks its password.
    Checking(Box<Candidate>),
    /// What a device says that applies for a certificate, or the answer to it.
    Enrolling(Box<Enrolling>),
    /// The end of a certificate that the one renews by which it came.
    Succeeding(Box<Succession>),
    /// The moment when it is told that it is refused.
    Refused { farewell: Farewell, _place: RefusalGuard },
}

/// Is a login whose password is being checked.
pub(crate) struct Candidate {
    /// What its CONNECT said.
    pub(crate) said: Said,
    /// Whose password is tried, and from where.
    pub(crate) guess: Guess,
    /// What follows if the password is right; `None` for a name that nobody has.
    pub(crate) claim: Option<Claim>,
    /// Why it is refused whatever the password is; it is checked for the time that this takes.
    pub(crate) doomed: Option<LoginCause>,
}

/// Is who a CONNECT is for if its credential is right, and what is handed over then, unless something else is wrong
/// with it: that is told only to whom the credential belongs to.
pub(crate) struct Claim {
    pub(crate) known: Known,
    pub(crate) attach: Result<Box<Attach>, LoginCause>,
}

/// Is what is kept of a CONNECT for the answer and for the operator.
#[derive(Debug, Clone)]
pub(crate) struct Said {
    pub(crate) version: Version,
    /// The user name, or the common name of the certificate.
    pub(crate) claimed: Option<String>,
    pub(crate) client_id: String,
}

/// Says what reading brought.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard {
    /// More MQTT bytes.
    Text,
    /// Something that is no MQTT yet.
    Progress,
    /// Nothing: the socket is to say when there is more.
    Silence,
}

/// Says whether what an arrival makes us hold is within the bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Charged {
    /// It is.
    Yes,
    /// No peer may hold so much.
    TooMuchForOne,
    /// All together hold too much.
    TooMuchInAll,
}

/// Says why an arrival is over.
#[derive(Debug)]
pub(crate) enum ArrivalEnd {
    /// It closed the connection, or the network did.
    Left,
    /// The TLS channel or the WebSocket failed.
    Transport(TransportFault),
    /// It holds more than there is room for.
    Crowded,
    /// It comes in too many pieces.
    Fragments,
}

impl From<TransportFault> for ArrivalEnd {
    fn from(fault: TransportFault) -> Self {
        Self::Transport(fault)
    }
}

impl Arrival {
    pub(crate) fn new(
        socket: Stream,
        peer: Peer,
        origin: Arc<Origin>,
        transport: Transport,
        connection: ServerConnection,
        (counted, pending): (ConnectionGuard, PendingGuard),
        begun: Millis,
    ) -> Self {
        let stage = if origin.is_tls { Stage::Handshake } else { Stage::Connect };
        Self {
            socket,
            peer,
            source: peer.into(),
            origin,
            transport,
            connection,
            plain: Zeroizing::default(),
            unsent: Vec::new(),
            counted,
            pending,
            begun,
            stage,
            method: None,
            spoke: false,
            reads: 0,
            is_spent: false,
        }
    }

    /// Counts it against the rate of handshakes, once, if it has sent anything: also half a handshake costs us work.
    pub(crate) fn spend(&mut self, admission: &Admission, now: Millis) {
        if self.spoke && !std::mem::replace(&mut self.is_spent, true) {
            admission.shook_hands(now, self.source);
        }
    }

    /// Tells whether it is waited for, so that its socket is read.
    pub(crate) fn is_listened_to(&self) -> bool {
        match &self.stage {
            Stage::Enrolling(enrolling) => !enrolling.is_waiting(),
            _ => self.is_unknown(),
        }
    }

    /// Tells whether nobody knows yet who it is, and it is its turn: such a one may have to make room.
    pub(crate) fn is_unknown(&self) -> bool {
        matches!(self.stage, Stage::Handshake | Stage::Connect | Stage::Proving(_))
    }

    /// Tells whether it is an enrolment link that waits for no answer: such a one has to make room where no stranger can.
    pub(crate) fn is_idle_enrolment(&self) -> bool {
        self.enrolling().is_some_and(|enrolling| !enrolling.is_waiting())
    }

    /// Returns what is known of it as an enrolment link, if it is one.
    pub(crate) fn enrolling(&self) -> Option<&Enrolling> {
        match &self.stage {
            Stage::Enrolling(enrolling) => Some(enrolling),
            _ => None,
        }
    }

    /// Reads once, answers what its transport has to answer, and keeps the MQTT bytes.
    pub(crate) fn hear(&mut self, buffers: &mut DoorBuffers) -> Result<Heard, ArrivalEnd> {
        let held = self.transport.restore(&mut buffers.wire);
        let count = match self.socket.read(&mut buffers.wire[held..held + DOOR_READ]) {
            Ok(0) => return Err(ArrivalEnd::Left),
            Ok(count) => count,
            Err(error) => {
                self.transport.keep(&buffers.wire[..held]);
                return match error.kind() {
                    ErrorKind::WouldBlock => Ok(Heard::Silence),
                    ErrorKind::Interrupted => Ok(Heard::Progress),
                    _ => Err(ArrivalEnd::Left),
                };
            }
        };
        self.spoke = true;
        self.reads += 1;
        let wire = &mut buffers.wire[..held + count];
        let opened = self.transport.open(wire, &mut buffers.plain, &mut self.unsent);
        let text = match opened {
            Ok(text) => text,
            Err(fault) => {
                buffers.plain.zeroize();
                buffers.wire[..held + count].zeroize();
                // The alert or the close, if it still gets out.
                let _: Result<(), ArrivalEnd> = self.flush();
                return Err(fault.into());
            }
        };
        append(&mut self.plain, text);
        let heard = if text.is_empty() { Heard::Progress } else { Heard::Text };
        // Both may hold a password: TLS opens records where they lie.
        buffers.plain.zeroize();
        buffers.wire[..held + count].zeroize();
        self.flush()?;
        match self.transport.is_closed_by_peer() && heard == Heard::Progress {
            true => Err(ArrivalEnd::Left),
            false => Ok(heard),
        }
    }

    /// Accounts for what it makes us hold, and bounds it (invariant 10).
    pub(crate) fn charge(&mut self) -> Charged {
        let kept = match &self.stage {
            Stage::Proving(proving) => proving.connect.len(),
            _ => 0,
        };
        let held = self.transport.held() + self.plain.len() + self.unsent.len() + kept;
        if held > HANDSHAKE_BYTES + CONNECT_BYTES {
            return Charged::TooMuchForOne;
        }
        match self.pending.charge(held) {
            Ok(()) => Charged::Yes,
            Err(_) => Charged::TooMuchInAll,
        }
    }

    /// Writes what the transport has to say.
    pub(crate) fn flush(&mut self) -> Result<(), ArrivalEnd> {
        while !self.unsent.is_empty() {
            match self.socket.write(&self.unsent) {
                Ok(0) => return Err(ArrivalEnd::Left),
                Ok(count) => drop(self.unsent.drain(..count)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(_) => return Err(ArrivalEnd::Left),
            }
        }
        self.unsent = Vec::new();
        Ok(())
    }

    /// Tells whether the handshake is over and CONNECT is not yet waited for.
    pub(crate) fn has_shaken_hands(&self) -> bool {
        matches!(self.stage, Stage::Handshake) && self.transport.is_established()
    }

    /// Returns why it failed, for the operator; `None` if there is nothing to say about it.
    pub(crate) fn cause(&self, end: &ArrivalEnd) -> Option<HandshakeCause> {
        match end {
            ArrivalEnd::Transport(TransportFault::Tls(fault)) => self.seen(|seen| cause_of(fault, seen)),
            ArrivalEnd::Transport(TransportFault::Web(fault)) => {
                Some(HandshakeCause::WebSocket(fault.clone()))
            }
            ArrivalEnd::Left if self.spoke && self.is_unknown() => self.seen(cause_of_leaving),
            ArrivalEnd::Left | ArrivalEnd::Crowded | ArrivalEnd::Fragments => None,
        }
    }

    /// Returns why it ran out of time, for the operator.
    pub(crate) fn cause_of_delay(&self) -> Option<HandshakeCause> {
        self.spoke.then_some(HandshakeCause::TooSlow)
    }

    /// Tells whether it speaks TLS to a listener that has none.
    pub(crate) fn speaks_tls_to_plain_port(&self) -> bool {
        !self.origin.is_tls && Dialect::of(&self.plain) == Some(Dialect::Tls)
    }

    fn seen(&self, judge: impl FnOnce(&Circumstances<'_>) -> HandshakeCause) -> Option<HandshakeCause> {
        let local = self.socket.local_ip()?;
        let hello = self.transport.hello();
        Some(judge(&Circumstances { hello, local, names: &self.origin.names }))
    }
}

/// Appends to a secret. It grows by hand, for `Vec` would leave the old bytes behind in freed memory.
fn append(secret: &mut Zeroizing<Vec<u8>>, more: &[u8]) {
    let wanted = secret.len() + more.len();
    if wanted > secret.capacity() {
        let mut larger =
            Zeroizing::new(Vec::with_capacity((2 * wanted).min(CONNECT_BYTES + DOOR_READ).max(wanted)));
        larger.extend_from_slice(secret);
        *secret = larger; // The old one is overwritten when it is dropped.
    }
    secret.extend_from_slice(more);
}

const _: () = assert!(CONNECT_BYTES + DOOR_READ < HANDSHAKE_BYTES);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_comes_in_pieces_is_kept_whole() {
        let text: Vec<u8> = (0..CONNECT_BYTES).map(|n| (n % 251) as u8).collect();
        let mut secret = Zeroizing::default();
        for piece in text.chunks(700) {
            append(&mut secret, piece);
        }
        assert!(*secret == text);
        assert!(secret.capacity() <= CONNECT_BYTES + DOOR_READ);
    }
}
