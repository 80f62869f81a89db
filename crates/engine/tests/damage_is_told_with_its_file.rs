//! A damaged or missing file is an error that names it, never a panic, and never silently less than what was synced.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

mod world;

use keyward_engine::{DiskEngine, Options};
use keyward_store::Engine;

use std::fs;
use std::path::Path;
use world::{BODIES, Disk, PLACES, files, journal, keep, numbered, open_and_count, used};

const BATCHES: u32 = 12;

/// Three syncs of four batches each, all in the journal.
fn in_the_journal() -> Disk {
    let disk = Disk::new(Options::default());
    let mut engine = disk.open();
    for sync in 0..3 {
        keep(&mut engine, sync * 4..sync * 4 + 4);
    }
    drop(engine);
    // The zeros at the end of the journal are cut, and the test is faster.
    drop(disk.open());
    disk
}

/// Opens what has one file damaged; what was there has to be there, or an error that names something in the directory.
fn judge(directory: &Path, damage: &str) -> bool {
    let error = match open_and_count(directory) {
        Ok(Ok(BATCHES)) => return false,
        Ok(Ok(count)) => panic!("{damage}: only {count} batches, without an error"),
        Ok(Err(error)) => error.to_string(),
        Err(error) => error.to_string(),
    };
    assert!(error.contains(directory.to_str().unwrap()), "{damage}: {error}");
    true
}

/// Only a sequence number of the last batch that is too high by less than a leap stays unseen, and takes nothing away.
#[test]
fn damage_anywhere_in_the_journal_is_told_or_takes_nothing_away() {
    let disk = in_the_journal();
    let bytes = fs::read(journal(&disk.path())).unwrap();
    let copy = world::directory();
    world::copy(&disk.path(), copy.path());
    let file = journal(copy.path());
    let mut unseen = 0;
    for at in 0..used(&bytes) {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        world::write(&file, &damaged);
        unseen += usize::from(!judge(copy.path(), &format!("journal, byte {at}")));
    }
    assert!(unseen <= 4, "{unseen} damages were not seen");
}

#[test]
fn a_journal_that_is_shorter_than_what_was_synced_is_told() {
    let disk = in_the_journal();
    let bytes = fs::read(journal(&disk.path())).unwrap();
    let copy = world::directory();
    world::copy(&disk.path(), copy.path());
    for length in (0..used(&bytes)).step_by(23) {
        world::write(&journal(copy.path()), &bytes[..length]);
        assert!(judge(copy.path(), &format!("journal of {length} bytes")));
        assert!(judge(copy.path(), &format!("journal of {length} bytes, opened again")));
    }
}

#[test]
fn a_file_that_is_missing_is_told() {
    let disk = in_the_journal();
    for file in files(&disk.path()) {
        let name = file.strip_prefix(disk.path()).unwrap();
        // A complete directory without FORMAT is taken for one whose making was cut off; the locks hold nothing.
        let is_needed = !["FORMAT", "LOCK", "data/lock"].contains(&name.to_str().unwrap());
        let copy = world::directory();
        world::copy(&disk.path(), copy.path());
        fs::remove_file(copy.path().join(name)).unwrap();
        let is_told = judge(copy.path(), &format!("without {}", name.display()));
        assert!(is_told || !is_needed, "{} is not missed", name.display());
    }
}

#[test]
fn a_number_of_the_last_sync_that_is_damaged_at_both_places_is_told() {
    let disk = Disk::new(Options::default());
    keep(&mut disk.open(), 0..5);
    let length = fs::read(disk.path().join("SYNCED")).unwrap().len();
    world::write(&disk.path().join("SYNCED"), &vec![0; length]);
    assert!(judge(&disk.path(), "SYNCED, all of it"));
}

/// Enough to be flushed into table files; then every file is damaged at many places, one at a time.
#[test]
fn damage_anywhere_else_is_told_or_harmless() {
    let disk = Disk::new(Options { memtable: 64 << 10, ..Options::default() });
    let mut engine = disk.open();
    keep(&mut engine, 0..BATCHES);
    fill_until_flushed(&mut engine, &disk.path());
    drop(engine);
    // The zeros at the end of the journal are cut, and the test is faster.
    drop(disk.open());
    let copy = world::directory();
    world::copy(&disk.path(), copy.path());
    let mut told = 0;
    for file in files(copy.path()) {
        let bytes = fs::read(&file).unwrap();
        if bytes.is_empty() || is_journal(&file) || !holds_something(&file) {
            continue;
        }
        for at in places(bytes.len()) {
            let again = world::directory();
            world::copy(copy.path(), again.path());
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x55;
            let name = file.strip_prefix(copy.path()).unwrap();
            world::write(&again.path().join(name), &damaged);
            told += usize::from(judge(again.path(), &format!("{}, byte {at}", name.display())));
        }
    }
    assert!(told > 30, "only {told} damages were told");
}

fn is_journal(file: &Path) -> bool {
    file.extension().is_some_and(|extension| extension == "jnl")
}

/// Leaves out the keyspaces without a table file: one empty table is damaged like another.
fn holds_something(file: &Path) -> bool {
    let tables = file.parent().unwrap().join("tables");
    !tables.exists() || fs::read_dir(tables).unwrap().count() > 0
}

/// Gives some places in a file: its ends, and a few between.
fn places(length: usize) -> Vec<usize> {
    let mut places: Vec<_> = (0..4).map(|part| part * length / 4).collect();
    places.extend([9, length.saturating_sub(20), length - 1]);
    places.retain(|at| *at < length);
    places.sort_unstable();
    places.dedup();
    places
}

/// Overwrites one row in both tables until fjall has written a file for each.
fn fill_until_flushed(engine: &mut DiskEngine, directory: &Path) {
    let tables = || files(directory).into_iter().filter(|file| file.parent().unwrap().ends_with("tables"));
    let before = tables().count();
    for _ in 0..100_000 {
        let mut batch = numbered(1);
        batch.put(PLACES, &1_u32.to_be_bytes(), &[0; 2_000]);
        batch.put(BODIES, &1_u32.to_be_bytes(), &[0; 2_000]);
        engine.append(&batch).unwrap();
        engine.append(&numbered(1)).unwrap();
        engine.sync().unwrap();
        if tables().count() >= before + 2 {
            return;
        }
    }
    panic!("nothing was flushed");
}
