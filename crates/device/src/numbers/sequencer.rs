//! Which number the next message is signed with.

use super::note::Note;
use crate::disk::{Directory, Folder};
use crate::keys::{Counter, KeyStore};
use crate::state::StateError;
use keyward_envelope::{Numbers, Sequence};
use std::path::Path;

const STARTS: Note = Note { name: "starts", start: *b"KEYWARDn\x01" };

/// Gives each message its number: the upper half counts the starts of the device, the lower half the messages since.
///
/// The starts are counted by the hardware where it can count, and there no copy of the disk brings a number back. Otherwise a file counts
/// them, and the count is on disk before the first number is given out. A number is never given out twice, whenever the power fails; one that was taken
/// for a message that was not stored is never used. An old copy of the file is not noticed here: the device then uses numbers
/// again, and the server notices it (`docs/signed-messages.md`).
#[derive(Debug)]
pub struct Sequencer {
    numbers: Numbers,
    start: u32,
    /// Held so that no other process counts from the same file.
    _dir: Box<dyn Directory>,
}

impl Sequencer {
    /// Begins to count, in a folder of its own, for message keys that never signed anything. Does nothing where a count stands.
    ///
    /// It is apart from [`Sequencer::start`] so that a count that was lost is an error and not a beginning.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn create(dir: &Path, keys: &dyn KeyStore) -> Result<(), StateError> {
        Self::create_in(&Folder::open(dir)?, keys)
    }

    /// Sees that a count stands where one was begun.
    ///
    /// # Errors
    /// [`StateError::Missing`] if it was lost; [`StateError`] otherwise.
    pub(crate) fn check(dir: &Path, keys: &dyn KeyStore) -> Result<(), StateError> {
        let dir = Folder::open(dir)?;
        match keys.counter(Counter::Starts)? {
            Some(_) => Ok(()),
            None => STARTS.read(&dir)?.map(drop).ok_or_else(|| lost(&dir)),
        }
    }

    pub(crate) fn create_in(dir: &dyn Directory, keys: &dyn KeyStore) -> Result<(), StateError> {
        if keys.counter(Counter::Starts)?.is_some() || STARTS.read(dir)?.is_some() {
            return Ok(());
        }
        STARTS.write(dir, &0_u32.to_be_bytes())
    }

    /// Counts a start. Once in the life of a process.
    ///
    /// # Errors
    /// [`StateError::Missing`] if nothing was [created](Self::create), or the count was lost; [`StateError`] otherwise. No number
    /// is given out then.
    pub fn start(dir: &Path, keys: &dyn KeyStore) -> Result<Self, StateError> {
        Self::start_in(Box::new(Folder::open(dir)?), keys)
    }

    pub(crate) fn start_in(dir: Box<dyn Directory>, keys: &dyn KeyStore) -> Result<Self, StateError> {
        let start = match keys.raise_counter(Counter::Starts)? {
            Some(counter) => u32::try_from(counter).map_err(|_| {
                let problem = format!("the hardware has counted to {counter}, beyond what a number holds");
                StateError::damaged(dir.path(), problem)
            })?,
            None => count(&*dir)?,
        };
        let mut numbers = Numbers::after(Sequence::after_boot(start));
        // The whole run of this start: what is on disk, or in the chip, is the start.
        if let Some(run) = numbers.reserve(u32::MAX) {
            numbers.stored(run);
        }
        Ok(Self { numbers, start, _dir: dir })
    }

    /// Gives the next number.
    ///
    /// # Errors
    /// Four billion were given out since the start; start the program again.
    pub fn take(&mut self) -> Result<Sequence, StateError> {
        self.numbers.take().ok_or_else(|| StateError::Missing {
            path: self._dir.path().to_owned(),
            problem: "all numbers of this start are used; start the program again",
        })
    }

    /// Returns which start of the device this is: a number that grows with each.
    pub fn boot_count(&self) -> u32 {
        self.start
    }
}

fn lost(dir: &dyn Directory) -> StateError {
    StateError::Missing {
        path: dir.path().join(STARTS.name),
        problem: "the count of starts is missing, and without it numbers would be used twice; put it back, or enrol the device anew with new keys in another folder",
    }
}

/// Counts a start in the file.
fn count(dir: &dyn Directory) -> Result<u32, StateError> {
    let note = STARTS.read(dir)?.ok_or_else(|| lost(dir))?;
    let last = note.try_into().map(u32::from_be_bytes).map_err(|_| STARTS.damaged(dir))?;
    let next = last.checked_add(1).ok_or_else(|| STARTS.damaged(dir))?;
    STARTS.write(dir, &next.to_be_bytes())?;
    Ok(next)
}
