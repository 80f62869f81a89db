//! A folder in memory whose power fails at a given call, or whose disk refuses one.
//!
//! What was not synced is lost when the power fails, or kept in part: of each write all, nothing, a beginning, or some of its blocks; of
//! changes to names any choice.

use super::Directory;
use crate::testing::Dice;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

/// The blocks of which some may be missing.
const BLOCK: usize = 64;

#[derive(Debug, Clone, Default)]
struct Content {
    durable: Vec<u8>,
    live: Vec<u8>,
    /// What was written since the last sync; no bytes: cut to that length.
    pending: Vec<(usize, Option<Vec<u8>>)>,
}

#[derive(Debug, Clone)]
enum Naming {
    Made(String, usize),
    Renamed(String, String),
    Removed(String),
}

#[derive(Debug, Default)]
struct State {
    contents: Vec<Content>,
    names: BTreeMap<String, usize>,
    durable: BTreeMap<String, usize>,
    pending: Vec<Naming>,
    /// Calls that change something, until the power fails.
    left: Option<u64>,
    off: bool,
    /// Calls that change something, until one is refused.
    refuse: Option<u64>,
    calls: u64,
    syncs: u64,
    written: u64,
}

/// Is such a folder; clones are the same folder.
#[derive(Debug, Clone, Default)]
pub(crate) struct Power(Arc<Mutex<State>>);

fn rename(names: &mut BTreeMap<String, usize>, change: &Naming) {
    match change {
        Naming::Made(name, content) => {
            names.insert(name.clone(), *content);
        }
        Naming::Renamed(from, to) => {
            if let Some(content) = names.remove(from) {
                names.insert(to.clone(), content);
            }
        }
        Naming::Removed(name) => {
            names.remove(name);
        }
    }
}

fn put(bytes: &mut Vec<u8>, at: usize, new: &[u8]) {
    bytes.resize(bytes.len().max(at + new.len()), 0);
    bytes[at..at + new.len()].copy_from_slice(new);
}

impl Content {
    /// Keeps some of what was not synced.
    fn fail(&mut self, dice: &mut Dice) {
        let mut kept = std::mem::take(&mut self.durable);
        for (at, new) in self.pending.drain(..) {
            match (new, dice.below(4)) {
                (_, 0) => {}
                (None, _) => kept.truncate(at),
                (Some(new), 1) => put(&mut kept, at, &new),
                (Some(new), 2) => put(&mut kept, at, &new[..dice.below(new.len() as u64) as usize]),
                (Some(new), _) => {
                    for (index, block) in new.chunks(BLOCK).enumerate() {
                        if dice.below(2) == 0 {
                            put(&mut kept, at + index * BLOCK, block);
                        }
                    }
                }
            }
        }
        self.live.clone_from(&kept);
        self.durable = kept;
    }
}

impl State {
    /// Counts a call that changes something; an error if it does not happen. The power fails after a part of it.
    fn step(&mut self) -> io::Result<bool> {
        if self.off {
            return Err(io::Error::other("no power"));
        }
        self.calls += 1;
        if let Some(left) = &mut self.refuse {
            *left -= 1;
            if *left == 0 {
                self.refuse = None;
                return Err(io::Error::from(io::ErrorKind::StorageFull));
            }
        }
        if let Some(left) = &mut self.left {
            *left -= 1;
            self.off = *left == 0;
        }
        Ok(self.off)
    }

    fn content(&mut self, name: &str) -> io::Result<&mut Content> {
        let index = self.names.get(name).copied();
        index.and_then(|index| self.contents.get_mut(index)).ok_or(io::ErrorKind::NotFound.into())
    }
}

fn outcome(failed: bool) -> io::Result<()> {
    if failed { Err(io::Error::other("the power failed")) } else { Ok(()) }
}

impl Power {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap()
    }

    /// Has the power fail at the `calls`-th call from now that changes something.
    pub(crate) fn fail_after(&self, calls: u64) {
        self.state().left = Some(calls);
    }

    /// Has the `calls`-th call from now that changes something be refused, and no other.
    pub(crate) fn refuse_after(&self, calls: u64) {
        self.state().refuse = Some(calls);
    }

    /// Tells whether the power has failed.
    pub(crate) fn is_off(&self) -> bool {
        self.state().off
    }

    /// Cuts the power, if it is on, and gives it again.
    pub(crate) fn restore(&self, seed: u64) {
        let mut state = self.state();
        let state = &mut *state;
        let mut dice = Dice::new(seed);
        state.contents.iter_mut().for_each(|content| content.fail(&mut dice));
        let in_order = dice.below(2) == 0;
        for change in std::mem::take(&mut state.pending) {
            match (dice.below(3), in_order) {
                (0, true) => break,
                (0, false) => {}
                _ => rename(&mut state.durable, &change),
            }
        }
        state.names.clone_from(&state.durable);
        (state.off, state.left, state.refuse) = (false, None, None);
    }

    /// Returns the folder as it is, for a copy.
    pub(crate) fn copy(&self) -> Vec<(String, Vec<u8>)> {
        let state = self.state();
        state.names.iter().map(|(name, index)| (name.clone(), state.contents[*index].live.clone())).collect()
    }

    /// Makes a folder out of a copy.
    pub(crate) fn of(copy: &[(String, Vec<u8>)]) -> Self {
        let power = Self::default();
        for (name, bytes) in copy {
            power.write(name, 0, bytes).unwrap();
            power.sync(name).unwrap();
        }
        power.sync_names().unwrap();
        power
    }

    /// Returns the syncs and the bytes written so far.
    pub(crate) fn cost(&self) -> (u64, u64) {
        let state = self.state();
        (state.syncs, state.written)
    }
}

impl Directory for Power {
    fn path(&self) -> &Path {
        Path::new("/power")
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(self.state().names.keys().cloned().collect())
    }

    fn size(&self, name: &str) -> io::Result<Option<u64>> {
        let mut state = self.state();
        Ok(state.content(name).ok().map(|content| content.live.len() as u64))
    }

    fn read(&self, name: &str, at: u64, len: usize) -> io::Result<Vec<u8>> {
        let mut state = self.state();
        let live = &state.content(name)?.live;
        let from = (at as usize).min(live.len());
        Ok(live[from..(from + len).min(live.len())].to_vec())
    }

    fn write(&self, name: &str, at: u64, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.state();
        let failed = state.step()?;
        if !state.names.contains_key(name) {
            let made = Naming::Made(name.to_owned(), state.contents.len());
            state.contents.push(Content::default());
            rename(&mut state.names, &made);
            state.pending.push(made);
        }
        state.written += bytes.len() as u64;
        let content = state.content(name)?;
        put(&mut content.live, at as usize, bytes);
        content.pending.push((at as usize, Some(bytes.to_vec())));
        outcome(failed)
    }

    fn cut(&self, name: &str, len: u64) -> io::Result<()> {
        let mut state = self.state();
        let failed = state.step()?;
        let content = state.content(name)?;
        content.live.truncate(len as usize);
        content.pending.push((len as usize, None));
        outcome(failed)
    }

    fn sync(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        // A sync in which the power fails may have done its work or not: either is a choice among what was pending.
        outcome(state.step()?)?;
        state.syncs += 1;
        let content = state.content(name)?;
        content.pending.clear();
        content.durable.clone_from(&content.live);
        Ok(())
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        let mut state = self.state();
        let failed = state.step()?;
        let change = Naming::Renamed(from.to_owned(), to.to_owned());
        rename(&mut state.names, &change);
        state.pending.push(change);
        outcome(failed)
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        let mut state = self.state();
        if !state.names.contains_key(name) {
            return Ok(());
        }
        let failed = state.step()?;
        let change = Naming::Removed(name.to_owned());
        rename(&mut state.names, &change);
        state.pending.push(change);
        outcome(failed)
    }

    fn sync_names(&self) -> io::Result<()> {
        let mut state = self.state();
        outcome(state.step()?)?;
        state.syncs += 1;
        state.pending.clear();
        state.durable = state.names.clone();
        Ok(())
    }
}
