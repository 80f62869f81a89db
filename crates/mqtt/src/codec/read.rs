//! Reading the data types of chapter 1.5 from a packet that is wholly there.

use super::error::Violation;
use crate::packet::PacketId;
use crate::property::{PropertyId, Shape};
use core::num::NonZeroU16;

/// Walks over the bytes of a packet. Every step borrows from them; none allocates or panics.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// Takes all that is left: a PUBLISH payload, a list.
    pub(crate) fn rest(&mut self) -> &'a [u8] {
        core::mem::take(&mut self.rest)
    }

    pub(crate) fn bytes(&mut self, count: usize) -> Result<&'a [u8], Violation> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Violation::Truncated)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Violation> {
        let (taken, rest) = self.rest.split_first_chunk::<N>().ok_or(Violation::Truncated)?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(crate) fn u8(&mut self) -> Result<u8, Violation> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(crate) fn u16(&mut self) -> Result<u16, Violation> {
        self.array().map(u16::from_be_bytes)
    }

    pub(crate) fn u32(&mut self) -> Result<u32, Violation> {
        self.array().map(u32::from_be_bytes)
    }

    /// Reads a variable byte integer in its shortest form [MQTT-1.5.5-1].
    pub(crate) fn varint(&mut self) -> Result<u32, Violation> {
        let mut value = 0;
        for shift in [0, 7, 14, 21] {
            let byte = self.u8()?;
            value |= u32::from(byte & 0x7F) << shift;
            if byte & 0x80 == 0 {
                let padded = byte == 0 && shift > 0;
                return if padded { Err(Violation::LengthForm) } else { Ok(value) };
            }
        }
        Err(Violation::LengthForm)
    }

    pub(crate) fn binary(&mut self) -> Result<&'a [u8], Violation> {
        let len = self.u16()?;
        self.bytes(usize::from(len))
    }

    /// Reads a UTF-8 string. Rust's `str` holds no surrogate [MQTT-1.5.4-1]; U+0000 is refused here [MQTT-1.5.4-2].
    pub(crate) fn text(&mut self) -> Result<&'a str, Violation> {
        let bytes = self.binary()?;
        if bytes.contains(&0) {
            return Err(Violation::Nul);
        }
        core::str::from_utf8(bytes).map_err(|_| Violation::Utf8)
    }

    pub(crate) fn packet_id(&mut self) -> Result<PacketId, Violation> {
        NonZeroU16::new(self.u16()?).map(PacketId).ok_or(Violation::PacketIdZero)
    }

    /// Reads a length and returns a reader over that many bytes.
    pub(crate) fn section(&mut self) -> Result<&'a [u8], Violation> {
        let len = self.varint()?;
        self.bytes(len as usize)
    }

    pub(crate) fn property_id(&mut self) -> Result<PropertyId, Violation> {
        let number = self.varint()?;
        PropertyId::from_number(number).ok_or(Violation::UnknownProperty(number))
    }

    /// Passes over the value of a property.
    pub(crate) fn skip(&mut self, shape: Shape) -> Result<(), Violation> {
        match shape {
            Shape::Byte => self.bytes(1).map(drop),
            Shape::TwoBytes => self.bytes(2).map(drop),
            Shape::FourBytes => self.bytes(4).map(drop),
            Shape::VarInt => self.varint().map(drop),
            Shape::Text | Shape::Binary => self.binary().map(drop),
            Shape::TextPair => self.binary().and_then(|_| self.binary()).map(drop),
        }
    }

    pub(crate) fn end(&self) -> Result<(), Violation> {
        if self.is_empty() { Ok(()) } else { Err(Violation::TrailingBytes) }
    }
}
