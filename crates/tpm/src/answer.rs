//! What a chip answers. A chip, a bus or a simulator may say anything: every length is bounded before it is used.

use crate::{
    attest::Signature,
    code::Code,
    command::Command,
    public::{Name, PUBLIC_BYTES, Public, coordinate},
    wire::{Malformed, Reader},
};
use zeroize::Zeroizing;

/// The longest answer of a chip, in bytes.
pub const ANSWER_BYTES: usize = 4096;

/// The longest private half of an object, encrypted by its chip, in bytes.
const PRIVATE_BYTES: usize = 1024;

/// Says why a command has no result.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The chip refused.
    #[error("{0}")]
    Code(Code),
    /// What it answered is no answer.
    #[error(transparent)]
    Malformed(#[from] Malformed),
    /// Somebody between here and the chip changed the answer.
    #[error("the answer of the chip was changed on its way, or is of another chip")]
    Tampered,
}

/// Is an answer: nothing in it is believed by its form alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer<'a> {
    /// The handle of what was loaded or begun.
    pub handle: Option<u32>,
    /// The parameters.
    pub parameters: &'a [u8],
    /// What the sessions say.
    pub(crate) sessions: &'a [u8],
}

/// Returns how many bytes an answer has whose first 10 are `head`.
///
/// # Errors
/// [`Malformed`] if that cannot be.
pub fn size(head: &[u8; 10]) -> Result<usize, Malformed> {
    let mut reader = Reader::new(head);
    reader.u16()?;
    match reader.u32()? as usize {
        size if (head.len()..=ANSWER_BYTES).contains(&size) => Ok(size),
        _ => Err(Malformed("an answer is longer than any, or has no end")),
    }
}

impl<'a> Answer<'a> {
    /// Reads the answer to `command`.
    ///
    /// # Errors
    /// [`Refusal`], whose code is the chip's.
    pub fn read(command: &Command, bytes: &'a [u8]) -> Result<Self, Refusal> {
        let mut reader = Reader::new(bytes);
        let tag = reader.u16()?;
        if reader.u32()? as usize != bytes.len() {
            return Err(Malformed("an answer has another length than it says").into());
        }
        match Code(reader.u32()?) {
            Code(0) => {}
            code => return Err(Refusal::Code(code)),
        }
        let handle = command.yields_handle().then(|| reader.u32()).transpose()?;
        let (parameters, sessions) = match (tag, command.authorised > 0) {
            (0x8001, false) => (reader.rest(), [].as_slice()),
            (0x8002, true) => {
                let size = reader.u32()? as usize;
                (reader.take(size)?, reader.rest())
            }
            _ => return Err(Malformed("an answer has other sessions than its command").into()),
        };
        Ok(Self { handle, parameters, sessions })
    }

    /// Returns the handle of what was loaded or begun.
    ///
    /// # Errors
    /// [`Malformed`] if the command yields none.
    pub fn handle(&self) -> Result<u32, Malformed> {
        self.handle.ok_or(Malformed("an answer names nothing that was loaded"))
    }
}

/// Is an object that a chip made: it loads it again, and no other chip does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Blob {
    /// The private half, encrypted by the chip.
    pub private: Vec<u8>,
    /// TPMT_PUBLIC.
    pub public: Vec<u8>,
}

/// Reads the public area of a primary key.
///
/// # Errors
/// [`Malformed`].
pub fn primary(parameters: &[u8]) -> Result<Public, Malformed> {
    let mut reader = Reader::new(parameters);
    let public = Public::read(reader.sized(PUBLIC_BYTES)?)?;
    creation(&mut reader)?;
    let name = reader.sized(66)?;
    reader.end()?;
    match name == public.name() {
        true => Ok(public),
        false => Err(Malformed("a key has another name than its own")),
    }
}

/// Reads an object that was made.
///
/// # Errors
/// [`Malformed`].
pub fn created(parameters: &[u8]) -> Result<Blob, Malformed> {
    let mut reader = Reader::new(parameters);
    let private = reader.sized(PRIVATE_BYTES)?.to_vec();
    let public = reader.sized(PUBLIC_BYTES)?.to_vec();
    creation(&mut reader)?;
    reader.end()?;
    Ok(Blob { private, public })
}

/// Passes by TPM2B_CREATION_DATA, TPM2B_DIGEST and TPMT_TK_CREATION.
fn creation(reader: &mut Reader<'_>) -> Result<(), Malformed> {
    reader.sized(512)?;
    reader.sized(64)?;
    let _: [u8; 6] = reader.array()?;
    reader.sized(64).map(drop)
}

/// Reads the name of what was loaded.
///
/// # Errors
/// [`Malformed`].
pub fn name(parameters: &[u8]) -> Result<Name, Malformed> {
    let mut reader = Reader::new(parameters);
    let name = Name::try_from(reader.sized(66)?);
    reader.end()?;
    name.map_err(|_| Malformed("a name is made with another hash than SHA-256"))
}

/// Reads a signature.
///
/// # Errors
/// [`Malformed`].
pub fn signature(parameters: &[u8]) -> Result<Signature, Malformed> {
    Signature::read(parameters)
}

/// Reads the x coordinate on which was agreed.
///
/// # Errors
/// [`Malformed`].
pub fn agreed(parameters: &[u8]) -> Result<Zeroizing<[u8; 32]>, Malformed> {
    let mut reader = Reader::new(parameters);
    let mut point = Reader::new(reader.sized(68)?);
    reader.end()?;
    let x = Zeroizing::new(coordinate(&mut point)?);
    coordinate(&mut point)?;
    point.end()?;
    Ok(x)
}

/// Reads bytes: what was unsealed, what an index holds, a nonce, what a credential holds.
///
/// # Errors
/// [`Malformed`].
pub fn bytes(parameters: &[u8]) -> Result<Zeroizing<Vec<u8>>, Malformed> {
    let mut reader = Reader::new(parameters);
    let bytes = Zeroizing::new(reader.sized(2048)?.to_vec());
    reader.end()?;
    Ok(bytes)
}

/// Reads an attestation and its signature: TPMS_ATTEST and TPMT_SIGNATURE.
///
/// # Errors
/// [`Malformed`].
pub fn attestation(parameters: &[u8]) -> Result<(Vec<u8>, Vec<u8>), Malformed> {
    let mut reader = Reader::new(parameters);
    let attest = reader.sized(crate::attest::ATTEST_BYTES)?.to_vec();
    let signature = reader.rest().to_vec();
    Signature::read(&signature)?;
    Ok((attest, signature))
}

/// Says what an index of non-volatile memory is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    /// Its name, which changes when it is first written.
    pub name: Name,
    /// How many bytes it holds.
    pub size: u16,
    /// Whether it counts, and whoever reads it may do so.
    pub is_counter: bool,
    /// Whether it was ever written.
    pub is_written: bool,
}

/// Reads what an index is.
///
/// # Errors
/// [`Malformed`].
pub fn index(parameters: &[u8]) -> Result<Index, Malformed> {
    let mut reader = Reader::new(parameters);
    let area = reader.sized(256)?;
    let name = name(reader.rest())?;
    let mut area_reader = Reader::new(area);
    area_reader.u32()?;
    area_reader.u16()?;
    let attributes = area_reader.u32()?;
    area_reader.sized(64)?;
    let size = area_reader.u16()?;
    area_reader.end()?;
    let mut own: Name = [0; 34];
    own[..2].copy_from_slice(&crate::public::alg::SHA256.to_be_bytes());
    own[2..].copy_from_slice(&crate::crypto::sha256(&[area]));
    if own != name {
        return Err(Malformed("an index has another name than its own"));
    }
    let is_written = attributes & (1 << 29) != 0;
    Ok(Index {
        name,
        size,
        is_counter: attributes & !(1 << 29) == crate::command::COUNTER && size == 8,
        is_written,
    })
}

/// Reads the bytes of a counter.
///
/// # Errors
/// [`Malformed`].
pub fn counter(parameters: &[u8]) -> Result<u64, Malformed> {
    let mut reader = Reader::new(parameters);
    let mut bytes = Reader::new(reader.sized(8)?);
    reader.end()?;
    let count = bytes.u64()?;
    bytes.end()?;
    Ok(count)
}
