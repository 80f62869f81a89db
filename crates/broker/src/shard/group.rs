//! The shared groups that live on this shard: they hear their members, get messages as sessions do, and hand them out
//! (rule 11). What members do is in `member`.

use super::Shard;
use crate::bound::Bound;
use crate::delivery::Pressure;
use crate::group::{
    Group, Joined, Loss, LossCause, Membership, Outcome, PayerSlot, Payers, Seat, Stirred, ToGroup, Walk,
    Word,
};
use crate::input::{Body, SubscriptionIdSet};
use crate::interest::{Reader, Subscriber, branch_bytes};
use crate::law::Provenance;
use crate::limits;
use crate::message::{Message, Publisher};
use crate::outbound::Parcel;
use crate::output::Notice;
use crate::persist::{Away, Owner, PageAsk, Recorder};
use crate::placement::{HashKey, Map, ShardIndex};
use crate::retained::Holding;
use crate::session::{Incarnation, SessionRef};
use keyward_mqtt::packet::Qos;
use keyward_mqtt::topic::{Subscription, TopicFilter};
use keyward_policy::Reading;
use slab::Slab;
use std::collections::BTreeSet;
use std::sync::Arc;

/// Holds the groups of one shard.
#[derive(Debug)]
pub(super) struct Groups {
    pub(super) slots: Slab<Group>,
    by_name: Map<Arc<str>, u32>,
    pub(super) payers: Payers,
    /// How often this shard or another went by other rules or another registry.
    round: u64,
    /// The group after those that were asked again in this round; `None`: all have been.
    review: Option<usize>,
    /// Those that asked to be members, by the token that all shards must know before they are answered.
    asked: BTreeSet<(u64, ShardIndex, SessionRef, u64)>,
}

impl Groups {
    pub(super) fn new(hash_key: HashKey) -> Self {
        Self {
            slots: Slab::new(),
            by_name: Map::with_hasher(hash_key),
            payers: Payers::new(hash_key),
            round: 0,
            review: None,
            asked: BTreeSet::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    fn find(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    /// Tells whether some are still to be asked again.
    pub(super) fn are_under_review(&self) -> bool {
        self.review.is_some()
    }

    pub(super) fn get(&self, slot: u32) -> Option<&Group> {
        self.slots.get(slot as usize)
    }
}

impl Shard {
    /// Takes what a member says.
    pub(super) fn hear_member(&mut self, from: ShardIndex, said: ToGroup) {
        let ToGroup { group, seat, word } = said;
        let slot = self.groups.find(&group);
        let chosen = match word {
            Word::Settle { outcome: Outcome::Chosen { session, place }, .. } => Some((session, place)),
            _ => None,
        };
        // Of one that is not there any more the end may not be durable.
        let is_on_disk = slot.and_then(|slot| self.groups.get(slot)).is_none_or(Group::is_stored);
        match (word, slot) {
            (Word::Join { membership, owner, question }, _) => {
                let joined = self.admit_member(&group, seat, membership, &owner);
                self.answer_join(from, membership.session, question, joined);
            }
            (Word::Leave, Some(slot)) => self.dismiss_member(slot, seat),
            (Word::Grant { turn, credit, seen }, Some(slot)) => {
                self.tend(slot, |group, _| group.grant(seat, turn, credit, seen));
            }
            (Word::Away { turn }, Some(slot)) => {
                self.tend(slot, |group, losses| {
                    group.depart(seat, turn, losses);
                    Stirred::Nothing
                });
            }
            (Word::Settle { letter, outcome }, Some(slot)) => {
                let stamp = self.law.stamp();
                self.tend(slot, |group, losses| group.settle(seat, letter, outcome, stamp, losses));
            }
            // The group went with its last member.
            (_, None) => {}
        }
        if let Some((session, place)) = chosen {
            let released = Body::Released { session, place };
            if is_on_disk {
                self.out.post_when_durable(from, released);
            } else {
                self.out.post(from, released);
            }
        }
    }

    /// Notes that the place of a group's message is durable: it may be handed out. Returns false if the place is over.
    pub(super) fn settle_letter(&mut self, slot: u32, number: u64) -> bool {
        let mut is_settled = false;
        self.tend(slot, |group, _| {
            is_settled = group.settle_place(number);
            group.let_go(number);
            Stirred::One(number)
        });
        is_settled
    }

    /// Answers one that asked to be a member: a refusal at once, else when all shards know up to the token.
    fn answer_join(
        &mut self,
        to: ShardIndex,
        session: SessionRef,
        question: u64,
        joined: Result<u64, Bound>,
    ) {
        match joined {
            Ok(token) if question > 0 => {
                self.groups.asked.insert((token, to, session, question));
                self.answer_joins();
            }
            Ok(_) => {}
            Err(bound) => {
                self.out.post(to, Body::Joined(Joined { session, question, refused: Some(bound) }));
            }
        }
    }

    /// Answers those whose group is known to all shards.
    pub(super) fn answer_joins(&mut self) {
        let settled = self.interest.settled();
        while let Some((token, from, session, question)) = self.groups.asked.first().copied()
            && token <= settled
        {
            self.groups.asked.pop_first();
            self.out.post(from, Body::Joined(Joined { session, question, refused: None }));
        }
    }

    /// Adds a member or changes its terms. Returns the token that all shards must know before it may rely on that.
    fn admit_member(
        &mut self,
        name: &Arc<str>,
        seat: Seat,
        membership: Membership,
        owner: &Publisher,
    ) -> Result<u64, Bound> {
        let found = self.groups.find(name);
        self.check_seat(found, seat, &owner.identity)?;
        let payer = self.enter_group(found, seat, &owner.identity);
        let was_stored = found.and_then(|slot| self.groups.get(slot)).map(Group::is_stored);
        let slot = found.unwrap_or_else(|| self.open_group(name, payer));
        self.tend(slot, |group, _| {
            group.join(seat, membership, payer, owner.life);
            Stirred::Nothing
        });
        if let Some(was_stored) = was_stored {
            self.restate_interest(slot, was_stored);
        }
        self.restate_records(slot, was_stored.unwrap_or(false));
        Ok(self.want(slot))
    }

    fn open_group(&mut self, name: &Arc<str>, payer: PayerSlot) -> u32 {
        let restored = self.restoring.take_group(name);
        let incarnation = match &restored {
            Some((incarnation, _)) => *incarnation,
            None => self.next_incarnation(),
        };
        let mut group =
            Group::new(Arc::clone(name), incarnation, payer, self.groups.round, self.config.hash_key);
        if let Some((_, letters)) = restored {
            group.restore(letters);
            self.queued.add(group.held());
            self.groups.payers.charge(payer, group.held());
        }
        self.subscription_bytes += bytes_of(&group);
        // Groups are bounded far below the range.
        let slot = self.groups.slots.insert(group) as u32;
        self.groups.by_name.insert(Arc::clone(name), slot);
        slot
    }

    /// Makes the group's interest known, if it is not. Returns its token.
    fn want(&mut self, slot: u32) -> u64 {
        let Some(group) = self.groups.get(slot) else { return 0 };
        let Some(filter) = filter_of(&group.name) else { return 0 };
        let subscriber = Subscriber {
            incarnation: group.incarnation,
            qos: Qos::ExactlyOnce,
            no_local: false,
            retain_as_published: true,
            id: None,
            reading: Reading::Mixed,
            classed: 0,
        };
        let subscribed = self.interest.subscribe(filter, Reader::Group(slot), subscriber, group.is_stored());
        self.announce(subscribed.announcement);
        subscribed.token
    }

    /// Tells all shards if the group is stored now, or is not any more.
    fn restate_interest(&mut self, slot: u32, was_stored: bool) {
        let Some(group) = self.groups.get(slot) else { return };
        let is_stored = group.is_stored();
        if is_stored != was_stored
            && let Some(filter) = filter_of(&group.name)
        {
            let announcement = self.interest.set_stored(filter, is_stored);
            self.announce(announcement);
        }
    }

    /// Records a group that is stored now, or that it is not any more.
    fn restate_records(&mut self, slot: u32, was_stored: bool) {
        let Some(group) = self.groups.slots.get_mut(slot as usize) else { return };
        match (was_stored, group.is_stored()) {
            (false, true) => {
                self.out.record.group(group.incarnation, &group.name);
                self.record_letters(slot);
            }
            (true, false) => {
                group.forsake(Away::Stays);
                record_departed(group, &mut self.out.record);
                self.out.record.group_gone(group.incarnation);
                // Nothing waits for the disk any more.
                self.tend(slot, |_, _| Stirred::All);
            }
            _ => {}
        }
    }

    /// Records the messages of a stored group that have no place on disk.
    fn record_letters(&mut self, slot: u32) {
        let Some(group) = self.groups.slots.get_mut(slot as usize) else { return };
        group.reclaim();
        for (number, message) in group.unkept() {
            self.record_letter(slot, number, &message);
        }
    }

    /// Records a message of a stored group, unless it was dropped while it was offered.
    fn record_letter(&mut self, slot: u32, number: u64, message: &Arc<Message>) {
        let Some(group) = self.groups.slots.get_mut(slot as usize) else { return };
        if message.qos == Qos::AtMostOnce || !group.is_stored() || !group.holds(number) {
            return;
        }
        let owner = Owner::Group(slot, group.incarnation);
        let (qos, retain, ids) = (message.qos, message.retain, SubscriptionIdSet::NONE);
        let parcel = Parcel { message: Arc::clone(message), qos, retain, ids };
        let (kept, _) = self.out.record.place(owner, number, &parcel, None);
        group.keep(number, kept);
    }

    /// Takes a member away; the last one takes the group with it, and its messages.
    fn dismiss_member(&mut self, slot: u32, seat: Seat) {
        let Some(group) = self.groups.get(slot) else { return };
        let Some(payer) = group.payer_of(seat) else { return };
        let was_stored = group.is_stored();
        if group.members() > 1 {
            self.tend(slot, |group, losses| {
                group.leave(seat, losses);
                Stirred::Nothing
            });
            self.depart_group(slot, payer);
            self.restate_interest(slot, was_stored);
            return self.restate_records(slot, was_stored);
        }
        let Some(mut group) = self.groups.slots.try_remove(slot as usize) else { return };
        group.forsake(Away::Goes);
        record_departed(&mut group, &mut self.out.record);
        if was_stored {
            self.out.record.group_gone(group.incarnation);
        }
        self.groups.by_name.remove(&group.name);
        self.groups.payers.discharge(payer, group.held());
        self.groups.payers.depart(payer);
        self.queued.subtract(group.held());
        self.subscription_bytes = self.subscription_bytes.saturating_sub(bytes_of(&group));
        if let Some(filter) = filter_of(&group.name) {
            let announcement = self.interest.unsubscribe(filter, Reader::Group(slot), was_stored);
            self.announce(announcement.flatten());
        }
    }

    /// Gives a message to a group. Returns what that cost, in steps.
    pub(super) fn offer_to_group(
        &mut self,
        slot: u32,
        incarnation: Incarnation,
        message: &Arc<Message>,
    ) -> usize {
        let Some(group) = self.groups.get(slot).filter(|group| group.incarnation == incarnation) else {
            return 1;
        };
        let is_short = match self.pressure() {
            Pressure::None => false,
            Pressure::High => message.qos == Qos::AtMostOnce,
            Pressure::Critical => true,
        };
        if is_short && !group.is_idle() {
            self.stats.dropped += 1;
            let identity = message.publisher.identity.clone();
            self.out.notice(Notice::NoMemory { identity });
            return 1;
        }
        let cost = self.seek_payer(slot, Holding::of(message));
        let (bound, now) = (self.group_bound(slot), self.now.mono);
        let is_stored = self.groups.get(slot).is_some_and(Group::is_stored);
        let waits = message.qos == Qos::ExactlyOnce && is_stored && self.out.record.is_on();
        let mut added = None;
        self.tend(slot, |group, losses| {
            let stirred = group.offer(Arc::clone(message), waits, bound, now, losses);
            if let Stirred::One(number) = stirred {
                added = Some(number);
            }
            stirred
        });
        if let Some(number) = added {
            self.record_letter(slot, number, message);
        }
        limits::FANOUT_RECEIVER + cost
    }

    /// Asks members again about what they might not read: this shard goes by other rules or another registry. It tells
    /// the others, for a group at home on a shard that changed earlier has asked the members here too early.
    pub(super) fn ask_members_again(&mut self) {
        self.review_groups();
        for shard in (0..self.config.shards).map(ShardIndex).filter(|shard| *shard != self.config.index) {
            self.out.post(shard, Body::Reconsider);
        }
    }

    /// Begins a round of asking members again.
    pub(super) fn review_groups(&mut self) {
        self.groups.round += 1;
        self.groups.review = Some(0);
        self.continue_review();
    }

    /// Goes on with that, for a slice. A group in which something happens meanwhile has its turn at once.
    pub(super) fn continue_review(&mut self) {
        let Some(mut next) = self.groups.review else { return };
        let (round, end) = (self.groups.round, self.groups.slots.capacity());
        let mut budget = limits::REVIEW_SLICE;
        while next < end && budget > 0 {
            let outdated = self.groups.slots.get(next).filter(|group| group.has_outdated(round));
            budget = budget.saturating_sub(1 + outdated.map_or(0, |group| group.queued().messages));
            if outdated.is_some() {
                self.tend(next as u32, |_, _| Stirred::Nothing);
            }
            next += 1;
        }
        self.groups.review = (next < end).then_some(next);
    }

    /// Does something with a group, hands out what can be handed out then, and keeps the counts.
    pub(super) fn tend(&mut self, slot: u32, act: impl FnOnce(&mut Group, &mut Vec<Loss>) -> Stirred) {
        let round = self.groups.round;
        let ahead = if self.pressure() == Pressure::None { limits::READ_AHEAD_BYTES } else { 0 };
        let Some(group) = self.groups.slots.get_mut(slot as usize) else { return };
        let (held, bytes) = (group.held(), bytes_of(group));
        let mut losses = Vec::new();
        let is_forgiven = group.follow(round);
        let stirred = act(group, &mut losses);
        if let Some(mut walk) = Walk::over(if is_forgiven { Stirred::All } else { stirred }) {
            let (law, out, now) = (&self.law, &mut self.out, self.now.mono);
            while let Some(hand) = group.hand_out(&mut walk, |message| {
                if law.provenance(message) == Provenance::Gone {
                    out.notice(Notice::PublisherGone { publisher: message.publisher.identity.clone() });
                    return false;
                }
                !message.is_expired(now)
            }) {
                out.post(hand.seat.shard, Body::HandOut(hand));
            }
            self.fanout_budget = self.fanout_budget.saturating_sub(walk.steps);
        }
        record_departed(group, &mut self.out.record);
        let page = group.next_page(ahead);
        if !page.is_empty() {
            let owner = Owner::Group(slot, group.incarnation);
            self.out.pages.join(PageAsk::new(owner, page));
        }
        let payer = group.payer;
        self.queued.exchange(held, group.held());
        self.groups.payers.discharge(payer, held);
        self.groups.payers.charge(payer, group.held());
        self.subscription_bytes = (self.subscription_bytes + bytes_of(group)).saturating_sub(bytes);
        losses.into_iter().for_each(|loss| self.report_loss(loss));
    }

    fn report_loss(&mut self, loss: Loss) {
        let Loss { publisher, cause } = loss;
        let count = match cause {
            LossCause::Unreadable => &mut self.stats.withheld,
            LossCause::Full | LossCause::Absent | LossCause::Damaged => &mut self.stats.dropped,
        };
        *count += 1;
        self.out.notice(match cause {
            LossCause::Full => Notice::GroupFull { publisher },
            LossCause::Absent => Notice::GroupAbsent { publisher },
            LossCause::Unreadable => Notice::GroupDenied { publisher },
            LossCause::Damaged => Notice::Damaged { publisher },
        });
    }
}

/// Records which places of a group are over.
fn record_departed(group: &mut Group, record: &mut Recorder) {
    for (number, message) in group.take_departed() {
        record.gone(group.incarnation, number, Some(message));
    }
}

/// Returns the filter of a group's name.
fn filter_of(name: &str) -> Option<TopicFilter<'_>> {
    Subscription::parse(name).ok().map(|subscription| subscription.filter)
}

/// Returns the bytes that a group is counted with, without its messages.
fn bytes_of(group: &Group) -> usize {
    let name = group.name.len() + branch_bytes(&group.name);
    name + limits::GROUP_OVERHEAD * (1 + group.members())
}
