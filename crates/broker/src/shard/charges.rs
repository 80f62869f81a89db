//! Who is charged for the shared groups of this shard (invariant 6): a group's opener, and the other members' identities
//! in turn when that one leaves or has no room. No identity joins more groups or is charged for more than its portion.

use super::Shard;
use super::portion::portion;
use crate::bound::Bound;
use crate::group::{Group, PayerSlot, Seat, Stirred};
use crate::retained::Holding;
use keyward_ids::Identity;

impl Shard {
    /// Tells which bound `identity` would break with a member in this seat of a group; `None` is a group that there is
    /// not yet.
    pub(super) fn check_seat(
        &self,
        group: Option<u32>,
        seat: Seat,
        identity: &Identity,
    ) -> Result<(), Bound> {
        let (limits, shards) = (&self.config.limits, self.config.shards);
        let payers = &self.groups.payers;
        let group = group.and_then(|slot| self.groups.get(slot));
        if group.is_some_and(|group| group.has_member(seat)) {
            return Ok(());
        }
        let seats = group.map_or(0, |group| payers.find(identity).map_or(0, |payer| group.members_of(payer)));
        if seats == 0 && payers.groups_of(identity) >= portion(limits.groups_per_identity, shards) {
            Err(Bound::GroupsPerIdentity)
        } else if group.is_none() && self.groups.len() >= portion(limits.groups, shards) {
            Err(Bound::Groups)
        } else if seats >= limits.group_members_per_identity {
            Err(Bound::GroupMembersPerIdentity)
        } else if group.is_some_and(|group| group.members() >= limits.group_members) {
            Err(Bound::GroupMembers)
        } else {
            Ok(())
        }
    }

    /// Returns who pays for a member in this seat; notes it, if that is the first of its identity in the group.
    pub(super) fn enter_group(&mut self, group: Option<u32>, seat: Seat, identity: &Identity) -> PayerSlot {
        let group = group.and_then(|slot| self.groups.slots.get(slot as usize));
        if let Some(payer) = group.and_then(|group| group.payer_of(seat)) {
            return payer;
        }
        let payers = &mut self.groups.payers;
        let known = payers.find(identity).filter(|payer| group.is_some_and(|it| it.members_of(*payer) > 0));
        known.unwrap_or_else(|| payers.enter(identity))
    }

    /// Takes note that a member of this payer has left a group, which has others.
    pub(super) fn depart_group(&mut self, slot: u32, payer: PayerSlot) {
        let Some(group) = self.groups.get(slot) else { return };
        if group.members_of(payer) > 0 {
            return;
        }
        if group.payer == payer {
            self.pass_charge_on(slot);
        }
        self.groups.payers.depart(payer);
    }

    /// Charges another member's identity for a group: the first that has room for it, else the first of all; then what
    /// that has no room for goes as from a full queue (rule 18).
    fn pass_charge_on(&mut self, slot: u32) {
        let Some(group) = self.groups.get(slot) else { return };
        let Some(heir) = self.payer_with_room(group, group.held()).or_else(|| group.payers().next()) else {
            return;
        };
        self.change_payer(slot, heir);
        let mut over = self.groups.payers.held(heir);
        over.subtract(self.group_portion());
        if over.messages + over.bytes > 0 {
            self.tend(slot, |group, losses| {
                group.shed(over, losses);
                Stirred::Nothing
            });
        }
    }

    /// Charges another member's identity for a group if the present one has no room for `more`. Returns what looking for
    /// one cost, in steps.
    pub(super) fn seek_payer(&mut self, slot: u32, more: Holding) -> usize {
        let Some(group) = self.groups.get(slot) else { return 0 };
        if self.has_room(group.payer, more) {
            return 0;
        }
        let cost = group.members();
        let mut all = group.held();
        all.add(more);
        if let Some(payer) = self.payer_with_room(group, all) {
            self.change_payer(slot, payer);
        }
        cost
    }

    /// Returns what may wait in a group: as much as in a queue, if its payer has room for that.
    pub(super) fn group_bound(&self, slot: u32) -> Holding {
        let limits = &self.config.limits;
        let Some(group) = self.groups.get(slot) else { return Holding::default() };
        let mut bound = self.group_portion();
        bound.subtract(self.groups.payers.held(group.payer));
        bound.add(group.queued());
        Holding::bound(bound.messages.min(limits.queue_messages), bound.bytes.min(limits.queue_bytes))
    }

    /// Returns what one identity may be charged for at this shard: groups are spread over all.
    fn group_portion(&self) -> Holding {
        let (limits, shards) = (&self.config.limits, self.config.shards);
        let bytes = portion(limits.queue_bytes_per_identity, shards);
        Holding::bound(portion(limits.queue_messages_per_identity, shards), bytes)
    }

    fn has_room(&self, payer: PayerSlot, more: Holding) -> bool {
        self.groups.payers.held(payer).fits(more, self.group_portion())
    }

    fn payer_with_room(&self, group: &Group, more: Holding) -> Option<PayerSlot> {
        group.payers().find(|payer| *payer != group.payer && self.has_room(*payer, more))
    }

    fn change_payer(&mut self, slot: u32, payer: PayerSlot) {
        let Some(group) = self.groups.slots.get_mut(slot as usize) else { return };
        self.groups.payers.discharge(group.payer, group.held());
        self.groups.payers.charge(payer, group.held());
        group.payer = payer;
    }
}
