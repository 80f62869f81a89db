//! Incoming QoS 2 messages whose packet ids are in use. A client before 5.0 knows no receive maximum and may have all
//! packet ids in use at once, in any order; what bounds it is what its identity may have.

use super::Shard;
use super::portion::lease;
use crate::limits;
use crate::placement::Map;
use crate::session::Inbound;
use keyward_mqtt::packet::PacketId;

impl Shard {
    /// Tells whether the identity of a session may have one more packet id in use, or has this one already.
    pub(super) fn has_inbound_place(&self, slot: u32, id: PacketId) -> bool {
        let Some(session) = self.sessions.get(slot as usize) else { return false };
        let Some(resident) = self.residents.get(session.resident) else { return false };
        let total = self.config.limits.inbound_per_identity;
        resident.inbound < lease(total, &resident.identity, self.config.shards)
            || session.inbound.contains_key(&id.0.get())
    }

    /// Remembers a message until its PUBREL comes.
    pub(super) fn remember_inbound(&mut self, slot: u32, id: PacketId, message: Inbound) {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        let is_new = session.inbound.insert(id.0.get(), message).is_none();
        if let (true, Some(resident)) = (is_new, self.residents.get_mut(session.resident)) {
            resident.inbound += 1;
        }
    }

    /// Frees the packet id of a message.
    pub(super) fn forget_inbound(&mut self, slot: u32, id: PacketId) {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        if session.inbound.remove(&id.0.get()).is_none() {
            return;
        }
        if session.is_stored() {
            self.out.record.inbound_gone(session.incarnation, id.0.get());
        }
        if session.inbound.is_empty() {
            session.inbound.shrink_to(limits::ORDERED_KEPT);
        }
        if let Some(resident) = self.residents.get_mut(session.resident) {
            resident.inbound -= 1;
        }
    }

    /// Frees all packet ids of a session and their memory.
    pub(super) fn forget_all_inbound(&mut self, slot: u32) {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        let forgotten = core::mem::replace(&mut session.inbound, Map::with_hasher(self.config.hash_key));
        if let Some(resident) = self.residents.get_mut(session.resident) {
            resident.inbound -= forgotten.len();
        }
    }
}
