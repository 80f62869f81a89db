//! Writes deterministic CBOR into anything that takes bytes.

use super::major;
use core::fmt;
use sha2::{Digest as _, Sha256};

/// Takes bytes one run after the other: a buffer, a counter, a hash.
pub trait Sink {
    /// Takes the next bytes.
    fn put(&mut self, bytes: &[u8]);
}

impl Sink for Sha256 {
    fn put(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
}

/// Counts bytes and keeps none.
#[derive(Debug, Default)]
pub(crate) struct Count(pub(crate) usize);

impl Sink for Count {
    fn put(&mut self, bytes: &[u8]) {
        self.0 = self.0.saturating_add(bytes.len());
    }
}

/// Says that the caller's buffer is too short.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRoom {
    /// Bytes that the buffer must have.
    pub needed: usize,
}

impl fmt::Display for NoRoom {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the buffer is too short: give {} bytes", self.needed)
    }
}

impl core::error::Error for NoRoom {}

/// Fills a buffer of the caller and goes on to count when it is full.
#[derive(Debug)]
pub(crate) struct Room<'b> {
    out: &'b mut [u8],
    len: usize,
}

impl<'b> Room<'b> {
    pub(crate) fn new(out: &'b mut [u8]) -> Self {
        Self { out, len: 0 }
    }

    /// Returns how many bytes were put, whether there was room or not.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// Returns how many bytes were written.
    pub(crate) fn finish(self) -> Result<usize, NoRoom> {
        if self.len <= self.out.len() { Ok(self.len) } else { Err(NoRoom { needed: self.len }) }
    }
}

impl Sink for Room<'_> {
    fn put(&mut self, bytes: &[u8]) {
        let end = self.len.saturating_add(bytes.len());
        if let Some(place) = self.out.get_mut(self.len..end) {
            place.copy_from_slice(bytes);
        }
        self.len = end;
    }
}

/// Writes the shortest head of a major type and its number.
fn head(sink: &mut dyn Sink, major: u8, value: u64) {
    let be = value.to_be_bytes();
    let (info, from) = match value {
        0..=23 => (be[7], 8),
        24..=0xff => (24, 7),
        0x100..=0xffff => (25, 6),
        0x1_0000..=0xffff_ffff => (26, 4),
        _ => (27, 0),
    };
    sink.put(&[major << 5 | info]);
    sink.put(&be[from..]);
}

pub(crate) fn unsigned(sink: &mut dyn Sink, value: u64) {
    head(sink, major::UNSIGNED, value);
}

pub(crate) fn integer(sink: &mut dyn Sink, value: i64) {
    if value < 0 {
        // -1 - value, without overflow at the least number.
        head(sink, major::NEGATIVE, (!value).cast_unsigned());
    } else {
        head(sink, major::UNSIGNED, value.cast_unsigned());
    }
}

/// Writes the head of a byte string whose bytes follow.
pub(crate) fn byte_string(sink: &mut dyn Sink, len: usize) {
    head(sink, major::BYTES, len as u64);
}

pub(crate) fn bytes(sink: &mut dyn Sink, value: &[u8]) {
    byte_string(sink, value.len());
    sink.put(value);
}

/// Writes the head of a text whose bytes follow.
pub(crate) fn text_string(sink: &mut dyn Sink, len: usize) {
    head(sink, major::TEXT, len as u64);
}

pub(crate) fn text(sink: &mut dyn Sink, value: &str) {
    text_string(sink, value.len());
    sink.put(value.as_bytes());
}

pub(crate) fn array(sink: &mut dyn Sink, len: usize) {
    head(sink, major::ARRAY, len as u64);
}

pub(crate) fn map(sink: &mut dyn Sink, len: usize) {
    head(sink, major::MAP, len as u64);
}

pub(crate) fn tag(sink: &mut dyn Sink, value: u64) {
    head(sink, major::TAG, value);
}

pub(crate) fn null(sink: &mut dyn Sink) {
    sink.put(&[0xf6]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_their_shortest_form() {
        // RFC 8949, appendix A.
        for (value, expected) in [
            (0_i64, &[0x00][..]),
            (23, &[0x17]),
            (24, &[0x18, 0x18]),
            (255, &[0x18, 0xff]),
            (256, &[0x19, 1, 0]),
            (1_000_000, &[0x1a, 0x00, 0x0f, 0x42, 0x40]),
            (1_000_000_000_000, &[0x1b, 0, 0, 0, 0xe8, 0xd4, 0xa5, 0x10, 0]),
            (-1, &[0x20]),
            (-100, &[0x38, 0x63]),
            (-1000, &[0x39, 0x03, 0xe7]),
            (i64::MIN, &[0x3b, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
        ] {
            let mut out = [0; 9];
            let mut room = Room::new(&mut out);
            integer(&mut room, value);
            let len = room.finish().unwrap();
            assert_eq!(&out[..len], expected, "{value}");
        }
    }

    #[test]
    fn a_full_buffer_says_how_much_it_needs() {
        let mut out = [0; 3];
        let mut room = Room::new(&mut out);
        bytes(&mut room, &[1, 2, 3, 4]);
        assert_eq!(room.finish(), Err(NoRoom { needed: 5 }));
    }
}
