//! The public area of a key: what it is, what it may do, and its name.

use crate::{
    crypto::sha256,
    wire::{Malformed, Reader, Writer},
};

/// What of TPM_ALG_ID (part 2, §6.3) is spoken here.
pub(crate) mod alg {
    pub(crate) const RSA: u16 = 0x0001;
    pub(crate) const AES: u16 = 0x0006;
    pub(crate) const KEYEDHASH: u16 = 0x0008;
    pub(crate) const SHA256: u16 = 0x000b;
    pub(crate) const NULL: u16 = 0x0010;
    pub(crate) const ECDSA: u16 = 0x0018;
    pub(crate) const ECC: u16 = 0x0023;
    pub(crate) const CFB: u16 = 0x0043;
    /// TPM_ECC_NIST_P256.
    pub(crate) const P256: u16 = 0x0003;
}

/// What of TPMA_OBJECT (part 2, §8.3) is asked.
mod attribute {
    pub(super) const FIXED_TPM: u32 = 1 << 1;
    pub(super) const FIXED_PARENT: u32 = 1 << 4;
    pub(super) const SENSITIVE_DATA_ORIGIN: u32 = 1 << 5;
    pub(super) const USER_WITH_AUTH: u32 = 1 << 6;
    pub(super) const ADMIN_WITH_POLICY: u32 = 1 << 7;
    pub(super) const NO_DA: u32 = 1 << 10;
    pub(super) const RESTRICTED: u32 = 1 << 16;
    pub(super) const DECRYPT: u32 = 1 << 17;
    pub(super) const SIGN: u32 = 1 << 18;
    /// The key was made by the chip, and leaves it never and in no way.
    pub(super) const STAYS: u32 = FIXED_TPM | FIXED_PARENT | SENSITIVE_DATA_ORIGIN;
}

/// The policy of an endorsement key: who knows the secret of that hierarchy (TCG EK Credential Profile 2.5, §B.3, policy A).
const ENDORSEMENT_POLICY: [u8; 32] = [
    0x83, 0x71, 0x97, 0x67, 0x44, 0x84, 0xb3, 0xf8, 0x1a, 0x90, 0xcc, 0x8d, 0x46, 0xa5, 0xd7, 0x24, 0xfd,
    0x52, 0xd7, 0x6e, 0x06, 0x52, 0x0b, 0x64, 0xf2, 0xa1, 0xda, 0x1b, 0x33, 0x14, 0x69, 0xaa,
];

/// The longest public area that is read, in bytes: RSA 2048 with a policy has 314.
pub(crate) const PUBLIC_BYTES: usize = 512;

/// Names an object of a TPM: the hash algorithm and the hash of its public area (part 1, §16).
pub type Name = [u8; 34];

/// Says what kind of object is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Template {
    /// The key under which a store keeps its own: P-256 of the owner hierarchy, always the same one of one chip until that is cleared. It is the
    /// one that the ASN.1 files of other programs mean by the parent 0x40000001.
    Storage,
    /// Signs digests: ECDSA on P-256 with SHA-256.
    Signing,
    /// Agrees: ECDH on P-256.
    Agreement,
    /// Signs what the chip itself says, and nothing else.
    Attestation,
    /// Holds bytes.
    Sealed,
    /// The chip's own key, P-256 (TCG EK Credential Profile 2.5, template L-2).
    EndorsementP256,
    /// The chip's own key, RSA 2048 (template L-1).
    EndorsementRsa,
}

impl Template {
    fn attributes(self) -> u32 {
        use attribute as a;
        let own = a::STAYS | a::USER_WITH_AUTH | a::NO_DA;
        match self {
            Self::Storage => own | a::RESTRICTED | a::DECRYPT,
            Self::Signing => own | a::SIGN,
            Self::Agreement => own | a::DECRYPT,
            Self::Attestation => own | a::RESTRICTED | a::SIGN,
            Self::Sealed => own & !a::SENSITIVE_DATA_ORIGIN,
            Self::EndorsementP256 | Self::EndorsementRsa => {
                a::STAYS | a::ADMIN_WITH_POLICY | a::RESTRICTED | a::DECRYPT
            }
        }
    }

    /// Writes it as TPMT_PUBLIC.
    pub(crate) fn encode(self) -> Vec<u8> {
        let (kind, policy): (u16, &[u8]) = match self {
            Self::Sealed => (alg::KEYEDHASH, &[]),
            Self::EndorsementP256 => (alg::ECC, &ENDORSEMENT_POLICY),
            Self::EndorsementRsa => (alg::RSA, &ENDORSEMENT_POLICY),
            _ => (alg::ECC, &[]),
        };
        let head = Writer::new().u16(kind).u16(alg::SHA256).u32(self.attributes()).sized(policy);
        let cipher = |head: Writer| head.u16(alg::AES).u16(128).u16(alg::CFB);
        let point =
            |head: Writer, x: &[u8], y: &[u8]| head.u16(alg::P256).u16(alg::NULL).sized(x).sized(y).done();
        match self {
            Self::Sealed => head.u16(alg::NULL).sized(&[]).done(),
            Self::Storage => point(cipher(head).u16(alg::NULL), &[], &[]),
            Self::Agreement => point(head.u16(alg::NULL).u16(alg::NULL), &[], &[]),
            Self::Signing | Self::Attestation => {
                point(head.u16(alg::NULL).u16(alg::ECDSA).u16(alg::SHA256), &[], &[])
            }
            Self::EndorsementP256 => point(cipher(head).u16(alg::NULL), &[0; 32], &[0; 32]),
            Self::EndorsementRsa => cipher(head).u16(alg::NULL).u16(2048).u32(0).sized(&[0; 256]).done(),
        }
    }
}

/// Is the public half of a key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublicKey {
    /// A point of P-256, as SEC 1 writes it, uncompressed.
    P256([u8; 65]),
    /// The modulus of RSA 2048; the exponent is 65,537.
    Rsa2048(Box<[u8; 256]>),
}

/// Stands before a point of P-256 in a DER `SubjectPublicKeyInfo` (RFC 5480 §2).
const SPKI_P256: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00,
];
/// Stands before the modulus of RSA 2048 there (RFC 3279 §2.3.1), whose first bit is set.
const SPKI_RSA: &[u8] = &[
    0x30, 0x82, 0x01, 0x22, 0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01,
    0x05, 0x00, 0x03, 0x82, 0x01, 0x0f, 0x00, 0x30, 0x82, 0x01, 0x0a, 0x02, 0x82, 0x01, 0x01, 0x00,
];
/// Stands behind it: the exponent.
const SPKI_RSA_END: &[u8] = &[0x02, 0x03, 0x01, 0x00, 0x01];

impl PublicKey {
    /// Writes it as `SubjectPublicKeyInfo`, DER.
    pub fn spki(&self) -> Vec<u8> {
        match self {
            Self::P256(point) => [SPKI_P256, point].concat(),
            Self::Rsa2048(modulus) => [SPKI_RSA, modulus.as_slice(), SPKI_RSA_END].concat(),
        }
    }

    /// Returns SHA-256 of that: by it people name a chip.
    pub fn fingerprint(&self) -> [u8; 32] {
        sha256(&[&self.spki()])
    }
}

/// Is the public area of a key: TPMT_PUBLIC (part 2, §12.2.4), of the kinds that [`Template`] makes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Public {
    bytes: Vec<u8>,
    attributes: u32,
    key: PublicKey,
    /// Whether it signs by ECDSA with SHA-256.
    is_ecdsa: bool,
    /// Whether it protects others by AES-128 in CFB mode.
    has_cipher: bool,
}

impl Public {
    /// Reads one, and nothing behind it.
    ///
    /// # Errors
    /// [`Malformed`] if it is none, or of another kind than those.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let kind = reader.u16()?;
        reader.expect(alg::SHA256, "the name of a key is made with another hash than SHA-256")?;
        let attributes = reader.u32()?;
        reader.sized(32)?;
        let has_cipher = read_cipher(&mut reader)?;
        let is_ecdsa = match reader.u16()? {
            alg::NULL => false,
            alg::ECDSA if kind == alg::ECC => {
                reader.expect(alg::SHA256, "a key signs other digests than those of SHA-256")?;
                true
            }
            _ => return Err(Malformed("a key signs or decrypts in a way that has no use here")),
        };
        let key = match kind {
            alg::ECC => read_point(&mut reader)?,
            alg::RSA => read_modulus(&mut reader)?,
            _ => return Err(Malformed("a key is neither of an elliptic curve nor of RSA")),
        };
        reader.end()?;
        Ok(Self { bytes: bytes.to_vec(), attributes, key, is_ecdsa, has_cipher })
    }

    /// Returns it as it was read.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the key.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Returns the point, if it is of P-256.
    pub fn point(&self) -> Option<[u8; 65]> {
        match self.key {
            PublicKey::P256(point) => Some(point),
            PublicKey::Rsa2048(_) => None,
        }
    }

    /// Returns its name.
    pub fn name(&self) -> Name {
        let mut name = [0; 34];
        name[..2].copy_from_slice(&alg::SHA256.to_be_bytes());
        name[2..].copy_from_slice(&sha256(&[&self.bytes]));
        name
    }

    fn has(&self, attributes: u32) -> bool {
        self.attributes & attributes == attributes
    }

    /// Tells whether its chip made it and never gives it away.
    pub fn stays(&self) -> bool {
        self.has(attribute::STAYS)
    }

    /// Tells whether it signs what it is given, and does nothing else.
    pub fn signs_only(&self) -> bool {
        let is_free = self.attributes & (attribute::RESTRICTED | attribute::DECRYPT) == 0;
        self.has(attribute::SIGN) && is_free && self.is_ecdsa
    }

    /// Tells whether it signs what its chip says, and nothing else.
    pub fn attests_only(&self) -> bool {
        let signs = self.has(attribute::SIGN | attribute::RESTRICTED) && self.is_ecdsa;
        signs && self.attributes & attribute::DECRYPT == 0
    }

    /// Tells whether it opens credentials, and signs nothing.
    pub fn endorses(&self) -> bool {
        let opens = self.has(attribute::DECRYPT | attribute::RESTRICTED) && self.has_cipher;
        opens && self.attributes & attribute::SIGN == 0 && !self.is_ecdsa
    }
}

fn read_cipher(reader: &mut Reader<'_>) -> Result<bool, Malformed> {
    match reader.u16()? {
        alg::NULL => Ok(false),
        alg::AES => {
            reader.expect(128, "a key protects others by another cipher than AES-128")?;
            reader.expect(alg::CFB, "a key protects others in another mode than CFB")?;
            Ok(true)
        }
        _ => Err(Malformed("a key protects others by another cipher than AES-128")),
    }
}

fn read_point(reader: &mut Reader<'_>) -> Result<PublicKey, Malformed> {
    reader.expect(alg::P256, "a key is of another curve than P-256")?;
    reader.expect(alg::NULL, "a key derives others, which has no use here")?;
    let mut point = [0; 65];
    point[0] = 4;
    for half in point[1..].chunks_exact_mut(32) {
        half.copy_from_slice(&coordinate(reader)?);
    }
    Ok(PublicKey::P256(point))
}

/// Reads a number of at most 32 bytes; chips may leave zeros out at its front.
pub(crate) fn coordinate(reader: &mut Reader<'_>) -> Result<[u8; 32], Malformed> {
    let bytes = reader.sized(32)?;
    let mut whole = [0; 32];
    whole[32 - bytes.len()..].copy_from_slice(bytes);
    Ok(whole)
}

fn read_modulus(reader: &mut Reader<'_>) -> Result<PublicKey, Malformed> {
    reader.expect(2048, "a key of RSA has another size than 2048 bits")?;
    if !matches!(reader.u32()?, 0 | 65_537) {
        return Err(Malformed("a key of RSA has another exponent than 65,537"));
    }
    match <[u8; 256]>::try_from(reader.sized(256)?) {
        Ok(modulus) if modulus[0] & 0x80 != 0 => Ok(PublicKey::Rsa2048(Box::new(modulus))),
        _ => Err(Malformed("the modulus of a key has not 2048 bits")),
    }
}
