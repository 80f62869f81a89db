//! Content for the holder of one key: ECDH with an ephemeral key, inside the signature.

use crate::algorithm::{A128GCM, A128KW, ECDH_ES_A128KW, ECDH_ES_HKDF_256};
use crate::cbor::{self, Fault, Malformed, NoRoom, Reader, Room, Sink};
use crate::cipher::{self, Cipher, EncStructure, Key};
use crate::context::Context;
use crate::header::{ALG, Format, IV, KID};
use crate::inner::{self, InnerHeader};
use crate::keys::{BadPoint, Kid, PublicKey, read_point};
use crate::sign::{Message, Random, SealError, Signer, Unavailable, sign_what_is_filled_in};
use crate::software::P256Agreement;
use crate::verify::Verified;
use aes_gcm::aead::KeyInit as _;
use core::fmt;
use zeroize::Zeroizing;

/// The x coordinate on which two keys agree; wiped when dropped.
pub type SharedSecret = Zeroizing<[u8; 32]>;

/// Agrees with one private key of P-256: one in memory ([`software`](crate::software)), in a TPM, a token or a secure element.
pub trait Agreement {
    /// Returns the identifier of the key.
    fn kid(&self) -> Kid;

    /// Returns the x coordinate of the common point, big-endian.
    ///
    /// # Errors
    /// The key cannot be used, or `peer` is on another curve.
    fn agree(&mut self, peer: &PublicKey) -> Result<SharedSecret, Unavailable>;
}

/// Says how the content key comes about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// It is derived: for messages.
    Direct,
    /// It is drawn, and wrapped by what is derived: for grants.
    Wrapped,
}

impl Mode {
    /// Returns the protected header of the recipient, `{1: id}`.
    fn protected(self) -> [u8; 4] {
        match self {
            Self::Direct => [0xa1, 0x01, 0x38, 0x18],
            Self::Wrapped => [0xa1, 0x01, 0x38, 0x1c],
        }
    }

    /// Derives the key; what it is for goes into it (RFC 9053 §5.2): the cipher, or the key wrap.
    fn derive(self, shared: &SharedSecret) -> Key {
        let mut info = [0; 32];
        let mut room = Room::new(&mut info);
        cbor::array(&mut room, 4);
        cbor::integer(&mut room, if self == Self::Direct { A128GCM } else { A128KW });
        for _party in ["U", "V"] {
            cbor::array(&mut room, 3);
            (0..3).for_each(|_| cbor::null(&mut room));
        }
        cbor::array(&mut room, 2);
        cbor::unsigned(&mut room, 128);
        cbor::bytes(&mut room, &self.protected());
        let len = room.finish().unwrap_or_default();
        let mut key = Key::default();
        cipher::derive(&**shared, info.get(..len).unwrap_or_default(), &mut *key);
        key
    }
}

/// Signs a message that only the holder of `to` can read, writes it to the beginning of `out` and returns its length. For one
/// message a key of its own is drawn and forgotten.
///
/// # Errors
/// [`SealError`]; nothing of the payload is then in `out`.
pub fn sign_for_recipient(
    message: &Message<'_>,
    context: &Context<'_>,
    signer: &mut dyn Signer,
    to: &PublicKey,
    random: &mut dyn Random,
    out: &mut [u8],
) -> Result<usize, SealError> {
    seal(Mode::Direct, message, context, signer, to, random, out)
}

pub(crate) fn seal(
    mode: Mode,
    message: &Message<'_>,
    context: &Context<'_>,
    signer: &mut dyn Signer,
    to: &PublicKey,
    random: &mut dyn Random,
    out: &mut [u8],
) -> Result<usize, SealError> {
    if to.to_sec1().is_none() {
        return Err(SealError::NoAgreementKey);
    }
    let sealed = Sealed::new(mode, message, to, random)?;
    let digest = context.digest_for_encryption();
    let claims = message.claims;
    let mut size = cbor::Count::default();
    sealed.write(&mut size);
    sign_what_is_filled_in(claims, Some(Format::FOR_RECIPIENT), size.0, context, signer, out, |place| {
        sealed.fill(place, &digest)
    })
}

/// Is all that stands around the content, with the key of it.
struct Sealed<'a> {
    mode: Mode,
    protected: InnerHeader,
    payload: &'a [u8],
    key: Key,
    iv: [u8; 12],
    kid: Kid,
    ephemeral: PublicKey,
    wrapped: [u8; 24],
}

impl<'a> Sealed<'a> {
    fn new(
        mode: Mode,
        message: &Message<'a>,
        to: &PublicKey,
        random: &mut dyn Random,
    ) -> Result<Self, SealError> {
        let mut ephemeral = P256Agreement::generate(random)?;
        let derived = mode.derive(&ephemeral.agree(to)?);
        let (mut key, mut wrapped, mut iv) = (derived, [0; 24], [0; 12]);
        random.fill(&mut iv)?;
        if mode == Mode::Wrapped {
            let wrapper = aes_kw::KwAes128::new((&*key).into());
            random.fill(&mut *key)?;
            wrapper.wrap_key(&*key, &mut wrapped).map_err(|_| Unavailable(4))?;
        }
        let protected = InnerHeader::new(Cipher::Gcm, message.format);
        let (payload, kid, ephemeral) = (message.payload, to.kid(), ephemeral.public());
        Ok(Self { mode, protected, payload, key, iv, kid, ephemeral, wrapped })
    }

    fn write_front(&self, sink: &mut dyn Sink) {
        cbor::array(sink, 4);
        cbor::bytes(sink, self.protected.as_bytes());
        cbor::map(sink, 1);
        cbor::integer(sink, IV);
        cbor::bytes(sink, &self.iv);
        cbor::byte_string(sink, self.payload.len() + Cipher::Gcm.tag_len());
    }

    fn write(&self, sink: &mut dyn Sink) {
        self.write_front(sink);
        sink.put(self.payload);
        sink.put(&[0; 16]);
        cbor::array(sink, 1);
        cbor::array(sink, 3);
        cbor::bytes(sink, &self.mode.protected());
        cbor::map(sink, 2);
        cbor::integer(sink, KID);
        cbor::bytes(sink, self.kid.as_bytes());
        cbor::integer(sink, EPHEMERAL_KEY);
        self.ephemeral.write_required(sink);
        cbor::bytes(sink, if self.mode == Mode::Wrapped { &self.wrapped } else { &[] });
    }

    /// Writes everything to its place, then encrypts the content there.
    fn fill(&self, place: &mut [u8], digest: &[u8; 32]) -> Result<(), SealError> {
        let mut room = Room::new(place);
        self.write(&mut room);
        room.finish()?;
        let mut front = cbor::Count::default();
        self.write_front(&mut front);
        let end = front.0 + self.payload.len() + Cipher::Gcm.tag_len();
        let aad = EncStructure::new("Encrypt", self.protected.as_bytes(), digest);
        let body = place.get_mut(front.0..end);
        let sealed =
            aad.zip(body).and_then(|(aad, body)| Cipher::Gcm.seal(&self.key, &self.iv, aad.as_bytes(), body));
        sealed.ok_or(SealError::Unavailable(Unavailable(4)))
    }
}

const EPHEMERAL_KEY: i64 = -1;

/// Is content for the holder of one key, still encrypted.
#[derive(Debug, Clone, Copy)]
pub struct RecipientMessage<'a> {
    mode: Mode,
    protected: &'a [u8],
    format: Option<Format>,
    iv: [u8; 12],
    sealed: &'a [u8],
    kid: Kid,
    ephemeral: [u8; 65],
    wrapped: &'a [u8],
    digest: [u8; 32],
}

impl<'a> RecipientMessage<'a> {
    pub(crate) fn read(payload: &'a [u8], outer: &Verified<'a>) -> Result<Self, Malformed> {
        let mut reader = Reader::new(payload);
        reader.array(4, "a COSE_Encrypt, an array of 4 parts")?;
        let (protected, cipher, format) = inner::read(&mut reader)?;
        if cipher != Cipher::Gcm {
            return reader.fail(Fault::Algorithm(cipher.id()));
        }
        let mut labels = reader.map(1, "an initialization vector")?;
        let mut iv = None;
        while let Some(label) = labels.next(&mut reader)? {
            match label {
                IV => iv = Some(reader.exactly("an initialization vector of 12 bytes")?),
                _ => return labels.unknown(label),
            }
        }
        let iv = labels.demand(iv, "the initialization vector (5)")?;
        let sealed = reader.bytes(payload.len(), "the encrypted content in a byte string")?;
        reader.array(1, "one recipient")?;
        reader.array(3, "a recipient, an array of 3 parts")?;
        let mode = read_mode(&mut reader)?;
        let (kid, ephemeral) = read_agreement(&mut reader)?;
        let wrapped = read_wrapped(&mut reader, mode)?;
        reader.end()?;
        let digest = outer.context().digest_for_encryption();
        Ok(Self { mode, protected, format, iv, sealed, kid, ephemeral, wrapped, digest })
    }

    /// Returns the key of the recipient.
    pub fn kid(&self) -> Kid {
        self.kid
    }

    /// Returns what the payload is.
    pub fn format(&self) -> Option<Format> {
        self.format
    }

    /// Returns how long the payload is, in bytes.
    pub fn payload_len(&self) -> usize {
        self.sealed.len().saturating_sub(Cipher::Gcm.tag_len())
    }

    /// Decrypts the payload into the beginning of `out` and returns it.
    ///
    /// # Errors
    /// [`OpenError`]; `out` is then wiped.
    pub fn open<'b>(&self, key: &mut dyn Agreement, out: &'b mut [u8]) -> Result<&'b [u8], OpenError> {
        self.open_as(Mode::Direct, key, out)
    }

    pub(crate) fn open_as<'b>(
        &self,
        mode: Mode,
        key: &mut dyn Agreement,
        out: &'b mut [u8],
    ) -> Result<&'b [u8], OpenError> {
        if self.mode != mode {
            return Err(OpenError::OtherForm);
        }
        if self.kid != key.kid() {
            return Err(OpenError::OtherKey);
        }
        let needed = self.payload_len();
        let out = out.get_mut(..needed).ok_or(OpenError::NoRoom(NoRoom { needed }))?;
        // Looked at here, for a chip might not, and a point beside the curve would draw the secret out of it.
        let ephemeral = PublicKey::p256(&self.ephemeral).map_err(|BadPoint| OpenError::BadPoint)?;
        let mut content = mode.derive(&key.agree(&ephemeral).map_err(OpenError::Unavailable)?);
        if mode == Mode::Wrapped {
            let wrapper = aes_kw::KwAes128::new((&*content).into());
            wrapper.unwrap_key(self.wrapped, &mut *content).map_err(|_| OpenError::Unreadable)?;
        }
        let aad = EncStructure::new("Encrypt", self.protected, &self.digest).ok_or(OpenError::Unreadable)?;
        Cipher::Gcm
            .open(&content, &self.iv, aad.as_bytes(), self.sealed, out)
            .ok_or(OpenError::Unreadable)?;
        Ok(out)
    }
}

fn read_mode(reader: &mut Reader<'_>) -> Result<Mode, Malformed> {
    let mut inside = reader.inside(4, "the recipient's protected header in a byte string")?;
    let mut labels = inside.map(1, "the recipient's protected header, a map of one label")?;
    let mut mode = None;
    while let Some(label) = labels.next(&mut inside)? {
        let at = inside.at();
        match (label, inside.integer("the number of an algorithm")?) {
            (ALG, ECDH_ES_HKDF_256) => mode = Some(Mode::Direct),
            (ALG, ECDH_ES_A128KW) => mode = Some(Mode::Wrapped),
            (ALG, id) => return Err(Malformed { at, fault: Fault::Algorithm(id) }),
            _ => return labels.unknown(label),
        }
    }
    let mode = labels.demand(mode, "the algorithm (1)")?;
    inside.end()?;
    Ok(mode)
}

fn read_agreement(reader: &mut Reader<'_>) -> Result<(Kid, [u8; 65]), Malformed> {
    let mut labels = reader.map(2, "the recipient's key identifier and an ephemeral key")?;
    let (mut kid, mut ephemeral) = (None, None);
    while let Some(label) = labels.next(reader)? {
        match label {
            KID => kid = Some(Kid::new(reader.exactly("a key identifier of 8 bytes")?)),
            EPHEMERAL_KEY => ephemeral = Some(read_point(reader)?),
            _ => return labels.unknown(label),
        }
    }
    let kid = labels.demand(kid, "the key identifier (4)")?;
    Ok((kid, labels.demand(ephemeral, "the ephemeral key (-1)")?))
}

fn read_wrapped<'a>(reader: &mut Reader<'a>, mode: Mode) -> Result<&'a [u8], Malformed> {
    let (len, what) = match mode {
        Mode::Direct => (0, "an empty byte string"),
        Mode::Wrapped => (24, "a wrapped key of 24 bytes"),
    };
    let at = reader.at();
    let wrapped = reader.bytes(len, what)?;
    if wrapped.len() == len { Ok(wrapped) } else { Err(Malformed { at, fault: Fault::Expected(what) }) }
}

/// Says why content was not opened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OpenError {
    /// The buffer of the caller is too short.
    NoRoom(NoRoom),
    /// The content is for another key, or of another group or epoch.
    OtherKey,
    /// The content is a message where a grant of a group key was expected, or the other way round.
    OtherForm,
    /// The sender's key is no point of P-256.
    BadPoint,
    /// The key could not be used.
    Unavailable(Unavailable),
    /// The content does not open: another key, another context than the sender's, or changed bytes.
    Unreadable,
    /// The content opens and has not the form of what was expected.
    Malformed(Malformed),
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRoom(error) => error.fmt(f),
            Self::OtherKey => f.write_str("it is encrypted for another key, group or epoch"),
            Self::OtherForm => f.write_str("a group key is granted by ECDH-ES+A128KW, anything else by ECDH-ES+HKDF-256"),
            Self::BadPoint => f.write_str("the sender's key for this message is no point of P-256"),
            Self::Unavailable(error) => error.fmt(f),
            Self::Unreadable => {
                f.write_str("it does not open: another key, another sender, place or topic than it was made for, or changed")
            }
            Self::Malformed(error) => write!(f, "what is inside has not the form of it: {error}"),
        }
    }
}

impl core::error::Error for OpenError {}
