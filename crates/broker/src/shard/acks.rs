//! A client acknowledges what it was sent, or goes on with what it publishes.

use super::Shard;
use crate::delivery::Delivery;
use crate::group::Outcome;
use crate::link::{Answer, Wait};
use crate::outbound::Stage;
use crate::session::{Inbound, Session};
use keyward_mqtt::packet::{PacketId, Qos, Version};
use keyward_mqtt::reason::ReasonCode;

impl Shard {
    /// The client has a QoS 1 message.
    pub(super) fn pub_ack(&mut self, slot: u32, id: PacketId) {
        match self.stage(slot, id) {
            Some(Waits::Puback) => self.finish(slot, id),
            Some(Waits::Pubrec | Waits::Pubcomp) => self.violation(slot, ReasonCode::ProtocolError),
            // Of a message that was dropped meanwhile.
            None => {}
        }
    }

    /// The client has a QoS 2 message, or does not want it.
    pub(super) fn pub_rec(&mut self, slot: u32, id: PacketId, reason: ReasonCode) {
        match self.stage(slot, id) {
            Some(Waits::Pubrec) if reason.is_failure() => self.finish(slot, id),
            Some(Waits::Pubrec | Waits::Pubcomp) => {
                let wait = self.wait_to_exchange(slot);
                self.deliver(slot, |delivery| delivery.received(id));
                self.answer(slot, wait, Answer::PubRel(id, ReasonCode::Success));
            }
            Some(Waits::Puback) => self.violation(slot, ReasonCode::ProtocolError),
            None if reason.is_failure() => {}
            None => {
                let reason = self.not_found(slot);
                self.answer(slot, Wait::default(), Answer::PubRel(id, reason));
            }
        }
    }

    /// The client has done with a QoS 2 message that it was sent.
    pub(super) fn pub_comp(&mut self, slot: u32, id: PacketId) {
        match self.stage(slot, id) {
            Some(Waits::Pubcomp) => self.finish(slot, id),
            Some(Waits::Puback | Waits::Pubrec) => self.violation(slot, ReasonCode::ProtocolError),
            None => {}
        }
    }

    /// The client lets go of the packet id of a QoS 2 message that it published.
    pub(super) fn pub_rel(&mut self, slot: u32, id: PacketId) {
        let Some(session) = self.sessions.get(slot as usize) else { return };
        match session.inbound.get(&id.0.get()) {
            Some(Inbound { waits_for: None, .. }) => {
                self.forget_inbound(slot, id);
                let wait = self.wait_to_exchange(slot);
                self.answer(slot, wait, Answer::PubComp(id, ReasonCode::Success));
            }
            // PUBREC was not sent: there is nothing that it could answer.
            Some(Inbound { waits_for: Some(_), .. }) => self.violation(slot, ReasonCode::ProtocolError),
            None => {
                let reason = self.not_found(slot);
                self.answer(slot, Wait::default(), Answer::PubComp(id, reason));
            }
        }
    }

    /// Returns what the answer waits for to a packet that ends a part of an exchange of QoS 2. On a later link CONNACK
    /// waits for it, and so does all that says the same there.
    fn wait_to_exchange(&mut self, slot: u32) -> Wait {
        let is_stored = self.sessions.get(slot as usize).is_some_and(Session::is_stored);
        let wait = self.wait_if(is_stored);
        if let Some(session) = self.sessions.get_mut(slot as usize) {
            session.exchanged = session.exchanged.max(wait.ticket);
        }
        wait
    }

    fn stage(&self, slot: u32, id: PacketId) -> Option<Waits> {
        let outbound = &self.sessions.get(slot as usize)?.outbound;
        match &outbound.flight(outbound.find(id)?)?.stage {
            Stage::Sent(parcel) if parcel.qos == Qos::ExactlyOnce => Some(Waits::Pubrec),
            Stage::Sent(_) => Some(Waits::Puback),
            Stage::Received => Some(Waits::Pubcomp),
        }
    }

    fn finish(&mut self, slot: u32, id: PacketId) {
        self.deliver(slot, |delivery| delivery.finished(id));
    }

    /// Returns the code for an unknown packet id; only 5.0 has one.
    fn not_found(&self, slot: u32) -> ReasonCode {
        match self.sessions.get(slot as usize).map(|session| session.version()) {
            Some(Version::V31 | Version::V311) | None => ReasonCode::Success,
            Some(Version::V5) => ReasonCode::PacketIdentifierNotFound,
        }
    }
}

/// Says for what an exchange waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waits {
    Puback,
    Pubrec,
    Pubcomp,
}

impl Delivery<'_> {
    /// Lets go of a message that has arrived; its packet id stays in use.
    fn received(&mut self, id: PacketId) {
        if let Some(index) = self.session.outbound.find(id) {
            self.session.outbound.receive(index);
            self.session.outbound.mark_sent(index);
        }
    }

    /// Ends an exchange and sends what waited for it.
    fn finished(&mut self, id: PacketId) {
        let index = self.session.outbound.find(id);
        if let Some(loan) = index.and_then(|index| self.session.outbound.finish(index)) {
            self.settle_loan(loan, Outcome::Done);
        }
        self.pump();
    }
}
