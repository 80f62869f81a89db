//! The suite on disk, and what only a disk has: one process at a time, formats, modes of files, room.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

mod world;

use keyward_engine::{DiskEngine, Durability, OpenError, Options};
use keyward_store::{Engine, suite};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use world::{Disk, count, keep};

#[test]
fn the_disk_engine_passes_the_suite() {
    let mut disks = Vec::new();
    suite::run(&mut || {
        disks.push(Disk::new(Options::default()));
        Box::new(disks[disks.len() - 1].open())
    });
}

#[test]
fn what_is_closed_is_found_again_with_and_without_fsync() {
    for durability in [Durability::Synced, Durability::Os] {
        suite::run_reopening(&mut Disk::new(Options { durability, ..Options::default() }));
    }
}

#[test]
fn the_way_of_syncing_may_change_between_two_openings() {
    let mut disk = Disk::new(Options::default());
    for round in 0..6 {
        disk.options.durability = if round % 2 == 0 { Durability::Synced } else { Durability::Os };
        let mut engine = disk.open();
        assert_eq!(count(&engine), Ok(round * 10));
        keep(&mut engine, round * 10..round * 10 + 10);
    }
}

#[test]
fn a_second_opening_is_refused_until_the_first_and_its_readers_are_gone() {
    let disk = Disk::new(Options::default());
    let mut engine = disk.open();
    keep(&mut engine, 0..1);
    let reader = engine.reader();
    let again = || DiskEngine::open(disk.path(), &disk.options);
    assert!(matches!(again(), Err(OpenError::InUse(path)) if path == disk.path()));
    drop(engine);
    assert!(matches!(again(), Err(OpenError::InUse(_))));
    assert_eq!(count(reader.as_ref()), Ok(1));
    drop(reader);
    assert_eq!(count(&again().unwrap()), Ok(1));
}

#[test]
fn a_newer_format_is_refused_with_the_version_that_it_needs() {
    let disk = Disk::new(Options::default());
    drop(disk.open());
    let format = disk.path().join("FORMAT");
    world::write(&format, b"keyward messages 2\nwritten by keyward 7.1.0\nand more\n");
    let error = DiskEngine::open(disk.path(), &disk.options).unwrap_err().to_string();
    assert!(error.contains("FORMAT") && error.contains("start Keyward 7.1.0 or newer"), "{error}");
    for strange in ["", "keyward messages", "keyward messages 0\nwritten by keyward 1\n", "PK\x03\x04"] {
        world::write(&format, strange.as_bytes());
        let error = DiskEngine::open(disk.path(), &disk.options).unwrap_err().to_string();
        assert!(error.contains("FORMAT: is not the FORMAT of a message store"), "{error}");
    }
}

#[test]
fn others_cannot_enter_the_directory() {
    let disk = Disk::new(Options::default());
    let mode = || fs::metadata(disk.path()).unwrap().permissions().mode() & 0o777;
    drop(disk.open());
    assert_eq!(mode(), 0o700);
    fs::set_permissions(disk.path(), PermissionsExt::from_mode(0o755)).unwrap();
    drop(disk.open());
    assert_eq!(mode(), 0o700);
}

#[test]
fn a_creation_that_was_cut_off_is_made_again() {
    let whole = Disk::new(Options::default());
    drop(whole.open());
    for missing in [&["FORMAT"][..], &["FORMAT", "data/version"], &["FORMAT", "data/keyspaces/7/current"]] {
        let disk = Disk::new(Options::default());
        world::copy(&whole.path(), &disk.path());
        for name in missing {
            fs::remove_file(disk.path().join(name)).unwrap();
        }
        keep(&mut disk.open(), 0..5);
        assert_eq!(count(&disk.open()), Ok(5), "without {missing:?}");
    }
}

#[test]
fn below_the_reserve_there_is_no_room_and_what_was_taken_is_kept() {
    let mut disk = Disk::new(Options::default());
    keep(&mut disk.open(), 0..3);
    assert_eq!(disk.open().has_room(), Ok(true));
    disk.options.reserve = Some(u64::MAX);
    let mut engine = disk.open();
    assert_eq!(engine.has_room(), Ok(false));
    keep(&mut engine, 3..4);
    assert_eq!(count(&engine), Ok(4));
}
