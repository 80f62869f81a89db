//! What shards write and do to links.

use super::groups::filter_of;
use super::law::matches;
use super::link::{self, Answer, Kind};
use super::message::{Loss, Message};
use super::session::{self, Session, Will};
use super::{Checked, Model, breach};
use crate::event::{AccountNo, ClientNo, MessageNo, ShardNo, What};
use crate::packet::{Ack, Hello, Packet, Publish};
use crate::races::Race;
use keyward_broker::{CloseCause, LinkId, Notice, Standing};
use keyward_ids::Identity;
use keyward_mqtt::packet::{Qos, Version};
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::time::Millis;
use keyward_policy::Action;

impl Model {
    /// A link that was taken is attached, unless the next thing that the shard does is to refuse it.
    pub(super) fn finish_attach(&mut self, next: &What) -> Checked {
        let Some((shard, link)) = self.attaching else { return Ok(()) };
        let is_refused = match next {
            What::Denies { .. } | What::Notes { .. } => return Ok(()),
            What::Closes { link: of, cause, .. } => *of == link && matches!(cause, CloseCause::Refused(_)),
            What::Writes { link: of, packet: Packet::ConnAck { reason, .. }, .. } => {
                *of == link && reason.is_failure()
            }
            _ => false,
        };
        self.attaching = None;
        if !is_refused {
            return self.attach(shard, link);
        }
        let of = self.link(link)?;
        let (client, epoch) = (of.client, of.hello.epoch);
        let life = self.law.life(shard, self.account(client));
        let is_absent = life.standing != Standing::Active || life.epoch != epoch;
        self.races.note_if(is_absent, Race::RevokedInHandOver);
        Ok(())
    }

    fn attach(&mut self, shard: ShardNo, link: LinkId) -> Checked {
        let of = self.link(link)?;
        let (client, hello) = (of.client, of.hello.clone());
        let account = self.account(client);
        let life = self.law.life(shard, account);
        if life.standing != Standing::Active || life.epoch != hello.epoch {
            return breach!("{shard} attached link {} of {life:?} with epoch {}", link.0, hello.epoch);
        }
        self.note_namesake(client);
        let ended_stored = self.supersede(client, &hello);
        let span = session::lifetime(&hello, self.setup.limits.session_expiry);
        let serial = self.sessions_begun + 1;
        let resumed = self.sessions.contains_key(&client);
        let had_expired = self.expired.remove(&client);
        if !resumed {
            self.races.note_if(had_expired && !hello.clean_start, Race::SessionExpiredBeforeReturn);
            self.sessions_begun = serial;
            self.flights.remove(&client);
        }
        let session = self.sessions.entry(client).or_insert_with(|| Session::new(serial, shard, &hello));
        session.lifetime = span;
        session.link = Some(link);
        session.established = false;
        session.resumed = resumed;
        session.certain &= session.expires.is_none_or(|expires| expires > self.now);
        session.expires = None;
        session.will = hello.will.as_ref().map(|will| Will {
            message: will.message.clone(),
            delay: will.delay,
            due: None,
        });
        let serial = session.serial;
        let ticket = ended_stored.then_some(self.shards[shard.0].asked + 1);
        let now = self.now;
        let of = self.link(link)?;
        of.last_taken = now;
        of.session = Some(serial);
        of.is_open = true;
        of.answers.push_back(Answer { ticket, ..Answer::new(Kind::ConnAck, 0) });
        Ok(())
    }

    fn note_namesake(&mut self, client: ClientNo) {
        let of = &self.setup.clients[client.0];
        let namesake = self.sessions.iter().find(|(other, session)| {
            **other != client
                && session.link.is_some()
                && self.setup.clients[other.0].client_id == of.client_id
        });
        self.races.note_if(namesake.is_some(), Race::SameIdOfTwoAccounts);
    }

    /// Deals with the session that a client had. Returns whether a stored one ended.
    fn supersede(&mut self, client: ClientNo, hello: &Hello) -> bool {
        self.note_return(client);
        let Some(session) = self.sessions.get_mut(&client) else { return false };
        let ends = hello.clean_start || session.lifetime.is_none() || session.epoch != hello.epoch;
        let was_stored = session.lifetime.is_some();
        let has_link = session.link.is_some();
        session.lose_link();
        match &session.will {
            Some(will) if ends || (has_link && will.delay == 0) => self.fire_will(client),
            _ => session.will = None,
        }
        if ends {
            self.end_session(client);
        }
        ends && was_stored
    }

    /// Counts what is in danger when a client comes back, be it that its older link is there or not.
    fn note_return(&mut self, client: ClientNo) {
        let Some(session) = self.sessions.get(&client) else { return };
        let races = &mut self.races;
        let Some(link) = session.link else {
            races.note_if(
                session.will.as_ref().is_some_and(|will| will.due.is_some()),
                Race::WillDelayCancelled,
            );
            races
                .note_if(session.owed.values().any(|owed| owed.must && !owed.arrived), Race::SessionCameBack);
            return;
        };
        let exchanges = self.flights.get(&client).into_iter().flat_map(|flights| flights.values());
        let in_exchange = exchanges.filter(|flight| flight.qos == Qos::ExactlyOnce).count() > 0;
        races.note_if(in_exchange || !session.inbound.is_empty(), Race::TakeoverInExchange);
        races.note_if(session.will.is_some(), Race::WillAgainstTakeover);
        if let Some(of) = self.links.get(&link) {
            races.note_if(!of.answers.is_empty(), Race::TakeoverWithWaitingAnswers);
            races.note_if(of.given_up, Race::TakeoverOfHalfOpenLink);
        }
        self.note_lost_link(client);
    }

    /// Counts what is in danger when a link is lost, and lets other members of its groups have what it had.
    fn note_lost_link(&mut self, client: ClientNo) {
        let (returned, kept) = self.groups.release(client);
        self.races.note_if(returned, Race::GroupMemberLost);
        self.races.note_if(kept, Race::GroupMemberLostInExchange);
        let Some(session) = self.sessions.get(&client) else { return };
        let mut begun = session.replays.iter().filter(|replay| !replay.checked && replay.begun.is_some());
        self.races.note_if(session.link.is_some() && begun.next().is_some(), Race::ReplayCutOff);
        let shard = &self.shards[session.shard.0];
        let answers = session.link.and_then(|link| self.links.get(&link)).map(|of| &of.answers);
        let mut tickets = answers.into_iter().flatten().filter_map(|answer| answer.ticket);
        let waits = tickets.any(|ticket| ticket > shard.answered && ticket <= shard.asked);
        self.races.note_if(waits, Race::AnswerWaitsForDisk);
    }

    pub(super) fn end_session(&mut self, client: ClientNo) {
        if let Some(session) = self.sessions.get(&client) {
            let mut owed = session.owed.iter().filter(|(_, owed)| owed.sent < owed.copies);
            let is_awaited = owed.any(|(number, _)| self.messages[number].flying) && self.letters > 0;
            self.races.note_if(is_awaited, Race::SessionEndedWithMailUnderWay);
        }
        self.sessions.remove(&client);
        self.flights.remove(&client);
    }

    /// Publishes a will, if its owner may at this moment.
    pub(super) fn fire_will(&mut self, client: ClientNo) {
        let account = self.account(client);
        let Some(session) = self.sessions.get_mut(&client) else { return };
        let Some(will) = session.will.take() else { return };
        let (shard, epoch, serial) = (session.shard, session.epoch, session.serial);
        if self.law.may_leave_will(shard, account, epoch, &will.message.topic) {
            let secs = will.message.expiry.map(|secs| Millis::from_secs(u64::from(secs)));
            let expires = secs.map(|span| self.now.saturating_add(span));
            self.publish(client, epoch, serial, &will.message, expires, true);
        }
    }

    pub(super) fn lose(&mut self, link: LinkId) {
        if let Some(of) = self.links.get_mut(&link) {
            of.is_open = false;
            self.races.note_if(of.given_up && of.is_late(self.now), Race::SilentLinkLost);
        }
        if let Some(client) = self.holder(link) {
            self.leave(client, true);
        }
    }

    /// Returns the client whose session a link has.
    fn holder(&self, link: LinkId) -> Option<ClientNo> {
        let client = self.links.get(&link)?.client;
        self.sessions.get(&client).filter(|session| session.link == Some(link)).map(|_| client)
    }

    /// What follows for a session whose link has ended.
    pub(super) fn leave(&mut self, client: ClientNo, fire_will: bool) {
        let now = self.now;
        self.note_lost_link(client);
        let Some(session) = self.sessions.get_mut(&client) else { return };
        session.lose_link();
        if !fire_will {
            session.will = None;
        }
        let Some(span) = session.lifetime else {
            self.fire_will(client);
            return self.end_session(client);
        };
        session.expires = Some(now.saturating_add(span));
        match &mut session.will {
            Some(will) if will.delay > 0 => {
                let delay = Millis::from_secs(u64::from(will.delay)).min(span);
                will.due = Some(now.saturating_add(delay));
            }
            _ => self.fire_will(client),
        }
    }

    pub(super) fn close(&mut self, shard: ShardNo, link: LinkId, cause: CloseCause) -> Checked {
        let of = self.link(link)?;
        of.is_open = false;
        let (client, is_honest, left) = (of.client, of.is_honest, of.left);
        let session = self.sessions.get(&client);
        match cause {
            CloseCause::Refused(_) => return Ok(()),
            // The broker ends, not the client: no will is due.
            CloseCause::ShuttingDown => {
                self.sessions.values_mut().filter(|it| it.link == Some(link)).for_each(Session::lose_link);
                return Ok(());
            }
            CloseCause::TakenOver => {
                let newer = session.and_then(|session| session.link).is_some_and(|newer| newer != link);
                return if newer { Ok(()) } else { breach!("{client} was taken over by somebody else") };
            }
            CloseCause::Violation(reason) if is_honest => {
                return breach!("an honest client broke a rule: {}", reason.as_str());
            }
            CloseCause::Disconnected if left.is_none() => {
                return breach!("{client} never said DISCONNECT over link {}", link.0);
            }
            _ => {}
        }
        self.forget_refused(shard, client);
        let is_held = self.holder(link).is_some();
        if is_held && cause == CloseCause::NotAllowed {
            return breach!("{shard} expelled {client}, which is allowed");
        }
        if !is_held {
            return Ok(());
        }
        let said_goodbye = cause == CloseCause::Disconnected && left == Some(ReasonCode::Success);
        self.leave(client, !said_goodbye);
        Ok(())
    }

    /// A link of 3.x is closed because of a message for which there is no room: what no ticket was asked for was not
    /// taken.
    fn forget_refused(&mut self, shard: ShardNo, client: ClientNo) {
        let asked = self.shards[shard.0].asked;
        if let Some(session) = self.sessions.get_mut(&client) {
            let acknowledged = &session.acknowledged;
            session.inbound.retain(|id, (_, ticket)| *ticket <= asked || acknowledged.contains(id));
        }
    }

    pub(super) fn tick(&mut self, shard: ShardNo) {
        let now = self.now;
        let is_racing = self.links.values().any(|of| of.shard == Some(shard) && of.is_open && of.has_more());
        self.races.note_if(is_racing, Race::TickWithPackets);
        let here: Vec<_> = self
            .sessions
            .iter()
            .filter(|(_, it)| it.shard == shard && it.link.is_none())
            .map(|it| *it.0)
            .collect();
        for client in here {
            let Some(session) = self.sessions.get(&client) else { continue };
            let expired = session.expires.is_some_and(|expires| expires <= now);
            let will_due = session.will.as_ref().and_then(|will| will.due).is_some_and(|due| due <= now);
            if will_due || expired {
                self.fire_will(client);
            }
            if expired {
                self.expired.insert(client);
                self.end_session(client);
            }
        }
    }

    pub(super) fn write(&mut self, shard: ShardNo, link: LinkId, packet: &Packet, bytes: usize) -> Checked {
        let of = self.link(link)?;
        of.write(packet, bytes)?;
        let client = of.client;
        match packet {
            Packet::ConnAck { session_present, reason, .. } => {
                self.write_connack(shard, link, client, *session_present, *reason)
            }
            Packet::Publish(publish) => self.write_publish(shard, link, client, publish),
            Packet::PubAck(ack) => self.write_answer(shard, link, client, Kind::PubAck, *ack),
            Packet::PubRec(ack) => self.write_answer(shard, link, client, Kind::PubRec, *ack),
            Packet::PubRel(ack) => self.write_answer(shard, link, client, Kind::PubRel, *ack),
            Packet::PubComp(ack) => self.write_answer(shard, link, client, Kind::PubComp, *ack),
            Packet::SubAck { id, reasons } => self.write_suback(shard, link, client, *id, reasons),
            Packet::UnsubAck { id, .. } => {
                let ack = Ack { id: *id, reason: ReasonCode::Success };
                self.write_answer(shard, link, client, Kind::UnsubAck, ack)
            }
            _ => Ok(()),
        }
    }

    fn write_connack(
        &mut self,
        shard: ShardNo,
        link: LinkId,
        client: ClientNo,
        present: bool,
        reason: ReasonCode,
    ) -> Checked {
        if reason.is_failure() {
            return Ok(());
        }
        let ack = Ack { id: 0, reason };
        let due = self.link(link)?.answer(Kind::ConnAck, ack)?;
        self.check_ticket(shard, due.as_ref(), reason)?;
        let of = self.link(link)?;
        of.welcomed = true;
        let version = of.hello.version;
        let Some(session) = self.sessions.get_mut(&client) else { return Ok(()) };
        if session.link != Some(link) {
            return Ok(());
        }
        session.established = true;
        if session::is_oldest(version) {
            return Ok(());
        }
        if !session.certain {
            if !present {
                self.races.note(Race::SessionExpiredBeforeReturn);
                session.empty();
                self.flights.remove(&client);
            }
            session.certain = true;
        } else if present != session.resumed {
            return breach!("[MQTT-3.2.2-2] session present is {present} to {client}");
        }
        Ok(())
    }

    /// Checks that what an answer asserts is durable (rule 14), and that what was not stored is not acknowledged.
    fn check_ticket(&self, shard: ShardNo, answer: Option<&Answer>, reason: ReasonCode) -> Checked {
        let Some(Answer { kind, id, ticket: Some(ticket), allowed, .. }) = answer else { return Ok(()) };
        if reason.is_failure() || *allowed == Some(false) {
            return Ok(());
        }
        let of = &self.shards[shard.0];
        if of.answered < *ticket {
            return breach!("{kind:?} {id} left before ticket {ticket} of {shard} was answered");
        }
        let is_promise = matches!(kind, Kind::PubAck | Kind::PubRec | Kind::SubAck);
        if is_promise && of.is_refused(*ticket) {
            return breach!("{kind:?} {id} says that was stored what was not");
        }
        Ok(())
    }

    fn write_answer(
        &mut self,
        shard: ShardNo,
        link: LinkId,
        client: ClientNo,
        kind: Kind,
        ack: Ack,
    ) -> Checked {
        let of = self.link(link)?;
        let is_v5 = of.is_v5();
        let due = of.answer(kind, ack)?;
        self.check_ticket(shard, due.as_ref(), ack.reason)?;
        let Some(answer) = due else { return self.write_resumed(client, kind, ack) };
        if let Some(allowed) = answer.allowed
            && is_v5
        {
            let is_denied = ack.reason == ReasonCode::NotAuthorized;
            if (is_denied && allowed) || (!allowed && !ack.reason.is_failure()) {
                return breach!("{kind:?} {} says {}, allowed: {allowed}", ack.id, ack.reason.as_str());
            }
        }
        if ack.reason.is_failure() {
            if matches!(kind, Kind::PubAck | Kind::PubRec) {
                self.slots.answer(client, ack.id, false);
            }
            if kind == Kind::PubRec
                && let Some(session) = self.sessions.get_mut(&client)
            {
                session.inbound.remove(&ack.id);
            }
        } else if answer.allowed != Some(false) && matches!(kind, Kind::PubAck | Kind::PubRec) {
            if let Some(session) = self
                .sessions
                .get_mut(&client)
                .filter(|_| kind == Kind::PubRec && answer.allowed == Some(true))
            {
                session.acknowledged.insert(ack.id);
            }
            self.accept(answer.number);
            self.slots.answer(client, ack.id, true);
        }
        Ok(())
    }

    fn accept(&mut self, number: Option<MessageNo>) {
        if let Some(message) = number.and_then(|number| self.messages.get_mut(&number)) {
            message.accepted = true;
        }
    }

    /// A PUBREL that answers no PUBREC of this link goes on with an exchange of an earlier one.
    fn write_resumed(&self, client: ClientNo, kind: Kind, ack: Ack) -> Checked {
        let is_known = self.flights.get(&client).is_some_and(|flights| flights.contains_key(&ack.id));
        let is_honest = self.setup.clients[client.0].is_honest;
        if kind == Kind::PubRel && !is_known && is_honest && self.sessions.contains_key(&client) {
            return breach!("[MQTT-4.3.3-2] PUBREL {} of nothing that {client} was sent", ack.id);
        }
        Ok(())
    }

    fn write_suback(
        &mut self,
        shard: ShardNo,
        link: LinkId,
        client: ClientNo,
        id: u16,
        reasons: &[ReasonCode],
    ) -> Checked {
        let failed = reasons.iter().find(|reason| reason.is_failure()).copied();
        let all_failed = reasons.iter().all(|reason| reason.is_failure());
        let ack = Ack { id, reason: failed.filter(|_| all_failed).unwrap_or(ReasonCode::Success) };
        let of = self.link(link)?;
        let version = of.hello.version;
        let due = of.answer(Kind::SubAck, ack)?;
        self.check_ticket(shard, due.as_ref(), ack.reason)?;
        let Some(answer) = due else { return Ok(()) };
        let (step, now) = (self.step, self.now);
        let Some(session) = self.sessions.get_mut(&client).filter(|session| session.link == Some(link))
        else {
            return Ok(());
        };
        for ((filter, allowed, serial), reason) in answer.filters.iter().zip(reasons) {
            let says_denied = *reason == ReasonCode::NotAuthorized;
            if version == Version::V5
                && let Some(allowed) = allowed
                && ((says_denied && *allowed) || (!allowed && !reason.is_failure()))
            {
                return breach!("SUBACK of {filter} says {}, allowed: {allowed}", reason.as_str());
            }
            session.answer((filter, *serial), *reason, version, (step, now, link));
        }
        Ok(())
    }

    fn write_publish(
        &mut self,
        shard: ShardNo,
        link: LinkId,
        client: ClientNo,
        publish: &Publish,
    ) -> Checked {
        let account = self.account(client);
        let of = self.link(link)?;
        let (epoch, begun) = (of.hello.epoch, of.session);
        if !self.law.may(shard, account, epoch, Action::Receive, &publish.topic) {
            return breach!("{client} may not read: {publish}");
        }
        if let Some(number) = publish.number {
            self.fire_early(shard, number);
            let Some(message) = self.messages.get(&number) else {
                return breach!("nobody published what was sent: {publish}");
            };
            if message.topic != publish.topic || publish.qos > message.qos {
                return breach!(
                    "{number} was published as QoS {} {}: {publish}",
                    message.qos as u8,
                    message.topic
                );
            }
            if !self.law.delivers_of(shard, message.account, message.epoch, message.is_will) {
                return breach!("the publisher of {number} is gone: {publish}");
            }
            self.check_expiry(message, publish)?;
        }
        // What was written to a link whose session has ended since counts for nobody.
        if self.sessions.get(&client).is_none_or(|session| Some(session.serial) != begun) {
            return Ok(());
        }
        if self.setup.clients[client.0].is_honest {
            link::send(self.flights.entry(client).or_default(), publish, link, self.step)?;
            if let Some(id) = publish.id {
                self.races.note_if(publish.dup, Race::SentAgainOnResume);
                let is_full = self.link(link)?.open(id)?;
                self.races.note_if(is_full, Race::ReceiveMaximumReached);
            }
        }
        match publish.number {
            Some(number) => self.deliver(link, client, number, publish),
            None => Ok(()),
        }
    }

    /// Packets to one link are told at once for a whole input: the will of a link that this input ends may be seen
    /// before its end is. That the link does end is checked when the tick is over.
    fn fire_early(&mut self, shard: ShardNo, number: MessageNo) {
        let mut here = self.sessions.iter().filter(|(_, session)| session.shard == shard);
        let owner = here.find_map(|(client, session)| {
            let is_it = session.will.as_ref().is_some_and(|will| will.message.number == Some(number));
            session.link.filter(|_| is_it).map(|link| (*client, link))
        });
        if let Some((client, link)) = owner {
            self.early_wills.push(link);
            self.fire_will(client);
        }
    }

    fn check_expiry(&self, message: &Message, publish: &Publish) -> Checked {
        let Some(expires) = message.expires.filter(|_| message.copies == 1) else { return Ok(()) };
        let left = expires.saturating_sub(self.now);
        if let Some(secs) = publish.expiry
            && u64::from(secs) > left.0.div_ceil(1000) + 1
        {
            return breach!("[MQTT-3.3.2-6] {} ms are left of {publish}", left.0);
        }
        Ok(())
    }

    fn deliver(&mut self, link: LinkId, client: ClientNo, number: MessageNo, publish: &Publish) -> Checked {
        let (step, message) = (self.step, &self.messages[&number]);
        let is_honest = self.setup.clients[client.0].is_honest;
        let Some(session) = self.sessions.get_mut(&client) else { return Ok(()) };
        let is_live = !publish.retain
            || (session.reads_as_published
                && session.owed.get(&number).is_some_and(|owed| owed.sent < owed.copies));
        // What comes through a group cannot be told from what comes through a plain subscription beside it.
        let by_group = session.shared.iter().any(|group| matches(filter_of(group), &message.topic));
        if !publish.dup {
            let seen = if is_live {
                let seen = session.receive(message, publish, step);
                seen.or_else(|breach| {
                    match session.recount(message, publish.retain, step, &self.slots, &self.law) {
                        true => Ok(()),
                        false => Err(breach),
                    }
                })
            } else {
                session.replay(message, publish, step, &self.slots, &self.law)
            };
            // Which of its subscriptions a rude client has is not certain.
            if let (Err(breach), true) = (seen, is_honest) {
                if !by_group {
                    return Err(breach);
                }
                self.groups.hand_out(client, message, publish, &session.shared)?;
            }
        }
        if publish.qos == Qos::AtMostOnce
            && let Some(owed) = session.owed.get_mut(&number)
        {
            owed.arrived = true;
        }
        if by_group { Ok(()) } else { self.check_order(link, client, number, publish, is_live) }
    }

    /// Messages of one publisher, topic and quality of service come in the order in which they were published
    /// [MQTT-4.6.0-5]; a retained one that is replayed is never older than what came live.
    fn check_order(
        &mut self,
        link: LinkId,
        client: ClientNo,
        number: MessageNo,
        publish: &Publish,
        is_live: bool,
    ) -> Checked {
        let message = &self.messages[&number];
        let of = self.sessions.get(&client);
        // Then a retained message that was asked for cannot be told from a live one.
        if publish.retain && of.is_some_and(|session| session.reads_as_published) {
            return Ok(());
        }
        if message.copies > 1 || message.is_will || !self.setup.clients[message.client.0].is_honest {
            return Ok(());
        }
        let (taken, retain) = (message.taken, message.retain);
        let stream = (message.client, message.topic.clone(), message.qos, publish.qos, true);
        let of_retained = (message.client, message.topic.clone(), message.qos, publish.qos, false);
        let Some(session) = self.sessions.get_mut(&client) else { return Ok(()) };
        if !is_live {
            let newest = session.order.get(&of_retained).copied().unwrap_or(0);
            return if taken < newest && !publish.dup {
                breach!("{publish} is older than what came live")
            } else {
                Ok(())
            };
        }
        let of = self.links.get_mut(&link);
        let of_link = of.map(|of| of.order.insert(stream.clone(), taken).unwrap_or(0)).unwrap_or(0);
        let of_session = session.order.get(&stream).copied().unwrap_or(0);
        if taken < of_link || (!publish.dup && taken < of_session) {
            return breach!("[MQTT-4.6.0-5] out of order: {publish}");
        }
        session.order.insert(stream, taken.max(of_session));
        if retain {
            session.order.insert(of_retained, taken);
        }
        Ok(())
    }

    /// What an account has under way may not reach its slot.
    pub(super) fn doubt_retained(&mut self, account: Option<AccountNo>) {
        let clients = &self.setup.clients;
        self.slots.doubt(|client, _| Some(AccountNo(clients[client.0].account)) == account);
    }

    /// What the newest rules forbid may not reach its slot if it waits for the disk still.
    pub(super) fn doubt_forbidden(&mut self) {
        let (law, clients) = (&self.law, &self.setup.clients);
        let is_allowed = |client: ClientNo, topic: &str| {
            law.allows(law.newest_generation(), AccountNo(clients[client.0].account), Action::Publish, topic)
        };
        self.slots.doubt(|client, topic| !is_allowed(client, topic));
    }

    pub(super) fn note(&mut self, notice: &Notice) {
        let account =
            |identity: &Identity| self.setup.accounts.iter().position(|it| it == identity).map(AccountNo);
        let loss = match notice {
            Notice::QueueFull { publisher, receiver } => {
                self.races.note(Race::QueueFull);
                let both = account(publisher).zip(account(receiver));
                both.map(|(publisher, receiver)| Loss::QueueFull { publisher, receiver })
            }
            Notice::PublisherGone { publisher } => account(publisher).map(Loss::PublisherGone),
            Notice::TooSlow { receiver } => account(receiver).map(Loss::TooSlow),
            Notice::ShardBehind { publisher } => account(publisher).map(Loss::ShardBehind),
            Notice::RetainedFull { publisher } => {
                let of = account(publisher);
                self.doubt_retained(of);
                of.map(Loss::RetainedFull)
            }
            Notice::WillWithheld { owner } => account(owner).map(Loss::WillWithheld),
            Notice::TooLarge { receiver } => account(receiver).map(Loss::TooLarge),
            Notice::NoMemory { identity } => {
                let of = account(identity);
                if let Some((client, id)) = self.taking.take()
                    && of == Some(self.account(client))
                    && let Some(session) = self.sessions.get_mut(&client)
                {
                    session.inbound.remove(&id);
                }
                of.map(Loss::NoMemory)
            }
            Notice::Limit { .. }
            | Notice::GroupFull { .. }
            | Notice::GroupAbsent { .. }
            | Notice::GroupDenied { .. } => None,
        };
        if let Some(loss) = loss {
            self.losses.note(loss);
        }
    }
}
