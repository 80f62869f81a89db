//! Content for the members of a group: a key for each epoch, from which each sender has its own.

use crate::cbor::{self, Fault, Malformed, NoRoom, Reader, Room, Sink};
use crate::cipher::{self, Cipher, EncStructure, Key};
use crate::claims::Sequence;
use crate::context::{Context, folded, is_name};
use crate::header::{Format, KID, PARTIAL_IV};
use crate::inner::{self, InnerHeader};
use crate::keys::Kid;
use crate::limits::NAME_BYTES;
use crate::recipient::OpenError;
use crate::sign::{Message, SealError, Signer, Unavailable, sign_what_is_filled_in};
use crate::verify::Verified;
use zeroize::Zeroizing;

/// Numbers the keys of all groups of an installation: a new key of any group has the next number, so a higher one is newer and no two
/// groups have the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Epoch(pub u32);

/// Holds the key of a group in one epoch. It is wiped when dropped, and never shown.
///
/// No key of two messages is the same: each sender's is derived from its name, its direction and its signing key, and its nonces from the
/// numbers of its messages, which are never used twice.
#[derive(Clone)]
pub struct GroupKey {
    group: [u8; NAME_BYTES],
    len: usize,
    epoch: Epoch,
    secret: Key,
}

impl GroupKey {
    /// Takes a key of 16 random bytes; nothing if `group` is no name of 1 to 64 characters.
    pub fn new(group: &str, epoch: Epoch, secret: &[u8; 16]) -> Option<Self> {
        let mut name = [0; NAME_BYTES];
        if !is_name(group) {
            return None;
        }
        name.get_mut(..group.len())?.copy_from_slice(group.as_bytes());
        Some(Self { group: name, len: group.len(), epoch, secret: Zeroizing::new(*secret) })
    }

    /// Returns the name of the group.
    pub fn group(&self) -> &str {
        self.group.get(..self.len).and_then(|name| core::str::from_utf8(name).ok()).unwrap_or_default()
    }

    /// Returns the epoch.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Returns the secret itself, for whoever keeps it where it is safe.
    pub fn expose_secret(&self) -> &[u8; 16] {
        &self.secret
    }

    /// Derives what one sender has, with one signing key, for one cipher.
    fn sender(&self, context: &Context<'_>, kid: Kid, cipher: Cipher) -> SenderKey {
        let mut info = [0; 256];
        let mut room = Room::new(&mut info);
        cbor::array(&mut room, 8);
        cbor::text(&mut room, "mqsec1/group");
        cbor::text(&mut room, context.installation);
        folded(&mut room, self.group());
        cbor::unsigned(&mut room, u64::from(self.epoch.0));
        context.write_speaker(&mut room);
        cbor::bytes(&mut room, kid.as_bytes());
        cbor::integer(&mut room, cipher.id());
        let len = room.finish().unwrap_or_default();
        let mut derived = Zeroizing::new([0; 16 + NONCE]);
        let wanted = 16 + cipher.nonce_len();
        let place = derived.get_mut(..wanted).unwrap_or_default();
        cipher::derive(&*self.secret, info.get(..len).unwrap_or_default(), place);
        SenderKey { derived, cipher }
    }
}

/// The longest nonce.
const NONCE: usize = 13;

/// Holds the key of one sender and the nonce that its numbers change.
struct SenderKey {
    derived: Zeroizing<[u8; 16 + NONCE]>,
    cipher: Cipher,
}

impl SenderKey {
    fn key(&self) -> Key {
        let mut key = Key::default();
        key.copy_from_slice(&self.derived[..16]);
        key
    }

    /// Returns the nonce of a number: the base, with the number added to its end without carry (RFC 9052 §3.1, Partial IV).
    fn nonce(&self, number: Sequence) -> ([u8; NONCE], usize) {
        let mut nonce = [0; NONCE];
        nonce.copy_from_slice(&self.derived[16..]);
        let len = self.cipher.nonce_len();
        for (place, byte) in nonce[len - 8..len].iter_mut().zip(number.0.to_be_bytes()) {
            *place ^= byte;
        }
        (nonce, len)
    }
}

/// Signs a message that only members of a group can read, writes it to the beginning of `out` and returns its length.
///
/// # Errors
/// [`SealError`]; nothing of the payload is then in `out`.
pub fn sign_for_group(
    message: &Message<'_>,
    context: &Context<'_>,
    signer: &mut dyn Signer,
    key: &GroupKey,
    cipher: Cipher,
    out: &mut [u8],
) -> Result<usize, SealError> {
    context.check().map_err(SealError::Context)?;
    let claims = message.claims;
    let sealed = Sealed {
        protected: InnerHeader::new(cipher, message.format),
        epoch: key.epoch,
        number: claims.sequence,
        payload: message.payload,
        sender: key.sender(context, signer.kid(), cipher),
    };
    let digest = context.digest_for_encryption();
    let mut front = cbor::Count::default();
    sealed.write_front(&mut front);
    let size = front.0 + sealed.body();
    sign_what_is_filled_in(claims, Some(Format::FOR_GROUP), size, context, signer, out, |place| {
        sealed.fill(place, &digest)
    })
}

struct Sealed<'a> {
    protected: InnerHeader,
    epoch: Epoch,
    number: Sequence,
    payload: &'a [u8],
    sender: SenderKey,
}

impl Sealed<'_> {
    /// Returns the length of the content with its tag.
    fn body(&self) -> usize {
        self.payload.len() + self.sender.cipher.tag_len()
    }

    fn write_front(&self, sink: &mut dyn Sink) {
        cbor::array(sink, 3);
        cbor::bytes(sink, self.protected.as_bytes());
        cbor::map(sink, 2);
        cbor::integer(sink, KID);
        cbor::bytes(sink, &self.epoch.0.to_be_bytes());
        cbor::integer(sink, PARTIAL_IV);
        self.number.write(sink);
        cbor::byte_string(sink, self.body());
    }

    /// Writes everything to its place, then encrypts the content there.
    fn fill(&self, place: &mut [u8], digest: &[u8; 32]) -> Result<(), SealError> {
        let mut room = Room::new(place);
        self.write_front(&mut room);
        let front = room.len();
        room.put(self.payload);
        room.finish()?;
        let (nonce, len) = self.sender.nonce(self.number);
        let aad = EncStructure::new("Encrypt0", self.protected.as_bytes(), digest);
        let body = place.get_mut(front..front + self.body());
        let sealed = aad.zip(body).and_then(|(aad, body)| {
            self.sender.cipher.seal(&self.sender.key(), nonce.get(..len)?, aad.as_bytes(), body)
        });
        sealed.ok_or(SealError::Unavailable(Unavailable(4)))
    }
}

/// Is content for a group, still encrypted.
#[derive(Debug, Clone, Copy)]
pub struct GroupMessage<'a> {
    protected: &'a [u8],
    cipher: Cipher,
    format: Option<Format>,
    epoch: Epoch,
    sealed: &'a [u8],
    outer: (Context<'a>, Kid, Sequence),
}

impl<'a> GroupMessage<'a> {
    pub(crate) fn read(payload: &'a [u8], outer: &Verified<'a>) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        reader.array(3, "a COSE_Encrypt0, an array of 3 parts")?;
        let (protected, cipher, format) = inner::read(&mut reader)?;
        let mut labels = reader.map(2, "an epoch and a partial IV")?;
        let (mut epoch, mut number) = (None, None);
        while let Some(label) = labels.next(&mut reader)? {
            match label {
                KID => epoch = Some(reader.exactly("an epoch of 4 bytes")?),
                PARTIAL_IV => number = Some(read_number(&mut reader, outer.claims().sequence)?),
                _ => return labels.unknown(label),
            }
        }
        let epoch = Epoch(u32::from_be_bytes(labels.demand(epoch, "the epoch (4)")?));
        let number = labels.demand(number, "the partial IV (6)")?;
        let sealed = reader.bytes(payload.len(), "the encrypted content in a byte string")?;
        reader.end()?;
        Ok(Self { protected, cipher, format, epoch, sealed, outer: (*outer.context(), outer.kid(), number) })
    }

    /// Returns the epoch of the key.
    pub fn epoch(&self) -> Epoch {
        self.epoch
    }

    /// Returns what the payload is.
    pub fn format(&self) -> Option<Format> {
        self.format
    }

    /// Returns how long the payload is, in bytes.
    pub fn payload_len(&self) -> usize {
        self.sealed.len().saturating_sub(self.cipher.tag_len())
    }

    /// Decrypts the payload into the beginning of `out` and returns it.
    ///
    /// # Errors
    /// [`OpenError`]; `out` is then wiped.
    pub fn open<'b>(&self, key: &GroupKey, out: &'b mut [u8]) -> Result<&'b [u8], OpenError> {
        if self.epoch != key.epoch {
            return Err(OpenError::OtherKey);
        }
        let needed = self.payload_len();
        let out = out.get_mut(..needed).ok_or(OpenError::NoRoom(NoRoom { needed }))?;
        let (context, kid, number) = &self.outer;
        let sender = key.sender(context, *kid, self.cipher);
        let (nonce, len) = sender.nonce(*number);
        let digest = context.digest_for_encryption();
        EncStructure::new("Encrypt0", self.protected, &digest)
            .zip(nonce.get(..len))
            .and_then(|(aad, nonce)| self.cipher.open(&sender.key(), nonce, aad.as_bytes(), self.sealed, out))
            .ok_or(OpenError::Unreadable)?;
        Ok(out)
    }
}

/// Reads the partial IV, which is the whole number of the message: part of it would be used twice.
fn read_number(reader: &mut Reader<'_>, sequence: Sequence) -> Result<Sequence, Malformed> {
    const WHAT: &str = "the number of the message, as in its claims";
    let at = reader.at();
    let number = Sequence::read(reader, WHAT)?;
    if number == sequence { Ok(number) } else { Err(Malformed { at, fault: Fault::Expected(WHAT) }) }
}
