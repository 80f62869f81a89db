//! Messages that shards write to links.

use super::groups::Copy;
use super::message::Message;
use super::{Checked, Model, breach, link};
use crate::event::{ClientNo, MessageNo, ShardNo};
use crate::packet::Publish;
use crate::races::Race;
use keyward_broker::LinkId;
use keyward_mqtt::packet::Qos;
use keyward_policy::Action;
use std::collections::BTreeSet;

impl Model {
    pub(super) fn write_publish(
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
            let delivers = |epoch| self.law.delivers_of(shard, message.account, epoch, message.is_will);
            if !message.epochs.iter().copied().any(delivers) {
                return breach!("the publisher of {number} is gone: {publish}");
            }
            self.check_expiry(message, publish)?;
        }
        // What was written to a link whose session has ended since counts for nobody.
        if self.sessions.get(&client).is_none_or(|session| Some(session.serial) != begun) {
            return Ok(());
        }
        let is_first = self.is_sent_first(client, publish);
        if self.setup.clients[client.0].is_honest {
            let sent = Publish { dup: publish.dup && !is_first, ..publish.clone() };
            link::send(self.flights.entry(client).or_default(), &sent, link, self.step)?;
            if let Some(id) = publish.id {
                self.races.note_if(publish.dup, Race::SentAgainOnResume);
                let is_full = self.link(link)?.open(id)?;
                self.races.note_if(is_full, Race::ReceiveMaximumReached);
            }
        }
        match publish.number {
            Some(number) => self.deliver(link, client, number, (publish, is_first)),
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
        let latest = message.expires.max(message.expires_in_slot);
        let Some(expires) = latest.filter(|_| message.copies == 1) else { return Ok(()) };
        let left = expires.saturating_sub(self.now);
        if let Some(secs) = publish.expiry
            && u64::from(secs) > left.0.div_ceil(1000) + 1
        {
            return breach!("[MQTT-3.3.2-6] {} ms are left of {publish}", left.0);
        }
        Ok(())
    }

    /// Tells whether a message is sent for the first time: of what was on disk the broker does not know whether it was.
    fn is_sent_first(&mut self, client: ClientNo, publish: &Publish) -> bool {
        let Some(id) = publish.id else { return true };
        let was_unsent = self.unsent.remove(&(client, id)) == Some(publish.number);
        was_unsent || !publish.dup
    }

    fn deliver(
        &mut self,
        link: LinkId,
        client: ClientNo,
        number: MessageNo,
        (publish, is_first): (&Publish, bool),
    ) -> Checked {
        let (step, message) = (self.step, &self.messages[&number]);
        let is_honest = self.setup.clients[client.0].is_honest;
        let Some(session) = self.sessions.get_mut(&client) else { return Ok(()) };
        let is_live = !publish.retain
            || (session.reads_as_published
                && session.owed.get(&number).is_some_and(|owed| owed.sent < owed.copies));
        // What comes through a group cannot be told from what comes through a plain subscription beside it.
        let groups = session.groups_for(&message.topic);
        let by_group = !groups.is_empty();
        let mut is_pure = !session.owed.contains_key(&number) && groups.len() == 1;
        let of_slot = publish.retain && !session.reads_as_published;
        if is_first {
            let seen = if is_live {
                let seen = session.receive(message, publish, step);
                seen.or_else(|breach| match session.recount(message, publish, step, &self.slots, &self.law) {
                    true => Ok(()),
                    false => Err(breach),
                })
            } else {
                session.replay(message, publish, step, &self.slots, &self.law)
            };
            // Which of its subscriptions a rude client has is not certain.
            let is_plain = seen.is_ok() || !is_honest || (by_group && session.disowned.remove(&number));
            // It may have come from its slot.
            is_pure &= !is_plain;
            if !by_group && is_honest {
                seen?;
            }
            if by_group && !(of_slot && is_plain) {
                let (session, qos, id) = (session.serial, publish.qos, publish.id);
                let arrived = qos == Qos::AtMostOnce || !is_honest;
                let (groups, left) = (groups.clone(), BTreeSet::new());
                let copy = Copy { client, session, qos, id, arrived, is_plain, groups, left };
                self.groups.send(message, copy, publish)?;
            }
            if publish.qos == Qos::AtMostOnce && is_pure && is_honest {
                groups.iter().for_each(|group| self.groups.settle(number, group));
            }
        }
        if publish.qos == Qos::AtMostOnce
            && let Some(owed) = session.owed.get_mut(&number)
        {
            owed.arrived = true;
        }
        match groups.first() {
            None => self.check_order(link, client, number, publish, is_live),
            Some(group) if is_pure && is_honest && is_first => {
                self.check_group_order(group, link, client, number, publish)
            }
            Some(_) => Ok(()),
        }
    }

    /// What a group hands to its only member keeps its order, once its shard has been told of the link: what was for an
    /// earlier one comes back to it late, and what the member may not read at times is passed over and may come later.
    fn check_group_order(
        &mut self,
        group: &str,
        link: LinkId,
        client: ClientNo,
        number: MessageNo,
        publish: &Publish,
    ) -> Checked {
        let message = &self.messages[&number];
        if message.copies > 1 || message.is_will || !self.setup.clients[message.client.0].is_honest {
            return Ok(());
        }
        let is_known = self.links[&link].known.is_some_and(|known| known < message.taken);
        let overtakes = self.groups.overtakes((group, client, link), message, publish.qos);
        let Some(session) = self.sessions.get(&client).filter(|_| overtakes && is_known) else {
            return Ok(());
        };
        if self.groups.is_sole(client, group) && !self.may_be_denied(client, session, message, group) {
            return breach!("out of order through {group}: {publish}");
        }
        Ok(())
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
}
