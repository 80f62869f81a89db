//! A shard takes a link that the door gave it: a session begins, goes on, or gets another link.

use super::link::{Answer, Kind};
use super::session::{self, Session, Will};
use super::{Checked, Model, breach};
use crate::event::{ClientNo, ShardNo, What};
use crate::packet::{Hello, Packet};
use crate::races::Race;
use keyward_broker::{CloseCause, LinkId, Standing};
use keyward_mqtt::packet::Qos;

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
        self.check_room_for_session(shard, client, &hello)?;
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
        let asked = self.shards[shard.0].asked + 1;
        let session = self.sessions.entry(client).or_insert_with(|| Session::new(serial, shard, hello.epoch));
        if !resumed {
            session.begun = asked;
        }
        if session.lifetime.is_some() && span.is_none() {
            session.unstored = Some(asked);
        }
        session.was_stored |= span.is_some();
        session.lifetime = span;
        session.is_small |= hello.maximum_packet_size.is_some();
        session.link = Some(link);
        session.established = false;
        session.resumed = resumed;
        session.certain &= session.expires.is_none_or(|expires| expires > self.now);
        let groups: Vec<String> = session.shared_groups().map(str::to_owned).collect();
        session.expires = None;
        session.will = hello.will.as_ref().map(|will| Will {
            message: will.message.clone(),
            delay: will.delay,
            due: None,
            is_durable: false,
            is_of_before: false,
        });
        let serial = session.serial;
        let ticket = ended_stored.then_some(self.shards[shard.0].asked + 1);
        let now = self.now;
        self.forsake_groups(&groups);
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
            Some(will) if will.is_of_before => session.will = None,
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
}
