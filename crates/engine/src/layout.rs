//! The files that a complete store has. fjall makes some of them anew when they are missing, and forgets what they held.

use crate::{OpenError, files, journal, marks};
use std::fs;
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::xxh3_128;

/// Says that fjall has made its directory: it is written last.
const VERSION: &str = "version";
const KEYSPACES: &str = "keyspaces";
/// Names the manifest of a keyspace: its number u64, its XXH3-128, and a zero; little-endian.
const MANIFEST: &str = "current";

/// Makes place for a store that is not complete: what a creation left that was cut off before fjall could have been
/// opened is removed, for fjall stumbles over it.
pub(crate) fn prepare(data: &Path) -> Result<(), OpenError> {
    if data.exists() && !data.join(VERSION).exists() {
        fs::remove_dir_all(data).map_err(OpenError::io("remove what an interrupted start left in", data))?;
    }
    files::private_directory(data)
}

/// Makes the names of the keyspaces durable, which fjall does not do.
pub(crate) fn sync(data: &Path) -> Result<(), OpenError> {
    files::sync_directory(&data.join(KEYSPACES))?;
    files::sync_directory(data)
}

/// Looks for what a complete store has, and gives its journals, oldest first.
pub(crate) fn check(data: &Path, keyspaces: usize) -> Result<Vec<PathBuf>, OpenError> {
    let directory = data.join(KEYSPACES);
    for needed in [data.join(VERSION), directory.join("0")] {
        if !needed.exists() {
            return Err(OpenError::damaged(needed, "is missing"));
        }
    }
    let mut found = 0;
    for entry in fs::read_dir(&directory).map_err(OpenError::io("list", &directory))? {
        let path = entry.map_err(OpenError::io("list", &directory))?.path();
        check_manifest(&path)?;
        found += 1;
    }
    if found < keyspaces {
        return Err(OpenError::damaged(
            directory,
            format!("{found} tables are there, {keyspaces} should be"),
        ));
    }
    let journals = journal::list(data)?;
    if journals.is_empty() {
        return Err(OpenError::damaged(data, "no journal is there"));
    }
    Ok(journals)
}

/// Compares the manifest of a keyspace with its checksum, which fjall writes and does not look at; it panics on some
/// damages, and a panic while it opens ends the process.
fn check_manifest(keyspace: &Path) -> Result<(), OpenError> {
    let path = keyspace.join(MANIFEST);
    let current = fs::read(&path).map_err(OpenError::io("read", &path))?;
    let Some((number, sum)) = marks::decode(&current).zip(current.get(8..24)) else {
        return Err(OpenError::damaged(path, "does not name a manifest"));
    };
    let path = keyspace.join(format!("v{number}"));
    let manifest = fs::read(&path).map_err(OpenError::io("read", &path))?;
    if xxh3_128(&manifest).to_le_bytes() != sum {
        return Err(OpenError::damaged(path, "has another checksum than it should"));
    }
    Ok(())
}
