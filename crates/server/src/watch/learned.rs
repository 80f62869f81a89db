//! What the watch has learned, in a file, so that it survives restarts.
//!
//! The file begins with [`MAGIC`] and the number of its form, then comes a checksum of the rest, then the watch in CBOR. It is written once an hour and
//! at the end; who is killed in between has learned an hour less.

use keyward_identity::files;
use keyward_watch::Watch;
use keyward_watch::event::UnixMillis;
use std::path::PathBuf;
use std::thread;
use xxhash_rust::xxh3::xxh3_64;

const MAGIC: &[u8; 7] = b"kwwatch";
const FORMAT: u8 = 1;
/// Bytes before the watch itself.
const HEAD: usize = MAGIC.len() + 1 + 8;

/// How often the file is written, in milliseconds.
const EVERY_MS: u64 = 60 * 60_000;

/// Bytes of the largest file that is read: what 50,000 devices with two sensors each have taught.
const FILE_BYTES: usize = 512 * 1024 * 1024;

/// How far the clock may have gone back since the file was written, in milliseconds. A watch from the future would hear nothing until then.
const CLOCK_BACK_MS: u64 = 10 * 60_000;

/// Keeps the file.
pub(super) struct Learned {
    file: PathBuf,
    due: UnixMillis,
}

impl Learned {
    /// Reads what was learned. A file that cannot be read is set aside, and the watch learns anew: nothing that shuts a device out stands there.
    pub(super) fn open(file: PathBuf, now: UnixMillis) -> (Self, Watch) {
        let watch = match read(&file, now) {
            Ok(watch) => watch.unwrap_or_default(),
            Err(why) => {
                let aside = file.with_extension("unreadable");
                let moved = std::fs::rename(&file, &aside);
                tracing::error!(
                    file = %file.display(),
                    "what the watch has learned cannot be used ({why}): it learns anew. {}",
                    match moved {
                        Ok(()) => format!("The file lies aside as {}", aside.display()),
                        Err(error) => format!("It could not be set aside: {error}"),
                    }
                );
                Watch::new()
            }
        };
        (Self { file, due: now.plus(EVERY_MS) }, watch)
    }

    /// Writes the file, if it is time. Only to bring it into bytes is done here; the disk is waited for elsewhere.
    pub(super) fn keep_if_due(&mut self, now: UnixMillis, watch: &Watch) {
        if self.due > now {
            return;
        }
        self.due = now.plus(EVERY_MS);
        let file = self.file.clone();
        let Some(bytes) = written(watch) else { return };
        let write = move || replace(&file, &bytes);
        if let Err(error) = thread::Builder::new().name("watch-learned".to_owned()).spawn(write) {
            tracing::error!("what the watch has learned was not written down: {error}");
        }
    }

    /// Writes the file, and waits for it.
    pub(super) fn keep(&self, watch: &Watch) {
        if let Some(bytes) = written(watch) {
            replace(&self.file, &bytes);
        }
    }
}

fn written(watch: &Watch) -> Option<Vec<u8>> {
    encode(watch)
        .inspect_err(|error| tracing::error!("what the watch has learned cannot be written: {error}"))
        .ok()
}

fn replace(file: &std::path::Path, bytes: &[u8]) {
    if let Err(error) = files::replace(file, bytes) {
        tracing::error!("what the watch has learned was not written down: {error}");
    }
}

/// Reads the file; `None` if there is none.
fn read(file: &std::path::Path, now: UnixMillis) -> Result<Option<Watch>, String> {
    if !file.exists() {
        return Ok(None);
    }
    let bytes = files::read_regular(file, FILE_BYTES).map_err(|error| error.to_string())?;
    let watch = decode(&bytes)?;
    if watch.now().since(now) > CLOCK_BACK_MS {
        return Err("it was written at a time that is still to come: the clock of this machine was set back"
            .to_owned());
    }
    Ok(Some(watch))
}

pub(crate) fn encode(watch: &Watch) -> Result<Vec<u8>, String> {
    let body = minicbor_serde::to_vec(watch).map_err(|error| error.to_string())?;
    let mut bytes = Vec::with_capacity(HEAD + body.len());
    bytes.extend_from_slice(MAGIC);
    bytes.push(FORMAT);
    bytes.extend_from_slice(&xxh3_64(&body).to_be_bytes());
    bytes.extend_from_slice(&body);
    Ok(bytes)
}

pub(crate) fn decode(bytes: &[u8]) -> Result<Watch, String> {
    let (head, body) = bytes.split_at_checked(HEAD).ok_or("it is too short")?;
    let (magic, rest) = head.split_at(MAGIC.len());
    if magic != MAGIC {
        return Err("it is no such file".to_owned());
    }
    let (form, sum) = rest.split_at(1);
    if form != [FORMAT] {
        return Err(format!("it has form {}, and this program knows {FORMAT}", form[0]));
    }
    if sum != xxh3_64(body).to_be_bytes() {
        return Err("it is damaged".to_owned());
    }
    decode_body(body)
}

/// Reads the watch itself.
pub(crate) fn decode_body(body: &[u8]) -> Result<Watch, String> {
    minicbor_serde::from_slice(body).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use keyward_watch::event::{Event, Place};

    const NOW: UnixMillis = UnixMillis(1_800_000_000_000);

    fn taught() -> Watch {
        let mut watch = Watch::new();
        watch.handle(NOW, &Event::Registered { device: "pump".parse().unwrap(), place: Place::default() });
        watch
    }

    #[test]
    fn what_was_learned_is_there_again_after_a_restart() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("watch.learned");
        let (learned, none) = Learned::open(file.clone(), NOW);
        assert_eq!(none.places().count(), 0);
        learned.keep(&taught());
        let (_, watch) = Learned::open(file, NOW);
        assert_eq!(watch.places().map(|(device, _)| device.as_str()).collect::<Vec<_>>(), ["pump"]);
    }

    #[test]
    fn a_file_that_cannot_be_used_lies_aside_and_the_watch_learns_anew() {
        let whole = encode(&taught()).unwrap();
        let mut of_another_form = whole.clone();
        of_another_form[MAGIC.len()] = 9;
        let mut damaged = whole.clone();
        *damaged.last_mut().unwrap() ^= 1;
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("watch.learned");
        for bytes in [&b""[..], b"{}", &whole[..whole.len() - 1], &of_another_form, &damaged] {
            files::replace(&file, bytes).unwrap();
            let (_, watch) = Learned::open(file.clone(), NOW);
            assert_eq!(watch.places().count(), 0);
            assert!(!file.exists() && folder.path().join("watch.unreadable").exists());
        }
        files::replace(&file, &whole).unwrap();
        let (_, watch) = Learned::open(file, UnixMillis(NOW.0 - 2 * CLOCK_BACK_MS));
        assert_eq!(watch.places().count(), 0, "a watch from the future would be deaf until then");
    }
}
