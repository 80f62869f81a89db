//! What becomes of a device that somebody opened.

use keyward_files::{self as files, FileError};
use std::path::Path;

/// Says what becomes of the keys when somebody opens the device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnTamper {
    /// It is reported, and the device goes on.
    #[default]
    Report,
    /// It is reported, and then the keys are destroyed, and all that only they open.
    Destroy,
}

/// The file that says so after the next start.
const MARK: &str = "destroyed";

/// Writes down that the keys are being destroyed, and why.
pub(crate) fn mark(folder: &Path, reason: &str) -> Result<(), FileError> {
    files::replace(&folder.join(MARK), reason.as_bytes())
}

/// Returns why the keys were destroyed, if they were.
pub(crate) fn destroyed(folder: &Path) -> Result<Option<String>, FileError> {
    match files::read_regular(&folder.join(MARK), 1_024) {
        Ok(reason) => Ok(Some(String::from_utf8_lossy(&reason).into_owned())),
        Err(error) if error.is_not_found() => Ok(None),
        Err(error) => Err(error),
    }
}
