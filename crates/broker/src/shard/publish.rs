//! A client publishes: decide, then route, then answer.

use super::Shard;
use super::commit::Pending;
use crate::bound::Bound;
use crate::delivery::Pressure;
use crate::input::Storage;
use crate::limits;
use crate::link::{Answer, Wait};
use crate::message::{Draft, Message, deadline};
use crate::output::{CloseCause, Denial, DeniedAction, Notice, Output, Signed};
use crate::permit::{self, Permit, Topic};
use crate::ratchet::RATCHET_TOPIC;
use crate::session::{Inbound, Session};
use crate::verified;
use keyward_ids::Kind;
use keyward_mqtt::packet::{Delivery as Exchange, PacketId, Publish, Version};
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::topic::TopicName;
use keyward_policy::Action;
use std::sync::Arc;

impl Shard {
    pub(super) fn publish(&mut self, slot: u32, publish: &Publish<'_>) {
        self.accept_publish(slot, publish);
        // With an answer the session was weighed then.
        if publish.delivery.id().is_none() {
            self.weigh(slot);
        }
    }

    fn accept_publish(&mut self, slot: u32, publish: &Publish<'_>) {
        // The connection has put the topic in the place of an alias.
        let Some(topic) = publish.topic else { return self.violation(slot, ReasonCode::TopicAliasInvalid) };
        self.stats.received += 1;
        self.stats.received_payload += publish.payload.len() as u64;
        if let Exchange::ExactlyOnce(id) = publish.delivery
            && self.repeats(slot, id, self.digest(publish))
        {
            return;
        }
        if publish.delivery.id().is_some() && !self.count_unfinished(slot) {
            self.notice_limit(slot, Bound::ReceiveMaximum);
            return self.violation(slot, ReasonCode::ReceiveMaximumExceeded);
        }
        if let Some(bound) = self.topic_bound(topic.as_str()) {
            self.notice_limit(slot, bound);
            return self.refuse_publish(slot, publish.delivery, ReasonCode::TopicNameInvalid);
        }
        if topic.as_str() == RATCHET_TOPIC && self.take_ratchet_answer(slot, publish.payload) {
            return self.refuse_publish(slot, publish.delivery, ReasonCode::Success);
        }
        let Some(permit) = self.permit_publish(slot, topic) else {
            self.deny(slot, DeniedAction::Publish, topic);
            return self.refuse_publish(slot, publish.delivery, ReasonCode::NotAuthorized);
        };
        if publish.delivery.id().is_some() {
            if self.pressure() == Pressure::Critical {
                return self.refuse_for_memory(slot, publish.delivery);
            }
            if self.storage != Storage::Open && self.would_store(slot, topic, publish) {
                return self.refuse_for_storage(slot, publish.delivery);
            }
        }
        if self.is_looked_at(slot, topic) {
            // One of QoS 0 would wait in memory too, and no acknowledgement slows its publisher down.
            return match publish.delivery.id().is_none() && self.pressure() == Pressure::Critical {
                true => self.notice_no_memory(slot),
                false => self.examine(slot, topic, publish),
            };
        }
        let Some(message) = self.draft(slot, topic, publish) else {
            return self.violation(slot, ReasonCode::MalformedPacket);
        };
        self.take_publish(slot, permit, message, publish.delivery);
    }

    /// Takes a message that is permitted, and answers it.
    pub(super) fn take_publish(
        &mut self,
        slot: u32,
        permit: Permit<permit::Publish>,
        message: Arc<Message>,
        delivery: Exchange,
    ) {
        self.tell_watch(slot, &message, None);
        match delivery {
            Exchange::AtMostOnce => {
                self.route(permit, message, false);
            }
            Exchange::AtLeastOnce(id) => {
                let durable = self.route(permit, message, false);
                let wait = self.wait_if(durable);
                self.answer(slot, wait, Answer::PubAck(id, ReasonCode::Success));
            }
            Exchange::ExactlyOnce(id) => {
                let digest = self.digest_of(&message);
                self.accept_exactly_once(slot, permit, id, digest, message, false);
            }
        }
    }

    /// Tells whoever watches devices what one said; of a link that says very much, not all.
    pub(super) fn tell_watch(&mut self, slot: u32, message: &Arc<Message>, signed: Option<Signed>) {
        if !self.config.is_watched || message.publisher.identity.kind() != Kind::Device {
            return;
        }
        let now = self.now.mono;
        let link = self.sessions.get_mut(slot as usize).and_then(|session| session.link.as_deref_mut());
        if link.is_some_and(|link| link.is_told(now)) {
            self.out.say(Output::Said { message: Arc::clone(message), signed });
        }
    }

    /// Tells whether a message of QoS 1 or 2 makes something durable.
    fn would_store(&mut self, slot: u32, topic: TopicName<'_>, publish: &Publish<'_>) -> bool {
        let is_exactly_once = matches!(publish.delivery, Exchange::ExactlyOnce(_));
        let keeps_id = is_exactly_once && self.sessions.get(slot as usize).is_some_and(Session::is_stored);
        // Behind one that waits for the disk it would wait too.
        let waits = is_exactly_once && self.commits.has_pending();
        keeps_id || waits || publish.retain || self.reaches_stored(topic)
    }

    /// Routes a QoS 2 message, at once or when it is durable; the permit of a message that waits is not kept but made
    /// again then (rule 7). `is_counted` says that its number was taken (rule 21): that has to be durable whoever reads it.
    pub(super) fn accept_exactly_once(
        &mut self,
        slot: u32,
        permit: Permit<permit::Publish>,
        id: PacketId,
        digest: u64,
        message: Arc<Message>,
        is_counted: bool,
    ) {
        if !self.has_inbound_place(slot, id) {
            self.notice_limit(slot, Bound::InboundPerIdentity);
            return self.refuse_for_room(slot, Exchange::ExactlyOnce(id));
        }
        let (Some(at), Some(session)) = (self.session_ref(slot), self.sessions.get(slot as usize)) else {
            return;
        };
        let Some(link) = session.link_id() else { return };
        let is_stored = session.is_stored();
        // Behind one that waits for the disk the next one waits too, or it would overtake it [MQTT-4.6.0-6].
        let durable = is_stored
            || is_counted
            || message.retain
            || self.commits.has_pending()
            || message.topic_name().is_some_and(|topic| self.reaches_stored(topic));
        let wait = self.wait_if(durable);
        let waits_for = durable.then_some(wait.ticket);
        self.remember_inbound(slot, id, Inbound { digest, link, waits_for });
        if durable {
            self.out.record.accepted(&message);
            if is_stored {
                self.out.record.inbound(at.incarnation, id, digest);
            }
            self.commits.wait_for(Pending { ticket: wait.ticket, message, session: at, id: Some(id) });
        } else {
            self.route(permit, message, false);
        }
        self.answer(slot, wait, Answer::PubRec(id, ReasonCode::Success));
    }

    /// Deals with a QoS 2 message whose packet id is in use. Returns whether that was all there is to do.
    fn repeats(&mut self, slot: u32, id: PacketId, digest: u64) -> bool {
        let Some(session) = self.sessions.get(slot as usize) else { return true };
        let Some(link) = session.link_id() else { return true };
        match session.inbound.get(&id.0.get()) {
            None => false,
            // Its PUBREC may wait for the disk still, or was dropped with an older link.
            Some(known) if known.digest == digest => {
                let wait = Wait { ticket: known.waits_for.unwrap_or_default(), ..Wait::default() };
                self.answer(slot, wait, Answer::PubRec(id, ReasonCode::Success));
                true
            }
            // Another message under an id that this very link has in use.
            Some(known) if known.link == link => {
                match session.version() {
                    Version::V5 => {
                        let reason = ReasonCode::PacketIdentifierInUse;
                        self.answer(slot, Wait::default(), Answer::PubRec(id, reason));
                    }
                    Version::V31 | Version::V311 => self.violation(slot, ReasonCode::PacketIdentifierInUse),
                }
                true
            }
            // A client that lost its memory begins anew: this is no repetition.
            Some(_) => false,
        }
    }

    /// Returns the same of a message that was made of one.
    pub(super) fn digest_of(&self, message: &Message) -> u64 {
        self.config.hash_key.hash(&(Some(message.topic()), message.payload()))
    }

    fn digest(&self, publish: &Publish<'_>) -> u64 {
        let topic = publish.topic.map(TopicName::as_str);
        self.config.hash_key.hash(&(topic, publish.payload))
    }

    /// Counts a message of QoS 1 or 2. Returns false if the client has more under way than we take [MQTT-3.3.4-7].
    fn count_unfinished(&mut self, slot: u32) -> bool {
        let Some(link) = self.sessions.get_mut(slot as usize).and_then(|session| session.link.as_deref_mut())
        else {
            return false;
        };
        if link.unfinished >= link.unfinished_max {
            return false;
        }
        link.unfinished += 1;
        true
    }

    pub(super) fn permit_publish(
        &mut self,
        slot: u32,
        topic: TopicName<'_>,
    ) -> Option<Permit<permit::Publish>> {
        let session = self.sessions.get_mut(slot as usize)?;
        let resident = self.residents.get_mut(session.resident)?;
        resident.refresh(&self.law, slot, &session.key.client_id);
        let topic = Topic::new(topic, &self.config.hash_key);
        permit::publish(resident.entitled(slot, session.life), &mut session.publish_decisions, topic)
    }

    /// Reports a refusal with the rule that decided it.
    pub(super) fn deny(&mut self, slot: u32, action: DeniedAction, topic: TopicName<'_>) {
        let Some(session) = self.sessions.get(slot as usize) else { return };
        let Some(resident) = self.residents.get_mut(session.resident) else { return };
        resident.refresh(&self.law, slot, &session.key.client_id);
        let rule = resident
            .entitled(slot, session.life)
            .rights
            .and_then(|rights| rights.decide(Action::Publish, topic).rule.map(|rule| rule.cite()));
        let identity = session.key.identity.clone();
        let client_id = session.key.client_id.clone();
        let topic = topic.as_str().into();
        self.out.say(Output::Denied(Denial { identity, client_id, action, topic, rule }));
    }

    /// Answers a message that goes nowhere, because it may not or because it is for the broker alone. 3.1.1 has no word for it: it is acknowledged.
    pub(super) fn refuse_publish(&mut self, slot: u32, delivery: Exchange, reason: ReasonCode) {
        match delivery {
            Exchange::AtMostOnce => {}
            Exchange::AtLeastOnce(id) => self.answer(slot, Wait::default(), Answer::PubAck(id, reason)),
            Exchange::ExactlyOnce(id) => {
                let is_v311 =
                    self.sessions.get(slot as usize).is_some_and(|session| !session.version().is_v5());
                let reason = if is_v311 { ReasonCode::Success } else { reason };
                self.answer(slot, Wait::default(), Answer::PubRec(id, reason));
            }
        }
    }

    /// Refuses a message for want of memory (invariant 11).
    fn refuse_for_memory(&mut self, slot: u32, delivery: Exchange) {
        self.notice_no_memory(slot);
        self.refuse_for_room(slot, delivery);
    }

    fn notice_no_memory(&mut self, slot: u32) {
        let Some(session) = self.sessions.get(slot as usize) else { return };
        self.out.notice(Notice::NoMemory { identity: session.key.identity.clone() });
    }

    /// Refuses a message that would have to be stored (rule 19).
    pub(super) fn refuse_for_storage(&mut self, slot: u32, delivery: Exchange) {
        let Some(session) = self.sessions.get(slot as usize) else { return };
        self.out.notice(Notice::NoRoom { identity: session.key.identity.clone() });
        self.refuse_for_room(slot, delivery);
    }

    /// Refuses a message for which there is no room. To acknowledge it and drop it would be a lie, so a 3.1.1 client,
    /// which cannot be told, is closed.
    pub(super) fn refuse_for_room(&mut self, slot: u32, delivery: Exchange) {
        let Some(session) = self.sessions.get(slot as usize) else { return };
        match session.version() {
            Version::V5 => self.refuse_publish(slot, delivery, ReasonCode::QuotaExceeded),
            Version::V31 | Version::V311 => {
                self.cut(slot, CloseCause::NoRoom, None, true);
                self.leave(slot, true);
            }
        }
    }

    pub(super) fn draft(
        &mut self,
        slot: u32,
        topic: TopicName<'_>,
        publish: &Publish<'_>,
    ) -> Option<Arc<Message>> {
        let id = self.next_message_id();
        let session = self.sessions.get(slot as usize)?;
        self.forwarded.clear();
        self.forwarded.shrink_to(limits::KEPT_MESSAGE_MAX);
        publish.properties.encode_forwarded(verified::passes, &mut self.forwarded).ok()?;
        Some(self.recycled.make(Draft {
            id,
            topic: topic.as_str(),
            forwarded: &self.forwarded,
            payload: publish.payload,
            qos: publish.delivery.qos(),
            retain: publish.retain,
            expires: publish.properties.message_expiry.map(|secs| deadline(self.now.mono, secs)),
            publisher: session.publisher(),
            origin: session.incarnation,
            is_will: false,
        }))
    }

    /// Returns what an answer waits for: the ticket of this input, if it makes something durable.
    pub(super) fn wait_if(&mut self, durable: bool) -> Wait {
        if durable { Wait { ticket: self.ticket(), ..Wait::default() } } else { Wait::default() }
    }

    pub(super) fn answer(&mut self, slot: u32, wait: Wait, answer: Answer) {
        self.deliver(slot, |delivery| delivery.answer(wait, answer));
    }
}
