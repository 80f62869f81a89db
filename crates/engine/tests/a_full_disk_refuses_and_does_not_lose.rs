//! A file system that fills up: first there is no room, and nothing is broken; without a reserve the engine breaks, and what was
//! synced is there after the next opening. These tests mount a small file system and are passed over where that is not
//! allowed.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]
#![allow(clippy::disallowed_methods, reason = "it waits for an effect, with a deadline")]
#![allow(clippy::print_stderr, reason = "a test that is passed over says so")]

mod world;

use keyward_engine::{DiskEngine, Options};
use keyward_store::{Batch, Broken, Engine, Read, Scan, Table};
use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use world::{count, numbered};

const FILLING: Table = Table::new(5);
/// Nobody tells when a compaction has made room; it is waited for, but not for ever.
const PATIENCE: Duration = Duration::from_secs(60);

/// Is a mounted file system of some megabytes.
struct Small(TempDir);

impl Small {
    fn mount(megabytes: u32) -> Option<Self> {
        let directory = TempDir::new().unwrap();
        let size = format!("size={megabytes}m");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "tmpfs"]).arg(directory.path());
        let is_mounted = mount.output().is_ok_and(|output| output.status.success());
        if !is_mounted {
            eprintln!("passed over: mounting a file system is not allowed here");
        }
        is_mounted.then_some(Self(directory))
    }

    fn path(&self) -> &Path {
        self.0.path()
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        drop(Command::new("umount").arg(self.path()).output());
    }
}

/// Appends a numbered batch with filling, and syncs.
fn fill(engine: &mut DiskEngine, number: u32) -> Result<(), Broken> {
    let mut batch = numbered(number);
    batch.put(FILLING, &number.to_be_bytes(), &vec![number as u8; 100_000]);
    engine.append(&batch)?;
    engine.sync()
}

#[test]
fn without_room_nothing_breaks_and_deleting_goes_on() {
    let Some(disk) = Small::mount(300) else { return };
    let options = Options { memtable: 1 << 20, reserve: Some(40 << 20), ..Options::default() };
    let mut engine = DiskEngine::open(disk.path(), &options).unwrap();
    let mut next = 0;
    while fill_or_no_room(&mut engine, next) {
        next += 1;
    }
    assert!(next > 500, "only {next} fit");
    empty(&mut engine);
    drop(engine);
    assert_eq!(count(&DiskEngine::open(disk.path(), &options).unwrap()), Ok(next));
}

/// Nothing but the compaction that begins where there is no room gives back what a few deletes deleted.
#[test]
fn what_is_deleted_without_room_makes_room() {
    let Some(disk) = Small::mount(300) else { return };
    let mut options = Options { memtable: 1 << 20, ..Options::default() };
    let mut engine = DiskEngine::open(disk.path(), &options).unwrap();
    (0..300).for_each(|number| fill(&mut engine, number).unwrap());
    drop(engine);
    let now = rustix::fs::statvfs(disk.path()).unwrap();
    options.reserve = Some(now.f_bavail * now.f_frsize);
    let mut engine = DiskEngine::open(disk.path(), &options).unwrap();
    let mut next = 300; // Opening may have removed a file.
    while fill_or_no_room(&mut engine, next) {
        next += 1;
    }
    let deadline = Instant::now() + PATIENCE;
    empty(&mut engine);
    while !fill_or_no_room(&mut engine, next) {
        assert!(Instant::now() < deadline, "no room comes back");
        std::thread::yield_now();
    }
    assert_eq!(count(&engine), Ok(next + 1));
}

/// What had been deleted was more than half of the room left, so it was never compacted, and the disk stayed full for ever. Then
/// rows were deleted while it was compacted: counted as gone, they were written all the same, and filled the disk to its last byte.
#[test]
fn everything_that_was_deleted_makes_room_however_little_is_left() {
    let Some(disk) = Small::mount(80) else { return };
    let options = Options { reserve: Some(16 << 20), ..Options::default() };
    let mut engine = DiskEngine::open(disk.path(), &options).unwrap();
    let mut next = 0;
    while fill_or_no_room(&mut engine, next) {
        next += 1;
    }
    empty(&mut engine);
    let deadline = Instant::now() + PATIENCE;
    while !fill_or_no_room(&mut engine, next) {
        assert!(Instant::now() < deadline, "no room comes back");
        std::thread::yield_now();
    }
    assert_eq!(count(&engine), Ok(next + 1));
}

/// Tells whether there was room.
fn fill_or_no_room(engine: &mut DiskEngine, number: u32) -> bool {
    let has_room = engine.has_room().unwrap();
    if has_room {
        fill(engine, number).unwrap();
    }
    has_room
}

/// Deletes all filling, in small batches.
fn empty(engine: &mut DiskEngine) {
    let (mut scan, mut batch) = (Scan::of(FILLING, b"").rows_per_page(50), Batch::new());
    while engine.next_page(&mut scan).unwrap() {
        batch.clear();
        scan.rows().for_each(|(key, _)| batch.delete(FILLING, key));
        engine.append(&batch).unwrap();
        engine.sync().unwrap();
    }
}

#[test]
fn a_failed_write_is_final_and_what_was_synced_is_found_again() {
    let Some(disk) = Small::mount(60) else { return };
    let ballast = disk.path().join("ballast");
    world::write(&ballast, &vec![1; 20 << 20]);
    let path = disk.path().join("messages");
    let options = Options { memtable: 1 << 20, reserve: Some(0), ..Options::default() };
    let mut engine = DiskEngine::open(&path, &options).unwrap();
    let (synced, broken) = fill_until_error(&mut engine);
    assert_eq!(engine.append(&numbered(synced)), Err(broken.clone()));
    assert_eq!(engine.sync(), Err(broken.clone()));
    assert!(broken.to_string().contains(path.to_str().unwrap()), "{broken}");
    assert!(count(&engine).unwrap() >= synced, "reads go on");
    drop(engine);
    fs::remove_file(ballast).unwrap();
    let engine = DiskEngine::open(&path, &options).unwrap();
    assert!(count(&engine).unwrap() >= synced);
}

/// Gives how many batches were synced, and what then happened.
fn fill_until_error(engine: &mut DiskEngine) -> (u32, Broken) {
    for number in 0.. {
        if let Err(error) = fill(engine, number) {
            return (number, error);
        }
    }
    unreachable!("the file system is small")
}
