//! The members of a group: on what terms each is one, what credit it has, and whose turn it is.

use super::places::Places;
use super::{Membership, PayerSlot, Seat};
use core::ops::Bound::{Excluded, Unbounded};
use keyward_mqtt::packet::Qos;
use std::collections::BTreeMap;

/// Holds the members of one group.
#[derive(Debug, Default)]
pub(super) struct Members {
    seats: BTreeMap<Seat, Member>,
    /// The places that members have.
    taken: Places,
    /// Members with credit, and their places.
    ready: BTreeMap<Seat, usize>,
    ready_places: Places,
    /// Members with a link.
    present: usize,
    /// Members that outlive their link.
    stored: usize,
    /// Members that take more than QoS 0.
    keeping: usize,
    /// Who got the last message.
    last: Option<Seat>,
}

#[derive(Debug)]
struct Member {
    membership: Membership,
    /// Its identity, and in which life of that name.
    payer: PayerSlot,
    life: u64,
    place: usize,
    turn: u64,
    credit: u16,
    /// How much it was ever handed.
    handed: u64,
    /// How much of that comes back before it has its turn.
    awaited: u64,
    is_present: bool,
}

impl Members {
    pub(super) fn len(&self) -> usize {
        self.seats.len()
    }

    pub(super) fn contains(&self, seat: Seat) -> bool {
        self.seats.contains_key(&seat)
    }

    /// Returns the payer of each member, in the order of their seats.
    pub(super) fn payers(&self) -> impl Iterator<Item = PayerSlot> {
        self.seats.values().map(|member| member.payer)
    }

    pub(super) fn payer_of(&self, seat: Seat) -> Option<PayerSlot> {
        self.seats.get(&seat).map(|member| member.payer)
    }

    pub(super) fn place_of(&self, seat: Seat) -> Option<usize> {
        self.seats.get(&seat).map(|member| member.place)
    }

    /// Returns the places of all members of one member's identity, in the same life of that name.
    pub(super) fn places_alike(&self, seat: Seat) -> impl Iterator<Item = usize> {
        let one = self.seats.get(&seat).map(|member| (member.payer, member.life));
        let alike = self.seats.values().filter(move |member| one == Some((member.payer, member.life)));
        alike.map(|member| member.place)
    }

    /// Tells whether the places of all members are among these.
    pub(super) fn are_all_in(&self, places: &Places) -> bool {
        self.taken.are_all_in(places)
    }

    /// Tells whether some member has a link.
    pub(super) fn is_any_present(&self) -> bool {
        self.present > 0
    }

    /// Tells whether some member outlives its link.
    pub(super) fn is_any_stored(&self) -> bool {
        self.stored > 0
    }

    /// Tells whether some member takes more than QoS 0.
    pub(super) fn is_any_keeping(&self) -> bool {
        self.keeping > 0
    }

    /// Tells whether some member has credit and its turn.
    pub(super) fn is_any_ready(&self) -> bool {
        !self.ready.is_empty()
    }

    /// Adds a member or changes its terms.
    pub(super) fn join(&mut self, seat: Seat, membership: Membership, payer: PayerSlot, life: u64) {
        self.discount(seat);
        self.stored += usize::from(membership.stored);
        self.keeping += usize::from(membership.qos > Qos::AtMostOnce);
        if let Some(member) = self.seats.get_mut(&seat) {
            member.membership = membership;
            return;
        }
        let place = self.taken.first_free();
        self.taken.insert(place);
        let member = Member {
            membership,
            payer,
            life,
            place,
            turn: 0,
            credit: 0,
            handed: 0,
            awaited: 0,
            is_present: false,
        };
        self.seats.insert(seat, member);
    }

    /// Takes a member out of the counts of its terms.
    fn discount(&mut self, seat: Seat) {
        let Some(Member { membership, .. }) = self.seats.get(&seat) else { return };
        self.stored -= usize::from(membership.stored);
        self.keeping -= usize::from(membership.qos > Qos::AtMostOnce);
    }

    /// Removes a member. Returns its place, which the next may get; `None` if there was no such member.
    pub(super) fn leave(&mut self, seat: Seat) -> Option<usize> {
        self.discount(seat);
        let member = self.seats.remove(&seat)?;
        self.present -= usize::from(member.is_present);
        self.rest(seat);
        self.taken.remove(member.place);
        Some(member.place)
    }

    /// Notes that a member takes so many messages more, and that `seen` have come to its shard. In a new turn the others
    /// come back first, so that nothing overtakes them. Tells whether it is new; `None` if it is over, and nothing is
    /// noted.
    pub(super) fn grant(&mut self, seat: Seat, turn: u64, credit: u16, seen: u64) -> Option<bool> {
        let member = self.seats.get_mut(&seat).filter(|member| turn >= member.turn)?;
        let begins = turn > member.turn || !member.is_present;
        if begins {
            member.awaited = member.handed.saturating_sub(seen);
            member.credit = 0;
        }
        member.turn = turn;
        member.credit = member.credit.saturating_add(credit);
        if !member.is_present {
            member.is_present = true;
            self.present += 1;
        }
        Some(begins)
    }

    /// Lets a member have its turn, if it has credit and nothing comes back from it. Tells whether it has.
    pub(super) fn ready(&mut self, seat: Seat) -> bool {
        let ready = self.seats.get(&seat).filter(|member| member.credit > 0 && member.awaited == 0);
        let Some(Member { place, .. }) = ready else { return false };
        self.ready_places.insert(*place);
        self.ready.insert(seat, *place);
        true
    }

    /// Notes that a member has no credit.
    fn rest(&mut self, seat: Seat) {
        if let Some(place) = self.ready.remove(&seat) {
            self.ready_places.remove(place);
        }
    }

    /// Notes that a member has no link. Returns false if there is no such member.
    pub(super) fn depart(&mut self, seat: Seat, turn: u64) -> bool {
        let Some(member) = self.seats.get_mut(&seat) else { return false };
        self.present -= usize::from(member.is_present);
        member.is_present = false;
        member.credit = 0;
        member.awaited = 0;
        member.turn = turn;
        self.rest(seat);
        true
    }

    /// Chooses among the members with credit the next one after the last, in turns.
    pub(super) fn choose(&self, denied: &Places) -> Option<Seat> {
        if self.ready_places.are_all_in(denied) {
            return None;
        }
        let from = self.last.map_or(Unbounded, Excluded);
        let mut ring = self.ready.range((from, Unbounded)).chain(&self.ready);
        ring.find(|(_, place)| !denied.contains(**place)).map(|(seat, _)| *seat)
    }

    /// Takes one credit of a member, which was chosen. Returns its terms and its turn.
    pub(super) fn spend(&mut self, seat: Seat) -> Option<(Membership, u64)> {
        let member = self.seats.get_mut(&seat)?;
        member.credit = member.credit.saturating_sub(1);
        member.handed += 1;
        let Member { membership, turn, credit, .. } = *member;
        if credit == 0 {
            self.rest(seat);
        }
        self.last = Some(seat);
        Some((membership, turn))
    }

    /// Takes the credit of a turn that is over from a member: it will grant again.
    pub(super) fn exhaust(&mut self, seat: Seat, turn: u64) {
        if let Some(member) = self.seats.get_mut(&seat)
            && member.turn == turn
        {
            member.credit = 0;
            self.rest(seat);
        }
    }

    /// Counts what comes back from an earlier turn. Tells whether that was the last that the present one waits for.
    pub(super) fn came_back(&mut self, seat: Seat, turn: u64) -> bool {
        let Some(member) = self.seats.get_mut(&seat) else { return false };
        if member.turn == turn || member.awaited == 0 {
            return false;
        }
        member.awaited -= 1;
        member.awaited == 0
    }
}
