//! What happens because time passes: sessions expire, delayed wills are due, slices go on.

use super::Shard;
use crate::limits;
use crate::session::SessionRef;
use keyward_mqtt::time::Millis;

/// Says what is due. Of one session and one moment the will comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Timer {
    /// The will of a session without link.
    Will,
    /// The end of a session without link.
    Expiry,
}

impl Shard {
    pub(super) fn run_timers(&mut self) {
        for _ in 0..limits::TIMER_SLICE {
            match self.next_timer() {
                Some((due, at, timer)) if due <= self.now.mono => {
                    self.timers.pop_first();
                    self.ring(at, timer);
                }
                _ => break,
            }
        }
        self.retained.expire(self.now.mono, limits::TIMER_SLICE);
        self.continue_fanouts();
        self.continue_sweep();
        self.continue_review();
        self.continue_endings();
        self.continue_shutdown();
    }

    /// Returns the first timer. None rings before the shards know of each other: a will would miss its readers elsewhere.
    pub(super) fn next_timer(&self) -> Option<(Millis, SessionRef, Timer)> {
        self.timers.first().copied().filter(|_| !self.restoring.is_under_way())
    }

    fn ring(&mut self, at: SessionRef, timer: Timer) {
        if self.resolve(at).is_none() {
            return;
        }
        match timer {
            Timer::Will => self.fire_will(at.slot),
            Timer::Expiry => {
                self.stats.expired += 1;
                self.fire_will(at.slot);
                self.end_session(at.slot);
            }
        }
    }

    pub(super) fn set_timer(&mut self, at: SessionRef, due: Millis, timer: Timer) {
        let Some(session) = self.sessions.get_mut(at.slot as usize) else { return };
        match timer {
            Timer::Will => session.will_at = Some(due),
            Timer::Expiry => session.expires_at = Some(due),
        }
        self.timers.insert((due, at, timer));
    }

    pub(super) fn cancel_will_timer(&mut self, slot: u32) {
        let Some(at) = self.session_ref(slot) else { return };
        if let Some(due) = self.sessions.get_mut(slot as usize).and_then(|session| session.will_at.take()) {
            self.timers.remove(&(due, at, Timer::Will));
        }
    }

    pub(super) fn cancel_expiry_timer(&mut self, slot: u32) {
        let Some(at) = self.session_ref(slot) else { return };
        if let Some(due) = self.sessions.get_mut(slot as usize).and_then(|session| session.expires_at.take())
        {
            self.timers.remove(&(due, at, Timer::Expiry));
        }
    }
}
