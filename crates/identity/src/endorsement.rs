//! That a chip vouched for a device's keys: what it showed, and what is kept of that.
//!
//! What is not here: how a chip shows it (`tpm`). Who hands a [`TpmProof`] in has seen that the chip opened a challenge.

use crate::{
    invitation::{ClaimRefusal, Invitation},
    message_key::MessageKey,
    wire,
};
use keyward_ids::{DeviceId, KeyId};
use serde::{Deserialize, Serialize};

/// The level of a message key that is shown, never said.
pub(crate) const PROVEN_LEVEL: u8 = 3;

/// Says that two keys live in one TPM, which has shown it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TpmProof {
    /// The fingerprint of the TPM's endorsement key.
    #[serde(with = "wire::text")]
    pub endorsement: KeyId,
    /// The key of the certificate.
    #[serde(with = "wire::text")]
    pub tls: KeyId,
    /// The key that signs messages.
    #[serde(with = "wire::text")]
    pub message: KeyId,
}

/// Says which TPM vouched for a message key.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endorsement {
    /// The fingerprint of its endorsement key: SHA-256 of the `SubjectPublicKeyInfo`.
    #[serde(with = "wire::text")]
    pub key: KeyId,
    /// Whether the operator had named this TPM before. If not, the first one that came was taken.
    pub named: bool,
}

/// Judges what came with a claim: the TPM that was named and no other, for these keys; and level 3 with a proof, no other level.
pub(crate) fn judge(
    id: &DeviceId,
    invitation: Option<&Invitation>,
    certified: KeyId,
    message: Option<&MessageKey>,
    proof: Option<&TpmProof>,
) -> Result<Option<Endorsement>, ClaimRefusal> {
    let named = invitation.and_then(|invitation| invitation.endorsement);
    let shown = proof.map(|proof| proof.endorsement);
    if let Some(named) = named.filter(|named| shown != Some(*named)) {
        return Err(ClaimRefusal::OtherTpm { id: id.clone(), named, shown });
    }
    let is_claimed = message.is_some_and(|key| key.level() == PROVEN_LEVEL);
    let Some(proof) = proof else {
        return if is_claimed { Err(ClaimRefusal::Unproven(id.clone())) } else { Ok(None) };
    };
    if certified != proof.tls || message.map(MessageKey::id) != Some(proof.message) {
        return Err(ClaimRefusal::OtherKeysProven(id.clone()));
    }
    match is_claimed {
        true => Ok(Some(Endorsement { key: proof.endorsement, named: named.is_some() })),
        false => Err(ClaimRefusal::Unproven(id.clone())),
    }
}
