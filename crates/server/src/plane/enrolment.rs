//! The way from an enrolment link to whoever keeps the registry, and back: a bounded queue, for each application costs a
//! signature and a sync of the disk.

use crate::plane::limits::APPLICATIONS_WAITING;
use crate::plane::source::Peer;
use keyward_identity::Secret;
use keyward_ids::{CertSerial, Identity};
use keyward_tpm::Expected;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// The topic on which a device applies.
pub const REQUEST_TOPIC: &str = "$keyward/enroll";

/// The topic on which it is answered.
pub const ANSWER_TOPIC: &str = "$keyward/enroll/answer";

/// Is what a device applies for.
pub struct Application {
    /// Who applies.
    pub identity: Identity,
    /// Where it is.
    pub peer: Peer,
    /// What it wants.
    pub wish: Wish,
    answer: Box<dyn FnOnce(Answer) + Send>,
}

/// Says what a device wants. A request is what it published: at most [`crate::plane::limits::ENROLMENT_BYTES`].
pub enum Wish {
    /// Its first certificate, for a claim code that was right when the link was opened.
    Claim {
        /// The code.
        code: Secret,
        /// The request.
        request: Vec<u8>,
        /// What the answer to the last challenge on this link must be, if one is open.
        expected: Option<Box<Expected>>,
    },
    /// Nothing any more: its claim code is right, and was used more than an hour ago. Nobody waits for the answer.
    Late {
        /// The code.
        code: Secret,
    },
    /// Another certificate in the place of the one by which the link was opened.
    Renew {
        /// The serial number of that one.
        serial: CertSerial,
        /// The request.
        request: Vec<u8>,
    },
    /// To be known by its new certificate, which it uses for the first time, from now on alone.
    Succeed {
        /// The serial number of the new one.
        serial: CertSerial,
    },
}

/// Is what a device is answered.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// The payload of one message. Empty where nobody waits for words.
    pub payload: Vec<u8>,
    /// If that is a challenge, what the answer to it must be: it stays with the link.
    pub expected: Option<Box<Expected>>,
}

impl From<Vec<u8>> for Answer {
    fn from(payload: Vec<u8>) -> Self {
        Self { payload, expected: None }
    }
}

impl Application {
    pub(crate) fn new(
        identity: Identity,
        peer: Peer,
        wish: Wish,
        answer: impl FnOnce(Answer) + Send + 'static,
    ) -> Self {
        Self { identity, peer, wish, answer: Box::new(answer) }
    }

    /// Takes out what is wanted and how to answer.
    pub fn open(self) -> (Wish, impl FnOnce(Answer)) {
        (self.wish, self.answer)
    }
}

enum Place {
    Taken(Application),
    Closed,
}

/// Is the end of the queue at the doors; cheap to clone.
#[derive(Clone)]
pub struct Applications(SyncSender<Place>);

/// Is the end of the queue at which applications are decided.
pub struct ApplicationQueue(Receiver<Place>);

impl Applications {
    /// Makes a queue of [`APPLICATIONS_WAITING`] places. Whoever takes from it answers each; one that is dropped is not
    /// answered, and the device comes again.
    pub fn queue() -> (Self, ApplicationQueue) {
        let (sender, receiver) = sync_channel(APPLICATIONS_WAITING);
        (Self(sender), ApplicationQueue(receiver))
    }

    /// Puts an application in; false if there is no place.
    pub(crate) fn offer(&self, application: Application) -> bool {
        self.0.try_send(Place::Taken(application)).is_ok()
    }

    /// Ends the queue behind what is in it.
    pub fn close(&self) {
        // An error says that nobody takes from it any more.
        let _: Result<(), _> = self.0.send(Place::Closed);
    }
}

impl ApplicationQueue {
    /// Waits for the next application; `None` when the queue was closed.
    pub fn next(&self) -> Option<Application> {
        match self.0.recv() {
            Ok(Place::Taken(application)) => Some(application),
            Ok(Place::Closed) | Err(_) => None,
        }
    }
}
