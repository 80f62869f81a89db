//! The threads that verify signatures of messages, beside the workers (rule 21).
//!
//! What waits for them is bounded: each link has one message under way at most, and is not read until it is verified.

use crate::plane::handover::WorkerMessage;
use crate::plane::inbox::Inbox;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ED25519, UnparsedPublicKey, VerificationAlgorithm};
use keyward_broker::{Check, ShardIndex};
use keyward_envelope::{BadSignature, PublicKey, ToBeSigned};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

/// Is a message to be verified, and the shard that waits for it.
type Asked = (ShardIndex, Box<Check>);

/// Takes what a shard wants to have verified. The threads end when all of these are gone.
#[derive(Clone)]
pub(crate) struct SignatureDesk(Sender<Asked>);

/// Verifies until nobody is left who could ask.
#[derive(Clone)]
pub(crate) struct SignatureChecker {
    asked: Arc<Mutex<Receiver<Asked>>>,
    /// The inboxes of the workers, in the order of their shards.
    inboxes: Arc<[Inbox<WorkerMessage>]>,
}

impl SignatureDesk {
    pub(crate) fn ask(&self, shard: ShardIndex, check: Box<Check>) {
        // The threads end after the last desk.
        let _ = self.0.send((shard, check));
    }
}

impl SignatureChecker {
    #[expect(clippy::disallowed_methods, reason = "a link has one message under way at most")]
    pub(crate) fn new(inboxes: Arc<[Inbox<WorkerMessage>]>) -> (Self, SignatureDesk) {
        let (desk, asked) = channel();
        (Self { asked: Arc::new(Mutex::new(asked)), inboxes }, SignatureDesk(desk))
    }

    pub(crate) fn run(self) {
        while let Some((shard, check)) = self.next() {
            let checked = check.run(verify);
            if let Some(inbox) = self.inboxes.get(usize::from(shard.0)) {
                inbox.command(WorkerMessage::Checked(checked));
            }
        }
    }

    /// Waits for a message; one thread does while the others verify.
    fn next(&self) -> Option<Asked> {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
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
