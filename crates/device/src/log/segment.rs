//! One file of a log.
//!
//! ```text
//! segment = "KEYWARD" kind version=1 salt[32] *record       ; kind: o outbox, s sealed store; 41 bytes before the first record
//! record  = length[4] ciphertext tag[16]                    ; big-endian, of ciphertext and tag
//! ```
//! Encrypted with AES-256-GCM. The key is the segment's own: HKDF-SHA256 of the folder's master key, the salt, the kind and the number
//! in the file's name; so no file can stand in for another. The nonce is the byte at which the record begins, and no byte is ever written
//! twice. The tag says whether a record is whole: there is no other checksum.

use super::master::Master;
use super::name;
use crate::disk::Directory;
use crate::limits::RECORD_BYTES;
use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, Salt};
use aws_lc_rs::rand;
use std::io;
use zeroize::Zeroizing;

/// Says what a segment is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Of the outbox.
    Outbox,
    /// Of the sealed store.
    Sealed,
}

impl Kind {
    fn letter(self) -> u8 {
        match self {
            Self::Outbox => b'o',
            Self::Sealed => b's',
        }
    }

    fn start(self) -> [u8; 9] {
        [b'K', b'E', b'Y', b'W', b'A', b'R', b'D', self.letter(), 1]
    }
}

const SALT: usize = 32;
const TAG: u64 = 16;
const LENGTH: u64 = 4;
/// Where the first record begins.
pub(super) const HEADER: u64 = 9 + SALT as u64;

/// Returns what a record needs on disk besides its bytes.
pub(crate) const fn overhead() -> u64 {
    LENGTH + TAG
}

/// Is a segment that can be read and appended to.
#[derive(Debug)]
pub(super) struct Segment {
    number: u64,
    /// None where nothing in it can be read.
    key: Option<LessSafeKey>,
    len: u64,
}

/// Is a step through a segment: what is at a place, and where the next would be.
pub(super) struct Step {
    /// The record; nothing if the bytes are none.
    pub(super) record: Option<Zeroizing<Vec<u8>>>,
    /// Where the next begins.
    pub(super) next: u64,
}

impl Segment {
    /// Makes a segment with a salt of its own, and the bytes with which its file begins.
    pub(super) fn create(kind: Kind, master: &Master, number: u64) -> io::Result<(Self, Vec<u8>)> {
        let mut salt = [0; SALT];
        rand::fill(&mut salt).map_err(|_| io::Error::other("the system gives no random bytes"))?;
        let key = key(kind, master, number, &salt);
        Ok((Self { number, key, len: 0 }, [&kind.start()[..], &salt].concat()))
    }

    /// Opens a segment; nothing if it does not begin as one.
    pub(super) fn open(
        dir: &dyn Directory,
        kind: Kind,
        master: &Master,
        number: u64,
    ) -> io::Result<Option<Self>> {
        let header = dir.read(&name(number), 0, HEADER as usize)?;
        let Some(salt) = header.strip_prefix(&kind.start()).and_then(|salt| salt.try_into().ok()) else {
            return Ok(None);
        };
        let len = dir.size(&name(number))?.unwrap_or(0);
        Ok(Some(Self { number, key: key(kind, master, number, salt), len }))
    }

    /// Stands for a file in which nothing can be read, so that it is counted.
    pub(super) fn unreadable(number: u64, len: u64) -> Self {
        Self { number, key: None, len }
    }

    /// Returns the length of the file.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// Takes note that the file has grown.
    pub(super) fn grow(&mut self, by: usize) {
        self.len += by as u64;
    }

    /// Encrypts a record for the end of the file.
    pub(super) fn seal(&self, record: &[u8]) -> io::Result<Vec<u8>> {
        let len = u32::try_from(record.len() as u64 + TAG).map_err(io::Error::other)?;
        let key = self.key.as_ref().ok_or_else(|| io::Error::other("the segment has no key"))?;
        let mut bytes = Vec::with_capacity(record.len() + overhead() as usize);
        bytes.extend(len.to_be_bytes());
        bytes.extend(record);
        let text = bytes.get_mut(LENGTH as usize..).unwrap_or_default();
        let tag = key.seal_in_place_separate_tag(nonce(self.len), Aad::empty(), text);
        let tag = tag.map_err(|_| io::Error::other("the cipher refused a record"))?;
        bytes.extend(tag.as_ref());
        Ok(bytes)
    }

    /// Looks at the place `at`; nothing if no record can be there, because the file ends or the length cannot be.
    pub(super) fn step(&self, dir: &dyn Directory, at: u64) -> io::Result<Option<Step>> {
        let Some(key) = &self.key else { return Ok(None) };
        let head = dir.read(&name(self.number), at, LENGTH as usize)?;
        let Ok(len) = <[u8; 4]>::try_from(head).map(u32::from_be_bytes) else { return Ok(None) };
        let next = at + LENGTH + u64::from(len);
        if u64::from(len) < TAG || u64::from(len) > RECORD_BYTES as u64 + TAG || next > self.len {
            return Ok(None);
        }
        let mut bytes = Zeroizing::new(dir.read(&name(self.number), at + LENGTH, len as usize)?);
        let opened = key.open_in_place(nonce(at), Aad::empty(), &mut bytes).map(|text| text.len());
        let record = opened.ok().map(|len| {
            bytes.truncate(len);
            bytes
        });
        Ok(Some(Step { record, next }))
    }
}

fn key(kind: Kind, master: &Master, number: u64, salt: &[u8; SALT]) -> Option<LessSafeKey> {
    let number = number.to_be_bytes();
    let info = [&b"keyward log "[..], &[kind.letter()], &number];
    let secret = Salt::new(HKDF_SHA256, salt).extract(master.as_bytes());
    let key = secret.expand(&info, &AES_256_GCM).map(UnboundKey::from);
    key.ok().map(LessSafeKey::new)
}

fn nonce(at: u64) -> Nonce {
    let mut bytes = [0; 12];
    bytes[4..].copy_from_slice(&at.to_be_bytes());
    Nonce::assume_unique_for_key(bytes)
}
