//! The decoders of this crate that meet foreign bytes, opened to the fuzz targets alone.

use crate::disk::Directory;
use crate::keys::{SealingSecret, SoftwareKey, unwrap};
use crate::log::{Found, Kind, Log, Master};
use crate::{outbox, sealed};
use std::io;
use std::path::Path;
use zeroize::Zeroizing;

/// Reads a key file; returns the public half and the file as it would be written.
pub fn key_file(bytes: &[u8]) -> Option<([u8; 65], Zeroizing<Vec<u8>>)> {
    SoftwareKey::from_pem(bytes).map(|key| (key.public(), key.to_pem()))
}

/// Opens a sealed key file as the one of `what`.
pub fn sealed_file(secret: &SealingSecret, what: &str, bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    secret.open(what, bytes).ok()
}

/// Opens what a key in memory wrapped.
pub fn wrapped(key: &[u8; 32], bytes: &[u8]) -> Option<Zeroizing<[u8; 32]>> {
    unwrap(key, bytes)
}

/// Reads a record of the outbox, and returns it as it would be written.
pub fn outbox_record(bytes: &[u8]) -> Option<Vec<u8>> {
    outbox::rewritten(bytes)
}

/// Reads a record of the sealed store, and returns it as it would be written.
pub fn sealed_record(bytes: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    sealed::rewritten(bytes)
}

/// Takes a file for the only segment of an outbox, or of a sealed store, under the master key of 32 sevens; returns its records.
pub fn segment(of_outbox: bool, bytes: &[u8]) -> Vec<Vec<u8>> {
    let kind = if of_outbox { Kind::Outbox } else { Kind::Sealed };
    let mut records = Vec::new();
    let log = Log::open(Box::new(OneFile(bytes.to_vec())), kind, Master::from_bytes(&[7; 32]), |found| {
        if let Found::Record(_, record) = found {
            records.push(record.to_vec());
        }
        Ok(())
    });
    if log.is_err() { Vec::new() } else { records }
}

/// Is a folder with one file, of which nothing is written.
#[derive(Debug)]
struct OneFile(Vec<u8>);

impl Directory for OneFile {
    fn path(&self) -> &Path {
        Path::new("/")
    }

    fn names(&self) -> io::Result<Vec<String>> {
        Ok(vec!["0000000000000001.log".to_owned()])
    }

    fn size(&self, _: &str) -> io::Result<Option<u64>> {
        Ok(Some(self.0.len() as u64))
    }

    fn read(&self, _: &str, at: u64, len: usize) -> io::Result<Vec<u8>> {
        let from = usize::try_from(at).unwrap_or(usize::MAX).min(self.0.len());
        let to = from.saturating_add(len).min(self.0.len());
        Ok(self.0.get(from..to).unwrap_or_default().to_vec())
    }

    fn write(&self, _: &str, _: u64, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn cut(&self, _: &str, _: u64) -> io::Result<()> {
        Ok(())
    }

    fn sync(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn rename(&self, _: &str, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn remove(&self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn sync_names(&self) -> io::Result<()> {
        Ok(())
    }
}
