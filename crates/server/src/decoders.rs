//! The decoders of this crate that meet foreign bytes, opened to the fuzz targets alone.

use crate::control::{limits::CONTROL_REQUEST_BYTES, line, socket};
use crate::plane::tls::hello;
use std::io::{self, Read};

/// Reads the first bytes of a connection.
pub fn client_hello(wire: &[u8]) {
    let _ = hello::Dialect::of(wire);
    if let Some(asked) = hello::read(wire).and_then(|hello| hello.asked) {
        let _ = asked.as_text();
    }
}

/// Reads lines that come in pieces of `piece` bytes as requests. Returns how each ended: taken or refused.
pub fn control_requests(bytes: &[u8], piece: usize) -> Vec<bool> {
    let mut source = Pieces { bytes, piece };
    let mut lines = line::Lines::new(CONTROL_REQUEST_BYTES);
    core::iter::from_fn(|| lines.next(&mut source).ok().map(|line| socket::parse(&line).is_ok())).collect()
}

struct Pieces<'a> {
    bytes: &'a [u8],
    piece: usize,
}

impl Read for Pieces<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.piece.min(buffer.len()).min(self.bytes.len());
        let (now, later) = self.bytes.split_at(count);
        buffer[..count].copy_from_slice(now);
        self.bytes = later;
        Ok(count)
    }
}
