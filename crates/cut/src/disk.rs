//! The file system without its mount: nodes, names, and what a power cut leaves of them.
//!
//! A write or a new length is durable once its file was synced, a name once its directory was. Not so strict: modes are
//! durable at once, the names of one directory reach the disk in their order, and what is moved to another directory is not
//! lost in between.

use crate::dice::Dice;
use crate::directory::Directory;
use crate::file::Content;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;

/// Is the number of a node; none is used again.
pub(crate) type Number = u64;
pub(crate) const ROOT: Number = 1;

/// Is what a node is.
#[derive(Debug)]
pub(crate) enum Kind {
    File(Content),
    Directory(Directory),
    /// The name of a socket.
    Socket,
}

/// Is a file, a directory or a socket.
#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    pub(crate) mode: u32,
    pub(crate) owner: (u32, u32),
}

/// Is why something was refused.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Refusal {
    NoPower,
    Missing,
    Exists,
    NotADirectory,
    IsADirectory,
    NotEmpty,
}

/// A disk and its power.
#[derive(Debug)]
pub(crate) struct Disk {
    nodes: BTreeMap<Number, Node>,
    next: Number,
    has_power: bool,
}

impl Disk {
    pub(crate) fn new(owner: (u32, u32)) -> Self {
        let root = Node { kind: Kind::Directory(Directory::default()), mode: 0o700, owner };
        Self { nodes: BTreeMap::from([(ROOT, root)]), next: ROOT + 1, has_power: true }
    }

    /// Cuts the power. What was not synced is lost: all of it, or with dice a random part.
    pub(crate) fn cut(&mut self, mut dice: Option<Dice>) {
        self.has_power = false;
        let numbers: Vec<Number> = self.nodes.keys().copied().collect();
        for number in numbers {
            match self.nodes.get_mut(&number).map(|node| &mut node.kind) {
                Some(Kind::File(content)) => content.cut(dice.as_mut()),
                Some(Kind::Directory(directory)) => {
                    let kept = dice.as_mut().map_or(0, |dice| dice.upto(directory.unsynced()));
                    self.sync_names(number, kept);
                }
                Some(Kind::Socket) | None => {}
            }
        }
        self.remove_lost();
    }

    pub(crate) fn power_on(&mut self) {
        self.has_power = true;
    }

    /// Shows in each directory what is durable, and removes what has no name any more.
    fn remove_lost(&mut self) {
        let (mut named, mut open) = (BTreeSet::from([ROOT]), vec![ROOT]);
        while let Some(number) = open.pop() {
            if let Some(Node { kind: Kind::Directory(directory), .. }) = self.nodes.get_mut(&number) {
                directory.settle();
                open.extend(directory.names().values().filter(|number| named.insert(**number)));
            }
        }
        self.nodes.retain(|number, _| named.contains(number));
    }

    pub(crate) fn node(&self, number: Number) -> Result<&Node, Refusal> {
        self.check_power()?;
        self.nodes.get(&number).ok_or(Refusal::Missing)
    }

    pub(crate) fn node_mut(&mut self, number: Number) -> Result<&mut Node, Refusal> {
        self.check_power()?;
        self.nodes.get_mut(&number).ok_or(Refusal::Missing)
    }

    fn check_power(&self) -> Result<(), Refusal> {
        if self.has_power { Ok(()) } else { Err(Refusal::NoPower) }
    }

    pub(crate) fn directory(&self, number: Number) -> Result<&Directory, Refusal> {
        match &self.node(number)?.kind {
            Kind::Directory(directory) => Ok(directory),
            _ => Err(Refusal::NotADirectory),
        }
    }

    fn directory_mut(&mut self, number: Number) -> Result<&mut Directory, Refusal> {
        match &mut self.node_mut(number)?.kind {
            Kind::Directory(directory) => Ok(directory),
            _ => Err(Refusal::NotADirectory),
        }
    }

    pub(crate) fn content(&mut self, number: Number) -> Result<&mut Content, Refusal> {
        match &mut self.node_mut(number)?.kind {
            Kind::File(content) => Ok(content),
            _ => Err(Refusal::IsADirectory),
        }
    }

    pub(crate) fn lookup(&self, parent: Number, name: &OsStr) -> Result<Number, Refusal> {
        self.directory(parent)?.get(name).ok_or(Refusal::Missing)
    }

    pub(crate) fn make(&mut self, parent: Number, name: &OsStr, node: Node) -> Result<Number, Refusal> {
        let number = self.next;
        let directory = self.directory_mut(parent)?;
        if directory.get(name).is_some() {
            return Err(Refusal::Exists);
        }
        directory.put(name, number);
        self.nodes.insert(number, node);
        self.next += 1;
        Ok(number)
    }

    /// Takes a name away. Its node stays for those who have it open, until the next cut.
    pub(crate) fn remove(&mut self, parent: Number, name: &OsStr, is_directory: bool) -> Result<(), Refusal> {
        let number = self.lookup(parent, name)?;
        self.check_removable(number, is_directory)?;
        self.directory_mut(parent)?.remove(name, None);
        Ok(())
    }

    fn check_removable(&self, number: Number, is_directory: bool) -> Result<(), Refusal> {
        match (&self.node(number)?.kind, is_directory) {
            (Kind::Directory(directory), true) if !directory.names().is_empty() => Err(Refusal::NotEmpty),
            (Kind::Directory(_), false) => Err(Refusal::IsADirectory),
            (Kind::File(_) | Kind::Socket, true) => Err(Refusal::NotADirectory),
            _ => Ok(()),
        }
    }

    pub(crate) fn rename(
        &mut self,
        (from, name): (Number, &OsStr),
        (to, new_name): (Number, &OsStr),
        replaces: bool,
    ) -> Result<(), Refusal> {
        let number = self.lookup(from, name)?;
        if let Some(older) = self.directory(to)?.get(new_name).filter(|older| *older != number) {
            if !replaces {
                return Err(Refusal::Exists);
            }
            self.check_removable(older, matches!(self.node(number)?.kind, Kind::Directory(_)))?;
        }
        if from == to {
            self.directory_mut(from)?.rename(name, new_name, number);
        } else {
            self.directory_mut(to)?.put(new_name, number);
            self.directory_mut(from)?.remove(name, Some(to));
        }
        Ok(())
    }

    /// Makes durable what a file holds or what a directory names.
    pub(crate) fn sync(&mut self, number: Number) -> Result<(), Refusal> {
        match &mut self.node_mut(number)?.kind {
            Kind::File(content) => content.sync(),
            Kind::Directory(directory) => {
                let all = directory.unsynced();
                self.sync_names(number, all);
            }
            Kind::Socket => {}
        }
        Ok(())
    }

    fn sync_names(&mut self, number: Number, count: usize) {
        let Some(Node { kind: Kind::Directory(directory), .. }) = self.nodes.get_mut(&number) else { return };
        for moved_to in directory.sync_first(count) {
            let all = self.directory_unsynced(moved_to);
            self.sync_names(moved_to, all);
        }
    }

    fn directory_unsynced(&self, number: Number) -> usize {
        match self.nodes.get(&number) {
            Some(Node { kind: Kind::Directory(directory), .. }) => directory.unsynced(),
            _ => 0,
        }
    }
}
