//! The keys to which is encrypted for a device or a user: their public halves. Such a key signs nothing.

use crate::{
    authority::key_id,
    clock::WallTime,
    cose_key::{KeyPurpose, Kid, Point},
    message_key::{MessageKeyRefusal, MessageKeyStatus, read_pem},
    wire,
};
use keyward_ids::{CertSerial, KeyId};
use serde::{Deserialize, Serialize};

/// Is the public key of P-256 to which messages and keys of groups are encrypted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Image", into = "Image")]
pub struct AgreementKey(Point);

/// Is such a key of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldAgreementKey {
    /// The key.
    pub key: AgreementKey,
    /// When it was registered.
    pub registered: WallTime,
    /// Until when anything is encrypted to it; no end if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<WallTime>,
    /// The certificate that it came with, which renewed another ([`Account::awaits_use`](crate::Account::awaits_use)).
    #[serde(with = "wire::optional_text", default, skip_serializing_if = "Option::is_none")]
    pub awaits: Option<CertSerial>,
}

impl HeldAgreementKey {
    /// Says whether anything is encrypted to it at the time `now`.
    pub fn status(&self, now: WallTime) -> MessageKeyStatus {
        MessageKeyStatus::of(self.until, now)
    }
}

/// Is an agreement key as it stands in the ledger.
#[derive(Serialize, Deserialize)]
struct Image {
    #[serde(with = "wire::base64")]
    cose: Vec<u8>,
}

impl From<AgreementKey> for Image {
    fn from(key: AgreementKey) -> Self {
        Self { cose: key.cose() }
    }
}

impl TryFrom<Image> for AgreementKey {
    type Error = MessageKeyRefusal;

    fn try_from(image: Image) -> Result<Self, MessageKeyRefusal> {
        Self::read(&image.cose)
    }
}

impl AgreementKey {
    /// Reads a `COSE_Key` in its one spelling.
    ///
    /// # Errors
    /// [`MessageKeyRefusal`] says what is wrong with it.
    pub fn read(cose: &[u8]) -> Result<Self, MessageKeyRefusal> {
        let read = Point::of_cose(cose, KeyPurpose::Encrypt);
        let (point, kid) = read.ok_or(MessageKeyRefusal::AgreementForm)?;
        if kid != point.kid() {
            return Err(MessageKeyRefusal::OtherKid);
        }
        Self::of_point(point)
    }

    /// Reads what a person has: the bytes of a `COSE_Key`, or a public key in PEM as `openssl pkey -pubout` writes it.
    ///
    /// # Errors
    /// [`MessageKeyRefusal`] says what is wrong with it.
    pub fn read_file(bytes: &[u8]) -> Result<Self, MessageKeyRefusal> {
        let read = read_pem(bytes).map_err(|refusal| match refusal {
            MessageKeyRefusal::Form => MessageKeyRefusal::AgreementForm,
            other => other,
        });
        match read? {
            Some(point) => Self::of_point(point),
            None => Self::read(bytes),
        }
    }

    fn of_point(point: Point) -> Result<Self, MessageKeyRefusal> {
        match point {
            Point::Ed25519 { .. } => Err(MessageKeyRefusal::AgreementForm),
            Point::P256 { .. } if !point.is_on_curve() => Err(MessageKeyRefusal::Point),
            Point::P256 { .. } => Ok(Self(point)),
        }
    }

    /// Returns the key as `COSE_Key`.
    pub fn cose(&self) -> Vec<u8> {
        self.0.cose(KeyPurpose::Encrypt)
    }

    /// Returns its name among the keys of its holder.
    pub fn kid(&self) -> Kid {
        self.0.kid()
    }

    /// Returns the name that the key would have in a certificate: one key is nobody's second one, whatever it is for.
    pub fn id(&self) -> KeyId {
        key_id(&self.0.spki())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{authority::SigningKey, message_key::MessageKey};
    use rcgen::PublicKeyData as _;

    #[test]
    fn a_key_to_encrypt_to_is_read_as_it_is_written_and_is_no_key_that_signs() {
        let pair = SigningKey::generate().unwrap();
        let text = crate::pem::encode("PUBLIC KEY", &pair.subject_public_key_info());
        let key = AgreementKey::read_file(text.as_bytes()).unwrap();
        let good = key.cose();
        assert_eq!(AgreementKey::read(&good), Ok(key.clone()));
        assert_eq!(MessageKey::read(&good, 0), Err(MessageKeyRefusal::Form));
        let signs = MessageKey::read_file(text.as_bytes(), 0).unwrap();
        assert_eq!(AgreementKey::read(&signs.cose()), Err(MessageKeyRefusal::AgreementForm));
        assert_eq!(
            (key.kid(), key.id()),
            (signs.kid(), signs.id()),
            "it is known as the same key whatever it is for"
        );
        for bit in 0..8 * good.len() {
            let mut bad = good.clone();
            bad[bit / 8] ^= 1 << (bit % 8);
            assert!(AgreementKey::read(&bad).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn a_key_of_another_curve_and_a_point_beside_it_are_refused() {
        let ed25519 = Point::Ed25519 { x: [3; 32] };
        let text = crate::pem::encode("PUBLIC KEY", &ed25519.spki());
        assert_eq!(AgreementKey::read_file(text.as_bytes()), Err(MessageKeyRefusal::AgreementForm));
        assert_eq!(
            AgreementKey::read(&ed25519.cose(KeyPurpose::Encrypt)),
            Err(MessageKeyRefusal::AgreementForm)
        );
        let beside = Point::P256 { x: [1; 32], y: [2; 32] };
        assert_eq!(AgreementKey::read(&beside.cose(KeyPurpose::Encrypt)), Err(MessageKeyRefusal::Point));
        assert_eq!(AgreementKey::read_file(b"-----BEGIN "), Err(MessageKeyRefusal::AgreementForm));
    }
}
