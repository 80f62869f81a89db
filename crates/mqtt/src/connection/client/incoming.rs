//! What the server sends, and what follows from it.

use super::session::Arrival;
use super::{
    ClientConnection, ClientError, ClientEvent, ClientStep, KeepAlive, Link, Naming, Offer, Request, Terms,
};
use crate::codec::{self, DecodeError, Sender, Violation, codes};
use crate::connection::{Framed, find_frame};
use crate::frame::PacketType;
use crate::packet::{Ack, ConnAck, Delivery, Disconnect, Packet, PacketId, Publish, Qos, SubAck, Version};
use crate::property::{AckProperties, DisconnectProperties};
use crate::reason::ReasonCode;
use crate::time::Millis;

type Outcome<'a> = Result<Option<ClientEvent<'a>>, ClientError>;

impl ClientConnection {
    /// Deals with the packet at the start of `input`.
    ///
    /// # Errors
    /// The server broke a rule, or takes less than what waits for it: send the output and close.
    pub fn handle<'a>(&'a mut self, now: Millis, input: &'a [u8]) -> Result<ClientStep<'a>, ClientError> {
        let (terms, is_open) = match &self.link {
            Link::Opening { terms, .. } => (*terms, false),
            Link::Open { terms, .. } => (*terms, true),
            Link::Down | Link::Ended => return Err(ClientError::NotConnected),
        };
        let framed =
            find_frame(terms.version, input, terms.packet_max, |kind| terms.check_order(is_open, kind));
        let (header, frame) = match framed {
            Ok(Framed::Incomplete { need }) => return Ok(ClientStep::Incomplete { need }),
            Ok(Framed::Complete { header, frame }) => (header, frame),
            Err(error) => return Err(self.give_up(ClientError::Server(error))),
        };
        let packet =
            codec::decode_framed(terms.version, Sender::Server, &header, frame).map_err(ClientError::Server);
        match packet.and_then(|packet| self.act(now, &terms, packet)) {
            Ok(event) => {
                let event = event.map(|event| match event {
                    ClientEvent::Message(publish) => ClientEvent::Message(self.aliases.resolve(publish)),
                    event => event,
                });
                Ok(ClientStep::Packet { event, size: frame.len() })
            }
            Err(error) => Err(self.give_up(error)),
        }
    }

    /// Ends the link; an open one of 5.0 with a DISCONNECT that says why.
    fn give_up(&mut self, error: ClientError) -> ClientError {
        if let Link::Open { terms, .. } = &self.link
            && terms.version.is_v5()
        {
            let reason = match error {
                ClientError::Server(error) => error.reason(),
                _ => ReasonCode::UnspecifiedError,
            };
            debug_assert!(codes::is_allowed(PacketType::Disconnect, Sender::Client, reason));
            let disconnect = Disconnect { reason, properties: DisconnectProperties::default() };
            let written = codec::encode(&Packet::Disconnect(disconnect), terms.version, &mut self.output);
            debug_assert!(written.is_ok(), "a packet without text always fits");
        }
        self.link = Link::Ended;
        error
    }

    fn act<'a>(&mut self, now: Millis, terms: &Terms, packet: Packet<'a>) -> Outcome<'a> {
        match packet {
            Packet::ConnAck(connack) => self.on_connack(now, terms, connack),
            Packet::Publish(publish) => self.on_publish(now, terms, publish),
            Packet::PubAck(ack) => Ok(self.on_finished(now, ack, Qos::AtLeastOnce)),
            Packet::PubRec(ack) => self.on_pubrec(now, ack),
            Packet::PubRel(ack) => self.on_pubrel(now, &ack),
            Packet::PubComp(ack) => Ok(self.on_pubcomp(now, ack)),
            Packet::SubAck(suback) => self.on_suback(suback),
            Packet::UnsubAck(unsuback) => self.on_unsuback(terms, unsuback),
            Packet::PingResp => {
                if let Link::Open { keep_alive, .. } = &mut self.link {
                    keep_alive.answered();
                }
                Ok(None)
            }
            Packet::Disconnect(disconnect) => {
                self.link = Link::Ended;
                Ok(Some(ClientEvent::Disconnected(disconnect)))
            }
            Packet::Auth(auth) => {
                let is_open = matches!(self.link, Link::Open { .. });
                let taken = self.authentication.receive(is_open, &auth);
                taken.map_err(|violation| violated(PacketType::Auth, violation))?;
                Ok(Some(ClientEvent::Auth(auth)))
            }
            Packet::Connect(_) | Packet::Subscribe(_) | Packet::Unsubscribe(_) | Packet::PingReq => {
                Err(violated(packet.kind(), Violation::WrongSender))
            }
        }
    }

    fn on_connack<'a>(&mut self, now: Millis, terms: &Terms, connack: ConnAck<'a>) -> Outcome<'a> {
        if connack.reason.is_failure() {
            self.link = Link::Ended;
            return Ok(Some(ClientEvent::Refused(connack)));
        }
        // [MQTT-3.2.2-2]: after a clean start there is no session to be present.
        if connack.session_present && terms.clean_start {
            return Err(violated(PacketType::ConnAck, Violation::SessionPresent));
        }
        let settled = self.authentication.settle(&connack);
        settled.map_err(|violation| violated(PacketType::ConnAck, violation))?;
        let offer = Offer::of(&connack);
        let keep_alive_secs = connack.properties.server_keep_alive.unwrap_or(terms.keep_alive_secs);
        let keep_alive = KeepAlive::new(now, keep_alive_secs);
        self.naming = Naming::new(offer.topic_alias_max.min(self.limits.topic_alias_out_max));
        self.link = Link::Open { terms: *terms, offer, keep_alive };
        // 3.1 does not tell: the session is taken to be there unless it was to begin anew.
        let is_present = match terms.version {
            Version::V31 => !terms.clean_start,
            Version::V311 | Version::V5 => connack.session_present,
        };
        let discarded = if is_present { Default::default() } else { self.session.discard() };
        self.session.publishes().try_for_each(|publish| offer.check_stored(publish))?;
        self.resume(now)?;
        Ok(Some(ClientEvent::Connected { connack, discarded }))
    }

    /// Sends again what the last link left without an answer, in the order of old [MQTT-4.4.0-1], [MQTT-4.6.0-1].
    fn resume(&mut self, now: Millis) -> Result<(), ClientError> {
        let releases: alloc::vec::Vec<_> = self.session.releases().collect();
        for id in releases {
            self.send(now, &Packet::PubRel(ack(id, ReasonCode::Success)))?;
        }
        self.send_waiting(now);
        Ok(())
    }

    fn on_publish<'a>(&mut self, now: Millis, terms: &Terms, publish: Publish<'a>) -> Outcome<'a> {
        let noted = self.aliases.note(terms.topic_alias_max, &publish);
        noted.map_err(|violation| violated(PacketType::Publish, violation))?;
        match publish.delivery {
            Delivery::AtMostOnce => {}
            Delivery::AtLeastOnce(id) => self.send(now, &Packet::PubAck(ack(id, ReasonCode::Success)))?,
            Delivery::ExactlyOnce(id) => {
                let arrival = self.session.receive(id, terms.receive_max);
                if let Arrival::TooMany = arrival {
                    return Err(violated(PacketType::Publish, Violation::ReceiveMaximum));
                }
                self.send(now, &Packet::PubRec(ack(id, ReasonCode::Success)))?;
                if let Arrival::Repeated = arrival {
                    return Ok(None);
                }
            }
        }
        Ok(Some(ClientEvent::Message(publish)))
    }

    /// Ends an exchange. An acknowledgement that fits none is passed over: after a lost session it is no fault.
    fn on_finished<'a>(&mut self, now: Millis, ack: Ack<'a>, qos: Qos) -> Option<ClientEvent<'a>> {
        if !self.session.finish(ack.id, qos) {
            return None;
        }
        self.send_waiting(now);
        Some(ClientEvent::Published(ack))
    }

    fn on_pubrec<'a>(&mut self, now: Millis, pubrec: Ack<'a>) -> Outcome<'a> {
        if pubrec.reason.is_failure() {
            return Ok(self.on_finished(now, pubrec, Qos::ExactlyOnce));
        }
        let reason = match self.session.release(pubrec.id) {
            true => ReasonCode::Success,
            false => ReasonCode::PacketIdentifierNotFound,
        };
        self.send(now, &Packet::PubRel(ack(pubrec.id, reason)))?;
        Ok(None)
    }

    fn on_pubrel<'a>(&mut self, now: Millis, pubrel: &Ack<'a>) -> Outcome<'a> {
        let reason = match self.session.released(pubrel.id) {
            true => ReasonCode::Success,
            false => ReasonCode::PacketIdentifierNotFound,
        };
        self.send(now, &Packet::PubComp(ack(pubrel.id, reason)))?;
        Ok(None)
    }

    fn on_pubcomp<'a>(&mut self, now: Millis, pubcomp: Ack<'a>) -> Option<ClientEvent<'a>> {
        if !self.session.complete(pubcomp.id) {
            return None;
        }
        self.send_waiting(now);
        Some(ClientEvent::Published(pubcomp))
    }

    fn on_suback<'a>(&mut self, suback: SubAck<'a>) -> Outcome<'a> {
        // [MQTT-3.8.4-6]: a code for each filter.
        let answers = Request::Subscribe(suback.reasons.iter().count());
        if self.requests.get(&suback.id) != Some(&answers) {
            return Err(violated(PacketType::SubAck, Violation::Unasked));
        }
        self.end_request(suback.id);
        Ok(Some(ClientEvent::Subscribed(suback)))
    }

    fn on_unsuback<'a>(&mut self, terms: &Terms, unsuback: SubAck<'a>) -> Outcome<'a> {
        let codes = unsuback.reasons.iter().count();
        let is_answer = match self.requests.get(&unsuback.id) {
            Some(Request::Unsubscribe(filters)) => !terms.version.is_v5() || codes == *filters,
            _ => false,
        };
        if !is_answer {
            return Err(violated(PacketType::UnsubAck, Violation::Unasked));
        }
        self.end_request(unsuback.id);
        Ok(Some(ClientEvent::Unsubscribed(unsuback)))
    }

    fn end_request(&mut self, id: PacketId) {
        self.requests.remove(&id);
        self.session.give_back(id);
    }
}

fn ack(id: PacketId, reason: ReasonCode) -> Ack<'static> {
    Ack { id, reason, properties: AckProperties::default() }
}

fn violated(packet: PacketType, violation: Violation) -> ClientError {
    ClientError::Server(DecodeError { packet: Some(packet), violation })
}
