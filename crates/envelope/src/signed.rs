//! The bytes that a signature covers: the `Sig_structure` of RFC 9052 §4.4.

use crate::cbor::{self, Count, NoRoom, Room, Sink};
use crate::context::Context;
use core::fmt;
use sha2::{Digest as _, Sha256};

/// Is what a signature covers, never in one piece unless asked for: a device hashes it where it lies.
#[derive(Debug, Clone, Copy)]
pub struct ToBeSigned<'a> {
    protected: &'a [u8],
    context: Context<'a>,
    payload: &'a [u8],
}

impl<'a> ToBeSigned<'a> {
    pub(crate) fn new(protected: &'a [u8], context: Context<'a>, payload: &'a [u8]) -> Self {
        Self { protected, context, payload }
    }

    /// Hands all bytes to `sink`, in their order. It may be done again: Ed25519 reads twice.
    pub fn feed(&self, sink: &mut dyn Sink) {
        cbor::array(sink, 4);
        cbor::text(sink, "Signature1");
        cbor::bytes(sink, self.protected);
        let mut external = Count::default();
        self.context.write_for_signature(&mut external);
        cbor::byte_string(sink, external.0);
        self.context.write_for_signature(sink);
        cbor::bytes(sink, self.payload);
    }

    /// Returns how many bytes there are.
    pub fn size(&self) -> usize {
        let mut count = Count::default();
        self.feed(&mut count);
        count.0
    }

    /// Writes all bytes into `out`, for signers and verifiers that take them in one piece; returns how many.
    ///
    /// # Errors
    /// `out` is shorter than [`size`](Self::size).
    pub fn copy_to(&self, out: &mut [u8]) -> Result<usize, NoRoom> {
        let mut room = Room::new(out);
        self.feed(&mut room);
        room.finish()
    }

    /// Returns the SHA-256 of all bytes: what ES256 signs, and what tells a repeat from another message of the same number.
    pub fn digest(&self) -> Digest {
        let mut hash = Sha256::new();
        self.feed(&mut hash);
        Digest(hash.finalize().into())
    }
}

/// Names a message by all that is signed of it: SHA-256 of the [`ToBeSigned`].
///
/// Not of the signature: secure elements sign the same bytes differently each time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digest(pub [u8; 32]);

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}
