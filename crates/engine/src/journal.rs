//! Reads fjall's journals before fjall does, which would cut them in silence at the first thing it does not understand.
//!
//! A journal is a row of batches, then zeros (it is made 64 MiB long). A batch, all numbers little-endian:
//!
//! ```text
//! start  1, number of items u32, sequence number u64
//! item   2, kind u8, compression u8, keyspace u64, key length u16, value length u32, stored length u32, key, value
//! end    3, XXH3-64 of all items u64, "FJL" 3
//! ```
//!
//! fjall's own checksum does not cover the start; here the sequence numbers have to rise. This is the format of fjall 3; the
//! tests of this crate fail if it changes.

use crate::marks::{self, KEY};
use crate::{OpenError, files};
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use xxhash_rust::xxh3::Xxh3;

const TRAILER: &[u8; 4] = b"FJL\x03";

/// No sequence number leaps so far: fjall takes a few for itself between two batches.
const LEAP: u64 = 1 << 32;

/// What the batches of the journals so far have told.
#[derive(Debug, Default)]
struct Walk {
    /// The sequence number of the last batch.
    sequence: Option<u64>,
    /// The last mark.
    mark: Option<u64>,
}

/// Lists the journals in a directory, oldest first.
pub(crate) fn list(data: &Path) -> Result<Vec<PathBuf>, OpenError> {
    let mut journals = Vec::new();
    for entry in fs::read_dir(data).map_err(OpenError::io("list", data))? {
        let path = entry.map_err(OpenError::io("list", data))?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(".jnl"));
        if let Some(number) = name.and_then(|name| name.parse::<u64>().ok()) {
            journals.push((number, path));
        }
    }
    journals.sort_unstable();
    Ok(journals.into_iter().map(|(_, path)| path).collect())
}

/// Reads all journals. The end of the newest one is cut if it is torn.
///
/// # Errors
/// A batch is damaged that was synced, as far as the journals and the number of the last known sync can tell.
pub(crate) fn check(journals: &[PathBuf], synced: u64) -> Result<(), OpenError> {
    let mut walk = Walk::default();
    for (index, path) in journals.iter().enumerate() {
        let bytes = fs::read(path).map_err(OpenError::io("read", path))?;
        let sound = walk.read(&bytes);
        let rest = bytes.get(sound..).unwrap_or_default();
        if is_zeros(rest) {
            continue;
        }
        // A journal is synced before the next one is begun.
        if index + 1 < journals.len() || walk.was_synced(rest, synced) {
            return Err(OpenError::damaged(
                path,
                format!("is damaged at byte {sound}, before what was synced"),
            ));
        }
        cut(path, sound as u64)?;
    }
    Ok(())
}

/// Cuts the journals at the first damage, wherever it is: what follows is kept beside them, under names that fjall does not
/// know. Returns the sequence number of the last batch before it.
pub(crate) fn keep_prefix(journals: &[PathBuf]) -> Result<Option<u64>, OpenError> {
    let mut walk = Walk::default();
    for (index, path) in journals.iter().enumerate() {
        let bytes = fs::read(path).map_err(OpenError::io("read", path))?;
        let sound = walk.read(&bytes);
        if is_zeros(bytes.get(sound..).unwrap_or_default()) {
            continue;
        }
        fs::copy(path, damaged(path)).map_err(OpenError::io("copy", path))?;
        cut(path, sound as u64)?;
        for later in &journals[index + 1..] {
            fs::rename(later, damaged(later)).map_err(OpenError::io("rename", later))?;
        }
        break;
    }
    Ok(walk.sequence)
}

fn damaged(path: &Path) -> PathBuf {
    path.with_extension("jnl.damaged")
}

/// By blocks, for it is 64 MiB of them after a crash.
fn is_zeros(bytes: &[u8]) -> bool {
    const BLOCK: usize = 4096;
    bytes.chunks(BLOCK).all(|block| *block == [0; BLOCK][..block.len()])
}

fn cut(path: &Path, sound: u64) -> Result<(), OpenError> {
    let file = OpenOptions::new().write(true).open(path).map_err(OpenError::io("open", path))?;
    file.set_len(sound).and_then(|()| file.sync_all()).map_err(OpenError::io("cut the torn end of", path))?;
    files::sync_directory(path.parent().unwrap_or(Path::new("/")))
}

impl Walk {
    /// Reads batches as long as they are whole, and tells where the first one begins that is not.
    fn read(&mut self, bytes: &[u8]) -> usize {
        let mut rest = bytes;
        while let Some(batch) = Batch::read(rest)
            && self.sequence.is_none_or(|before| before < batch.sequence && batch.sequence < before + LEAP)
        {
            self.sequence = Some(batch.sequence);
            self.mark = batch.mark.or(self.mark);
            rest = batch.rest;
        }
        bytes.len() - rest.len()
    }

    /// Tells whether something that was synced begins before the end of these bytes, whose first batch is damaged. A mark
    /// that `SYNCED` knows was synced with all before it; so was one that is followed by another.
    fn was_synced(&self, bytes: &[u8], synced: u64) -> bool {
        let marks = || positions(bytes).filter_map(|at| marks::decode(&bytes[at..]));
        let is_known = marks().any(|mark| mark <= synced);
        let is_followed = marks().any(|mark| marks().any(|other| other == mark + 1));
        let is_later = self.mark.is_some_and(|before| marks().any(|mark| mark > before + 1));
        is_known || is_followed || is_later
    }
}

/// Finds what follows each mark's key.
fn positions(bytes: &[u8]) -> impl Iterator<Item = usize> {
    bytes.windows(KEY.len()).enumerate().filter(|(_, window)| window == KEY).map(|(at, _)| at + KEY.len())
}

/// Is a whole batch.
struct Batch<'a> {
    sequence: u64,
    mark: Option<u64>,
    rest: &'a [u8],
}

impl<'a> Batch<'a> {
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut rest = bytes;
        tag(&mut rest, 1)?;
        let items = u32::from_le_bytes(*take(&mut rest)?);
        let sequence = u64::from_le_bytes(*take(&mut rest)?);
        let (mut sum, mut mark) = (Xxh3::new(), None);
        for _ in 0..items {
            let before = rest;
            let (key, value) = item(&mut rest)?;
            sum.update(&before[..before.len() - rest.len()]);
            if key == KEY {
                mark = marks::decode(value);
            }
        }
        tag(&mut rest, 3)?;
        let is_whole = u64::from_le_bytes(*take(&mut rest)?) == sum.digest() && take(&mut rest)? == TRAILER;
        is_whole.then_some(Self { sequence, mark, rest })
    }
}

/// Reads an item: its key, and its value if that is not compressed, which this crate never asks for.
fn item<'a>(rest: &mut &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
    tag(rest, 2)?;
    let [_kind, compression] = *take::<2>(rest)?;
    let _keyspace: &[u8; 8] = take(rest)?;
    let key = usize::from(u16::from_le_bytes(*take(rest)?));
    let value = u32::from_le_bytes(*take(rest)?);
    let stored = u32::from_le_bytes(*take(rest)?);
    if compression != 0 || value != stored {
        return None;
    }
    Some((rest.split_off(..key)?, rest.split_off(..stored as usize)?))
}

fn tag(rest: &mut &[u8], expected: u8) -> Option<()> {
    (*rest.split_off_first()? == expected).then_some(())
}

fn take<'a, const N: usize>(rest: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    rest.split_off(..N)?.first_chunk()
}
