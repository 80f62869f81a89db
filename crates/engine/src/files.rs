//! Private files and directories, and making their names durable.

use crate::OpenError;
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Makes a directory for its owner alone, and closes one that others can enter. All other files are inside such ones, so it
/// matters little what mode fjall gives them.
pub(crate) fn private_directory(path: &Path) -> Result<(), OpenError> {
    match DirBuilder::new().mode(0o700).create(path) {
        Ok(()) => sync_directory(path.parent().unwrap_or(Path::new("/")))?,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(OpenError::io("make the directory", path)(error)),
    }
    let mode = fs::metadata(path).map_err(OpenError::io("look at", path))?.permissions().mode();
    if mode & 0o077 == 0 {
        return Ok(());
    }
    fs::set_permissions(path, Permissions::from_mode(0o700)).map_err(OpenError::io("close to others", path))
}

/// Makes the names in a directory durable.
pub(crate) fn sync_directory(path: &Path) -> Result<(), OpenError> {
    // The parent of a relative path of one part is the empty one.
    let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
    File::open(path).and_then(|directory| directory.sync_all()).map_err(OpenError::io("sync", path))
}

/// Opens a file of the owner alone for reading and writing, and makes it first if it is not there.
pub(crate) fn private_file(path: &Path) -> Result<File, OpenError> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(path)
        .map_err(OpenError::io("open", path))
}

/// Puts a small file in place: complete, synced, and under its name, or not at all.
pub(crate) fn put(directory: &Path, name: &str, content: &[u8]) -> Result<(), OpenError> {
    let (path, draft) = (directory.join(name), directory.join(format!("{name}.new")));
    let mut file = private_file(&draft)?;
    file.set_len(0)
        .and_then(|()| file.write_all(content))
        .and_then(|()| file.sync_all())
        .map_err(OpenError::io("write", &draft))?;
    fs::rename(&draft, &path).map_err(OpenError::io("put in place", &path))?;
    sync_directory(directory)
}
