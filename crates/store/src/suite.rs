//! What every engine must do. An engine's tests run [`run`], and [`run_reopening`] if it keeps anything.
//!
//! Each function below is one claim; it panics where an engine breaks it.
#![allow(clippy::expect_used, reason = "a claim that fails has to panic")]

use crate::{Batch, Engine, Read, Scan, Table};
use std::collections::BTreeMap;

const PLACES: Table = Table::new(0);
const BODIES: Table = Table::new(1);
const LAST: Table = Table::new(15);

/// Gives engines to the claims that close one and open it again.
pub trait Home {
    /// Opens a new, empty engine.
    fn open_new(&mut self) -> Box<dyn Engine>;

    /// Closes an engine in order and opens what it left.
    fn reopen(&mut self, engine: Box<dyn Engine>) -> Box<dyn Engine>;
}

/// Checks everything that an engine does while it is open; `open_new` opens a new, empty one each time.
pub fn run(open_new: &mut dyn FnMut() -> Box<dyn Engine>) {
    let claims: [fn(&mut dyn Engine); 13] = [
        what_is_appended_is_seen_at_once_by_all_readers,
        a_later_change_wins_within_a_batch_and_between_batches,
        deleting_what_is_absent_changes_nothing,
        an_empty_value_is_not_an_absent_one,
        tables_do_not_see_each_other,
        an_empty_batch_changes_nothing,
        a_large_value_comes_back_whole,
        a_scan_goes_in_the_order_of_bytes,
        a_scan_keeps_to_its_prefix,
        a_scan_begins_behind_a_key,
        a_page_keeps_to_its_rows_and_bytes,
        a_scan_goes_on_while_the_table_changes,
        a_snapshot_stands_still_while_the_tables_change,
    ];
    for claim in claims {
        claim(open_new().as_mut());
    }
}

/// Checks what is left after closing in order and opening again.
pub fn run_reopening(home: &mut dyn Home) {
    let claims: [fn(&mut dyn Home); 3] = [
        what_was_synced_is_there_after_reopening,
        what_was_not_synced_is_a_prefix_after_reopening,
        thousands_of_changes_are_those_of_a_map,
    ];
    for claim in claims {
        claim(home);
    }
}

fn what_is_appended_is_seen_at_once_by_all_readers(engine: &mut dyn Engine) {
    let reader = engine.reader();
    put(engine, PLACES, b"a", b"1");
    assert_eq!(value(engine, PLACES, b"a"), Some(b"1".to_vec()));
    let elsewhere = std::thread::spawn(move || reader.get(PLACES, b"a")).join().expect("the reader's thread");
    assert_eq!(elsewhere, Ok(Some(b"1".to_vec())));
    engine.sync().expect("a sync");
    assert_eq!(value(engine, PLACES, b"a"), Some(b"1".to_vec()));
}

fn a_later_change_wins_within_a_batch_and_between_batches(engine: &mut dyn Engine) {
    let mut batch = Batch::new();
    batch.put(PLACES, b"twice", b"1");
    batch.put(PLACES, b"twice", b"2");
    batch.put(PLACES, b"gone", b"1");
    batch.delete(PLACES, b"gone");
    batch.delete(PLACES, b"back");
    batch.put(PLACES, b"back", b"1");
    append(engine, &batch);
    assert_eq!(value(engine, PLACES, b"twice"), Some(b"2".to_vec()));
    assert_eq!(value(engine, PLACES, b"gone"), None);
    assert_eq!(value(engine, PLACES, b"back"), Some(b"1".to_vec()));
    batch.clear();
    batch.delete(PLACES, b"twice");
    append(engine, &batch);
    put(engine, PLACES, b"back", b"22");
    assert_eq!(value(engine, PLACES, b"twice"), None);
    assert_eq!(all(engine, PLACES), [row(b"back", b"22")]);
}

fn deleting_what_is_absent_changes_nothing(engine: &mut dyn Engine) {
    put(engine, PLACES, b"a", b"1");
    let mut batch = Batch::new();
    batch.delete(PLACES, b"b");
    batch.delete(BODIES, b"a");
    append(engine, &batch);
    assert_eq!(all(engine, PLACES), [row(b"a", b"1")]);
    assert_eq!(all(engine, BODIES), []);
}

fn an_empty_value_is_not_an_absent_one(engine: &mut dyn Engine) {
    put(engine, PLACES, b"a", b"");
    assert_eq!(value(engine, PLACES, b"a"), Some(Vec::new()));
    assert_eq!(all(engine, PLACES), [row(b"a", b"")]);
}

fn tables_do_not_see_each_other(engine: &mut dyn Engine) {
    for table in Table::all() {
        put(engine, table, b"key", &[table.number()]);
    }
    for table in Table::all() {
        assert_eq!(all(engine, table), [row(b"key", &[table.number()])]);
    }
    assert_eq!(Table::all().last(), Some(LAST));
}

fn an_empty_batch_changes_nothing(engine: &mut dyn Engine) {
    append(engine, &Batch::new());
    engine.sync().expect("a sync of nothing");
    assert_eq!(all(engine, PLACES), []);
}

fn a_large_value_comes_back_whole(engine: &mut dyn Engine) {
    let large: Vec<u8> = (0..3_000_000_u32).map(|i| (i % 251) as u8).collect();
    put(engine, BODIES, &[0xFF; 4_000], &large);
    assert!(value(engine, BODIES, &[0xFF; 4_000]) == Some(large), "another value");
}

fn a_scan_goes_in_the_order_of_bytes(engine: &mut dyn Engine) {
    for key in [&b"b"[..], b"\xFF", b"a\0", b"\0", b"a", b"\xFF\xFF", b"aa", b"\x7F"] {
        put(engine, PLACES, key, b"");
    }
    let keys: Vec<_> = all(engine, PLACES).into_iter().map(|(key, _)| key).collect();
    assert_eq!(keys, [&b"\0"[..], b"a", b"a\0", b"aa", b"b", b"\x7F", b"\xFF", b"\xFF\xFF"]);
}

fn a_scan_keeps_to_its_prefix(engine: &mut dyn Engine) {
    for key in [&b"p"[..], b"q", b"q1", b"q\xFF", b"r", b"\xFF\xFE", b"\xFF\xFF", b"\xFF\xFF\x01"] {
        put(engine, PLACES, key, b"");
    }
    let under = |prefix: &[u8]| -> Vec<_> {
        read(engine, Scan::of(PLACES, prefix)).into_iter().map(|(key, _)| key).collect()
    };
    assert_eq!(under(b"q"), [&b"q"[..], b"q1", b"q\xFF"]);
    assert_eq!(under(b"\xFF\xFF"), [&b"\xFF\xFF"[..], b"\xFF\xFF\x01"]);
    assert_eq!(under(b"s"), Vec::<Vec<u8>>::new());
}

fn a_scan_begins_behind_a_key(engine: &mut dyn Engine) {
    for key in [&b"a1"[..], b"b1", b"b2", b"b3", b"c1"] {
        put(engine, PLACES, key, b"");
    }
    let from = |after: &[u8]| -> Vec<_> {
        read(engine, Scan::of(PLACES, b"b").after(after)).into_iter().map(|(key, _)| key).collect()
    };
    assert_eq!(from(b"b1"), [b"b2", b"b3"]);
    assert_eq!(from(b"b10"), [b"b2", b"b3"]);
    assert_eq!(from(b"a"), [b"b1", b"b2", b"b3"], "a key before the prefix");
    assert_eq!(from(b"b3"), Vec::<Vec<u8>>::new());
    assert_eq!(from(b"c"), Vec::<Vec<u8>>::new(), "a key after the prefix");
}

fn a_page_keeps_to_its_rows_and_bytes(engine: &mut dyn Engine) {
    put(engine, PLACES, b"0", &[7; 1_000]);
    for key in 1..=9 {
        put(engine, PLACES, &[b'0' + key], &[7; 9]);
    }
    let by_rows = pages(engine, Scan::of(PLACES, b"").rows_per_page(4));
    assert_eq!(by_rows, [4, 4, 2]);
    let by_bytes = pages(engine, Scan::of(PLACES, b"").bytes_per_page(35));
    assert_eq!(by_bytes, [1, 3, 3, 3], "a long first row comes alone");
    let one_by_one = pages(engine, Scan::of(PLACES, b"").bytes_per_page(0));
    assert_eq!(one_by_one, [1; 10]);
}

fn a_scan_goes_on_while_the_table_changes(engine: &mut dyn Engine) {
    for key in [b"a", b"c", b"e", b"g"] {
        put(engine, PLACES, key, b"");
    }
    let mut scan = Scan::of(PLACES, b"").rows_per_page(2);
    assert_eq!(engine.next_page(&mut scan), Ok(true));
    let mut batch = Batch::new();
    batch.put(PLACES, b"b", b"");
    batch.delete(PLACES, b"c");
    batch.put(PLACES, b"d", b"");
    batch.delete(PLACES, b"e");
    append(engine, &batch);
    let rest: Vec<_> = read(engine, scan).into_iter().map(|(key, _)| key).collect();
    assert_eq!(rest, [b"d", b"g"]);
}

fn a_snapshot_stands_still_while_the_tables_change(engine: &mut dyn Engine) {
    for number in 0..50_u8 {
        put(engine, PLACES, &[number], b"before");
        put(engine, BODIES, &[number], b"before");
    }
    let snapshot = engine.reader().snapshot();
    let mut scan = Scan::of(PLACES, b"").rows_per_page(7);
    assert_eq!(snapshot.next_page(&mut scan), Ok(true));
    let seen: Vec<_> = scan.rows().map(|(key, value)| row(key, value)).collect();
    let mut batch = Batch::new();
    for number in 0..50_u8 {
        batch.put(PLACES, &[number, 0], b"after");
        batch.put(PLACES, &[number], b"after");
        batch.delete(BODIES, &[number]);
    }
    append(engine, &batch);
    engine.sync().expect("a sync");
    let before: Vec<_> = (0..50_u8).map(|number| row(&[number], b"before")).collect();
    let rest = read(snapshot.as_ref(), scan);
    assert!([seen, rest].concat() == before, "a table changed below a scan");
    assert!(read(snapshot.as_ref(), Scan::of(BODIES, b"")) == before, "a table changed");
    assert_eq!(snapshot.get(BODIES, &[7]), Ok(Some(b"before".to_vec())));
    assert_eq!(snapshot.get(PLACES, &[7, 0]), Ok(None));
    let again = snapshot.snapshot();
    drop(snapshot);
    assert_eq!(again.get(BODIES, &[7]), Ok(Some(b"before".to_vec())), "of a snapshot that is gone");
    assert_eq!(all(engine, PLACES).len(), 100);
    assert_eq!(all(engine, BODIES), []);
}

fn what_was_synced_is_there_after_reopening(home: &mut dyn Home) {
    let mut engine = home.open_new();
    put(engine.as_mut(), PLACES, b"kept", b"1");
    put(engine.as_mut(), PLACES, b"deleted", b"1");
    put(engine.as_mut(), LAST, b"other table", &[9; 100_000]);
    engine.sync().expect("a sync");
    let mut batch = Batch::new();
    batch.delete(PLACES, b"deleted");
    batch.put(PLACES, b"kept", b"2");
    append(engine.as_mut(), &batch);
    engine.sync().expect("a sync");
    for _ in 0..3 {
        engine = home.reopen(engine);
        assert_eq!(all(engine.as_ref(), PLACES), [row(b"kept", b"2")]);
        assert_eq!(all(engine.as_ref(), LAST), [row(b"other table", &[9; 100_000])]);
    }
}

fn what_was_not_synced_is_a_prefix_after_reopening(home: &mut dyn Home) {
    let mut engine = home.open_new();
    for number in 0..100_u8 {
        let mut batch = Batch::new();
        batch.put(PLACES, &[number], b"place");
        batch.put(BODIES, &[number], b"body");
        append(engine.as_mut(), &batch);
        if number == 49 {
            engine.sync().expect("a sync");
        }
    }
    let engine = home.reopen(engine);
    let places: Vec<u8> = all(engine.as_ref(), PLACES).into_iter().map(|(key, _)| key[0]).collect();
    let bodies: Vec<u8> = all(engine.as_ref(), BODIES).into_iter().map(|(key, _)| key[0]).collect();
    assert!(places.len() >= 50, "only {} batches, 50 were synced", places.len());
    assert_eq!(places, (0..places.len() as u8).collect::<Vec<_>>(), "not a prefix");
    assert_eq!(places, bodies, "half a batch");
}

fn thousands_of_changes_are_those_of_a_map(home: &mut dyn Home) {
    let mut engine = home.open_new();
    let mut map = BTreeMap::new();
    let mut state = 1_u64;
    let mut draw = move |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    let mut batch = Batch::new();
    for round in 0..3 {
        for _ in 0..300 {
            batch.clear();
            for _ in 0..draw(20) {
                let key = draw(500).to_be_bytes();
                if draw(3) == 0 {
                    batch.delete(PLACES, &key);
                    map.remove(key.as_slice());
                } else {
                    let value = vec![draw(256) as u8; draw(300) as usize];
                    batch.put(PLACES, &key, &value);
                    map.insert(key.to_vec(), value);
                }
            }
            append(engine.as_mut(), &batch);
        }
        let expected: Vec<_> = map.clone().into_iter().collect();
        assert!(all(engine.as_ref(), PLACES) == expected, "differs from the map in round {round}");
        engine.sync().expect("a sync");
        engine = home.reopen(engine);
        assert!(all(engine.as_ref(), PLACES) == expected, "differs after round {round} was reopened");
    }
}

fn append(engine: &mut dyn Engine, batch: &Batch) {
    engine.append(batch).expect("an append");
}

fn put(engine: &mut dyn Engine, table: Table, key: &[u8], value: &[u8]) {
    let mut batch = Batch::new();
    batch.put(table, key, value);
    append(engine, &batch);
}

fn value(engine: &dyn Engine, table: Table, key: &[u8]) -> Option<Vec<u8>> {
    engine.get(table, key).expect("a read")
}

fn row(key: &[u8], value: &[u8]) -> (Vec<u8>, Vec<u8>) {
    (key.to_vec(), value.to_vec())
}

fn all(engine: &dyn Engine, table: Table) -> Vec<(Vec<u8>, Vec<u8>)> {
    read(engine, Scan::of(table, b"").rows_per_page(7))
}

fn read(engine: &dyn Read, mut scan: Scan) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut rows = Vec::new();
    while engine.next_page(&mut scan).expect("a page") {
        rows.extend(scan.rows().map(|(key, value)| row(key, value)));
    }
    assert!(scan.is_done(), "the last page came and the scan is not done");
    rows
}

/// Gives the rows of each page.
fn pages(engine: &dyn Engine, mut scan: Scan) -> Vec<usize> {
    let mut pages = Vec::new();
    while engine.next_page(&mut scan).expect("a page") {
        pages.push(scan.rows().count());
    }
    pages
}
