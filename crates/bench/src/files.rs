//! Files of a measurement, in a directory of its own that goes with it.

use crate::error::BenchError;
use std::fs::OpenOptions;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Writes a new file that only this user may read, and returns its path.
pub(crate) fn write_new(path: &Path, text: &str) -> Result<PathBuf, BenchError> {
    write_new_bytes(path, text.as_bytes())
}

/// The same with bytes.
pub(crate) fn write_new_bytes(path: &Path, bytes: &[u8]) -> Result<PathBuf, BenchError> {
    let doing = format!("writing {}", path.display());
    let mut file = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(path)
        .map_err(BenchError::io(doing.clone()))?;
    file.write_all(bytes).map_err(BenchError::io(doing))?;
    Ok(path.to_owned())
}

/// Makes a directory that only this user may enter.
pub(crate) fn make_folder(path: &Path) -> Result<(), BenchError> {
    std::fs::DirBuilder::new()
        .mode(0o700)
        .create(path)
        .map_err(BenchError::io(format!("making {}", path.display())))
}

/// Makes the directory of one measurement; it is removed when the value is dropped.
pub(crate) fn temporary() -> Result<tempfile::TempDir, BenchError> {
    use std::os::unix::fs::PermissionsExt;
    tempfile::Builder::new()
        .prefix("keyward-bench-")
        .permissions(std::fs::Permissions::from_mode(0o700))
        .tempdir()
        .map_err(BenchError::io("making a temporary directory"))
}
