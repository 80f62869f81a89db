//! Small secrets of the application on disk, encrypted under a key that the key store closed: a copied disk opens nothing.
//!
//! How to use it. [`SealedStore::open`] a folder of its own, [`put`](SealedStore::put) and [`get`](SealedStore::get). What a call has stored is on disk when it returns;
//! a power cut in the middle leaves the old or the new state, [`put_many`](SealedStore::put_many) all or none of it. Names and values are both encrypted; how many
//! bytes there are shows. One sync for each change.
//!
//! **An older copy** is recognised where the hardware counts ([`crate::Counter::Store`]). The counter is raised with the first change after each opening, with every
//! 256th after that and with [`mark`](SealedStore::mark): a TPM bears some 100,000 writes. So a copy from before that moment is refused
//! ([`StateError::Rollback`]), and one from after it is not noticed here. For that, and where nothing counts, there is [`generation`](SealedStore::generation), which every change raises: the
//! heartbeat reports it, and whoever sees it fall knows.
//!
//! **Erasing** destroys the one key of the folder: [`erase`](SealedStore::erase) writes over it, [`crate::KeyStore::destroy`] destroys what opens it. Flash may keep
//! what was written over; with the keys in hardware that is worth nothing once they are destroyed.

mod record;
#[cfg(test)]
mod tests;

#[cfg(feature = "decoders")]
pub(crate) use record::rewritten;

use crate::disk::{Directory, Folder};
use crate::keys::{Counter, KeyStore};
use crate::limits::{
    RECORD_BYTES, SEALED_BYTES, SEALED_MARK_CHANGES, SEALED_NAME_BYTES, SEALED_NAMES, SEALED_SLACK_BYTES,
    SEALED_VALUE_BYTES, SEGMENT_BYTES,
};
use crate::log::{Found, Kind as LogKind, Log, Master, Place, created_bytes};
use crate::state::StateError;
use record::{Change, Head, Kind};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use zeroize::Zeroizing;

/// Where a value lies: a record and which of its changes.
#[derive(Debug, Clone, Copy)]
struct Slot {
    place: Place,
    index: usize,
    bytes: usize,
}

/// Is the state that records add up to.
#[derive(Debug, Default)]
struct State {
    slots: BTreeMap<String, Slot>,
    generation: u64,
    mark: u64,
    /// Where the last whole copy begins.
    copy: Option<Place>,
    /// What is wrong since then.
    problem: Option<&'static str>,
}

impl State {
    fn take(&mut self, place: Place, record: &[u8]) {
        let Some((head, changes)) = record::read(record) else {
            self.problem = Some("a record is not one of this program; a newer one may have written it");
            return;
        };
        match head.kind {
            Kind::Copy => {
                *self = Self { copy: Some(place), generation: head.generation, ..Self::default() };
            }
            Kind::MoreCopy if head.generation == self.generation => {}
            Kind::Change if head.generation == self.generation + 1 => {}
            _ => self.problem = Some("a change is missing: a file was removed or damaged"),
        }
        self.generation = head.generation;
        self.mark = head.mark;
        self.apply(place, &changes);
    }

    fn apply(&mut self, place: Place, changes: &[Change<'_>]) {
        for (index, (name, value)) in changes.iter().enumerate() {
            match value {
                Some(value) => {
                    let slot = Slot { place, index, bytes: record::size(name, value) };
                    self.slots.insert((*name).to_owned(), slot);
                }
                None => drop(self.slots.remove(*name)),
            }
        }
    }

    fn bytes(&self) -> usize {
        self.slots.values().map(|slot| slot.bytes).sum()
    }
}

/// Keeps small values under names, encrypted.
#[derive(Debug)]
pub struct SealedStore {
    log: Log,
    keys: Arc<dyn KeyStore>,
    state: State,
    /// Changes until the hardware counter is to be raised.
    until_mark: u32,
}

impl SealedStore {
    /// Opens the store in a folder of its own, or makes it.
    ///
    /// # Errors
    /// [`StateError::Rollback`] for an older copy; [`StateError::OtherKeys`] if another key store made it; [`StateError::Damaged`], [`StateError::Missing`] if
    /// something of it is gone; the disk.
    pub fn open(dir: &Path, keys: Arc<dyn KeyStore>) -> Result<Self, StateError> {
        Self::open_in(Box::new(Folder::open(dir)?), keys)
    }

    pub(crate) fn open_in(dir: Box<dyn Directory>, keys: Arc<dyn KeyStore>) -> Result<Self, StateError> {
        let Some(master) = Master::open(&*dir, &*keys)? else { return Self::create(dir, keys) };
        let mut state = State::default();
        let path = dir.path().to_owned();
        let mut log = Log::open(dir, LogKind::Sealed, master, |found| {
            match found {
                Found::Record(place, record) => state.take(place, record),
                Found::Damage => state.problem = Some("a part of it cannot be read"),
            }
            Ok(())
        })?;
        let problem = state.problem.or(state.copy.is_none().then_some("its files are gone"));
        if let Some(problem) = problem {
            let help = "put the newest files back, or erase the store and fill it anew";
            return Err(StateError::damaged(&path, format!("{problem}; {help}")));
        }
        compare(&path, &*keys, state.mark)?;
        let first = state.copy.map_or(0, |copy| copy.segment);
        for number in log.numbers().filter(|number| *number < first).collect::<Vec<_>>() {
            log.remove(number)?;
        }
        Ok(Self { log, keys, state, until_mark: 0 })
    }

    /// Makes an empty store: first its file, then the key, so that a key alone tells of files that were removed.
    fn create(dir: Box<dyn Directory>, keys: Arc<dyn KeyStore>) -> Result<Self, StateError> {
        let path = dir.path().to_owned();
        let mark = keys.counter(Counter::Store)?.unwrap_or(0);
        let record = record::write(Head { generation: 1, mark, kind: Kind::Copy }, &[]).unwrap_or_default();
        remove_unfinished(&*dir, created_bytes(record.len()))?;
        let master = Master::draw()?;
        let copy = Master::from_bytes(master.as_bytes());
        let mut log = Log::open(dir, LogKind::Sealed, copy, |_| Ok(()))?;
        let mut state = State::default();
        let places = log.rewrite(&[&record])?;
        places.into_iter().for_each(|place| state.take(place, &record));
        master.store(log.dir(), &*keys)?;
        debug_assert!(state.problem.is_none(), "{}", path.display());
        Ok(Self { log, keys, state, until_mark: 0 })
    }

    /// Returns the value under a name; nothing if there is none.
    ///
    /// # Errors
    /// [`StateError::Damaged`] if it is not as it was written; the disk.
    pub fn get(&self, name: &str) -> Result<Option<Zeroizing<Vec<u8>>>, StateError> {
        let Some(slot) = self.state.slots.get(name) else { return Ok(None) };
        let record = self.log.read(slot.place)?;
        let value = record.as_ref().and_then(|record| {
            let (_, changes) = record::read(record)?;
            let (found, value) = changes.get(slot.index)?;
            value.filter(|_| *found == name).map(|value| Zeroizing::new(value.to_vec()))
        });
        let path = self.log.dir().path();
        value.map(Some).ok_or_else(|| StateError::damaged(path, "a value cannot be read; store it anew"))
    }

    /// Stores a value of at most 64 KiB under a name of 1 to 255 bytes.
    ///
    /// # Errors
    /// Those of [`SealedStore::put_many`].
    pub fn put(&mut self, name: &str, value: &[u8]) -> Result<(), StateError> {
        self.put_many(&[(name, value)])
    }

    /// Stores several values, all or none of them; together at most 160 KiB.
    ///
    /// # Errors
    /// Nothing is changed: [`StateError::TooLarge`], [`StateError::Full`] (1 MiB and 4,096 names in all), the disk. After [`StateError::Broken`] that is not known before the store
    /// is opened again.
    pub fn put_many(&mut self, values: &[(&str, &[u8])]) -> Result<(), StateError> {
        if values.is_empty() {
            return Ok(());
        }
        let new: BTreeMap<&str, &[u8]> = values.iter().copied().collect();
        self.check(&new)?;
        let changes: Vec<Change<'_>> = new.iter().map(|(name, value)| (*name, Some(*value))).collect();
        self.change(&changes)
    }

    /// Removes a value, and tells whether there was one. Its bytes go with the next copy of the whole store; they are encrypted till then.
    ///
    /// # Errors
    /// The disk.
    pub fn delete(&mut self, name: &str) -> Result<bool, StateError> {
        if !self.state.slots.contains_key(name) {
            return Ok(false);
        }
        self.change(&[(name, None)])?;
        Ok(true)
    }

    /// Lists the names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.state.slots.keys().map(String::as_str)
    }

    /// Returns how many changes there were since the store was made. It never falls; if it does, this is an older copy.
    pub fn generation(&self) -> u64 {
        self.state.generation
    }

    /// Has every older copy be recognised from here on, where hardware counts: after a change that must not be taken back.
    ///
    /// # Errors
    /// The disk; the key store.
    pub fn mark(&mut self) -> Result<(), StateError> {
        self.until_mark = 0;
        self.change(&[])?;
        self.keys.counter(Counter::Store)?.map_or(Ok(()), |counter| {
            let path = self.log.dir().path();
            (counter == self.state.mark).then_some(()).ok_or_else(|| StateError::Rollback {
                folder: path.to_owned(),
                found: self.state.mark,
                counter,
            })
        })
    }

    /// Destroys everything: the key is written over and removed, then the files are.
    ///
    /// # Errors
    /// The disk. If the key is gone, nothing can be read any more, even if files are left.
    pub fn erase(self) -> Result<(), StateError> {
        erase(self.log.dir())
    }

    /// Destroys everything in a folder that cannot be opened, because it is an older copy or damaged.
    ///
    /// # Errors
    /// Those of [`SealedStore::erase`]; [`StateError::InUse`].
    pub fn erase_folder(dir: &Path) -> Result<(), StateError> {
        erase(&Folder::open(dir)?)
    }

    /// Refuses what is too large, alone or with what is there.
    fn check(&self, new: &BTreeMap<&str, &[u8]>) -> Result<(), StateError> {
        let too_large = |what, len, most, help| Err(StateError::TooLarge { what, len, most, help });
        for (name, value) in new {
            if !(1..=SEALED_NAME_BYTES).contains(&name.len()) {
                return too_large("a name", name.len(), SEALED_NAME_BYTES, "give it 1 to 255");
            }
            if value.len() > SEALED_VALUE_BYTES {
                return too_large("a value", value.len(), SEALED_VALUE_BYTES, "store it in parts");
            }
        }
        let added: usize = new.iter().map(|(name, value)| record::size(name, value)).sum();
        if added + 32 > RECORD_BYTES {
            return too_large(
                "what is to be stored at once",
                added,
                RECORD_BYTES - 32,
                "store fewer at once",
            );
        }
        let replaced = new.keys().filter_map(|name| self.state.slots.get(*name));
        let (names, bytes) = replaced.fold((0, 0), |(names, bytes), slot| (names + 1, bytes + slot.bytes));
        let names = self.state.slots.len() + new.len() - names;
        let bytes = self.state.bytes() + added - bytes;
        if names > SEALED_NAMES || bytes > SEALED_BYTES {
            return Err(StateError::Full {
                folder: self.log.dir().path().to_owned(),
                what: format!("it would hold {names} names and {bytes} bytes"),
                help: "delete something; this is a place for small secrets",
            });
        }
        Ok(())
    }

    /// Writes a change, raises the hardware counter if it is time, and tidies up.
    fn change(&mut self, changes: &[Change<'_>]) -> Result<(), StateError> {
        let counter = self.keys.counter(Counter::Store)?;
        let raises = self.until_mark == 0 && counter.is_some();
        let mark = counter.map_or(0, |counter| counter + u64::from(raises));
        let head = Head { generation: self.state.generation + 1, mark, kind: Kind::Change };
        let record = record::write(head, changes).unwrap_or_default();
        let place = self.log.append(&record, SEGMENT_BYTES)?;
        self.state.take(place, &record);
        // First on disk, then in the chip: between the two a record is one ahead of the chip, and opening raises it. If the chip
        // cannot now, the next change tries again.
        if raises && self.keys.raise_counter(Counter::Store).is_ok() {
            self.until_mark = SEALED_MARK_CHANGES;
        }
        self.until_mark = self.until_mark.saturating_sub(1);
        let needed = 2 * self.state.bytes() as u64 + SEALED_SLACK_BYTES;
        if self.log.bytes() > needed {
            // The change is on disk: if tidying up fails, the next change tries again, or says that the store is broken.
            let _ = self.tidy();
        }
        Ok(())
    }

    /// Writes the whole store anew, and removes what was before.
    fn tidy(&mut self) -> Result<(), StateError> {
        let mut records = Vec::new();
        let mut part: Vec<(String, Zeroizing<Vec<u8>>)> = Vec::new();
        let mut bytes = 0;
        for (name, slot) in &self.state.slots {
            if bytes + slot.bytes + 32 > RECORD_BYTES {
                records.push(self.copied(&part, records.is_empty()));
                (part, bytes) = (Vec::new(), 0);
            }
            let value = self.get(name)?.unwrap_or_default();
            part.push((name.clone(), value));
            bytes += slot.bytes;
        }
        records.push(self.copied(&part, records.is_empty()));
        let all: Vec<&[u8]> = records.iter().map(|record| record.as_slice()).collect();
        let places = self.log.rewrite(&all)?;
        let mut state = State::default();
        places.into_iter().zip(&records).for_each(|(place, record)| state.take(place, record));
        self.state = state;
        Ok(())
    }

    fn copied(&self, part: &[(String, Zeroizing<Vec<u8>>)], is_first: bool) -> Zeroizing<Vec<u8>> {
        let kind = if is_first { Kind::Copy } else { Kind::MoreCopy };
        let head = Head { generation: self.state.generation, mark: self.state.mark, kind };
        let changes: Vec<Change<'_>> =
            part.iter().map(|(name, value)| (&**name, Some(value.as_slice()))).collect();
        record::write(head, &changes).unwrap_or_default()
    }
}

/// Compares the mark of the newest record with what the hardware counts. One ahead is a power cut between the two; the hardware follows then.
fn compare(path: &Path, keys: &dyn KeyStore, found: u64) -> Result<(), StateError> {
    let Some(counter) = keys.counter(Counter::Store)? else { return Ok(()) };
    let rollback = |counter| StateError::Rollback { folder: path.to_owned(), found, counter };
    if Some(found) == counter.checked_add(1) {
        let raised = keys.raise_counter(Counter::Store)?.unwrap_or(0);
        return if raised == found { Ok(()) } else { Err(rollback(raised)) };
    }
    if counter == found { Ok(()) } else { Err(rollback(counter)) }
}

/// Removes what a power cut left of the making of a store: its first file, empty, without a key.
fn remove_unfinished(dir: &dyn Directory, empty: u64) -> Result<(), StateError> {
    let failed = |error| StateError::disk(dir.path(), "read", error);
    for name in logs(dir)? {
        if dir.size(&name).map_err(failed)? != Some(empty) {
            let problem = "the file \"key\" is gone: the store was erased, or somebody removed it; erase the rest to begin anew";
            return Err(StateError::Missing { path: dir.path().to_owned(), problem });
        }
        dir.remove(&name).map_err(failed)?;
    }
    Ok(())
}

fn logs(dir: &dyn Directory) -> Result<Vec<String>, StateError> {
    let names = dir.names().map_err(|error| StateError::disk(dir.path(), "list", error))?;
    Ok(names.into_iter().filter(|name| name.ends_with(".log")).collect())
}

fn erase(dir: &dyn Directory) -> Result<(), StateError> {
    Master::erase(dir)?;
    let removed = logs(dir)?.iter().try_for_each(|name| dir.remove(name)).and_then(|()| dir.sync_names());
    removed.map_err(|error| StateError::disk(dir.path(), "erase", error))
}
