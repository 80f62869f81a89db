//! Bytes that follow an answer on the same connection, for what is too long for a line: pieces, each behind its length (`u32`,
//! big-endian), ended by a length of zero. One more answer line then says how it went.

use super::limits::STREAM_PIECE;
use std::io::{self, ErrorKind, Read, Write};

/// Writes pieces. What is not [finished](Self::finish) was cut off.
pub struct Pieces<'a> {
    sink: &'a mut dyn Write,
    buffer: Vec<u8>,
}

impl<'a> Pieces<'a> {
    pub(super) fn new(sink: &'a mut dyn Write) -> Self {
        Self { sink, buffer: Vec::with_capacity(STREAM_PIECE) }
    }

    pub(super) fn finish(mut self) -> io::Result<()> {
        self.flush()?;
        self.sink.write_all(&0_u32.to_be_bytes())
    }
}

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.buffer.len() == STREAM_PIECE {
            self.flush()?;
        }
        let taken = bytes.len().min(STREAM_PIECE - self.buffer.len());
        self.buffer.extend_from_slice(&bytes[..taken]);
        Ok(taken)
    }

    /// Sends what is there, so that the reader hears of it.
    fn flush(&mut self) -> io::Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        self.sink.write_all(&(self.buffer.len() as u32).to_be_bytes())?;
        self.sink.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(())
    }
}

/// Reads pieces as one row of bytes, which ends where the writer finished.
pub(super) struct Joined {
    left: usize,
    is_done: bool,
}

impl Joined {
    pub(super) fn new() -> Self {
        Self { left: 0, is_done: false }
    }

    pub(super) fn read(&mut self, source: &mut dyn Read, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() {
            return Ok(0);
        }
        if self.left == 0 && !self.is_done {
            let mut length = [0; 4];
            source.read_exact(&mut length)?;
            self.left = u32::from_be_bytes(length) as usize;
            if self.left > STREAM_PIECE {
                return Err(ErrorKind::InvalidData.into());
            }
            self.is_done = self.left == 0;
        }
        if self.is_done {
            return Ok(0);
        }
        let most = into.len().min(self.left);
        let count = source.read(&mut into[..most])?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        self.left -= count;
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn joined(mut wire: &[u8]) -> io::Result<(Vec<u8>, usize)> {
        let (mut joined, mut all) = (Joined::new(), Vec::new());
        let mut buffer = [0; 1_000];
        loop {
            match joined.read(&mut wire, &mut buffer)? {
                0 => return Ok((all, wire.len())),
                count => all.extend_from_slice(&buffer[..count]),
            }
        }
    }

    #[test]
    fn pieces_join_to_what_was_written_and_end_where_it_ended() {
        let bytes: Vec<u8> = (0..200_000_u32).map(|n| (n % 251) as u8).collect();
        let mut wire = Vec::new();
        let mut pieces = Pieces::new(&mut wire);
        pieces.write_all(&bytes[..10]).unwrap();
        pieces.flush().unwrap();
        pieces.write_all(&bytes[10..]).unwrap();
        pieces.finish().unwrap();
        wire.extend(b"next line");
        let (read, left) = joined(&wire).unwrap();
        assert!(read == bytes && left == 9, "{} bytes, {left} left", read.len());
    }

    #[test]
    fn a_cut_or_impossible_stream_is_an_error() {
        let mut wire = Vec::new();
        let mut pieces = Pieces::new(&mut wire);
        pieces.write_all(b"some bytes").unwrap();
        pieces.finish().unwrap();
        for end in 0..wire.len() {
            assert!(joined(&wire[..end]).is_err(), "{end} bytes");
        }
        assert!(joined(&u32::MAX.to_be_bytes()).is_err());
    }
}
