//! Reads what can be read of a message store with damaged files, for the new one that takes its place.
//!
//! What a message says, and what is retained, may have holes: a place whose message is lost is left out at the start, as after a
//! crash. Everything that says what was sent and what has arrived has to read whole, or none of it comes back: a session with a
//! hole in it would get messages of QoS 2 twice. So either all sessions come back, short of some messages, or only retained
//! messages do.
//!
//! Of a store with a damaged journal, what is before the damage is read (`DiskEngine::open_prefix`): a prefix of what was written, so
//! that nothing is there without what came before it.
//!
//! What is not here: a store that does not open at all, because a list of files is damaged. It is not read.

use keyward_broker::persist::{Kind, kind_of};
use keyward_store::{Batch, Broken, Engine, Read, Scan, Table};

/// Bytes of rows that are written at a time.
const BATCH_BYTES: usize = 1 << 20;

/// Bytes of a key up to which the end of a hole is looked for, or as many as the last key before it has.
const PRECISION: usize = 64;

/// Says what came of it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Salvaged {
    /// Rows that are in the new store.
    pub(crate) rows: u64,
    /// Places in which something could not be read; how much was there nobody knows.
    pub(crate) holes: u64,
    /// Whether sessions and what waits for them are among the rows.
    pub(crate) sessions: bool,
}

/// Copies what can be read and may be kept. The new store is synced.
///
/// # Errors
/// The new one cannot be written.
pub(crate) fn salvage(damaged: &dyn Read, new: &mut dyn Engine) -> Result<Salvaged, Broken> {
    let mut salvaged = Salvaged::default();
    let is_whole = |table: Table| table_reads(damaged, table);
    let of_kind = |kind| Table::all().filter(move |table| kind_of(*table) == kind);
    // Without the key of hashes nothing finds its shard.
    if !of_kind(Kind::Root).all(is_whole) {
        return Ok(salvaged);
    }
    salvaged.sessions = of_kind(Kind::Exact).all(is_whole);
    for table in Table::all() {
        let is_kept = match kind_of(table) {
            Kind::Root | Kind::Alone => true,
            Kind::Exact | Kind::Referred => salvaged.sessions,
        };
        if is_kept {
            copy(damaged, table, new, &mut salvaged)?;
        }
    }
    new.sync()?;
    Ok(salvaged)
}

fn table_reads(store: &dyn Read, table: Table) -> bool {
    let mut scan = Scan::of(table, b"");
    loop {
        match store.next_page(&mut scan) {
            Ok(true) => {}
            Ok(false) => return true,
            Err(_) => return false,
        }
    }
}

fn copy(store: &dyn Read, table: Table, new: &mut dyn Engine, salvaged: &mut Salvaged) -> Result<(), Broken> {
    let (mut batch, mut last) = (Batch::new(), Vec::new());
    while let Some(key) = read_on(store, table, last, &mut |key, value| {
        batch.put(table, key, value);
        salvaged.rows += 1;
        if batch.bytes() >= BATCH_BYTES {
            new.append(&batch)?;
            batch.clear();
        }
        Ok(())
    })? {
        salvaged.holes += 1;
        match behind_the_hole(store, table, &key) {
            Some(start) => last = start,
            None => break,
        }
    }
    new.append(&batch)
}

/// Reads behind a key to the end, or to the first row that cannot be read: then returns the last key before it, or the one
/// that it began behind.
fn read_on(
    store: &dyn Read,
    table: Table,
    after: Vec<u8>,
    take: &mut impl FnMut(&[u8], &[u8]) -> Result<(), Broken>,
) -> Result<Option<Vec<u8>>, Broken> {
    let mut last = after;
    // Pages first; then, before the damage, row by row.
    for rows in [keyward_store::limits::PAGE_ROWS, 1] {
        let mut scan = Scan::of(table, b"").after(&last).rows_per_page(rows);
        loop {
            match store.next_page(&mut scan) {
                Ok(true) => {}
                Ok(false) => return Ok(None),
                Err(_) => break,
            }
            for (key, value) in scan.rows() {
                take(key, value)?;
                last = key.to_vec();
            }
        }
    }
    Ok(Some(last))
}

/// Finds the first key behind the damage, as far as halving finds it: where there is more than one, what lies between may be
/// lost too. `None`: nothing can be read any more.
fn behind_the_hole(store: &dyn Read, table: Table, before: &[u8]) -> Option<Vec<u8>> {
    let reads = |start: &[u8]| {
        let mut scan = Scan::of(table, b"").after(start).rows_per_page(1);
        store.next_page(&mut scan).is_ok()
    };
    let mut bad = before.to_vec();
    // Long enough to end between two keys that differ late.
    bad.resize(before.len().max(PRECISION), 0);
    let mut good = vec![u8::MAX; bad.len()];
    if !reads(&good) {
        return None;
    }
    loop {
        let middle = middle(&bad, &good);
        if middle == bad {
            return Some(good);
        }
        if reads(&middle) { good = middle } else { bad = middle }
    }
}

/// Returns what lies in the middle of two numbers of the same length, big-endian, rounded down.
fn middle(low: &[u8], high: &[u8]) -> Vec<u8> {
    let mut sum = vec![0; low.len()];
    let mut carry = 0;
    for at in (0..low.len()).rev() {
        let digits = u16::from(low[at]) + u16::from(high[at]) + carry;
        (sum[at], carry) = (digits as u8, digits >> 8);
    }
    for digit in &mut sum {
        let digits = carry << 8 | u16::from(*digit);
        (*digit, carry) = ((digits >> 1) as u8, digits & 1);
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_store::ReadError;
    use keyward_store::memory::MemoryEngine;
    use std::sync::Arc;

    const META: Table = Table::new(0);
    const SESSION: Table = Table::new(1);
    const MESSAGE: Table = Table::new(5);
    const RETAINED: Table = Table::new(7);

    /// A store in which a range of keys of one table cannot be read.
    struct Damaged {
        store: MemoryEngine,
        table: Table,
        from: Vec<u8>,
        to: Vec<u8>,
    }

    impl Read for Damaged {
        fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
            self.store.get(table, key)
        }

        fn next_page(&self, scan: &mut Scan) -> Result<bool, ReadError> {
            let mut page = scan.clone();
            let read = self.store.next_page(&mut page);
            let is_bad = |key: &[u8]| scan.table() == self.table && *key >= *self.from && *key < *self.to;
            if page.rows().any(|(key, _)| is_bad(key)) {
                return Err(ReadError::new("damaged"));
            }
            *scan = page;
            read
        }

        fn snapshot(&self) -> Arc<dyn Read> {
            self.store.snapshot()
        }
    }

    fn key(number: u64) -> Vec<u8> {
        number.to_be_bytes().to_vec()
    }

    fn topic(number: u64) -> Vec<u8> {
        format!("house/room/{number:04}").into_bytes()
    }

    /// A store with 1,000 rows in four tables, of which one is damaged.
    fn damaged(table: Table, from: Vec<u8>, to: Vec<u8>) -> Damaged {
        let (mut store, mut batch) = (MemoryEngine::new(), Batch::new());
        batch.put(META, b"hash-key", &[7; 16]);
        for number in 0..1_000 {
            batch.put(SESSION, &key(number), b"session");
            batch.put(MESSAGE, &key(number * 3), b"message");
            batch.put(RETAINED, &topic(number), b"retained");
        }
        store.append(&batch).unwrap();
        Damaged { store, table, from, to }
    }

    fn saved(damaged: &Damaged) -> (Salvaged, [u64; 3]) {
        let mut new = MemoryEngine::new();
        let salvaged = salvage(damaged, &mut new).unwrap();
        let count = |table| {
            let (mut scan, mut rows) = (Scan::of(table, b""), 0);
            while new.next_page(&mut scan).unwrap() {
                rows += scan.rows().count() as u64;
            }
            rows
        };
        (salvaged, [SESSION, MESSAGE, RETAINED].map(count))
    }

    #[test]
    fn lost_bodies_leave_the_sessions_and_all_other_messages() {
        let (salvaged, [sessions, messages, retained]) = saved(&damaged(MESSAGE, key(900), key(960)));
        assert!(salvaged.sessions && salvaged.holes >= 1, "{salvaged:?}");
        assert_eq!((sessions, retained), (1_000, 1_000));
        assert_eq!(messages, 980, "all that can be read");
        assert_eq!(salvaged.rows, 1 + sessions + messages + retained);
    }

    #[test]
    fn lost_retained_messages_leave_the_others() {
        let (salvaged, [sessions, messages, retained]) = saved(&damaged(RETAINED, topic(500), topic(520)));
        assert_eq!((salvaged.sessions, sessions, messages), (true, 1_000, 1_000));
        assert_eq!(retained, 980);
    }

    #[test]
    fn a_hole_in_what_was_sent_and_has_arrived_gives_up_all_sessions_and_keeps_what_is_retained() {
        let (salvaged, counts) = saved(&damaged(SESSION, key(3), key(4)));
        assert_eq!((salvaged.sessions, counts), (false, [0, 0, 1_000]));
    }

    #[test]
    fn damage_at_the_beginning_and_at_the_end_is_leapt_over() {
        let (_, [.., first]) = saved(&damaged(RETAINED, topic(0), topic(30)));
        assert_eq!(first, 970);
        let (_, [.., last]) = saved(&damaged(RETAINED, topic(990), topic(9_999)));
        assert_eq!(last, 990);
        let (_, [.., nothing]) = saved(&damaged(RETAINED, topic(0), topic(9_999)));
        assert_eq!(nothing, 0);
    }

    #[test]
    fn the_middle_of_two_numbers_lies_between_them() {
        assert_eq!(middle(&[0, 0], &[1, 1]), [0, 128]);
        assert_eq!(middle(&[255, 255], &[255, 255]), [255, 255]);
        assert_eq!(middle(&[1, 0], &[1, 1]), [1, 0]);
        assert_eq!(middle(&[128, 0], &[255, 255]), [191, 255]);
    }

    #[test]
    fn without_the_key_of_hashes_nothing_comes_back() {
        let (salvaged, counts) = saved(&damaged(META, b"a".to_vec(), b"z".to_vec()));
        assert_eq!((salvaged, counts), (Salvaged::default(), [0; 3]));
    }
}
