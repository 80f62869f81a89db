//! The rolling connection secret of devices without secure hardware: judges what they answer, keeps two numbers of each, and gives the
//! next secret when those are on disk.
//!
//! It is a thread of its own behind a bounded queue. Whoever finds no place there, or no room on the disk, is not answered: it keeps the
//! secret that it has, and nobody is accused.
//!
//! What is not here: the rules of the game (`keyward_watch::ratchet`), how a link is asked and answered (`keyward_broker`), and what
//! becomes of a secret that was used up ([`crate::watch`]).

mod limits;
mod secrets;
mod store;
mod words;

use crate::plane::{Answered, RatchetQueue, Ruling};
use keyward_broker::RatchetAnswer;
use keyward_ids::Identity;
use keyward_watch::event::Ratchet as Shown;
use keyward_watch::ratchet::{Answer, Ratchet};
pub(crate) use secrets::LABEL;
use secrets::Secrets;
use std::collections::{HashMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::RecvTimeoutError;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use store::{Kept, Store};

#[cfg(feature = "decoders")]
pub(crate) use {store::decode, words::read};

/// How long the thread waits for an answer: so late it notices at most that it is to stop.
const WAIT: Duration = Duration::from_millis(100);

/// Judges the answers of devices.
pub(crate) struct Ratchets {
    secrets: Secrets,
    store: Store,
    /// Whether the last that was to be kept could not be: said once.
    is_failing: bool,
}

impl Ratchets {
    /// Opens what is kept of these devices; all that is kept of others is forgotten. `key` makes the secrets.
    ///
    /// # Errors
    /// The file cannot be written.
    pub(crate) fn open<'a>(
        file: PathBuf,
        key: &[u8; 32],
        devices: impl Iterator<Item = &'a Identity>,
    ) -> io::Result<Self> {
        let secrets = Secrets::new(key);
        let known: HashSet<[u8; 8]> = devices.map(|identity| secrets.device(identity)).collect();
        let store = Store::open(file, |device| known.contains(device))?;
        Ok(Self { secrets, store, is_failing: false })
    }

    /// Judges answers and tells the devices, each after what that takes is on disk.
    fn judge(&mut self, answered: Vec<Answered>) {
        let mut changed = HashMap::new();
        let mut rulings = Vec::with_capacity(answered.len());
        for answered in answered {
            if let Some(ruling) = self.rule(&answered.answer, &mut changed) {
                rulings.push((answered, ruling));
            }
        }
        if !self.keep(&changed) {
            rulings.retain(|(_, ruling)| ruling.shown != Some(Shown::Current));
        }
        rulings.into_iter().for_each(|(answered, ruling)| answered.reply(ruling));
    }

    /// Judges one answer; `None` if there is no place for another device.
    fn rule(&self, answer: &RatchetAnswer, changed: &mut HashMap<[u8; 8], Kept>) -> Option<Ruling> {
        let device = self.secrets.device(&answer.identity);
        let chain = self.secrets.chain(&answer.identity, answer.life, answer.epoch);
        let wrong = Ruling { text: words::WRONG.to_owned(), shown: None };
        let stale = |shown| Ruling { text: words::STALE.to_owned(), shown: Some(shown) };
        let Some(said) = words::read(&answer.text) else { return Some(wrong) };
        let name = chain.name();
        let kept = changed.get(&device).copied().or_else(|| self.store.get(&device));
        // What was known of other credentials says nothing of these.
        let mut ratchet =
            kept.filter(|kept| kept.chain == name).map_or_else(Ratchet::new, |kept| kept.ratchet);
        Some(match ratchet.answer(chain.claim(said, &answer.nonce)) {
            Answer::Current { give } => {
                if !self.store.has_room_for(&device) {
                    return None;
                }
                changed.insert(device, Kept { chain: name, ratchet });
                Ruling { text: words::next(name, give, &chain.secret(give)), shown: Some(Shown::Current) }
            }
            Answer::Stale => stale(Shown::Stale),
            Answer::Empty => stale(Shown::Empty),
            Answer::Wrong => wrong,
        })
    }

    fn keep(&mut self, changed: &HashMap<[u8; 8], Kept>) -> bool {
        if changed.is_empty() {
            return true;
        }
        let kept = self.store.put(changed);
        if let Err(error) = &kept
            && !self.is_failing
        {
            tracing::error!(
                "the rolling secrets of devices could not be kept ({error}): devices keep those that they have"
            );
        }
        self.is_failing = kept.is_err();
        kept.is_ok()
    }
}

/// Is the thread; dropping it stops it.
pub(crate) struct Ratcheting {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Ratcheting {
    /// Begins to judge.
    ///
    /// # Errors
    /// The system gives no thread.
    pub(crate) fn start(mut ratchets: Ratchets, queue: RatchetQueue) -> io::Result<Self> {
        let stop = Arc::<AtomicBool>::default();
        let is_over = Arc::clone(&stop);
        let run = move || {
            while !is_over.load(Ordering::Relaxed) {
                match queue.take(WAIT, limits::ANSWERS_PER_SYNC) {
                    Ok(answered) => ratchets.judge(answered),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => break,
                }
            }
        };
        let thread = thread::Builder::new().name("ratchets".to_owned()).spawn(run)?;
        Ok(Self { stop, thread: Some(thread) })
    }
}

impl Drop for Ratcheting {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

#[cfg(test)]
mod tests;
