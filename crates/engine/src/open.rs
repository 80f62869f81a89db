//! Opens a directory as an engine; appends, syncs and reads.

use crate::lsm::{self, Lsm, Snapshot};
use crate::making_room::MakingRoom;
use crate::marks::Synced;
use crate::options::{Durability, Options};
use crate::room::Room;
use crate::{OpenError, files, format, journal, layout};
use keyward_store::{Batch, Broken, Engine, Read, ReadError, Scan, Table};
use std::fmt;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Keeps batches on disk. It is closed when it and all its readers are dropped.
pub struct DiskEngine {
    /// Is dropped first: its thread has the database open, which the lock in `shared` guards.
    making_room: MakingRoom,
    shared: DiskReader,
    data: PathBuf,
    durability: Durability,
    room: Room,
    synced: Synced,
    /// The number of the last mark.
    mark: u64,
    /// Whether something was appended since the last sync.
    is_dirty: bool,
    broken: Option<Broken>,
}

/// Reads from any thread. It keeps the directory open and locked.
#[derive(Clone)]
pub struct DiskReader {
    lsm: Arc<Lsm>,
    _lock: Arc<File>,
}

impl DiskEngine {
    /// Opens a directory; it is made if it is not there, its parent has to be. What was appended and not synced before
    /// a crash is found again in part: a prefix of the batches.
    ///
    /// # Errors
    /// See [`OpenError`].
    pub fn open(directory: impl AsRef<Path>, options: &Options) -> Result<Self, OpenError> {
        let directory =
            std::path::absolute(directory.as_ref()).map_err(OpenError::io("find", directory.as_ref()))?;
        files::private_directory(&directory)?;
        let lock = lock(&directory)?;
        let is_complete = format::check(&directory)?;
        let data = directory.join("data");
        let synced = Synced::open(&directory, is_complete)?;
        let (lsm, mark) =
            if is_complete { open_complete(&data, options, synced.number())? } else { make(&data, options)? };
        if !is_complete {
            format::put(&directory)?;
        }
        Ok(Self {
            shared: DiskReader { lsm: Arc::new(lsm), _lock: Arc::new(lock) },
            room: Room::new(data.clone(), options.reserve),
            making_room: MakingRoom::default(),
            data,
            durability: options.durability,
            synced,
            mark,
            is_dirty: false,
            broken: None,
        })
    }

    /// Opens a complete directory that is damaged, to read what was before the damage: a prefix of the batches, as after a
    /// crash, but less than was synced. What is behind the damage is kept in files beside the journals. Table files are not looked
    /// at: what cannot be read in them is told by the reads.
    ///
    /// # Errors
    /// [`OpenError`]: also if table files hold something from behind the damage, so that what is left is no prefix.
    pub fn open_prefix(directory: impl AsRef<Path>, options: &Options) -> Result<DiskReader, OpenError> {
        let directory =
            std::path::absolute(directory.as_ref()).map_err(OpenError::io("find", directory.as_ref()))?;
        let lock = lock(&directory)?;
        if !format::check(&directory)? {
            return Err(OpenError::damaged(directory, "was never complete"));
        }
        let data = directory.join("data");
        let journals = layout::check(&data, lsm::KEYSPACES)?;
        let last = journal::keep_prefix(&journals)?;
        let damaged = |error| OpenError::damaged(&data, error);
        let lsm = Lsm::open(&data, options, true).map_err(damaged)?;
        match (last, lsm.flushed().map_err(damaged)?) {
            (_, None) => {}
            (Some(last), Some(flushed)) if flushed <= last => {}
            _ => return Err(damaged("table files hold what is behind the damage of the journal".to_owned())),
        }
        Ok(DiskReader { lsm: Arc::new(lsm), _lock: Arc::new(lock) })
    }

    fn usable(&self) -> Result<(), Broken> {
        self.broken.clone().map_or(Ok(()), Err)
    }

    /// Remembers that nothing will be durable any more.
    fn broken(&mut self, error: impl fmt::Display) -> Broken {
        self.broken.insert(Broken::new(format!("{}: {error}", self.data.display()))).clone()
    }

    fn make_durable(&mut self) -> Result<(), String> {
        if self.durability == Durability::Os {
            return self.shared.lsm.flush();
        }
        self.shared.lsm.sync(self.mark + 1)?;
        self.mark += 1;
        self.synced.set(self.mark).map_err(|error| format!("the number of the last sync: {error}"))
    }
}

fn lock(directory: &Path) -> Result<File, OpenError> {
    let path = directory.join("LOCK");
    let file = files::private_file(&path)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::InUse(directory.to_owned())),
        Err(TryLockError::Error(error)) => Err(OpenError::io("lock", path)(error)),
    }
}

/// Makes what a new directory needs, all of it durable. Somebody may have removed FORMAT from a full one, so there may be
/// marks.
fn make(data: &Path, options: &Options) -> Result<(Lsm, u64), OpenError> {
    layout::prepare(data)?;
    let damaged = |error| OpenError::damaged(data, error);
    let lsm = Lsm::open(data, options, false).map_err(damaged)?;
    layout::sync(data)?;
    let mark = lsm.mark().map_err(damaged)?;
    Ok((lsm, mark))
}

/// Opens what is there, if all of it is there, and gives the last mark.
fn open_complete(data: &Path, options: &Options, synced: u64) -> Result<(Lsm, u64), OpenError> {
    let journals = layout::check(data, lsm::KEYSPACES)?;
    journal::check(&journals, synced)?;
    let damaged = |error| OpenError::damaged(data, error);
    let lsm = Lsm::open(data, options, true).map_err(damaged)?;
    let recovered = lsm.mark().map_err(damaged)?;
    if recovered < synced {
        let path = journals.last().map_or(data, PathBuf::as_path).to_owned();
        return Err(OpenError::Lost { path, recovered: recovered + 1, synced });
    }
    Ok((lsm, recovered))
}

impl Engine for DiskEngine {
    fn append(&mut self, batch: &Batch) -> Result<(), Broken> {
        self.usable()?;
        if batch.is_empty() {
            return Ok(());
        }
        self.making_room.after_append();
        self.is_dirty = true;
        let appended = self.shared.lsm.append(batch);
        appended.map_err(|error| self.broken(error))
    }

    fn has_room(&mut self) -> Result<bool, Broken> {
        self.usable()?;
        let has_room = self.room.is_left(self.shared.lsm.owed()).map_err(|error| self.broken(error))?;
        if !has_room {
            self.making_room.begin(&self.shared.lsm, &self.data);
        }
        Ok(has_room)
    }

    fn sync(&mut self) -> Result<(), Broken> {
        self.usable()?;
        if !self.is_dirty {
            return Ok(());
        }
        self.make_durable().map_err(|error| self.broken(error))?;
        self.is_dirty = false;
        Ok(())
    }

    fn reader(&self) -> Arc<dyn Read> {
        Arc::new(self.shared.clone())
    }
}

impl Read for DiskEngine {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        self.shared.get(table, key)
    }

    fn next_page(&self, scan: &mut Scan) -> Result<bool, ReadError> {
        self.shared.next_page(scan)
    }

    fn snapshot(&self) -> Arc<dyn Read> {
        self.shared.snapshot()
    }
}

impl Read for DiskReader {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        self.lsm.get(None, table, key)
    }

    fn next_page(&self, scan: &mut Scan) -> Result<bool, ReadError> {
        self.lsm.next_page(None, scan)
    }

    fn snapshot(&self) -> Arc<dyn Read> {
        Arc::new(DiskSnapshot { at: self.lsm.snapshot(), reader: self.clone() })
    }
}

/// Is what a reader saw at one moment. It keeps the directory open and locked too.
#[derive(Clone)]
struct DiskSnapshot {
    /// Is dropped first: it belongs to the database that the reader has open.
    at: Snapshot,
    reader: DiskReader,
}

impl Read for DiskSnapshot {
    fn get(&self, table: Table, key: &[u8]) -> Result<Option<Vec<u8>>, ReadError> {
        self.reader.lsm.get(Some(&self.at), table, key)
    }

    fn next_page(&self, scan: &mut Scan) -> Result<bool, ReadError> {
        self.reader.lsm.next_page(Some(&self.at), scan)
    }

    fn snapshot(&self) -> Arc<dyn Read> {
        Arc::new(self.clone())
    }
}

impl fmt::Debug for DiskEngine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskEngine").field("data", &self.data).finish_non_exhaustive()
    }
}

impl fmt::Debug for DiskReader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DiskReader").finish_non_exhaustive()
    }
}
