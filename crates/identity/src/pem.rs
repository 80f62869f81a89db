//! PEM blocks (RFC 7468): written strictly, read with tolerance for text around them and for CRLF.

use crate::secret::Secret;
use base64ct::{Base64, Encoding};
use zeroize::Zeroizing;

/// The label of a certificate.
pub(crate) const CERTIFICATE: &str = "CERTIFICATE";
/// The label of a PKCS #8 private key.
pub(crate) const PRIVATE_KEY: &str = "PRIVATE KEY";

/// Holds one block.
pub(crate) struct Block {
    pub(crate) label: String,
    pub(crate) bytes: Zeroizing<Vec<u8>>,
}

/// Writes one block.
pub(crate) fn encode(label: &str, bytes: &[u8]) -> Zeroizing<String> {
    let body = Zeroizing::new(Base64::encode_string(bytes));
    let mut text = Zeroizing::new(String::with_capacity(body.len() * 66 / 64 + 2 * label.len() + 64));
    text.push_str(&format!("-----BEGIN {label}-----\n"));
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, more) = rest.split_at(rest.len().min(64));
        text.push_str(line);
        text.push('\n');
        rest = more;
    }
    text.push_str(&format!("-----END {label}-----\n"));
    text
}

/// Writes one block that is a secret.
pub(crate) fn encode_secret(label: &str, bytes: &[u8]) -> Secret {
    Secret::new(encode(label, bytes).as_bytes().to_vec())
}

/// Writes certificates one after the other.
pub(crate) fn encode_chain<'a>(chain: impl IntoIterator<Item = &'a [u8]>) -> String {
    chain.into_iter().map(|der| encode(CERTIFICATE, der).to_string()).collect()
}

/// Reads all blocks of a text. `None` if a block is cut off, closed by another label or not base64.
pub(crate) fn decode(text: &str) -> Option<Vec<Block>> {
    let mut blocks = Vec::new();
    let mut lines = text.lines().map(str::trim);
    while let Some(line) = lines.next() {
        let Some(label) = line.strip_prefix("-----BEGIN ").and_then(|rest| rest.strip_suffix("-----")) else {
            continue;
        };
        let end = format!("-----END {label}-----");
        let mut body = Zeroizing::new(String::with_capacity(text.len()));
        loop {
            match lines.next()? {
                line if line == end => break,
                line => body.push_str(line),
            }
        }
        let bytes = Zeroizing::new(Base64::decode_vec(&body).ok()?);
        blocks.push(Block { label: label.to_owned(), bytes });
    }
    Some(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_block_survives_writing_and_reading() {
        for len in [0, 1, 47, 48, 49, 1_000] {
            let bytes: Vec<u8> = (0..len).map(|n| (n % 251) as u8).collect();
            let text = encode("THING", &bytes);
            let blocks =
                decode(&format!("words before\n{}words after\n", text.replace('\n', "\r\n"))).unwrap();
            assert_eq!(blocks.len(), 1);
            assert_eq!((blocks[0].label.as_str(), blocks[0].bytes.as_slice()), ("THING", bytes.as_slice()));
        }
    }

    #[test]
    fn a_block_that_is_cut_off_or_garbled_is_not_read() {
        assert!(decode("-----BEGIN A-----\nAAAA\n").is_none());
        assert!(decode("-----BEGIN A-----\nAAAA\n-----END B-----\n").is_none());
        assert!(decode("-----BEGIN A-----\nA*AA\n-----END A-----\n").is_none());
        assert!(decode("nothing here").unwrap().is_empty());
    }
}
