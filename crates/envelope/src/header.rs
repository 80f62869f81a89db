//! The protected header of a signature: who signed, by what, what is inside, and the claims.

use crate::algorithm::Algorithm;
use crate::cbor::{self, Fault, Malformed, Reader, Room, Sink};
use crate::claims::Claims;
use crate::keys::Kid;
use crate::limits::PROTECTED_BYTES;

/// Says what a payload is: a number of the registry "CoAP Content-Formats" (RFC 7252 §12.3); 65000 to 65535 are for private use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Format(pub u16);

impl Format {
    /// Bytes of which nothing more is said.
    pub const OCTETS: Self = Self(42);
    /// JSON.
    pub const JSON: Self = Self(50);
    /// CBOR.
    pub const CBOR: Self = Self(60);
    /// Measurements in CBOR (RFC 8428).
    pub const SENML_CBOR: Self = Self(112);
    /// A `COSE_Encrypt0`: encrypted for a group.
    pub(crate) const FOR_GROUP: Self = Self(16);
    /// A `COSE_Encrypt`: encrypted for one recipient.
    pub(crate) const FOR_RECIPIENT: Self = Self(96);
    /// A `COSE_KeySet`.
    pub(crate) const KEY_SET: Self = Self(102);

    /// Tells whether the profile itself gives this number a meaning, so that no other payload may have it.
    pub(crate) fn is_reserved(self) -> bool {
        matches!(self, Self::FOR_GROUP | Self::FOR_RECIPIENT)
    }
}

/// Holds the protected header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) algorithm: Algorithm,
    pub(crate) kid: Kid,
    pub(crate) format: Option<Format>,
    pub(crate) claims: Claims,
}

pub(crate) const ALG: i64 = 1;
pub(crate) const CRIT: i64 = 2;
pub(crate) const CONTENT_TYPE: i64 = 3;
pub(crate) const KID: i64 = 4;
pub(crate) const IV: i64 = 5;
pub(crate) const PARTIAL_IV: i64 = 6;
const CWT_CLAIMS: i64 = 15;

const FORMAT: &str = "a content format, 0 to 65535";

impl Header {
    fn write(&self, sink: &mut dyn Sink) {
        cbor::map(sink, 3 + usize::from(self.format.is_some()));
        cbor::integer(sink, ALG);
        cbor::integer(sink, self.algorithm.id());
        write_format(sink, self.format);
        cbor::integer(sink, KID);
        cbor::bytes(sink, self.kid.as_bytes());
        cbor::integer(sink, CWT_CLAIMS);
        self.claims.write(sink);
    }

    /// Writes the header's bytes; the bound is above the longest that there can be.
    pub(crate) fn encode(&self, out: &mut [u8; PROTECTED_BYTES]) -> usize {
        let mut room = Room::new(out);
        self.write(&mut room);
        room.finish().unwrap_or_default()
    }

    pub(crate) fn read(mut reader: Reader<'_>) -> Result<Self, Malformed> {
        let reader = &mut reader;
        let mut labels = reader.map(4, "the protected header, a map of at most 4 labels")?;
        let (mut algorithm, mut format, mut kid, mut claims) = (None, None, None, None);
        while let Some(label) = labels.next(reader)? {
            match label {
                ALG => algorithm = Some(read_algorithm(reader)?),
                CRIT => return reader.fail(Fault::Critical),
                CONTENT_TYPE => format = Some(read_format(reader)?),
                KID => kid = Some(Kid::new(reader.exactly("a key identifier of 8 bytes")?)),
                CWT_CLAIMS => claims = Some(Claims::read(reader)?),
                _ => return labels.unknown(label),
            }
        }
        let header = Self {
            algorithm: labels.demand(algorithm, "the algorithm (1)")?,
            kid: labels.demand(kid, "the key identifier (4)")?,
            format,
            claims: labels.demand(claims, "the claims (15)")?,
        };
        reader.end()?;
        Ok(header)
    }
}

fn read_algorithm(reader: &mut Reader<'_>) -> Result<Algorithm, Malformed> {
    let at = reader.at();
    let id = reader.integer("the number of an algorithm")?;
    Algorithm::of_id(id).ok_or(Malformed { at, fault: Fault::Algorithm(id) })
}

pub(crate) fn write_format(sink: &mut dyn Sink, format: Option<Format>) {
    if let Some(format) = format {
        cbor::integer(sink, CONTENT_TYPE);
        cbor::unsigned(sink, u64::from(format.0));
    }
}

pub(crate) fn read_format(reader: &mut Reader<'_>) -> Result<Format, Malformed> {
    let at = reader.at();
    let number = reader.unsigned(FORMAT)?;
    u16::try_from(number).map(Format).map_err(|_| Malformed { at, fault: Fault::Expected(FORMAT) })
}
