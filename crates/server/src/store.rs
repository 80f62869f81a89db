//! Opens what keeps sessions and messages. One that cannot be read is set aside, under a name of its own, and the broker
//! starts with an empty one: messages are lost then, and said to be; who may do what is in the ledger, which is not here.

use crate::clock;
use crate::config::{Durability, Store};
use crate::home::Home;
use keyward_engine::{DiskEngine, OpenError, Options};
use keyward_store::Engine;
use std::fs;
use std::path::{Path, PathBuf};

/// How the name of a store begins that was set aside.
const ASIDE: &str = "messages.damaged-";

/// Opens the store of an installation; `None` if the configuration wants none.
///
/// # Errors
/// [`OpenError`]: it is in use, was written by a newer program, or the system refuses. Damage is no error.
pub fn open(home: &Home, config: Store) -> Result<Option<Box<dyn Engine>>, OpenError> {
    let durability = match config.durability {
        Durability::Synced => keyward_engine::Durability::Synced,
        Durability::Os => keyward_engine::Durability::Os,
        Durability::Memory => return Ok(None),
    };
    let options = Options { durability, reserve: config.reserve, ..Options::default() };
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
    Ok(Some(Box::new(engine)))
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
    let names = (0..).map(|number| match number {
        0 => directory.with_file_name(format!("{ASIDE}{seconds}")),
        number => directory.with_file_name(format!("{ASIDE}{seconds}-{number}")),
    });
    let aside = names.take(1_000).find(|name| !name.exists()).unwrap_or_else(|| directory.into());
    let moved = fs::rename(directory, &aside);
    moved.map_err(|source| OpenError::Io { path: directory.into(), action: "set aside", source })?;
    Ok(aside)
}
