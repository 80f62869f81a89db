//! Public keys for messages as they stand in a `COSE_Key` (RFC 9052 §7), and what they are called.
//!
//! One spelling is taken: deterministic (RFC 8949 §4.2), with the labels that such a key needs and no other. So what is read is what
//! would be written, and a key has one name. `envelope` reads more spellings, and refuses points that were taken here before it did; a
//! ledger stays readable whatever is refused later, so this is read here.

use aws_lc_rs::{
    digest::{SHA256, digest},
    signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey},
};
use std::{fmt, str::FromStr};

/// Says what a key is for. It stands in the key, and a key has one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyPurpose {
    /// Messages are verified with it.
    Sign,
    /// Messages and keys of groups are encrypted to it: P-256 alone.
    Encrypt,
}

/// Names a key for messages among those of one identity: the first 8 bytes of its thumbprint (RFC 9679), printed as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kid([u8; 8]);

impl Kid {
    /// Makes a name of its 8 bytes.
    pub fn new(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// Returns the 8 bytes.
    pub fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Says that a text names no message key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no name of a message key; it has 16 hexadecimal digits, as `keyward keys list` prints them")]
pub struct KidError;

impl FromStr for Kid {
    type Err = KidError;

    fn from_str(text: &str) -> Result<Self, KidError> {
        let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u64::from_str_radix(text, 16).ok().filter(|_| is_hex).ok_or(KidError)?;
        Ok(Self(number.to_be_bytes()))
    }
}

/// Is a point of one of the two curves; on the curve only where that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    P256 { x: [u8; 32], y: [u8; 32] },
    Ed25519 { x: [u8; 32] },
}

/// Stand before the coordinates in a DER `SubjectPublicKeyInfo` (RFC 5480 §2, uncompressed; RFC 8410 §4).
const SPKI_P256: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];
const SPKI_ED25519: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

impl Point {
    /// Writes `{1: kty, 2: kid, 3: alg, -1: crv, -2: x, -3: y}`; one that agrees has `4: []` in the place of 3, no operations.
    pub(crate) fn cose(&self, purpose: KeyPurpose) -> Vec<u8> {
        let kid = self.kid();
        match self {
            Self::P256 { x, y } => [
                [0xa6, 0x01, 0x02, 0x02, 0x48].as_slice(),
                kid.as_bytes(),
                match purpose {
                    KeyPurpose::Sign => &[0x03, 0x26],
                    KeyPurpose::Encrypt => &[0x04, 0x80],
                },
                &[0x20, 0x01, 0x21, 0x58, 0x20],
                x,
                &[0x22, 0x58, 0x20],
                y,
            ]
            .concat(),
            Self::Ed25519 { x } => [
                &[0xa5, 0x01, 0x01, 0x02, 0x48],
                kid.as_bytes().as_slice(),
                &[0x03, 0x27, 0x20, 0x06, 0x21, 0x58, 0x20],
                x,
            ]
            .concat(),
        }
    }

    /// Reads that, and the kid that stands in it.
    pub(crate) fn of_cose(bytes: &[u8], purpose: KeyPurpose) -> Option<(Self, Kid)> {
        let kid = Kid(*bytes.get(5..)?.first_chunk()?);
        let x = *bytes.get(20..)?.first_chunk()?;
        let point = match bytes.get(55..) {
            Some(y) => Self::P256 { x, y: *y.first_chunk()? },
            None => Self::Ed25519 { x },
        };
        let mut written = point.cose(purpose);
        written.get_mut(5..13)?.copy_from_slice(kid.as_bytes());
        (written == bytes).then_some((point, kid))
    }

    /// Returns the first 8 bytes of the thumbprint: SHA-256 of `{1: kty, -1: crv, -2: x, -3: y}` (RFC 9679 §3).
    pub(crate) fn kid(&self) -> Kid {
        let required = match self {
            Self::P256 { x, y } => {
                [[0xa4, 0x01, 0x02, 0x20, 0x01, 0x21, 0x58, 0x20].as_slice(), x, &[0x22, 0x58, 0x20], y]
                    .concat()
            }
            Self::Ed25519 { x } => [[0xa3, 0x01, 0x01, 0x20, 0x06, 0x21, 0x58, 0x20].as_slice(), x].concat(),
        };
        let mut kid = [0; 8];
        kid.copy_from_slice(&digest(&SHA256, &required).as_ref()[..8]);
        Kid(kid)
    }

    pub(crate) fn spki(&self) -> Vec<u8> {
        match self {
            Self::P256 { x, y } => [SPKI_P256, x, y].concat(),
            Self::Ed25519 { x } => [SPKI_ED25519, x].concat(),
        }
    }

    pub(crate) fn of_spki(der: &[u8]) -> Option<Self> {
        let point = match der.strip_prefix(SPKI_ED25519) {
            Some(x) => Self::Ed25519 { x: *x.first_chunk()? },
            None => {
                let (x, y) = der.strip_prefix(SPKI_P256)?.split_first_chunk()?;
                Self::P256 { x: *x, y: *y.first_chunk()? }
            }
        };
        (point.spki() == der).then_some(point)
    }

    /// Tells whether it is a point of P-256. Of Ed25519 the verifier finds that out: there each half of all numbers is one.
    pub(crate) fn is_on_curve(&self) -> bool {
        match self {
            Self::P256 { x, y } => {
                let sec1 = [[4].as_slice(), x, y].concat();
                ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, sec1).is_ok()
            }
            Self::Ed25519 { .. } => true,
        }
    }
}
