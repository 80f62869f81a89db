//! From the end of CONNECT to the hand-over.

use super::arrival::{Candidate, Claim, Said, Stage};
use super::connect::{Next, decide, said};
use super::enrolment;
use super::gate::applicant::Applying;
use super::gate::{Known, reason_of};
use super::passwords::{Attempt, Outcome};
use super::{Door, DoorMessage};
use crate::plane::events::{LoginCause, Offender};
use crate::plane::handover::{Handover, WorkerMessage};
use crate::plane::parting::Parting;
use crate::plane::tls::remedy::HandshakeCause;
use keyward_broker::placement::shard_of;
use keyward_broker::{Attach, LinkId};
use keyward_mqtt::connection::{Farewell, Step};
use keyward_mqtt::packet::{Packet, Version};
use zeroize::Zeroizing;

impl Door {
    pub(super) fn read_connect(&mut self, id: LinkId) {
        let Some(arrival) = self.arrivals.get_mut(&id) else { return };
        if matches!(arrival.stage, Stage::Enrolling(_)) {
            return self.serve_enrolment(id);
        }
        if arrival.speaks_tls_to_plain_port() {
            let Some(arrival) = self.remove(id) else { return };
            return self.report_handshake(&arrival, HandshakeCause::TlsToPlainPort);
        }
        let plain = std::mem::take(&mut arrival.plain);
        let shared = &self.parts.shared;
        let now = self.now;
        match arrival.connection.decode_opening(now.mono, &plain) {
            Ok(Step::Incomplete { .. }) => arrival.plain = plain,
            Ok(Step::Packet { packet: Packet::Connect(connect), size }) => {
                arrival.begun = now.mono;
                shared.counts.connect(size);
                arrival.spend(&shared.admission, now.mono);
                if let Some(method) = connect.properties.authentication_method {
                    let said = said(arrival, &connect);
                    let data = connect.properties.authentication_data;
                    arrival.plain = Zeroizing::new(plain[size..].to_vec());
                    return self.begin_proof(id, said, method, data, Zeroizing::new(plain[..size].to_vec()));
                }
                if let Some(applying) = Applying::of(connect.username) {
                    let admitted = enrolment::admit(shared, now, arrival, applying, &connect);
                    let said = said(arrival, &connect);
                    arrival.plain = Zeroizing::new(plain[size..].to_vec());
                    return self.begin_enrolment(id, said, admitted);
                }
                let next = decide(&shared.gate, now, arrival, id, &connect, shared.client_id_bytes);
                let said = said(arrival, &connect);
                arrival.plain = Zeroizing::new(plain[size..].to_vec());
                self.follow(id, next, said);
            }
            Ok(Step::Packet { packet: Packet::Auth(auth), size }) => {
                arrival.plain = Zeroizing::new(plain[size..].to_vec());
                if let Stage::Proving(proving) = std::mem::replace(&mut arrival.stage, Stage::Connect) {
                    self.advance_proof(id, proving, auth.properties.authentication_data);
                }
            }
            Ok(Step::Packet { .. }) => drop(self.remove(id)), // A DISCONNECT in the middle of an authentication.
            Err(refused) => {
                let said = match &arrival.stage {
                    Stage::Proving(proving) => proving.said.clone(),
                    _ => {
                        let version = arrival.connection.version().unwrap_or(Version::V5);
                        Said { version, claimed: None, client_id: String::new() }
                    }
                };
                self.report_login(id, &said, LoginCause::Protocol(refused.error));
                self.part(id, refused.farewell);
            }
        }
    }

    pub(super) fn follow(&mut self, id: LinkId, next: Next, said: Said) {
        match next {
            Next::HandOver(Claim { known, attach }) => match attach {
                Ok(attach) => self.hand_over(id, &known, attach, &said),
                Err(cause) => self.refuse(id, &said, cause),
            },
            Next::Refuse(cause) => self.refuse(id, &said, cause),
            Next::Check { record, password, guess, claim, doomed } => {
                let Some(arrival) = self.arrivals.get_mut(&id) else { return };
                let inbox = self.parts.inbox.clone();
                let attempt = Attempt {
                    record,
                    identity: claim.as_ref().map(|claim| claim.known.identity.clone()),
                    password,
                    source: arrival.source,
                    begun: self.now.mono,
                    answer: Box::new(move |outcome| inbox.command(DoorMessage::Checked(id, outcome))),
                };
                match self.parts.shared.passwords.offer(attempt) {
                    Ok(()) => {
                        arrival.stage = Stage::Checking(Box::new(Candidate { said, guess, claim, doomed }));
                    }
                    Err(_) => self.refuse(id, &said, LoginCause::PasswordsWait),
                }
            }
        }
    }

    /// Goes on with a login whose password was checked.
    pub(super) fn conclude(&mut self, id: LinkId, outcome: Outcome) {
        let Some(arrival) = self.arrivals.get_mut(&id) else { return };
        let Stage::Checking(candidate) = std::mem::replace(&mut arrival.stage, Stage::Connect) else {
            return;
        };
        let Candidate { said, guess, claim, doomed } = *candidate;
        let entrance = arrival.origin.entrance.clone();
        let (known, attach) = claim.map(|claim| (claim.known, claim.attach)).unzip();
        if outcome == Outcome::TooLate {
            return self.refuse(id, &said, LoginCause::PasswordsWait);
        }
        let known = known.filter(|_| outcome == Outcome::Right);
        let checked = self.parts.shared.gate.checked(self.now.mono, &entrance, guess, known);
        let checked = checked.map_err(|cause| doomed.unwrap_or(cause));
        match (checked, attach) {
            (Ok(known), Some(Ok(attach))) => self.hand_over(id, &known, attach, &said),
            (Ok(_), Some(Err(cause))) | (Err(cause), _) => self.refuse(id, &said, cause),
            (Ok(_), None) => self.refuse(id, &said, LoginCause::UnknownName),
        }
    }

    /// Gives the link to its worker as one value.
    pub(super) fn hand_over(&mut self, id: LinkId, known: &Known, attach: Box<Attach>, said: &Said) {
        let Some(attach) = self.begin_succession(id, known, attach, said) else { return };
        let shared = self.parts.shared.clone();
        let Some(arrival) = self.arrivals.get_mut(&id) else { return };
        if let Err(bound) = arrival.counted.identify(self.now.mono, &known.identity) {
            let who = Offender::Identity(known.identity.clone());
            self.report_limit(who, bound.name(), bound.value(&shared.limits));
            return self.refuse(id, said, LoginCause::Crowded(bound));
        }
        if known.shown.spares_its_address() {
            arrival.counted.spare_source();
        }
        let Some(mut arrival) = self.remove(id) else { return };
        if self.parts.poll.registry().deregister(&mut arrival.socket).is_err() {
            return;
        }
        let (peer, origin, source) = (arrival.peer, arrival.origin.clone(), arrival.source);
        let shards = u16::try_from(shared.workers.len()).unwrap_or(u16::MAX);
        let shard = shard_of(&shared.hash_key, &known.identity, attach.client_id(), shards);
        let handover = Handover {
            socket: arrival.socket,
            transport: arrival.transport,
            connection: arrival.connection,
            method: arrival.method,
            plain: std::mem::take(&mut *arrival.plain),
            unsent: arrival.unsent,
            attach,
            counted: arrival.counted,
        };
        let weight = handover.weight();
        let message = WorkerMessage::Link(Box::new(handover));
        match shared.workers[usize::from(shard.0)].offer(self.parts.sender, weight, message) {
            Ok(()) => {
                shared.counts.login();
                if known.shown.spares_its_address() {
                    shared.bans.succeeded(self.now.mono, source);
                }
                self.report_logged_in(peer, &origin.listener, known, said);
            }
            Err(WorkerMessage::Link(handover)) => self.take_back(id, *handover, said),
            Err(_) => {}
        }
    }

    /// Tells a link that its worker has no room for it.
    pub(super) fn take_back(&mut self, id: LinkId, handover: Handover, said: &Said) {
        self.parts.shared.counts.login_failed();
        let Handover { mut socket, mut transport, mut unsent, counted, .. } = handover;
        if self.register(&mut socket, id).is_err() {
            return;
        }
        let mut farewell = Vec::new();
        let reason = reason_of(&LoginCause::WorkerBusy);
        Farewell::ConnAck(said.version, reason).encode(&mut farewell);
        if transport.seal(&farewell, &mut unsent).is_ok() {
            self.see_off(id, Parting::new(socket, unsent, self.linger(), counted));
        }
    }
}
