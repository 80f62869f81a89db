//! Encryption of a payload where it lies, and the derivation of its key.

use crate::algorithm::{A128GCM, AES_CCM_16_64_128};
use crate::cbor::{self, Room};
use aes_gcm::aead::inout::InOutBuf;
use aes_gcm::aead::{AeadInOut, KeyInit as _};
use aes_gcm::aes::Aes128;
use ccm::consts::{U8, U13};
use hkdf::Hkdf;
use sha2::Sha256;
use zeroize::Zeroizing;

type Gcm = aes_gcm::Aes128Gcm;
type Ccm = ccm::Ccm<Aes128, U8, U13>;

/// A secret of 128 bits.
pub(crate) type Key = Zeroizing<[u8; 16]>;

/// Encrypts a payload and detects every change of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cipher {
    /// AES-128-GCM, 16 bytes of tag.
    Gcm,
    /// AES-128-CCM with 8 bytes of tag, for very small messages: the signature around it makes up for the short tag. Groups only.
    Ccm,
}

impl Cipher {
    pub(crate) fn id(self) -> i64 {
        match self {
            Self::Gcm => A128GCM,
            Self::Ccm => AES_CCM_16_64_128,
        }
    }

    pub(crate) fn of_id(id: i64) -> Option<Self> {
        match id {
            A128GCM => Some(Self::Gcm),
            AES_CCM_16_64_128 => Some(Self::Ccm),
            _ => None,
        }
    }

    pub(crate) fn nonce_len(self) -> usize {
        match self {
            Self::Gcm => 12,
            Self::Ccm => 13,
        }
    }

    pub(crate) fn tag_len(self) -> usize {
        match self {
            Self::Gcm => 16,
            Self::Ccm => 8,
        }
    }

    /// Encrypts all of `place` but its end, which is left for the tag and gets it. Nothing if `nonce` has not its length.
    pub(crate) fn seal(self, key: &Key, nonce: &[u8], aad: &[u8], place: &mut [u8]) -> Option<()> {
        let (text, tag) = place.split_at_mut_checked(place.len().checked_sub(self.tag_len())?)?;
        match self {
            Self::Gcm => {
                let made = Gcm::new((&**key).into());
                tag.copy_from_slice(
                    &made.encrypt_inout_detached(nonce.try_into().ok()?, aad, text.into()).ok()?,
                );
            }
            Self::Ccm => {
                let made = Ccm::new((&**key).into());
                tag.copy_from_slice(
                    &made.encrypt_inout_detached(nonce.try_into().ok()?, aad, text.into()).ok()?,
                );
            }
        }
        Some(())
    }

    /// Decrypts into the beginning of `out`, which is as long as the text; wipes it and gives nothing if anything was changed.
    pub(crate) fn open(
        self,
        key: &Key,
        nonce: &[u8],
        aad: &[u8],
        sealed: &[u8],
        out: &mut [u8],
    ) -> Option<()> {
        let (text, tag) = sealed.split_at_checked(sealed.len().checked_sub(self.tag_len())?)?;
        let buffer = InOutBuf::new(text, out).ok()?;
        let opened = match self {
            Self::Gcm => {
                let made = Gcm::new((&**key).into());
                made.decrypt_inout_detached(nonce.try_into().ok()?, aad, buffer, tag.try_into().ok()?)
            }
            Self::Ccm => {
                let made = Ccm::new((&**key).into());
                made.decrypt_inout_detached(nonce.try_into().ok()?, aad, buffer, tag.try_into().ok()?)
            }
        };
        if opened.is_err() {
            out.fill(0);
        }
        opened.ok()
    }
}

/// Derives as many bytes as `out` has (RFC 5869, SHA-256, no salt).
pub(crate) fn derive(secret: &[u8], info: &[u8], out: &mut [u8]) {
    // It can only fail for more than 8,160 bytes; what is asked for here is 29 at most.
    if Hkdf::<Sha256>::new(None, secret).expand(info, out).is_err() {
        out.fill(0);
    }
}

/// Holds the `Enc_structure` of RFC 9052 §5.3: what an AEAD covers besides the text.
pub(crate) struct EncStructure {
    bytes: [u8; 80],
    len: usize,
}

impl EncStructure {
    pub(crate) fn new(purpose: &str, protected: &[u8], external: &[u8; 32]) -> Option<Self> {
        let mut bytes = [0; 80];
        let mut room = Room::new(&mut bytes);
        cbor::array(&mut room, 3);
        cbor::text(&mut room, purpose);
        cbor::bytes(&mut room, protected);
        cbor::bytes(&mut room, external);
        let len = room.finish().ok()?;
        Some(Self { bytes, len })
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// The most bytes that the protected header of encrypted content has: `{1: 10, 3: 65535}`.
pub(crate) const PROTECTED: usize = 7;
