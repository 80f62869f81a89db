//! How links and sessions end, and the wills that follow.

use super::groups::Released;
use super::restart::Ghost;
use super::session::Session;
use super::{Checked, Model, breach};
use crate::event::{ClientNo, ShardNo};
use crate::races::Race;
use keyward_broker::{CloseCause, LinkId};
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::time::Millis;

impl Model {
    /// Counts what is in danger when a link is lost, and lets other members of its groups have what it had.
    pub(super) fn note_lost_link(&mut self, client: ClientNo) {
        self.note_chosen(client);
        let Released { is_any, is_kept, mut disowned } = self.groups.release(client);
        self.races.note_if(is_any, Race::GroupMemberLost);
        self.races.note_if(is_kept, Race::GroupMemberLostInExchange);
        let Some(session) = self.sessions.get_mut(&client) else { return };
        session.disowned.append(&mut disowned);
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
        self.note_chosen(client);
        self.groups.release(client);
        let ended = self.sessions.remove(&client);
        if let Some(session) = ended.as_ref().filter(|session| session.was_stored) {
            let (shard, ended) = (session.shard, self.shards[session.shard.0].asked + 1);
            self.ghosts.push(Ghost { client, shard, ended });
        }
        self.flights.remove(&client);
        let groups = ended.iter().flat_map(Session::shared_groups);
        let groups: Vec<String> = groups.map(str::to_owned).collect();
        self.forsake_groups(&groups);
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
}
