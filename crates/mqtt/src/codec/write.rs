//! Writing the data types of chapter 1.5.

use super::{EncodeError, VARINT_MAX};
use alloc::vec::Vec;

/// Takes bytes in order. One code path writes a packet and, into [`Count`], finds its length, so the two agree.
pub(super) trait Sink {
    fn put(&mut self, bytes: &[u8]);

    fn u8(&mut self, value: u8) {
        self.put(&[value]);
    }

    fn u16(&mut self, value: u16) {
        self.put(&value.to_be_bytes());
    }

    fn u32(&mut self, value: u32) {
        self.put(&value.to_be_bytes());
    }

    /// Writes a variable byte integer in its shortest form; a longer value cannot be part of any packet.
    fn varint(&mut self, value: usize) -> Result<(), EncodeError> {
        if value > VARINT_MAX as usize {
            return Err(EncodeError::PacketTooLarge { len: value });
        }
        let mut rest = value;
        while rest >= 0x80 {
            self.u8((rest & 0x7F) as u8 | 0x80);
            rest >>= 7;
        }
        self.u8(rest as u8);
        Ok(())
    }

    fn binary(&mut self, value: &[u8]) -> Result<(), EncodeError> {
        let len = u16::try_from(value.len()).map_err(|_| EncodeError::ValueTooLong { len: value.len() })?;
        self.u16(len);
        self.put(value);
        Ok(())
    }

    fn text(&mut self, value: &str) -> Result<(), EncodeError> {
        if value.as_bytes().contains(&0) {
            return Err(EncodeError::Nul);
        }
        self.binary(value.as_bytes())
    }
}

impl Sink for Vec<u8> {
    fn put(&mut self, bytes: &[u8]) {
        self.extend_from_slice(bytes);
    }
}

/// Counts instead of writing.
#[derive(Debug, Default)]
pub(super) struct Count(pub(super) usize);

impl Sink for Count {
    fn put(&mut self, bytes: &[u8]) {
        self.0 += bytes.len();
    }
}
