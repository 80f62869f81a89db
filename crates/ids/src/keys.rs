//! What a credential is known by.

use alloc::{string::String, vec::Vec};
use core::{fmt, str::FromStr};

/// Says why a text is not the hexadecimal form that was expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HexError;

impl fmt::Display for HexError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("is not hexadecimal text of the expected length")
    }
}

impl core::error::Error for HexError {}

fn to_hex(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
}

fn from_hex(text: &str) -> Result<Vec<u8>, HexError> {
    if !text.len().is_multiple_of(2) || !text.is_ascii() {
        return Err(HexError);
    }
    (0..text.len())
        .step_by(2)
        .map(|i| u8::from_str_radix(&text[i..i + 2], 16).map_err(|_| HexError))
        .collect()
}

/// Holds a certificate's serial number: 1 to 20 bytes, big-endian, without leading zero bytes (RFC 5280 §4.1.2.2).
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CertSerial(Vec<u8>);

impl CertSerial {
    /// The longest serial number, in bytes.
    pub const MAX_LEN: usize = 20;

    /// Takes the content octets of the DER INTEGER; leading zero bytes are dropped. `None` if nothing is left or
    /// more than 20 bytes are.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let start = bytes.iter().position(|byte| *byte != 0)?;
        let bytes = &bytes[start..];
        (bytes.len() <= Self::MAX_LEN).then(|| Self(bytes.to_vec()))
    }

    /// Returns the number's bytes, big-endian.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Display for CertSerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        to_hex(&self.0, f)
    }
}

impl fmt::Debug for CertSerial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "CertSerial({self})")
    }
}

impl FromStr for CertSerial {
    type Err = HexError;
    fn from_str(text: &str) -> Result<Self, HexError> {
        Self::from_bytes(&from_hex(text)?).ok_or(HexError)
    }
}

/// Names a public key: the SHA-256 of its DER `SubjectPublicKeyInfo`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct KeyId([u8; 32]);

impl KeyId {
    /// Takes the 32 bytes of the digest.
    pub fn new(digest: [u8; 32]) -> Self {
        Self(digest)
    }

    /// Returns the 32 bytes of the digest.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Returns the first 16 hexadecimal digits, for tables.
    pub fn short(&self) -> String {
        let mut text = alloc::format!("{self}");
        text.truncate(16);
        text
    }
}

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        to_hex(&self.0, f)
    }
}

impl fmt::Debug for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyId({self})")
    }
}

impl FromStr for KeyId {
    type Err = HexError;
    fn from_str(text: &str) -> Result<Self, HexError> {
        from_hex(text)?.try_into().map(Self).map_err(|_| HexError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::string::ToString;

    #[test]
    fn a_serial_drops_the_sign_byte_of_der() {
        let serial = CertSerial::from_bytes(&[0, 0xff, 1]).unwrap();
        assert_eq!(serial.to_string(), "ff01");
        assert_eq!("ff01".parse::<CertSerial>(), Ok(serial));
        assert_eq!(CertSerial::from_bytes(&[0, 0]), None);
        assert_eq!(CertSerial::from_bytes(&[1; 21]), None);
    }

    #[test]
    fn a_key_id_survives_printing_and_parsing() {
        let id = KeyId::new(core::array::from_fn(|i| i as u8));
        assert_eq!(id.to_string().parse::<KeyId>(), Ok(id));
        assert_eq!("00".parse::<KeyId>(), Err(HexError));
        assert_eq!("zz".parse::<CertSerial>(), Err(HexError));
        assert_eq!("\u{e9}\u{e9}".parse::<CertSerial>(), Err(HexError));
    }
}
