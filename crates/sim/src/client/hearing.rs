//! What a client does with what it hears.

use super::memory::Stage;
use super::{Client, Desk};
use crate::event::What;
use crate::packet::{Ack, Packet, Publish};
use keyward_mqtt::packet::{Qos, Version};
use keyward_mqtt::reason::ReasonCode;

impl Client {
    pub(super) fn hear(&mut self, desk: &mut Desk<'_>, packet: Packet) {
        let Some(line) = &self.line else { return };
        let (client, link) = (self.no, line.id);
        desk.log.say(What::Hears { client, link, packet: packet.clone() });
        match packet {
            Packet::ConnAck { session_present, reason, terms } => match reason {
                ReasonCode::Success => {
                    if let Some(line) = &mut self.line {
                        line.accept_terms(terms.receive_maximum, terms.topic_alias_maximum);
                        line.is_open = true;
                    }
                    self.resume(desk, session_present);
                }
                _ => self.break_link(desk),
            },
            Packet::Publish(publish) => self.hear_publish(&publish),
            Packet::PubAck(Ack { id, .. }) => {
                self.memory.outgoing.retain(|out| out.id != id || out.publish.qos != Qos::AtLeastOnce);
            }
            Packet::PubRec(ack) => self.hear_pub_rec(ack),
            Packet::PubRel(Ack { id, .. }) => self.owe(Packet::PubComp(success(id))),
            Packet::PubComp(Ack { id, .. }) => {
                self.memory.outgoing.retain(|out| out.id != id || out.stage != Stage::Released);
            }
            Packet::SubAck { id, .. } | Packet::UnsubAck { id, .. } => {
                self.memory.asking.remove(&id);
            }
            Packet::Disconnect { .. } => self.break_link(desk),
            _ => {}
        }
    }

    fn owe(&mut self, packet: Packet) {
        if let Some(line) = &mut self.line {
            line.owe(packet);
        }
    }

    fn hear_publish(&mut self, publish: &Publish) {
        let Some(id) = publish.id else { return };
        if publish.qos == Qos::ExactlyOnce {
            self.memory.incoming.insert(id);
            self.owe(Packet::PubRec(success(id)));
        } else {
            self.owe(Packet::PubAck(success(id)));
        }
    }

    fn hear_pub_rec(&mut self, Ack { id, reason }: Ack) {
        let Some(out) = self.memory.find(id).filter(|out| out.publish.qos == Qos::ExactlyOnce) else {
            return;
        };
        if reason.is_failure() {
            return self.memory.finish(id);
        }
        if out.stage == Stage::Sent {
            out.stage = Stage::Received;
            self.owe(Packet::PubRel(success(id)));
        }
    }

    /// Goes on where the last link ended: what was not acknowledged is sent again in its order [MQTT-4.4.0-1]. A new
    /// session begins with nothing.
    fn resume(&mut self, desk: &mut Desk<'_>, session_present: bool) {
        let Some(line) = &self.line else { return };
        let (link, clean) = (line.id, line.asked_for_new_session());
        // 3.1 does not say whether there was a session: whoever did not ask for a new one goes on with the old.
        let is_resumed = session_present || self.setup.version == Version::V31;
        if !is_resumed || clean {
            return self.memory.begin_anew();
        }
        self.memory.asking.clear();
        let mut again = Vec::new();
        for out in &mut self.memory.outgoing {
            match out.stage {
                Stage::Sent => {
                    out.link = link;
                    again.push(Ok((Publish { dup: true, ..out.publish.clone() }, out.payload.clone())));
                }
                Stage::Received | Stage::Released => again.push(Err(out.id)),
            }
        }
        for repeated in again {
            match repeated {
                Ok((publish, payload)) => self.send_publish(desk, publish, &payload),
                Err(id) => {
                    self.memory.release(id, link);
                    self.say_plain(desk, Packet::PubRel(success(id)));
                }
            }
        }
    }
}

fn success(id: u16) -> Ack {
    Ack { id, reason: ReasonCode::Success }
}
