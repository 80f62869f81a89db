//! How a restore is put in place at once.
//!
//! ```text
//! DIR/restoring.new/       the draft: removed by the next restore if this one is cut off
//!     new/                 what is to be put in place
//!     replaced-TIME/       what lay there before goes in here
//! DIR/restoring/           the draft under its second name: decided, and finished by whoever opens DIR next
//! DIR/replaced-TIME/       what lay there before, when all is done
//! ```

use crate::{
    clock::WallTime,
    files::{self, FileError},
    store::{LEDGER, io_error},
};
use std::{
    ffi::{OsStr, OsString},
    fs,
    path::{Path, PathBuf},
};

const DRAFT: &str = "restoring.new";
const DECIDED: &str = "restoring";
const NEW: &str = "new";
const REPLACED: &str = "replaced-";
/// What belongs to the process that holds the folder, not to its content.
const NEVER: [&str; 4] = ["lock", "control.sock", DRAFT, DECIDED];

/// Tells whether a ledger waits in `dir` that is decided and not in its place yet.
pub(crate) fn holds_ledger(dir: &Path) -> bool {
    dir.join(DECIDED).join(NEW).join(LEDGER).symlink_metadata().is_ok()
}

/// Tells whether a restore is decided in `dir` and not finished.
pub(super) fn is_decided(dir: &Path) -> bool {
    dir.join(DECIDED).symlink_metadata().is_ok()
}

/// Makes an empty draft in `dir` in place of one that was cut off; returns the folder to fill.
pub(super) fn draft(dir: &Path, now: WallTime) -> Result<PathBuf, FileError> {
    let draft = dir.join(DRAFT);
    discard(dir)?;
    files::create_private_dir(&draft)?;
    files::create_private_dir(&draft.join(NEW))?;
    files::create_private_dir(&draft.join(free(dir, &replaced_name(now))))?;
    Ok(draft.join(NEW))
}

/// Removes the draft, if there is one. What is in it was never in force.
pub(super) fn discard(dir: &Path) -> Result<(), FileError> {
    let draft = dir.join(DRAFT);
    match fs::remove_dir_all(&draft) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(io_error(&draft, "remove", error)),
        _ => Ok(()),
    }
}

/// Returns the name for what is replaced at the time `now`.
fn replaced_name(now: WallTime) -> String {
    let stamp: String = now.to_string().chars().filter(|c| !matches!(c, '-' | ':')).collect();
    format!("{REPLACED}{stamp}")
}

/// Returns `name`, or that with the first number behind it, so that nothing in `dir` is called so.
fn free(dir: &Path, name: &str) -> OsString {
    let mut free = OsString::from(name);
    for number in 2u64.. {
        if dir.join(&free).symlink_metadata().is_err() {
            break;
        }
        free = format!("{name}-{number}").into();
    }
    free
}

/// Decides: from here on the draft will be in place, whatever happens.
pub(super) fn decide(dir: &Path) -> Result<(), FileError> {
    let draft = dir.join(DRAFT);
    for name in names_in(&draft.join(NEW))? {
        if NEVER.iter().any(|never| name == *never) || name.to_string_lossy().starts_with(REPLACED) {
            return Err(FileError::Exists(dir.join(name)));
        }
    }
    files::sync_dir(&draft.join(NEW))?;
    files::sync_dir(&draft)?;
    fs::rename(&draft, dir.join(DECIDED)).map_err(|source| io_error(&draft, "rename", source))?;
    files::sync_dir(dir)
}

/// Puts in place what is decided, the ledger last; may be repeated after a crash at any step. Returns the folder with
/// what lay there before, if anything did.
pub(crate) fn settle(dir: &Path) -> Result<Option<PathBuf>, FileError> {
    let decided = dir.join(DECIDED);
    if !is_decided(dir) {
        return Ok(None);
    }
    files::check_private_dir(&decided)?;
    let new = decided.join(NEW);
    let aside = names_in(&decided)?.into_iter().find(|name| name.to_string_lossy().starts_with(REPLACED));
    if new.symlink_metadata().is_ok() {
        let mut names = names_in(&new)?;
        names.sort_by_key(|name| (name == LEDGER, name.clone()));
        for name in names {
            put(dir, &new, &name, aside.as_ref().map(|aside| decided.join(aside)).as_deref())?;
        }
        fs::remove_dir(&new).map_err(|source| io_error(&new, "remove", source))?;
    }
    let replaced = match aside {
        Some(aside) => keep(&decided.join(&aside), &dir.join(&aside))?,
        None => None,
    };
    fs::remove_dir(&decided).map_err(|source| io_error(&decided, "remove", source))?;
    files::sync_dir(dir)?;
    Ok(replaced)
}

/// Puts one thing in place, and what lies there aside. Each step is on disk before the next.
fn put(dir: &Path, new: &Path, name: &OsStr, aside: Option<&Path>) -> Result<(), FileError> {
    let to = dir.join(name);
    if to.symlink_metadata().is_ok() {
        let aside = aside.ok_or_else(|| FileError::Exists(to.clone()))?;
        // Something of the same name lies there if it was made anew between a crash and now.
        let kept = aside.join(free(aside, &name.to_string_lossy()));
        fs::rename(&to, kept).map_err(|source| io_error(&to, "put aside", source))?;
        files::sync_dir(aside)?;
        files::sync_dir(dir)?;
    }
    fs::rename(new.join(name), &to).map_err(|source| io_error(&to, "put in place", source))?;
    files::sync_dir(dir)
}

/// Keeps what was replaced under its name; an empty folder is removed.
fn keep(from: &Path, to: &Path) -> Result<Option<PathBuf>, FileError> {
    if names_in(from)?.is_empty() {
        fs::remove_dir(from).map_err(|source| io_error(from, "remove", source))?;
        return Ok(None);
    }
    fs::rename(from, to).map_err(|source| io_error(to, "put in place", source))?;
    Ok(Some(to.to_owned()))
}

fn names_in(dir: &Path) -> Result<Vec<OsString>, FileError> {
    let entries = fs::read_dir(dir).and_then(|entries| {
        entries.map(|entry| entry.map(|entry| entry.file_name())).collect::<Result<Vec<_>, _>>()
    });
    entries.map_err(|source| io_error(dir, "list", source))
}
