//! Files of the kernel, a GPIO's value for instance, that say that the device was opened or loses its supply.

use super::intake::Intake;
use super::socket::spawn;
use crate::failure::Outcome;
use keyward_device::heartbeat::Event;
use keyward_identity::files;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, sync_channel};
use std::time::Duration;

/// How often a file is looked at: half of what is left after a supply fails, in the small.
const EVERY: Duration = Duration::from_millis(20);

/// Watches a file until it holds `1`, and says the word once each time that it begins to.
pub(crate) fn watch(
    file: &Path,
    intake: &Intake,
    word: Event<'static>,
    log: &Arc<dyn Fn(&str) + Send + Sync>,
) -> Outcome {
    let (file, intake, log) = (PathBuf::from(file), intake.clone(), Arc::clone(log));
    spawn("watch", move || {
        let (_never, time) = sync_channel::<()>(0);
        let mut was_set = false;
        loop {
            let is_set = files::read_regular(&file, 64).is_ok_and(|text| text.first() == Some(&b'1'));
            if is_set && !was_set {
                log(&format!("{}: {}", file.display(), intake.say(word)));
            }
            was_set = is_set;
            if time.recv_timeout(EVERY) != Err(RecvTimeoutError::Timeout) {
                return;
            }
        }
    })
}
