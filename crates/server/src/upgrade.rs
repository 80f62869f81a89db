//! Brings a message store of an older format to today's. It is copied first, and the log says what was done.

use crate::store::{self, StoreError};
use keyward_broker::persist::{FORMAT, RecoveryError, Upgrade, upgrades};
use keyward_engine::{DiskEngine, Options};
use keyward_store::{Broken, Engine, ReadError};
use rustix::fs::statvfs;
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// Says why a message store of another format does not open. It is as it was, or has the format of a step between.
#[derive(Debug, thiserror::Error)]
pub enum UpgradeError {
    /// It has a newer format, or one that nobody knows.
    #[error(transparent)]
    Format(#[from] RecoveryError),
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] ReadError),
    /// It cannot be written.
    #[error(transparent)]
    Broken(#[from] Broken),
    /// There is no room for the copy.
    #[error(
        "{}: the message store has format {found} and is copied before it is brought to format {FORMAT}: {needed} bytes are needed for that, {free} are free; make room and start again", path.display()
    )]
    NoRoom {
        /// The store.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// Its size.
        needed: u64,
        /// What the file system has left.
        free: u64,
    },
    /// The copy cannot be made.
    #[error("{}: the message store cannot be copied, so it is not brought to format {FORMAT}: {source}", path.display())]
    Copy {
        /// The store.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Returns the engine of a store that has today's format: the one given, if it has that already.
///
/// # Errors
/// See [`UpgradeError`], and what can happen when the store is opened again.
pub(crate) fn bring_up_to_date(
    engine: DiskEngine,
    directory: &Path,
    options: &Options,
    known: &[Upgrade],
) -> Result<DiskEngine, StoreError> {
    let steps = upgrades(&engine, known).map_err(UpgradeError::from)?;
    let Some(first) = steps.first() else { return Ok(engine) };
    // Files are copied only while nobody has them open.
    drop(engine);
    let copy = keep_copy(directory, first.from)?;
    tracing::info!(
        "the message store has format {} and is brought to format {FORMAT}; {} is a copy of it as it was",
        first.from,
        copy.display()
    );
    let mut engine = DiskEngine::open(directory, options)?;
    for step in steps {
        take(step, &mut engine)?;
        tracing::info!("messages, format {} → {}: {}", step.from, step.from + 1, step.what);
    }
    Ok(engine)
}

fn take(step: &Upgrade, engine: &mut DiskEngine) -> Result<(), UpgradeError> {
    let batch = step.batch(engine)?;
    engine.append(&batch)?;
    Ok(engine.sync()?)
}

/// Copies a store to a name beside it that tells its format; under that name is a whole copy or nothing.
fn keep_copy(directory: &Path, found: u32) -> Result<PathBuf, UpgradeError> {
    let failed = |source| UpgradeError::Copy { path: directory.into(), source };
    let needed = bytes_in(directory).map_err(failed)?;
    let parent = directory.parent().unwrap_or(Path::new("/"));
    let now = statvfs(parent).map_err(|error| failed(error.into()))?;
    let free = now.f_bavail.saturating_mul(now.f_frsize);
    if free <= needed {
        return Err(UpgradeError::NoRoom { path: directory.into(), found, needed, free });
    }
    let copy = store::unused_name(directory, &format!("messages.format-{found}"));
    let draft = directory.with_file_name("messages.copy");
    let made = remove(&draft)
        .and_then(|()| copy_directory(directory, &draft))
        .and_then(|()| fs::rename(&draft, &copy))
        .and_then(|()| File::open(parent)?.sync_all());
    if made.is_err() {
        // The room of a copy that is of no use; why it was not made is what is told.
        drop(remove(&draft));
    }
    made.map_err(failed)?;
    Ok(copy)
}

fn remove(directory: &Path) -> io::Result<()> {
    match fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

fn bytes_in(directory: &Path) -> io::Result<u64> {
    let mut bytes = 0;
    for entry in fs::read_dir(directory)? {
        let (entry, path) = entry.map(|entry| (entry.metadata(), entry.path()))?;
        let entry = entry?;
        bytes += if entry.is_dir() { bytes_in(&path)? } else { entry.len() };
    }
    Ok(bytes)
}

/// Copies a directory of files and directories, for its owner alone, and syncs it.
fn copy_directory(from: &Path, to: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, target) = (entry.path(), to.join(entry.file_name()));
        if entry.file_type()?.is_dir() {
            copy_directory(&source, &target)?;
        } else {
            fs::copy(&source, &target)?;
            File::open(&target)?.sync_all()?;
        }
    }
    File::open(to)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_store::{Batch, Read, Table};
    use std::os::unix::fs::PermissionsExt;
    use tempfile::TempDir;

    const META: Table = Table::new(0);
    const SESSION: Table = Table::new(1);

    /// A format that never was: names of sessions were written in capitals.
    const INVENTED: &[Upgrade] = &[
        Upgrade { from: 0, what: "names are in small letters", changes: lower },
        keyward_broker::persist::UPGRADES[0],
    ];

    fn lower(store: &dyn Read) -> Result<Batch, ReadError> {
        let mut batch = Batch::new();
        if let Some(name) = store.get(SESSION, b"1")? {
            batch.put(SESSION, b"1", &name.to_ascii_lowercase());
        }
        Ok(batch)
    }

    /// A store of a format with one session.
    fn store_of(directory: &Path, format: u32) -> DiskEngine {
        let mut engine = DiskEngine::open(directory, &Options::default()).unwrap();
        let mut batch = Batch::new();
        batch.put(META, b"format", &format.to_be_bytes());
        batch.put(SESSION, b"1", b"PUMP");
        engine.append(&batch).unwrap();
        engine.sync().unwrap();
        engine
    }

    fn names(home: &TempDir) -> Vec<String> {
        let names = fs::read_dir(home.path()).unwrap().map(|entry| entry.unwrap().file_name());
        let mut names: Vec<String> = names.map(|name| name.into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn an_older_store_is_copied_and_then_brought_up_to_date_and_the_copy_opens() {
        let home = TempDir::new().unwrap();
        let directory = home.path().join("messages");
        let engine = store_of(&directory, 0);
        let engine = bring_up_to_date(engine, &directory, &Options::default(), INVENTED).unwrap();
        assert_eq!(engine.get(SESSION, b"1").unwrap().unwrap(), b"pump");
        assert_eq!(engine.get(META, b"format").unwrap().unwrap(), FORMAT.to_be_bytes());
        // Again: there is nothing to do.
        let engine = bring_up_to_date(engine, &directory, &Options::default(), INVENTED).unwrap();
        drop(engine);
        assert_eq!(names(&home), ["messages", "messages.format-0"]);
        let copy = home.path().join("messages.format-0");
        assert_eq!(fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o700);
        let copy = DiskEngine::open(&copy, &Options::default()).unwrap();
        assert_eq!(copy.get(SESSION, b"1").unwrap().unwrap(), b"PUMP");
        assert_eq!(copy.get(META, b"format").unwrap().unwrap(), 0_u32.to_be_bytes());
    }

    #[test]
    fn a_copy_of_an_earlier_upgrade_is_kept() {
        let home = TempDir::new().unwrap();
        let directory = home.path().join("messages");
        fs::create_dir(home.path().join("messages.format-0")).unwrap();
        let engine = store_of(&directory, 0);
        bring_up_to_date(engine, &directory, &Options::default(), INVENTED).unwrap();
        assert_eq!(names(&home), ["messages", "messages.format-0", "messages.format-0-1"]);
    }

    #[test]
    fn without_room_for_the_copy_nothing_is_done() {
        let home = TempDir::new().unwrap();
        let directory = home.path().join("messages");
        let engine = store_of(&directory, 0);
        // 8 TiB long and no byte of it written: a copy would be.
        let huge = File::create_new(directory.join("huge"));
        huge.unwrap().set_len(1 << 43).unwrap();
        let refused = bring_up_to_date(engine, &directory, &Options::default(), INVENTED).unwrap_err();
        assert!(matches!(refused, StoreError::Upgrade(UpgradeError::NoRoom { found: 0, .. })), "{refused}");
        assert_eq!(names(&home), ["messages"]);
        let engine = DiskEngine::open(&directory, &Options::default()).unwrap();
        assert_eq!(engine.get(SESSION, b"1").unwrap().unwrap(), b"PUMP");
    }

    #[test]
    fn a_store_that_no_upgrade_knows_or_a_newer_one_is_left_as_it_is() {
        for format in [0, FORMAT + 1] {
            let home = TempDir::new().unwrap();
            let directory = home.path().join("messages");
            let engine = store_of(&directory, format);
            let refused = bring_up_to_date(engine, &directory, &Options::default(), &[]).unwrap_err();
            assert!(matches!(refused, StoreError::Upgrade(UpgradeError::Format(_))), "{refused}");
            assert_eq!(names(&home), ["messages"]);
            let engine = DiskEngine::open(&directory, &Options::default()).unwrap();
            assert_eq!(engine.get(META, b"format").unwrap().unwrap(), format.to_be_bytes());
        }
    }
}
