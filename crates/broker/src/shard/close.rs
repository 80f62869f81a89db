//! Links end, and what follows for their sessions.

use super::Shard;
use super::timers::Timer;
use crate::attach::LinkId;
use crate::link::Link;
use crate::outbox::Outbox;
use crate::output::{CloseCause, Output};
use crate::session::Lifetime;
use keyward_mqtt::codec;
use keyward_mqtt::packet::{Disconnect, Packet, Version};
use keyward_mqtt::property::DisconnectProperties;
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::time::Millis;

impl Shard {
    /// Takes note that a link is gone; its client did not say goodbye.
    pub(super) fn lost(&mut self, link: LinkId) {
        if let Some(slot) = self.by_link.get(&link).copied() {
            self.detach(slot);
            self.leave(slot, true);
        }
    }

    /// Ends the link of a session. Answers that waited are dropped. What becomes of the session is for
    /// [`Shard::leave`] to say, or for a takeover.
    pub(super) fn cut(&mut self, slot: u32, cause: CloseCause, farewell: Option<ReasonCode>, flush: bool) {
        let Some(link) = self.detach(slot) else { return };
        let Link { id, version, maximum_packet_size, mut outbox, .. } = *link;
        if let (Some(reason), Version::V5) = (farewell, version) {
            say_goodbye(&mut outbox, reason, maximum_packet_size);
        }
        self.out.say(Output::Close { link: id, cause, last: flush.then_some(outbox) });
    }

    fn detach(&mut self, slot: u32) -> Option<Box<Link>> {
        let at = self.session_ref(slot)?;
        self.deliver(slot, |delivery| delivery.part_from_groups());
        let session = self.sessions.get_mut(slot as usize)?;
        let (resident, link) = (session.resident, session.link.take()?);
        self.by_link.remove(&link.id);
        if let Some(first) = link.held.front() {
            self.out.holding.remove(&(first.wait.ticket, at));
        }
        self.out.outbox_bytes = self.out.outbox_bytes.saturating_sub(link.waiting_bytes());
        self.out.outbox_packets = self.out.outbox_packets.saturating_sub(link.waiting_packets);
        self.clear_outbox(resident, link.waiting_bytes());
        self.weigh(slot);
        Some(link)
    }

    /// Does what follows for a session whose link has ended: its will is due, and its own time begins to run.
    pub(super) fn leave(&mut self, slot: u32, fire_will: bool) {
        if !fire_will {
            self.drop_will(slot);
        }
        let Some(session) = self.sessions.get(slot as usize) else { return };
        let delay = session.will.as_ref().map(|will| Millis::from_secs(u64::from(will.delay)));
        match session.lifetime {
            Lifetime::WithLink => {
                self.fire_will(slot);
                self.end_session(slot);
            }
            Lifetime::After(span) => {
                let Some(at) = self.session_ref(slot) else { return };
                self.let_all_go(slot);
                self.record_session(slot, Some(self.now.wall));
                self.set_timer(at, self.now.mono.saturating_add(span), Timer::Expiry);
                match delay {
                    Some(delay) if delay > Millis::ZERO => {
                        // The end of the session cuts the delay short [MQTT-3.1.3-9].
                        let due = self.now.mono.saturating_add(delay.min(span));
                        self.record_will(slot, Some(due));
                        self.set_timer(at, due, Timer::Will);
                    }
                    Some(_) => self.fire_will(slot),
                    None => {}
                }
            }
        }
    }
}

/// Appends a DISCONNECT of 5.0, with the code in words where the client takes a packet of that size [MQTT-3.14.2-3].
fn say_goodbye(outbox: &mut Outbox, reason: ReasonCode, room: usize) {
    let goodbye = |reason_string| {
        let properties = DisconnectProperties { reason_string, ..DisconnectProperties::default() };
        Packet::Disconnect(Disconnect { reason, properties })
    };
    let wordy = goodbye(Some(reason.as_str()));
    let fits = codec::encoded_len(&wordy, Version::V5).is_ok_and(|len| len <= room);
    let packet = if fits { wordy } else { goodbye(None) };
    // What cannot be encoded is left out: this can.
    let _ = outbox.push_with(|bytes| codec::encode(&packet, Version::V5, bytes));
}
