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
}

impl Desk {
    /// Makes a desk for so many shards.
    pub(crate) fn new(shards: usize) -> Self {
        let submissions = (0..shards).map(|_| None).collect();
        let places = Places { submissions, is_closed: false, storage: Storage::Open };
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

    /// Lets the committer end once it has written everything.
    pub(crate) fn close(&self) {
        self.places().is_closed = true;
        self.rung.notify_one();
    }

    /// Waits for something to write until `deadline`. Returns nothing then, and `None` once the desk is closed and empty.
    fn take(&self, deadline: Millis) -> Option<Vec<(usize, Submission)>> {
        let mut places = self.places();
        loop {
            let filled = places.submissions.iter_mut().enumerate();
            let taken: Vec<_> = filled.filter_map(|(shard, place)| Some((shard, place.take()?))).collect();
            if !taken.is_empty() {
                return Some(taken);
            }
            if places.is_closed {
                return None;
            }
            let left = deadline.saturating_sub(clock::now().mono);
            if left == Millis::ZERO {
                return Some(Vec::new());
            }
            let waited = self.rung.wait_timeout(places, Duration::from_millis(left.0));
            places = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
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
