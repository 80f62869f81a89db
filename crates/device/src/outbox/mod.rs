//! Messages that wait on disk until the broker has them: none is lost once it was taken, none counts twice, their order stays.
//!
//! How to use it. Sign a message, [`append`](Outbox::append) it, and only then tell whoever gave it that it is taken: it is on disk. While there is a link
//! [`peek`](Outbox::peek) for the next messages, send them in their order, and [`acknowledge`](Outbox::acknowledge) up to the last for which the broker has
//! answered. What was refused for good is acknowledged too, after it was told.
//!
//! An acknowledgement is not written at once: it goes along with the next message, or is written after 256, or with [`flush`](Outbox::flush). After a
//! power cut up to that many messages are sent again. They are the same bytes under the same number, so the broker knows them for repeats
//! (`docs/mqsec1.md`, "Verifying"); a write to flash for each would halve its life for nothing. A message that was not signed would arrive twice.
//!
//! Everything is encrypted under a key that the key store closed: readings may be secret, and a copied disk tells nothing.
//!
//! It costs one sync for each `append`, of however many messages, and two more for each segment. On disk a message takes 8 bytes besides its topic,
//! properties and payload, a batch 48 on top; a segment is removed whole, and nothing is written twice.

mod entry;
mod settings;
#[cfg(test)]
mod tests;

#[cfg(feature = "decoders")]
pub(crate) use entry::rewritten;
pub use entry::{Entry, Properties};
pub use settings::{Full, Settings, Status, Waiting};

use crate::bytes::Bytes;
use crate::disk::{Directory, Folder};
use crate::keys::KeyStore;
use crate::limits::{ACKNOWLEDGED_UNWRITTEN, PEEK_BYTES, RECORD_BYTES};
use crate::log::{Found, Kind, Log, Master, Place, overhead};
use crate::state::StateError;
use entry::Head;
use std::collections::VecDeque;
use std::path::Path;

/// Where the entries of one record are.
#[derive(Debug, Clone, Copy)]
struct Batch {
    place: Place,
    first: u64,
    count: u32,
}

impl Batch {
    /// Returns the number after its last.
    fn end(&self) -> u64 {
        self.first + u64::from(self.count)
    }
}

/// Holds messages on disk in their order.
#[derive(Debug)]
pub struct Outbox {
    log: Log,
    settings: Settings,
    /// Records with something that waits, in order.
    batches: VecDeque<Batch>,
    /// How many wait.
    waiting: u64,
    /// The number that the next message gets.
    next: u64,
    /// Up to which number nothing waits.
    acknowledged: u64,
    /// The same, as it stands on disk.
    written: u64,
    dropped: u64,
    damaged: u64,
    /// The record that was read last.
    read: Option<(Place, Vec<Entry>)>,
}

impl Outbox {
    /// Opens the outbox in a folder of its own, or makes it.
    ///
    /// # Errors
    /// [`StateError`]: another process has it, the key store is not the one that made it, a setting is out of its bounds, the disk.
    pub fn open(dir: &Path, settings: Settings, keys: &dyn KeyStore) -> Result<Self, StateError> {
        Self::open_in(Box::new(Folder::open(dir)?), settings, keys)
    }

    pub(crate) fn open_in(
        dir: Box<dyn Directory>,
        settings: Settings,
        keys: &dyn KeyStore,
    ) -> Result<Self, StateError> {
        let settings = settings.check()?;
        let master = master(&*dir, keys)?;
        let mut recovered = Recovered { next: 1, ..Recovered::default() };
        let log = Log::open(dir, Kind::Outbox, master, |found| recovered.take(found))?;
        let damaged = recovered.damaged();
        let Recovered { mut batches, next, acknowledged, dropped, .. } = recovered;
        batches.retain(|batch| batch.count > 0 && batch.end() > acknowledged + 1);
        let waiting = batches.iter().map(|batch| batch.end() - batch.first.max(acknowledged + 1)).sum();
        let mut outbox = Self {
            log,
            settings,
            batches,
            waiting,
            next,
            acknowledged,
            written: acknowledged,
            dropped,
            damaged,
            read: None,
        };
        outbox.remove_segments()?;
        Ok(outbox)
    }

    /// Stores messages behind all that wait; they are on disk when this returns, with one sync. After a power cut before that either all
    /// or none of them are there. Returns their first number; the others follow it.
    ///
    /// # Errors
    /// Nothing was stored: [`StateError::Full`]; [`StateError::TooLarge`] for more than 160 KiB at once; the disk. After [`StateError::Broken`] it is not known before
    /// the outbox is opened again.
    pub fn append(&mut self, entries: &[Entry]) -> Result<u64, StateError> {
        self.append_passing(entries, None)
    }

    /// Stores a message in the place of the oldest, behind all that wait: after a power cut one of the two is there, and never both. Returns
    /// its number.
    ///
    /// # Errors
    /// As [`Outbox::append`]; the oldest waits still.
    pub(crate) fn replace_oldest(&mut self, entry: &Entry) -> Result<u64, StateError> {
        let oldest = self.oldest(1);
        self.append_passing(std::slice::from_ref(entry), oldest)
    }

    /// Stores messages; with them it is written that all up to number `passed` need not be sent any more.
    fn append_passing(&mut self, entries: &[Entry], passed: Option<u64>) -> Result<u64, StateError> {
        let first = self.next;
        if entries.is_empty() {
            return Ok(first);
        }
        let mut record = self.head_without(entries.len(), None).write();
        for entry in entries {
            entry.write(&mut record).ok_or_else(|| too_long(entry))?;
        }
        if record.len() > RECORD_BYTES {
            let help = "store fewer at once, or send in parts";
            return Err(StateError::TooLarge {
                what: "what is to be stored",
                len: record.len(),
                most: RECORD_BYTES,
                help,
            });
        }
        let given_up = self.make_room(
            entries.len() as u64 - u64::from(passed.is_some()),
            record.len() as u64 + overhead(),
        )?;
        let mut head = self.head_without(entries.len(), given_up);
        head.acknowledged = head.acknowledged.max(passed.unwrap_or(0));
        let head = head.write();
        record.splice(..head.len(), head);
        let place = self.log.append(&record, self.settings.segment_bytes())?;
        if let Some(last) = given_up {
            self.dropped += self.waiting_up_to(last);
            self.pass(last);
        }
        passed.into_iter().for_each(|last| self.pass(last));
        let count = entries.len() as u32;
        self.batches.push_back(Batch { place, first, count });
        self.waiting += u64::from(count);
        self.next = first + u64::from(count);
        self.written = self.acknowledged;
        self.remove_segments()?;
        Ok(first)
    }

    /// Returns the messages after number `after` (0: from the oldest that waits), at most `limit` of them and 256 KiB beyond the first.
    /// Nothing is removed. What cannot be read any more is left out and counted as [damaged](Status::damaged).
    ///
    /// # Errors
    /// The disk.
    pub fn peek(&mut self, after: u64, limit: usize) -> Result<Vec<Waiting>, StateError> {
        let mut from = after.max(self.acknowledged) + 1;
        let (mut found, mut bytes) = (Vec::new(), 0);
        let mut index = self.batches.partition_point(|batch| batch.end() <= from);
        while let Some(batch) = self.batches.get(index).copied() {
            let Some(entries) = self.load(batch)? else {
                self.batches.remove(index);
                self.waiting -= batch.end() - batch.first.max(self.acknowledged + 1);
                continue;
            };
            from = from.max(batch.first);
            let skip = usize::try_from(from - batch.first).unwrap_or(usize::MAX);
            for (id, entry) in (from..).zip(entries.iter().skip(skip)) {
                bytes += entry.payload.len() + entry.topic.len();
                if found.len() == limit || (!found.is_empty() && bytes > PEEK_BYTES) {
                    return Ok(found);
                }
                found.push(Waiting { id, entry: entry.clone() });
            }
            index += 1;
        }
        Ok(found)
    }

    /// Takes note that the broker has all messages up to number `up_to`; they are not returned again, and a segment of which nothing waits is removed.
    ///
    /// # Errors
    /// The disk, on tidying up. The messages count as acknowledged all the same; after a power cut they may be sent again.
    pub fn acknowledge(&mut self, up_to: u64) -> Result<(), StateError> {
        self.pass(up_to);
        self.remove_segments()?;
        if self.acknowledged - self.written >= ACKNOWLEDGED_UNWRITTEN { self.flush() } else { Ok(()) }
    }

    /// Writes down how far messages are acknowledged, if that is not on disk: so that nothing is sent again after the next start. For an orderly end;
    /// dropping the outbox does it too.
    ///
    /// # Errors
    /// The disk.
    pub fn flush(&mut self) -> Result<(), StateError> {
        self.write_acknowledged()?;
        self.remove_segments()
    }

    /// Says how it stands.
    pub fn status(&self) -> Status {
        Status {
            entries: self.waiting,
            bytes: self.log.bytes(),
            dropped: self.dropped,
            damaged: self.damaged,
        }
    }

    /// Returns the number of the oldest message that waits.
    pub(crate) fn first(&self) -> Option<u64> {
        self.oldest(1)
    }

    /// Returns the number of the newest message that waits.
    pub(crate) fn last(&self) -> Option<u64> {
        self.batches.back().map(|batch| batch.end() - 1)
    }

    /// Tells whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Returns the head of the next record: of `count` entries, written when all up to number `last` is given up.
    fn head_without(&self, count: usize, last: Option<u64>) -> Head {
        Head {
            first: self.next,
            acknowledged: self.acknowledged.max(last.unwrap_or(0)),
            dropped: self.dropped + last.map_or(0, |last| self.waiting_up_to(last)),
            count: u32::try_from(count).unwrap_or(u32::MAX),
        }
    }

    /// Counts what waits up to a number.
    fn waiting_up_to(&self, last: u64) -> u64 {
        let from = |batch: &Batch| batch.first.max(self.acknowledged + 1);
        let there = self.batches.iter().take_while(|batch| batch.first <= last);
        there.map(|batch| batch.end().min(last + 1).saturating_sub(from(batch))).sum()
    }

    /// Reads a record, unless it is the one that was read last; nothing if it is damaged.
    fn load(&mut self, batch: Batch) -> Result<Option<&[Entry]>, StateError> {
        if self.read.as_ref().is_none_or(|(place, _)| *place != batch.place) {
            let record = self.log.read(batch.place)?;
            let Some((_, entries)) = record.and_then(|record| entry::read(&record)) else {
                self.damaged += u64::from(batch.count);
                return Ok(None);
            };
            self.read = Some((batch.place, entries));
        }
        Ok(self.read.as_ref().map(|(_, entries)| &**entries))
    }

    /// Looks for room for `entries` more in `bytes`. Returns up to which number messages have to be given up for it, if any.
    fn make_room(&self, entries: u64, bytes: u64) -> Result<Option<u64>, StateError> {
        let Settings { max_entries, max_bytes, full } = self.settings;
        let usable = max_bytes - self.settings.segment_bytes();
        let excess = (self.waiting + entries).saturating_sub(max_entries);
        let mut last = self.oldest(excess);
        while self.kept(last) + bytes > usable {
            let Some(more) = self.oldest_segment(last) else { break };
            last = Some(more);
        }
        let may_drop = full == Full::DropOldest && entries <= max_entries;
        if excess == 0 && last.is_none() || may_drop {
            return Ok(last);
        }
        Err(StateError::Full {
            folder: self.log.dir().path().to_owned(),
            what: format!("{} messages wait, {} bytes are in use", self.waiting, self.log.bytes()),
            help: "wait until the link has taken some, or raise max_entries and max_bytes",
        })
    }

    /// Returns the number of the last of the `count` oldest that wait.
    fn oldest(&self, count: u64) -> Option<u64> {
        let mut left = count;
        self.batches.iter().find_map(|batch| {
            let first = batch.first.max(self.acknowledged + 1);
            let here = (batch.end() - first).min(left);
            left -= here;
            (left == 0 && count > 0).then(|| first + here - 1)
        })
    }

    /// Returns the bytes of all segments from the one that holds the first after number `last`.
    fn kept(&self, last: Option<u64>) -> u64 {
        let Some(first) = self.first_after(last) else { return 0 };
        let kept = self.log.numbers().filter(|number| *number >= first.place.segment);
        kept.map(|number| self.log.segment_bytes(number)).sum()
    }

    /// Returns the last number in the segment that holds the first after number `last`.
    fn oldest_segment(&self, last: Option<u64>) -> Option<u64> {
        let segment = self.first_after(last)?.place.segment;
        let end = self.batches.partition_point(|batch| batch.place.segment <= segment);
        self.batches.get(end.checked_sub(1)?).map(|batch| batch.end() - 1)
    }

    fn first_after(&self, last: Option<u64>) -> Option<&Batch> {
        let next = last.unwrap_or(0) + 1;
        self.batches.get(self.batches.partition_point(|batch| batch.end() <= next))
    }

    /// Has nothing wait up to number `last`.
    fn pass(&mut self, last: u64) {
        let last = last.min(self.next - 1);
        if last <= self.acknowledged {
            return;
        }
        self.waiting -= self.waiting_up_to(last);
        self.acknowledged = last;
        while self.batches.front().is_some_and(|batch| batch.end() <= last + 1) {
            self.batches.pop_front();
        }
    }

    /// Removes the segments in which nothing waits, but the newest: it knows which number is next.
    fn remove_segments(&mut self) -> Result<(), StateError> {
        let newest = self.log.numbers().last();
        let oldest_needed = self.batches.front().map(|batch| batch.place.segment).or(newest);
        let done: Vec<u64> = self.log.numbers().filter(|number| Some(*number) < oldest_needed).collect();
        if !done.is_empty() {
            // First on disk, so that what is missing later is known to be done, and not damage.
            self.write_acknowledged()?;
        }
        done.into_iter().try_for_each(|number| self.log.remove(number))
    }

    fn write_acknowledged(&mut self) -> Result<(), StateError> {
        if self.written < self.acknowledged {
            self.log.append(&self.head_without(0, None).write(), self.settings.segment_bytes())?;
            self.written = self.acknowledged;
        }
        Ok(())
    }
}

impl Drop for Outbox {
    fn drop(&mut self) {
        // What cannot be written now is sent again, and known for a repeat.
        let _ = self.flush();
    }
}

/// What the records say, one after another.
#[derive(Debug, Default)]
struct Recovered {
    batches: VecDeque<Batch>,
    next: u64,
    acknowledged: u64,
    dropped: u64,
    /// Numbers that no record has: the first, and the one after the last.
    missing: Vec<(u64, u64)>,
    /// Places that cannot be read.
    unreadable: u64,
}

impl Recovered {
    fn take(&mut self, found: Found<'_>) -> Result<(), StateError> {
        let record = match found {
            Found::Record(place, record) => Head::read(&mut Bytes(record)).map(|head| (place, head)),
            Found::Damage => None,
        };
        let Some((place, head)) = record.filter(|(_, head)| head.first >= self.next) else {
            self.unreadable += 1;
            return Ok(());
        };
        if head.first > self.next {
            self.missing.push((self.next, head.first));
        }
        self.batches.push_back(Batch { place, first: head.first, count: head.count });
        self.next = head.first + u64::from(head.count);
        self.acknowledged = self.acknowledged.max(head.acknowledged);
        self.dropped = self.dropped.max(head.dropped);
        Ok(())
    }

    /// Counts messages that should be there, at least. What was acknowledged may be missing: its segment was removed.
    fn damaged(&self) -> u64 {
        let lost = |(from, to): &(u64, u64)| to.saturating_sub((*from).max(self.acknowledged + 1));
        self.missing.iter().map(lost).sum::<u64>().max(self.unreadable)
    }
}

/// Opens the key of the folder, or makes it where there is nothing that needs it.
fn master(dir: &dyn Directory, keys: &dyn KeyStore) -> Result<Master, StateError> {
    if let Some(master) = Master::open(dir, keys)? {
        return Ok(master);
    }
    let names = dir.names().map_err(|e| StateError::disk(dir.path(), "list", e))?;
    if names.iter().any(|name| name.ends_with(".log")) {
        let problem = "the file \"key\" is missing, and without it nothing here can be read; put it back, or remove the folder";
        return Err(StateError::Missing { path: dir.path().to_owned(), problem });
    }
    let master = Master::draw()?;
    master.store(dir, keys)?;
    Ok(master)
}

fn too_long(entry: &Entry) -> StateError {
    let parts = entry.topic.len().max(entry.properties.user.len());
    StateError::TooLarge {
        what: "a topic or property",
        len: parts,
        most: usize::from(u16::MAX),
        help: "a text may have 65,535 bytes, and a message 64 user properties",
    }
}
