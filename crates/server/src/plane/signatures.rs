//! The threads that verify signatures of messages, beside the workers (rule 21).
//!
//! What waits for them is bounded: each link has one message under way at most, and is not read until it is verified. Devices take turns
//! there, so one with many links waits for itself.

use crate::plane::handover::WorkerMessage;
use crate::plane::inbox::Inbox;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey, VerificationAlgorithm};
use keyward_broker::{Check, ShardIndex};
use keyward_envelope::{BadSignature, PublicKey, ToBeSigned};
use keyward_ids::Identity;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

/// Is a message to be verified, and the shard that waits for it.
type Asked = (ShardIndex, Box<Check>);

/// Holds what waits, and whoever waits for that.
#[derive(Default)]
struct Room {
    waiting: Mutex<Waiting>,
    comes: Condvar,
}

#[derive(Default)]
struct Waiting {
    turns: Turns<Asked>,
    /// Whether nobody is left who could ask.
    is_over: bool,
}

impl Room {
    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Is what devices wait for in turns: each has its own line, and the lines are served one after the other.
struct Turns<T> {
    lines: HashMap<Identity, VecDeque<T>>,
    /// Those with a line, in the order of their turns.
    order: VecDeque<Identity>,
}

impl<T> Default for Turns<T> {
    fn default() -> Self {
        Self { lines: HashMap::new(), order: VecDeque::new() }
    }
}

impl<T> Turns<T> {
    fn add(&mut self, device: &Identity, what: T) {
        let line = self.lines.entry(device.clone()).or_default();
        if line.is_empty() {
            self.order.push_back(device.clone());
        }
        line.push_back(what);
    }

    fn next(&mut self) -> Option<T> {
        let device = self.order.pop_front()?;
        let line = self.lines.get_mut(&device)?;
        let next = line.pop_front();
        if line.is_empty() {
            self.lines.remove(&device);
        } else {
            self.order.push_back(device);
        }
        next
    }
}

/// Takes what a shard wants to have verified. The threads end when all of these are gone.
#[derive(Clone)]
pub(crate) struct SignatureDesk(Arc<Asking>);

/// Ends the threads when it goes.
struct Asking(Arc<Room>);

impl Drop for Asking {
    fn drop(&mut self) {
        self.0.lock().is_over = true;
        self.0.comes.notify_all();
    }
}

/// Verifies until nobody is left who could ask.
#[derive(Clone)]
pub(crate) struct SignatureChecker {
    room: Arc<Room>,
    /// The inboxes of the workers, in the order of their shards.
    inboxes: Arc<[Inbox<WorkerMessage>]>,
}

impl SignatureDesk {
    pub(crate) fn ask(&self, shard: ShardIndex, check: Box<Check>) {
        let Asking(room) = &*self.0;
        let device = check.device().clone();
        room.lock().turns.add(&device, (shard, check));
        room.comes.notify_one();
    }
}

impl SignatureChecker {
    pub(crate) fn new(inboxes: Arc<[Inbox<WorkerMessage>]>) -> (Self, SignatureDesk) {
        let room = Arc::<Room>::default();
        (Self { room: Arc::clone(&room), inboxes }, SignatureDesk(Arc::new(Asking(room))))
    }

    pub(crate) fn run(self) {
        while let Some((shard, check)) = self.next() {
            let checked = check.run(verify);
            if let Some(inbox) = self.inboxes.get(usize::from(shard.0)) {
                inbox.command(WorkerMessage::Checked(checked));
            }
        }
    }

    /// Waits for a message.
    fn next(&self) -> Option<Asked> {
        let mut waiting = self.room.lock();
        loop {
            if let Some(next) = waiting.turns.next() {
                return Some(next);
            }
            if waiting.is_over {
                return None;
            }
            waiting = self.room.comes.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn verify(key: &PublicKey, message: &ToBeSigned<'_>, signature: &[u8; 64]) -> Result<(), BadSignature> {
    let mut signed = vec![0; message.size()];
    message.copy_to(&mut signed).map_err(|_| BadSignature)?;
    let verify = |algorithm: &'static dyn VerificationAlgorithm, key: &[u8]| {
        UnparsedPublicKey::new(algorithm, key).verify(&signed, signature).map_err(|_| BadSignature)
    };
    match (key.to_sec1(), key.to_ed25519()) {
        (Some(point), _) => verify(&ECDSA_P256_SHA256_FIXED, &point),
        (None, Some(point)) => verify(&ED25519, &point),
        (None, None) => Err(BadSignature),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(name: &str) -> Identity {
        format!("device:{name}").parse().unwrap()
    }

    /// One line for all let a device with 200 links be verified 200 times while another waited for its one message.
    #[test]
    fn devices_take_turns_however_many_links_one_has() {
        let mut turns = Turns::default();
        (0..200).for_each(|number| turns.add(&device("loud"), ("loud", number)));
        turns.add(&device("quiet"), ("quiet", 0));
        turns.add(&device("third"), ("third", 0));
        turns.add(&device("third"), ("third", 1));
        let served: Vec<_> = std::iter::from_fn(|| turns.next()).collect();
        let expected =
            [("loud", 0), ("quiet", 0), ("third", 0), ("loud", 1), ("third", 1), ("loud", 2), ("loud", 3)];
        assert_eq!(served[..7], expected);
        assert_eq!((served.len(), turns.lines.len(), turns.order.len()), (203, 0, 0));
    }

    #[test]
    fn whoever_asks_late_in_turn_is_behind_those_that_wait() {
        let mut turns = Turns::default();
        turns.add(&device("a"), 1);
        turns.add(&device("b"), 2);
        assert_eq!(turns.next(), Some(1));
        turns.add(&device("a"), 3);
        assert_eq!([turns.next(), turns.next(), turns.next()], [Some(2), Some(3), None]);
    }

    #[test]
    fn the_threads_end_with_the_last_who_could_ask() {
        let (checker, desk) = SignatureChecker::new(Arc::new([]));
        let other = desk.clone();
        drop(desk);
        let thread = std::thread::spawn(move || checker.run());
        assert!(!thread.is_finished());
        drop(other);
        thread.join().unwrap();
    }
}
