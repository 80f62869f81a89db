//! The identities that have members in shared groups of this shard, and what they are charged for: each group is
//! charged to one of them, to its opener first (invariant 6).

use crate::placement::{HashKey, Map};
use crate::retained::Holding;
use keyward_ids::Identity;
use slab::Slab;

/// Points to an identity among [`Payers`] as long as it has a member in some group.
pub(crate) type PayerSlot = usize;

/// Is an identity with members in groups here.
#[derive(Debug)]
struct Payer {
    identity: Identity,
    /// The groups in which it has members.
    groups: usize,
    /// What the groups hold that it pays for.
    held: Holding,
}

/// Holds all that have members in groups here.
#[derive(Debug)]
pub(crate) struct Payers {
    slots: Slab<Payer>,
    by_identity: Map<Identity, PayerSlot>,
}

impl Payers {
    pub(crate) fn new(hash_key: HashKey) -> Self {
        Self { slots: Slab::new(), by_identity: Map::with_hasher(hash_key) }
    }

    pub(crate) fn find(&self, identity: &Identity) -> Option<PayerSlot> {
        self.by_identity.get(identity).copied()
    }

    /// Returns in how many groups here `identity` has members.
    pub(crate) fn groups_of(&self, identity: &Identity) -> usize {
        self.find(identity).and_then(|payer| self.slots.get(payer)).map_or(0, |payer| payer.groups)
    }

    /// Notes that an identity has its first member in one more group.
    pub(crate) fn enter(&mut self, identity: &Identity) -> PayerSlot {
        let slot = self.find(identity).unwrap_or_else(|| {
            let payer = Payer { identity: identity.clone(), groups: 0, held: Holding::default() };
            let slot = self.slots.insert(payer);
            self.by_identity.insert(identity.clone(), slot);
            slot
        });
        if let Some(payer) = self.slots.get_mut(slot) {
            payer.groups += 1;
        }
        slot
    }

    /// Notes that an identity has no member any more in a group, which it no longer pays for.
    pub(crate) fn depart(&mut self, slot: PayerSlot) {
        let Some(payer) = self.slots.get_mut(slot) else { return };
        payer.groups -= 1;
        if payer.groups == 0 {
            let payer = self.slots.remove(slot);
            self.by_identity.remove(&payer.identity);
        }
    }

    /// Charges for what a group holds.
    pub(crate) fn charge(&mut self, slot: PayerSlot, more: Holding) {
        if let Some(payer) = self.slots.get_mut(slot) {
            payer.held.add(more);
        }
    }

    /// Takes a charge back.
    pub(crate) fn discharge(&mut self, slot: PayerSlot, less: Holding) {
        if let Some(payer) = self.slots.get_mut(slot) {
            payer.held.subtract(less);
        }
    }

    /// Returns what a payer is charged for.
    pub(crate) fn held(&self, slot: PayerSlot) -> Holding {
        self.slots.get(slot).map_or(Holding::default(), |payer| payer.held)
    }
}
