//! Which chip this is, and what it says of its keys.

use super::chip::{Chip, Fault, Slot};
use super::{TpmPlace, explain};
use crate::keys::{KeyError, random};
use keyward_tpm::answer::{self, Blob};
use keyward_tpm::command::{Command, ENDORSEMENT, Handle};
use keyward_tpm::{Challenge, Evidence, Public, Template, Voucher};
use zeroize::Zeroizing;

/// Says which chip one is: by the key that its maker put into it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endorsement {
    /// SHA-256 of the key's `SubjectPublicKeyInfo`: what the operator is told, and gives to `keyward device invite --tpm`.
    pub fingerprint: [u8; 32],
    /// The key, as `SubjectPublicKeyInfo`, DER.
    pub spki: Vec<u8>,
    /// The maker's certificate for it, DER, if the chip holds one.
    pub certificate: Option<Vec<u8>>,
}

impl Endorsement {
    /// Asks the chip at `place`, before there are keys in it.
    ///
    /// # Errors
    /// [`KeyError::Hardware`] if it cannot be reached, or refuses.
    pub fn ask(place: &TpmPlace) -> Result<Self, KeyError> {
        let mut chip = Chip::new(place.clone(), None);
        chip.run(read).map_err(|fault| explain(&format!("the TPM at {place}"), fault))
    }
}

/// Says where a maker puts the certificates of a chip's own keys, and of what kind those are (TCG EK Credential Profile 2.5, §2.2.1.4).
const CERTIFICATES: [(u32, Template); 2] =
    [(0x01c0_000a, Template::EndorsementP256), (0x01c0_0002, Template::EndorsementRsa)];

/// The longest certificate that is read, in bytes.
const CERTIFICATE_BYTES: u16 = 2048;
/// How much of an index is read at a time, in bytes: every chip gives as much.
const PIECE: u16 = 512;

/// Chooses the chip's own key: the one for which it holds a certificate, P-256 before RSA; without any, P-256.
fn choose(chip: &mut Chip) -> Result<(Template, Option<Vec<u8>>), Fault> {
    for (index, template) in CERTIFICATES {
        if let Some(certificate) = read_certificate(chip, index)? {
            return Ok((template, Some(certificate)));
        }
    }
    Ok((Template::EndorsementP256, None))
}

fn read_certificate(chip: &mut Chip, index: u32) -> Result<Option<Vec<u8>>, Fault> {
    let found = match chip.plain(&Command::index_public(index)) {
        Ok((_, parameters)) => answer::index(&parameters)?,
        Err(Fault::Refused(answer::Refusal::Code(_)) | Fault::Lost) => return Ok(None),
        Err(fault) => return Err(fault),
    };
    if found.size > CERTIFICATE_BYTES || !found.is_written {
        return Ok(None);
    }
    let mut certificate = Vec::with_capacity(usize::from(found.size));
    while certificate.len() < usize::from(found.size) {
        let offset = certificate.len() as u16;
        let size = PIECE.min(found.size - offset);
        let (_, parameters) =
            chip.plain(&Command::read_index(Handle::named(index, &found.name), size, offset))?;
        let piece = answer::bytes(&parameters)?;
        if piece.is_empty() || piece.len() > usize::from(size) {
            return Err(keyward_tpm::Malformed("an index of its memory is shorter than it says").into());
        }
        certificate.extend_from_slice(&piece);
    }
    Ok(Some(certificate))
}

/// Says which chip it is.
pub(super) fn read(chip: &mut Chip) -> Result<Endorsement, Fault> {
    let (public, certificate) = endorsement(chip)?;
    let key = public.key();
    Ok(Endorsement { fingerprint: key.fingerprint(), spki: key.spki(), certificate })
}

fn endorsement(chip: &mut Chip) -> Result<(Public, Option<Vec<u8>>), Fault> {
    let (template, certificate) = choose(chip)?;
    let (handle, public) = chip.endorsement(template)?;
    chip.flush(handle.value);
    Ok((public, certificate))
}

/// Has the chip vouch for two of its keys.
pub(super) fn evidence(
    chip: &mut Chip,
    attestation: &Blob,
    tls: (Slot, Option<&Blob>),
    message: (Slot, Option<&Blob>),
    about: &[u8; 32],
) -> Result<Evidence, Fault> {
    let (endorsement, endorsement_certificate) = endorsement(chip)?;
    let mut voucher = |(slot, blob): (Slot, Option<&Blob>)| {
        let blob = blob.ok_or(Fault::Foreign)?;
        let signer = chip.load(Slot::Attestation, attestation)?;
        let key = chip.load(slot, blob)?;
        let (_, parameters) = chip.plain(&Command::certify(key, signer, about))?;
        let (attest, signature) = answer::attestation(&parameters)?;
        Ok::<_, Fault>(Voucher { public: blob.public.clone(), attest, signature })
    };
    let (tls, message) = (voucher(tls)?, voucher(message)?);
    Ok(Evidence {
        endorsement: endorsement.as_bytes().to_vec(),
        endorsement_certificate,
        attestation: attestation.public.clone(),
        tls,
        message,
    })
}

/// Opens a challenge.
pub(super) fn activate(
    chip: &mut Chip,
    attestation: &Blob,
    challenge: &Challenge,
) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let (template, _) = choose(chip)?;
    let (endorsement, _) = chip.endorsement(template)?;
    let value = endorsement.value;
    let opened = open(chip, attestation, endorsement, challenge);
    chip.flush(value);
    opened
}

fn open(
    chip: &mut Chip,
    attestation: &Blob,
    endorsement: Handle,
    challenge: &Challenge,
) -> Result<Zeroizing<Vec<u8>>, Fault> {
    let signer = chip.load(Slot::Attestation, attestation)?;
    let nonce = random::draw().map_err(Fault::Unreachable)?;
    let (policy, _) = chip.plain(&Command::start_policy(&nonce))?;
    let policy = super::chip::some(policy)?;
    let told = chip.plain(&Command::policy_secret(ENDORSEMENT, policy));
    let opened = told.and_then(|_| chip.plain(&Command::activate(signer, endorsement, challenge, policy)));
    chip.flush(policy);
    let (_, parameters) = opened.map_err(Fault::of_blob)?;
    Ok(answer::bytes(&parameters)?)
}
