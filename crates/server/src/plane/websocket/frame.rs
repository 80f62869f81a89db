//! The frames of WebSocket (RFC 6455 §5) without IO: what a client's frames carry is unmasked where it lies, however the
//! bytes are cut, and never collected into messages, because MQTT has packets of its own.

use crate::plane::limits::WEBSOCKET_FRAME_BYTES;
use std::fmt;

/// Bytes of the longest head of a frame: two, a length of eight, a mask of four.
const HEAD_BYTES: usize = 14;
/// Bytes that a control frame may carry (§5.5).
const CONTROL_BYTES: u8 = 125;

const FINAL: u8 = 0x80;
const RESERVED: u8 = 0x70;
const MASKED: u8 = 0x80;

const CONTINUATION: u8 = 0;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const PONG: u8 = 10;

/// Is why a WebSocket is closed (§7.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct CloseCode(pub(crate) u16);

impl CloseCode {
    /// What the link was for is done.
    pub(crate) const NORMAL: Self = Self(1000);
    /// The broker stops.
    pub(crate) const GOING_AWAY: Self = Self(1001);
    const PROTOCOL: Self = Self(1002);
    const KIND_OF_DATA: Self = Self(1003);
    const TEXT_NOT_UTF8: Self = Self(1007);
    const TOO_BIG: Self = Self(1009);

    /// Tells whether a peer may send it: 1005, 1006 and 1015 are never sent, and the others are nobody's.
    fn may_be_sent(self) -> bool {
        matches!(self.0, 1000..=1003 | 1007..=1014 | 3000..=4999)
    }
}

/// Says how a client's frames break the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum FrameFault {
    /// The payload is not masked (§5.1).
    Unmasked,
    /// A reserved bit is set, and no extension was agreed on (§5.2).
    ReservedBits,
    /// The kind of the frame is none that there is (§5.2).
    UnknownKind,
    /// It is text, where MQTT travels in binary frames ([MQTT-6.0.0-1]).
    Text,
    /// A ping, pong or close is longer than 125 bytes or in fragments (§5.5).
    LongControl,
    /// A message goes on that was not begun, or begins within another one (§5.4).
    Sequence,
    /// The length is not written in the shortest way (§5.2).
    Length,
    /// The frame is longer than any packet of MQTT.
    TooLong,
    /// The code of a close is cut off, or may not be sent (§7.4).
    BadClose,
    /// The reason of a close is not UTF-8 (§5.5.1).
    BadReason,
}

impl FrameFault {
    /// Returns the code that the peer is told.
    pub(super) fn code(self) -> CloseCode {
        match self {
            Self::Text => CloseCode::KIND_OF_DATA,
            Self::TooLong => CloseCode::TOO_BIG,
            Self::BadReason => CloseCode::TEXT_NOT_UTF8,
            Self::Unmasked
            | Self::ReservedBits
            | Self::UnknownKind
            | Self::LongControl
            | Self::Sequence
            | Self::Length
            | Self::BadClose => CloseCode::PROTOCOL,
        }
    }
}

impl fmt::Display for FrameFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unmasked => "a frame is not masked",
            Self::ReservedBits => "a frame has a reserved bit set: no extension was agreed on",
            Self::UnknownKind => "a frame is of no known kind",
            Self::Text => "a frame is text, where MQTT travels in binary frames",
            Self::LongControl => "a ping, pong or close is longer than 125 bytes or in fragments",
            Self::Sequence => "a message goes on that was not begun, or begins within another one",
            Self::Length => "the length of a frame is not written in the shortest way",
            Self::TooLong => "a frame is longer than any packet of MQTT",
            Self::BadClose => "the code of a close is cut off, or none that may be sent",
            Self::BadReason => "the reason of a close is not UTF-8",
        })
    }
}

/// Reads the frames of one client.
#[derive(Debug, Default)]
pub(super) struct Frames {
    head: [u8; HEAD_BYTES],
    have: usize,
    body: Option<Body>,
    /// Tells that a message has begun whose last frame has not come.
    in_message: bool,
    /// What came of a ping or close that is not whole.
    control: Vec<u8>,
    /// What the last ping carried that is not answered yet.
    ping: Option<Vec<u8>>,
    /// With what the peer closed: a code and a reason, or nothing.
    closed: Option<Vec<u8>>,
    /// Frames whose heads came and were not asked for yet.
    count: usize,
}

/// Is a frame whose payload is awaited.
#[derive(Debug)]
struct Body {
    kind: u8,
    left: u64,
    mask: Mask,
}

impl Frames {
    /// Takes the bytes of `wire` behind `from`, moves what they carry for MQTT to the front of `wire`, and returns how
    /// much that is.
    ///
    /// # Errors
    /// [`FrameFault`]; the frames are not to be read any further then.
    pub(super) fn open(&mut self, wire: &mut [u8], from: usize) -> Result<usize, FrameFault> {
        let (mut at, mut end) = (from, 0);
        while self.closed.is_none() {
            let Some(body) = &mut self.body else {
                at += self.take_head(&wire[at..])?;
                match self.body {
                    Some(_) => continue,
                    None => break,
                }
            };
            let rest = wire.len() - at;
            let count = usize::try_from(body.left).unwrap_or(rest).min(rest);
            body.mask.apply(&mut wire[at..at + count]);
            if is_control(body.kind) {
                self.control.extend_from_slice(&wire[at..at + count]);
            } else {
                wire.copy_within(at..at + count, end);
                end += count;
            }
            at += count;
            body.left -= count as u64;
            if body.left > 0 {
                break;
            }
            let kind = body.kind;
            self.body = None;
            if is_control(kind) {
                self.take_control(kind)?;
            }
        }
        Ok(end)
    }

    /// Returns what the last ping carried, once: only that one need be answered (§5.5.3).
    pub(super) fn take_ping(&mut self) -> Option<Vec<u8>> {
        self.ping.take()
    }

    /// Returns with what the peer closed, if it did.
    pub(super) fn closed(&self) -> Option<&[u8]> {
        self.closed.as_deref()
    }

    /// Returns how many frames have come since it was asked last.
    pub(super) fn take_count(&mut self) -> usize {
        std::mem::take(&mut self.count)
    }

    /// Returns how many bytes of control frames it holds.
    pub(super) fn held(&self) -> usize {
        self.control.len() + self.ping.as_ref().map_or(0, Vec::len)
    }

    /// Takes bytes of a head, and the body that it announces once it is whole; returns how many bytes it took.
    fn take_head(&mut self, bytes: &[u8]) -> Result<usize, FrameFault> {
        let mut taken = 0;
        loop {
            let need = head_length(&self.head[..self.have]);
            if self.have == need {
                break;
            }
            let count = (need - self.have).min(bytes.len() - taken);
            if count == 0 {
                return Ok(taken);
            }
            self.head[self.have..self.have + count].copy_from_slice(&bytes[taken..taken + count]);
            self.have += count;
            taken += count;
            if self.have >= 2 {
                self.check_kind()?;
            }
        }
        let length = length(&self.head[1..self.have - 4])?;
        let mut key = [0; 4];
        key.copy_from_slice(&self.head[self.have - 4..self.have]);
        let kind = self.head[0] & 0x0f;
        if !is_control(kind) {
            self.in_message = self.head[0] & FINAL == 0;
        }
        self.body = Some(Body { kind, left: length, mask: Mask(key) });
        self.have = 0;
        self.count += 1;
        Ok(taken)
    }

    /// Checks the first two bytes of a head.
    fn check_kind(&self) -> Result<(), FrameFault> {
        let [first, second, ..] = self.head;
        if first & RESERVED != 0 {
            return Err(FrameFault::ReservedBits);
        }
        let is_final = first & FINAL != 0;
        match first & 0x0f {
            TEXT => return Err(FrameFault::Text),
            BINARY if self.in_message => return Err(FrameFault::Sequence),
            CONTINUATION if !self.in_message => return Err(FrameFault::Sequence),
            BINARY | CONTINUATION => {}
            CLOSE | PING | PONG if !is_final || second & !MASKED > CONTROL_BYTES => {
                return Err(FrameFault::LongControl);
            }
            CLOSE | PING | PONG => {}
            _ => return Err(FrameFault::UnknownKind),
        }
        if second & MASKED == 0 { Err(FrameFault::Unmasked) } else { Ok(()) }
    }

    fn take_control(&mut self, kind: u8) -> Result<(), FrameFault> {
        let payload = std::mem::take(&mut self.control);
        match kind {
            PING => self.ping = Some(payload),
            CLOSE => {
                check_close(&payload)?;
                self.closed = Some(payload);
            }
            _ => {} // A pong that nobody asked for is allowed (§5.5.3).
        }
        Ok(())
    }
}

fn is_control(kind: u8) -> bool {
    kind & 8 != 0
}

/// Returns how long the head is that begins so, as far as that can be told.
fn head_length(head: &[u8]) -> usize {
    match head.get(1).map(|second| second & !MASKED) {
        None => 2,
        Some(126) => 8,
        Some(127) => HEAD_BYTES,
        Some(_) => 6,
    }
}

/// Reads the length behind the first byte of a head.
fn length(bytes: &[u8]) -> Result<u64, FrameFault> {
    let (&first, more) = bytes.split_first().ok_or(FrameFault::Length)?;
    let length = more.iter().fold(0, |length: u64, byte| length << 8 | u64::from(*byte));
    let least = match first & !MASKED {
        126 => 126,
        127 => 1 << 16,
        short => return Ok(short.into()),
    };
    match length {
        _ if length < least || length >> 63 == 1 => Err(FrameFault::Length),
        _ if length > WEBSOCKET_FRAME_BYTES => Err(FrameFault::TooLong),
        _ => Ok(length),
    }
}

fn check_close(payload: &[u8]) -> Result<(), FrameFault> {
    match payload {
        [] => Ok(()),
        [high, low, reason @ ..] if CloseCode(u16::from_be_bytes([*high, *low])).may_be_sent() => {
            std::str::from_utf8(reason).map(drop).map_err(|_| FrameFault::BadReason)
        }
        _ => Err(FrameFault::BadClose),
    }
}

/// Is the mask of a frame, turned to where its next byte lies.
#[derive(Debug, Clone, Copy)]
struct Mask([u8; 4]);

impl Mask {
    fn apply(&mut self, bytes: &mut [u8]) {
        let [a, b, c, d] = self.0;
        let eight = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
        let mut chunks = bytes.chunks_exact_mut(8);
        for chunk in &mut chunks {
            if let Ok(word) = <&mut [u8; 8]>::try_from(chunk) {
                *word = (u64::from_ne_bytes(*word) ^ eight).to_ne_bytes();
            }
        }
        let rest = chunks.into_remainder();
        rest.iter_mut().zip(self.0.iter().cycle()).for_each(|(byte, mask)| *byte ^= mask);
        self.0.rotate_left(bytes.len() % 4);
    }
}

/// Appends the head of a frame of ours that carries `length` bytes of MQTT: ours are not masked (§5.1).
pub(super) fn write_head(length: usize, out: &mut Vec<u8>) {
    out.push(FINAL | BINARY);
    match (u8::try_from(length), u16::try_from(length)) {
        (Ok(short), _) if short <= CONTROL_BYTES => out.push(short),
        (_, Ok(middle)) => {
            out.push(126);
            out.extend_from_slice(&middle.to_be_bytes());
        }
        _ => {
            out.push(127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// Appends the answer to a ping.
pub(super) fn write_pong(payload: &[u8], out: &mut Vec<u8>) {
    write_control(PONG, payload, out);
}

/// Appends a close with what the peer closed with: its code and reason, or nothing.
pub(super) fn write_close(payload: &[u8], out: &mut Vec<u8>) {
    write_control(CLOSE, payload, out);
}

fn write_control(kind: u8, payload: &[u8], out: &mut Vec<u8>) {
    let payload = &payload[..payload.len().min(CONTROL_BYTES.into())];
    out.extend_from_slice(&[FINAL | kind, payload.len() as u8]);
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests;
