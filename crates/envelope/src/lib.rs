//! Signed and encrypted messages: the mqsec1 profile of COSE, as `docs/mqsec1.md` describes it.
//!
//! The rule of use. **A device** holds a [`Signer`] and gives [`sign`], [`sign_for_recipient`] or [`sign_for_group`] a [`Message`], the
//! [`Context`] it is for, and a buffer; the bytes are the payload of its PUBLISH. [`Numbers`] gives each message its own number. A message that is sent
//! again is the same bytes.
//!
//! **A verifier** does, in this order and on any thread:
//! 1. [`inspect`] the payload: it has the form of the profile or an error that names the byte. Nothing is copied.
//! 2. Find the key by [`Unverified::kid`] among those of the device whose session it is, and of no other ([`Ring`]).
//! 3. [`Unverified::verify`] with that key and the context in which the message *came*: the result is [`Verified`], and nothing else gives
//!    a payload.
//! 4. [`Window::judge`] its number, with the [`tag`](Digest::tag) of its digest: a repeat is acknowledged and not forwarded, however old it is; an
//!    equivocation is an alarm.
//! 5. Judge the age of a new one ([`freshness`]).
//! 6. [`Window::take`] its number, and store the [`Record`] that this brings with the message, before the acknowledgement.
//!
//! **A reader** verifies likewise, and gets by [`Verified::content`] the payload, or what it opens with its own key
//! ([`RecipientMessage::open`], [`GroupMessage::open`]). The keys come by [`open_grant`] and [`KeySet`].
//!
//! ```
//! use keyward_envelope::{Claims, Content, Context, Direction, Message, Sequence, inspect, sign, software::Ed25519Key, Signer};
//!
//! let mut key = Ed25519Key::from_seed(&[7; 32]);
//! let context = Context {
//!     direction: Direction::Up { device: "pump-1" },
//!     installation: "k7m2q9xw4hp3a8cd",
//!     topic: "plant/pump-1/temperature",
//!     correlation: None,
//! };
//! let message = Message { claims: Claims::issued_at(Sequence(1), 1_795_000_000), format: None, payload: b"21.5" };
//! let mut buffer = [0; 256];
//! let len = sign(&message, &context, &mut key, &mut buffer)?;
//!
//! let found = inspect(&buffer[..len])?;
//! assert_eq!(found.kid(), key.kid());
//! let verified = found.verify(&key.public(), &context)?;
//! assert!(matches!(verified.content()?, Content::Plain { payload: b"21.5", .. }));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! What is not here: heap, IO, clock and random numbers (they are given), where a device keeps its numbers and keys (`device`), whose key is whose
//! (`identity`), and what a broker does with a verdict (`broker`). There is no dependency on `ids` either, because its names live on the
//! heap; names are texts here, of the same grammar, and compare as there: without regard to case.

#![no_std]

mod algorithm;
mod cbor;
mod cipher;
mod claims;
mod context;
pub mod freshness;
mod grant;
mod group;
mod header;
mod inner;
mod keys;
mod keyset;
pub mod limits;
mod numbers;
mod recipient;
mod ring;
mod sign;
mod signed;
pub mod software;
mod verify;
mod window;

#[cfg(feature = "decoders")]
pub mod decoders {
    //! What fuzz targets reach without a key.

    use crate::{GroupKey, Malformed};

    /// Reads what a grant holds when it is opened.
    ///
    /// # Errors
    /// It is no grant.
    pub fn grant(plain: &[u8]) -> Result<GroupKey, Malformed> {
        crate::grant::read(plain)
    }
}

pub use algorithm::Algorithm;
pub use cbor::{Fault, Malformed, NoRoom, Sink};
pub use cipher::Cipher;
pub use claims::{Claims, Nonce, Sequence};
pub use context::{Context, ContextError, Direction};
pub use grant::{open_grant, sign_grant};
pub use group::{Epoch, GroupKey, GroupMessage, sign_for_group};
pub use header::Format;
pub use keys::{BadPoint, Kid, PublicKey, Purpose};
pub use keyset::{KeySet, sign_key_set};
pub use numbers::{Numbers, Reservation};
pub use recipient::{Agreement, OpenError, RecipientMessage, SharedSecret, sign_for_recipient};
pub use ring::{NotRegistered, Ring};
pub use sign::{Message, Random, SealError, Signer, Unavailable, sign};
pub use signed::{Digest, ToBeSigned};
pub use verify::{BadSignature, Content, Refused, Unverified, Verified, Verifier, inspect, inspect_within};
pub use window::{Decision, Recent, Record, Tag, Window};
