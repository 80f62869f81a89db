//! Reads an input as instructions, for targets whose valid inputs no mutator would meet: behind a checksum, or in the
//! middle of a handshake.

/// Is what is left of an input.
#[derive(Debug, Clone, Copy)]
pub struct Script<'a>(pub &'a [u8]);

impl<'a> Script<'a> {
    /// Takes a byte.
    pub fn byte(&mut self) -> Option<u8> {
        let (first, rest) = self.0.split_first()?;
        self.0 = rest;
        Some(*first)
    }

    /// Takes two bytes as a number that is at most `most`.
    pub fn number(&mut self, most: usize) -> Option<usize> {
        let number = u16::from_be_bytes([self.byte()?, self.byte()?]);
        Some(usize::from(number) % (most + 1))
    }

    /// Takes a length of one byte and so many bytes, or what there is.
    pub fn piece(&mut self) -> Option<&'a [u8]> {
        let length = usize::from(self.byte()?).min(self.0.len());
        let (piece, rest) = self.0.split_at(length);
        self.0 = rest;
        Some(piece)
    }

    /// Changes `bytes` in one place; `None` if the script ends.
    pub fn edit(&mut self, bytes: &mut Vec<u8>) -> Option<()> {
        let (what, at) = (self.byte()?, self.number(bytes.len())?);
        match what % 6 {
            0 => {
                let value = self.byte()?;
                bytes.get_mut(at).into_iter().for_each(|byte| *byte = value);
            }
            1 => {
                let bit = 1 << (self.byte()? % 8);
                bytes.get_mut(at).into_iter().for_each(|byte| *byte ^= bit);
            }
            2 => drop(bytes.splice(at..at, self.piece()?.iter().copied())),
            3 => {
                let end = (at + usize::from(self.byte()?)).min(bytes.len());
                drop(bytes.drain(at..end));
            }
            4 => bytes.truncate(at),
            _ => bytes.extend(core::iter::repeat_n(0, self.number(1024)?)),
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edited(script: &[u8]) -> Vec<u8> {
        let mut bytes = b"abc".to_vec();
        let mut script = Script(script);
        while script.edit(&mut bytes).is_some() {}
        bytes
    }

    #[test]
    fn a_script_changes_bytes_where_it_says() {
        assert_eq!(edited(&[0, 0, 1, b'x']), b"axc");
        assert_eq!(edited(&[1, 0, 0, 0]), b"`bc");
        assert_eq!(edited(&[2, 0, 3, 2, b'd', b'e']), b"abcde");
        assert_eq!(edited(&[3, 0, 1, 1, 4, 0, 1]), b"a");
        assert_eq!(edited(&[5, 0, 0, 0, 2]), b"abc\0\0");
        assert_eq!(edited(&[0, 0]), b"abc");
    }
}
