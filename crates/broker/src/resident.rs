//! The principals that have sessions on this shard, with their rights and what they use up.

use crate::law::Law;
use crate::permit::Entitled;
use crate::placement::{HashKey, Map};
use crate::principal::{Principal, Standing};
use crate::retained::Holding;
use keyward_ids::{ClientId, Identity};
use keyward_policy::Rights;
use slab::Slab;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Is one principal with at least one session here.
#[derive(Debug)]
pub(crate) struct Resident {
    pub(crate) identity: Identity,
    /// The slots of its sessions.
    pub(crate) sessions: BTreeSet<u32>,
    /// Messages in the queues of its sessions.
    pub(crate) queued: Holding,
    /// Bytes that wait for its links to be written.
    pub(crate) outbox_bytes: usize,
    /// Sessions with a link that takes more, for which there was no room in `outbox_bytes`.
    pub(crate) starved: BTreeSet<u32>,
    /// Packet ids of incoming QoS 2 messages that its sessions have in use.
    pub(crate) inbound: usize,
    pub(crate) subscriptions: usize,
    /// How many of them have a wildcard.
    pub(crate) wildcards: usize,
    pub(crate) subscription_bytes: usize,
    authority: Authority,
}

/// Holds what a principal may do: compiled at the first use after a change.
#[derive(Debug)]
struct Authority {
    /// The change of the law that this follows.
    turn: Option<u64>,
    generation: u64,
    principal: Option<Arc<Principal>>,
    rights: Rights,
    /// The rights of each session, by its slot, where rules depend on the client id.
    of_clients: BTreeMap<u32, Rights>,
    stamp: u64,
}

impl Resident {
    fn new(identity: Identity) -> Self {
        Self {
            identity,
            sessions: BTreeSet::new(),
            queued: Holding::default(),
            outbox_bytes: 0,
            starved: BTreeSet::new(),
            inbound: 0,
            subscriptions: 0,
            wildcards: 0,
            subscription_bytes: 0,
            authority: Authority {
                turn: None,
                generation: 0,
                principal: None,
                rights: Rights::none(),
                of_clients: BTreeMap::new(),
                stamp: 0,
            },
        }
    }

    /// Compiles the rights again if the law or the principal changed, and those of the session in `slot`.
    pub(crate) fn refresh(&mut self, law: &Law, slot: u32, client_id: &ClientId) {
        self.refresh_all(law);
        let authority = &mut self.authority;
        if let std::collections::btree_map::Entry::Vacant(place) = authority.of_clients.entry(slot)
            && let Some(rights) = authority.rights.of_client(client_id.as_str())
        {
            place.insert(rights);
        }
    }

    fn refresh_all(&mut self, law: &Law) {
        if self.authority.turn == Some(law.turn()) {
            return;
        }
        let principal = law.lookup(&self.identity);
        let same_principal = match (&self.authority.principal, principal) {
            (Some(old), Some(new)) => Arc::ptr_eq(old, new) || old == new,
            (None, None) => true,
            _ => false,
        };
        if !same_principal || self.authority.generation != law.generation() || self.authority.turn.is_none() {
            self.authority.rights = principal.map_or_else(Rights::none, |principal| law.rights(principal));
            self.authority.of_clients.clear();
            self.authority.stamp += 1;
        }
        self.authority.principal = principal.cloned();
        self.authority.generation = law.generation();
        self.authority.turn = Some(law.turn());
    }

    /// Tells whether credentials of `epoch` hold.
    pub(crate) fn accepts(&self, epoch: u64) -> bool {
        self.authority.principal.as_ref().is_some_and(|principal| principal.epoch == epoch)
    }

    /// Forgets the rights of a session that is gone.
    pub(crate) fn forget(&mut self, slot: u32) {
        self.authority.of_clients.remove(&slot);
    }

    /// Returns the bytes of the rights that the session in `slot` has for itself.
    pub(crate) fn bytes_of_client(&self, slot: u32) -> usize {
        self.authority.of_clients.get(&slot).map_or(0, Rights::bytes)
    }

    /// Returns what the session in `slot`, which was opened in `life`, may do. Call [`Resident::refresh`] before.
    pub(crate) fn entitled(&self, slot: u32, life: u64) -> Entitled<'_> {
        let may_act = self
            .authority
            .principal
            .as_ref()
            .is_some_and(|principal| principal.life == life && principal.standing == Standing::Active);
        // Without `refresh` a session has what any client may do.
        let rights = self.authority.of_clients.get(&slot).unwrap_or(&self.authority.rights);
        Entitled { rights: may_act.then_some(rights), stamp: self.authority.stamp }
    }
}

/// Holds all residents.
#[derive(Debug)]
pub(crate) struct Residents {
    slots: Slab<Resident>,
    by_identity: Map<Identity, usize>,
}

impl Residents {
    pub(crate) fn new(hash_key: HashKey) -> Self {
        Self { slots: Slab::new(), by_identity: Map::with_hasher(hash_key) }
    }

    /// Returns the slot of `identity`, made if there is none.
    pub(crate) fn admit(&mut self, identity: &Identity) -> usize {
        if let Some(slot) = self.by_identity.get(identity) {
            return *slot;
        }
        let slot = self.slots.insert(Resident::new(identity.clone()));
        self.by_identity.insert(identity.clone(), slot);
        slot
    }

    pub(crate) fn find(&self, identity: &Identity) -> Option<&Resident> {
        self.by_identity.get(identity).and_then(|slot| self.slots.get(*slot))
    }

    pub(crate) fn get(&self, slot: usize) -> Option<&Resident> {
        self.slots.get(slot)
    }

    pub(crate) fn get_mut(&mut self, slot: usize) -> Option<&mut Resident> {
        self.slots.get_mut(slot)
    }

    /// Returns one more than the highest slot in use.
    pub(crate) fn end(&self) -> usize {
        self.slots.iter().next_back().map_or(0, |(slot, _)| slot + 1)
    }

    /// Forgets a resident that has no session left.
    pub(crate) fn dismiss_if_unused(&mut self, slot: usize) {
        if self.slots.get(slot).is_some_and(|resident| resident.sessions.is_empty()) {
            let resident = self.slots.remove(slot);
            self.by_identity.remove(&resident.identity);
        }
    }
}
