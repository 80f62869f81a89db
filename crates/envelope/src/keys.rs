//! Public keys and their identifiers.

use crate::algorithm::Algorithm;
use crate::cbor::{self, Fault, Malformed, NoRoom, Reader, Room, Sink};
use crate::limits::KEY_BYTES;
use crate::software;
use core::fmt;
use sha2::{Digest as _, Sha256};

/// Identifies a public key among those of one peer: the first 8 bytes of its thumbprint (RFC 9679).
///
/// 8 bytes can be made to collide with much work, so a key is always looked up by (device, kid), and [`Ring::register`](crate::Ring::register) refuses a second key
/// with the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kid([u8; 8]);

impl Kid {
    /// Takes the 8 bytes.
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

impl fmt::Debug for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Kid({self})")
    }
}

/// Holds a public key. It is a point of its curve, and none for which everybody could sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PublicKey(Point);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Point {
    P256 { x: [u8; 32], y: [u8; 32] },
    Ed25519([u8; 32]),
}

/// Says that bytes are no point of the curve, or one for which everybody could sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadPoint;

impl fmt::Display for BadPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("these bytes are no usable point of the curve")
    }
}

impl core::error::Error for BadPoint {}

const KTY: i64 = 1;
const KID: i64 = 2;
const ALG: i64 = 3;
const KEY_OPS: i64 = 4;
const CRV: i64 = -1;
const X: i64 = -2;
const Y: i64 = -3;
const P256_KTY: i64 = 2;
const P256_CRV: i64 = 1;
const ED25519_KTY: i64 = 1;
const ED25519_CRV: i64 = 6;

/// Writes a point as SEC 1 has it.
fn sec1(x: &[u8; 32], y: &[u8; 32]) -> [u8; 65] {
    let mut out = [4; 65];
    out[1..33].copy_from_slice(x);
    out[33..].copy_from_slice(y);
    out
}

/// Reads a point of P-256 that stands alone, `{1: 2, -1: 1, -2: x, -3: y}`; whether it is on the curve is not looked at.
pub(crate) fn read_point(reader: &mut Reader<'_>) -> Result<[u8; 65], Malformed> {
    let at = reader.at();
    let mut labels = reader.map(4, "a key of P-256, a map of 4 labels")?;
    let (mut kty, mut crv, mut x, mut y) = (None, None, None, None);
    while let Some(label) = labels.next(reader)? {
        match label {
            KTY => kty = Some(reader.integer("a key type")?),
            CRV => crv = Some(reader.integer("a curve")?),
            X => x = Some(reader.exactly("a coordinate of 32 bytes")?),
            Y => y = Some(reader.exactly("a coordinate of 32 bytes")?),
            _ => return labels.unknown(label),
        }
    }
    match (kty, crv, x, y) {
        (Some(P256_KTY), Some(P256_CRV), Some(x), Some(y)) => Ok(sec1(&x, &y)),
        _ => Err(Malformed { at, fault: Fault::Expected("a key of P-256") }),
    }
}

impl PublicKey {
    /// Takes a point of P-256: 4, x and y, 65 bytes, as SEC 1 and certificates have it.
    ///
    /// # Errors
    /// It is no point of the curve.
    pub fn p256(sec1: &[u8; 65]) -> Result<Self, BadPoint> {
        let (x, y) = match sec1 {
            [4, xy @ ..] => xy.split_at(32),
            _ => return Err(BadPoint),
        };
        let point = match (x.try_into(), y.try_into()) {
            (Ok(x), Ok(y)) => Point::P256 { x, y },
            _ => return Err(BadPoint),
        };
        if software::is_on_p256(sec1) { Ok(Self(point)) } else { Err(BadPoint) }
    }

    /// Takes a public key of Ed25519 (RFC 8032 §5.1.5).
    ///
    /// # Errors
    /// It is no point of the curve, or of small order.
    pub fn ed25519(bytes: &[u8; 32]) -> Result<Self, BadPoint> {
        if software::is_on_ed25519(bytes) { Ok(Self(Point::Ed25519(*bytes))) } else { Err(BadPoint) }
    }

    /// Takes the public half of a secret key, which is always usable.
    pub(crate) fn of_own(point: Point) -> Self {
        Self(point)
    }

    /// Returns the point as SEC 1 has it, for a verifier of P-256; nothing for another curve.
    pub fn to_sec1(&self) -> Option<[u8; 65]> {
        let Point::P256 { x, y } = &self.0 else { return None };
        Some(sec1(x, y))
    }

    /// Returns the key of Ed25519, for another verifier; nothing for another curve.
    pub fn to_ed25519(&self) -> Option<[u8; 32]> {
        let Point::Ed25519(bytes) = &self.0 else { return None };
        Some(*bytes)
    }

    /// Returns the algorithm by which this key verifies.
    pub fn algorithm(&self) -> Algorithm {
        match self.0 {
            Point::P256 { .. } => Algorithm::Es256,
            Point::Ed25519(_) => Algorithm::Ed25519,
        }
    }

    /// Returns the thumbprint: SHA-256 of the key's required parts (RFC 9679).
    pub fn thumbprint(&self) -> [u8; 32] {
        let mut hash = Sha256::new();
        self.write_required(&mut hash);
        hash.finalize().into()
    }

    /// Returns the identifier: the first 8 bytes of the thumbprint.
    pub fn kid(&self) -> Kid {
        let mut kid = [0; 8];
        kid.copy_from_slice(&self.thumbprint()[..8]);
        Kid(kid)
    }

    /// Writes the parts that make the key: `{1: kty, -1: crv, -2: x, -3: y}`.
    pub(crate) fn write_required(&self, sink: &mut dyn Sink) {
        self.write(sink, None);
    }

    /// Writes the key as a `COSE_Key` with its identifier and what it is for; returns the length.
    ///
    /// # Errors
    /// `out` is too short; [`KEY_BYTES`] are enough.
    pub fn to_cose(&self, purpose: Purpose, out: &mut [u8]) -> Result<usize, NoRoom> {
        let mut room = Room::new(out);
        self.write(&mut room, Some(purpose));
        room.finish()
    }

    /// Writes the key; with a purpose also its identifier and what says the purpose.
    pub(crate) fn write(&self, sink: &mut dyn Sink, purpose: Option<Purpose>) {
        let (kty, crv, x, y) = match &self.0 {
            Point::P256 { x, y } => (P256_KTY, P256_CRV, x, Some(y)),
            Point::Ed25519(x) => (ED25519_KTY, ED25519_CRV, x, None),
        };
        cbor::map(sink, 3 + usize::from(y.is_some()) + 2 * usize::from(purpose.is_some()));
        cbor::integer(sink, KTY);
        cbor::integer(sink, kty);
        if let Some(purpose) = purpose {
            cbor::integer(sink, KID);
            cbor::bytes(sink, self.kid().as_bytes());
            self.write_purpose(sink, purpose);
        }
        cbor::integer(sink, CRV);
        cbor::integer(sink, crv);
        cbor::integer(sink, X);
        cbor::bytes(sink, x);
        if let Some(y) = y {
            cbor::integer(sink, Y);
            cbor::bytes(sink, y);
        }
    }

    /// Writes the algorithm of a key that signs; of one that agrees that its public half does nothing by itself (RFC 9053 §6.3.1).
    fn write_purpose(&self, sink: &mut dyn Sink, purpose: Purpose) {
        match purpose {
            Purpose::Sign => {
                cbor::integer(sink, ALG);
                cbor::integer(sink, self.algorithm().id());
            }
            Purpose::Agree => {
                cbor::integer(sink, KEY_OPS);
                cbor::array(sink, 0);
            }
        }
    }

    /// Reads a `COSE_Key` with its purpose, which is that of signing where nothing is said; the identifier may be missing.
    ///
    /// # Errors
    /// [`Malformed`] says what is no public key of the profile. A private part is refused: it has no business where this is read.
    pub fn from_cose(bytes: &[u8]) -> Result<(Self, Purpose), Malformed> {
        let mut reader = Reader::new(bytes);
        if bytes.len() > KEY_BYTES {
            return reader.fail(Fault::TooLong(KEY_BYTES));
        }
        let key = Self::read(&mut reader)?;
        reader.end()?;
        Ok(key)
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<(Self, Purpose), Malformed> {
        let start = reader.at();
        let mut labels = reader.map(6, "a COSE_Key, a map of at most 6 labels")?;
        let (mut kty, mut kid, mut crv, mut x, mut y) = (None, None, None, None, None);
        let (mut alg, mut agrees) = (None, false);
        while let Some(label) = labels.next(reader)? {
            match label {
                KTY => kty = Some(reader.integer("a key type")?),
                KID => kid = Some(Kid(reader.exactly("a key identifier of 8 bytes")?)),
                ALG => alg = Some(reader.integer("the number of an algorithm")?),
                KEY_OPS => agrees = reader.list(0, "no key operations")? == 0,
                CRV => crv = Some(reader.integer("a curve")?),
                X => x = Some(reader.exactly("a coordinate of 32 bytes")?),
                Y => y = Some(reader.exactly("a coordinate of 32 bytes")?),
                _ => return labels.unknown(label),
            }
        }
        let refuse = |fault| Malformed { at: start, fault };
        let x = labels.demand(x, "the coordinate x (-2)")?;
        let key = match (kty, crv, y) {
            (Some(P256_KTY), Some(P256_CRV), Some(y)) => Self::p256(&sec1(&x, &y)),
            (Some(ED25519_KTY), Some(ED25519_CRV), None) => Self::ed25519(&x),
            _ => return Err(refuse(Fault::Expected("a key of P-256 or Ed25519"))),
        };
        let key = key.map_err(|BadPoint| refuse(Fault::Point))?;
        if kid.is_some_and(|kid| kid != key.kid()) {
            return Err(refuse(Fault::OtherKid));
        }
        let purpose = Purpose::of(alg, agrees, &key).map_err(refuse)?;
        Ok((key, purpose))
    }
}

/// Says what a key is for. A key that signs never agrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Messages are verified with it.
    Sign,
    /// Messages and group keys are encrypted to it. P-256 only.
    Agree,
}

impl Purpose {
    fn of(algorithm: Option<i64>, agrees: bool, key: &PublicKey) -> Result<Self, Fault> {
        match (algorithm, agrees) {
            (None, true) if key.algorithm() == Algorithm::Es256 => Ok(Self::Agree),
            (None, true) => Err(Fault::Expected("a key of P-256, for one that agrees")),
            (Some(_), true) => Err(Fault::Expected("an algorithm or no key operations, not both")),
            (None, false) => Ok(Self::Sign),
            (Some(id), false) if Algorithm::of_id(id) == Some(key.algorithm()) => Ok(Self::Sign),
            (Some(id), false) => Err(Fault::Algorithm(id)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::software::{Ed25519Key, P256Key};

    #[test]
    fn a_key_is_read_as_it_was_written_and_no_other_way() {
        let signs = P256Key::from_secret(&[9; 32]).unwrap().public();
        for (key, purpose) in [
            (signs, Purpose::Sign),
            (signs, Purpose::Agree),
            (Ed25519Key::from_seed(&[7; 32]).public(), Purpose::Sign),
        ] {
            let mut bytes = [0; KEY_BYTES];
            let len = key.to_cose(purpose, &mut bytes).unwrap();
            assert_eq!(PublicKey::from_cose(&bytes[..len]), Ok((key, purpose)));
            for bit in 0..len * 8 {
                let mut other = bytes;
                other[bit / 8] ^= 1 << (bit % 8);
                // Another algorithm for the same key is the one thing that a bit can say.
                let read = PublicKey::from_cose(&other[..len]);
                assert!(read.is_err() || read.is_ok_and(|(read, _)| read == key), "bit {bit}");
            }
        }
    }

    /// RFC 9679 §6.
    #[test]
    fn the_thumbprint_is_that_of_the_standard() {
        let key = PublicKey::p256(&[
            0x04, 0x65, 0xed, 0xa5, 0xa1, 0x25, 0x77, 0xc2, 0xba, 0xe8, 0x29, 0x43, 0x7f, 0xe3, 0x38, 0x70,
            0x1a, 0x10, 0xaa, 0xa3, 0x75, 0xe1, 0xbb, 0x5b, 0x5d, 0xe1, 0x08, 0xde, 0x43, 0x9c, 0x08, 0x55,
            0x1d, 0x1e, 0x52, 0xed, 0x75, 0x70, 0x11, 0x63, 0xf7, 0xf9, 0xe4, 0x0d, 0xdf, 0x9f, 0x34, 0x1b,
            0x3d, 0xc9, 0xba, 0x86, 0x0a, 0xf7, 0xe0, 0xca, 0x7c, 0xa7, 0xe9, 0xee, 0xcd, 0x00, 0x84, 0xd1,
            0x9c,
        ]);
        let kid = key.unwrap().kid();
        assert_eq!(kid, Kid::new([0x49, 0x6b, 0xd8, 0xaf, 0xad, 0xf3, 0x07, 0xe5]));
    }

    #[test]
    fn a_point_beside_the_curve_and_one_of_small_order_are_refused() {
        let mut beside = P256Key::from_secret(&[9; 32]).unwrap().public().to_sec1().unwrap();
        beside[64] ^= 1;
        assert_eq!(PublicKey::p256(&beside), Err(BadPoint));
        let mut small = [0; 32];
        small[0] = 1;
        assert_eq!(PublicKey::ed25519(&small), Err(BadPoint));
    }
}
