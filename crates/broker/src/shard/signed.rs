//! Signed messages (rule 21): held while their signature is verified, then judged by key, age and number. What is demanded is decided
//! by the rules twice, when a message comes and when it goes on, as permission is: neither is kept.

use super::Shard;
use super::commit::Pending;
use crate::bound::Bound;
use crate::input::Storage;
use crate::limits;
use crate::link::{Answer, Wait};
use crate::message::{Draft, Message};
use crate::output::{CloseCause, Denial, DeniedAction, Notice, Output, Signed, Unfit};
use crate::second_holder::{HolderSign, SecondHolder};
use crate::signature::{Check, Checked, MessageKey};
use crate::verified;
use crate::windows::WindowKey;
use keyward_envelope::freshness::{self, Stale};
use keyward_envelope::{Claims, Decision, Digest, Kid, Record, Sequence, inspect};
use keyward_mqtt::packet::{Delivery as Exchange, Publish};
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::topic::TopicName;
use keyward_policy::{Check as Demanded, CitedRule};
use std::sync::Arc;

/// Is a message whose signature is being verified. Its link is not fed meanwhile.
#[derive(Debug)]
pub(crate) struct Unchecked {
    message: Arc<Message>,
    delivery: Exchange,
    kid: Kid,
    claims: Claims,
}

impl Unchecked {
    /// Returns the bytes that it holds.
    pub(crate) fn weight(&self) -> usize {
        size_of::<Self>() + self.message.weight()
    }
}

/// Is what the rules demand, in values that outlive a look at them.
struct Demand {
    check: Demanded,
    level: u8,
    max_offline: u64,
    rule: CitedRule,
}

/// Is a message that counts.
struct Counted {
    key: MessageKey,
    is_late: bool,
    decision: Decision,
}

impl Shard {
    /// Tells whether packets of a link are to wait: its last message is being verified.
    pub fn is_held(&self, link: crate::LinkId) -> bool {
        let session = self.by_link.get(&link).and_then(|slot| self.sessions.get(*slot as usize));
        session.and_then(|session| session.link.as_ref()).is_some_and(|link| link.unchecked.is_some())
    }

    /// Returns what is demanded of the signature of a message.
    fn demand(&mut self, slot: u32, topic: TopicName<'_>) -> Option<Demand> {
        let session = self.sessions.get(slot as usize)?;
        let resident = self.residents.get_mut(session.resident)?;
        resident.refresh(&self.law, slot, &session.key.client_id);
        let demand = resident.entitled(slot, session.life).rights?.demand(topic)?;
        let (check, level) = (demand.check, demand.level);
        Some(Demand { check, level, max_offline: demand.max_offline.as_secs(), rule: demand.rule.cite() })
    }

    /// Tells whether a message must be looked at before it goes on.
    pub(super) fn is_looked_at(&mut self, slot: u32, topic: TopicName<'_>) -> bool {
        let Some(session) = self.sessions.get(slot as usize) else { return false };
        let Some(resident) = self.residents.get(session.resident) else { return false };
        // The permit was made a moment ago by these very rights.
        resident.entitled(slot, session.life).rights.is_some_and(|rights| rights.demand(topic).is_some())
    }

    /// Holds a message until its signature is verified, or says at once that it is not fit.
    pub(super) fn examine(&mut self, slot: u32, topic: TopicName<'_>, publish: &Publish<'_>) {
        let Some(message) = self.draft(slot, topic, publish) else {
            return self.violation(slot, ReasonCode::MalformedPacket);
        };
        let found = inspect(publish.payload).map_err(|_| Unfit::Form);
        let found = found.and_then(|found| Ok((self.key_of(slot, found.kid())?, found)));
        let (key, found) = match found {
            Ok(found) => found,
            Err(unfit) => return self.unfit(slot, publish.delivery, message, unfit),
        };
        let (delivery, kid, claims) = (publish.delivery, found.kid(), *found.claims());
        let correlation = publish.properties.correlation_data;
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        let device = session.key.identity.clone();
        let Some(place) = self.unchecked.enter(&device, Check::weight(&message, correlation)) else {
            self.out.notice(Notice::VerifiersBehind { publisher: device });
            return self.refuse_for_room(slot, delivery);
        };
        let Some(link) = session.link.as_deref_mut() else { return };
        let check = Check {
            link: link.id,
            installation: self.law.installation(),
            device,
            correlation: correlation.map(Box::from),
            key: key.public,
            message: Arc::clone(&message),
            _place: place,
        };
        link.unchecked = Some(Box::new(Unchecked { message, delivery, kid, claims }));
        self.weigh(slot);
        self.out.say(Output::Check(Box::new(check)));
    }

    /// Finds a key whose messages are accepted now.
    fn key_of(&self, slot: u32, kid: Kid) -> Result<MessageKey, Unfit> {
        let session = self.sessions.get(slot as usize).ok_or(Unfit::Key)?;
        let principal = self.law.same_life(&session.publisher()).ok_or(Unfit::Key)?;
        let key = principal.message_keys.iter().find(|key| key.kid == kid).ok_or(Unfit::Key)?;
        match key.until {
            Some(until) if until <= self.now.wall => Err(Unfit::Retired),
            _ => Ok(*key),
        }
    }

    /// Goes on with a message whose signature was verified.
    pub(super) fn checked(&mut self, checked: &Checked) {
        let Some(slot) = self.by_link.get(&checked.link()).copied() else { return };
        let Some(link) = self.sessions.get_mut(slot as usize).and_then(|it| it.link.as_deref_mut()) else {
            return;
        };
        let Some(held) = link.unchecked.take_if(|held| checked.is_of(held.message.id)) else { return };
        let message = Arc::clone(&held.message);
        let Some(topic) = message.topic_name() else { return };
        let Some(permit) = self.permit_publish(slot, topic) else {
            self.deny(slot, DeniedAction::Publish, topic);
            return self.refuse_publish(slot, held.delivery, ReasonCode::NotAuthorized);
        };
        let Some(demand) = self.demand(slot, topic) else {
            return self.take_publish(slot, permit, message, held.delivery);
        };
        if self.storage != Storage::Open && self.config.is_stored {
            // Its number would have to be stored: what is not taken is not counted as seen.
            return self.refuse_for_storage(slot, held.delivery);
        }
        if let Exchange::ExactlyOnce(id) = held.delivery
            && !self.has_inbound_place(slot, id)
        {
            self.notice_limit(slot, Bound::InboundPerIdentity);
            return self.refuse_for_room(slot, held.delivery);
        }
        let counted = match self.judge(slot, &held, &demand, checked.digest_of(message.id)) {
            Ok(counted) => counted,
            Err(unfit) => return self.unfit(slot, held.delivery, message, unfit),
        };
        match counted.decision {
            Decision::New(record) => {
                self.stats.verified += 1;
                let marked = self.marked(&message, &counted);
                let Claims { sequence, issued: made, .. } = held.claims;
                let (kid, level, is_late) = (counted.key.kid, counted.key.level, counted.is_late);
                self.tell_watch(slot, &marked, Some(Signed { kid, sequence, made, level, is_late }));
                self.take_counted(
                    slot,
                    (permit, marked, held.delivery),
                    counted.key.kid,
                    record,
                    demand.check,
                );
            }
            // What was seen is acknowledged when that is durable, and goes to nobody again.
            _ => {
                self.stats.repeated += 1;
                let ticket = self.out.record.issued();
                self.acknowledge(slot, Wait { ticket, ..Wait::default() }, held.delivery);
            }
        }
    }

    /// Judges a message by its key, its number and its age.
    fn judge(
        &mut self,
        slot: u32,
        held: &Unchecked,
        demand: &Demand,
        digest: Option<Digest>,
    ) -> Result<Counted, Unfit> {
        let digest = digest.ok_or(Unfit::Signature)?;
        let key = self.key_of(slot, held.kid)?;
        if key.level < demand.level {
            return Err(Unfit::Level);
        }
        let session = self.sessions.get(slot as usize).ok_or(Unfit::Key)?;
        let window = WindowKey::new(&session.key.identity, session.life, key.kid);
        // The number before the age: what was taken is answered as it was, however old it is by now.
        let tag = digest.tag(self.config.hash_key.as_bytes());
        let decision = self.windows.judge(&window, held.claims.sequence, tag);
        let unfit = match decision {
            Decision::Repeat => return Ok(Counted { key, is_late: false, decision }),
            Decision::New(record) => return self.count(slot, held, (key, window), demand, record),
            Decision::Equivocation => Unfit::Equivocation,
            Decision::TooOld => Unfit::Replay,
        };
        if let Some((sign, highest)) = self.windows.second_holder(&window, &held.claims, decision, tag) {
            self.tell_second_holder(slot, held, digest, sign, highest);
        }
        Err(unfit)
    }

    /// Takes the number of a message that is not too old.
    fn count(
        &mut self,
        slot: u32,
        held: &Unchecked,
        (key, window): (MessageKey, WindowKey),
        demand: &Demand,
        record: Record,
    ) -> Result<Counted, Unfit> {
        let now = self.now.wall.0 / 1_000;
        let link = self.sessions.get(slot as usize).and_then(|session| session.link.as_ref());
        let nonce = link.and_then(|link| link.nonce);
        let age =
            freshness::of_reading(&held.claims, now, nonce.as_ref(), demand.max_offline).map_err(stale)?;
        if self.is_before_record(&held.claims) {
            return Err(Unfit::BeforeRecord);
        }
        self.windows.take(&window, &held.claims, record, now);
        Ok(Counted { key, is_late: age == freshness::Age::Late, decision: Decision::New(record) })
    }

    /// Tells whether a message of a number that is not known may have been taken all the same: the number was lost with a store. What has the
    /// nonce of its link was made for it.
    fn is_before_record(&self, claims: &Claims) -> bool {
        let since = self.config.numbers_since.0 / 1_000;
        claims.nonce.is_none() && claims.issued.is_some_and(|made| made < since)
    }

    /// Says that two hold a key: a message whose number was refused proves it.
    fn tell_second_holder(
        &mut self,
        slot: u32,
        held: &Unchecked,
        digest: Digest,
        sign: HolderSign,
        highest: Sequence,
    ) {
        let Some(session) = self.sessions.get(slot as usize) else { return };
        let Some(link) = session.link.as_ref() else { return };
        let found = SecondHolder {
            identity: session.key.identity.clone(),
            link: link.id,
            kid: held.kid,
            topic: held.message.topic().into(),
            number: held.claims.sequence,
            highest,
            digest,
            sign,
        };
        self.out.say(Output::SecondHolder(Box::new(found)));
    }

    /// Returns the message with what was verified of it beside what its publisher said.
    fn marked(&self, message: &Message, counted: &Counted) -> Arc<Message> {
        let mut forwarded = message.forwarded().to_vec();
        verified::mark(&mut forwarded, counted.key.kid, counted.key.level, counted.is_late);
        Arc::new(Message::from(Draft {
            id: message.id,
            topic: message.topic(),
            forwarded: &forwarded,
            payload: message.payload(),
            qos: message.qos,
            retain: message.retain,
            expires: message.expires,
            publisher: message.publisher.clone(),
            origin: message.origin,
            is_will: false,
        }))
    }

    /// Takes a message whose number is new. The number becomes durable in one entry with the message, and is waited for before the
    /// acknowledgement; where signatures are required, a message of QoS 0 goes on after that too.
    fn take_counted(
        &mut self,
        slot: u32,
        (permit, message, delivery): (crate::permit::Permit<crate::permit::Publish>, Arc<Message>, Exchange),
        kid: Kid,
        record: Record,
        check: Demanded,
    ) {
        let Some(session) = self.session_ref(slot) else { return };
        let publisher = message.publisher.clone();
        let key = WindowKey::new(&publisher.identity, publisher.life, kid);
        match delivery {
            Exchange::AtMostOnce if check == Demanded::Require => {
                let wait = self.wait_if(true);
                self.out.record.window(&key, record);
                self.commits.wait_for(Pending { ticket: wait.ticket, message, session, id: None });
            }
            Exchange::AtMostOnce => {
                self.route(permit, message, false);
                self.out.record.window(&key, record);
            }
            Exchange::AtLeastOnce(id) => {
                self.route(permit, message, false);
                // Behind the message: its part of the entry is the newest one.
                self.out.record.window(&key, record);
                let wait = self.wait_if(true);
                self.answer(slot, wait, Answer::PubAck(id, ReasonCode::Success));
            }
            Exchange::ExactlyOnce(id) => {
                let digest = self.digest_of(&message);
                self.out.record.window(&key, record);
                self.accept_exactly_once(slot, permit, id, digest, message, true);
            }
        }
    }

    fn acknowledge(&mut self, slot: u32, wait: Wait, delivery: Exchange) {
        match delivery {
            Exchange::AtMostOnce => {}
            Exchange::AtLeastOnce(id) => self.answer(slot, wait, Answer::PubAck(id, ReasonCode::Success)),
            Exchange::ExactlyOnce(id) => self.answer(slot, wait, Answer::PubRec(id, ReasonCode::Success)),
        }
    }

    /// Deals with a message that is not signed as it has to be: refused where that is required, else sent on as it is.
    fn unfit(&mut self, slot: u32, delivery: Exchange, message: Arc<Message>, unfit: Unfit) {
        let Some(topic) = message.topic_name() else { return };
        let Some(permit) = self.permit_publish(slot, topic) else {
            return self.refuse_publish(slot, delivery, ReasonCode::NotAuthorized);
        };
        if let Some(count) = self.stats.unfit.get_mut(unfit as usize) {
            *count += 1;
        }
        let demand = self.demand(slot, topic);
        let Some(session) = self.sessions.get(slot as usize) else { return };
        let (identity, client_id) = (session.key.identity.clone(), session.key.client_id.clone());
        if unfit != Unfit::Form {
            self.out.notice(Notice::Unfit { publisher: identity.clone(), unfit });
        }
        let Some(demand) = demand.filter(|demand| demand.check == Demanded::Require) else {
            return self.take_publish(slot, permit, message, delivery);
        };
        let (topic, rule) = (topic.as_str().into(), Some(demand.rule));
        let action = DeniedAction::Signed(unfit);
        self.out.say(Output::Denied(Denial { identity, client_id, action, topic, rule }));
        let reason = match unfit {
            Unfit::Form => ReasonCode::PayloadFormatInvalid,
            _ => ReasonCode::NotAuthorized,
        };
        self.refuse_publish(slot, delivery, reason);
        if !is_honest(unfit) && self.is_one_too_many(slot) {
            self.cut(slot, CloseCause::Violation(reason), Some(ReasonCode::NotAuthorized), true);
            self.leave(slot, true);
        }
    }

    /// Forgets the numbers of keys that are gone, as far as a slice goes.
    pub(super) fn forget_windows(&mut self) {
        let law = &self.law;
        self.windows.continue_review(limits::WINDOWS_SLICE, |window| {
            let principal = law.lookup(&window.identity).filter(|principal| principal.life == window.life);
            principal.is_some_and(|it| it.message_keys.iter().any(|key| *key.kid.as_bytes() == window.kid))
        });
    }

    /// Counts a message that was refused. Returns whether its link has sent too many of them in a short time.
    fn is_one_too_many(&mut self, slot: u32) -> bool {
        let now = self.now.mono;
        let link = self.sessions.get_mut(slot as usize).and_then(|session| session.link.as_deref_mut());
        let Some(link) = link else { return false };
        if now.saturating_sub(link.unfit_since) > limits::UNFIT_TIME {
            (link.unfit, link.unfit_since) = (0, now);
        }
        link.unfit += 1;
        link.unfit >= limits::UNFIT_MESSAGES
    }
}

/// Tells whether a device that does nothing wrong has such messages, and perhaps many: what it kept for too long, what it signed for a link that
/// broke, what it made before a store was lost. It is to get through all of it.
fn is_honest(unfit: Unfit) -> bool {
    matches!(unfit, Unfit::Age | Unfit::Session | Unfit::BeforeRecord)
}

fn stale(why: Stale) -> Unfit {
    match why {
        Stale::OtherSession => Unfit::Session,
        _ => Unfit::Age,
    }
}
