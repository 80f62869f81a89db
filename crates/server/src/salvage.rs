//! Copies what can be read of a damaged message store into a new one. What belonged to something that could not be read is
//! then nobody's, and is tidied up at the start as after a crash.

use keyward_store::{Batch, Broken, Engine, Read, Scan, Table};

/// Copies table by table; of each what comes before the first row that does not read. Returns how many rows that were, and
/// what was in the way, in sentences.
///
/// # Errors
/// The new store cannot be written.
pub(crate) fn salvage(from: &dyn Read, to: &mut dyn Engine) -> Result<(usize, Vec<String>), Broken> {
    let (mut rows, mut lost) = (0, Vec::new());
    for table in Table::all() {
        rows += copy(table, from, to, &mut lost)?;
    }
    to.sync()?;
    Ok((rows, lost))
}

fn copy(table: Table, from: &dyn Read, to: &mut dyn Engine, lost: &mut Vec<String>) -> Result<usize, Broken> {
    let (mut rows, mut batch, mut last) = (0, Batch::new(), Vec::new());
    let (mut scan, mut is_by_row) = (Scan::of(table, b""), false);
    loop {
        match from.next_page(&mut scan) {
            Ok(true) => {}
            Ok(false) => return Ok(rows),
            // A page is given whole or not at all: what is sound of it comes row by row.
            Err(_) if !is_by_row => {
                (scan, is_by_row) = (Scan::of(table, b"").after(&last).rows_per_page(1), true);
                continue;
            }
            Err(error) => {
                lost.push(format!("table {} behind its first {rows} rows: {error}", table.number()));
                return Ok(rows);
            }
        }
        batch.clear();
        for (key, value) in scan.rows() {
            batch.put(table, key, value);
            last.clear();
            last.extend_from_slice(key);
            rows += 1;
        }
        to.append(&batch)?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_store::ReadError;
    use keyward_store::memory::MemoryEngine;

    const SOUND: Table = Table::new(1);
    const DAMAGED: Table = Table::new(5);

    /// A store one of whose tables does not read at a row.
    struct DamagedAt(MemoryEngine, &'static [u8]);

    impl Read for DamagedAt {
        fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
            self.0.get(table, key)
        }

        fn next_page(&self, scan: &mut Scan) -> Result<bool, ReadError> {
            let mut ahead = scan.clone();
            let found = self.0.next_page(&mut ahead)?;
            if ahead.table() == DAMAGED && ahead.rows().any(|(key, _)| key >= self.1) {
                return Err(ReadError::new("a block has another checksum"));
            }
            *scan = ahead;
            Ok(found)
        }
    }

    fn keys(store: &dyn Read, table: Table) -> Vec<u8> {
        let (mut scan, mut keys) = (Scan::of(table, b""), Vec::new());
        while store.next_page(&mut scan).unwrap() {
            keys.extend(scan.rows().map(|(key, _)| key[0]));
        }
        keys
    }

    #[test]
    fn everything_before_the_damage_and_all_other_tables_are_copied() {
        let (mut sound, mut batch) = (MemoryEngine::new(), Batch::new());
        for key in 0..9_u8 {
            batch.put(SOUND, &[key], b"kept");
            batch.put(DAMAGED, &[key], b"kept");
        }
        sound.append(&batch).unwrap();
        let mut copy = MemoryEngine::new();
        let (rows, lost) = salvage(&DamagedAt(sound, &[6]), &mut copy).unwrap();
        assert_eq!(keys(&copy, SOUND), (0..9).collect::<Vec<_>>());
        assert_eq!(keys(&copy, DAMAGED), (0..6).collect::<Vec<_>>());
        assert_eq!(rows, 15);
        assert_eq!(lost.len(), 1);
        assert!(
            lost[0].contains("table 5 behind its first 6 rows") && lost[0].contains("checksum"),
            "{lost:?}"
        );
    }
}
