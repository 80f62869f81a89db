//! What clients do, from the moment in which a shard takes it.

use super::groups::{Copy, filter_of};
use super::law::matches;
use super::link::{Answer, Flight, Kind};
use super::message::{Message, Owed};
use super::room::Taking;
use super::session::{Asked, Replay, Session, Sub, is_oldest};
use super::{Breach, Checked, Model};
use crate::event::{AccountNo, ClientNo, MessageNo, ShardNo};
use crate::packet::{Packet, Publish};
use crate::races::Race;
use keyward_broker::LinkId;
use keyward_mqtt::packet::{Qos, RetainHandling, SubscribeOptions};
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::time::Millis;
use keyward_policy::Action;
use std::collections::BTreeSet;

impl Model {
    pub(super) fn take(&mut self, shard: ShardNo, link: LinkId, packet: &Packet) -> Checked {
        let now = self.now;
        let of = self.link(link)?;
        let alias = of.take(packet, now)?;
        let client = of.client;
        // A shard ignores what comes from a link that it has ended.
        if self.sessions.get(&client).is_none_or(|session| session.link != Some(link)) {
            return Ok(());
        }
        self.taking = Some(self.decide_about(client, packet));
        match packet {
            Packet::Publish(publish) => {
                let publish = &Publish { alias, ..publish.clone() };
                self.take_publish(shard, link, client, publish)
            }
            Packet::PubAck(ack) => {
                self.finish(client, link, ack.id);
                Ok(())
            }
            Packet::PubRec(ack) => {
                self.take_pubrec(link, client, ack.id, ack.reason);
                Ok(())
            }
            Packet::PubRel(ack) => {
                let answered = self.shards[shard.0].answered;
                self.vague.remove(&(client, ack.id));
                let session = self.session(client)?;
                let waits = session.inbound.get(&ack.id).is_some_and(|(_, ticket)| *ticket > answered);
                if waits && !session.acknowledged.contains(&ack.id) {
                    // A rude client lets go of what it was not told of: it is closed, and the exchange stays.
                    return Ok(());
                }
                let known = session.inbound.remove(&ack.id).is_some() & session.acknowledged.remove(&ack.id);
                let is_stored = session.lifetime.is_some();
                self.owe(shard, link, Answer::new(Kind::PubComp, ack.id), known && is_stored)
            }
            Packet::PubComp(ack) => {
                self.finish(client, link, ack.id);
                Ok(())
            }
            Packet::Subscribe { id, subscription_id, filters } => {
                self.take_subscribe(shard, link, client, *id, *subscription_id, filters)
            }
            Packet::Unsubscribe { id, filters } => self.take_unsubscribe(shard, link, client, *id, filters),
            Packet::Disconnect { reason, session_expiry } => {
                self.link(link)?.left = Some(*reason);
                let longest = self.setup.limits.session_expiry;
                let session = self.session(client)?;
                if let (Some(_), Some(secs)) = (session.lifetime, session_expiry) {
                    let span = Millis::from_secs(u64::from(*secs)).min(longest);
                    session.lifetime = (*secs > 0).then_some(span);
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    pub(super) fn session(&mut self, client: ClientNo) -> Checked<&mut Session> {
        self.sessions.get_mut(&client).ok_or_else(|| Breach(format!("{client} has no session")))
    }

    /// Notes an answer that is due, and that it waits for what this input makes durable.
    pub(super) fn owe(&mut self, shard: ShardNo, link: LinkId, answer: Answer, durable: bool) -> Checked {
        let ticket = durable.then_some(self.shards[shard.0].asked + 1);
        self.link(link)?.answers.push_back(Answer { ticket, ..answer });
        Ok(())
    }

    fn take_publish(&mut self, shard: ShardNo, link: LinkId, client: ClientNo, publish: &Publish) -> Checked {
        let account = self.account(client);
        let is_honest = self.setup.clients[client.0].is_honest;
        let session = self.session(client)?;
        let (epoch, serial) = (session.epoch, session.serial);
        let is_stored = session.lifetime.is_some();
        let kind = if publish.qos == Qos::ExactlyOnce { Kind::PubRec } else { Kind::PubAck };
        let mut answer = Answer { number: publish.number, ..Answer::new(kind, publish.id.unwrap_or(0)) };
        if let Some(id) = publish.id
            && publish.qos == Qos::ExactlyOnce
            && session.inbound.get(&id).is_some_and(|(number, _)| *number == publish.number)
        {
            return self.owe(shard, link, answer, false);
        }
        let allowed = self.law.may(shard, account, epoch, Action::Publish, &publish.topic);
        // What the packet id on disk may stand for is not asked about again: it was allowed when it was taken.
        let exchange = publish.id.filter(|_| publish.qos == Qos::ExactlyOnce).map(|id| (client, id));
        let is_vague = exchange.is_some_and(|exchange| self.vague.contains(&exchange));
        answer.allowed = Some(allowed).filter(|allowed| *allowed || !is_vague);
        self.races.note_if(self.law.is_behind(shard), Race::PublishBetweenOrderAndEnactment);
        let before = self.session(client)?.decisions.insert(publish.topic.clone(), allowed);
        self.races.note_if(before == Some(!allowed), Race::DecisionChanged);
        self.note_alias(link, publish, allowed)?;
        if !allowed {
            return if publish.id.is_some() { self.owe(shard, link, answer, false) } else { Ok(()) };
        }
        if let Some((_, id)) = exchange {
            let ticket = self.shards[shard.0].asked + 1;
            let inbound = &mut self.session(client)?.inbound;
            // A rude client may have the id in use for another message: then it is not certain that this one is taken,
            // and it may be taken when it comes again.
            if is_honest || !inbound.contains_key(&id) {
                inbound.insert(id, (publish.number, ticket));
                self.vague.remove(&(client, id));
                self.last_inbound.entry((client, id)).or_default().push((publish.number, ticket));
                self.taking = Some(Taking { client, exchange: Some(id), needs_no_room: false });
            } else {
                self.vague.insert((client, id));
            }
        }
        let expiry = publish.expiry.map(|secs| self.now.saturating_add(Millis::from_secs(u64::from(secs))));
        let reaches_stored = self.publish(client, epoch, serial, publish, expiry, false);
        if publish.id.is_none() {
            return Ok(());
        }
        let durable = (reaches_stored && publish.qos == Qos::AtLeastOnce)
            || publish.retain
            || (is_stored && publish.qos == Qos::ExactlyOnce);
        // A rude client may have the id in use: then there is nothing new to be stored.
        self.owe_or_refuse(shard, link, answer, durable && is_honest && !is_vague)
    }

    fn note_alias(&mut self, link: LinkId, publish: &Publish, allowed: bool) -> Checked {
        let Some(alias) = publish.alias else { return Ok(()) };
        let before = self.link(link)?.aliases.insert(alias, publish.topic.clone());
        let is_other = before.as_ref().is_some_and(|before| *before != publish.topic);
        self.races.note_if(is_other, Race::AliasRepointed);
        self.races.note_if(before.as_ref() != Some(&publish.topic) && !allowed, Race::AliasOfDeniedPublish);
        Ok(())
    }

    /// A message goes to all that want it, or a will. Returns whether a stored session is certainly among them.
    pub(super) fn publish(
        &mut self,
        client: ClientNo,
        epoch: u64,
        origin: u64,
        publish: &Publish,
        expires: Option<Millis>,
        is_will: bool,
    ) -> bool {
        if publish.retain {
            let is_contested = self.slots.is_contested(&publish.topic, client);
            self.races.note_if(is_contested, Race::TwoWritersOfOneSlot);
            let mut replays = self.sessions.values().flat_map(|session| &session.replays);
            let is_live = replays.any(|replay| !replay.checked && matches(&replay.filter, &publish.topic));
            self.races.note_if(is_live, Race::LiveAgainstReplay);
            let account = self.account(client);
            // What waits for the disk is asked about again.
            let waits = publish.qos == Qos::ExactlyOnce && !is_will;
            let stands = self.law.delivers_everywhere(account, epoch, is_will)
                && (!waits || self.law.goes_on_to_allow(account, Action::Publish, &publish.topic));
            self.slots.put(client, publish, stands, (self.step, self.now));
        }
        let drafted = Message {
            number: publish.number.unwrap_or(MessageNo(0)),
            client,
            account: AccountNo(self.setup.clients[client.0].account),
            epoch,
            epochs: BTreeSet::new(),
            origin,
            topic: publish.topic.clone(),
            qos: publish.qos,
            retain: publish.retain,
            expires,
            expires_in_slot: None,
            is_will,
            since: self.law.oldest_generation(),
            since_revision: self.law.oldest_revision(),
            taken: self.step,
            taken_last: self.now,
            copies: 0,
            accepted: is_will || publish.qos == Qos::AtMostOnce,
            flying: true,
        };
        let Some(number) = publish.number else {
            self.groups.unnumbered.push(drafted);
            return false;
        };
        let message = self.messages.entry(number).or_insert(drafted);
        message.copies += 1;
        // Published again it is accepted anew, or not.
        message.accepted = is_will || publish.qos == Qos::AtMostOnce;
        message.flying = true;
        message.taken_last = self.now;
        message.epoch = epoch;
        message.epochs.insert(epoch);
        message.origin = origin;
        message.expires = message.expires.max(expires);
        let message = message.clone();
        self.offer_to_groups(&message);
        self.note_interest(&message);
        self.send_to_sessions(&message)
    }

    fn note_interest(&mut self, message: &Message) {
        let from = self.sessions.get(&message.client).map(|session| session.shard);
        for (client, session) in &self.sessions {
            let asks = session.matching(&message.topic).any(|sub| !sub.confirmed);
            self.races.note_if(asks && from != Some(session.shard), Race::InterestUnderWay);
            let account = AccountNo(self.setup.clients[client.0].account);
            let is_denied = session.shared_matching(&message.topic)
                && !self.law.may(session.shard, account, session.epoch, Action::Receive, &message.topic);
            self.races.note_if(is_denied && session.link.is_some(), Race::GroupMemberDenied);
        }
    }

    fn send_to_sessions(&mut self, message: &Message) -> bool {
        let mut reaches_stored = false;
        for (client, session) in &mut self.sessions {
            let Some(due) = session.due(message) else { continue };
            reaches_stored |= due.must && session.lifetime.is_some();
            let account = AccountNo(self.setup.clients[client.0].account);
            let is_readable =
                self.law.may(session.shard, account, session.epoch, Action::Receive, &message.topic);
            let is_promised = is_readable
                && self.setup.clients[client.0].is_honest
                && self.setup.clients[message.client.0].is_honest
                && (due.qos.0 > Qos::AtMostOnce || due.link.is_some());
            let must = due.must && is_promised;
            match session.owed.get_mut(&message.number) {
                None => {
                    session.owed.insert(message.number, Owed { must, copies: 1, ..due });
                }
                Some(owed) => {
                    owed.copies += 1;
                    owed.must |= must;
                    owed.qos = (owed.qos.0.min(due.qos.0), owed.qos.1.max(due.qos.1));
                    owed.ids = None;
                }
            }
        }
        reaches_stored
    }

    fn take_pubrec(&mut self, link: LinkId, client: ClientNo, id: u16, reason: ReasonCode) {
        if reason.is_failure() {
            return self.finish(client, link, id);
        }
        let mut is_known = false;
        if let Some(flight) = self.flights.entry(client).or_default().get_mut(&id) {
            is_known = true;
            flight.received = true;
            let flight = *flight;
            self.arrived(client, id, &flight);
        }
        let is_stored = self.sessions.get(&client).is_some_and(|session| session.lifetime.is_some());
        let shard = self.sessions.get(&client).map(|session| session.shard);
        if let (Some(shard), Some(of)) = (shard, self.links.get_mut(&link)) {
            let ticket = (is_stored && is_known).then_some(self.shards[shard.0].asked + 1);
            of.answers.push_back(Answer { ticket, ..Answer::new(Kind::PubRel, id) });
        }
    }

    /// The client has done with a packet id.
    fn finish(&mut self, client: ClientNo, link: LinkId, id: u16) {
        if let Some(link) = self.links.get_mut(&link) {
            link.open.remove(&id);
        }
        let flights = self.flights.entry(client).or_default();
        if let Some(flight) = flights.remove(&id) {
            let is_early = flights.values().any(|other| other.begun < flight.begun);
            self.races.note_if(is_early, Race::FinishedOutOfOrder);
            self.arrived(client, id, &flight);
        }
    }

    fn arrived(&mut self, client: ClientNo, id: u16, flight: &Flight) {
        let Flight { number: Some(number), qos, .. } = *flight else { return };
        let Some(session) = self.sessions.get_mut(&client) else { return };
        let groups = session.groups_for(&self.messages[&number].topic);
        let owed = session.owed.get_mut(&number).map(|owed| owed.arrived = true);
        if let ([group], None) = (groups.as_slice(), owed) {
            self.groups.settle(number, group);
        }
        if !groups.is_empty() {
            let (session, id) = (session.serial, Some(id));
            let (arrived, is_plain, left) = (true, true, BTreeSet::new());
            self.groups.arrive(number, Copy { client, session, qos, id, arrived, is_plain, groups, left });
        }
    }

    fn take_subscribe(
        &mut self,
        shard: ShardNo,
        link: LinkId,
        client: ClientNo,
        id: u16,
        subscription_id: Option<u32>,
        filters: &[(String, SubscribeOptions)],
    ) -> Checked {
        let account = self.account(client);
        let is_stored = self.session(client)?.lifetime.is_some();
        let mut answer = Answer::new(Kind::SubAck, id);
        for (filter, options) in filters {
            let epoch = self.session(client)?.epoch;
            let allowed = (!filter.contains(['+', '#']) && !filter.starts_with("$share/")).then(|| {
                [Action::Subscribe, Action::Receive]
                    .iter()
                    .all(|action| self.law.may(shard, account, epoch, *action, filter))
            });
            let serial = self.subscribe(client, filter, *options, subscription_id)?;
            answer.filters.push((filter.clone(), allowed, serial));
        }
        let says_so = !is_oldest(self.link(link)?.hello.version);
        self.owe_or_refuse(shard, link, answer, is_stored && says_so)
    }

    fn subscribe(
        &mut self,
        client: ClientNo,
        filter: &str,
        options: SubscribeOptions,
        id: Option<u32>,
    ) -> Checked<u64> {
        let (step, generation) = (self.step, self.law.oldest_generation());
        let session = self.sessions.get_mut(&client);
        let session = session.ok_or_else(|| Breach(format!("{client} has no session")))?;
        let is_new = !session.subs.contains_key(filter);
        let sub = Sub { asked: Vec::new(), confirmed: false, confirmed_at: None };
        let serial = session.asks;
        session.asks += 1;
        session.subs.entry(filter.to_owned()).or_insert(sub).asked.push(Asked { serial, options, id });
        session.reads_as_published |= options.retain_as_published;
        if filter.starts_with("$share/") {
            session.shared.insert(filter.to_owned());
            self.groups.ask(client, filter);
            let flying = self.messages.values().filter(|message| message.flying);
            for message in flying.filter(|message| matches(filter_of(filter), &message.topic)) {
                self.groups.blur(message, filter);
            }
            return Ok(serial);
        }
        let replays = match options.retain_handling {
            RetainHandling::Always => true,
            // Whether it is new is not certain while an earlier one is not answered.
            RetainHandling::IfNew => is_new || !session.subs[filter].confirmed,
            RetainHandling::Never => false,
        };
        if replays {
            let is_sure = is_new || options.retain_handling == RetainHandling::Always;
            let filter = filter.to_owned();
            session.replays.push(Replay {
                serial,
                filter,
                is_sure,
                asked: step,
                generation,
                begun: None,
                checked: false,
            });
        }
        for message in self.messages.values().filter(|message| message.flying) {
            if matches(filter, &message.topic) {
                session.blur(message, Some(options));
            }
        }
        Ok(serial)
    }

    fn take_unsubscribe(
        &mut self,
        shard: ShardNo,
        link: LinkId,
        client: ClientNo,
        id: u16,
        filters: &[String],
    ) -> Checked {
        // A rude client asks under an id that waits for another answer: it is told so, and nothing changes.
        if self.link(link)?.is_asking(id) {
            return self.owe(shard, link, Answer::new(Kind::UnsubAck, id), false);
        }
        let ticket = self.shards[shard.0].asked + 1;
        let session = self.sessions.get_mut(&client);
        let session = session.ok_or_else(|| Breach(format!("{client} has no session")))?;
        let is_stored = session.lifetime.is_some();
        let mut is_known = false;
        for filter in filters {
            session.given_up.insert(filter.clone(), ticket);
            is_known |= session.subs.remove(filter).is_some_and(|sub| sub.confirmed);
            self.groups.keep(client, filter);
            session.replays.iter_mut().filter(|it| it.filter == *filter).for_each(|it| it.checked = true);
            let awaited = session.owed.iter().filter(|(_, it)| !it.arrived || it.sent < it.copies);
            let numbers: Vec<_> = awaited.map(|it| *it.0).collect();
            for message in numbers.iter().filter_map(|number| self.messages.get(number)) {
                if matches(filter, &message.topic) {
                    self.races.note_if(message.flying, Race::UnsubscribedWithMailUnderWay);
                    session.blur(message, None);
                }
            }
        }
        self.forsake_groups(filters);
        self.owe(shard, link, Answer::new(Kind::UnsubAck, id), is_known && is_stored)
    }
}
