//! What rude clients do.

use super::World;
use crate::event::ClientNo;
use crate::packet::{Ack, Packet, Publish};
use keyward_mqtt::packet::{Qos, SubscribeOptions};
use keyward_mqtt::reason::ReasonCode;

/// A PINGREQ in bytes.
const PING: [u8; 2] = [0xC0, 0];

impl World {
    /// Has a rude client send something that has no place.
    pub(super) fn be_rude(&mut self, client: ClientNo) {
        if self.clients[client.0].setup().is_honest || !self.is_open(client) {
            return;
        }
        let id = self.dice.between(1, 30) as u16;
        let ack = Ack {
            id,
            reason: self.dice.one_of([
                ReasonCode::Success,
                ReasonCode::Success,
                ReasonCode::UnspecifiedError,
            ]),
        };
        let release = Ack { id, reason: ReasonCode::Success };
        let packet = match self.dice.below(9) {
            0 => Packet::PubAck(ack),
            1 => Packet::PubRec(ack),
            2 => Packet::PubRel(release),
            3 => Packet::PubComp(release),
            4 => return self.ping_without_reading(client),
            5 => {
                let filters = vec![(self.draw_nonsense(), SubscribeOptions::default())];
                Packet::Subscribe { id, subscription_id: None, filters }
            }
            6 => Packet::Unsubscribe { id, filters: vec![self.draw_nonsense()] },
            7 => {
                let message = self.draw_message(client);
                let id = (message.qos != Qos::AtMostOnce).then_some(id);
                let dup = id.is_some() && self.dice.chance(500);
                Packet::Publish(Publish { number: None, id, dup, expiry: None, ..message })
            }
            _ => return self.shout(client),
        };
        self.with(client, |client, desk| client.say_rudely(desk, packet));
    }

    /// Has a client ask again and again without reading an answer.
    fn ping_without_reading(&mut self, client: ClientNo) {
        self.set_reading(client, false);
        if let Some(link) = self.link_of(client) {
            self.narrow(link, 50);
        }
        let bytes = PING.repeat(500);
        self.with(client, |client, desk| client.shout(desk, "500 PINGREQ", &bytes));
    }

    fn draw_nonsense(&mut self) -> String {
        self.dice
            .one_of(["a/#/b", "$share//x", "$share/g/#/y", "+a", "x/+/y", "#", "$share/g/site/#"])
            .to_owned()
    }

    fn shout(&mut self, client: ClientNo) {
        let count = self.dice.between(1, 12);
        let bytes: Vec<u8> = (0..count).map(|_| self.dice.below(256) as u8).collect();
        self.with(client, |client, desk| client.shout(desk, &format!("bytes {bytes:02x?}"), &bytes));
    }
}
