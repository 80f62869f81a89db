//! Bytes as hexadecimal digits.

use std::fmt::Write as _;

/// Writes bytes in lower case.
pub(crate) fn encode(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads pairs of digits, of either case.
pub(crate) fn decode(text: &str) -> Option<Vec<u8>> {
    let digit = |digit: u8| char::from(digit).to_digit(16);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| u8::try_from(digit(*high)? << 4 | digit(*low)?).ok();
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_and_half_a_byte_is_not() {
        assert_eq!(decode(&encode(&[0, 0xc0, 0xff, 0xee])), Some(vec![0, 0xc0, 0xff, 0xee]));
        assert_eq!((decode("C0ffEE"), decode("")), (Some(vec![0xc0, 0xff, 0xee]), Some(Vec::new())));
        for bad in ["c", "c0f", "+1", "g0", "é"] {
            assert_eq!(decode(bad), None, "{bad}");
        }
    }
}
