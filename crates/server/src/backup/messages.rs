//! The message store of a backup: built anew beside the place of the old one, looked through, and then put there.

use super::archive::{ArchiveError, Survey, is_rows, rows, survey, walk};
use super::make::is_running;
use super::seal::Opener;
use super::{BackupError, open, read};
use crate::admin::{self, OpenOptions};
use crate::clock;
use crate::home::Home;
use crate::store;
use keyward_broker::persist::inspect;
use keyward_engine::{DiskEngine, Options};
use keyward_store::{Batch, Engine};
use std::io::Read;
use std::path::{Path, PathBuf};

/// Is a message store that is being built.
pub(super) struct Building {
    engine: DiskEngine,
    batch: Batch,
    rows: u64,
}

impl Building {
    /// Begins an empty one in a directory that is not there yet.
    pub(super) fn begin(directory: &Path) -> Result<Self, BackupError> {
        let engine = DiskEngine::open(directory, &Options::default());
        let engine = engine.map_err(|error| BackupError::Making(error.to_string()))?;
        Ok(Self { engine, batch: Batch::new(), rows: 0 })
    }

    /// Adds a file of rows.
    pub(super) fn add(&mut self, source: &mut dyn Read) -> Result<(), BackupError> {
        if !self.engine.has_room()? {
            return Err(BackupError::Making(
                "the disk is full up to the reserve; free some space".to_owned(),
            ));
        }
        self.batch.clear();
        let batch = &mut self.batch;
        self.rows += rows::read(source, |table, key, value| -> Result<(), ArchiveError> {
            batch.put(table, key, value);
            Ok(())
        })?;
        Ok(self.engine.append(&self.batch)?)
    }

    /// Makes it durable, looks through it and closes it. Returns how many rows it holds.
    pub(super) fn finish(mut self) -> Result<u64, BackupError> {
        // What was taken since the backup nobody knows.
        store::forget_numbers(&mut self.engine)?;
        let found = inspect(&self.engine, clock::now(), &mut |_| {})?;
        if let Some(unreadable) = found.tables.iter().find_map(|table| table.unreadable.clone()) {
            return Err(BackupError::Making(unreadable));
        }
        for place in found.damaged {
            // It was so when the backup was made; a start leaves it out.
            tracing::warn!("a stored record in the backup does not read: {place}");
        }
        Ok(self.rows)
    }
}

/// Puts the sessions and messages of a backup in the place of those that are there, and nothing else. Returns where the old
/// ones are kept, and what the backup is.
///
/// # Errors
/// [`BackupError`]: nothing has changed.
pub fn restore_messages(
    home: &Home,
    access: &OpenOptions,
    path: &Path,
    opener: &Opener,
    progress: &mut dyn FnMut(u64),
) -> Result<(Option<PathBuf>, Survey), BackupError> {
    if is_running(home) {
        return Err(BackupError::Running(home.directory().to_owned()));
    }
    // Held until all is done.
    let admin = admin::open_stopped(home, access)?;
    store::settle(home).map_err(|error| BackupError::Making(error.to_string()))?;
    let mut file = open(path)?;
    let found = read(path, &mut file, opener, progress, |source| survey(source))?;
    if found.manifest.installation != admin.installation() {
        return Err(BackupError::OtherInstallation {
            path: path.to_owned(),
            found: found.manifest.installation,
            home: home.directory().to_owned(),
            expected: admin.installation(),
        });
    }
    if !found.manifest.messages {
        return Err(BackupError::NoMessages(path.to_owned()));
    }
    let draft = store::draft(home)?;
    let mut building = Building::begin(&draft)?;
    let again = read(path, &mut file, opener, progress, |source| {
        walk(source, |entry, body| if is_rows(&entry.name) { building.add(body) } else { Ok(()) })
    })?;
    if again.contents != found.contents {
        return Err(BackupError::Changed(path.to_owned()));
    }
    building.finish()?;
    Ok((store::put_in_place(home, &draft)?, found))
}
