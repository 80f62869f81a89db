//! The way from workers to who keeps the rolling secrets of devices, and back: a bounded queue, for what is decided is synced to the disk.

use crate::plane::limits::RATCHET_ANSWERS_WAITING;
use keyward_broker::RatchetAnswer;
use keyward_watch::event::Ratchet;
use std::fmt;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TryRecvError, TrySendError, sync_channel};
use std::time::Duration;

/// Is what came of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ruling {
    /// What the device is told.
    pub text: String,
    /// What it showed; `None` if it proved nothing.
    pub shown: Option<Ratchet>,
}

/// Is an answer of a device, and who waits for what comes of it.
pub struct Answered {
    /// The answer.
    pub answer: RatchetAnswer,
    reply: Box<dyn FnOnce(Ruling) + Send>,
}

impl fmt::Debug for Answered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Answered").field(&self.answer).finish()
    }
}

impl Answered {
    /// Takes an answer, and how to say what came of it.
    pub fn new(answer: RatchetAnswer, reply: impl FnOnce(Ruling) + Send + 'static) -> Self {
        Self { answer, reply: Box::new(reply) }
    }

    /// Says what came of it.
    pub fn reply(self, ruling: Ruling) {
        (self.reply)(ruling);
    }
}

/// Is the end of the queue at the workers; cheap to clone.
#[derive(Debug, Clone)]
pub struct RatchetDesk(SyncSender<Answered>);

/// Is the end at which answers are judged.
#[derive(Debug)]
pub struct RatchetQueue(Receiver<Answered>);

impl RatchetDesk {
    /// Makes a queue of [`RATCHET_ANSWERS_WAITING`] places.
    pub fn queue() -> (Self, RatchetQueue) {
        let (sender, receiver) = sync_channel(RATCHET_ANSWERS_WAITING);
        (Self(sender), RatchetQueue(receiver))
    }

    /// Puts an answer in. Without a place the device is not answered: it keeps the secret that it has, which stays good.
    pub(crate) fn offer(&self, answered: Answered) {
        match self.0.try_send(answered) {
            Ok(()) | Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => {}
        }
    }
}

impl RatchetQueue {
    /// Waits for answers, and takes at most `most` that are there.
    ///
    /// # Errors
    /// None came, or nobody is left who could.
    pub fn take(&self, at_most: Duration, most: usize) -> Result<Vec<Answered>, RecvTimeoutError> {
        let mut taken = vec![self.0.recv_timeout(at_most)?];
        while taken.len() < most {
            match self.0.try_recv() {
                Ok(answered) => taken.push(answered),
                Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
            }
        }
        Ok(taken)
    }
}
