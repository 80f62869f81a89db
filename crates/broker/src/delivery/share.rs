//! What a session does as a member of shared groups: it grants credit, takes what it is handed or gives it back.

use super::{Delivery, Offer, Pressure};
use crate::group::{HandOut, Loan, Outcome, Seat, ToGroup, Word};
use crate::input::Body;
use crate::law::Provenance;
use crate::output::Notice;
use crate::permit::{Permit, Receive, Topic};
use crate::persist::{Kept, Owner};
use crate::placement::ShardIndex;
use crate::retained::Holding;
use keyward_mqtt::packet::Qos;
use keyward_mqtt::topic::Subscription;
use keyward_policy::Reading;
use std::sync::Arc;

impl Delivery<'_> {
    /// Takes a message that a group hands to this session: it is sent at once or given back, never queued, for another
    /// member may have room for it.
    pub(crate) fn take_hand_out(&mut self, home: ShardIndex, hand: HandOut) {
        let HandOut { group, seat, letter, .. } = &hand;
        let (group, seat, letter) = (Arc::clone(group), *seat, *letter);
        if let Some(outcome) = self.try_hand_out(home, hand) {
            self.out.post(home, Body::ToGroup(ToGroup::settle(group, seat, letter, outcome)));
        }
        self.grant_credit();
    }

    /// Returns what became of it; `None` if that is known when the client acknowledges it.
    fn try_hand_out(&mut self, home: ShardIndex, hand: HandOut) -> Option<Outcome> {
        let HandOut { group, incarnation, seat, turn, letter, parcel, .. } = hand;
        let share = self.session.shares.held.get_mut(&group).filter(|share| share.seat == seat);
        let accepts = share.is_some_and(|share| share.accept(turn));
        if !accepts {
            return Some(Outcome::Unable);
        }
        let message = Arc::clone(&parcel.message);
        if self.law.provenance(&message) == Provenance::Gone {
            self.out.notice(Notice::PublisherGone { publisher: message.publisher.identity.clone() });
            return Some(Outcome::Done);
        }
        if message.is_expired(self.terms.now) {
            return Some(Outcome::Done);
        }
        let name = message.topic_name()?;
        let topic = Topic::new(name, &self.terms.hash_key);
        let (reading, classed) = self.class_share(&group);
        let offer = Offer { parcel, topic, reading, classed, replayed: false };
        let Some(permit) = self.permit(&offer) else {
            return Some(Outcome::Denied { by: self.law.stamp() });
        };
        let qos = offer.parcel.qos;
        let size = Holding::of(&offer.parcel.message);
        let is_choice = qos == Qos::ExactlyOnce && self.out.record.is_on();
        // One at least, so that who waits for nothing goes on: it would not notice when there is memory again.
        let has_memory = self.holds_nothing() || self.has_memory(size);
        let can_take = match qos {
            Qos::AtMostOnce => self.can_write(),
            Qos::ExactlyOnce if is_choice => self.can_queue_choice() && has_memory,
            _ => self.can_send() && has_memory,
        };
        if !can_take {
            self.pause(&group);
            return Some(Outcome::Unable);
        }
        // The choice for QoS 2 never changes: it is the session's own, and the group has let go of it, durably, before it
        // is sent [MQTT-4.8.2-5].
        if is_choice {
            if !self.takes(&offer.parcel) {
                self.out.notice(Notice::TooLarge { receiver: self.session.key.identity.clone() });
                return Some(Outcome::TooLarge);
            }
            let place = self.enqueue(offer.parcel, Some((incarnation, letter)));
            let chosen = Outcome::Chosen { session: self.at, place };
            let said = Body::ToGroup(ToGroup::settle(group, seat, letter, chosen));
            if self.is_kept() {
                self.out.post_when_durable(home, said);
            } else {
                self.out.post(home, said);
            }
            return None;
        }
        let loan = (qos == Qos::AtLeastOnce).then_some(Loan { home, group, seat, letter });
        let is_lent = loan.is_some();
        match self.send_shared(permit, offer, loan) {
            // Another may take it [MQTT-3.1.2-25].
            false => Some(Outcome::TooLarge),
            true if is_lent => None,
            true => Some(Outcome::Done),
        }
    }

    fn send_shared(&mut self, permit: Permit<Receive>, offer: Offer<'_>, loan: Option<Loan>) -> bool {
        match offer.parcel.qos {
            Qos::AtMostOnce => self.write_message(permit, &offer.parcel, None, false, None),
            Qos::AtLeastOnce | Qos::ExactlyOnce => self.send(permit, loan, offer.parcel, None),
        }
    }

    /// Tells whether one more message may wait for the disk that will be sent as soon as it is durable.
    fn can_queue_choice(&self) -> bool {
        let waiting = self.session.outbound.queued();
        self.is_connected()
            && self.places_left() > 0
            && usize::from(self.quota()) > waiting
            && self.session.outbound.in_flight() + waiting < usize::from(self.terms.limits.in_flight.get())
    }

    /// Returns how much of a share's filter may be read, by the rights of this moment; nothing if the session could not
    /// join the group now.
    fn class_share(&mut self, group: &str) -> (Reading, u64) {
        let stamp = self.entitled.stamp;
        let Some(share) = self.session.shares.held.get_mut(group) else { return (Reading::Never, stamp) };
        if share.classed != stamp {
            let filter = Subscription::parse(group).map(|subscription| subscription.filter);
            share.reading = match (self.entitled.rights, filter) {
                (Some(rights), Ok(filter)) if rights.decide_subscribe(filter, true).allowed => {
                    rights.reading(filter)
                }
                _ => Reading::Never,
            };
            share.classed = stamp;
        }
        (share.reading, stamp)
    }

    /// Grants the groups credit for what the client could be sent now.
    pub(crate) fn grant_credit(&mut self) {
        if self.session.shares.held.is_empty() || !self.can_send() {
            return;
        }
        if self.terms.pressure == Pressure::Critical && !self.holds_nothing() {
            return;
        }
        let places = self.places_left();
        if places == 0 {
            return;
        }
        let room = u16::try_from(places).unwrap_or(u16::MAX);
        let portion = self.session.shares.portion(self.quota().min(room));
        for (group, share) in &mut self.session.shares.held {
            if let Some(credit) = share.top_up(portion) {
                let (home, said) =
                    share.say(group, Word::Grant { turn: share.turn, credit, seen: share.seen });
                self.out.post(home, Body::ToGroup(said));
            }
        }
    }

    fn pause(&mut self, group: &str) {
        if let Some(share) = self.session.shares.held.get_mut(group) {
            share.pause();
        }
    }

    /// Tells the groups that the link has ended, and gives them back what its client has not acknowledged.
    pub(crate) fn part_from_groups(&mut self) {
        for (group, share) in &mut self.session.shares.held {
            share.pause();
            let (home, said) = share.say(group, Word::Away { turn: share.turn });
            self.out.post(home, Body::ToGroup(said));
        }
        for loan in self.session.outbound.recall() {
            self.settle_loan(loan, Outcome::Unable);
        }
    }

    /// Makes what a group has lent the session's own. The group lets go of it once that is on disk.
    pub(crate) fn keep_loans(&mut self, seat: Seat) {
        let (is_kept, at, record) = (self.is_kept(), self.at, &mut self.out.record);
        let loans = self.session.outbound.keep_loans(seat, |place, parcel| match is_kept {
            true => record.place(Owner::Session(at), place.0, parcel, None).0,
            false => Kept::No,
        });
        for loan in loans {
            let (home, word) = loan.settle(Outcome::Done);
            if is_kept {
                self.out.post_when_durable(home, Body::ToGroup(word));
            } else {
                self.out.post(home, Body::ToGroup(word));
            }
        }
    }

    /// Says to a group what became of one of its messages.
    pub(crate) fn settle_loan(&mut self, loan: Loan, outcome: Outcome) {
        let (home, word) = loan.settle(outcome);
        self.out.post(home, Body::ToGroup(word));
    }
}
