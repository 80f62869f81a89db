//! The protected header of encrypted content: its algorithm and what the plain payload is.

use crate::cbor::{self, Fault, Malformed, Reader, Room};
use crate::cipher::{Cipher, PROTECTED};
use crate::header::{ALG, CONTENT_TYPE, Format, read_format, write_format};

/// Holds the header as bytes.
pub(crate) struct InnerHeader {
    bytes: [u8; PROTECTED],
    len: usize,
}

impl InnerHeader {
    pub(crate) fn new(cipher: Cipher, format: Option<Format>) -> Self {
        let mut bytes = [0; PROTECTED];
        let mut room = Room::new(&mut bytes);
        cbor::map(&mut room, 1 + usize::from(format.is_some()));
        cbor::integer(&mut room, ALG);
        cbor::integer(&mut room, cipher.id());
        write_format(&mut room, format);
        let len = room.finish().unwrap_or_default();
        Self { bytes, len }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

/// Reads the header out of its byte string; returns its bytes and what they say.
pub(crate) fn read<'a>(reader: &mut Reader<'a>) -> Result<(&'a [u8], Cipher, Option<Format>), Malformed> {
    let mut inside = reader.inside(PROTECTED, "the protected header in a byte string")?;
    let bytes = inside.rest();
    let mut labels = inside.map(2, "the protected header, a map of at most 2 labels")?;
    let (mut cipher, mut format) = (None, None);
    while let Some(label) = labels.next(&mut inside)? {
        match label {
            ALG => {
                let at = inside.at();
                let id = inside.integer("the number of an algorithm")?;
                cipher = Some(Cipher::of_id(id).ok_or(Malformed { at, fault: Fault::Algorithm(id) })?);
            }
            CONTENT_TYPE => format = Some(read_format(&mut inside)?),
            _ => return labels.unknown(label),
        }
    }
    let cipher = labels.demand(cipher, "the algorithm (1)")?;
    inside.end()?;
    Ok((bytes, cipher, format))
}
