//! Signs a message into a buffer of the caller.

use crate::algorithm::Algorithm;
use crate::cbor::{self, NoRoom, Room, Sink as _};
use crate::claims::Claims;
use crate::context::{Context, ContextError};
use crate::header::{Format, Header};
use crate::keys::Kid;
use crate::limits::{MESSAGE_BYTES, PROTECTED_BYTES};
use crate::signed::ToBeSigned;
use core::fmt;

/// Says that a key, chip or source of randomness did not do its work; holds the number that it gave as a reason. Of what is in
/// memory these are: 1 the key makes no signature, 2 the other key is on another curve, 3 four random numbers were no key, 4 a cipher
/// refused its input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Unavailable(pub i32);

impl fmt::Display for Unavailable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the key or the source of random bytes failed with code {}", self.0)
    }
}

impl core::error::Error for Unavailable {}

/// Signs with one private key: one in memory ([`software`](crate::software)), in a TPM, a token or a secure element.
pub trait Signer {
    /// Returns the algorithm of the key.
    fn algorithm(&self) -> Algorithm;

    /// Returns the identifier of the key: [`PublicKey::kid`](crate::PublicKey::kid) of its public half.
    fn kid(&self) -> Kid;

    /// Signs: an ES256 signer signs [`ToBeSigned::digest`] and returns r‖s, each 32 bytes big-endian; an Ed25519 signer
    /// signs all bytes.
    ///
    /// # Errors
    /// The key cannot be used; nothing is then sent.
    fn sign(&mut self, message: &ToBeSigned<'_>) -> Result<[u8; 64], Unavailable>;
}

/// Gives random bytes that nobody can guess.
pub trait Random {
    /// Fills `out`.
    ///
    /// # Errors
    /// There are none; nothing is then encrypted.
    fn fill(&mut self, out: &mut [u8]) -> Result<(), Unavailable>;
}

/// Is what is to be said.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Its number, date and session.
    pub claims: Claims,
    /// What the payload is; nothing leaves it to topic and agreement.
    pub format: Option<Format>,
    /// The payload.
    pub payload: &'a [u8],
}

/// Says why nothing was signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SealError {
    /// The buffer of the caller is too short.
    NoRoom(NoRoom),
    /// The message would be longer than [`MESSAGE_BYTES`].
    TooLong,
    /// The context cannot be.
    Context(ContextError),
    /// The claims have neither a date nor a nonce: no receiver could tell how old the message is.
    Undated,
    /// The payload's format is one that the profile keeps for encrypted payloads.
    ReservedFormat,
    /// The recipient's key is none that can agree: it is not of P-256.
    NoAgreementKey,
    /// The key or the random numbers failed.
    Unavailable(Unavailable),
}

impl fmt::Display for SealError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoom(error) => error.fmt(f),
            Self::TooLong => {
                write!(f, "the message would have more than {MESSAGE_BYTES} bytes: send it in parts")
            }
            Self::Context(error) => error.fmt(f),
            Self::Undated => f.write_str("the claims have no date; without a clock give the session's nonce"),
            Self::ReservedFormat => f.write_str("content formats 16 and 96 are for encrypted payloads"),
            Self::NoAgreementKey => f.write_str("the recipient's key cannot agree: give one of P-256"),
            Self::Unavailable(error) => error.fmt(f),
        }
    }
}

impl core::error::Error for SealError {}

impl From<NoRoom> for SealError {
    fn from(error: NoRoom) -> Self {
        Self::NoRoom(error)
    }
}

impl From<Unavailable> for SealError {
    fn from(error: Unavailable) -> Self {
        Self::Unavailable(error)
    }
}

/// Signs a message whose payload everybody may read, writes it to the beginning of `out` and returns its length, which is
/// at most 150 bytes more than the payload's.
///
/// # Errors
/// [`SealError`]; nothing of the payload is then in `out`.
pub fn sign(
    message: &Message<'_>,
    context: &Context<'_>,
    signer: &mut dyn Signer,
    out: &mut [u8],
) -> Result<usize, SealError> {
    let fill = |place: &mut [u8]| {
        place.copy_from_slice(message.payload);
        Ok(())
    };
    if message.format.is_some_and(Format::is_reserved) {
        return Err(SealError::ReservedFormat);
    }
    sign_what_is_filled_in(message.claims, message.format, message.payload.len(), context, signer, out, fill)
}

/// Writes header and frame, lets `fill` write `len` bytes of payload where they belong, and signs.
pub(crate) fn sign_what_is_filled_in(
    claims: Claims,
    format: Option<Format>,
    len: usize,
    context: &Context<'_>,
    signer: &mut dyn Signer,
    out: &mut [u8],
    fill: impl FnOnce(&mut [u8]) -> Result<(), SealError>,
) -> Result<usize, SealError> {
    context.check().map_err(SealError::Context)?;
    if !claims.is_dated() {
        return Err(SealError::Undated);
    }
    let mut protected = [0; PROTECTED_BYTES];
    let header = Header { algorithm: signer.algorithm(), kid: signer.kid(), format, claims };
    let protected_len = header.encode(&mut protected);
    let protected = protected.get(..protected_len).unwrap_or_default();
    let front = write_front(protected, len, &mut Room::new(out));
    let needed = front.saturating_add(len).saturating_add(SIGNATURE.len() + 64);
    if needed > MESSAGE_BYTES {
        return Err(SealError::TooLong);
    }
    let Some(message) = out.get_mut(..needed) else { return Err(NoRoom { needed }.into()) };
    let (head, tail) = message.split_at_mut(front + len);
    let payload = head.get_mut(front..).unwrap_or_default();
    let signed =
        fill(payload).and_then(|()| Ok(signer.sign(&ToBeSigned::new(protected, *context, payload))?));
    match signed {
        Ok(signature) => {
            let mut tail = Room::new(tail);
            tail.put(&SIGNATURE);
            tail.put(&signature);
            Ok(needed)
        }
        Err(error) => {
            // What stands there may be a secret that was about to be encrypted.
            message.fill(0);
            Err(error)
        }
    }
}

/// The head of a byte string of 64 bytes.
const SIGNATURE: [u8; 2] = [0x58, 64];

/// Tag and number of parts of a `COSE_Sign1`.
pub(crate) const SIGN1_TAG: u64 = 18;

/// Writes all that stands before the payload; returns its length.
fn write_front(protected: &[u8], payload: usize, room: &mut Room<'_>) -> usize {
    cbor::tag(room, SIGN1_TAG);
    cbor::array(room, 4);
    cbor::bytes(room, protected);
    cbor::map(room, 0);
    cbor::byte_string(room, payload);
    room.len()
}
