//! What makes things durable: it answers tickets in order, each once (rule 13), and says what it can take (rule 19).

use super::inbox::{Inbox, Mail};
use crate::dice::Dice;
use keyward_broker::persist::{Entry, Journal, PageAsk, Recovered, Survey, recover};
use keyward_broker::{HashKey, Shard, Storage, Ticket};
use keyward_mqtt::time::Now;
use keyward_store::Engine as _;
use keyward_store::faulty::FaultyEngine;
use std::collections::VecDeque;

/// Is the engine of a broker.
pub(crate) enum Engine {
    /// Answers at once, has room for everything, and forgets it with the process.
    Memory,
    /// Writes to a disk, answers when it likes, and has room at times.
    Faulty(Box<Faulty>),
}

/// Is an engine that is slow, runs full, and loses what was not synced.
pub(crate) struct Faulty {
    disk: Disk,
    journal: Journal,
    /// Empty, for its buffers.
    entry: Entry,
    /// The tickets of each shard that wait.
    waiting: Vec<VecDeque<Ticket>>,
    /// Pages that are to be read, in order, with the shards that asked.
    unread: VecDeque<(usize, PageAsk)>,
    /// What it can take; the shards hear of it one after another.
    storage: Storage,
}

/// Is what survives the process.
#[derive(Default)]
pub(crate) struct Disk(FaultyEngine);

impl Disk {
    /// Reads everything that is on it.
    ///
    /// # Panics
    /// It cannot be read.
    pub(crate) fn recover(&self, fresh: HashKey, now: Now) -> Recovered {
        match recover(&self.0, fresh, now) {
            Ok(recovered) => recovered,
            Err(error) => panic!("the disk cannot be read: {error}"),
        }
    }

    /// Removes what belongs to nobody.
    pub(crate) fn tidy(&mut self, survey: &Survey) {
        assert!(survey.damaged.is_empty(), "records do not read: {:?}", survey.damaged);
        let tidied = self.0.append(&survey.litter).and_then(|()| self.0.sync());
        assert!(tidied.is_ok(), "the disk cannot be tidied: {tidied:?}");
    }

    pub(crate) fn reader(&self) -> &FaultyEngine {
        &self.0
    }
}

impl Engine {
    /// Begins with a disk on which somebody has looked around.
    pub(crate) fn on(disk: Disk, survey: Survey, shards: usize) -> Self {
        Self::Faulty(Box::new(Faulty {
            disk,
            journal: Journal::new(survey),
            entry: Entry::default(),
            waiting: vec![VecDeque::new(); shards],
            unread: VecDeque::new(),
            storage: Storage::Open,
        }))
    }

    /// Takes what a shard has recorded, and the ticket that waits for it. Tells whether the answer comes at once. What
    /// was taken is written, however full the disk is.
    pub(crate) fn store(&mut self, index: usize, shard: &mut Shard, ticket: Option<Ticket>) -> bool {
        match self {
            Self::Memory => true,
            Self::Faulty(faulty) => {
                faulty.append(shard);
                faulty.waiting[index].extend(ticket);
                false
            }
        }
    }

    /// Takes a page that is to be read.
    pub(crate) fn ask(&mut self, shard: usize, ask: PageAsk) {
        if let Self::Faulty(faulty) = self {
            faulty.unread.push_back((shard, ask));
        }
    }

    /// Reads the oldest pages, at most so many; a broken engine reads still.
    pub(crate) fn read_pages(&mut self, inboxes: &mut [Inbox], count: usize) {
        let Self::Faulty(faulty) = self else { return };
        let count = count.min(faulty.unread.len());
        for (shard, ask) in faulty.unread.drain(..count) {
            let page = ask.read(&faulty.disk.0, |error| panic!("the disk cannot be read: {error}"));
            inboxes[shard].command(Mail::Page(page));
        }
    }

    /// Answers some tickets of one shard; now and then it runs full, or has room again, or syncs and says nothing.
    pub(crate) fn answer_some(&mut self, inboxes: &mut [Inbox], dice: &mut Dice) {
        let Self::Faulty(faulty) = self else { return };
        let pages = if faulty.unread.is_empty() { 0 } else { dice.below(faulty.unread.len() + 1) };
        let shard = dice.below(faulty.waiting.len());
        let count = match dice.below(4) {
            0 => faulty.waiting[shard].len(),
            1 => 0,
            _ => dice.between(1, 3).min(faulty.waiting[shard].len()),
        };
        let turns = match faulty.storage {
            Storage::Open => dice.chance(15).then_some(Storage::Full),
            Storage::Full => dice.chance(100).then_some(Storage::Open),
            Storage::Broken => None,
        };
        if let Some(storage) = turns {
            self.turn(inboxes, storage);
        }
        if dice.chance(200) {
            self.sync();
        }
        self.read_pages(inboxes, pages);
        self.answer(inboxes, shard, count);
    }

    /// Can take more, or less, from now on, and puts that into every inbox. What is broken stays so.
    pub(crate) fn turn(&mut self, inboxes: &mut [Inbox], storage: Storage) {
        let Self::Faulty(faulty) = self else { return };
        if faulty.storage != storage && faulty.storage != Storage::Broken {
            faulty.storage = storage;
            inboxes.iter_mut().for_each(|inbox| inbox.command(Mail::Storage(storage)));
        }
    }

    /// Answers the oldest tickets of one shard, at most so many; before that everything is synced.
    pub(crate) fn answer(&mut self, inboxes: &mut [Inbox], shard: usize, count: usize) {
        let Self::Faulty(faulty) = self else { return };
        let waiting = &mut faulty.waiting[shard];
        let count = if faulty.storage == Storage::Broken { 0 } else { count.min(waiting.len()) };
        let through = waiting.drain(..count).next_back();
        if let Some(through) = through {
            self.sync();
            inboxes[shard].command(Mail::Committed(through));
        }
    }

    /// Answers everything that waits.
    pub(crate) fn answer_all(&mut self, inboxes: &mut [Inbox]) {
        self.read_pages(inboxes, usize::MAX);
        for shard in 0..inboxes.len() {
            self.answer(inboxes, shard, usize::MAX);
        }
    }

    /// Makes durable what was taken, and tells nobody.
    pub(crate) fn sync(&mut self) {
        if let Self::Faulty(faulty) = self
            && faulty.storage != Storage::Broken
        {
            let synced = faulty.disk.0.sync();
            assert!(synced.is_ok(), "nobody told the disk to fail: {synced:?}");
        }
    }

    /// Tells how many batches a crash can take away.
    pub(crate) fn unsynced(&self) -> usize {
        match self {
            Self::Memory => 0,
            Self::Faulty(faulty) => faulty.disk.0.unsynced(),
        }
    }

    /// Dies with its process. The disk is left, with the first `keep` of the batches that were not synced.
    pub(crate) fn crash(&mut self, keep: usize) -> Disk {
        let Self::Faulty(faulty) = self else { return Disk::default() };
        let mut disk = core::mem::take(&mut faulty.disk);
        disk.0.crash(keep);
        disk
    }

    /// Returns the disk, if there is one.
    pub(crate) fn disk(&self) -> Option<&Disk> {
        match self {
            Self::Memory => None,
            Self::Faulty(faulty) => Some(&faulty.disk),
        }
    }

    pub(crate) fn is_idle(&self) -> bool {
        match self {
            Self::Memory => true,
            Self::Faulty(faulty) => faulty.unread.is_empty() && faulty.waiting.iter().all(VecDeque::is_empty),
        }
    }
}

impl Faulty {
    fn append(&mut self, shard: &mut Shard) {
        shard.take_entry(&mut self.entry);
        if self.entry.is_empty() || self.storage == Storage::Broken {
            return;
        }
        self.journal.complete(&mut self.entry);
        let appended = self.disk.0.append(self.entry.changes());
        assert!(appended.is_ok(), "nobody told the disk to fail: {appended:?}");
    }
}
