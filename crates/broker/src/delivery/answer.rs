//! Answers to a client's packets, in the order of these packets, each not before what it asserts is true (rule 14).

use super::{Delivery, Pressure};
use crate::limits;
use crate::link::{Answer, Held, Wait, Welcome};
use crate::output::{CloseCause, Output};
use crate::ratchet::RATCHET_TOPIC;
use crate::replay::{Replay, ReplayOrder};
use crate::verified::{NONCE_PROPERTY, NONCE_TOPIC};
use core::num::NonZeroU32;
use keyward_envelope::Nonce;
use keyward_mqtt::packet::{
    Ack, ConnAck, Delivery as Exchange, Packet, PacketId, Publish, ReasonCodes, SubAck,
};
use keyward_mqtt::property::{
    AckProperties, ConnAckProperties, PublishProperties, SubscriptionIds, UserProperties,
};
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::topic::TopicName;
use keyward_policy::Rights;

impl Delivery<'_> {
    /// Answers a packet, at once or when what it waits for has come and all answers before it have left.
    pub(crate) fn answer(&mut self, wait: Wait, answer: Answer) {
        let has_come = self.has_come(wait);
        let Some(link) = self.session.link.as_deref_mut() else { return };
        if link.held.is_empty() && has_come {
            return self.complete(answer);
        }
        let is_short = self.terms.pressure == Pressure::Critical;
        let is_full = link.held.len() >= limits::HELD_ANSWERS;
        if is_full || (is_short && link.held_bytes > self.terms.limits.outbox_bytes) {
            return self.out.doom(link.id, CloseCause::NotReading, Some(ReasonCode::QuotaExceeded));
        }
        if link.held.is_empty() {
            self.out.holding.insert((wait.ticket, self.at), ());
        }
        let held = Held { wait, answer };
        link.held_bytes += held.weight();
        link.held.push_back(held);
    }

    /// Lets go of the answers whose time has come.
    pub(crate) fn release_answers(&mut self) {
        if let Some(first) = self.first_held() {
            self.out.holding.remove(&(first.ticket, self.at));
        }
        while let Some(first) = self.first_held()
            && self.has_come(first)
            && let Some(link) = self.session.link.as_deref_mut()
            && let Some(held) = link.held.pop_front()
        {
            link.held_bytes = link.held_bytes.saturating_sub(held.weight());
            self.complete(held.answer);
        }
        if let Some(first) = self.first_held() {
            self.out.holding.insert((first.ticket, self.at), ());
        }
    }

    /// Tells whether that for which an answer waits has come.
    fn has_come(&self, wait: Wait) -> bool {
        let progress = self.terms.progress;
        wait.ticket <= progress.committed
            && wait.interest <= progress.settled
            && self.session.shares.are_answered(wait.joined)
    }

    fn first_held(&self) -> Option<Wait> {
        self.session.link.as_ref()?.held.front().map(|held| held.wait)
    }

    /// Writes an answer and does what follows it.
    fn complete(&mut self, answer: Answer) {
        self.write_answer(&answer);
        match answer {
            Answer::ConnAck(welcome) => {
                if let Some(link) = self.session.link.as_deref_mut() {
                    link.established = true;
                    let keep_alive = welcome.keep_alive;
                    self.out.say(Output::Established { link: link.id, keep_alive });
                }
                self.pump();
            }
            Answer::SubAck(_, _, orders) if !orders.is_empty() => {
                for order in orders {
                    // It may be unsubscribed again already: its SUBACK waited [MQTT-3.10.4-2].
                    if self.session.filters.contains(&order.filter) {
                        self.begin_replay(order);
                    }
                }
                self.pump();
            }
            _ => {}
        }
    }

    fn begin_replay(&mut self, order: ReplayOrder) {
        if let Some(older) = self.session.replays.iter().position(|replay| replay.is_of(&order.filter))
            && let Some(older) = self.session.replays.remove(older)
        {
            self.release_held(older.into_held());
        }
        self.session.replays_begun += 1;
        let replay = Replay::new(self.session.replays_begun, order, self.terms.hash_key);
        self.session.replays.push_back(replay);
    }

    /// Answers PINGREQ [MQTT-3.12.4-1].
    pub(crate) fn pong(&mut self) {
        self.write_packet(&Packet::PingResp);
    }

    pub(super) fn write_answer(&mut self, answer: &Answer) {
        self.count_finished(answer);
        match answer {
            Answer::ConnAck(welcome) => self.write_welcome(welcome),
            Answer::PubAck(id, reason) => self.write_ack(Packet::PubAck, *id, *reason),
            Answer::PubRec(id, reason) => self.write_ack(Packet::PubRec, *id, *reason),
            Answer::PubRel(id, reason) => self.write_ack(Packet::PubRel, *id, *reason),
            Answer::PubComp(id, reason) => self.write_ack(Packet::PubComp, *id, *reason),
            Answer::SubAck(id, reasons, _) => self.write_sub_ack(Packet::SubAck, *id, reasons),
            Answer::UnsubAck(id, reasons) => self.write_sub_ack(Packet::UnsubAck, *id, reasons),
            Answer::Nonce(id) => self.write_nonce(*id),
            Answer::Ratchet(told) => self.write_ratchet(told.as_deref()),
        }
    }

    /// Counts a message of the client that this answer finishes, for the receive maximum.
    fn count_finished(&mut self, answer: &Answer) {
        let finishes = match answer {
            Answer::PubAck(..) | Answer::PubComp(..) => true,
            Answer::PubRec(_, reason) => reason.is_failure(),
            _ => false,
        };
        if let (true, Some(link)) = (finishes, self.session.link.as_deref_mut()) {
            link.unfinished = link.unfinished.saturating_sub(1);
        }
    }

    fn write_ack(
        &mut self,
        packet: impl Fn(Ack<'static>) -> Packet<'static>,
        id: PacketId,
        reason: ReasonCode,
    ) {
        self.write_explained(Some(reason), |properties| packet(Ack { id, reason, properties }));
    }

    fn write_sub_ack<'r>(
        &mut self,
        packet: impl Fn(SubAck<'r>) -> Packet<'r>,
        id: PacketId,
        reasons: &'r [ReasonCode],
    ) {
        let first_failure = reasons.iter().copied().find(|reason| reason.is_failure());
        let reasons = ReasonCodes::List(reasons);
        self.write_explained(first_failure, |properties| packet(SubAck { id, properties, reasons }));
    }

    /// Writes an acknowledgement, with the reason in words if the client wants to have it [MQTT-3.1.2-29] and takes a
    /// packet of that size [MQTT-3.4.2-2].
    fn write_explained<'r>(
        &mut self,
        reason: Option<ReasonCode>,
        packet: impl Fn(AckProperties<'static>) -> Packet<'r>,
    ) {
        let wanted = self.session.link.as_ref().is_some_and(|link| link.problem_information);
        let in_quarantine = self.entitled.rights.is_some_and(Rights::is_quarantined);
        let words = |reason| reason_string(reason, in_quarantine);
        let reason_string = reason.filter(|_| wanted).and_then(words);
        let wordy = packet(AckProperties { reason_string, ..AckProperties::default() });
        let packet = if self.fits(&wordy) { wordy } else { packet(AckProperties::default()) };
        self.write_packet(&packet);
    }

    /// Says the nonce of the link on its topic.
    fn write_nonce(&mut self, id: Option<NonZeroU32>) {
        let Some(nonce) = self.session.link.as_deref().and_then(|link| link.nonce) else { return };
        self.write_own(NONCE_TOPIC, &digits(&nonce), id);
    }

    /// Says on its topic what concerns the rolling secret: the nonce, or what came of the answer.
    fn write_ratchet(&mut self, told: Option<&str>) {
        let Some(link) = self.session.link.as_deref() else { return };
        let (Some(nonce), Some(turn)) = (link.nonce, link.ratchet) else { return };
        match told {
            Some(told) => self.write_own(RATCHET_TOPIC, told, turn.subscription),
            None => self.write_own(RATCHET_TOPIC, &format!("nonce {}", digits(&nonce)), turn.subscription),
        }
    }

    /// Writes what concerns this link alone, as a message that nobody published.
    fn write_own(&mut self, topic: &str, text: &str, id: Option<NonZeroU32>) {
        let ids = id.map(|id| [id]);
        let properties = PublishProperties {
            subscription_ids: ids.as_ref().map_or(SubscriptionIds::None, |ids| SubscriptionIds::List(ids)),
            ..PublishProperties::default()
        };
        self.write_packet(&Packet::Publish(Publish {
            dup: false,
            delivery: Exchange::AtMostOnce,
            retain: false,
            topic: TopicName::parse(topic).ok(),
            properties,
            payload: text.as_bytes(),
        }));
    }

    fn write_welcome(&mut self, welcome: &Welcome) {
        let limits = self.terms.limits;
        let nonce = welcome.nonce.as_ref().map(digits);
        let user = nonce.as_ref().map(|nonce| [(NONCE_PROPERTY, nonce.as_str())]);
        let properties = ConnAckProperties {
            session_expiry: welcome.session_expiry,
            receive_maximum: Some(limits.receive_maximum),
            maximum_packet_size: NonZeroU32::new(limits.packet_bytes),
            topic_alias_maximum: Some(limits.topic_alias_max).filter(|most| *most > 0),
            assigned_client_id: welcome.assigned_client_id.as_deref(),
            server_keep_alive: welcome.keep_alive_is_ours.then_some(welcome.keep_alive),
            shared_subscription_available: Some(true),
            authentication_method: welcome.authenticated.as_ref().map(|proven| &*proven.method),
            authentication_data: welcome.authenticated.as_ref().and_then(|proven| proven.data.as_deref()),
            user: user.as_ref().map_or(UserProperties::None, |user| UserProperties::List(user)),
            ..ConnAckProperties::default()
        };
        let (session_present, reason) = (welcome.session_present, ReasonCode::Success);
        let packet = |properties| Packet::ConnAck(ConnAck { session_present, reason, properties });
        // A client that takes no packet of this size asks for its nonce [MQTT-3.2.2-19].
        let wordy = packet(properties.clone());
        let fits = self.fits(&wordy);
        let bare = packet(ConnAckProperties { user: UserProperties::None, ..properties });
        self.write_packet(if fits { &wordy } else { &bare });
    }
}

/// Writes a nonce as hexadecimal digits.
fn digits(nonce: &Nonce) -> String {
    nonce.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Says in words what a client did not get. Which rule decided is not told to peers; `keyward denials` shows it.
fn reason_string(reason: ReasonCode, in_quarantine: bool) -> Option<&'static str> {
    match reason {
        // A device that stores and forwards keeps what it has, and stops sending until it is connected anew.
        ReasonCode::NotAuthorized if in_quarantine => Some("quarantined"),
        ReasonCode::NotAuthorized => Some("not allowed by the broker's rules"),
        ReasonCode::QuotaExceeded => Some("a limit of the broker is reached"),
        ReasonCode::TopicFilterInvalid => Some("not a valid topic filter"),
        ReasonCode::PacketIdentifierInUse => Some("the packet identifier is in use"),
        _ => None,
    }
}
