//! Signatures of messages: with which keys they are verified, and the work of verifying one, which is done elsewhere.
//!
//! Verifying takes longer than everything else that happens to a message, so a shard does not do it: it says
//! [`Output::Check`](crate::Output::Check) and goes on with other links, and the shell gives back what [`Check::run`] found with
//! [`Input::Checked`](crate::Input::Checked). Nothing else makes a [`Checked`].

use crate::attach::LinkId;
use crate::limits;
use crate::message::{Message, MessageId};
use crate::placement::{HashKey, Map};
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

/// Counts the bytes of the messages of one shard that wait to be verified, wherever they are: all of them, and those of each device.
#[derive(Debug)]
pub(crate) struct Queue {
    all: Bytes,
    of: Map<Identity, Bytes>,
    /// How many devices are counted before those are forgotten of which nothing waits.
    tidy_at: usize,
}

/// Is a count of bytes that whoever frees them lowers.
type Bytes = Arc<AtomicUsize>;

/// Is the place of one message; dropping it frees it.
#[derive(Debug)]
pub(crate) struct Place {
    counts: [Bytes; 2],
    bytes: usize,
}

impl Queue {
    pub(crate) fn new(hash_key: HashKey) -> Self {
        Self { all: Bytes::default(), of: Map::with_hasher(hash_key), tidy_at: limits::UNCHECKED_TIDY }
    }

    /// Takes a place of `bytes` for a message of a device; none if all together, or those of the device, would be too many. One shard alone
    /// takes places.
    pub(crate) fn enter(&mut self, device: &Identity, bytes: usize) -> Option<Place> {
        if self.of.len() >= self.tidy_at {
            self.of.retain(|_, count| held(count) > 0);
            self.tidy_at = limits::UNCHECKED_TIDY.max(2 * self.of.len());
        }
        let of_device = self.of.entry(device.clone()).or_default();
        let has_room = |count: &Bytes, most: usize| held(count).saturating_add(bytes) <= most;
        (has_room(&self.all, limits::UNCHECKED_BYTES)
            && has_room(of_device, limits::UNCHECKED_BYTES_PER_DEVICE))
        .then(|| {
            let counts = [Arc::clone(&self.all), Arc::clone(of_device)];
            for count in &counts {
                count.fetch_add(bytes, Ordering::Relaxed);
            }
            Place { counts, bytes }
        })
    }

    pub(crate) fn bytes(&self) -> usize {
        held(&self.all)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        for count in &self.counts {
            count.fetch_sub(self.bytes, Ordering::Relaxed);
        }
    }
}

fn held(count: &Bytes) -> usize {
    count.load(Ordering::Relaxed)
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

    /// Returns whose message it is.
    pub fn device(&self) -> &Identity {
        &self.device
    }

    /// Returns the bytes that the check of a message keeps in memory; its correlation data is in the message, and beside it.
    pub(crate) fn weight(message: &Message, correlation: Option<&[u8]>) -> usize {
        size_of::<Self>() + message.weight() + correlation.map_or(0, <[u8]>::len)
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
