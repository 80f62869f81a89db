//! The shared groups that live on this shard: they hear their members, get messages as sessions do, and hand them out
//! (rule 11). What members do is in `member`.

use super::{Shard, portion};
use crate::bound::Bound;
use crate::delivery::Pressure;
use crate::group::{Group, Joined, Loss, LossCause, Membership, Seat, ToGroup, Walk, Word};
use crate::input::Body;
use crate::interest::{Reader, Subscriber, branch_bytes};
use crate::law::Provenance;
use crate::limits;
use crate::message::Message;
use crate::output::Notice;
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
    slots: Slab<Group>,
    by_name: Map<Arc<str>, u32>,
    /// Those that asked to be members, by the token that all shards must know before they are answered.
    asked: BTreeSet<(u64, ShardIndex, SessionRef, u64)>,
}

impl Groups {
    pub(super) fn new(hash_key: HashKey) -> Self {
        Self { slots: Slab::new(), by_name: Map::with_hasher(hash_key), asked: BTreeSet::new() }
    }

    pub(super) fn len(&self) -> usize {
        self.slots.len()
    }

    fn find(&self, name: &str) -> Option<u32> {
        self.by_name.get(name).copied()
    }

    fn get(&self, slot: u32) -> Option<&Group> {
        self.slots.get(slot as usize)
    }
}

impl Shard {
    /// Takes what a member says.
    pub(super) fn hear_member(&mut self, from: ShardIndex, said: ToGroup) {
        let ToGroup { group, seat, word } = said;
        let slot = self.groups.find(&group);
        match (word, slot) {
            (Word::Join { membership, question }, _) => {
                self.hear_join(from, &group, seat, membership, question);
            }
            (Word::Leave, Some(slot)) => self.dismiss_member(slot, seat),
            (Word::Grant { turn, credit }, Some(slot)) => {
                self.tend(slot, |group, _| group.grant(seat, turn, credit));
            }
            (Word::Away { turn }, Some(slot)) => {
                self.tend(slot, |group, losses| group.depart(seat, turn, losses));
            }
            (Word::Settle { letter, outcome }, Some(slot)) => {
                self.tend(slot, |group, losses| group.settle(seat, letter, outcome, losses));
            }
            // The group went with its last member.
            (_, None) => {}
        }
    }

    fn hear_join(
        &mut self,
        from: ShardIndex,
        group: &Arc<str>,
        seat: Seat,
        membership: Membership,
        question: u64,
    ) {
        let session = membership.session;
        let token = match self.admit_member(group, seat, membership) {
            Ok(token) => token,
            Err(bound) => {
                let refused = Some(bound);
                return self.out.post(from, Body::Joined(Joined { session, question, refused }));
            }
        };
        if question > 0 {
            self.groups.asked.insert((token, from, session, question));
            self.answer_joins();
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
    fn admit_member(&mut self, name: &Arc<str>, seat: Seat, membership: Membership) -> Result<u64, Bound> {
        let limits = self.config.limits;
        let slot = match self.groups.find(name) {
            Some(slot) => slot,
            None if self.groups.len() >= portion(limits.groups, self.config.shards) => {
                return Err(Bound::Groups);
            }
            None => self.open_group(name),
        };
        let Some(group) = self.groups.get(slot) else { return Err(Bound::Groups) };
        if group.members() >= limits.group_members && !group.has_member(seat) {
            return Err(Bound::GroupMembers);
        }
        let is_new = group.members() == 0;
        let was_stored = group.is_stored();
        self.tend(slot, |group, _| group.join(seat, membership));
        if !is_new {
            self.restate_interest(slot, was_stored);
        }
        Ok(self.want(slot))
    }

    fn open_group(&mut self, name: &Arc<str>) -> u32 {
        let incarnation = self.next_incarnation();
        let group = Group::new(Arc::clone(name), incarnation, self.config.hash_key);
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

    /// Takes a member away; the last one takes the group with it, and its messages.
    fn dismiss_member(&mut self, slot: u32, seat: Seat) {
        let Some(group) = self.groups.get(slot) else { return };
        let was_stored = group.is_stored();
        if group.members() > 1 || !group.has_member(seat) {
            self.tend(slot, |group, losses| group.leave(seat, losses));
            return self.restate_interest(slot, was_stored);
        }
        let Some(group) = self.groups.slots.try_remove(slot as usize) else { return };
        self.groups.by_name.remove(&group.name);
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
        let limits = &self.config.limits;
        let bound = Holding { messages: limits.queue_messages, bytes: limits.queue_bytes };
        let now = self.now.mono;
        self.tend(slot, |group, losses| group.offer(Arc::clone(message), bound, now, losses));
        limits::FANOUT_RECEIVER
    }

    /// Asks members again about what they might not read: rules or the registry have changed.
    pub(super) fn reconsider_groups(&mut self) {
        let concerned = self.groups.slots.iter().filter(|(_, group)| group.has_denied());
        let slots: Vec<u32> = concerned.map(|(slot, _)| slot as u32).collect();
        for slot in slots {
            self.tend(slot, |group, _| group.forgive());
        }
    }

    /// Does something with a group, hands out what can be handed out then, and keeps the counts.
    fn tend(&mut self, slot: u32, act: impl FnOnce(&mut Group, &mut Vec<Loss>)) {
        let Some(group) = self.groups.slots.get_mut(slot as usize) else { return };
        let (held, bytes) = (group.held(), bytes_of(group));
        let mut losses = Vec::new();
        act(group, &mut losses);
        let (law, out, now) = (&self.law, &mut self.out, self.now.mono);
        let mut walk = Walk::default();
        while let Some(hand) = group.hand_out(&mut walk, |message| {
            if law.provenance(message) == Provenance::Gone {
                out.notice(Notice::PublisherGone { publisher: message.publisher.identity.clone() });
                return false;
            }
            !message.is_expired(now)
        }) {
            out.post(hand.seat.shard, Body::HandOut(hand));
        }
        self.queued.subtract(held);
        self.queued.add(group.held());
        self.subscription_bytes = (self.subscription_bytes + bytes_of(group)).saturating_sub(bytes);
        self.fanout_budget = self.fanout_budget.saturating_sub(walk.steps);
        losses.into_iter().for_each(|loss| self.report_loss(loss));
    }

    fn report_loss(&mut self, loss: Loss) {
        let Loss { publisher, cause } = loss;
        let count = match cause {
            LossCause::Unreadable => &mut self.stats.withheld,
            LossCause::Full | LossCause::Absent => &mut self.stats.dropped,
        };
        *count += 1;
        self.out.notice(match cause {
            LossCause::Full => Notice::GroupFull { publisher },
            LossCause::Absent => Notice::GroupAbsent { publisher },
            LossCause::Unreadable => Notice::GroupDenied { publisher },
        });
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
