//! Which algorithms there are, with their numbers in COSE (RFC 9053, RFC 9864).

/// Signs messages. The key decides; the header has to agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// ECDSA on P-256 with SHA-256: what secure elements and TPMs have. A signature is r‖s, 64 bytes.
    Es256,
    /// Ed25519, for devices whose key is software: the smallest and fastest there.
    Ed25519,
}

impl Algorithm {
    /// Returns the number that stands in headers: -7 or -8, the ones that all libraries know.
    pub fn id(self) -> i64 {
        match self {
            Self::Es256 => -7,
            Self::Ed25519 => -8,
        }
    }

    /// Finds the algorithm of a number: -7 or -8, or the fully specified -9 or -19 of RFC 9864.
    pub fn of_id(id: i64) -> Option<Self> {
        match id {
            -7 | -9 => Some(Self::Es256),
            -8 | -19 => Some(Self::Ed25519),
            _ => None,
        }
    }

    /// Returns the name that people use.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::Ed25519 => "Ed25519",
        }
    }
}

/// AES-128 in GCM: 12 bytes of nonce, 16 of tag.
pub(crate) const A128GCM: i64 = 1;
/// AES-128 in CCM with a length of 16 bits: 13 bytes of nonce, 8 of tag.
pub(crate) const AES_CCM_16_64_128: i64 = 10;
/// AES key wrap (RFC 3394) with 128 bits.
pub(crate) const A128KW: i64 = -3;
/// ECDH with an ephemeral key, HKDF-SHA-256 gives the content key.
pub(crate) const ECDH_ES_HKDF_256: i64 = -25;
/// ECDH with an ephemeral key, HKDF-SHA-256 gives the key that wraps the content key.
pub(crate) const ECDH_ES_A128KW: i64 = -29;
