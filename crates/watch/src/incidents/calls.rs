//! How often somebody is called: what is more than they can answer becomes one call.

use crate::event::UnixMillis;
use std::collections::VecDeque;

const HOUR_MS: u64 = 60 * 60_000;

/// Counts the calls of the last hour, and those that were held back.
#[derive(Debug, Clone, Default)]
pub(super) struct Calls {
    /// When calls were made within the last hour.
    made: VecDeque<UnixMillis>,
    held_back: u32,
    /// When the calls that were held back are told.
    due: Option<UnixMillis>,
}

/// Says whether somebody is called now.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Answer {
    Call,
    HoldBack { is_first: bool },
}

impl Calls {
    /// Asks for a call. Once in an hour an urgent one is made though there were too many: the worst is not to be hidden by noise.
    pub(super) fn ask(&mut self, now: UnixMillis, per_hour: u16, is_urgent: bool) -> Answer {
        while self.made.front().is_some_and(|at| now.since(*at) >= HOUR_MS) {
            self.made.pop_front();
        }
        let most = usize::from(per_hour) + usize::from(is_urgent);
        if self.made.len() < most {
            self.made.push_back(now);
            return Answer::Call;
        }
        let is_first = self.due.is_none();
        self.hold_back(now);
        Answer::HoldBack { is_first }
    }

    /// Counts something that nobody is called for now.
    pub(super) fn hold_back(&mut self, now: UnixMillis) {
        self.held_back = self.held_back.saturating_add(1);
        self.due.get_or_insert(now.plus(HOUR_MS));
    }

    /// Returns how many were held back, if it is time to tell.
    pub(super) fn held_back(&mut self, now: UnixMillis) -> Option<u32> {
        self.due.take_if(|due| *due <= now)?;
        Some(core::mem::take(&mut self.held_back))
    }

    pub(super) fn poll_timeout(&self) -> Option<UnixMillis> {
        self.due
    }
}
