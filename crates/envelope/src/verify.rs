//! Looks at a message, and verifies it. Before that nothing gives its payload.

use crate::algorithm::Algorithm;
use crate::cbor::{Fault, Malformed, Reader};
use crate::claims::Claims;
use crate::context::{Context, ContextError};
use crate::group::GroupMessage;
use crate::header::{Format, Header};
use crate::keys::Kid;
use crate::limits::{MESSAGE_BYTES, PROTECTED_BYTES};
use crate::recipient::RecipientMessage;
use crate::sign::SIGN1_TAG;
use crate::signed::{Digest, ToBeSigned};
use core::fmt;

/// Checks signatures with one public key. [`PublicKey`](crate::PublicKey) does it in software; a broker may bring a faster one.
pub trait Verifier {
    /// Returns the algorithm of the key.
    fn algorithm(&self) -> Algorithm;

    /// Returns the identifier of the key.
    fn kid(&self) -> Kid;

    /// Checks a signature (r‖s for ES256).
    ///
    /// # Errors
    /// This key did not make it over these bytes.
    fn check(&self, message: &ToBeSigned<'_>, signature: &[u8; 64]) -> Result<(), BadSignature>;
}

/// Says that a signature was not made by this key over these bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadSignature;

/// Is a message that has the form of the profile. What it says of itself, anybody may have written: it serves to find the key, nothing else.
#[derive(Debug, Clone, Copy)]
pub struct Unverified<'a> {
    header: Header,
    protected: &'a [u8],
    payload: &'a [u8],
    signature: &'a [u8; 64],
}

/// Looks at bytes that may be a message, of at most [`MESSAGE_BYTES`]. Nothing is copied or kept.
///
/// # Errors
/// [`Malformed`] says what is no message of the profile, and at which byte.
pub fn inspect(bytes: &[u8]) -> Result<Unverified<'_>, Malformed> {
    inspect_within(bytes, MESSAGE_BYTES)
}

/// Looks at bytes that may be a message, of at most `most`.
///
/// # Errors
/// As [`inspect`].
pub fn inspect_within(bytes: &[u8], most: usize) -> Result<Unverified<'_>, Malformed> {
    let mut reader = Reader::new(bytes);
    if bytes.len() > most {
        return reader.fail(Fault::TooLong(most));
    }
    reader.tag(SIGN1_TAG, "the tag of a COSE_Sign1 (d2)")?;
    reader.array(4, "an array of 4 parts")?;
    let protected = reader.inside(PROTECTED_BYTES, "the protected header in a byte string")?;
    let header = Header::read(protected.clone())?;
    no_more(&mut reader)?;
    let payload = reader.bytes(most, "the payload in a byte string")?;
    let at = reader.at();
    let signature = reader.bytes(64, SIGNATURE)?;
    let signature = signature.try_into().map_err(|_| Malformed { at, fault: Fault::Expected(SIGNATURE) })?;
    reader.end()?;
    Ok(Unverified { header, protected: protected.rest(), payload, signature })
}

const SIGNATURE: &str = "a signature of 64 bytes";

/// Reads the unprotected header of a signature, which is empty: what nobody signed says nothing.
fn no_more(reader: &mut Reader<'_>) -> Result<(), Malformed> {
    let mut labels = reader.map(0, "the unprotected header, an empty map")?;
    match labels.next(reader)? {
        Some(label) => labels.unknown(label),
        None => Ok(()),
    }
}

impl<'a> Unverified<'a> {
    /// Returns which key the message names.
    pub fn kid(&self) -> Kid {
        self.header.kid
    }

    /// Returns which algorithm the message names.
    pub fn algorithm(&self) -> Algorithm {
        self.header.algorithm
    }

    /// Returns the claims that the message makes.
    pub fn claims(&self) -> &Claims {
        &self.header.claims
    }

    /// Tells whether the message says that it is encrypted for a group: the server speaks to one with another direction than to one device.
    pub fn is_for_group(&self) -> bool {
        self.header.format == Some(Format::FOR_GROUP)
    }

    /// Returns how long the payload is, in bytes.
    pub fn payload_len(&self) -> usize {
        self.payload.len()
    }

    /// Returns the payload if it is not encrypted. Nothing here says that somebody signed it: this is for who has another's word for that.
    pub fn unverified_payload(&self) -> Option<&'a [u8]> {
        let is_encrypted = matches!(self.header.format, Some(Format::FOR_RECIPIENT | Format::FOR_GROUP));
        (!is_encrypted).then_some(self.payload)
    }

    /// Verifies the message with the key that was found for its [`kid`](Self::kid), for the context in which it came.
    ///
    /// # Errors
    /// [`Refused`] says why the message counts for nothing.
    pub fn verify(self, key: &dyn Verifier, context: &Context<'a>) -> Result<Verified<'a>, Refused> {
        context.check().map_err(Refused::Context)?;
        if self.header.kid != key.kid() {
            return Err(Refused::OtherKey);
        }
        if self.header.algorithm != key.algorithm() {
            return Err(Refused::OtherAlgorithm { key: key.algorithm(), message: self.header.algorithm });
        }
        let signed = ToBeSigned::new(self.protected, *context, self.payload);
        key.check(&signed, self.signature).map_err(|BadSignature| Refused::Signature)?;
        Ok(Verified {
            header: self.header,
            context: *context,
            payload: self.payload,
            digest: signed.digest(),
        })
    }
}

/// Says why a message of good form was not verified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// The context cannot be.
    Context(ContextError),
    /// The message names another key.
    OtherKey,
    /// The message names another algorithm than its key has.
    OtherAlgorithm {
        /// That of the key.
        key: Algorithm,
        /// That of the message.
        message: Algorithm,
    },
    /// The signature does not hold: another key, other bytes, or another context than the signer's.
    Signature,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Context(error) => error.fmt(f),
            Self::OtherKey => f.write_str("the message names another key than the one it is verified with"),
            Self::OtherAlgorithm { key, message } => {
                write!(f, "the message says {} and its key is for {}", message.as_str(), key.as_str())
            }
            Self::Signature => f.write_str(
                "the signature does not hold: it was made by another key, over other bytes, or for another \
                 installation, device, direction, topic or correlation",
            ),
        }
    }
}

impl core::error::Error for Refused {}

/// Is a message whose signature holds. Only [`Unverified::verify`] makes one. Whether it is *new* is the matter of
/// [`Window`](crate::Window), whether it is *fresh* that of [`freshness`](crate::freshness).
#[derive(Debug, Clone, Copy)]
pub struct Verified<'a> {
    header: Header,
    context: Context<'a>,
    payload: &'a [u8],
    digest: Digest,
}

/// Is what a message holds.
#[derive(Debug, Clone, Copy)]
pub enum Content<'a> {
    /// A payload that is not encrypted.
    Plain {
        /// What it is.
        format: Option<Format>,
        /// Its bytes.
        payload: &'a [u8],
    },
    /// Something for the holder of one key.
    ForRecipient(RecipientMessage<'a>),
    /// Something for the members of a group.
    ForGroup(GroupMessage<'a>),
}

impl<'a> Verified<'a> {
    /// Returns the key that signed.
    pub fn kid(&self) -> Kid {
        self.header.kid
    }

    /// Returns the claims.
    pub fn claims(&self) -> &Claims {
        &self.header.claims
    }

    /// Returns the context for which it was verified.
    pub fn context(&self) -> &Context<'a> {
        &self.context
    }

    /// Returns the digest of all that is signed.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Returns what the message holds.
    ///
    /// # Errors
    /// It says that it is encrypted and has not the form of it.
    pub fn content(&self) -> Result<Content<'a>, Malformed> {
        match self.header.format {
            Some(Format::FOR_RECIPIENT) => {
                RecipientMessage::read(self.payload, self).map(Content::ForRecipient)
            }
            Some(Format::FOR_GROUP) => GroupMessage::read(self.payload, self).map(Content::ForGroup),
            format => Ok(Content::Plain { format, payload: self.payload }),
        }
    }
}

#[cfg(test)]
mod tests;
