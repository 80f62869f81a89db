//! The one thread that writes: it takes what the shards have recorded, gives it to the engine in the order in which it
//! came, and syncs once for all of it (group commit, rule 13).
//!
//! Each shard has one entry under way at most. While it is, the shard goes on recording, so that entries grow with the
//! load and a sync is shared by all that came meanwhile; when nothing is under way an entry is written at once. So
//! nobody waits a fixed time, and what waits is bounded by what the shards may hold in memory.

use crate::clock;
use crate::plane::handover::WorkerMessage;
use crate::plane::inbox::Inbox;
use keyward_broker::persist::{Entry, Journal};
use keyward_broker::{ShardIndex, Storage, Ticket};
use keyward_mqtt::time::Millis;
use keyward_store::{Broken, Engine};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long what nobody waits for may stay unsynced: a retained message of QoS 0, what a subscriber has acknowledged.
const LAZY: Millis = Millis(500);

/// How long after the last look it is looked for room again though nobody hands anything in: others use the disk too, and shards
/// that refuse have nothing to hand in.
const LOOK_AGAIN: Millis = Millis(1_000);

/// How long the disk may take for one round before the committer counts as standing still: a start anew would not make it
/// faster, and what is under way would be lost to clients that wait.
const DISK_PATIENCE: Millis = Millis::from_secs(600);

/// Is what a shard hands in: what is to be written, and up to which ticket somebody waits for it.
pub(crate) struct Submission {
    pub(crate) entry: Entry,
    pub(crate) through: Option<Ticket>,
}

/// Holds what the shards have handed in and the committer has not taken: one place for each.
pub(crate) struct Desk {
    places: Mutex<Places>,
    rung: Condvar,
}

struct Places {
    submissions: Vec<Option<Submission>>,
    is_closed: bool,
    /// What the shards were told last.
    storage: Storage,
    /// Since when the committer does what it does now.
    since: Millis,
    /// Whether that is waiting here, and not writing or syncing.
    is_waited_at: bool,
}

impl Places {
    fn turn(&mut self, is_waited_at: bool) {
        self.since = clock::now().mono;
        self.is_waited_at = is_waited_at;
    }
}

/// Says how the committer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Committing {
    /// It waits for work or has just begun some.
    Well,
    /// It waits for the disk for so long.
    Writing(Millis),
    /// It stands still: it does not come back to its desk, or its engine is broken.
    Silent,
}

impl Desk {
    /// Makes a desk for so many shards.
    pub(crate) fn new(shards: usize) -> Self {
        let submissions = (0..shards).map(|_| None).collect();
        let places = Places {
            submissions,
            is_closed: false,
            storage: Storage::Open,
            since: clock::now().mono,
            is_waited_at: true,
        };
        Self { places: Mutex::new(places), rung: Condvar::new() }
    }

    /// Hands in what a shard has recorded. The place is empty: the shard waits for its last entry first.
    pub(crate) fn submit(&self, shard: ShardIndex, submission: Submission) {
        if let Some(place) = self.places().submissions.get_mut(usize::from(shard.0)) {
            *place = Some(submission);
        }
        self.rung.notify_one();
    }

    /// Returns what the store can take.
    pub(crate) fn storage(&self) -> Storage {
        self.places().storage
    }

    /// Tells how the committer is, which may take `patience` for anything but the disk.
    pub(crate) fn committing(&self, patience: Millis) -> Committing {
        let places = self.places();
        let since = clock::now().mono.saturating_sub(places.since);
        standing(places.storage, places.is_waited_at, since, patience)
    }

    /// Lets the committer end once it has written everything.
    pub(crate) fn close(&self) {
        self.places().is_closed = true;
        self.rung.notify_one();
    }

    /// Waits for something to write until `deadline`. Returns nothing then, and `None` once the desk is closed and empty.
    fn take(&self, deadline: Millis) -> Option<Vec<(usize, Submission)>> {
        let mut places = self.places();
        places.turn(true);
        let taken = loop {
            let filled = places.submissions.iter_mut().enumerate();
            let taken: Vec<_> = filled.filter_map(|(shard, place)| Some((shard, place.take()?))).collect();
            if !taken.is_empty() {
                break Some(taken);
            }
            if places.is_closed {
                break None;
            }
            let left = deadline.saturating_sub(clock::now().mono);
            if left == Millis::ZERO {
                break Some(Vec::new());
            }
            let waited = self.rung.wait_timeout(places, Duration::from_millis(left.0));
            places = waited.unwrap_or_else(PoisonError::into_inner).0;
        };
        places.turn(false);
        taken
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Judges a committer that has waited at its desk, or written, for `since`.
fn standing(storage: Storage, is_waited_at: bool, since: Millis, patience: Millis) -> Committing {
    // It looks around every so often even if nobody hands anything in.
    let silent_after = if is_waited_at { LOOK_AGAIN.saturating_add(patience) } else { DISK_PATIENCE };
    match storage {
        Storage::Broken => Committing::Silent,
        _ if since > silent_after => Committing::Silent,
        _ if !is_waited_at && since > patience => Committing::Writing(since),
        _ => Committing::Well,
    }
}

/// Writes until its desk is closed.
pub(crate) struct Committer {
    desk: Arc<Desk>,
    engine: Box<dyn Engine>,
    journal: Journal,
    /// The inboxes of the workers, in the order of their shards.
    inboxes: Arc<[Inbox<WorkerMessage>]>,
    /// By when what was appended and not synced is to be.
    unsynced_until: Option<Millis>,
    look_again_at: Millis,
}

impl Committer {
    pub(crate) fn new(
        desk: Arc<Desk>,
        engine: Box<dyn Engine>,
        journal: Journal,
        inboxes: Arc<[Inbox<WorkerMessage>]>,
    ) -> Self {
        Self { desk, engine, journal, inboxes, unsynced_until: None, look_again_at: Millis::ZERO }
    }

    /// Runs until the desk is closed, or the engine is broken: then whoever waits, waits for ever.
    pub(crate) fn run(mut self) {
        while let Some(submissions) = self.desk.take(self.deadline()) {
            if let Err(broken) = self.commit(submissions) {
                tracing::error!("{broken}");
                return self.tell(Storage::Broken);
            }
        }
        if let Err(broken) = self.engine.sync() {
            tracing::error!("{broken}");
        }
    }

    /// Returns when there is something to do although nobody hands anything in.
    fn deadline(&self) -> Millis {
        self.unsynced_until.map_or(self.look_again_at, |until| until.min(self.look_again_at))
    }

    /// Writes what was handed in, syncs if somebody waits or has waited long enough, and answers.
    fn commit(&mut self, submissions: Vec<(usize, Submission)>) -> Result<(), Broken> {
        let mut is_awaited = false;
        let mut answers = Vec::with_capacity(submissions.len());
        for (shard, Submission { mut entry, through }) in submissions {
            self.journal.complete(&mut entry);
            self.engine.append(entry.changes())?;
            is_awaited |= through.is_some();
            answers.push((shard, through, entry));
        }
        let is_due = self.unsynced_until.is_some_and(|until| until <= clock::now().mono);
        if is_awaited || is_due {
            self.engine.sync()?;
            self.unsynced_until = None;
        } else if !answers.is_empty() {
            self.unsynced_until.get_or_insert_with(|| clock::now().mono.saturating_add(LAZY));
        }
        for (shard, through, entry) in answers {
            if let Some(inbox) = self.inboxes.get(shard) {
                inbox.command(WorkerMessage::Committed { through, entry });
            }
        }
        self.look_for_room()
    }

    /// Looks after each commit while there is room, and now and then in any case.
    fn look_for_room(&mut self) -> Result<(), Broken> {
        let now = clock::now().mono;
        if self.desk.storage() == Storage::Full && now < self.look_again_at {
            return Ok(());
        }
        self.look_again_at = now.saturating_add(LOOK_AGAIN);
        let storage = if self.engine.has_room()? { Storage::Open } else { Storage::Full };
        if storage != self.desk.storage() {
            match storage {
                Storage::Open => tracing::info!("there is room on disk again: messages are stored"),
                _ => tracing::error!(
                    "the disk is full up to the reserve: nothing more is stored until there is room (store.reserve)"
                ),
            }
            self.tell(storage);
        }
        Ok(())
    }

    fn tell(&self, storage: Storage) {
        self.desk.places().storage = storage;
        self.inboxes.iter().for_each(|inbox| inbox.command(WorkerMessage::Storage(storage)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Millis = Millis::from_secs(15);

    #[test]
    fn a_slow_disk_is_waited_for_and_one_that_never_answers_is_not() {
        let writing = |seconds| standing(Storage::Open, false, Millis::from_secs(seconds), PATIENCE);
        assert_eq!(writing(10), Committing::Well);
        assert_eq!(writing(120), Committing::Writing(Millis::from_secs(120)));
        assert_eq!(writing(601), Committing::Silent);
    }

    #[test]
    fn a_committer_that_does_not_look_around_or_has_given_up_is_silent() {
        let waiting = |storage, seconds| standing(storage, true, Millis::from_secs(seconds), PATIENCE);
        assert_eq!(waiting(Storage::Open, 1), Committing::Well);
        assert_eq!(waiting(Storage::Full, 16), Committing::Well);
        assert_eq!(waiting(Storage::Open, 17), Committing::Silent);
        assert_eq!(waiting(Storage::Broken, 0), Committing::Silent);
    }
}
