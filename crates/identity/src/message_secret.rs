//! Private keys that sign messages, as they lie in a file of whoever uses them on this machine.

use crate::{authority::SigningKey, pem, secret::Secret};
use aws_lc_rs::{
    encoding::{AsBigEndian as _, Curve25519SeedBin},
    signature::Ed25519KeyPair,
};

/// Is a private key, 32 bytes.
pub enum MessageSecret {
    /// The secret number of a key of P-256, big-endian.
    P256(Secret),
    /// The seed of a key of Ed25519.
    Ed25519(Secret),
}

impl MessageSecret {
    /// Reads a private key in PEM, PKCS #8, as `openssl genpkey` writes it. `None` if it is none of P-256 or Ed25519.
    pub fn read_file(bytes: &[u8]) -> Option<Self> {
        let mut blocks = pem::decode(std::str::from_utf8(bytes).ok()?)?;
        let block = blocks.pop().filter(|block| blocks.is_empty() && block.label == pem::PRIVATE_KEY)?;
        if let Some(pair) = SigningKey::from_pkcs8(&block.bytes) {
            return pair.secret_number().map(Self::P256);
        }
        let pair = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&block.bytes).ok()?;
        let seed: Curve25519SeedBin = pair.seed().ok()?.as_be_bytes().ok()?;
        Some(Self::Ed25519(Secret::new(seed.as_ref().to_vec())))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_private_key_is_read_from_pem_and_nothing_else_is() {
        let pair = SigningKey::generate().unwrap();
        let text = pair.to_pem();
        let Some(MessageSecret::P256(number)) = MessageSecret::read_file(text.expose()) else { panic!() };
        assert_eq!(number.expose(), pair.secret_number().unwrap().expose());
        // RFC 8410 §10.3.
        let text = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEINTuctv5E1hK1bbY8fdp+K06/nwoy/HU++CXqI9EdVhC\n-----END PRIVATE KEY-----\n";
        let Some(MessageSecret::Ed25519(seed)) = MessageSecret::read_file(text.as_bytes()) else { panic!() };
        assert_eq!(seed.expose()[..4], [0xd4, 0xee, 0x72, 0xdb]);
        for bad in ["", "x", &text[..80], &text.replace("PRIVATE", "PUBLIC"), &text.repeat(2)] {
            assert!(MessageSecret::read_file(bad.as_bytes()).is_none(), "{bad}");
        }
    }
}
