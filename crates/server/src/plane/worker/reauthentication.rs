//! Another authentication on an open link (MQTT 5.0, chapter 4.12.1). Packets go on meanwhile; who the client is
//! cannot change by it.

use super::Worker;
use super::link::Link;
use crate::plane::authentication::{Proof, Verdict};
use keyward_broker::{Input, LinkId};
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::time::Now;

/// Says that a client did not prove again who it is.
struct NotProven;

impl Worker {
    /// Takes a step with what an AUTH brought. A link whose client proves nothing, or somebody else, is closed
    /// [MQTT-4.12.1-2].
    pub(super) fn reauthenticate(&mut self, id: LinkId, data: Option<&[u8]>) {
        let now = self.now;
        let Some(link) = self.links.get_mut(&id) else { return };
        match link.prove(now, data) {
            Ok(()) => self.dirty.push(id),
            Err(NotProven) => {
                let farewell = link.farewell(ReasonCode::NotAuthorized);
                self.close_with(id, farewell);
                self.handle(Input::Lost { link: id });
            }
        }
    }
}

impl Link {
    fn prove(&mut self, now: Now, data: Option<&[u8]>) -> Result<(), NotProven> {
        let method = self.method.clone().ok_or(NotProven)?;
        let mut proof = self.proof.take().unwrap_or_else(|| Proof::begin(&*method));
        let mut packet = Vec::new();
        let answered = match proof.step(now, data) {
            Verdict::Challenge(challenge) => {
                self.proof = Some(proof);
                self.connection.challenge(Some(&challenge), &mut packet)
            }
            Verdict::Proven { identity, data } if identity == self.identity => {
                self.connection.reauthenticated(data.as_deref(), &mut packet)
            }
            Verdict::Proven { .. } | Verdict::Refused => return Err(NotProven),
        };
        answered.map_err(|_| NotProven)?;
        self.transport.seal(&packet, &mut self.unsent).map_err(|_| NotProven)
    }
}
