//! Sessions end, and the broker stops: in slices where there is much to take away (rule 2).

use super::Shard;
use super::deliver::record_departed;
use crate::limits;
use crate::outbound::Outbound;
use crate::output::CloseCause;
use crate::persist::Away;
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::topic::TopicFilter;
use std::collections::VecDeque;

/// Holds the sessions that have ended and whose subscriptions are not all taken away yet.
#[derive(Debug)]
pub(super) struct Endings {
    slots: VecDeque<u32>,
    /// Subscriptions that may be taken away before the next [`crate::Input::Timeout`].
    budget: usize,
}

impl Default for Endings {
    fn default() -> Self {
        Self { slots: VecDeque::new(), budget: limits::END_SLICE }
    }
}

impl Endings {
    pub(super) fn is_empty(&self) -> bool {
        self.slots.is_empty()
    }
}

impl Shard {
    /// Ends a session that has no link. Its will must have been dealt with. From now on it gets nothing and its name
    /// is free; its subscriptions may go a moment later.
    pub(super) fn end_session(&mut self, slot: u32) {
        self.cancel_will_timer(slot);
        self.cancel_expiry_timer(slot);
        let hash_key = self.config.hash_key;
        let Some(session) = self.sessions.get_mut(slot as usize).filter(|session| !session.has_ended) else {
            return;
        };
        session.has_ended = true;
        let is_stored = session.is_stored();
        self.leave_groups(slot);
        self.forsake_places(slot, Away::Goes);
        if is_stored {
            self.erase_session(slot);
        }
        self.forget_all_inbound(slot);
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        let held = session.held();
        session.replays.clear();
        session.outbound = Outbound::new(hash_key);
        session.forget_decisions();
        self.by_key.remove(&session.key);
        self.queued.subtract(held);
        if let Some(resident) = self.residents.get_mut(session.resident) {
            resident.queued.subtract(held);
        }
        self.weigh(slot);
        if !self.end_subscriptions(slot) {
            self.endings.slots.push_back(slot);
        }
    }

    /// Records that messages of a session are gone. Of one that is stored no longer there may be some still.
    pub(super) fn forsake_places(&mut self, slot: u32, stays: Away) {
        let Some(session) = self.sessions.get_mut(slot as usize) else { return };
        session.forsake(stays);
        record_departed(session, &mut self.out.record);
    }

    /// Records that a session and its packet ids are gone; its subscriptions go one by one.
    pub(super) fn erase_session(&mut self, slot: u32) {
        let Some(session) = self.sessions.get(slot as usize) else { return };
        for id in session.inbound.keys() {
            self.out.record.inbound_gone(session.incarnation, *id);
        }
        self.out.record.session_gone(session.incarnation);
    }

    /// Takes away subscriptions of an ended session, and the session with the last one. Returns whether it is gone.
    fn end_subscriptions(&mut self, slot: u32) -> bool {
        while let Some(filter) = self.sessions.get(slot as usize).and_then(|session| session.filters.first())
        {
            if self.endings.budget == 0 {
                return false;
            }
            self.endings.budget -= 1;
            let filter = filter.clone();
            let removed = TopicFilter::parse(&filter).is_ok_and(|filter| self.unsubscribe_one(slot, filter));
            if !removed && let Some(session) = self.sessions.get_mut(slot as usize) {
                session.filters.remove(&filter);
            }
        }
        let Some(session) = self.sessions.try_remove(slot as usize) else { return true };
        self.session_bytes = self.session_bytes.saturating_sub(session.counted());
        if let Some(resident) = self.residents.get_mut(session.resident) {
            resident.sessions.remove(&slot);
            resident.starved.remove(&slot);
            resident.forget(slot);
        }
        self.residents.dismiss_if_unused(session.resident);
        true
    }

    /// Begins a new slice, and goes on with the sessions that the last one had no time for.
    pub(super) fn continue_endings(&mut self) {
        self.endings.budget = limits::END_SLICE;
        while let Some(slot) = self.endings.slots.front().copied() {
            if !self.end_subscriptions(slot) {
                return;
            }
            self.endings.slots.pop_front();
        }
    }

    /// Tells every client that the broker stops, and closes its link. Sessions stay as they are: no will is due
    /// because the broker ends.
    pub(super) fn shut_down(&mut self) {
        self.is_stopping = true;
        self.stopping.get_or_insert(0);
        self.continue_shutdown();
    }

    pub(super) fn continue_shutdown(&mut self) {
        let Some(next) = self.stopping else { return };
        let end = self.sessions.capacity().min(next + limits::SHUTDOWN_SLICE);
        for slot in next..end {
            if self.sessions.get(slot).is_some_and(|session| session.link.is_some()) {
                self.cut(slot as u32, CloseCause::ShuttingDown, Some(ReasonCode::ServerShuttingDown), true);
            }
        }
        self.stopping = (end < self.sessions.capacity()).then_some(end);
    }
}
