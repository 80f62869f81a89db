//! Measures how many messages an outbox takes in a second, and what each costs the disk:
//! `cargo run --release -p keyward-device --example outbox -- FOLDER`.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool: it prints, and stops when it cannot")]
#![allow(clippy::disallowed_methods, reason = "it measures time")]

use keyward_device::{Entry, FileStore, Outbox, Settings};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How long one figure is measured.
const EACH: Duration = Duration::from_secs(2);

fn main() {
    let Some(folder) = std::env::args().nth(1).map(PathBuf::from) else {
        println!("name an empty folder");
        return;
    };
    let keys = FileStore::create(folder.join("keys")).unwrap();
    // A signed reading of 64 bytes has 165 (docs/mqsec1.md).
    let entry = Entry::new("plant/pump-1/temperature", vec![0; 165]);
    for batch in [1, 16, 256] {
        let settings = Settings { max_entries: 1_000_000, max_bytes: 1 << 30, ..Settings::default() };
        let mut outbox = Outbox::open(&folder.join(format!("outbox-{batch}")), settings, &keys).unwrap();
        let entries = vec![entry.clone(); batch];
        let (begin, mut stored) = (Instant::now(), 0);
        while begin.elapsed() < EACH && stored < 500_000 {
            outbox.append(&entries).unwrap();
            stored += batch as u64;
        }
        let seconds = begin.elapsed().as_secs_f64();
        let bytes = outbox.status().bytes as f64 / stored as f64;
        println!(
            "batches of {batch:3}: {:8.0} messages a second, {bytes:.0} bytes each",
            stored as f64 / seconds
        );
    }
}
