//! What is found after a crash: the batches in their order up to some point, at least up to the last sync, each whole.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

mod world;

use keyward_engine::{Durability, Options};
use keyward_store::Engine;
use std::fs;
use world::{Disk, count, journal, keep, numbered, open_and_count, used};

#[test]
fn a_process_that_just_ends_loses_at_most_what_was_not_synced() {
    for durability in [Durability::Synced, Durability::Os] {
        let disk = Disk::new(Options { durability, ..Options::default() });
        let mut engine = disk.open();
        for round in 0..10 {
            keep(&mut engine, round * 50..round * 50 + 30);
            for number in round * 50 + 30..round * 50 + 50 {
                engine.append(&numbered(number)).unwrap();
            }
            let copy = world::directory();
            world::copy(&disk.path(), copy.path());
            let found = open_and_count(copy.path()).unwrap().unwrap();
            assert!((round * 50 + 30..=round * 50 + 50).contains(&found), "{found} in round {round}");
        }
    }
}

/// Cuts the journal at every few bytes behind the last sync, as a loss of power may, with and without the zeros that
/// a journal ends with.
#[test]
fn a_journal_torn_behind_the_last_sync_opens_as_a_prefix() {
    let (disk, synced) = synced_and_more();
    let bytes = fs::read(journal(&disk.path())).unwrap();
    let (copy, length) = (world::directory(), bytes.len());
    world::copy(&disk.path(), copy.path());
    let file = journal(copy.path());
    let (mut before, mut counts) = (5, Vec::new());
    for at in (synced..=used(&bytes)).step_by(11) {
        let mut torn = bytes[..at].to_vec();
        if at % 2 == 0 {
            torn.resize(length + 500, 0);
        }
        world::write(&file, &torn);
        let found = open_and_count(copy.path()).unwrap().unwrap();
        assert!(found >= before, "{found} after {before} with more of the journal");
        (before, _) = (found, counts.push(found));
    }
    counts.dedup();
    assert_eq!(counts, [5, 6, 7, 8, 9], "each cut is between two of these");
}

/// A page of the part that was not synced never reached the disk, a later one did. fjall alone does not open such a journal.
#[test]
fn a_hole_behind_the_last_sync_opens_as_a_prefix() {
    let (disk, synced) = synced_and_more();
    let bytes = fs::read(journal(&disk.path())).unwrap();
    let copy = world::directory();
    world::copy(&disk.path(), copy.path());
    for at in (synced..used(&bytes) - 16).step_by(13) {
        let mut holed = bytes.clone();
        holed[at..at + 16].fill(0);
        world::write(&journal(copy.path()), &holed);
        let found = open_and_count(copy.path()).unwrap().unwrap();
        assert!((5..=10).contains(&found), "{found} with a hole at {at}");
    }
}

/// Something was appended and synced after a crash, which is then found after the next one.
#[test]
fn a_store_goes_on_after_a_torn_end() {
    let (disk, synced) = synced_and_more();
    let copy = world::directory();
    world::copy(&disk.path(), copy.path());
    for round in 0..3 {
        let file = journal(copy.path());
        let mut bytes = fs::read(&file).unwrap();
        bytes.truncate(used(&bytes).max(synced));
        bytes.extend([2, 0, 0, 7]);
        world::write(&file, &bytes);
        let mut engine = keyward_engine::DiskEngine::open(copy.path(), &Options::default()).unwrap();
        let found = count(&engine).unwrap();
        keep(&mut engine, found..found + 4);
        assert_eq!(found, 9 + round * 4);
    }
}

/// A power cut tore the write that says how far the last sync went, and the broker set its whole store aside. Nothing of
/// that write has to reach the disk, so what it wrote over must not have been needed.
#[test]
fn a_number_of_the_last_sync_that_is_torn_takes_nothing_away() {
    let disk = Disk::new(Options::default());
    for round in 0..4 {
        let mut engine = disk.open();
        keep(&mut engine, round * 5..round * 5 + 4);
        let before = fs::read(disk.path().join("SYNCED")).unwrap();
        keep(&mut engine, round * 5 + 4..round * 5 + 5);
        drop(engine);
        let after = fs::read(disk.path().join("SYNCED")).unwrap();
        let written: Vec<_> = (0..after.len()).filter(|at| before.get(*at) != after.get(*at)).collect();
        assert!(written.len() > 1);
        for kept in 0..written.len() {
            let mut torn = after.clone();
            written[kept..].iter().for_each(|at| torn[*at] = before.get(*at).copied().unwrap_or(0));
            let copy = world::directory();
            world::copy(&disk.path(), copy.path());
            world::write(&copy.path().join("SYNCED"), &torn);
            assert_eq!(open_and_count(copy.path()).unwrap().unwrap(), round * 5 + 5);
        }
    }
}

/// Gives a store with five batches synced and four that only reached the file, and where in the journal they begin.
fn synced_and_more() -> (Disk, usize) {
    let mut disk = Disk::new(Options::default());
    keep(&mut disk.open(), 0..5);
    // The zeros at the end of the journal are cut, and the test is faster.
    drop(disk.open());
    let synced = used(&fs::read(journal(&disk.path())).unwrap());
    disk.options.durability = Durability::Os;
    keep(&mut disk.open(), 5..9);
    (disk, synced)
}
