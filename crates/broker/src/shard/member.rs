//! Sessions of this shard as members of shared groups: they join and leave, and take what they are handed (rule 11).
//! The groups themselves are in `group`, on this shard or another.

use super::Shard;
use super::subscribe::Granted;
use crate::group::{HandOut, Joined, Membership, Outcome, Seat, ToGroup, Word};
use crate::input::Body;
use crate::outbound::Place;
use crate::placement::{ShardIndex, group_home};
use crate::session::SessionRef;
use crate::share::{Joining, Share};
use core::num::NonZeroU32;
use keyward_mqtt::packet::{PacketId, SubscribeOptions};
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::topic::{Subscription, TopicFilter};
use keyward_policy::Reading;
use std::sync::Arc;

/// Numbers what sessions here have to do with groups.
#[derive(Debug, Default)]
pub(super) struct Memberships {
    seats: u64,
    questions: u64,
    /// Shares of all sessions.
    pub(super) held: usize,
}

impl Shard {
    /// Makes a session a member of a group, or changes its terms. Its group is asked with [`Shard::ask_to_join`].
    pub(super) fn share(
        &mut self,
        slot: u32,
        text: &str,
        filter: TopicFilter<'_>,
        options: SubscribeOptions,
        id: Option<NonZeroU32>,
    ) -> Result<Granted, ReasonCode> {
        let stamp = self.class_subscriptions(slot).stamp;
        let reading = self.permit_subscribe(slot, text, filter, true)?;
        self.check_subscription_limits(slot, text, true)?;
        let at = self.session_ref(slot).ok_or(ReasonCode::UnspecifiedError)?;
        let session = self.sessions.get_mut(slot as usize).ok_or(ReasonCode::UnspecifiedError)?;
        let membership = Membership {
            session: at,
            stored: session.is_stored(),
            qos: options.qos,
            retain_as_published: options.retain_as_published,
            id,
        };
        if let Some((group, share)) = session.shares.find(text) {
            share.membership = membership;
            self.record_subscription(slot, text, options, id);
            return Ok(Granted::Shared(group));
        }
        let group: Arc<str> = text.into();
        self.take_seat(slot, &group, membership, reading, stamp);
        self.record_subscription(slot, text, options, id);
        Ok(Granted::Shared(group))
    }

    /// Gives a session a share in a group, which is still to be told.
    pub(super) fn take_seat(
        &mut self,
        slot: u32,
        group: &Arc<str>,
        membership: Membership,
        reading: Reading,
        stamp: u64,
    ) {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        self.memberships.seats += 1;
        let seat = Seat { shard: self.config.index, number: self.memberships.seats };
        let home = group_home(&self.config.hash_key, group, self.config.shards);
        let share = Share::new(seat, home, membership, reading, stamp);
        session.shares.held.insert(Arc::clone(group), share);
        self.memberships.held += 1;
        self.charge(slot, group);
    }

    /// Asks a group whether this session may be a member on its present terms. Returns the number of the question, for
    /// which the answer to the packet waits.
    pub(super) fn ask_to_join(
        &mut self,
        slot: u32,
        group: &Arc<str>,
        packet: PacketId,
        places: Vec<usize>,
    ) -> u64 {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return 0 };
        let (Some(link), Some(share)) = (session.link_id(), session.shares.held.get(group)) else { return 0 };
        self.memberships.questions += 1;
        let question = self.memberships.questions;
        let (membership, owner) = (share.membership, session.publisher());
        let (home, said) = share.say(group, Word::Join { membership, owner, question });
        let joining = Joining { group: Arc::clone(group), seat: share.seat, link, packet, places };
        session.shares.joining.insert(question, joining);
        self.out.post(home, Body::ToGroup(said));
        question
    }

    /// Takes the answer of a group. A refusal is told by the SUBACK that waits for it.
    pub(super) fn joined(&mut self, joined: Joined) {
        let Joined { session: at, question, refused } = joined;
        if self.resolve(at).is_none() {
            return;
        }
        let Some(session) = self.sessions.get_mut(at.slot as usize) else { return };
        let Some(joining) = session.shares.joining.remove(&question) else { return };
        if let Some(bound) = refused {
            let Joining { group, seat, link, packet, places } = joining;
            if let Some(link) = session.link.as_deref_mut().filter(|present| present.id == link) {
                link.refuse_places(packet, &places);
            }
            if session.shares.held.get(&group).is_some_and(|share| share.seat == seat) {
                self.drop_share(at.slot, &group);
            }
            self.notice_limit(at.slot, bound);
        }
        self.deliver(at.slot, |delivery| delivery.release_answers());
    }

    /// Ends a session's membership. What it was sent and has not acknowledged is its own from now on [MQTT-3.10.4-3].
    /// Returns false if it was no member.
    pub(super) fn leave_group(&mut self, slot: u32, text: &str) -> bool {
        let Some(share) = self.drop_share(slot, text) else { return false };
        let group: Arc<str> = text.into();
        self.deliver(slot, |delivery| {
            delivery.keep_loans(share.seat);
        });
        let (home, said) = share.say(&group, Word::Leave);
        self.out.post(home, Body::ToGroup(said));
        true
    }

    fn drop_share(&mut self, slot: u32, text: &str) -> Option<Share> {
        let share = self.sessions.get_mut(slot as usize)?.shares.held.remove(text)?;
        self.memberships.held -= 1;
        self.discharge(slot, text);
        self.record_unsubscribed(slot, text);
        Some(share)
    }

    /// Ends all memberships of a session.
    pub(super) fn leave_groups(&mut self, slot: u32) {
        let Some(session) = self.sessions.get(slot as usize) else { return };
        let groups: Vec<Arc<str>> = session.shares.held.keys().cloned().collect();
        for group in groups {
            self.leave_group(slot, &group);
        }
    }

    /// Tells the groups of a session on what terms it is a member now.
    pub(super) fn restate_memberships(&mut self, slot: u32) {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        let (stored, owner) = (session.is_stored(), session.publisher());
        for (group, share) in &mut session.shares.held {
            share.membership.stored = stored;
            let (membership, owner) = (share.membership, owner.clone());
            let (home, said) = share.say(group, Word::Join { membership, owner, question: 0 });
            self.out.post(home, Body::ToGroup(said));
        }
    }

    /// Sends a message of QoS 2 that was chosen for a session, and of which its group has let go.
    pub(super) fn release_choice(&mut self, session: SessionRef, place: Place) {
        if self.resolve(session).is_some() {
            self.deliver(session.slot, |delivery| {
                delivery.session.outbound.release(place);
                delivery.pump();
            });
        }
    }

    /// Takes a message that a group hands to one of the sessions here.
    pub(super) fn take_hand_out(&mut self, home: ShardIndex, hand: HandOut) {
        let SessionRef { slot, .. } = hand.session;
        if self.resolve(hand.session).is_none() {
            let HandOut { group, seat, letter, .. } = hand;
            let said = ToGroup::settle(group, seat, letter, Outcome::Unable);
            return self.out.post(home, Body::ToGroup(said));
        }
        self.deliver(slot, |delivery| delivery.take_hand_out(home, hand));
    }
}

/// Returns whether `text` asks for a shared subscription.
pub(super) fn is_shared(text: &str) -> bool {
    Subscription::parse(text).is_ok_and(|subscription| subscription.group.is_some())
}
