//! What was on disk becomes the shard's again, before anybody is connected: sessions with their subscriptions and
//! messages, wills, retained messages. Groups come back with their members.

use super::Shard;
use super::timers::Timer;
use crate::attach::LinkId;
use crate::group::Membership;
use crate::interest::{Reader, Subscriber};
use crate::limits;
use crate::message::Message;
use crate::outbound::Place;
use crate::output::Notice;
use crate::permit::{self, Purpose};
use crate::persist::{GroupRecord, Portion, SessionRecord, WillRecord};
use crate::session::{Inbound, Incarnation, Lifetime, Session};
use core::num::NonZeroU32;
use keyward_mqtt::packet::SubscribeOptions;
use keyward_mqtt::time::{Millis, Now};
use keyward_mqtt::topic::Subscription;
use keyward_policy::Reading;
use std::collections::BTreeMap;
use std::sync::Arc;

/// Is a group's incarnation and its messages.
type Letters = (Incarnation, Vec<(u64, Arc<Message>)>);

/// Holds what waits for the end of the restoring.
#[derive(Debug, Default)]
pub(super) struct Restoring {
    is_under_way: bool,
    /// Groups by name: each waits for its first member.
    groups: BTreeMap<Arc<str>, Letters>,
    /// QoS 2 messages that were accepted and have not gone to their readers.
    accepted: Vec<Arc<Message>>,
}

impl Restoring {
    /// Tells whether the shards do not know yet what is wanted on the others.
    pub(super) fn is_under_way(&self) -> bool {
        self.is_under_way
    }

    pub(super) fn take_group(&mut self, name: &str) -> Option<Letters> {
        self.groups.remove(name)
    }
}

impl Shard {
    /// Takes what [`recover`](crate::persist::recover) found for this shard. To be called once, before any input; then
    /// come policy and directory, what the shards have to say to each other, and [`Input::Restored`](crate::Input).
    pub fn restore(&mut self, now: Now, portion: Portion) {
        self.now = now;
        self.last_number = portion.last_number;
        self.restoring.is_under_way = true;
        for (incarnation, record) in portion.sessions {
            self.restore_session(incarnation, record);
        }
        for (incarnation, record) in portion.wills {
            self.restore_will(incarnation, record);
        }
        for (incarnation, GroupRecord { name, letters }) in portion.groups {
            self.restoring.groups.insert(name.into(), (incarnation, letters));
        }
        for message in portion.retained {
            let shared = Arc::clone(&message);
            if let Some(topic) = shared.topic_name() {
                self.retained.put(topic, message);
            }
        }
        for (window, seen) in portion.windows {
            self.windows.restore(&window, seen, now.wall.0 / 1_000);
        }
        self.restoring.accepted = portion.accepted;
        self.finish_input();
    }

    /// Goes on with what was under way. Groups without a member are nobody's.
    pub(super) fn resume(&mut self) {
        let Restoring { groups, accepted, .. } = core::mem::take(&mut self.restoring);
        for (incarnation, letters) in groups.into_values() {
            for (number, message) in letters {
                self.out.record.gone(incarnation, number, Some(message.id));
            }
            self.out.record.group_gone(incarnation);
        }
        for message in accepted {
            match permit::publish_held(&mut self.law, &message, None, Purpose::Durable) {
                Ok(permit) => drop(self.route(permit, message, true)),
                Err(_) => {
                    self.out.record.withheld(&message);
                    let publisher = message.publisher.identity.clone();
                    self.out.notice(Notice::PublishWithheld { publisher });
                }
            }
        }
    }

    fn restore_session(&mut self, incarnation: Incarnation, record: SessionRecord) {
        let SessionRecord { terms, subscriptions, inbound, places } = record;
        let mut session = Session::new(terms.key, incarnation, terms.life, 0, self.config.hash_key);
        session.lifetime = Lifetime::After(terms.span);
        for (id, digest) in inbound {
            session.inbound.insert(id, Inbound { digest, link: LinkId(0), waits_for: None });
        }
        let in_flight = usize::from(self.config.limits.in_flight.get());
        for place in places {
            session.outbound.restore(Place(place.number), place.parcel, in_flight);
        }
        // Whoever was connected when the process ended has all its time from now on.
        let gone_for = terms.left.map_or(Millis::ZERO, |left| self.now.wall.since(left));
        let expires = self.now.mono.saturating_add(terms.span.saturating_sub(gone_for));
        let slot = self.admit_restored(session);
        for (text, options, id) in subscriptions {
            self.restore_subscription(slot, &text, options, id);
        }
        if let Some(at) = self.session_ref(slot) {
            self.set_timer(at, expires, Timer::Expiry);
        }
        self.weigh(slot);
    }

    /// Gives a restored session its slot and its owner.
    fn admit_restored(&mut self, mut session: Session) -> u32 {
        let key = session.key.clone();
        session.resident = self.residents.admit(&key.identity);
        let (resident, held, inbound) = (session.resident, session.held(), session.inbound.len());
        // Sessions are bounded far below the range.
        let slot = self.sessions.insert(session) as u32;
        self.by_key.insert(key, slot);
        self.queued.add(held);
        if let Some(resident) = self.residents.get_mut(resident) {
            resident.sessions.insert(slot);
            resident.queued.add(held);
            resident.inbound += inbound;
        }
        slot
    }

    fn restore_subscription(
        &mut self,
        slot: u32,
        text: &str,
        options: SubscribeOptions,
        id: Option<NonZeroU32>,
    ) {
        let Ok(Subscription { group, filter }) = Subscription::parse(text) else { return };
        if group.is_some() {
            return self.restore_share(slot, text, options, id);
        }
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        let SubscribeOptions { qos, no_local, retain_as_published, .. } = options;
        let incarnation = session.incarnation;
        // It is classed when the first message comes (rule 8).
        let (reading, classed) = (Reading::Mixed, 0);
        let subscriber = Subscriber { incarnation, qos, no_local, retain_as_published, id, reading, classed };
        let subscribed = self.interest.subscribe(filter, Reader::Session(slot), subscriber, true);
        session.filters.insert(Arc::clone(&subscribed.filter));
        self.subscriptions += 1;
        self.charge(slot, text);
        self.announce(subscribed.announcement);
    }

    fn restore_share(&mut self, slot: u32, text: &str, options: SubscribeOptions, id: Option<NonZeroU32>) {
        let Some(session) = self.session_ref(slot) else { return };
        let SubscribeOptions { qos, retain_as_published, .. } = options;
        let membership = Membership { session, stored: true, qos, retain_as_published, id };
        self.take_seat(slot, &text.into(), membership, Reading::Mixed, 0);
        self.restate_memberships(slot);
    }

    /// Puts a will back. Who was connected gets time to come back before it is published; that of a session which ended
    /// with its link waits in a session without one (rule 17).
    fn restore_will(&mut self, incarnation: Incarnation, record: WillRecord) {
        let WillRecord { key, life, due, will } = record;
        let slot = match self.by_key.get(&key).copied() {
            Some(slot) => slot,
            None => self.admit_restored(Session::new(key, incarnation, life, 0, self.config.hash_key)),
        };
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        if session.incarnation != incarnation {
            return self.out.record.will_gone(incarnation);
        }
        let left = match due {
            Some(due) => due.since(self.now.wall),
            None => Millis::from_secs(u64::from(will.delay)),
        };
        let mut at = self.now.mono.saturating_add(left.max(limits::RESTART_GRACE));
        if let Some(expires) = session.expires_at {
            at = at.min(expires.max(self.now.mono.saturating_add(limits::RESTART_GRACE)));
        }
        session.will = Some(Box::new(will));
        session.will_is_kept = true;
        session.will_is_of_before = due.is_none();
        let is_remnant = !session.is_stored();
        if let Some(session) = self.session_ref(slot) {
            self.set_timer(session, at, if is_remnant { Timer::Expiry } else { Timer::Will });
        }
        self.weigh(slot);
    }
}
