//! One JSON value a line, within a bound. Lines can hold passwords: every buffer is overwritten when dropped.

use std::io::{self, ErrorKind, Read, Write};
use zeroize::Zeroizing;

/// Reads lines from a socket, bounded in length.
pub(crate) struct Lines {
    buffer: Zeroizing<Vec<u8>>,
    used: usize,
    max: usize,
}

/// Says what came instead of a line.
#[derive(Debug)]
pub(crate) enum Cut {
    /// The peer closed between two lines.
    Closed,
    /// The peer closed, failed or was silent within a line.
    Broken(io::Error),
    /// The line is longer than the bound, in bytes.
    TooLong(usize),
}

impl Lines {
    /// Reads lines of at most `max` bytes.
    pub(crate) fn new(max: usize) -> Self {
        Self { buffer: Zeroizing::new(vec![0; max.min(64 * 1024)]), used: 0, max }
    }

    /// Reads one line, without its end.
    pub(crate) fn next(&mut self, source: &mut impl Read) -> Result<Zeroizing<Vec<u8>>, Cut> {
        let mut searched = 0;
        loop {
            if let Some(at) = self.buffer[searched..self.used].iter().position(|byte| *byte == b'\n') {
                return Ok(self.take(searched + at));
            }
            searched = self.used;
            if self.used == self.buffer.len() {
                self.grow()?;
            }
            match source.read(&mut self.buffer[self.used..]) {
                Ok(0) if self.used == 0 => return Err(Cut::Closed),
                Ok(0) => return Err(Cut::Broken(ErrorKind::UnexpectedEof.into())),
                Ok(n) => self.used += n,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(Cut::Broken(error)),
            }
        }
    }

    /// Reads what follows the lines that were taken: first what was read along with them.
    pub(crate) fn read_on(&mut self, source: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
        if self.used == 0 {
            return source.read(into);
        }
        let count = into.len().min(self.used);
        into[..count].copy_from_slice(&self.buffer[..count]);
        self.buffer.copy_within(count..self.used, 0);
        self.used -= count;
        Ok(count)
    }

    fn take(&mut self, end: usize) -> Zeroizing<Vec<u8>> {
        let line = Zeroizing::new(self.buffer[..end].to_vec());
        self.buffer.copy_within(end + 1..self.used, 0);
        self.used -= end + 1;
        line
    }

    /// Moves to a larger buffer by hand, for `Vec` would leave the old bytes behind.
    fn grow(&mut self) -> Result<(), Cut> {
        if self.buffer.len() >= self.max {
            return Err(Cut::TooLong(self.max));
        }
        let mut larger = Zeroizing::new(vec![0; (self.buffer.len() * 2).min(self.max)]);
        larger[..self.used].copy_from_slice(&self.buffer[..self.used]);
        self.buffer = larger;
        Ok(())
    }
}

/// Writes `value` as one line.
pub(crate) fn write(sink: &mut impl Write, value: &impl serde::Serialize) -> io::Result<()> {
    let mut counter = Counter(0);
    serde_json::to_writer(&mut counter, value)?;
    // The exact capacity keeps `Vec` from moving, which would leave a copy behind.
    let mut line = Zeroizing::new(Vec::with_capacity(counter.0 + 1));
    serde_json::to_writer(&mut *line, value)?;
    line.push(b'\n');
    sink.write_all(&line)
}

struct Counter(usize);

impl Write for Counter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_one_by_one_however_they_arrive() {
        struct ByteByByte<'a>(&'a [u8]);
        impl Read for ByteByByte<'_> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                let n = buffer.len().min(1);
                self.0.read(&mut buffer[..n])
            }
        }
        let mut source = ByteByByte(b"one\ntwo\n\nthree");
        let mut lines = Lines::new(16);
        for expected in ["one", "two", ""] {
            assert_eq!(lines.next(&mut source).unwrap().as_slice(), expected.as_bytes());
        }
        assert!(matches!(lines.next(&mut source), Err(Cut::Broken(_))));
        assert!(matches!(Lines::new(16).next(&mut io::empty()), Err(Cut::Closed)));
    }

    #[test]
    fn a_line_beyond_the_bound_is_not_kept() {
        let mut lines = Lines::new(8);
        assert!(matches!(lines.next(&mut [b'x'; 9].as_slice()), Err(Cut::TooLong(8))));
        assert_eq!(Lines::new(9).next(&mut b"xxxxxxxx\n".as_slice()).unwrap().len(), 8);
        let long = [&[b'y'; 200_000][..], b"\n"].concat();
        assert_eq!(Lines::new(300_000).next(&mut long.as_slice()).unwrap().len(), 200_000);
    }
}
