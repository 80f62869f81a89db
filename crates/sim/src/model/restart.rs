//! A process begins with what is on disk: what was acknowledged is there, what was certainly given up is not, and the
//! rest may be there or not.

use super::link::{Flight, Flights};
use super::message::{Loss, Message, Owed};
use super::session::{Asked, Session, Sessions, Sub, Will};
use super::{Checked, Model, breach};
use crate::event::{ClientNo, MessageNo, ShardNo};
use crate::packet::Publish;
use crate::races::Race;
use crate::records::{Found, FoundMessage, FoundPlace, FoundSession, FoundWill};
use keyward_broker::LinkId;
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

    /// What is still to go to its readers has no place at QoS 2: it would come twice.
    fn check_places(
        &self,
        client: ClientNo,
        session: &Session,
        found: &FoundSession,
        accepted: &Accepted,
    ) -> Checked {
        for place in found.places.iter().filter(|place| place.qos == Qos::ExactlyOnce && !place.retain) {
            let number = place.message.as_ref().and_then(|message| message.number);
            let message = number.and_then(|number| self.messages.get(&number));
            let is_single =
                |message: &&Message| message.copies == 1 && session.groups_for(&message.topic).is_empty();
            if let Some(Message { number, .. }) = message.filter(is_single)
                && accepted.contains_key(number)
            {
                return breach!("{number} has a place of {client} on disk, and is still to go there");
            }
        }
        Ok(())
    }

    /// What is on disk is owed once more, if it has not arrived.
    fn restore_places(
        &mut self,
        client: ClientNo,
        session: &mut Session,
        found: &FoundSession,
        before: &Flights,
        known: Known,
    ) -> Checked {
        // Of what went on at an earlier start the session may have had its copy, at a lower quality of service, and this
        // is the one of that start.
        let is_due = |owed: &Owed| owed.sent < owed.copies;
        let due = session.owed.iter().filter(|(_, owed)| is_due(owed)).map(|(number, _)| *number).collect();
        for owed in session.owed.values_mut() {
            owed.copies = owed.sent;
        }
        let mut flights = Flights::new();
        for place in &found.places {
            let FoundPlace { id, message, qos, .. } = place;
            let number = message.as_ref().and_then(|message| message.number);
            let flight = Flight {
                number,
                qos: *qos,
                received: message.is_none(),
                released: message.is_none(),
                begun: self.step,
                link: LinkId(0),
            };
            match before.get(id).filter(|_| known == Known::Surely) {
                _ if message.is_none() => _ = flights.insert(*id, flight),
                Some(sent) if sent.number == number && sent.released => {
                    return breach!(
                        "{client} has got {number:?} and was sent PUBREL {id}, and it is owed still"
                    );
                }
                Some(sent) if sent.number == number => {
                    self.races.note(Race::SentAgainAfterCrash);
                    flights.insert(*id, Flight { received: false, ..*sent });
                }
                _ => self.restore_unsent((client, session, &due), place, &mut flights, flight)?,
            }
        }
        self.flights.insert(client, flights);
        Ok(())
    }

    fn restore_unsent(
        &mut self,
        (client, session, due): (ClientNo, &mut Session, &BTreeSet<MessageNo>),
        place: &FoundPlace,
        flights: &mut Flights,
        flight: Flight,
    ) -> Checked {
        let message = flight.number.and_then(|number| self.messages.get(&number));
        let Some(message) = message else {
            self.unsent.insert((client, place.id), flight.number);
            return Ok(());
        };
        let qos = place.qos;
        let number = message.number;
        let is_honest = self.setup.clients[client.0].is_honest;
        let is_single = is_honest
            && message.copies == 1
            && session.groups_for(&message.topic).is_empty()
            && !due.contains(&number)
            && !place.retain;
        if let Some(owed) = session.owed.get(&number).filter(|owed| is_single && owed.sent > 0) {
            if qos == Qos::ExactlyOnce {
                return breach!("{client} has got {number} at QoS 2, and it is on disk once more: {owed:?}");
            }
            // Its PUBACK is not on disk.
            flights.insert(place.id, flight);
            return Ok(());
        }
        if place.retain && !session.reads_as_published {
            match session.replayed.contains_key(&number) {
                true => _ = flights.insert(place.id, flight),
                false => _ = self.unsent.insert((client, place.id), Some(number)),
            }
            return Ok(());
        }
        self.unsent.insert((client, place.id), Some(number));
        let owed = session.owed.entry(number).or_insert_with(|| Owed {
            must: false,
            arrived: false,
            qos: (qos, qos),
            ids: None,
            link: None,
            copies: 0,
            sent: 0,
            flagged: 0,
            last: 0,
        });
        owed.copies += 1;
        owed.qos = (owed.qos.0.min(qos), owed.qos.1.max(qos));
        Ok(())
    }

    /// What was acknowledged to its publisher and has not arrived is on disk.
    fn check_owed(
        &self,
        client: ClientNo,
        session: &mut Session,
        found: &FoundSession,
        accepted: &Accepted,
    ) -> Checked {
        let places = found.places.iter().filter_map(|place| place.message.as_ref()?.number);
        let places: BTreeSet<MessageNo> = places.collect();
        let receiver = self.account(client);
        for (number, owed) in session.owed.iter_mut().filter(|(_, owed)| owed.must && !owed.arrived) {
            let message = &self.messages[number];
            let is_there = places.contains(number) || accepted.contains_key(number);
            owed.must = is_there || (message.accepted && !message.is_will);
            if !owed.must || is_there || message.expires.is_some() {
                continue;
            }
            let losses = Loss::of_session(message, owed.qos.0, receiver);
            if losses.iter().all(|loss| self.losses.count(loss) == 0) {
                return breach!("{number} for {client} was acknowledged and is not on disk");
            }
        }
        Ok(())
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
