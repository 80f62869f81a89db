//! Enhanced authentication at the door: from a CONNECT that names a method to the identity that it proves.

use super::Door;
use super::arrival::{Arrival, Said, Stage};
use super::connect::attach;
use crate::plane::authentication::{Method, Proof, Verdict, find};
use crate::plane::events::LoginCause;
use keyward_broker::{Attach, LinkId};
use keyward_ids::Identity;
use keyward_mqtt::codec::{self, Sender};
use keyward_mqtt::packet::{Packet, Version};
use std::sync::Arc;
use zeroize::Zeroizing;

/// Is a login that proves who it is step by step.
pub(crate) struct Proving {
    pub(crate) said: Said,
    method: Arc<dyn Method>,
    proof: Proof,
    /// The whole CONNECT, which is taken up again when its sender is known.
    pub(crate) connect: Zeroizing<Vec<u8>>,
}

impl Door {
    /// Begins what a CONNECT asks for that names a method.
    pub(super) fn begin_proof(
        &mut self,
        id: LinkId,
        said: Said,
        method: &str,
        data: Option<&[u8]>,
        connect: Zeroizing<Vec<u8>>,
    ) {
        let Some(method) = find(&self.parts.shared.methods, method).cloned() else {
            return self.refuse(id, &said, LoginCause::EnhancedAuthentication);
        };
        let proof = Proof::begin(&*method);
        self.advance_proof(id, Box::new(Proving { said, method, proof, connect }), data);
    }

    /// Takes a step with what the client sent.
    pub(super) fn advance_proof(&mut self, id: LinkId, mut proving: Box<Proving>, data: Option<&[u8]>) {
        match proving.proof.step(self.now, data) {
            Verdict::Challenge(challenge) => self.challenge(id, proving, &challenge),
            Verdict::Refused => self.refuse(id, &proving.said, LoginCause::NotProven),
            Verdict::Proven { identity, data } => {
                let attach = self.attach_proven(id, &proving, &identity, data.as_deref());
                match attach {
                    Ok((known, attach)) => {
                        if let Some(arrival) = self.arrivals.get_mut(&id) {
                            arrival.method = Some(proving.method);
                        }
                        self.hand_over(id, &known, attach, &proving.said);
                    }
                    Err(cause) => self.refuse(id, &proving.said, cause),
                }
            }
        }
    }

    fn challenge(&mut self, id: LinkId, proving: Box<Proving>, challenge: &[u8]) {
        let Some(arrival) = self.arrivals.get_mut(&id) else { return };
        if !say(arrival, challenge) {
            return drop(self.remove(id));
        }
        arrival.stage = Stage::Proving(proving);
        let has_more = !arrival.plain.is_empty();
        self.arm(id);
        if has_more {
            self.read_connect(id); // An answer that came early; steps have a bound.
        }
    }

    fn attach_proven(
        &self,
        id: LinkId,
        proving: &Proving,
        identity: &Identity,
        data: Option<&[u8]>,
    ) -> Result<(super::gate::Known, Box<Attach>), LoginCause> {
        let shared = &self.parts.shared;
        let arrival = self.arrivals.get(&id).ok_or(LoginCause::NotProven)?;
        let (chain, entrance) = (arrival.transport.peer_chain(), &arrival.origin.entrance);
        let known = shared.gate.admit_proven(self.now, entrance, chain, identity)?;
        let packet = codec::decode(Version::V5, Sender::Client, &proving.connect);
        let Packet::Connect(connect) = packet.map_err(LoginCause::Protocol)? else {
            return Err(LoginCause::NotProven); // Only a CONNECT was kept.
        };
        let attach = attach(id, &connect, &known, shared.client_id_bytes)?;
        Ok((known, Box::new(attach.authenticated_by(proving.method.name(), data))))
    }
}

/// Sends a challenge; false if that cannot be.
fn say(arrival: &mut Arrival, challenge: &[u8]) -> bool {
    let mut packet = Vec::new();
    arrival.connection.challenge(Some(challenge), &mut packet).is_ok()
        && arrival.transport.seal(&packet, &mut arrival.unsent).is_ok()
        && arrival.flush().is_ok()
}
