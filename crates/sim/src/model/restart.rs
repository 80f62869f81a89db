//! A process begins with what is on disk: what was acknowledged is there, what was certainly given up is not, and the
//! rest may be there or not.

mod owed;

use super::link::Flights;
use super::message::{Loss, Message, Owed};
use super::session::{Asked, Session, Sessions, Sub, Will};
use super::{Checked, Model, breach};
use crate::event::{ClientNo, MessageNo, ShardNo};
use crate::packet::Publish;
use crate::races::Race;
use crate::records::{Found, FoundMessage, FoundSession, FoundWill};
use keyward_broker::limits::RESTART_GRACE;
use keyward_ids::Identity;
use keyward_mqtt::packet::Qos;
use keyward_mqtt::time::{Millis, UnixMillis};
use keyward_policy::Action;
use std::collections::{BTreeMap, BTreeSet};

/// Is what there was when a process ended.
#[derive(Debug)]
pub(super) struct Before {
    pub(super) sessions: Sessions,
    pub(super) flights: BTreeMap<ClientNo, Flights>,
    pub(super) ghosts: Vec<Ghost>,
    /// Up to which ticket each shard knew that everything was durable.
    pub(super) answered: Vec<u64>,
}

/// Is a stored session that has ended.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ghost {
    pub(super) client: ClientNo,
    pub(super) shard: ShardNo,
    /// The ticket with which it is gone.
    pub(super) ended: u64,
}

/// Says how often each QoS 2 message was taken that has gone to nobody: a client may have published it in two sessions.
type Accepted = BTreeMap<MessageNo, u32>;

/// Says how well a session on disk is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// It is the one that there was.
    Surely,
    /// It may be that one or an earlier one.
    Perhaps,
}

impl Before {
    /// Tells whether a session that was there is certainly on disk, unless it was taken off.
    fn is_sure(&self, session: &Session) -> bool {
        session.certain && session.was_stored && session.begun <= self.answered[session.shard.0]
    }

    /// Tells whether a session that has ended may be on disk still.
    fn may_haunt(&self, client: ClientNo) -> bool {
        let mut ghosts = self.ghosts.iter().filter(|ghost| ghost.client == client);
        ghosts.any(|ghost| ghost.ended > self.answered[ghost.shard.0])
    }
}

impl Model {
    /// A process says what it found on disk.
    pub(super) fn find(&mut self, found: &Found) -> Checked {
        let Some(mut before) = self.before.take() else { return Ok(()) };
        self.take_times(found);
        let mut accepted = Accepted::new();
        for number in found.accepted.iter().filter_map(|it| it.number) {
            *accepted.entry(number).or_default() += 1;
        }
        self.check_wills(&before, found)?;
        for session in &found.sessions {
            if let Some(client) = self.client_of(&session.identity, &session.client_id) {
                self.restore(&mut before, client, session, &accepted)?;
            }
        }
        for (client, session) in &before.sessions {
            if before.is_sure(session) && session.lifetime.is_some() && !self.sessions.contains_key(client) {
                return breach!("the session of {client} was acknowledged and is not on disk");
            }
        }
        for will in &found.wills {
            self.restore_will(will);
        }
        self.restore_slots(found, &accepted)?;
        self.restore_groups(found, &accepted);
        self.go_on_with(&accepted);
        Ok(())
    }

    fn client_of(&self, identity: &Identity, client_id: &str) -> Option<ClientNo> {
        let mut clients = self.setup.clients.iter();
        let place = clients.position(|client| {
            client.client_id == client_id && self.setup.accounts[client.account] == *identity
        });
        place.map(ClientNo)
    }

    /// The wall clock may have jumped: what is on disk expires by it, and a slot, which is written by itself, at another
    /// time than the places of the same message.
    fn take_times(&mut self, found: &Found) {
        let places = found.sessions.iter().flat_map(|it| &it.places).filter_map(|it| it.message.as_ref());
        let letters = found.letters.iter().map(|(_, message)| message);
        for FoundMessage { number, expires } in places.chain(letters).chain(&found.accepted) {
            let expires = expires.map(|at| self.to_mono(at));
            if let Some(message) = number.and_then(|number| self.messages.get_mut(&number)) {
                message.expires = expires;
            }
        }
        for (_, FoundMessage { number, expires }) in &found.retained {
            let expires = expires.map(|at| self.to_mono(at));
            if let Some(message) = number.and_then(|number| self.messages.get_mut(&number)) {
                message.expires_in_slot = expires;
            }
        }
    }

    fn to_mono(&self, at: UnixMillis) -> Millis {
        self.now.saturating_add(at.since(self.wall))
    }

    // Sessions.

    fn restore(
        &mut self,
        before: &mut Before,
        client: ClientNo,
        found: &FoundSession,
        accepted: &Accepted,
    ) -> Checked {
        let known = self.recognize(before, client, found)?;
        let mut places = found.places.iter();
        self.races.note_if(places.any(|place| place.message.is_some()), Race::RestoredWithMessages);
        let flights = before.flights.remove(&client).unwrap_or_default();
        let mut session = match before.sessions.remove(&client) {
            Some(session) if known == Known::Surely => session,
            _ => {
                self.sessions_begun += 1;
                let mut session = Session::new(self.sessions_begun, found.shard, found.life);
                // What it was is not known well enough to say what it may not be sent.
                (session.reads_as_published, session.is_small) = (true, true);
                session
            }
        };
        if known == Known::Surely && self.setup.clients[client.0].is_honest {
            check_subscriptions(client, &session, found, before.answered[session.shard.0])?;
            check_exchanges(client, &session, &flights, found)?;
        }
        session.lose_link();
        let answered = before.answered.get(found.shard.0).copied().unwrap_or(0);
        self.set_terms(client, &mut session, found, (answered, accepted));
        set_subscriptions(&mut session, found);
        self.check_places(client, &session, found, accepted)?;
        self.restore_places(client, &mut session, found, &flights, known)?;
        self.check_owed(client, &mut session, found, accepted)?;
        self.sessions.insert(client, session);
        Ok(())
    }

    fn recognize(&self, before: &Before, client: ClientNo, found: &FoundSession) -> Checked<Known> {
        let session = before.sessions.get(&client);
        if let Some(session) = session.filter(|session| before.is_sure(session)) {
            if session.unstored.is_some_and(|ticket| ticket <= before.answered[session.shard.0]) {
                return breach!("the session of {client} is on disk, and was taken off: {found:?}");
            }
            let is_whole = session.lifetime.is_some();
            return Ok(if is_whole { Known::Surely } else { Known::Perhaps });
        }
        if session.is_none_or(|session| !session.was_stored) && !before.may_haunt(client) {
            return breach!("a session of {client} is on disk that has ended: {found:?}");
        }
        Ok(Known::Perhaps)
    }

    fn set_terms(
        &mut self,
        client: ClientNo,
        session: &mut Session,
        found: &FoundSession,
        (answered, accepted): (u64, &Accepted),
    ) {
        let gone_for = found.left.map_or(Millis::ZERO, |left| self.wall.since(left));
        session.shard = found.shard;
        (session.begun, session.was_stored, session.unstored) = (0, true, None);
        session.given_up.clear();
        session.certain = true;
        session.epoch = found.life;
        session.lifetime = Some(found.span);
        session.expires = Some(self.now.saturating_add(found.span.saturating_sub(gone_for)));
        session.will = None;
        // What was sent and is not on disk may come anew, behind what came after it.
        session.order.clear();
        session.replays.iter_mut().for_each(|replay| replay.checked = true);
        session.acknowledged = found.inbound.iter().copied().collect();
        session.inbound.clear();
        for id in &found.inbound {
            // The last one that is certainly on disk, or is seen there.
            let known = self.last_inbound.entry((client, *id)).or_default();
            let is_there = |(number, ticket): &&(Option<MessageNo>, u64)| {
                *ticket <= answered || number.is_some_and(|number| accepted.contains_key(&number))
            };
            let number = known.iter().rfind(is_there).and_then(|(number, _)| *number);
            if number.is_none() || !known.last().as_ref().is_some_and(is_there) {
                self.vague.insert((client, *id));
            }
            *known = vec![(number, 0)];
            session.inbound.insert(*id, (number, 0));
        }
    }

    // Wills.

    /// A will that outlives the process is on disk before its client is welcomed.
    fn check_wills(&self, before: &Before, found: &Found) -> Checked {
        for (client, session) in &before.sessions {
            let Some(will) = session.will.as_ref().filter(|will| will.is_durable) else { continue };
            let mut wills = found.wills.iter();
            let is_there = wills.any(|it| {
                it.number == will.message.number
                    && self.client_of(&it.identity, &it.client_id) == Some(*client)
            });
            if !is_there {
                return breach!("the will of {client} was acknowledged and is not on disk");
            }
        }
        Ok(())
    }

    fn restore_will(&mut self, found: &FoundWill) {
        let Some(client) = self.client_of(&found.identity, &found.client_id) else { return };
        let left = match found.due {
            Some(due) => due.since(self.wall),
            None => Millis::from_secs(u64::from(found.delay)),
        };
        let grace = self.now.saturating_add(RESTART_GRACE);
        let mut due = self.now.saturating_add(left).max(grace);
        if !self.sessions.contains_key(&client) {
            self.sessions_begun += 1;
            let mut session = Session::new(self.sessions_begun, found.shard, found.life);
            session.expires = Some(due);
            self.sessions.insert(client, session);
        }
        let Some(session) = self.sessions.get_mut(&client) else { return };
        if session.lifetime.is_some() {
            due = session.expires.map_or(due, |expires| due.min(expires.max(grace)));
        }
        let message = Publish {
            number: found.number,
            topic: found.topic.clone(),
            alias: None,
            qos: found.qos,
            id: None,
            retain: found.retain,
            dup: false,
            expiry: found.expiry,
            subscription_ids: Vec::new(),
        };
        self.races.note_if(found.due.is_none(), Race::WillKeptOverCrash);
        let (delay, is_of_before) = (found.delay, found.due.is_none());
        session.will = Some(Will { message, delay, due: Some(due), is_durable: true, is_of_before });
    }

    // Everything else.

    fn restore_slots(&mut self, found: &Found, accepted: &Accepted) -> Checked {
        let retained = found.retained.iter().map(|(topic, message)| (topic.clone(), message.number));
        let retained: BTreeMap<String, Option<MessageNo>> = retained.collect();
        for (topic, number) in self.slots.certain(self.step) {
            let message = self.messages.get(&number);
            if message.is_some_and(|message| self.is_kept(message)) && !retained.contains_key(topic) {
                return breach!("{number} was retained and acknowledged, and is not on disk");
            }
        }
        let waits = |number| accepted.contains_key(&number);
        match self.slots.restart(&retained, waits, (self.step, self.now)) {
            Some(topic) => breach!("what is retained of {topic} on disk was overtaken before"),
            None => Ok(()),
        }
    }

    /// Tells whether a retained message certainly stays where it is.
    fn is_kept(&self, message: &Message) -> bool {
        let of = message.account;
        message.accepted
            && message.qos > Qos::AtMostOnce
            && message.copies == 1
            && !message.is_will
            && message.expires.is_none()
            && self.law_changed < message.taken
            && [Loss::RetainedFull(of), Loss::NoMemory(of), Loss::PublisherGone(of)]
                .iter()
                .all(|loss| self.losses.count(loss) == 0)
    }

    fn restore_groups(&mut self, found: &Found, accepted: &Accepted) {
        let mut letters: BTreeMap<(MessageNo, String), usize> = BTreeMap::new();
        for (group, message) in &found.letters {
            if let Some(number) = message.number {
                *letters.entry((number, group.clone())).or_default() += 1;
            }
        }
        let messages = &self.messages;
        let is_certain = |number: MessageNo| {
            messages[&number].accepted && !messages[&number].is_will || accepted.contains_key(&number)
        };
        self.groups.restart(&letters, is_certain);
        let groups: Vec<String> = self.groups.members.keys().cloned().collect();
        self.forsake_groups(&groups);
    }

    /// QoS 2 messages that were taken go to their readers now, if their publishers may still publish them.
    fn go_on_with(&mut self, accepted: &Accepted) {
        let shared = |session: &Session| session.shared_groups().map(str::to_owned).collect::<Vec<_>>();
        let present: BTreeSet<String> = self.sessions.values().flat_map(shared).collect();
        for (number, copies) in accepted {
            self.races.note(Race::AcceptedRoutedAtStart);
            let Some(message) = self.messages.get_mut(number) else { continue };
            message.flying = true;
            let message = message.clone();
            let (account, topic) = (message.account, &message.topic);
            let is_allowed = self.law.may(ShardNo(0), account, message.epoch, Action::Publish, topic);
            self.groups.go_on(&message, &present, *copies as usize);
            if !is_allowed {
                self.groups.forgive(*number);
                self.slots.doubt(|client, topic| client == message.client && topic == message.topic);
            }
            for session in self.sessions.values_mut() {
                let due = session.due(&message);
                let owed = session.owed.get_mut(number);
                match (owed, due) {
                    (Some(owed), Some(due)) => {
                        owed.copies += copies;
                        owed.qos = (owed.qos.0.min(due.qos.0), owed.qos.1.max(due.qos.1));
                        // Its subscriptions may be others now.
                        owed.ids = None;
                    }
                    (None, Some(due)) => {
                        let qos = (Qos::AtMostOnce, due.qos.1);
                        let owed = Owed { must: false, copies: *copies, qos, ids: None, ..due };
                        session.owed.insert(*number, owed);
                    }
                    (_, None) => {}
                }
                if let Some(owed) = session.owed.get_mut(number).filter(|_| !is_allowed) {
                    owed.must = false;
                }
            }
        }
    }
}

/// What SUBACK has granted is on disk, and what UNSUBACK has taken away is not.
fn check_subscriptions(client: ClientNo, session: &Session, found: &FoundSession, answered: u64) -> Checked {
    let is_there = |filter: &str| found.subs.iter().any(|(other, ..)| other == filter);
    if let Some((filter, _)) = session.subs.iter().find(|(filter, sub)| sub.confirmed && !is_there(filter)) {
        return breach!("the subscription of {client} to {filter} was granted and is not on disk");
    }
    for (filter, ..) in &found.subs {
        let gone = session.given_up.get(filter);
        if !session.subs.contains_key(filter) && gone.is_none_or(|ticket| *ticket <= answered) {
            return breach!("{client} has given {filter} up, and it is on disk");
        }
    }
    Ok(())
}

/// What PUBREC was said to is on disk, and so is what was sent at QoS 2.
fn check_exchanges(client: ClientNo, session: &Session, flights: &Flights, found: &FoundSession) -> Checked {
    if let Some(id) = session.acknowledged.iter().find(|id| !found.inbound.contains(id)) {
        return breach!("PUBREC {id} was said to {client}, and that is not on disk");
    }
    for (id, flight) in flights.iter().filter(|(_, flight)| flight.qos == Qos::ExactlyOnce) {
        let place = found.places.iter().find(|place| place.id == *id);
        let number = place.and_then(|place| place.message.as_ref()?.number);
        let is_it = place.is_some_and(|place| place.message.is_none() || number == flight.number);
        if !is_it {
            return breach!("{client} was sent {flight:?} under {id}, on disk is {place:?}");
        }
    }
    Ok(())
}

fn set_subscriptions(session: &mut Session, found: &FoundSession) {
    let mut before = core::mem::take(&mut session.subs);
    for (filter, options, id) in &found.subs {
        let asked = Asked { serial: session.asks, options: *options, id: *id };
        session.asks += 1;
        let confirmed_at = before.remove(filter).and_then(|sub| sub.confirmed_at).or(Some(0));
        session.subs.insert(filter.clone(), Sub { asked: vec![asked], confirmed: true, confirmed_at });
        session.reads_as_published |= options.retain_as_published;
        if filter.starts_with("$share/") {
            session.shared.insert(filter.clone());
        }
    }
}
