//! Who has put which change into force: a command returns when the door and all shards have (rules 6 and 7).

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Numbers a door or a shard among all that report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reporting(pub(crate) usize);

/// Keeps what each door and shard has reported.
#[derive(Debug)]
pub(crate) struct Changes {
    parts: Mutex<Vec<Part>>,
    changed: Condvar,
}

#[derive(Debug, Clone, Copy, Default)]
struct Part {
    /// Doors know no policy.
    policy: Option<u64>,
    revision: u64,
    closed: u64,
}

impl Changes {
    /// Makes the book of `doors` doors, numbered from 0, and `shards` shards, numbered from there.
    pub(crate) fn new(doors: usize, shards: usize) -> Self {
        let door = Part::default();
        let shard = Part { policy: Some(0), ..door };
        let parts = std::iter::repeat_n(door, doors).chain(std::iter::repeat_n(shard, shards)).collect();
        Self { parts: Mutex::new(parts), changed: Condvar::new() }
    }

    pub(crate) fn policy(&self, who: Reporting, generation: u64) {
        self.parts()[who.0].policy = Some(generation);
        self.changed.notify_all();
    }

    /// Notes that `who` has closed `closed` links that the registry of this revision does not allow, and has none
    /// left.
    pub(crate) fn directory(&self, who: Reporting, revision: u64, closed: u64) {
        let part = &mut self.parts()[who.0];
        part.revision = revision;
        part.closed = closed;
        self.changed.notify_all();
    }

    /// Waits until all shards have reported the policy `generation`; false if `time` ran out.
    pub(crate) fn wait_for_policy(&self, generation: u64, time: Duration) -> bool {
        let behind = |part: &Part| part.policy.is_some_and(|reported| reported < generation);
        self.wait(time, behind).is_some()
    }

    /// Waits until all have reported the revision; returns how many links that closed, `None` if `time` ran out.
    pub(crate) fn wait_for_directory(&self, revision: u64, time: Duration) -> Option<u64> {
        let parts = self.wait(time, |part| part.revision < revision)?;
        Some(parts.iter().map(|part| part.closed).sum())
    }

    fn wait(&self, time: Duration, behind: impl Fn(&Part) -> bool) -> Option<MutexGuard<'_, Vec<Part>>> {
        let waited = self.changed.wait_timeout_while(self.parts(), time, |parts| parts.iter().any(&behind));
        let (parts, timeout) = waited.unwrap_or_else(PoisonError::into_inner);
        (!timeout.timed_out()).then_some(parts)
    }

    fn parts(&self) -> MutexGuard<'_, Vec<Part>> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(20);

    #[test]
    fn a_change_is_in_force_when_the_door_and_all_shards_say_so() {
        let changes = Changes::new(1, 2);
        changes.directory(Reporting(0), 7, 1);
        changes.directory(Reporting(1), 7, 2);
        assert_eq!(changes.wait_for_directory(7, Duration::from_millis(1)), None);
        std::thread::scope(|scope| {
            scope.spawn(|| changes.directory(Reporting(2), 8, 3));
            assert_eq!(changes.wait_for_directory(7, LONG), Some(6));
        });
    }

    #[test]
    fn a_door_has_no_say_about_policy() {
        let changes = Changes::new(1, 1);
        assert!(!changes.wait_for_policy(3, Duration::from_millis(1)));
        changes.policy(Reporting(1), 3);
        assert!(changes.wait_for_policy(3, LONG));
    }
}
