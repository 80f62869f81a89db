//! What is said on `$keyward/ratchet`: words with a space between them, for clients that can do little.

use std::fmt::Write;

/// Is what a device says it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Said {
    /// No secret.
    Nothing,
    /// A secret.
    Secret {
        /// The name of its chain.
        chain: [u8; 8],
        /// Its number there.
        number: u64,
        /// Its tag over the nonce.
        tag: [u8; 32],
    },
}

/// Reads `none`, or `CHAIN NUMBER TAG`: 16 hexadecimal digits, decimal digits, 64 hexadecimal digits. `None` if it is neither.
pub(crate) fn read(text: &[u8]) -> Option<Said> {
    let text = std::str::from_utf8(text).ok()?;
    if text == "none" {
        return Some(Said::Nothing);
    }
    let mut words = text.split(' ');
    let (chain, number, tag) = (words.next()?, words.next()?, words.next()?);
    if words.next().is_some() || !number.bytes().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    Some(Said::Secret { chain: bytes(chain)?, number: number.parse().ok()?, tag: bytes(tag)? })
}

/// Writes the secret that a device is given: `next CHAIN NUMBER SECRET`.
pub(crate) fn next(chain: [u8; 8], number: u64, secret: &[u8; 32]) -> String {
    format!("next {} {number} {}", hex(&chain), hex(secret))
}

/// Says that a secret was used up.
pub(crate) const STALE: &str = "stale";

/// Says that an answer proves nothing.
pub(crate) const WRONG: &str = "wrong";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn bytes<const N: usize>(digits: &str) -> Option<[u8; N]> {
    let digits = digits.as_bytes();
    if digits.len() != 2 * N {
        return None;
    }
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let digit = |digit: u8| char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let [high, low] = pair else { return None };
        *byte = digit(*high)? << 4 | digit(*low)?;
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_read_strictly() {
        assert_eq!(read(b"none"), Some(Said::Nothing));
        let (chain, tag) = ("0123456789abcdef", "5A".repeat(32));
        let said = Said::Secret {
            chain: [0x01, 0x23, 0x45, 0x67, 0x89, 0xab, 0xcd, 0xef],
            number: 7,
            tag: [0x5a; 32],
        };
        assert_eq!(read(format!("{chain} 7 {tag}").as_bytes()), Some(said));
        for text in [
            String::new(),
            "None".to_owned(),
            chain.to_owned(),
            format!("{chain} 7"),
            format!("{chain} -7 {tag}"),
            format!("{chain} +7 {tag}"),
            format!("{chain}  {tag}"),
            format!("{chain} 18446744073709551616 {tag}"),
            format!("{chain} 7 {tag} "),
            format!("{chain} 7 {}", &tag[1..]),
            format!("{}g 7 {tag}", &chain[1..]),
            format!("{chain} 7 {}é", &tag[2..]),
        ] {
            assert_eq!(read(text.as_bytes()), None, "{text}");
        }
        assert_eq!(read(&[0xff; 4]), None);
    }

    #[test]
    fn the_longest_word_fits_what_small_clients_hold() {
        assert_eq!(next([0xab; 8], u64::MAX, &[0; 32]).len(), 107);
    }
}
