//! What a message says of itself: its number, when it was made, how long it is good, for which session.

use crate::cbor::{self, Fault, Labels, Malformed, Reader, Sink};
use crate::limits::{NONCE_BYTES, NONCE_BYTES_LEAST};
use core::fmt;

/// Numbers the messages of one key. A number is never used for two contents.
///
/// The upper half is how often the device has started, the lower half counts since, so that a device that lost its counter does not
/// begin again. [`Numbers`](crate::Numbers) says which is next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sequence(pub u64);

impl Sequence {
    /// Returns the first number after start number `boot`.
    pub fn after_boot(boot: u32) -> Self {
        Self(u64::from(boot) << 32)
    }

    /// Returns the next number; none after the last.
    pub fn next(self) -> Option<Self> {
        self.0.checked_add(1).map(Self)
    }

    /// Writes the number as a byte string: big-endian, without leading zero bytes.
    pub(crate) fn write(self, sink: &mut dyn Sink) {
        let bytes = self.0.to_be_bytes();
        let zeros = (self.0.leading_zeros() as usize / 8).min(7);
        cbor::bytes(sink, bytes.get(zeros..).unwrap_or_default());
    }

    /// Reads the claim's bytes: 1 to 8, the first of several not zero.
    pub(crate) fn read(reader: &mut Reader<'_>, what: &'static str) -> Result<Self, Malformed> {
        let at = reader.at();
        let bytes = reader.bytes(8, what)?;
        match bytes {
            [] => Err(Malformed { at, fault: Fault::Expected(what) }),
            [0, _, ..] => Err(Malformed { at, fault: Fault::NotShortest }),
            _ => Ok(Self(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))),
        }
    }
}

impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0 >> 32, self.0 & 0xffff_ffff)
    }
}

/// Ties messages to one session: random bytes that the receiving side chose, 8 to 16 of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nonce {
    bytes: [u8; NONCE_BYTES],
    len: u8,
}

impl Nonce {
    /// Takes 8 to 16 bytes; nothing if there are fewer or more.
    pub fn new(bytes: &[u8]) -> Option<Self> {
        if !(NONCE_BYTES_LEAST..=NONCE_BYTES).contains(&bytes.len()) {
            return None;
        }
        let mut nonce = Self { bytes: [0; NONCE_BYTES], len: u8::try_from(bytes.len()).ok()? };
        nonce.bytes.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(nonce)
    }

    /// Returns the bytes.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

/// Holds the claims of a message (RFC 8392, in the header as RFC 9597 says).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claims {
    /// Which of its key's messages this is (`cti`).
    pub sequence: Sequence,
    /// When it was made, in seconds since 1970 (`iat`). Absent only where a nonce stands instead.
    pub issued: Option<u64>,
    /// Until when it is good, in seconds since 1970 (`exp`); no end of its own without.
    pub expires: Option<u64>,
    /// The session for which it was made (`eat_nonce`).
    pub nonce: Option<Nonce>,
}

const EXP: i64 = 4;
const IAT: i64 = 6;
const CTI: i64 = 7;
const EAT_NONCE: i64 = 10;

const SEQUENCE: &str = "a sequence of 1 to 8 bytes";
const NONCE: &str = "a nonce of 8 to 16 bytes";
const DATED: &str = "a date (iat, 6) or a nonce (10)";

impl Claims {
    /// Returns the claims of a message made at `issued`, seconds since 1970.
    pub fn issued_at(sequence: Sequence, issued: u64) -> Self {
        Self { sequence, issued: Some(issued), expires: None, nonce: None }
    }

    /// Returns the claims of a message for the session of `nonce`, by a device without a clock.
    pub fn in_session(sequence: Sequence, nonce: Nonce) -> Self {
        Self { sequence, issued: None, expires: None, nonce: Some(nonce) }
    }

    /// Returns the same claims, with a time after which the message is good for nothing, seconds since 1970.
    #[must_use]
    pub fn until(self, expires: u64) -> Self {
        Self { expires: Some(expires), ..self }
    }

    /// Tells whether a receiver can judge how old the message is.
    pub(crate) fn is_dated(&self) -> bool {
        self.issued.is_some() || self.nonce.is_some()
    }

    pub(crate) fn write(&self, sink: &mut dyn Sink) {
        let optional = [self.expires.is_some(), self.issued.is_some(), self.nonce.is_some()];
        cbor::map(sink, 1 + optional.iter().filter(|there| **there).count());
        for (label, time) in [(EXP, self.expires), (IAT, self.issued)] {
            if let Some(time) = time {
                cbor::integer(sink, label);
                cbor::unsigned(sink, time);
            }
        }
        cbor::integer(sink, CTI);
        self.sequence.write(sink);
        if let Some(nonce) = &self.nonce {
            cbor::integer(sink, EAT_NONCE);
            cbor::bytes(sink, nonce.as_bytes());
        }
    }

    pub(crate) fn read(reader: &mut Reader<'_>) -> Result<Self, Malformed> {
        let mut labels: Labels = reader.map(4, "the claims, a map")?;
        let (mut sequence, mut issued, mut expires, mut nonce) = (None, None, None, None);
        while let Some(label) = labels.next(reader)? {
            match label {
                EXP => expires = Some(reader.unsigned("a time in seconds")?),
                IAT => issued = Some(reader.unsigned("a time in seconds")?),
                CTI => sequence = Some(Sequence::read(reader, SEQUENCE)?),
                EAT_NONCE => {
                    let at = reader.at();
                    let found = Nonce::new(reader.bytes(NONCE_BYTES, NONCE)?);
                    nonce = Some(found.ok_or(Malformed { at, fault: Fault::Expected(NONCE) })?);
                }
                _ => return labels.unknown(label),
            }
        }
        let sequence = labels.demand(sequence, "the sequence (cti, 7)")?;
        let claims = Self { sequence, issued, expires, nonce };
        labels.demand(claims.is_dated().then_some(claims), DATED)
    }
}
