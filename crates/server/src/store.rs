//! Opens what keeps sessions and messages. One that cannot be read is set aside, under a name of its own, and the broker
//! starts with what can be read of it, or with nothing: messages are lost then, and said to be; who may do what is in the ledger,
//! which is not here.

use crate::backup;
use crate::clock;
use crate::config::{Durability, Store};
use crate::home::Home;
use crate::salvage::{Salvaged, salvage};
use crate::upgrade::{self, UpgradeError};
use keyward_broker::persist::{self, RecoveryError, UPGRADES};
use keyward_engine::{DiskEngine, OpenError, Options};
use keyward_identity::files::{self, FileError};
use keyward_store::{Broken, Engine};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

/// How the name of a store begins that was set aside.
const ASIDE: &str = "messages.damaged-";

/// How the name of a store begins in whose place another was restored.
const REPLACED: &str = "messages.replaced-";
/// Where a store is built that is to be restored.
const DRAFT: &str = "messages.restoring";
/// What it is called when it is whole; whoever opens the store next puts it in place.
const RESTORED: &str = "messages.restored";

/// Says why no store is open.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It has another format, and stays as it is.
    #[error(transparent)]
    Upgrade(#[from] UpgradeError),
    /// It cannot be written.
    #[error(transparent)]
    Broken(#[from] Broken),
}

/// Opens the store of an installation, and brings it to today's format; `None` if the configuration wants none. One that begins with its
/// installation knows every number of a signed message, for nobody can have signed one for it; one that begins later does not.
///
/// # Errors
/// [`StoreError`]: it is in use, was written by a newer program, or the system refuses. Damage is no error.
pub fn open(home: &Home, config: Store, is_first_start: bool) -> Result<Option<Box<dyn Engine>>, StoreError> {
    let Some(options) = options(config) else { return Ok(None) };
    settle(home)?;
    let directory = home.messages_dir();
    let engine = match DiskEngine::open(&directory, &options) {
        Err(error @ (OpenError::Damaged { .. } | OpenError::Lost { .. })) => {
            begin_anew(home, config, &error)?
        }
        opened => opened?,
    };
    let mut engine = match upgrade::bring_up_to_date(engine, &directory, &options, UPGRADES) {
        Err(StoreError::Upgrade(UpgradeError::Format(RecoveryError::Unreadable(damage)))) => {
            begin_anew(home, config, &damage)?
        }
        engine => engine?,
    };
    // What does not read is noticed by whoever reads all of it, next.
    if !is_first_start && persist::is_new(&engine).unwrap_or(false) {
        forget_numbers(&mut engine)?;
    }
    Ok(Some(Box::new(engine)))
}

/// Says in a store that it does not know which numbers of signed messages were taken until now.
///
/// # Errors
/// It cannot be written.
pub(crate) fn forget_numbers(store: &mut dyn Engine) -> Result<(), Broken> {
    store.append(&persist::begin_numbers(clock::now().wall))?;
    store.sync()
}

/// Returns how a store is opened, if the configuration wants one.
fn options(config: Store) -> Option<Options> {
    let durability = match config.durability {
        Durability::Synced => keyward_engine::Durability::Synced,
        Durability::Os => keyward_engine::Durability::Os,
        Durability::Memory => return None,
    };
    Some(Options { durability, reserve: config.reserve, ..Options::default() })
}

/// Lists the stores of an installation that were set aside, oldest first.
pub fn set_aside_in(home: &Home) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(home.directory()) else { return Vec::new() };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let is_aside =
        |path: &PathBuf| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(ASIDE));
    let mut aside: Vec<PathBuf> = paths.filter(is_aside).collect();
    aside.sort();
    aside
}

/// Sets aside a store that cannot be read, which whoever has had it open has closed, and says so in the log. Returns where it
/// is.
///
/// # Errors
/// [`OpenError`]: it cannot be moved.
fn give_up(home: &Home, why: &dyn fmt::Display) -> Result<PathBuf, OpenError> {
    let aside = set_aside(&home.messages_dir())?;
    tracing::error!(
        "the stored sessions and messages are damaged: {why}. They were moved to {}. {}",
        aside.display(),
        remedy(home)
    );
    Ok(aside)
}

/// Sets aside a store that could not be opened or read to its end, and begins a new one with what of it can be kept.
///
/// # Errors
/// [`StoreError`]: it cannot be moved, or the new one cannot be made.
pub(crate) fn begin_anew(
    home: &Home,
    config: Store,
    why: &dyn fmt::Display,
) -> Result<DiskEngine, StoreError> {
    // The new one is made beside its place, and before the damaged one leaves it: a start that is cut off is done again.
    let draft = draft(home).map_err(|error| open_error(home, error))?;
    let options = options(config).unwrap_or_default();
    let mut new = DiskEngine::open(&draft, &options)?;
    let aside = give_up(home, why)?;
    serve_what_reads(&aside, &mut new);
    forget_numbers(&mut new)?;
    drop(new);
    put_in_place(home, &draft).map_err(|error| open_error(home, error))?;
    Ok(DiskEngine::open(home.messages_dir(), &options)?)
}

/// Copies what can be read and kept of a damaged store into a new one, and says so in the log.
fn serve_what_reads(aside: &Path, new: &mut DiskEngine) {
    let damaged = match DiskEngine::open_prefix(aside, &Options::default()) {
        Ok(damaged) => damaged,
        Err(error) => {
            tracing::error!(
                "nothing of them can be read, the broker starts without sessions and messages: {error}"
            );
            return;
        }
    };
    match salvage(&damaged, new) {
        Ok(Salvaged { rows: 0, .. }) => {
            tracing::error!("nothing of them can be read: the broker starts without sessions and messages");
        }
        Ok(Salvaged { rows, holes, sessions }) => tracing::error!(
            rows,
            holes,
            "of what was set aside these records could be read and are served: {}",
            if sessions {
                "sessions, queues and retained messages, as they were before the damage; what was delivered since may come \
                 again"
            } else {
                "retained messages; no session"
            }
        ),
        Err(error) => tracing::error!("nothing more of it comes back: {error}"),
    }
}

/// Opens the store as it is, to read it: nothing is made, nothing set aside. `None` if there is none.
///
/// # Errors
/// [`OpenError`].
pub(crate) fn open_as_it_is(home: &Home, config: &Store) -> Result<Option<DiskEngine>, OpenError> {
    settle(home)?;
    let directory = home.messages_dir();
    match options(*config) {
        Some(options) if directory.exists() => DiskEngine::open(&directory, &options).map(Some),
        _ => Ok(None),
    }
}

/// Says what brings a damaged store back.
pub(crate) fn remedy(home: &Home) -> String {
    match backup::newest(home) {
        Some(newest) => format!(
            "To bring back those of the newest backup, stop the broker, then: keyward store restore --messages {}",
            newest.display()
        ),
        None => format!(
            "In {} is no backup; one from elsewhere is brought back, when the broker is stopped, by: keyward store \
             restore --messages FILE",
            home.directory().join("backups").display()
        ),
    }
}

/// Names the place where a store is built that is to be restored, and removes what an earlier attempt left there.
pub(crate) fn draft(home: &Home) -> Result<PathBuf, FileError> {
    let draft = home.directory().join(DRAFT);
    match fs::remove_dir_all(&draft) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io(&draft, "remove")(error)),
        _ => Ok(draft),
    }
}

/// Puts a store that was built in [`draft`] in the place of the one that is there, which is kept: returns where. The store is
/// to be held meanwhile. A crash on the way leaves the old one or the new one.
pub(crate) fn put_in_place(home: &Home, draft: &Path) -> Result<Option<PathBuf>, FileError> {
    let restored = home.directory().join(RESTORED);
    fs::rename(draft, &restored).map_err(io(&restored, "put in place"))?;
    files::sync_dir(home.directory())?;
    put_restored(home)
}

/// Ends a restore that was cut off when the new store was whole, and takes back to its place a damaged one of which the
/// salvage was cut off. The directory of the installation is to be held.
///
/// # Errors
/// [`OpenError`]: something cannot be moved.
pub(crate) fn settle(home: &Home) -> Result<(), OpenError> {
    take_back(home).and_then(|()| put_restored(home)).map(drop).map_err(|error| open_error(home, error))
}

fn take_back(home: &Home) -> Result<(), FileError> {
    let at = |name| home.directory().join(name);
    let (place, was_salvaging) = (home.messages_dir(), at(DRAFT).exists() && !at(RESTORED).exists());
    match set_aside_in(home).pop() {
        Some(aside) if was_salvaging && !place.exists() => {
            fs::rename(&aside, &place).map_err(io(&place, "take back"))?;
            files::sync_dir(home.directory())
        }
        _ => Ok(()),
    }
}

fn open_error(home: &Home, error: FileError) -> OpenError {
    match error {
        FileError::Io { path, action, source } => OpenError::Io { path, action, source },
        other => OpenError::Io {
            path: home.messages_dir(),
            action: "put in place",
            source: std::io::Error::other(other.to_string()),
        },
    }
}

fn put_restored(home: &Home) -> Result<Option<PathBuf>, FileError> {
    let (restored, place) = (home.directory().join(RESTORED), home.messages_dir());
    if !restored.exists() {
        return Ok(None);
    }
    let mut aside = None;
    if place.exists() {
        let free = free_name(&place, REPLACED);
        fs::rename(&place, &free).map_err(io(&place, "set aside"))?;
        files::sync_dir(home.directory())?;
        aside = Some(free);
    }
    fs::rename(&restored, &place).map_err(io(&place, "put in place"))?;
    files::sync_dir(home.directory())?;
    Ok(aside)
}

fn io(path: &Path, action: &'static str) -> impl FnOnce(std::io::Error) -> FileError {
    let path = path.to_owned();
    move |source| FileError::Io { path, action, source }
}

/// Moves a damaged store out of the way, to a name that tells when.
fn set_aside(directory: &Path) -> Result<PathBuf, OpenError> {
    let aside = free_name(directory, ASIDE);
    let moved = fs::rename(directory, &aside);
    moved.map_err(|source| OpenError::Io { path: directory.into(), action: "set aside", source })?;
    Ok(aside)
}

/// Returns a name beside the store that nothing has yet: this one, or this one with a number.
pub(crate) fn unused_name(directory: &Path, name: &str) -> PathBuf {
    let names = (0..).map(|number| match number {
        0 => directory.with_file_name(name),
        number => directory.with_file_name(format!("{name}-{number}")),
    });
    names.take(1_000).find(|name| !name.exists()).unwrap_or_else(|| directory.into())
}

/// Finds a name beside the store that nothing has and that tells when.
fn free_name(directory: &Path, start: &str) -> PathBuf {
    unused_name(directory, &format!("{start}{}", clock::now().wall.as_secs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_broker::HashKey;
    use keyward_mqtt::time::UnixMillis;

    /// Opens the store as a start does that reads all of it. Returns since when it knows numbers.
    fn start(home: &Home, is_first_start: bool) -> UnixMillis {
        let mut engine = open(home, Store::default(), is_first_start).unwrap().unwrap();
        let recovered = persist::recover(&*engine, HashKey::new([1; 16]), clock::now()).unwrap();
        let since = recovered.numbers_since();
        let (_, survey) = recovered.split(1);
        engine.append(&survey.litter).unwrap();
        since
    }

    /// What a device said whose clock was a little behind was refused in the first minutes of an installation.
    #[test]
    fn a_store_knows_all_numbers_if_it_begins_with_its_installation_and_not_if_it_begins_later() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("keyward"));
        home.create().unwrap();
        assert_eq!(start(&home, true), UnixMillis(0));
        assert_eq!(start(&home, false), UnixMillis(0), "it is no new one");
        fs::remove_dir_all(home.messages_dir()).unwrap();
        let before = clock::now().wall;
        let since = start(&home, false);
        assert!(since >= before, "{since:?}");
        assert_eq!(start(&home, false), since);
    }

    /// What is damaged is no beginning, whoever finds it.
    #[test]
    fn a_store_that_was_set_aside_at_a_first_start_knows_no_number_of_before() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::at(folder.path().join("keyward"));
        home.create().unwrap();
        start(&home, true);
        let before = clock::now().wall;
        drop(begin_anew(&home, Store::default(), &"damaged").unwrap());
        assert!(start(&home, true) >= before);
    }
}
