//! Compares the disk with a naive model, which keeps whole copies, in random histories.

use crate::dice::Dice;
use crate::directory::Directory;
use crate::disk::{Disk, Kind, Node, Number, ROOT};
use crate::file::Content;
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;

const OWNER: (u32, u32) = (0, 0);
const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
const LONGEST: usize = 40;

type Names = BTreeMap<String, Number>;

/// A directory of the model: all that it held since it was synced; the first is durable, the last is seen.
struct Shelf {
    number: Number,
    versions: Vec<Names>,
    was_moved_out_of: bool,
}

/// A file of the model, and each byte that was at a place since it was synced.
#[derive(Default)]
struct Paper {
    seen: Vec<u8>,
    synced: Vec<u8>,
    since: BTreeMap<usize, BTreeSet<u8>>,
}

struct World {
    disk: Disk,
    shelves: [Shelf; 2],
    papers: BTreeMap<Number, Paper>,
    dice: Dice,
}

fn node(kind: Kind) -> Node {
    Node { kind, mode: 0o700, owner: OWNER }
}

impl Shelf {
    fn seen(&self) -> &Names {
        self.versions.last().unwrap()
    }

    fn change(&mut self, change: impl FnOnce(&mut Names)) {
        let mut names = self.seen().clone();
        change(&mut names);
        self.versions.push(names);
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut disk = Disk::new(OWNER);
        let shelves = ["first", "second"].map(|name| {
            let kind = Kind::Directory(Directory::default());
            let number = disk.make(ROOT, OsStr::new(name), node(kind)).unwrap();
            Shelf { number, versions: vec![Names::new()], was_moved_out_of: false }
        });
        disk.sync(ROOT).unwrap();
        Self { disk, shelves, papers: BTreeMap::new(), dice: Dice::new(seed) }
    }

    fn step(&mut self) {
        let (shelf, name) = (self.dice.upto(1), NAMES[self.dice.upto(NAMES.len() - 1)]);
        let number = self.shelves[shelf].seen().get(name).copied();
        match (self.dice.upto(9), number) {
            (0..=5, None) => self.make(shelf, name),
            (0..=2, Some(number)) => self.write(number),
            (3, Some(number)) => self.set_length(number),
            (4, Some(number)) => self.sync_file(number),
            (5, Some(_)) => self.remove(shelf, name),
            (6..=8, Some(_)) => self.rename(shelf, name),
            (9, _) => self.sync_names(shelf),
            _ => {}
        }
        self.compare();
    }

    fn make(&mut self, shelf: usize, name: &str) {
        let file = node(Kind::File(Content::default()));
        let number = self.disk.make(self.shelves[shelf].number, OsStr::new(name), file).unwrap();
        self.shelves[shelf].change(|names| {
            names.insert(name.to_owned(), number);
        });
        self.papers.insert(number, Paper::default());
    }

    fn write(&mut self, number: Number) {
        let (at, data) = (self.dice.upto(LONGEST), vec![self.dice.draw() as u8; 1 + self.dice.upto(LONGEST)]);
        self.disk.content(number).unwrap().write(at, &data);
        let paper = self.papers.get_mut(&number).unwrap();
        paper.seen.resize(paper.seen.len().max(at + data.len()), 0);
        for (place, byte) in (at..).zip(data) {
            paper.seen[place] = byte;
            paper.since.entry(place).or_default().insert(byte);
        }
    }

    fn set_length(&mut self, number: Number) {
        let length = self.dice.upto(LONGEST);
        self.disk.content(number).unwrap().set_length(length);
        let paper = self.papers.get_mut(&number).unwrap();
        paper.seen.resize(length, 0);
        (length..3 * LONGEST).for_each(|place| {
            paper.since.entry(place).or_default().insert(0);
        });
    }

    fn sync_file(&mut self, number: Number) {
        self.disk.sync(number).unwrap();
        let paper = self.papers.get_mut(&number).unwrap();
        paper.synced.clone_from(&paper.seen);
        paper.since.clear();
    }

    fn remove(&mut self, shelf: usize, name: &str) {
        self.disk.remove(self.shelves[shelf].number, OsStr::new(name), false).unwrap();
        self.shelves[shelf].change(|names| {
            names.remove(name);
        });
    }

    fn rename(&mut self, shelf: usize, name: &str) {
        let (to, new_name) = (self.dice.upto(1), NAMES[self.dice.upto(NAMES.len() - 1)]);
        let from = (self.shelves[shelf].number, OsStr::new(name));
        self.disk.rename(from, (self.shelves[to].number, OsStr::new(new_name)), true).unwrap();
        let number = self.shelves[shelf].seen()[name];
        let put = |names: &mut Names| {
            names.insert(new_name.to_owned(), number);
        };
        if to == shelf {
            self.shelves[shelf].change(|names| {
                names.remove(name);
                put(names);
            });
        } else {
            self.shelves[to].change(put);
            self.shelves[shelf].change(|names| {
                names.remove(name);
            });
            self.shelves[shelf].was_moved_out_of = true;
        }
    }

    fn sync_names(&mut self, shelf: usize) {
        self.disk.sync(self.shelves[shelf].number).unwrap();
        self.model_sync_names(shelf);
    }

    fn model_sync_names(&mut self, shelf: usize) {
        self.shelves[shelf].versions = vec![self.shelves[shelf].seen().clone()];
        if std::mem::take(&mut self.shelves[shelf].was_moved_out_of) {
            self.model_sync_names(1 - shelf);
        }
    }

    fn names_on_disk(&self, shelf: usize) -> Names {
        let names = self.disk.directory(self.shelves[shelf].number).unwrap().names();
        names.iter().map(|(name, number)| (name.to_str().unwrap().to_owned(), *number)).collect()
    }

    fn content_on_disk(&mut self, number: Number) -> Vec<u8> {
        self.disk.content(number).unwrap().read(0, 1000)
    }

    fn compare(&mut self) {
        for shelf in 0..2 {
            let names = self.names_on_disk(shelf);
            assert_eq!(&names, self.shelves[shelf].seen());
            for number in names.into_values() {
                assert_eq!(self.content_on_disk(number), self.papers[&number].seen);
            }
        }
    }

    /// After a cut that loses everything, the disk is what was synced.
    fn lose_all(&mut self) {
        self.disk.cut(None);
        self.disk.power_on();
        for shelf in &mut self.shelves {
            shelf.versions.truncate(1);
            shelf.was_moved_out_of = false;
        }
        for paper in self.papers.values_mut() {
            paper.seen.clone_from(&paper.synced);
            paper.since.clear();
        }
        self.compare();
    }

    /// After a cut that keeps a part, each directory is as it once was, and each byte is one that was once there. Gives
    /// how much of what was not synced was kept, and how much was lost.
    fn lose_a_part(&mut self) -> [usize; 2] {
        self.disk.cut(Some(Dice::new(self.dice.draw())));
        self.disk.power_on();
        let mut fates = [0; 2];
        for shelf in 0..2 {
            let names = self.names_on_disk(shelf);
            assert!(self.shelves[shelf].versions.contains(&names), "{names:?}");
            fates[usize::from(names != *self.shelves[shelf].seen())] += 1;
            names.values().for_each(|number| self.check_paper(*number, &mut fates));
            self.shelves[shelf].versions = vec![names];
            self.shelves[shelf].was_moved_out_of = false;
        }
        self.compare();
        fates
    }

    fn check_paper(&mut self, number: Number, fates: &mut [usize; 2]) {
        let found = self.content_on_disk(number);
        let paper = self.papers.get_mut(&number).unwrap();
        for (place, byte) in found.iter().enumerate() {
            let was_there = paper.since.get(&place).is_some_and(|bytes| bytes.contains(byte));
            assert!(was_there || paper.synced.get(place).copied().unwrap_or(0) == *byte);
        }
        if paper.since.is_empty() {
            assert_eq!(found, paper.synced);
        }
        fates[usize::from(found != paper.seen)] += 1;
        *paper = Paper { seen: found.clone(), synced: found, since: BTreeMap::new() };
    }
}

#[test]
fn what_was_not_synced_is_lost_and_nothing_else() {
    for seed in 0..60 {
        let mut world = World::new(seed);
        for _ in 0..5 {
            (0..60).for_each(|_| world.step());
            world.lose_all();
        }
    }
}

#[test]
fn a_part_of_what_was_not_synced_is_kept_and_nothing_is_invented() {
    let mut fates = [0; 2];
    for seed in 0..60 {
        let mut world = World::new(seed);
        for _ in 0..5 {
            (0..60).for_each(|_| world.step());
            let [kept, lost] = world.lose_a_part();
            fates = [fates[0] + kept, fates[1] + lost];
        }
    }
    assert!(fates.iter().all(|fate| *fate > 200), "{fates:?}");
}

#[test]
fn a_write_that_is_kept_may_be_torn() {
    let torn = (0..100).filter(|seed| {
        let mut content = Content::default();
        content.write(0, &[7; 100]);
        content.cut(Some(&mut Dice::new(*seed)));
        (1..100).contains(&content.length())
    });
    assert!(torn.count() > 30);
}

#[test]
fn without_power_all_is_refused() {
    let mut world = World::new(1);
    world.make(0, "a");
    world.disk.cut(None);
    assert!(world.disk.node(ROOT).is_err());
    assert!(world.disk.sync(ROOT).is_err());
    world.disk.power_on();
    assert!(world.disk.node(ROOT).is_ok());
}

#[test]
fn what_is_moved_to_another_directory_is_never_lost_in_between() {
    for seed in 0..100 {
        let mut world = World::new(seed);
        world.make(0, "a");
        world.sync_names(0);
        let number = world.shelves[0].seen()["a"];
        let [from, to] = [0, 1].map(|shelf| world.shelves[shelf].number);
        world.disk.rename((from, OsStr::new("a")), (to, OsStr::new("b")), true).unwrap();
        world.disk.cut((seed > 0).then(|| Dice::new(seed)));
        world.disk.power_on();
        let found = [0, 1].map(|shelf| world.names_on_disk(shelf).into_values().collect::<Vec<_>>()).concat();
        assert!(found.contains(&number));
    }
}
