//! Which commands were obeyed.

use super::note::Note;
use crate::bytes::Bytes;
use crate::disk::{Directory, Folder};
use crate::state::StateError;
use keyward_envelope::limits::KEY_SET_KEYS;
use keyward_envelope::{Kid, Recent, Sequence};
use std::path::Path;

const SEEN: Note = Note { name: "seen", start: *b"KEYWARDc\x01" };

/// Remembers the numbers of the server's commands, so that each is obeyed once, over restarts too.
///
/// An old copy of the file forgets commands; each is good for a minute or one session only, so that is worth nothing to who has it.
#[derive(Debug)]
pub struct SeenCommands {
    dir: Box<dyn Directory>,
    keys: Vec<(Kid, Recent)>,
}

impl SeenCommands {
    /// Opens the memory in a folder of its own, or begins it.
    ///
    /// # Errors
    /// [`StateError`].
    pub fn open(dir: &Path) -> Result<Self, StateError> {
        Self::open_in(Box::new(Folder::open(dir)?))
    }

    pub(crate) fn open_in(dir: Box<dyn Directory>) -> Result<Self, StateError> {
        let keys = match SEEN.read(&*dir)? {
            Some(note) => parse(&note).ok_or_else(|| SEEN.damaged(&*dir))?,
            None => Vec::new(),
        };
        Ok(Self { dir, keys })
    }

    /// Takes the number of a verified command, by the key that signed it, and tells whether it is to be obeyed: false if it was seen, or is 64
    /// below the highest. That it was seen is on disk when this returns.
    ///
    /// # Errors
    /// [`StateError`]; the command is then not to be obeyed, and its number is not taken.
    pub fn take(&mut self, kid: Kid, number: Sequence) -> Result<bool, StateError> {
        let mut keys = self.keys.clone();
        let index = keys.iter().position(|(known, _)| *known == kid).unwrap_or(keys.len());
        if index == keys.len() {
            keys.push((kid, Recent::default()));
        }
        if !keys.get_mut(index).is_some_and(|(_, recent)| recent.take(number)) {
            return Ok(false);
        }
        self.store(keys)?;
        Ok(true)
    }

    /// Forgets all keys but these: those of the server's key set in force.
    ///
    /// # Errors
    /// [`StateError`]; nothing is forgotten then.
    pub fn retain(&mut self, kids: &[Kid]) -> Result<(), StateError> {
        let keys: Vec<_> = self.keys.iter().copied().filter(|(kid, _)| kids.contains(kid)).collect();
        if keys.len() == self.keys.len() { Ok(()) } else { self.store(keys) }
    }

    fn store(&mut self, keys: Vec<(Kid, Recent)>) -> Result<(), StateError> {
        if keys.len() > KEY_SET_KEYS {
            return Err(StateError::Full {
                folder: self.dir.path().to_owned(),
                what: format!("commands came by more than {KEY_SET_KEYS} keys"),
                help: "forget those that are no longer in the server's key set",
            });
        }
        let content =
            keys.iter().flat_map(|(kid, recent)| [&kid.as_bytes()[..], &recent.to_bytes()].concat());
        SEEN.write(&*self.dir, &content.collect::<Vec<u8>>())?;
        self.keys = keys;
        Ok(())
    }
}

fn parse(note: &[u8]) -> Option<Vec<(Kid, Recent)>> {
    let (mut bytes, mut keys) = (Bytes(note), Vec::new());
    while !bytes.0.is_empty() && keys.len() < KEY_SET_KEYS {
        let kid = Kid::new(bytes.take(8)?.try_into().ok()?);
        keys.push((kid, Recent::from_bytes(bytes.take(16)?.try_into().ok()?)));
    }
    bytes.0.is_empty().then_some(keys)
}
