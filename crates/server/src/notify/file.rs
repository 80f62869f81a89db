//! The file of what waits to be told: `notify.json` in the directory of the installation, for its owner alone.

use super::limits;
use super::queue::{Queue, Saved};
use keyward_identity::files;
use keyward_mqtt::time::Millis;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// How long changes are gathered for each notice in the file, so that a storm does not keep the disk busy.
const GATHER_EACH_MS: u64 = 2;

/// How long is waited after the file could not be written.
const AGAIN_MS: u64 = 1_000;

/// Is the file, with the number of its form.
#[derive(Serialize, Deserialize)]
struct Form<T> {
    format: u32,
    #[serde(flatten)]
    saved: T,
}

const FORMAT: u32 = 1;

/// Writes down what waits.
pub(super) struct QueueFile {
    path: PathBuf,
    /// Since when what is in the file is not all.
    changed: Option<Millis>,
}

impl QueueFile {
    pub(super) fn new(path: PathBuf) -> Self {
        Self { path, changed: None }
    }

    /// Returns what another process left. What cannot be read is set aside.
    pub(super) fn read(&self) -> Saved {
        read(&self.path).unwrap_or_else(|why| {
            let aside = self.path.with_extension("json.unreadable");
            let moved = std::fs::rename(&self.path, &aside);
            tracing::error!(
                file = %self.path.display(),
                "what waited to be told cannot be read ({why}), and is not told: keyward incident list has it. {}",
                match moved {
                    Ok(()) => format!("The file lies aside as {}", aside.display()),
                    Err(error) => format!("It could not be set aside: {error}"),
                }
            );
            Saved::default()
        })
    }

    /// Notes that the file does not hold all.
    pub(super) fn note(&mut self, now: Millis) {
        self.changed.get_or_insert(now);
    }

    /// Returns when the file is to be written.
    pub(super) fn due(&self, queue: &Queue) -> Option<Millis> {
        Some(self.changed?.saturating_add(Millis(GATHER_EACH_MS * queue.len() as u64)))
    }

    pub(super) fn keep_if_due(&mut self, now: Millis, queue: &Queue) {
        if self.due(queue).is_some_and(|due| due <= now) {
            self.keep(now, queue);
        }
    }

    /// Writes the file, if it does not hold all.
    pub(super) fn keep(&mut self, now: Millis, queue: &Queue) {
        if self.changed.is_none() {
            return;
        }
        let form = Form { format: FORMAT, saved: queue.saved(now) };
        let written = serde_json::to_vec(&form).map_err(|error| error.to_string());
        let written =
            written.and_then(|text| files::replace(&self.path, &text).map_err(|error| error.to_string()));
        match written {
            Ok(()) => self.changed = None,
            Err(error) => {
                self.changed = Some(now.saturating_add(Millis(AGAIN_MS)));
                tracing::error!("what waits to be told could not be written down: {error}");
            }
        }
    }
}

fn read(path: &Path) -> Result<Saved, String> {
    if !path.exists() {
        return Ok(Saved::default());
    }
    let text = files::read_regular(path, limits::NOTICES_FILE_BYTES).map_err(|error| error.to_string())?;
    saved(&text)
}

fn saved(text: &[u8]) -> Result<Saved, String> {
    let found: Form<Saved> = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    if found.format != FORMAT {
        return Err(format!("it has form {}, and this program knows {FORMAT}", found.format));
    }
    Ok(found.saved)
}

#[cfg(feature = "decoders")]
/// Reads what stands in such a file, and says how many notices wait there for nobody who is configured.
pub(crate) fn decode(text: &[u8]) -> Result<usize, String> {
    let queue = Queue::new(Millis::ZERO, Vec::new(), saved(text)?);
    Ok(queue.len())
}
