//! The names in one directory: as programs see them, and as they would be found after a power cut.

use crate::disk::Number;
use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};

type Names = BTreeMap<OsString, Number>;

/// Is what was done since the last sync: names that get a node or lose theirs, all at once or not at all.
#[derive(Debug)]
struct Change {
    names: Vec<(OsString, Option<Number>)>,
    /// The directory into which the node was moved.
    moved_to: Option<Number>,
}

/// A directory's names.
#[derive(Debug, Default)]
pub(crate) struct Directory {
    seen: Names,
    synced: Names,
    since: Vec<Change>,
}

impl Directory {
    pub(crate) fn get(&self, name: &OsStr) -> Option<Number> {
        self.seen.get(name).copied()
    }

    pub(crate) fn names(&self) -> &Names {
        &self.seen
    }

    pub(crate) fn put(&mut self, name: &OsStr, node: Number) {
        self.change(Change { names: vec![(name.to_owned(), Some(node))], moved_to: None });
    }

    pub(crate) fn remove(&mut self, name: &OsStr, moved_to: Option<Number>) {
        self.change(Change { names: vec![(name.to_owned(), None)], moved_to });
    }

    pub(crate) fn rename(&mut self, from: &OsStr, to: &OsStr, node: Number) {
        let names = vec![(from.to_owned(), None), (to.to_owned(), Some(node))];
        self.change(Change { names, moved_to: None });
    }

    fn change(&mut self, change: Change) {
        apply(&mut self.seen, &change);
        self.since.push(change);
    }

    /// How many changes are not durable.
    pub(crate) fn unsynced(&self) -> usize {
        self.since.len()
    }

    /// Makes the first so many changes durable: those of one directory reach the disk in their order. Gives the
    /// directories into which nodes were moved: what has left this one durably has to be durable there, for no file
    /// system loses what is moved.
    pub(crate) fn sync_first(&mut self, count: usize) -> Vec<Number> {
        let changes: Vec<Change> = self.since.drain(..count).collect();
        changes.iter().for_each(|change| apply(&mut self.synced, change));
        changes.iter().filter_map(|change| change.moved_to).collect()
    }

    /// Forgets the rest, and shows what is durable.
    pub(crate) fn settle(&mut self) {
        self.since.clear();
        self.seen = self.synced.clone();
    }
}

fn apply(names: &mut Names, change: &Change) {
    for (name, node) in &change.names {
        match node {
            Some(node) => names.insert(name.clone(), *node),
            None => names.remove(name),
        };
    }
}
