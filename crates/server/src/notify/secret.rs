//! Secrets and passwords, each in a file of its own that others cannot read. They are read when they are needed, so that a new one counts at
//! once and none lies in memory for long.

use super::limits;
use keyward_identity::files;
use std::path::Path;
use zeroize::Zeroizing;

/// Reads a secret of at least `min` bytes: what stands in the file, without the end of its line.
///
/// # Errors
/// What is wrong with the file, and what to do; nothing of what stands in it.
pub(super) fn read(file: &Path, min: usize) -> Result<Zeroizing<Vec<u8>>, String> {
    let mut secret = files::read_private(file, limits::SECRET_BYTES).map_err(|error| error.to_string())?;
    while secret.last().is_some_and(u8::is_ascii_whitespace) {
        secret.pop();
    }
    if secret.len() < min {
        return Err(format!(
            "{} holds fewer than {min} bytes; a good secret: openssl rand -hex 32",
            file.display()
        ));
    }
    Ok(secret)
}
