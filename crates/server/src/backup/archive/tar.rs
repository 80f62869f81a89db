//! The headers of a tar file, of the one kind that an archive has: regular files with short names (POSIX ustar).
//!
//! ```text
//! name 100 | mode 8 | uid 8 | gid 8 | size 12 | mtime 12 | checksum 8 | type 1 | link 100 | "ustar\0" "00"
//! | user 32 | group 32 | device 16 | prefix 155 | zeros 12
//! ```
//!
//! Numbers are octal text. A file follows its header and is filled up with zeros to a multiple of 512 bytes; two blocks of
//! zeros end the whole. What is read has to be exactly what is written here: no links, no long names, no other kinds.

use super::ArchiveError;
use crate::backup::limits::PATH_BYTES;

/// Bytes of a header, and what files are filled up to.
pub(super) const BLOCK: usize = 512;

/// The largest size that a header can say, in bytes.
const SIZE_MAX: u64 = (8 << 30) - 1;

const CHECKSUM: std::ops::Range<usize> = 148..156;

/// Is what a header says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) name: String,
    pub(super) size: u64,
    /// Seconds since 1970.
    pub(super) modified: u64,
}

impl Header {
    /// Writes the header. `None`: the name or the size does not fit.
    pub(super) fn encode(&self) -> Option<[u8; BLOCK]> {
        let mut block = [0; BLOCK];
        if self.name.is_empty() || self.name.len() > PATH_BYTES || self.size > SIZE_MAX {
            return None;
        }
        block[..self.name.len()].copy_from_slice(self.name.as_bytes());
        octal(&mut block[100..108], 0o600);
        octal(&mut block[108..116], 0);
        octal(&mut block[116..124], 0);
        octal(&mut block[124..136], self.size);
        octal(&mut block[136..148], self.modified.min(SIZE_MAX));
        block[156] = b'0';
        block[257..265].copy_from_slice(b"ustar\x0000");
        let sum = checksum(&block);
        octal(&mut block[148..155], sum);
        block[155] = b' ';
        Some(block)
    }

    /// Reads a header; `None` is the end of the archive.
    pub(super) fn decode(block: &[u8; BLOCK]) -> Result<Option<Self>, ArchiveError> {
        if *block == [0; BLOCK] {
            return Ok(None);
        }
        let header = Self::read(block).ok_or(ArchiveError::Foreign)?;
        // Whatever is not looked at here is what is written for such a file.
        if header.encode().as_ref() == Some(block) { Ok(Some(header)) } else { Err(ArchiveError::Foreign) }
    }

    fn read(block: &[u8; BLOCK]) -> Option<Self> {
        let name = block[..PATH_BYTES].split(|byte| *byte == 0).next()?;
        let name = std::str::from_utf8(name).ok()?.to_owned();
        Some(Self { name, size: number(&block[124..136])?, modified: number(&block[136..148])? })
    }
}

/// Tells with how many zeros a file of this size is filled up.
pub(super) fn padding(size: u64) -> usize {
    ((BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64) as usize
}

fn octal(field: &mut [u8], number: u64) {
    let digits = field.len() - 1;
    for (place, digit) in field[..digits].iter_mut().rev().enumerate() {
        *digit = b'0' + (number >> (3 * place) & 7) as u8;
    }
}

fn number(field: &[u8]) -> Option<u64> {
    let (digits, _) = field.split_at(field.len() - 1);
    let is_octal = digits.iter().all(|digit| (b'0'..=b'7').contains(digit));
    is_octal.then(|| digits.iter().fold(0, |number, digit| number << 3 | u64::from(digit - b'0')))
}

/// Adds up all bytes, with blanks in the place of the checksum.
fn checksum(block: &[u8; BLOCK]) -> u64 {
    let bytes = block.iter().enumerate();
    bytes.map(|(at, byte)| u64::from(if CHECKSUM.contains(&at) { b' ' } else { *byte })).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_reads_as_it_was_written_and_no_other_does() {
        let header = Header { name: "ledger.log".into(), size: 0o1234567, modified: 1_700_000_000 };
        let block = header.encode().unwrap();
        assert_eq!(Header::decode(&block).unwrap(), Some(header));
        assert_eq!(Header::decode(&[0; BLOCK]).unwrap(), None);
        for at in 0..BLOCK {
            let mut damaged = block;
            damaged[at] ^= 1;
            assert!(matches!(Header::decode(&damaged), Err(ArchiveError::Foreign)), "byte {at}");
        }
    }

    #[test]
    fn what_does_not_fit_is_not_written() {
        let header = |name: &str, size| Header { name: name.into(), size, modified: 0 };
        assert!(header(&"x".repeat(101), 0).encode().is_none());
        assert!(header("", 0).encode().is_none());
        assert!(header("x", 8 << 30).encode().is_none());
        assert!(header(&"x".repeat(100), (8 << 30) - 1).encode().is_some());
    }
}
