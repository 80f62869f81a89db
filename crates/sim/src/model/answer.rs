//! What shards answer: each answer in its order, none before what it asserts is durable.

use super::link::{Answer, Flight, Kind};
use super::restart::Ghost;
use super::{Checked, Model, breach, session};
use crate::event::{ClientNo, MessageNo, ShardNo};
use crate::packet::{Ack, Packet};
use crate::races::Race;
use keyward_broker::LinkId;
use keyward_mqtt::packet::Version;
use keyward_mqtt::reason::ReasonCode;

impl Model {
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
        if let Some(will) = &mut session.will {
            will.is_durable = will.message.retain || will.delay > 0 || session.lifetime.is_some();
        }
        if session::is_oldest(version) {
            return Ok(());
        }
        if !session.certain {
            if !present {
                self.races.note(Race::SessionExpiredBeforeReturn);
                let groups: Vec<String> = session.shared.iter().cloned().collect();
                session.empty();
                session.certain = true;
                session.begun = self.shards[shard.0].asked + 1;
                self.ghosts.push(Ghost { client, shard, ended: session.begun });
                self.flights.remove(&client);
                self.forsake_groups(&groups);
            } else {
                session.certain = true;
            }
        } else if present != session.resumed {
            return breach!("[MQTT-3.2.2-2] session present is {present} to {client}");
        }
        Ok(())
    }

    /// Checks that what an answer asserts is durable (rule 14).
    fn check_ticket(&self, shard: ShardNo, answer: Option<&Answer>, reason: ReasonCode) -> Checked {
        let Some(Answer { kind, id, ticket: Some(ticket), allowed, .. }) = answer else { return Ok(()) };
        if reason.is_failure() || *allowed == Some(false) {
            return Ok(());
        }
        let of = &self.shards[shard.0];
        if of.answered < *ticket {
            return breach!("{kind:?} {id} left before ticket {ticket} of {shard} was answered");
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
        if kind == Kind::PubRel
            && let Some(flight) = self.flights.get_mut(&client).and_then(|flights| flights.get_mut(&ack.id))
        {
            flight.released = true;
        }
        let Some(answer) = due else { return self.write_resumed(client, kind, ack) };
        if answer.has_no_room && !ack.reason.is_failure() {
            return breach!("{kind:?} {} says that was taken what {shard} has no room for", ack.id);
        }
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
    fn write_resumed(&mut self, client: ClientNo, kind: Kind, ack: Ack) -> Checked {
        // What was on disk may have been sent: its exchange is brought to an end without it.
        if kind == Kind::PubRel
            && let Some(number) = self.unsent.remove(&(client, ack.id))
        {
            let flight = Flight::ended(number, self.step);
            self.flights.entry(client).or_default().insert(ack.id, flight);
        }
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
        if answer.has_no_room && !session::is_oldest(version) && !all_failed {
            return breach!("SUBACK {id} says that was granted what {shard} has no room for");
        }
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
}
