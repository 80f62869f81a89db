//! Compares engines on the shape "100 publishers to 100 offline sessions": each message puts a body and a place, later
//! both are deleted. The decision that came of it: `docs/decisions/storage-engine.md`.
//!
//! ```sh
//! cargo run --release -p keyward-engine --example compare -- /var/tmp 10       # seconds for each row
//! cargo run --release -p keyward-engine --example compare -- /var/tmp 10 1000  # groups of 1000 only
//! ```
#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a measurement that cannot set itself up has to fail"
)]
#![allow(clippy::disallowed_methods, reason = "it measures time, in a directory of its own")]

mod engines;

use engines::{Candidate, Disk, Log, Redb};
use keyward_store::{Batch, Table};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const BODIES: Table = Table::new(0);
const PLACES: Table = Table::new(1);
const SESSIONS: u64 = 100;
const SCANNED: u64 = 1_000_000;

type Open = fn(&Path) -> Box<dyn Candidate>;

const CANDIDATES: [(&str, Open); 3] = [
    ("fjall", |path| Box::new(Disk::open(path))),
    ("redb", |path| Box::new(Redb::open(path))),
    ("log", |path| Box::new(Log::open(path))),
];

fn main() {
    let mut arguments = std::env::args().skip(1);
    let parent = arguments.next().unwrap_or_else(|| "/var/tmp".to_owned());
    let seconds = arguments.next().map_or(5, |seconds| seconds.parse().unwrap());
    let only: Option<u64> = arguments.next().map(|group| group.parse().unwrap());
    let directory = tempfile::TempDir::new_in(parent).unwrap();
    println!(
        "| engine | body | group | messages/s | bytes written per payload byte | sync p50 ms | p99 | max | threads | descriptors | RSS MiB |"
    );
    println!("|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
    for body in [64, 1024] {
        for group in [1, 100, 1000].into_iter().filter(|group| only.is_none_or(|only| only == *group)) {
            for (name, open) in CANDIDATES {
                let path = directory.path().join(format!("{name}-{body}-{group}"));
                measure(name, open(&path).as_mut(), body, group, Duration::from_secs(seconds));
                drop(fs::remove_dir_all(&path));
            }
        }
    }
    println!(
        "\n| engine | 1,000,000 places: write s | reopen s | scan s | bytes on disk MiB |\n|---|---:|---:|---:|---:|"
    );
    for (name, open) in CANDIDATES {
        reopen(name, open, &directory.path().join(name));
    }
}

/// Puts messages in groups, and deletes what was put 20,000 messages ago.
fn measure(name: &str, engine: &mut dyn Candidate, body: usize, group: u64, time: Duration) {
    let payload: Vec<u8> = (0..body).map(|i| (i * 7) as u8).collect();
    let (mut batch, mut syncs, mut number) = (Batch::new(), Vec::new(), 0);
    let (start, written) = (Instant::now(), write_bytes());
    while start.elapsed() < time {
        for _ in 0..group {
            batch.clear();
            put(&mut batch, number, &payload);
            if let Some(old) = u64::checked_sub(number, 20_000) {
                delete(&mut batch, old);
            }
            engine.append(&batch);
            number += 1;
        }
        let before = Instant::now();
        engine.sync();
        syncs.push(before.elapsed());
    }
    let rate = number as f64 / start.elapsed().as_secs_f64();
    let amplification = (write_bytes() - written) as f64 / (number * body as u64) as f64;
    syncs.sort_unstable();
    let at = |percent: usize| syncs[(syncs.len() - 1) * percent / 100].as_secs_f64() * 1e3;
    println!(
        "| {name} | {body} | {group} | {rate:.0} | {amplification:.1} | {:.1} | {:.1} | {:.0} | {} | {} | {} |",
        at(50),
        at(99),
        at(100),
        status("Threads:"),
        fs::read_dir("/proc/self/fd").unwrap().count(),
        status("VmRSS:") / 1024,
    );
}

/// Writes a million messages in groups of 1,000, then closes, opens and scans the places.
fn reopen(name: &str, open: Open, path: &Path) {
    let (mut engine, mut batch, start) = (open(path), Batch::new(), Instant::now());
    for number in 0..SCANNED {
        batch.clear();
        put(&mut batch, number, &[7; 64]);
        engine.append(&batch);
        if number % 1_000 == 999 {
            engine.sync();
        }
    }
    drop(engine);
    let (written, start) = (start.elapsed(), Instant::now());
    let engine = open(path);
    let (opened, start) = (start.elapsed(), Instant::now());
    assert_eq!(engine.scan(PLACES), SCANNED);
    let seconds = |time: Duration| time.as_secs_f64();
    let (w, o, s) = (seconds(written), seconds(opened), seconds(start.elapsed()));
    println!("| {name} | {w:.1} | {o:.2} | {s:.2} | {} |", size(path) >> 20);
}

fn put(batch: &mut Batch, number: u64, payload: &[u8]) {
    batch.put(BODIES, &number.to_be_bytes(), payload);
    batch.put(PLACES, &place(number), &[5; 24]);
}

fn delete(batch: &mut Batch, number: u64) {
    batch.delete(PLACES, &place(number));
    batch.delete(BODIES, &number.to_be_bytes());
}

/// The key of a place: the session's incarnation, then the place in its queue.
fn place(number: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&(number % SESSIONS).to_be_bytes());
    key[8..].copy_from_slice(&(number / SESSIONS).to_be_bytes());
    key
}

fn write_bytes() -> u64 {
    let io = fs::read_to_string("/proc/self/io").unwrap();
    io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).unwrap().parse().unwrap()
}

fn status(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let value = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
    value.split_whitespace().next().unwrap().parse().unwrap()
}

fn size(path: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(path).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| if path.is_dir() { size(&path) } else { path.metadata().unwrap().blocks() * 512 })
        .sum()
}
