//! The engines in memory pass the suite; the faulty one fails only as it is told to.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

use keyward_store::faulty::FaultyEngine;
use keyward_store::memory::MemoryEngine;
use keyward_store::suite::{self, Home};
use keyward_store::{Batch, Change, Engine, Read, Scan, Table};

const TABLE: Table = Table::new(3);

struct Faultless;

impl Home for Faultless {
    fn open_new(&mut self) -> Box<dyn Engine> {
        Box::new(FaultyEngine::new())
    }

    /// A close in order keeps everything, as far as an engine in memory can be closed.
    fn reopen(&mut self, engine: Box<dyn Engine>) -> Box<dyn Engine> {
        engine
    }
}

fn number(number: u8) -> Batch {
    let mut batch = Batch::new();
    batch.put(TABLE, &[number], b"first half");
    batch.put(TABLE, &[number, number], b"second half");
    batch
}

fn numbers(engine: &dyn Read) -> Vec<u8> {
    let mut scan = Scan::of(TABLE, b"");
    let mut keys = Vec::new();
    while engine.next_page(&mut scan).unwrap() {
        keys.extend(scan.rows().map(|(key, _)| key.to_vec()));
    }
    assert!(keys.chunks(2).all(|pair| pair[0].len() == 1 && pair[1].len() == 2), "half a batch");
    keys.iter().step_by(2).map(|key| key[0]).collect()
}

#[test]
fn the_memory_engine_passes_the_suite() {
    suite::run(&mut || Box::new(MemoryEngine::new()));
}

#[test]
fn the_faulty_engine_without_faults_passes_the_suite() {
    suite::run(&mut || Box::new(FaultyEngine::new()));
    suite::run_reopening(&mut Faultless);
}

#[test]
fn a_crash_keeps_what_was_synced_and_a_prefix_of_the_rest() {
    for keep in 0..=4 {
        let mut engine = FaultyEngine::new();
        engine.append(&number(1)).unwrap();
        engine.sync().unwrap();
        for later in 2..=4 {
            engine.append(&number(later)).unwrap();
        }
        assert_eq!((engine.unsynced(), numbers(&engine)), (3, vec![1, 2, 3, 4]));
        engine.crash(keep);
        let kept: Vec<u8> = (1..=4).take(1 + keep).collect();
        assert_eq!((engine.unsynced(), numbers(&engine)), (0, kept.clone()));
        engine.crash(0);
        assert_eq!(numbers(&engine), kept, "what was recovered is durable");
    }
}

#[test]
fn a_failed_sync_is_final_and_reads_go_on() {
    let mut engine = FaultyEngine::new();
    engine.append(&number(1)).unwrap();
    engine.break_at_next_sync();
    let broken = engine.sync().unwrap_err();
    assert_eq!(engine.sync(), Err(broken.clone()));
    assert_eq!(engine.append(&number(2)), Err(broken));
    assert_eq!(numbers(&*engine.reader()), [1]);
    engine.crash(0);
    assert_eq!(numbers(&engine), []);
    engine.append(&number(3)).unwrap();
    engine.sync().unwrap();
    assert_eq!(numbers(&engine), [3]);
}

#[test]
fn what_was_taken_is_kept_without_room_too() {
    let mut engine = FaultyEngine::new();
    engine.append(&number(1)).unwrap();
    engine.set_full(true);
    assert_eq!(engine.has_room(), Ok(false));
    engine.append(&number(2)).unwrap();
    engine.sync().unwrap();
    engine.set_full(false);
    assert_eq!((engine.has_room(), numbers(&engine)), (Ok(true), vec![1, 2]));
}

#[test]
fn a_failed_read_leaves_the_scan_where_it_was() {
    let mut engine = FaultyEngine::new();
    engine.append(&number(1)).unwrap();
    let reader = engine.reader();
    let mut scan = Scan::of(TABLE, b"").rows_per_page(1);
    assert_eq!(reader.next_page(&mut scan), Ok(true));
    engine.set_unreadable(true);
    assert!(reader.next_page(&mut scan).is_err() && reader.get(TABLE, &[1]).is_err());
    assert_eq!(scan.rows().count(), 0);
    engine.set_unreadable(false);
    assert_eq!(reader.next_page(&mut scan), Ok(true));
    assert_eq!(scan.rows().next(), Some((&[1, 1][..], &b"second half"[..])));
}

#[test]
fn a_batch_gives_back_its_changes_in_order() {
    let mut batch = Batch::new();
    batch.put(TABLE, b"k", b"");
    batch.delete(TABLE, &[0; 65_535]);
    batch.put(Table::new(15), b"l", b"value");
    let changes: Vec<_> = batch.changes().collect();
    assert_eq!(
        changes,
        [
            Change::Put { table: TABLE, key: b"k", value: b"" },
            Change::Delete { table: TABLE, key: &[0; 65_535] },
            Change::Put { table: Table::new(15), key: b"l", value: b"value" },
        ]
    );
    assert_eq!(batch.bytes(), 3 * 8 + 1 + 65_535 + 1 + 5);
    batch.clear();
    assert!(batch.is_empty() && batch.changes().next().is_none());
}
