//! Files as an import reads them: regular ones only, and no more than is asked for.

use keyward_identity::files;
use keyward_mosquitto::{Source, limits};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use zeroize::Zeroizing;

/// Reads the disk.
#[derive(Default)]
pub(super) struct Disk;

impl Disk {
    /// Reads a file that may hold secrets.
    pub(super) fn load(&mut self, path: &str) -> Result<Zeroizing<Vec<u8>>, String> {
        let bytes = files::read_regular(Path::new(path), limits::MAX_FILE_BYTES);
        bytes.map(Zeroizing::new).map_err(|error| error.to_string())
    }

    /// Reads a certificate, a list or a key, also through a link: certificates are often kept behind one.
    pub(super) fn load_linked(&mut self, path: &str) -> Result<Zeroizing<Vec<u8>>, String> {
        let target = fs::canonicalize(path).map_err(|error| error.to_string())?;
        let bytes = files::read_regular(&target, limits::MAX_FILE_BYTES);
        bytes.map(Zeroizing::new).map_err(|error| error.to_string())
    }

    /// Tells whether everybody on this machine can read a file.
    pub(super) fn is_open_to_others(&self, path: &str) -> bool {
        fs::metadata(path).is_ok_and(|file| file.mode() & 0o004 != 0)
    }
}

impl Source for Disk {
    fn read(&mut self, path: &str, most: usize) -> Result<Vec<u8>, String> {
        files::read_regular(Path::new(path), most).map_err(|error| error.to_string())
    }

    fn list(&mut self, folder: &str) -> Result<Vec<String>, String> {
        let entries = fs::read_dir(folder).map_err(|error| format!("{folder}: {error}"))?;
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.map_err(|error| format!("{folder}: {error}"))?.path();
            paths.extend(path.to_str().map(str::to_owned));
            if paths.len() > 10 * limits::MAX_INCLUDED {
                return Err(format!("{folder} holds more than {} files", 10 * limits::MAX_INCLUDED));
            }
        }
        Ok(paths)
    }
}
