//! What a chip attests, and how it signs that.

use crate::{
    public::{Name, alg, coordinate},
    wire::{Malformed, Reader},
};

/// Begins everything that a chip says of itself, so that no other signed bytes can be taken for it (TPM_GENERATED_VALUE).
pub(crate) const GENERATED: u32 = 0xff54_4347;
/// TPM_ST_ATTEST_CERTIFY: it says that it holds a key.
pub(crate) const CERTIFY: u16 = 0x8017;

/// The longest attestation that is read, in bytes.
pub(crate) const ATTEST_BYTES: usize = 512;

/// Is what a chip says of a key that it holds: TPMS_ATTEST of TPM2_Certify (part 2, §10.12.8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attested {
    /// What the asker wanted to have in it, at most 64 bytes.
    pub about: Vec<u8>,
    /// The name of the key.
    pub name: Name,
}

impl Attested {
    /// Reads one, and nothing behind it.
    ///
    /// # Errors
    /// [`Malformed`] if it is none, or says something else.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        if reader.u32()? != GENERATED {
            return Err(Malformed("an attestation was not made inside of a chip"));
        }
        reader.expect(CERTIFY, "an attestation is about something else than a key")?;
        reader.sized(66)?; // Which key signed: its signature says so better.
        let about = reader.sized(64)?.to_vec();
        // The clock, how often the chip was reset and restarted, whether the clock is right; its firmware.
        let _: [u8; 8 + 4 + 4 + 1 + 8] = reader.array()?;
        let name = Name::try_from(reader.sized(66)?);
        let name = name.map_err(|_| Malformed("the name of a key is made with another hash than SHA-256"))?;
        reader.sized(66)?;
        reader.end()?;
        Ok(Self { about, name })
    }
}

/// Is a signature of ECDSA on P-256 with SHA-256: r‖s, each 32 bytes big-endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature(pub [u8; 64]);

impl Signature {
    /// Reads TPMT_SIGNATURE (part 2, §11.3.4), and nothing behind it.
    ///
    /// # Errors
    /// [`Malformed`] if it is none, or one of another kind.
    pub fn read(bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        reader.expect(alg::ECDSA, "a signature is not of ECDSA")?;
        reader.expect(alg::SHA256, "a signature is not of a SHA-256 digest")?;
        let mut signature = [0; 64];
        for half in signature.chunks_exact_mut(32) {
            half.copy_from_slice(&coordinate(&mut reader)?);
        }
        reader.end()?;
        Ok(Self(signature))
    }
}
