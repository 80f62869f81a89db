//! Backups: one file, encrypted, with everything that an installation needs to live on elsewhere.
//!
//! [`make`] writes one, of a running broker or of a stopped store; [`restore`] puts one back; [`list`] looks into one. The
//! encryption is around the archive ([`seal`], under what [`keys`] reads), the archive has a format of its own ([`archive`]).
//!
//! What is not here: how a ledger is rebuilt so that what was taken away stays taken away (`keyward_identity::restore`).

pub mod archive;
mod error;
mod file;
pub mod keys;
pub mod limits;
mod make;
mod messages;
mod restore;
pub mod seal;
mod source;

pub use error::BackupError;
pub use make::{Made, MakeOptions, make};
pub use messages::restore_messages;
pub use restore::{RestoreOptions, Restored, restore};
pub(crate) use source::Source;

use crate::clock::date_time;
use crate::home::Home;
use archive::{ArchiveError, Survey, survey};
use keyward_identity::files;
use seal::Opener;
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// How the name of a backup begins that was made without one.
const NAME: &str = "keyward-";

/// Returns where a backup goes that is made at this moment (milliseconds since 1970) and was given no name: in
/// `DIR/backups`, so that the newest is last by name.
pub fn usual_path(home: &Home, unix_ms: u64, is_open: bool) -> PathBuf {
    let end = if is_open { "tar" } else { "age" };
    folder(home).join(format!("{NAME}{}.{end}", date_time(unix_ms)))
}

/// Finds the newest backup in `DIR/backups`.
pub fn newest(home: &Home) -> Option<PathBuf> {
    let is_backup = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(NAME) && (name.ends_with(".age") || name.ends_with(".tar"))
    };
    let entries = fs::read_dir(folder(home)).ok()?;
    entries.filter_map(|entry| Some(entry.ok()?.path())).filter(is_backup).max()
}

fn folder(home: &Home) -> PathBuf {
    home.directory().join("backups")
}

/// Reads a backup to its end and says what is in it; nothing is written anywhere.
///
/// # Errors
/// [`BackupError`] names the file and what is wrong with it.
pub fn list(path: &Path, opener: &Opener, progress: &mut dyn FnMut(u64)) -> Result<Survey, BackupError> {
    let mut file = open(path)?;
    read(path, &mut file, opener, progress, |source| survey(source))
}

/// Opens the file of a backup, which may lie anywhere.
fn open(path: &Path) -> Result<File, BackupError> {
    Ok(files::open_regular(path)?)
}

/// Shows what is inside of a backup to `take`, from its beginning.
fn read<T, E>(
    path: &Path,
    file: &mut File,
    opener: &Opener,
    progress: &mut dyn FnMut(u64),
    take: impl FnOnce(&mut dyn Read) -> Result<T, E>,
) -> Result<T, BackupError>
where
    BackupError: Named<E>,
{
    let opened = opener.open(file).map_err(|error| BackupError::seal(path, error))?;
    let mut counted = Counted { source: opened, count: 0, progress };
    take(&mut counted).map_err(|error| BackupError::named(path, error))
}

/// Makes an error of something that happened while a file was read.
trait Named<E> {
    /// Names the file.
    fn named(path: &Path, error: E) -> Self;
}

impl Named<ArchiveError> for BackupError {
    fn named(path: &Path, error: ArchiveError) -> Self {
        Self::archive(path, error)
    }
}

impl Named<Self> for BackupError {
    fn named(path: &Path, error: Self) -> Self {
        match error {
            Self::Unnamed(error) => Self::archive(path, error),
            other => other,
        }
    }
}

/// Counts what is read.
struct Counted<'a, R> {
    source: R,
    count: u64,
    progress: &'a mut dyn FnMut(u64),
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let count = self.source.read(into)?;
        self.count += count as u64;
        (self.progress)(self.count);
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_backup_is_found_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path());
        assert_eq!(newest(&home), None);
        fs::create_dir(super::folder(&home)).unwrap();
        let (old, new) =
            (usual_path(&home, 1_700_000_000_000, true), usual_path(&home, 1_760_000_000_000, false));
        for path in [
            &new,
            &old,
            &super::folder(&home).join("notes.age"),
            &super::folder(&home).join(".keyward-9.age"),
        ] {
            files::write_new(path, b"").unwrap();
        }
        assert!(old.ends_with("backups/keyward-20231114T221320Z.tar"), "{}", old.display());
        assert_eq!(newest(&home), Some(new));
    }
}
