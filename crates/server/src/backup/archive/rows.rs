//! Rows of the message store, one behind the other: table `u8`, length of the key `u16`, length of the value `u32`, key, value.

use super::ArchiveError;
use crate::backup::limits::CHUNK_BYTES;
use keyward_store::{Read as Store, ReadError, Scan, Table, limits};
use std::io::{self, Read};

/// Reads all tables of a store and gives the rows in chunks of about [`CHUNK_BYTES`], and how many rows are in each.
///
/// # Errors
/// Something cannot be read, or `take` fails.
pub(crate) fn chunks<E: From<ReadError>>(
    store: &dyn Store,
    mut take: impl FnMut(&[u8], u64) -> Result<(), E>,
) -> Result<(), E> {
    let (mut chunk, mut rows) = (Vec::new(), 0);
    for table in Table::all() {
        let mut scan = Scan::of(table, b"");
        while store.next_page(&mut scan)? {
            for (key, value) in scan.rows() {
                push(&mut chunk, table, key, value);
                rows += 1;
                if chunk.len() >= CHUNK_BYTES {
                    take(&chunk, rows)?;
                    (chunk, rows) = (Vec::new(), 0);
                }
            }
        }
    }
    if rows > 0 { take(&chunk, rows) } else { Ok(()) }
}

fn push(chunk: &mut Vec<u8>, table: Table, key: &[u8], value: &[u8]) {
    chunk.push(table.number());
    chunk.extend((key.len() as u16).to_be_bytes());
    chunk.extend((value.len() as u32).to_be_bytes());
    chunk.extend_from_slice(key);
    chunk.extend_from_slice(value);
}

/// Reads rows to the end.
///
/// # Errors
/// They are cut, or a length is impossible; or `take` fails.
pub(crate) fn read<E: From<ArchiveError>>(
    source: &mut dyn Read,
    mut take: impl FnMut(Table, &[u8], &[u8]) -> Result<(), E>,
) -> Result<u64, E> {
    let (mut key, mut value, mut rows) = (Vec::new(), Vec::new(), 0);
    let damaged = || ArchiveError::damaged("a row of the message store does not read");
    while let Some(number) = first(source).map_err(ArchiveError::read)? {
        let mut lengths = [0; 6];
        exact(source, &mut lengths)?;
        let [k0, k1, v0, v1, v2, v3] = lengths;
        let key_len = usize::from(u16::from_be_bytes([k0, k1]));
        let value_len = u32::from_be_bytes([v0, v1, v2, v3]) as usize;
        if usize::from(number) >= limits::TABLES || key_len == 0 || value_len > limits::VALUE_BYTES {
            return Err(damaged().into());
        }
        fill(source, &mut key, key_len)?;
        fill(source, &mut value, value_len)?;
        take(Table::new(number), &key, &value)?;
        rows += 1;
    }
    Ok(rows)
}

fn first(source: &mut dyn Read) -> io::Result<Option<u8>> {
    let mut byte = [0];
    loop {
        match source.read(&mut byte) {
            Ok(0) => return Ok(None),
            Ok(_) => return Ok(Some(byte[0])),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn exact(source: &mut dyn Read, into: &mut [u8]) -> Result<(), ArchiveError> {
    source.read_exact(into).map_err(ArchiveError::read)
}

/// Reads so many bytes. Room is made for what comes, not for what is announced.
fn fill(source: &mut dyn Read, buffer: &mut Vec<u8>, len: usize) -> Result<(), ArchiveError> {
    buffer.clear();
    let read = source.take(len as u64).read_to_end(buffer).map_err(ArchiveError::read)?;
    if read == len { Ok(()) } else { Err(ArchiveError::damaged("a row of the message store is cut off")) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_store::memory::MemoryEngine;
    use keyward_store::{Batch, Engine};

    type Row = (Table, Vec<u8>, Vec<u8>);

    fn parsed(mut bytes: &[u8]) -> Result<Vec<Row>, ArchiveError> {
        let mut rows = Vec::new();
        read(&mut bytes, |table, key, value| -> Result<(), ArchiveError> {
            rows.push((table, key.to_vec(), value.to_vec()));
            Ok(())
        })?;
        Ok(rows)
    }

    #[test]
    fn all_rows_come_back_in_their_order_in_chunks() {
        let (mut engine, mut batch, mut expected) = (MemoryEngine::new(), Batch::new(), Vec::new());
        for table in Table::all() {
            for number in 0..40_u8 {
                let row = (table, vec![number + 1], vec![number; usize::from(number) * 1_500]);
                batch.put(row.0, &row.1, &row.2);
                expected.push(row);
            }
        }
        engine.append(&batch).unwrap();
        let (mut found, mut sizes) = (Vec::new(), Vec::new());
        chunks(&engine, |chunk, rows| -> Result<(), ReadError> {
            let parsed = parsed(chunk).unwrap();
            assert_eq!(parsed.len() as u64, rows);
            found.extend(parsed);
            sizes.push(chunk.len());
            Ok(())
        })
        .unwrap();
        assert!(found == expected, "other rows");
        assert!(sizes.len() > 3 && sizes.iter().all(|size| *size < CHUNK_BYTES + 70_000), "{sizes:?}");
    }

    #[test]
    fn rows_that_are_cut_or_impossible_are_refused() {
        let mut whole = Vec::new();
        push(&mut whole, Table::new(3), b"key", b"value");
        assert_eq!(parsed(&whole).unwrap().len(), 1);
        for end in 1..whole.len() {
            assert!(parsed(&whole[..end]).is_err(), "{end} bytes");
        }
        for (at, byte) in [(0, 16), (2, 0), (3, 0xFF)] {
            let mut bad = whole.clone();
            bad[at] = byte;
            assert!(parsed(&bad).is_err(), "byte {at}");
        }
    }
}
