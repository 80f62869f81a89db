//! An ordered scan, page by page.

use crate::{ReadError, Table, limits};
use std::ops::Bound;

/// Is a scan in the order of keys: where it is, how far a page goes, and the page that was read last.
///
/// ```
/// # use keyward_store::{Read, ReadError, Scan, Table};
/// # fn print(reader: &dyn Read) -> Result<(), ReadError> {
/// let mut scan = Scan::of(Table::new(0), b"queue 7/");
/// while reader.next_page(&mut scan)? {
///     for (key, value) in scan.rows() {
///         println!("{key:?} {value:?}");
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Scan {
    table: Table,
    prefix: Vec<u8>,
    /// The scan goes on behind this key. Empty: at the beginning.
    after: Vec<u8>,
    rows_per_page: usize,
    bytes_per_page: usize,
    is_done: bool,
    page: Vec<u8>,
}

impl Scan {
    /// Begins a scan of the keys that begin with a prefix; an empty prefix is the whole table.
    #[must_use]
    pub fn of(table: Table, prefix: &[u8]) -> Self {
        Self {
            table,
            prefix: prefix.to_vec(),
            after: Vec::new(),
            rows_per_page: limits::PAGE_ROWS,
            bytes_per_page: limits::PAGE_BYTES,
            is_done: false,
            page: Vec::new(),
        }
    }

    /// Begins behind a key, which need not exist.
    #[must_use]
    pub fn after(mut self, key: &[u8]) -> Self {
        self.after = key.to_vec();
        self
    }

    /// Sets the most rows of a page, at least one.
    #[must_use]
    pub fn rows_per_page(mut self, rows: usize) -> Self {
        self.rows_per_page = rows.max(1);
        self
    }

    /// Sets the most bytes of keys and values of a page. The first row is given even if it is longer.
    #[must_use]
    pub fn bytes_per_page(mut self, bytes: usize) -> Self {
        self.bytes_per_page = bytes;
        self
    }

    /// Lists the rows of the page that was read last, key and value, in the order of keys.
    #[must_use]
    pub fn rows(&self) -> Rows<'_> {
        Rows { rest: &self.page }
    }

    /// Tells whether nothing came after this page when it was read. Such a scan gives no more pages; who waits for more
    /// begins a new one behind the last key.
    #[must_use]
    pub fn is_done(&self) -> bool {
        self.is_done
    }

    /// Tells the table; for engines.
    #[must_use]
    pub fn table(&self) -> Table {
        self.table
    }

    /// Tells where the next page begins; for engines.
    #[must_use]
    pub fn start(&self) -> Bound<&[u8]> {
        if !self.after.is_empty() && self.after >= self.prefix {
            Bound::Excluded(&self.after)
        } else if self.prefix.is_empty() {
            Bound::Unbounded
        } else {
            Bound::Included(&self.prefix)
        }
    }

    /// Tells behind which key no page of this scan goes; for engines, which then step over nothing that comes after it.
    #[must_use]
    pub fn end(&self) -> Bound<Vec<u8>> {
        let mut end = self.prefix.clone();
        while let Some(last) = end.pop() {
            if last < u8::MAX {
                end.push(last + 1);
                return Bound::Excluded(end);
            }
        }
        Bound::Unbounded
    }

    /// Fills the page from the rows of the table in order from [`Scan::start`] on, and tells whether it holds anything;
    /// for engines. It takes no more from `rows` than it needs to.
    ///
    /// # Errors
    /// The first error of `rows`. The page is then empty, and the scan stays where it was.
    pub fn fill<K, V>(
        &mut self,
        rows: impl IntoIterator<Item = Result<(K, V), ReadError>>,
    ) -> Result<bool, ReadError>
    where
        K: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        self.page.clear();
        if self.is_done {
            return Ok(false);
        }
        let filled = self.take(rows.into_iter());
        if filled.is_err() {
            self.page.clear();
        }
        let (last, is_done) = filled?;
        if let Some(key) = last {
            self.after.clear();
            self.after.extend_from_slice(key.as_ref());
        }
        self.is_done = is_done;
        Ok(!self.page.is_empty())
    }

    /// Gives the last key that was taken, and whether nothing comes after it.
    fn take<K, V>(
        &mut self,
        rows: impl Iterator<Item = Result<(K, V), ReadError>>,
    ) -> Result<(Option<K>, bool), ReadError>
    where
        K: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let (mut last, mut count, mut bytes) = (None, 0, 0);
        for row in rows {
            let (key, value) = row?;
            if !key.as_ref().starts_with(&self.prefix) {
                return Ok((last, true));
            }
            bytes += key.as_ref().len() + value.as_ref().len();
            if count > 0 && bytes > self.bytes_per_page {
                return Ok((last, false));
            }
            push(&mut self.page, key.as_ref(), value.as_ref());
            last = Some(key);
            count += 1;
            if count >= self.rows_per_page || bytes >= self.bytes_per_page {
                return Ok((last, false));
            }
        }
        Ok((last, true))
    }
}

fn push(page: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    page.extend((key.len() as u16).to_le_bytes());
    page.extend((value.len() as u32).to_le_bytes());
    page.extend_from_slice(key);
    page.extend_from_slice(value);
}

/// Lists the rows of a page: key and value.
#[derive(Debug, Clone)]
pub struct Rows<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Rows<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (key, rest) = self.rest.split_first_chunk::<2>()?;
        let (value, rest) = rest.split_first_chunk::<4>()?;
        let (key, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes(*key)))?;
        let (value, rest) = rest.split_at_checked(u32::from_le_bytes(*value) as usize)?;
        self.rest = rest;
        Some((key, value))
    }
}
