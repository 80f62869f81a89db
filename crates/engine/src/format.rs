//! The file `FORMAT`: which version of the format a directory has, and which Keyward wrote it. It is put in place when
//! everything else has been made, so a directory with it is complete.

use crate::{OpenError, files};
use std::path::Path;
use std::{fs, io};

/// The format that this version writes, and the newest that it reads.
const KNOWN: u32 = 1;
const NAME: &str = "FORMAT";
const TITLE: &str = "keyward messages";

/// Tells whether the directory is complete.
///
/// # Errors
/// A newer version wrote it, or the file cannot be read.
pub(crate) fn check(directory: &Path) -> Result<bool, OpenError> {
    let path = directory.join(NAME);
    let text = match fs::read(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        Err(error) => return Err(OpenError::io("read", path)(error)),
    };
    let text = String::from_utf8_lossy(&text);
    let Some((found, needs)) = parse(&text) else {
        return Err(OpenError::damaged(path, "is not the FORMAT of a message store"));
    };
    if found > KNOWN {
        return Err(OpenError::Newer { path, found, known: KNOWN, needs: needs.to_owned() });
    }
    Ok(true)
}

/// Says that the directory is complete.
pub(crate) fn put(directory: &Path) -> Result<(), OpenError> {
    let text = format!("{TITLE} {KNOWN}\nwritten by keyward {}\n", env!("CARGO_PKG_VERSION"));
    files::put(directory, NAME, text.as_bytes())
}

/// Gives the format and the version of Keyward that it needs.
fn parse(text: &str) -> Option<(u32, &str)> {
    let (first, rest) = text.split_once('\n')?;
    let found = first.strip_prefix(TITLE)?.trim().parse().ok().filter(|found| *found > 0)?;
    Some((found, rest.lines().next()?.strip_prefix("written by keyward ")?))
}
