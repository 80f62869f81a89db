//! What a session is sent: every delivery goes through here, with all that it needs, and the counts of queues and outboxes
//! are kept here. A link for which its principal's outboxes have no room is starved until there is some.

use super::Shard;
use super::portion::{outboxes_bound, queue_bound};
use crate::attach::LinkId;
use crate::delivery::{Delivery, Pressure, Progress, Terms};
use crate::outbound::Departed;
use crate::persist::Recorder;
use crate::session::{Session, SessionRef};

impl Shard {
    /// Notes that everything taken for a link was written.
    pub(super) fn written(&mut self, link: LinkId) {
        let Some(slot) = self.by_link.get(&link).copied() else { return };
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        let resident = session.resident;
        let written = session.link.as_deref_mut().map_or(0, |link| self.out.written(link));
        self.clear_outbox(resident, written);
        self.deliver(slot, |delivery| delivery.pump());
    }

    /// Takes bytes that wait no longer off what a principal's links have.
    pub(super) fn clear_outbox(&mut self, resident: usize, bytes: usize) {
        let Some(found) = self.residents.get_mut(resident) else { return };
        found.outbox_bytes = found.outbox_bytes.saturating_sub(bytes);
        if !found.starved.is_empty() {
            self.relieved.push(resident);
        }
    }

    /// Lets those links of a principal go on for which there was no room, as long as there is some.
    pub(super) fn feed_starved(&mut self, resident: usize) {
        while let Some(found) = self.residents.get_mut(resident)
            && found.outbox_bytes < outboxes_bound(&self.config, &found.identity)
            && let Some(slot) = found.starved.pop_first()
        {
            self.deliver(slot, |delivery| delivery.pump());
        }
    }

    /// Runs `act` with all that a delivery to a session needs, and keeps the counts of queues. Does nothing if the
    /// session is gone.
    pub(super) fn deliver<R>(&mut self, slot: u32, act: impl FnOnce(&mut Delivery<'_>) -> R) -> Option<R> {
        let (pressure, memory_left) = (self.pressure(), self.memory_left());
        let session = self.sessions.get_mut(slot as usize)?;
        let resident = self.residents.get_mut(session.resident)?;
        resident.refresh(&self.law, slot, &session.key.client_id);
        session.rights_bytes = resident.bytes_of_client(slot);
        let before = session.held();
        let outboxes_before = self.out.outbox_bytes;
        let mut delivery = Delivery {
            at: SessionRef { slot, incarnation: session.incarnation },
            entitled: resident.entitled(slot, session.life),
            is_current: session.link.as_ref().is_some_and(|link| resident.accepts(link.epoch)),
            law: &self.law,
            out: &mut self.out,
            stats: &mut self.stats,
            terms: Terms {
                now: self.now.mono,
                limits: &self.config.limits,
                hash_key: self.config.hash_key,
                shards: self.config.shards,
                progress: Progress { committed: self.commits.done(), settled: self.interest.settled() },
                pressure,
                memory_left,
                principal_bound: queue_bound(&self.config, &resident.identity),
                outboxes_bound: outboxes_bound(&self.config, &resident.identity),
            },
            principal_holds: resident.queued,
            held_before: before,
            principal_outboxes: resident.outbox_bytes,
            outboxes_before,
            session,
        };
        let result = act(&mut delivery);
        let is_starved = delivery.is_starved();
        let Delivery { session, out, .. } = delivery;
        let written = out.outbox_bytes - outboxes_before;
        if pressure == Pressure::Critical {
            session.forget_decisions();
        }
        if self.config.is_stored {
            record_departed(session, &mut out.record);
        }
        let (light, heavy) = session.weigh();
        self.session_bytes = self.session_bytes + heavy - light;
        let after = session.held();
        resident.outbox_bytes += written;
        if is_starved {
            resident.starved.insert(slot);
        }
        for holding in [&mut resident.queued, &mut self.queued] {
            holding.exchange(before, after);
        }
        Some(result)
    }
}

/// Records which places of a session are over.
pub(super) fn record_departed(session: &mut Session, record: &mut Recorder) {
    for departed in session.outbound.take_departed() {
        match departed {
            Departed::Received(place, message) => record.received(session.incarnation, place.0, message),
            Departed::Gone(place, message) => record.gone(session.incarnation, place.0, message),
        }
    }
}
