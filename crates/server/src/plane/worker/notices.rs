//! What happened in a tick, counted: one message to a hundred slow readers is a hundred notices of two kinds, and to tell
//! each would be more work than the message.

use crate::plane::events::Reporter;
use crate::plane::limits::NOTICES_PER_TICK;
use keyward_broker::Notice;

/// Holds the notices of a tick, each once, with how often it was.
#[derive(Debug, Default)]
pub(super) struct Notices {
    counted: Vec<(Notice, u64)>,
}

impl Notices {
    /// Counts a notice. Returns what must be told at once because so many different ones have come.
    pub(super) fn count(&mut self, notice: Notice) -> Option<(Notice, u64)> {
        if let Some((_, times)) = self.counted.iter_mut().find(|(known, _)| *known == notice) {
            *times += 1;
            return None;
        }
        let oldest = (self.counted.len() >= NOTICES_PER_TICK).then(|| self.counted.remove(0));
        self.counted.push((notice, 1));
        oldest
    }

    /// Tells what was counted.
    pub(super) fn tell(&mut self, reporter: &Reporter) {
        for (notice, times) in self.counted.drain(..) {
            reporter.notice(notice, times);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn too_slow(receiver: u64) -> Notice {
        Notice::TooSlow { receiver: format!("device:d{receiver}").parse().unwrap() }
    }

    #[test]
    fn what_happens_again_and_again_is_one_notice() {
        let mut notices = Notices::default();
        for n in 0..1_000 {
            assert_eq!(notices.count(too_slow(n % 2)), None);
        }
        assert_eq!(notices.counted, [(too_slow(0), 500), (too_slow(1), 500)]);
    }

    #[test]
    fn different_notices_are_bounded_and_none_is_lost() {
        let mut notices = Notices::default();
        let told: Vec<_> = (0..1_000).filter_map(|n| notices.count(too_slow(n))).collect();
        assert_eq!(notices.counted.len(), NOTICES_PER_TICK);
        let all = told.iter().chain(&notices.counted);
        assert!(all.eq(&(0..1_000).map(|n| (too_slow(n), 1)).collect::<Vec<_>>()));
    }
}
