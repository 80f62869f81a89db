//! What survives of the rolling secrets: two numbers for each device, in a file that is only ever appended to or replaced.
//!
//! ```text
//! "KWROLL01", then records of 37 bytes: device 8, chain 8, ratchet 17, first 4 of SHA-256 of these
//! ```
//!
//! A later record of a device takes the place of an earlier one. What is damaged is left out: the device then counts as one that the server
//! has forgotten, or knows as it was, and goes on with the secret that it has. So no damage accuses anybody, and the file is in no backup.

use super::limits::{ANSWERS_PER_SYNC, RATCHETS, SURPLUS};
use aws_lc_rs::digest;
use keyward_identity::files;
use keyward_watch::ratchet::Ratchet;
use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"KWROLL01";

/// Bytes of a record.
const RECORD: usize = 8 + 8 + Ratchet::LEN + 4;

/// Is what is kept of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Kept {
    /// The chain of which the numbers are.
    pub(crate) chain: [u8; 8],
    /// The numbers.
    pub(crate) ratchet: Ratchet,
}

/// Is a record: which device, and what is kept of it.
type Record = ([u8; 8], Kept);

/// Holds the numbers of all devices that take part.
pub(crate) struct Store {
    path: PathBuf,
    /// Open behind its last record; `None` if the file has to be written anew before anything can be added.
    file: Option<File>,
    kept: HashMap<[u8; 8], Kept>,
    /// Records in the file.
    records: usize,
}

impl Store {
    /// Opens the file if there is one; keeps what `is_known` says is still a device. A file that cannot be read is set aside.
    ///
    /// Nothing is written before there is something to keep: a broker starts on a disk that is full.
    ///
    /// # Errors
    /// It may not be written.
    pub(crate) fn open(path: PathBuf, is_known: impl Fn(&[u8; 8]) -> bool) -> io::Result<Self> {
        let mut kept = HashMap::new();
        let mut file = None;
        let mut records = 0;
        if path.exists() {
            let most = MAGIC.len() + (2 * (RATCHETS + ANSWERS_PER_SYNC) + SURPLUS) * RECORD;
            match files::read_private(&path, most)
                .map_err(|error| error.to_string())
                .and_then(|bytes| decode(&bytes))
            {
                Ok((whole, damaged)) => {
                    records = whole.len();
                    kept.extend(whole.into_iter().filter(|(device, _)| is_known(device)));
                    if damaged == 0 {
                        file = Some(OpenOptions::new().append(true).open(&path)?);
                    } else {
                        tracing::warn!(
                            file = %path.display(),
                            damaged,
                            "what was kept of rolling secrets is damaged in places: no device is blamed for that"
                        );
                    }
                }
                Err(why) => set_aside(&path, &why),
            }
        }
        Ok(Self { path, file, kept, records })
    }

    pub(crate) fn get(&self, device: &[u8; 8]) -> Option<Kept> {
        self.kept.get(device).copied()
    }

    /// Tells whether a device has a place, or there is one for it.
    pub(crate) fn has_room_for(&self, device: &[u8; 8]) -> bool {
        self.kept.len() < RATCHETS || self.kept.contains_key(device)
    }

    /// Keeps what has changed; when it returns that is on disk.
    ///
    /// # Errors
    /// It may not be on disk, and nothing has changed here.
    pub(crate) fn put(&mut self, changed: &HashMap<[u8; 8], Kept>) -> io::Result<()> {
        let is_too_long = self.records + changed.len() > 2 * self.kept.len() + SURPLUS;
        match self.file.as_mut().filter(|_| !is_too_long) {
            Some(file) => {
                append(file, changed)?;
                self.records += changed.len();
            }
            None => {
                let mut all = self.kept.clone();
                all.extend(changed);
                self.file = Some(write(&self.path, &all)?);
                self.records = all.len();
            }
        }
        self.kept.extend(changed);
        Ok(())
    }
}

/// Adds records behind the last one. What could not be added whole is taken away again.
fn append(file: &mut File, changed: &HashMap<[u8; 8], Kept>) -> io::Result<()> {
    let bytes: Vec<u8> = changed.iter().flat_map(|(device, kept)| encode(device, kept)).collect();
    let begin = file.metadata()?.len();
    let appended = file.write_all(&bytes).and_then(|()| file.sync_data());
    if appended.is_err() {
        // Half a record would put all later ones out of their places.
        let _ = file.set_len(begin);
    }
    appended
}

/// Writes the file anew, and opens it behind its last record.
fn write(path: &Path, kept: &HashMap<[u8; 8], Kept>) -> io::Result<File> {
    let mut bytes = MAGIC.to_vec();
    kept.iter().for_each(|(device, kept)| bytes.extend(encode(device, kept)));
    files::replace(path, &bytes).map_err(io::Error::other)?;
    OpenOptions::new().append(true).open(path)
}

fn encode(device: &[u8; 8], kept: &Kept) -> [u8; RECORD] {
    let mut record = [0; RECORD];
    let (told, sum) = record.split_at_mut(RECORD - 4);
    told[..8].copy_from_slice(device);
    told[8..16].copy_from_slice(&kept.chain);
    told[16..].copy_from_slice(&kept.ratchet.to_bytes());
    sum.copy_from_slice(&checksum(told));
    record
}

fn checksum(told: &[u8]) -> [u8; 4] {
    let digest = digest::digest(&digest::SHA256, told);
    let mut sum = [0; 4];
    sum.copy_from_slice(&digest.as_ref()[..4]);
    sum
}

fn set_aside(path: &Path, why: &str) {
    let aside = path.with_extension("unreadable");
    let moved = std::fs::rename(path, &aside);
    tracing::error!(
        file = %path.display(),
        "what was kept of rolling secrets cannot be read ({why}): they begin anew, and no device is blamed. {}",
        match moved {
            Ok(()) => format!("The file lies aside as {}", aside.display()),
            Err(error) => format!("It could not be set aside: {error}"),
        }
    );
}

/// Reads a file: its records in their order, and how many are damaged.
pub(crate) fn decode(bytes: &[u8]) -> Result<(Vec<Record>, usize), String> {
    let records = bytes.strip_prefix(MAGIC).ok_or("it is another kind of file")?.chunks(RECORD);
    let count = records.len();
    let whole: Vec<_> = records.filter_map(read).collect();
    let damaged = count - whole.len();
    Ok((whole, damaged))
}

fn read(record: &[u8]) -> Option<Record> {
    let (told, sum) = record.split_at_checked(RECORD - 4)?;
    if sum != checksum(told) {
        return None;
    }
    let (device, rest) = told.split_first_chunk()?;
    let (chain, ratchet) = rest.split_first_chunk()?;
    Some((*device, Kept { chain: *chain, ratchet: Ratchet::from_bytes(ratchet).ok()? }))
}

#[cfg(test)]
impl Store {
    /// Lets the disk take nothing any more.
    pub(super) fn fail(&mut self) {
        if let Ok(file) = File::open(&self.path) {
            self.file = Some(file);
        }
    }
}
