//! The state machines of the two ends of a link. They are given bytes and time, and give packets, bytes and deadlines.
//!
//! What outlives a link on the server's side (subscriptions, queues, wills) is the broker's; the client's side keeps
//! its session here, for it has one.

mod aliases;
mod client;
mod server;

pub use client::{ClientConnection, ClientError, ClientEvent, ClientStep, Message};
pub use server::{Farewell, Refused, ServerConnection, Step};

pub use crate::limits::{ClientLimits, ConnectionLimits};

use crate::codec::{DecodeError, Violation};
use crate::frame::{self, Header, PacketType};
use crate::packet::Version;

/// Says whether a frame is all there.
enum Framed<'a> {
    Incomplete { need: usize },
    Complete { header: Header, frame: &'a [u8] },
}

/// Finds the frame at the start of `input`. Its type is judged from the first byte and its size from the header, so
/// that the body of a packet that is refused is never waited for.
#[inline]
fn find_frame(
    version: Version,
    input: &[u8],
    limit: u32,
    allowed: impl Fn(PacketType) -> Result<(), Violation>,
) -> Result<Framed<'_>, DecodeError> {
    let Some(&first) = input.first() else { return Ok(Framed::Incomplete { need: 2 }) };
    let kind = frame::peek_type(first)?;
    let refused = |violation| DecodeError { packet: Some(kind), violation };
    frame::check_flags(version, kind, first & 0x0F).map_err(refused)?;
    allowed(kind).map_err(refused)?;
    let Some(header) = frame::peek(input)? else {
        return Ok(Framed::Incomplete { need: input.len() + 1 });
    };
    let size = u32::try_from(header.total_len).unwrap_or(u32::MAX);
    if size > limit {
        return Err(refused(Violation::TooLarge { size, limit }));
    }
    Ok(match input.get(..header.total_len) {
        Some(frame) => Framed::Complete { header, frame },
        None => Framed::Incomplete { need: header.total_len },
    })
}
