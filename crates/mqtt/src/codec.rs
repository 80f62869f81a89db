//! Packets to bytes and back. Decoding borrows from the input and allocates nothing.
//!
//! The rules that need more than one packet (order, receive maximum, keep-alive) are in [`crate::connection`]; which
//! filter of a SUBSCRIBE is acceptable is the broker's to say. Payloads are bytes here: whether one is the UTF-8 that
//! its payload format indicator claims is not checked.

mod error;
mod forward;
pub(crate) mod read;

pub use error::{DecodeError, EncodeError, Fault, Violation};
pub use forward::{PublishHead, encode_publish_head, publish_len};

use crate::packet::{Packet, Version};
use alloc::vec::Vec;

/// The largest value of a variable byte integer (chapter 1.5.5).
pub const VARINT_MAX: u32 = 268_435_455;

/// Is a side of a link: some packets, codes and properties belong to one side only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sender {
    /// The side that sends CONNECT.
    Client,
    /// The side that answers it.
    Server,
}

pub(crate) fn varint_len(value: usize) -> usize {
    match value {
        0..=0x7F => 1,
        0x80..=0x3FFF => 2,
        0x4000..=0x1F_FFFF => 3,
        _ => 4,
    }
}

/// Decodes `frame`, which is exactly one packet, as sent by `sender`. A CONNECT brings its own version; `version` is
/// that of all other packets.
///
/// # Errors
/// [`DecodeError`] names the first rule that the packet breaks.
pub fn decode<'a>(version: Version, sender: Sender, frame: &'a [u8]) -> Result<Packet<'a>, DecodeError> {
    todo!("{version:?} {sender:?} {frame:?}")
}

/// Appends `packet` to `out` as `version` writes it: 3.1.1 loses properties and gets its own codes in CONNACK and
/// SUBACK, and loses the codes of other acknowledgements. A CONNECT brings its own version.
///
/// # Errors
/// [`EncodeError`] says what cannot be written; `out` is then unchanged.
pub fn encode(packet: &Packet<'_>, version: Version, out: &mut Vec<u8>) -> Result<(), EncodeError> {
    todo!("{packet:?} {version:?} {out:?}")
}

/// Returns the bytes that [`encode`] would append, the fixed header included.
///
/// # Errors
/// As [`encode`].
pub fn encoded_len(packet: &Packet<'_>, version: Version) -> Result<usize, EncodeError> {
    todo!("{packet:?} {version:?}")
}
