//! The vocabulary of the engine's tests: homes on disk, numbered batches, copies of directories.
#![allow(dead_code, reason = "each test file uses a part of it")]

use keyward_engine::{DiskEngine, OpenError, Options};
use keyward_store::suite::Home;
use keyward_store::{Batch, Engine, Read, ReadError, Scan, Table};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

pub(crate) const BODIES: Table = Table::new(2);
pub(crate) const PLACES: Table = Table::new(9);

/// Makes a directory, in memory where there is such: nothing here cuts the power, and making a store syncs a hundred times.
pub(crate) fn directory() -> TempDir {
    TempDir::new_in("/dev/shm").or_else(|_| TempDir::new()).unwrap()
}

/// Has one directory; a new engine begins it again.
pub(crate) struct Disk {
    pub(crate) options: Options,
    directory: TempDir,
}

impl Disk {
    pub(crate) fn new(options: Options) -> Self {
        Self { options, directory: directory() }
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.directory.path().join("messages")
    }

    pub(crate) fn open(&self) -> DiskEngine {
        DiskEngine::open(self.path(), &self.options).unwrap()
    }
}

impl Home for Disk {
    fn open_new(&mut self) -> Box<dyn Engine> {
        self.directory = directory();
        Box::new(self.open())
    }

    fn reopen(&mut self, engine: Box<dyn Engine>) -> Box<dyn Engine> {
        drop(engine);
        Box::new(self.open())
    }
}

/// A batch over two tables, told apart by its number.
pub(crate) fn numbered(number: u32) -> Batch {
    let mut batch = Batch::new();
    batch.put(PLACES, &number.to_be_bytes(), b"place");
    batch.put(BODIES, &number.to_be_bytes(), &[number as u8; 40]);
    batch
}

/// Appends numbered batches and syncs once.
pub(crate) fn keep(engine: &mut DiskEngine, numbers: std::ops::Range<u32>) {
    for number in numbers {
        engine.append(&numbered(number)).unwrap();
    }
    engine.sync().unwrap();
}

type Row = (Vec<u8>, Vec<u8>);

pub(crate) fn rows(engine: &dyn Read, table: Table) -> Result<Vec<Row>, ReadError> {
    let mut scan = Scan::of(table, b"");
    let mut rows = Vec::new();
    while engine.next_page(&mut scan)? {
        rows.extend(scan.rows().map(|(key, value)| (key.to_vec(), value.to_vec())));
    }
    Ok(rows)
}

/// Tells how many numbered batches are there, which have to be whole and the first ones.
pub(crate) fn count(engine: &dyn Read) -> Result<u32, ReadError> {
    let (places, bodies) = (rows(engine, PLACES)?, rows(engine, BODIES)?);
    assert_eq!(places.len(), bodies.len(), "half a batch");
    for (number, ((place, _), (body, value))) in (0_u32..).zip(places.iter().zip(&bodies)) {
        assert_eq!(place, &number.to_be_bytes(), "not a prefix");
        assert_eq!(body, &number.to_be_bytes(), "not a prefix");
        assert_eq!(value, &[number as u8; 40], "another value");
    }
    Ok(places.len() as u32)
}

/// Opens a directory and counts.
pub(crate) fn open_and_count(directory: &Path) -> Result<Result<u32, ReadError>, OpenError> {
    let engine = DiskEngine::open(directory, &Options::default())?;
    Ok(count(&engine))
}

/// Lists all files below a directory, sorted.
pub(crate) fn files(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(self::files(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Copies a directory; long ends of zeros become holes.
pub(crate) fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            write(&to, &fs::read(&from).unwrap());
        }
    }
}

/// Writes a file anew; a long end of zeros becomes a hole.
pub(crate) fn write(path: &Path, bytes: &[u8]) {
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(path).unwrap();
    file.write_all(&bytes[..used(bytes)]).unwrap();
    file.set_len(bytes.len() as u64).unwrap();
}

/// Tells how long the bytes are without the zeros at their end; by blocks first, for there are many.
pub(crate) fn used(bytes: &[u8]) -> usize {
    let zeros = bytes.rchunks(4096).take_while(|block| **block == [0; 4096][..block.len()]).map(<[u8]>::len);
    let bytes = &bytes[..bytes.len() - zeros.sum::<usize>()];
    bytes.iter().rposition(|byte| *byte != 0).map_or(0, |last| last + 1)
}

/// Gives the newest journal.
pub(crate) fn journal(directory: &Path) -> PathBuf {
    let mut journals = files(&directory.join("data"));
    journals.retain(|path| path.extension().is_some_and(|extension| extension == "jnl"));
    journals.sort_by_key(|path| path.file_stem().unwrap().to_str().unwrap().parse::<u64>().unwrap());
    journals.pop().unwrap()
}
