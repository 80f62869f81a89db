//! What a loss of power, a bad disk or a careless hand does to the ledger.

use crate::support::*;
use keyward_identity::{IssuedCertificate, LedgerError, OpenError, Registrar, limits};
use std::{fs, path::PathBuf};

/// A house whose last record revokes a device.
struct Scene {
    house: House,
    revoked: IssuedCertificate,
    logs: [PathBuf; 2],
    /// The log before and after the last record.
    before: Vec<u8>,
    after: Vec<u8>,
}

impl Scene {
    fn new() -> Self {
        let mut house = House::new();
        let revoked = house.add_device("pump-1");
        let logs = [house.path("ledger/a.log"), house.path("ledger/b.log")];
        let before = fs::read(&logs[0]).unwrap();
        house.run(revoke("device:pump-1"));
        house.close();
        let after = fs::read(&logs[0]).unwrap();
        assert_eq!(after, fs::read(&logs[1]).unwrap(), "the copies are equal");
        Self { house, revoked, logs, before, after }
    }

    fn write(&self, a: &[u8], b: &[u8]) {
        fs::write(&self.logs[0], a).unwrap();
        fs::write(&self.logs[1], b).unwrap();
    }

    /// Opens and tells whether the device is still revoked.
    fn opens_revoked(&mut self) -> bool {
        self.house.open().unwrap();
        let revoked = self.house.admit(&self.revoked).is_err();
        assert_eq!(fs::read(&self.logs[0]).unwrap(), fs::read(&self.logs[1]).unwrap(), "mended");
        self.house.close();
        revoked
    }

    fn refuses(&self) -> String {
        match Registrar::open(self.house.dir.path(), options()) {
            Err(error @ OpenError::Ledger(LedgerError::Damaged { .. })) => error.to_string(),
            Err(other) => panic!("{other}"),
            Ok(_) => panic!("it should not open"),
        }
    }
}

#[test]
fn a_record_cut_off_in_both_copies_was_never_acknowledged_and_is_dropped() {
    let mut scene = Scene::new();
    for len in scene.before.len()..scene.after.len() {
        let cut = scene.after[..len].to_vec();
        scene.write(&cut, &cut);
        assert!(!scene.opens_revoked(), "cut to {len} bytes");
        assert_eq!(fs::read(&scene.logs[0]).unwrap(), scene.before);
    }
}

#[test]
fn a_record_cut_off_in_one_copy_is_restored_from_the_other() {
    let mut scene = Scene::new();
    for len in scene.before.len()..scene.after.len() {
        let (whole, cut) = (scene.after.clone(), scene.after[..len].to_vec());
        scene.write(&whole, &cut);
        assert!(scene.opens_revoked(), "b cut to {len} bytes");
        scene.write(&cut, &whole);
        assert!(scene.opens_revoked(), "a cut to {len} bytes");
    }
}

#[test]
fn a_record_cut_off_while_the_first_copy_was_written_is_dropped() {
    let mut scene = Scene::new();
    let len = scene.before.len() + 20;
    let (before, mut cut) = (scene.before.clone(), scene.after[..len].to_vec());
    scene.write(&cut, &before);
    assert!(!scene.opens_revoked());
    // Some file systems leave zeros where the data did not arrive any more.
    cut.truncate(scene.before.len());
    cut.resize(scene.after.len(), 0);
    scene.write(&cut, &before);
    assert!(!scene.opens_revoked());
    // Or the record has its length, and garbage in it.
    let mut garbled = scene.after.clone();
    garbled[len] ^= 0xff;
    scene.write(&garbled, &before);
    assert!(!scene.opens_revoked());
}

#[test]
fn a_flipped_byte_anywhere_in_one_copy_is_mended_from_the_other() {
    let mut scene = Scene::new();
    for at in (0..scene.after.len()).step_by(37) {
        let whole = scene.after.clone();
        let mut flipped = whole.clone();
        flipped[at] ^= 0x10;
        scene.write(&flipped, &whole);
        assert!(scene.opens_revoked(), "a at {at}");
        scene.write(&whole, &flipped);
        assert!(scene.opens_revoked(), "b at {at}");
        assert_eq!(fs::read(&scene.logs[1]).unwrap(), whole);
    }
}

#[test]
fn a_lost_copy_is_made_again_and_the_operator_is_told() {
    for lost in [0, 1] {
        let mut scene = Scene::new();
        fs::remove_file(&scene.logs[lost]).unwrap();
        scene.house.open().unwrap();
        let mended = scene.house.registrar().status(NOW).mended;
        assert!(mended.len() == 1 && mended[0].contains("missing"), "{mended:?}");
        assert!(scene.house.admit(&scene.revoked).is_err());
        scene.house.open().unwrap();
        assert!(scene.house.registrar().status(NOW).mended.is_empty());
        assert_eq!(fs::read(&scene.logs[lost]).unwrap(), scene.after);
    }
}

#[test]
fn damage_in_one_place_of_both_copies_stops_the_start() {
    let scene = Scene::new();
    for at in [30, scene.before.len() - 10, scene.before.len() + 30, scene.after.len() - 1] {
        let mut flipped = scene.after.clone();
        flipped[at] ^= 0x10;
        scene.write(&flipped, &flipped);
        let error = scene.refuses();
        assert!(error.contains("revocations could be lost") && error.contains("backup"), "at {at}: {error}");
        assert_eq!(fs::read(&scene.logs[0]).unwrap(), flipped, "nothing is touched");
    }
}

#[test]
fn damage_in_the_one_copy_that_is_left_stops_the_start() {
    let scene = Scene::new();
    let mut flipped = scene.after.clone();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    fs::remove_file(&scene.logs[0]).unwrap();
    fs::write(&scene.logs[1], flipped).unwrap();
    scene.refuses();
}

#[test]
fn an_acknowledged_record_damaged_in_the_second_copy_and_missing_in_the_first_stops_the_start() {
    let scene = Scene::new();
    let mut flipped = scene.after.clone();
    let last = flipped.len() - 1;
    flipped[last] ^= 1;
    scene.write(&scene.before, &flipped);
    scene.refuses();
}

#[test]
fn copies_of_two_installations_are_not_mixed() {
    let (scene, other) = (Scene::new(), Scene::new());
    scene.write(&scene.after, &other.before);
    assert!(scene.refuses().contains("differ"));
}

#[test]
fn a_record_cannot_be_left_out() {
    let mut scene = Scene::new();
    // The record before the last one, cut out of both copies.
    scene.house.open().unwrap();
    let third = scene.after.len() - scene.before.len();
    scene.house.run(keyward_identity::Command::NoteConfigChange { summary: "note".into() });
    scene.house.close();
    let log = fs::read(&scene.logs[0]).unwrap();
    let without = [&log[..scene.before.len()], &log[scene.before.len() + third..]].concat();
    scene.write(&without, &without);
    scene.refuses();
}

#[test]
fn both_copies_lost_stop_the_start() {
    let scene = Scene::new();
    scene.logs.iter().for_each(|log| fs::remove_file(log).unwrap());
    scene.refuses();
}

#[test]
fn an_empty_file_in_place_of_a_copy_is_a_lost_copy() {
    let mut scene = Scene::new();
    let after = scene.after.clone();
    scene.write(&[], &after);
    assert!(scene.opens_revoked());
}

#[test]
fn a_long_ledger_leaves_a_snapshot_and_a_bad_snapshot_is_ignored() {
    let mut house = House::new();
    let issued = house.add_device("pump-1");
    for n in 0..limits::SNAPSHOT_AFTER / 2 {
        house.run(disable("device:pump-1"));
        house.run(enable("device:pump-1"));
        house.now.0 += n;
    }
    house.open().unwrap();
    let registry = house.registrar().registry();
    let snapshot = house.path("ledger/snapshot");
    let good = fs::read(&snapshot).unwrap();

    house.run(revoke("device:pump-1"));
    house.open().unwrap();
    assert!(house.admit(&issued).is_err(), "what follows the snapshot counts");
    assert_ne!(*house.registrar().registry(), *registry);

    let after = house.registrar().registry();
    for bad in [Vec::new(), good[..good.len() / 2].to_vec(), vec![b'x'; 5_000]] {
        fs::write(&snapshot, bad).unwrap();
        house.open().unwrap();
        assert_eq!(*house.registrar().registry(), *after);
    }
    let mut other = House::new();
    fs::write(other.path("ledger/snapshot"), good).unwrap();
    other.open().unwrap();
    assert!(other.registrar().registry().is_empty(), "a snapshot of another installation is ignored");
}
