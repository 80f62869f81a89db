//! The first login by a certificate that renews another: the other one is taken away before the link is handed over, so that
//! it opens nothing from the moment on at which the device is known to have the new one.

use super::Door;
use super::DoorMessage;
use super::arrival::{Said, Stage};
use super::gate::Known;
use crate::plane::enrolment::{Application, Wish};
use keyward_broker::{Attach, LinkId};
use keyward_identity::PasswordRecord;

/// Is a login that waits for the end of an older certificate.
pub(crate) struct Succession {
    said: Said,
    known: Known,
    attach: Box<Attach>,
    /// The password that was checked, if it was one.
    password: Option<PasswordRecord>,
}

impl Door {
    /// Has the certificate taken away that the one renews by which this login came. Gives the login back if it renews none, or
    /// if that cannot be asked for now: then the older one lives until the next login.
    pub(super) fn begin_succession(
        &mut self,
        id: LinkId,
        known: &Known,
        attach: Box<Attach>,
        said: &Said,
    ) -> Option<Box<Attach>> {
        let (Some(serial), Some(applications)) = (&known.renewing, &self.parts.shared.applications) else {
            return Some(attach);
        };
        let Some(arrival) = self.arrivals.get_mut(&id) else { return Some(attach) };
        let inbox = self.parts.inbox.clone();
        let answer = move |answer| inbox.command(DoorMessage::Answered(id, answer));
        let wish = Wish::Succeed { serial: serial.clone() };
        if !applications.offer(Application::new(known.identity.clone(), arrival.peer, wish, answer)) {
            return Some(attach);
        }
        let (said, known) = (said.clone(), known.clone());
        let password = self.parts.shared.gate.password_of(&known);
        arrival.stage = Stage::Succeeding(Box::new(Succession { said, known, attach, password }));
        arrival.begun = self.now.mono;
        self.arm(id);
        None
    }

    /// Hands a link over that waited, under the epoch of now.
    pub(super) fn settle_succession(&mut self, id: LinkId) {
        let Some(arrival) = self.arrivals.get_mut(&id) else { return };
        let Stage::Succeeding(waiting) = std::mem::replace(&mut arrival.stage, Stage::Connect) else {
            return;
        };
        let Succession { said, known, attach, password } = *waiting;
        let entrance = arrival.origin.entrance.clone();
        match self.parts.shared.gate.succeeded(&entrance, known, password.as_ref()) {
            Ok(known) => {
                let attach = Box::new(attach.under(known.epoch));
                self.hand_over(id, &known, attach, &said);
            }
            Err(cause) => self.refuse(id, &said, cause),
        }
    }
}
