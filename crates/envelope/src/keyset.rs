//! The keys of the server that devices believe, signed by the installation's root.
//!
//! A key set lies retained on `$keyward/keys/server`. It is a `COSE_KeySet` whose number is the version: a device keeps the highest that it
//! has seen and takes no lower one, so that a key that was taken out does not come back.

use crate::cbor::{self, Fault, Malformed, Reader, Room};
use crate::claims::Sequence;
use crate::context::Direction;
use crate::header::Format;
use crate::keys::{Kid, PublicKey, Purpose};
use crate::limits::{KEY_BYTES, KEY_SET_KEYS};
use crate::sign::{Message, SealError, Signer, sign};
use crate::verify::{Content, Verified};
use crate::{claims::Claims, context::Context};

/// Holds the server's keys of one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeySet {
    version: Sequence,
    keys: [Option<(Kid, PublicKey, Purpose)>; KEY_SET_KEYS],
}

/// Signs a key set with the root's key, writes it to the beginning of `out` and returns its length. The claims' number is the version; the
/// context speaks to [`All`](Direction::All).
///
/// # Errors
/// [`SealError`]; [`SealError::TooLong`] for more than [`KEY_SET_KEYS`] keys.
pub fn sign_key_set(
    keys: &[(PublicKey, Purpose)],
    claims: Claims,
    context: &Context<'_>,
    root: &mut dyn Signer,
    out: &mut [u8],
) -> Result<usize, SealError> {
    if keys.len() > KEY_SET_KEYS {
        return Err(SealError::TooLong);
    }
    let mut payload = [0; 1 + KEY_SET_KEYS * KEY_BYTES];
    let mut room = Room::new(&mut payload);
    cbor::array(&mut room, keys.len());
    keys.iter().for_each(|(key, purpose)| key.write(&mut room, Some(*purpose)));
    let len = room.finish()?;
    let payload = payload.get(..len).unwrap_or_default();
    sign(&Message { claims, format: Some(Format::KEY_SET), payload }, context, root, out)
}

impl KeySet {
    /// Reads a key set out of a message that was verified with the root's key.
    ///
    /// # Errors
    /// [`Malformed`]: it is no key set, or not spoken to all devices.
    pub fn read(message: &Verified<'_>) -> Result<Self, Malformed> {
        let Content::Plain { format: Some(Format::KEY_SET), payload } = message.content()? else {
            return Reader::new(&[]).fail(Fault::Expected("a key set (content format 102)"));
        };
        let mut reader = Reader::new(payload);
        if message.context().direction != Direction::All {
            return reader.fail(Fault::Expected("a key set that is spoken to all devices"));
        }
        let mut set = Self { version: message.claims().sequence, keys: [None; KEY_SET_KEYS] };
        let count = reader.list(KEY_SET_KEYS, "a key set, an array of at most 8 keys")?;
        for place in 0..count {
            let at = reader.at();
            let (key, purpose) = PublicKey::read(&mut reader)?;
            // Elsewhere a key may come without identifier or purpose; here there is one form.
            let mut form = [0; KEY_BYTES];
            let len = key.to_cose(purpose, &mut form).unwrap_or_default();
            if payload.get(at..reader.at()) != form.get(..len) {
                return Err(Malformed {
                    at,
                    fault: Fault::Expected("a key with its identifier and purpose"),
                });
            }
            // Not even for the other purpose: a key that signs never agrees.
            if set.keys.iter().flatten().any(|(known, ..)| *known == key.kid()) {
                return Err(Malformed { at, fault: Fault::SameKid });
            }
            if let Some(place) = set.keys.get_mut(place) {
                *place = Some((key.kid(), key, purpose));
            }
        }
        reader.end()?;
        Ok(set)
    }

    /// Returns the version.
    pub fn version(&self) -> Sequence {
        self.version
    }

    /// Finds the key with this identifier that is for this purpose.
    pub fn find(&self, kid: Kid, purpose: Purpose) -> Option<&PublicKey> {
        let is_it = |(known, _, other): &&(Kid, PublicKey, Purpose)| *known == kid && *other == purpose;
        self.keys.iter().flatten().find(is_it).map(|(_, key, _)| key)
    }

    /// Goes through all keys.
    pub fn keys(&self) -> impl Iterator<Item = (&PublicKey, Purpose)> {
        self.keys.iter().flatten().map(|(_, key, purpose)| (key, *purpose))
    }
}
