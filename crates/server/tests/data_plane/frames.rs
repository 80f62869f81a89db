//! The client's end of a WebSocket, written apart from the broker's.

use crate::peer::Stream;
use std::io::{self, Read, Write};

/// What a client sends first, in order.
pub(crate) const REQUEST: &str = "GET /mqtt HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
    Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n";

/// Writes a frame of a client: its first byte, then what it carries, masked.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    const KEY: [u8; 4] = [0x5a, 0x0f, 0xf0, 0x81];
    let mut bytes = vec![first];
    match payload.len() {
        short @ ..126 => bytes.push(0x80 | short as u8),
        middle @ ..65_536 => {
            bytes.push(0x80 | 126);
            bytes.extend_from_slice(&(middle as u16).to_be_bytes());
        }
        long => {
            bytes.push(0x80 | 127);
            bytes.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    bytes.extend_from_slice(&KEY);
    bytes.extend(payload.iter().enumerate().map(|(at, byte)| byte ^ KEY[at % 4]));
    bytes
}

/// Is a frame of the broker.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) first: u8,
    pub(crate) payload: Vec<u8>,
}

impl Frame {
    /// Returns the code of a close.
    pub(crate) fn close_code(&self) -> Option<u16> {
        assert_eq!(self.first, 0x88, "{self:x?}");
        Some(u16::from_be_bytes(self.payload.get(..2)?.try_into().unwrap()))
    }
}

/// Takes the first frame off `bytes`, if it is whole. It must not be masked.
pub(crate) fn take(bytes: &mut Vec<u8>) -> Option<Frame> {
    let (first, length) = (*bytes.first()?, *bytes.get(1)?);
    let (head, length) = match length {
        126 => (4, u16::from_be_bytes(bytes.get(2..4)?.try_into().unwrap()).into()),
        127 => (10, u64::from_be_bytes(bytes.get(2..10)?.try_into().unwrap()) as usize),
        short => (2, usize::from(short)),
    };
    assert!(length < 1 << 30, "a masked frame, or none");
    if bytes.len() < head + length {
        return None;
    }
    let payload = bytes[head..head + length].to_vec();
    bytes.drain(..head + length);
    Some(Frame { first, payload })
}

/// Reads the answer to a request up to its empty line.
pub(crate) fn head(stream: &mut impl Read) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).expect("an answer to the request");
        head.push(byte[0]);
    }
    String::from_utf8(head).unwrap()
}

/// Is a stream of MQTT in frames: what is written at once is one frame.
pub(crate) struct Framed<S> {
    inner: S,
    came: Vec<u8>,
    text: Vec<u8>,
}

impl<S: Read + Write> Framed<S> {
    /// Sends the request and takes the answer.
    pub(crate) fn begin(mut inner: S) -> Self {
        inner.write_all(REQUEST.as_bytes()).unwrap();
        inner.flush().unwrap();
        let head = head(&mut inner);
        assert!(head.starts_with("HTTP/1.1 101 "), "{head}");
        Self { inner, came: Vec::new(), text: Vec::new() }
    }
}

impl<S: Read + Write> Read for Framed<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.text.is_empty() {
            match take(&mut self.came) {
                Some(frame) if frame.first == 0x82 => self.text = frame.payload,
                Some(frame) if frame.first == 0x8a => {}
                Some(close) => return Ok(close.close_code().map_or(0, |_| 0)),
                None => {
                    let mut bytes = [0; 4096];
                    let count = self.inner.read(&mut bytes)?;
                    if count == 0 {
                        return Ok(0);
                    }
                    self.came.extend_from_slice(&bytes[..count]);
                }
            }
        }
        let count = self.text.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.text[..count]);
        self.text.drain(..count);
        Ok(count)
    }
}

impl<S: Read + Write> Write for Framed<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write_all(&frame(0x82, bytes))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl<S: Stream> Stream for Framed<S> {
    fn is_resumed(&self) -> bool {
        self.inner.is_resumed()
    }
}
