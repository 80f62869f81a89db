//! Of a store with a damaged journal a prefix can be read, and never something that is no prefix.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

mod world;

use keyward_engine::{DiskEngine, Options};
use keyward_store::Engine;
use std::fs;
use std::path::Path;
use world::{Disk, count, files, journal, keep, numbered, used};

const BATCHES: u32 = 12;

/// Copies a store and damages a byte of its journal there.
fn damaged_at(disk: &Disk, at: usize) -> tempfile::TempDir {
    let copy = world::directory();
    world::copy(&disk.path(), copy.path());
    let file = journal(copy.path());
    let mut bytes = fs::read(&file).unwrap();
    bytes[at] ^= 0x55;
    world::write(&file, &bytes);
    copy
}

fn prefix(directory: &Path) -> Option<u32> {
    let reader = DiskEngine::open_prefix(directory, &Options::default()).ok()?;
    Some(count(&reader).unwrap())
}

#[test]
fn everything_before_the_damage_of_a_journal_is_read_and_what_is_behind_it_kept() {
    let disk = Disk::new(Options::default());
    let mut engine = disk.open();
    for sync in 0..3 {
        keep(&mut engine, sync * 4..sync * 4 + 4);
    }
    drop(engine);
    let bytes = fs::read(journal(&disk.path())).unwrap();
    let end = used(&bytes);
    let mut last = 0;
    for at in (0..end).step_by(83) {
        let copy = damaged_at(&disk, at);
        let found = prefix(copy.path()).unwrap();
        // A sequence number that is a little too high is seen at the next batch only, or not at all; it takes nothing away.
        assert!(found + 1 >= last, "{found} at byte {at}, {last} before");
        last = if found == BATCHES { last } else { found };
        let is_kept = |path: &std::path::PathBuf| path.extension().is_some_and(|end| end == "damaged");
        let kept = files(copy.path()).into_iter().find(is_kept);
        assert!(found == BATCHES || kept.is_some(), "what is behind byte {at} is gone");
    }
    assert!(last >= BATCHES - 2, "only {last} before damage near the end");
}

#[test]
fn what_is_no_prefix_is_refused() {
    let disk = Disk::new(Options { memtable: 64 << 10, ..Options::default() });
    let mut engine = disk.open();
    let tables =
        || files(&disk.path()).into_iter().filter(|file| file.parent().unwrap().ends_with("tables")).count();
    let before = tables();
    let mut number = 0;
    // Bodies fill their table long before places do: so one is flushed and the other is in the journal alone.
    while tables() == before {
        engine.append(&numbered(number)).unwrap();
        engine.sync().unwrap();
        number += 1;
        assert!(number < 100_000, "nothing was flushed");
    }
    drop(engine);
    let (mut refused, end) = (0, used(&fs::read(journal(&disk.path())).unwrap()));
    for at in [40, end / 4, end / 2] {
        match prefix(damaged_at(&disk, at).path()) {
            None => refused += 1,
            Some(found) => assert!(found <= number, "{found} of {number}"),
        }
    }
    assert!(refused > 0, "a store with rows from behind the damage was taken for a prefix");
}
