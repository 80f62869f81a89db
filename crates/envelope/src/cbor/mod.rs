//! The small part of CBOR that the profile uses, in its one deterministic form (RFC 8949 §4.2.1).
//!
//! It is our own because the profile refuses nearly all of CBOR: no indefinite lengths, floats, simple values but null,
//! labels other than integers, nor a second way to write anything. A general reader accepts first and would have to be asked
//! afterwards how each item was written; this one has a function for what may come next and says at which byte it did not.
//! It never recurses: every form has a fixed shape, so depth and size are known before anything is read.

mod read;
mod write;

pub use read::{Fault, Malformed};
pub(crate) use read::{Labels, Reader};
pub(crate) use write::{
    Count, Room, array, byte_string, bytes, integer, map, null, tag, text, text_string, unsigned,
};
pub use write::{NoRoom, Sink};

/// The major types of RFC 8949 §3.1 that the profile uses.
mod major {
    pub(super) const UNSIGNED: u8 = 0;
    pub(super) const NEGATIVE: u8 = 1;
    pub(super) const BYTES: u8 = 2;
    pub(super) const TEXT: u8 = 3;
    pub(super) const ARRAY: u8 = 4;
    pub(super) const MAP: u8 = 5;
    pub(super) const TAG: u8 = 6;
}
