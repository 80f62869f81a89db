//! Claim codes: by one a device that has no credential gets its certificate, once.
//!
//! A code has 130 random bits and is kept as a keyed hash, as a generated password is. It opens no door but that of
//! enrolment. The first public key that comes with it is certified; the same key may come again for an hour, for the
//! answer may have been lost on the way; another key is somebody else's, or a device that lost its key: that is refused and
//! written down once. A restore voids every code, for nobody knows which were used since the backup.

use crate::{
    clock::WallTime,
    password::{PasswordRecord, Pepper},
    secret::Secret,
    wire,
};
use keyward_ids::{CertSerial, DeviceId, KeyId};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// How long the key that was certified by a code may come again with it.
pub(crate) const AGAIN: Duration = Duration::from_secs(3_600);

/// Holds what is kept of a claim code; the code cannot be got back from it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Invitation {
    /// The hash of the code.
    pub(crate) code: PasswordRecord,
    /// Until when it may be used for the first time.
    pub expires: WallTime,
    /// Whether the certificates of the device are taken away when it is used.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) replace: bool,
    /// The one TPM that gets something for it, by the fingerprint of its endorsement key; any device if absent.
    #[serde(with = "wire::optional_text", default, skip_serializing_if = "Option::is_none")]
    pub endorsement: Option<KeyId>,
    /// What it was used for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub claimed: Option<Claimed>,
    /// That it came with another key after it was used, after its hour, or without evidence of its TPM, the first time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conflict: Option<Conflict>,
}

/// Says that a claim code which was used came with another key, or after its hour: two hold it, or its device lost what it got. One that was
/// not used came from elsewhere than from the TPM that it is for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Conflict {
    /// When.
    pub at: WallTime,
    /// The key that came; none if the code came too late for one to be asked for.
    #[serde(with = "wire::optional_text", default, skip_serializing_if = "Option::is_none")]
    pub key: Option<KeyId>,
}

/// Says for what a claim code was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Claimed {
    /// When.
    pub at: WallTime,
    /// The public key that was certified.
    #[serde(with = "wire::text")]
    pub key: KeyId,
    /// The serial number of its certificate.
    #[serde(with = "wire::text")]
    pub serial: CertSerial,
}

impl Invitation {
    /// Makes one that nobody has used.
    pub(crate) fn new(
        code: PasswordRecord,
        expires: WallTime,
        replace: bool,
        endorsement: Option<KeyId>,
    ) -> Self {
        Self { code, expires, replace, endorsement, claimed: None, conflict: None }
    }

    /// Tells whether it may be used for the first time at the time `now`.
    pub fn is_open(&self, now: WallTime) -> bool {
        self.claimed.is_none() && now <= self.expires
    }

    /// Tells whether this code may be used at the time `now`, be it for the second time. Takes microseconds.
    pub(crate) fn admit(
        &self,
        id: &DeviceId,
        code: &[u8],
        pepper: &Pepper,
        now: WallTime,
    ) -> Result<(), ClaimRefusal> {
        // Only to whom the code belongs anything else is said of it.
        if !self.code.verify_generated(pepper, code) {
            return Err(ClaimRefusal::WrongCode(id.clone()));
        }
        match &self.claimed {
            None if now > self.expires => {
                Err(ClaimRefusal::Expired { id: id.clone(), expires: self.expires })
            }
            Some(claimed) if now > claimed.at.after(AGAIN) => {
                Err(ClaimRefusal::Used { id: id.clone(), at: claimed.at })
            }
            _ => Ok(()),
        }
    }
}

/// Holds a claim code on its way out: show it once.
#[derive(Clone, Serialize, Deserialize)]
pub struct ClaimCode {
    /// The code: 26 letters and digits.
    pub code: Secret,
    /// Until when it may be used.
    pub expires: WallTime,
}

/// Says why a claim code gets no certificate. Whoever sent it is told less.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ClaimRefusal {
    /// Nobody was invited under this name, or the code was voided. Whoever says so has proven nothing, so that no remedy is named.
    #[error("device:{0} has no claim code")]
    NotInvited(DeviceId),
    /// It is another code.
    #[error(
        "this is not the claim code of device:{0}: an older one, mistyped, or a guess; if the device itself said so, draw another: keyward \
         device invite {0}"
    )]
    WrongCode(DeviceId),
    /// It is the right code, too late.
    #[error(
        "the claim code of device:{id} could be used until {expires}; draw another: keyward device invite {id}"
    )]
    Expired {
        /// Whose it is.
        id: DeviceId,
        /// Until when it could be used.
        expires: WallTime,
    },
    /// It is the right code, and it was used.
    #[error(
        "the claim code of device:{id} was used at {at}; if that was not this device, revoke it: keyward device revoke {id}"
    )]
    Used {
        /// Whose it is.
        id: DeviceId,
        /// When it was used.
        at: WallTime,
    },
    /// It is the right code, and the device got a certificate in another way meanwhile.
    #[error(
        "the claim code of device:{0} is right, but the device has a certificate since; if the code is to take it away, draw another: \
         keyward device invite {0} --replace"
    )]
    HasCertificate(DeviceId),
    /// It is the right code, and another key was certified by it.
    #[error(
        "the claim code of device:{id} came with the key {} after it was used for the key {}: two hold this code, or the device \
         lost its key; if in doubt, revoke it: keyward device revoke {id}",
        .key.short(), .certified.short()
    )]
    OtherKey {
        /// Whose it is.
        id: DeviceId,
        /// The key that came.
        key: KeyId,
        /// The key that was certified.
        certified: KeyId,
    },
    /// It is the right code with the right key, and another message key beside it.
    #[error(
        "the claim code of device:{0} was used with another message key, or with none; send the same again"
    )]
    OtherMessageKey(DeviceId),
    /// It is the right code, and was drawn for one TPM, which did not vouch.
    #[error(
        "the claim code of device:{id} is for the TPM {named}, and {}: {}. If the device got another TPM, draw another code: \
         keyward device invite {id} --tpm FINGERPRINT; if not, somebody else has the code: keyward device uninvite {id}",
        if .shown.is_some() { "came with another one" } else { "came without one" },
        .shown.map_or_else(|| "no evidence of a TPM was sent".to_owned(), |shown| shown.to_string())
    )]
    OtherTpm {
        /// Whose it is.
        id: DeviceId,
        /// The TPM that it is for.
        named: KeyId,
        /// The TPM that vouched.
        shown: Option<KeyId>,
    },
    /// It is the right code, and what a TPM showed is about other keys.
    #[error(
        "the evidence that came with the claim code of device:{0} is not about the key of the signing request and the message key \
         beside it; have the TPM vouch for the keys that are sent"
    )]
    OtherKeysProven(DeviceId),
    /// It is the right code, with level 3 and no evidence, or evidence and another level.
    #[error(
        "level 3 is shown and not said: the claim code of device:{0} came with the one without the other; send `evidence` of a TPM \
         and level 3, or neither"
    )]
    Unproven(DeviceId),
    /// It is the right code, and the device may not act.
    #[error("the claim code of device:{id} is right, but the device is {standing}")]
    ShutOut {
        /// Whose it is.
        id: DeviceId,
        /// `disabled`, `not confirmed since a restore` or the like.
        standing: &'static str,
    },
}

impl ClaimRefusal {
    /// Tells whether it is a guess, as far as anybody can tell: the code was not the right one.
    pub fn is_guess(&self) -> bool {
        matches!(self, Self::NotInvited(_) | Self::WrongCode(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_of_a_code_is_not_the_code() {
        let pepper = Pepper::new(&[7; Pepper::LEN]);
        let (code, record) = PasswordRecord::generate(&pepper).unwrap();
        let invitation = Invitation::new(record, WallTime(1_000), false, None);
        let id: DeviceId = "pump".parse().unwrap();
        let admit = |code: &[u8], now| invitation.admit(&id, code, &pepper, WallTime(now));
        assert_eq!(admit(code.expose(), 1_000), Ok(()));
        assert!(matches!(admit(code.expose(), 1_001), Err(ClaimRefusal::Expired { .. })));
        assert!(admit(b"", 0).is_err_and(|refusal| refusal.is_guess()));
        for shown in [format!("{invitation:?}"), serde_json::to_string(&invitation).unwrap()] {
            assert!(!shown.contains(code.expose_text()), "{shown}");
        }
        assert_eq!(code.expose().len(), 26, "5 bits each");
    }
}
