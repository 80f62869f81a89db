//! Signatures of messages: with which keys they are verified, and the work of verifying one, which is done elsewhere.
//!
//! Verifying takes longer than everything else that happens to a message, so a shard does not do it: it says
//! [`Output::Check`](crate::Output::Check) and goes on with other links, and the shell gives back what [`Check::run`] found with
//! [`Input::Checked`](crate::Input::Checked). Nothing else makes a [`Checked`].

use crate::attach::LinkId;
use crate::message::{Message, MessageId};
use keyward_envelope::{
    Algorithm, BadSignature, Context, Digest, Direction, Kid, PublicKey, ToBeSigned, Verifier, inspect,
};
use keyward_ids::Identity;
use keyward_mqtt::time::UnixMillis;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Is a key by which messages of a device are verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MessageKey {
    /// Its name among those of the device.
    pub kid: Kid,
    /// The key.
    pub public: PublicKey,
    /// How well the device keeps the private key: 0 to 3.
    pub level: u8,
    /// Until when what it signs is accepted; no end if absent.
    pub until: Option<UnixMillis>,
}

/// Is a message whose signature is to be verified.
#[derive(Debug)]
pub struct Check {
    pub(crate) link: LinkId,
    pub(crate) installation: Arc<str>,
    pub(crate) device: Identity,
    pub(crate) correlation: Option<Box<[u8]>>,
    pub(crate) key: PublicKey,
    pub(crate) message: Arc<Message>,
    /// Keeps its bytes counted for as long as it waits, also when its link is gone.
    pub(crate) _place: Place,
}

/// Counts the bytes of the messages of one shard that wait to be verified, wherever they are.
#[derive(Debug, Clone, Default)]
pub(crate) struct Queue(Arc<AtomicUsize>);

/// Is the place of one of them; dropping it frees it.
#[derive(Debug)]
pub(crate) struct Place(Arc<AtomicUsize>, usize);

impl Queue {
    /// Takes a place of `bytes`; none if all together would be more than `most`. One shard alone takes places.
    pub(crate) fn enter(&self, bytes: usize, most: usize) -> Option<Place> {
        let held = self.bytes();
        (held.saturating_add(bytes) <= most).then(|| {
            self.0.fetch_add(bytes, Ordering::Relaxed);
            Place(Arc::clone(&self.0), bytes)
        })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(self.1, Ordering::Relaxed);
    }
}

/// Is what was found of a message's signature.
#[derive(Debug)]
pub struct Checked {
    link: LinkId,
    message: MessageId,
    digest: Option<Digest>,
}

/// Verifies with one key by a function of the shell.
struct With<'a, F> {
    key: &'a PublicKey,
    check: F,
}

impl<F> Verifier for With<'_, F>
where
    F: Fn(&PublicKey, &ToBeSigned<'_>, &[u8; 64]) -> Result<(), BadSignature>,
{
    fn algorithm(&self) -> Algorithm {
        self.key.algorithm()
    }

    fn kid(&self) -> Kid {
        self.key.kid()
    }

    fn check(&self, message: &ToBeSigned<'_>, signature: &[u8; 64]) -> Result<(), BadSignature> {
        (self.check)(self.key, message, signature)
    }
}

impl Check {
    /// Returns the link that waits for it.
    pub fn link(&self) -> LinkId {
        self.link
    }

    /// Returns the bytes that it keeps in memory.
    pub fn weight(&self) -> usize {
        size_of::<Self>() + self.message.weight() + self.correlation.as_ref().map_or(0, |data| data.len())
    }

    /// Verifies the message; `check` verifies a signature with a key.
    pub fn run(
        &self,
        check: impl Fn(&PublicKey, &ToBeSigned<'_>, &[u8; 64]) -> Result<(), BadSignature>,
    ) -> Checked {
        let context = Context {
            direction: Direction::Up { device: self.device.name() },
            installation: &self.installation,
            topic: self.message.topic(),
            correlation: self.correlation.as_deref(),
        };
        let verifier = With { key: &self.key, check };
        let verified =
            inspect(self.message.payload()).ok().and_then(|it| it.verify(&verifier, &context).ok());
        let digest = verified.map(|verified| verified.digest());
        Checked { link: self.link, message: self.message.id, digest }
    }

    /// Verifies the message with the software of `envelope`.
    pub fn run_in_software(&self) -> Checked {
        self.run(|key, message, signature| key.check(message, signature))
    }
}

impl Checked {
    /// Returns the link that waited for it.
    pub fn link(&self) -> LinkId {
        self.link
    }

    /// Returns the digest of what was signed if the signature of this message holds.
    pub(crate) fn digest_of(&self, message: MessageId) -> Option<Digest> {
        self.digest.filter(|_| self.message == message)
    }

    pub(crate) fn is_of(&self, message: MessageId) -> bool {
        self.message == message
    }
}
