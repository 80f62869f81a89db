//! Opens what keeps sessions and messages. One that cannot be read is set aside, under a name of its own, and the broker
//! starts with what can be read of it, or with nothing: messages are lost then, and said to be; who may do what is in the ledger,
//! which is not here.

use crate::clock;
use crate::config::{Durability, Store};
use crate::home::Home;
use crate::salvage::salvage;
use crate::upgrade::{self, UpgradeError};
use keyward_broker::persist::{RecoveryError, UPGRADES};
use keyward_engine::{DiskEngine, OpenError, Options};
use keyward_store::{Broken, Engine, ReadError};
use std::fs;
use std::path::{Path, PathBuf};

/// How the name of a store begins that was set aside.
const ASIDE: &str = "messages.damaged-";

/// Says why no store is open.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// It does not open.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// It has another format, and stays as it is.
    #[error(transparent)]
    Upgrade(#[from] UpgradeError),
    /// The one in the place of a damaged one cannot be written.
    #[error(transparent)]
    Broken(#[from] Broken),
}

/// Opens the store of an installation, and brings it to today's format; `None` if the configuration wants none.
///
/// # Errors
/// [`StoreError`]: it is in use, was written by a newer program, or the system refuses. Damage is no error.
pub fn open(home: &Home, config: Store) -> Result<Option<Box<dyn Engine>>, StoreError> {
    let Some(options) = options(config) else { return Ok(None) };
    let directory = home.messages_dir();
    let engine = match DiskEngine::open(&directory, &options) {
        Err(error @ (OpenError::Damaged { .. } | OpenError::Lost { .. })) => {
            let aside = set_aside(&directory)?;
            tracing::error!(
                "the stored sessions and messages cannot be read, and the broker starts without them: {error}. \
                 They were moved to {}",
                aside.display()
            );
            DiskEngine::open(&directory, &options)?
        }
        opened => opened?,
    };
    match upgrade::bring_up_to_date(engine, &directory, &options, UPGRADES) {
        Err(StoreError::Upgrade(UpgradeError::Format(RecoveryError::Unreadable(damage)))) => {
            begin_anew(home, config, &damage)
        }
        engine => Ok(Some(Box::new(engine?))),
    }
}

/// Sets a store aside of which it was found that a part cannot be read, and begins a new one with the rest.
///
/// # Errors
/// [`StoreError`]: the old one is where it was, or under its new name.
pub fn begin_anew(
    home: &Home,
    config: Store,
    damage: &ReadError,
) -> Result<Option<Box<dyn Engine>>, StoreError> {
    let Some(options) = options(config) else { return Ok(None) };
    let directory = home.messages_dir();
    let aside = set_aside(&directory)?;
    let mut engine = DiskEngine::open(&directory, &options)?;
    let (rows, lost) = salvage(&DiskEngine::open(&aside, &options)?, &mut engine)?;
    tracing::error!(
        "a part of the stored sessions and messages cannot be read: {damage}. They were moved to {}, and the broker \
         starts with the {rows} records of them that can be read",
        aside.display()
    );
    lost.iter().for_each(|lost| tracing::error!("lost of the stored sessions and messages: {lost}"));
    Ok(Some(Box::new(engine)))
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

/// Moves a damaged store out of the way, to a name that tells when.
fn set_aside(directory: &Path) -> Result<PathBuf, OpenError> {
    let seconds = clock::now().wall.as_secs();
    let aside = unused_name(directory, &format!("{ASIDE}{seconds}"));
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
