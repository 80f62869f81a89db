//! The registry changes: links and sessions that it no longer allows are ended, in slices if there are many. Decisions
//! follow the new directory from the first moment, the sweep only tidies up.

use super::Shard;
use crate::limits;
use crate::output::{CloseCause, Output, Report};
use crate::principal::{Directory, Standing};
use std::sync::Arc;

/// Is the walk over all residents after a change of the directory.
#[derive(Debug, Default)]
pub(super) struct Sweep {
    /// The resident whose turn it is.
    next: usize,
    closed: u64,
    /// Revisions that are reported at the end.
    revisions: Vec<u64>,
}

/// Says what becomes of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Stays,
    /// Its link ends, the session waits.
    Suspended,
    /// Link and session end.
    Ended,
}

impl Shard {
    pub(super) fn enact_directory(&mut self, directory: Arc<Directory>) {
        let revision = directory.revision();
        let mut sweep = self.sweep.take().unwrap_or_default();
        sweep.next = 0;
        sweep.revisions.push(revision);
        if revision >= self.law.revision() {
            self.law.enact_directory(directory);
            self.windows.begin_review();
            self.ask_members_again();
        }
        self.sweep = Some(sweep);
        self.continue_sweep();
    }

    pub(super) fn continue_sweep(&mut self) {
        let Some(mut sweep) = self.sweep.take() else { return };
        let mut budget = limits::SWEEP_SLICE;
        let end = self.residents.end();
        while sweep.next < end && budget > 0 {
            let closed = self.sweep_resident(sweep.next, &mut budget);
            sweep.closed += closed;
            if budget > 0 {
                sweep.next += 1;
            }
        }
        if sweep.next < end {
            self.sweep = Some(sweep);
            return;
        }
        for revision in sweep.revisions {
            self.out.say(Output::Reported(Report::Directory { revision, closed: sweep.closed }));
        }
    }

    /// Ends what a resident may no longer have, until the budget is used up. Returns how many links were closed.
    fn sweep_resident(&mut self, resident: usize, budget: &mut usize) -> u64 {
        *budget = budget.saturating_sub(1);
        let Some(found) = self.residents.get(resident) else { return 0 };
        let principal = self.law.lookup(&found.identity).cloned();
        let mut closed = 0;
        for slot in found.sessions.clone() {
            let Some(session) = self.sessions.get(slot as usize).filter(|session| !session.has_ended) else {
                continue;
            };
            let standing = principal.as_ref().filter(|principal| principal.life == session.life);
            let epoch = session.link.as_ref().map(|link| link.epoch);
            let verdict = match standing.map(|principal| principal.standing) {
                Some(Standing::Active) if epoch.is_some() && epoch != standing.map(|it| it.epoch) => {
                    Verdict::Suspended
                }
                Some(Standing::Active) => Verdict::Stays,
                Some(Standing::Disabled) => Verdict::Suspended,
                Some(Standing::Revoked { .. } | Standing::Removed) | None => Verdict::Ended,
            };
            let has_link = session.link.is_some();
            if verdict == Verdict::Stays || (verdict == Verdict::Suspended && !has_link) {
                continue;
            }
            if *budget == 0 {
                return closed;
            }
            *budget = budget.saturating_sub(limits::SWEEP_CLOSE_COST);
            closed += u64::from(has_link);
            self.expel(slot, verdict);
        }
        closed
    }

    fn expel(&mut self, slot: u32, verdict: Verdict) {
        self.cut(slot, CloseCause::NotAllowed, None, false);
        match verdict {
            Verdict::Stays => {}
            Verdict::Suspended => self.leave(slot, true),
            Verdict::Ended => {
                self.fire_will(slot);
                self.end_session(slot);
            }
        }
    }
}
