//! The keys by which a device signs its messages: their public halves. How well the device keeps the other half, its *level*, is the
//! word of whoever registers the key, unless a TPM vouched for it.
//!
//! What is not here: verifying (`envelope`), and what the broker demands of a message (`policy`).

use crate::{
    authority::{SigningKey, key_id},
    clock::WallTime,
    cose_key::{KeyPurpose, Kid, Point},
    endorsement::Endorsement,
    limits, pem,
    second_holder::FoundHolder,
    wire,
};
use keyward_ids::{CertSerial, KeyId};
use rcgen::PublicKeyData as _;
use serde::{Deserialize, Serialize};

/// Names the algorithm of a message key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageAlgorithm {
    /// ECDSA on P-256 with SHA-256.
    Es256,
    /// Ed25519.
    EdDsa,
}

impl MessageAlgorithm {
    /// Returns its name in COSE.
    pub fn name(self) -> &'static str {
        match self {
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

/// Is the public key by which messages of a device are verified, and how well the device keeps the private one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Image", into = "Image")]
pub struct MessageKey {
    point: Point,
    level: u8,
}

/// Is a message key as it stands in the ledger.
#[derive(Serialize, Deserialize)]
struct Image {
    #[serde(with = "wire::base64")]
    cose: Vec<u8>,
    level: u8,
}

impl From<MessageKey> for Image {
    fn from(key: MessageKey) -> Self {
        Self { cose: key.cose(), level: key.level }
    }
}

impl TryFrom<Image> for MessageKey {
    type Error = MessageKeyRefusal;

    fn try_from(image: Image) -> Result<Self, MessageKeyRefusal> {
        Self::read(&image.cose, image.level)
    }
}

impl MessageKey {
    /// Reads a `COSE_Key` in its one spelling. `level` says how well the device keeps the private key: 0 in a file, 1 sealed to the
    /// machine, 2 in hardware, 3 in hardware that vouched for it.
    ///
    /// # Errors
    /// [`MessageKeyRefusal`] says what is wrong with it.
    pub fn read(cose: &[u8], level: u8) -> Result<Self, MessageKeyRefusal> {
        let (point, kid) = Point::of_cose(cose, KeyPurpose::Sign).ok_or(MessageKeyRefusal::Form)?;
        if kid != point.kid() {
            return Err(MessageKeyRefusal::OtherKid);
        }
        Self::of_point(point, level)
    }

    /// Reads what a person has: the bytes of a `COSE_Key`, or a public key in PEM as `openssl pkey -pubout` writes it.
    ///
    /// # Errors
    /// [`MessageKeyRefusal`] says what is wrong with it.
    pub fn read_file(bytes: &[u8], level: u8) -> Result<Self, MessageKeyRefusal> {
        match read_pem(bytes)? {
            Some(point) => Self::of_point(point, level),
            None => Self::read(bytes, level),
        }
    }

    /// Returns the public half of a key pair of ours.
    pub(crate) fn of_pair(pair: &SigningKey) -> Option<Self> {
        Point::of_spki(&pair.subject_public_key_info()).map(|point| Self { point, level: 0 })
    }

    fn of_point(point: Point, level: u8) -> Result<Self, MessageKeyRefusal> {
        if level > limits::MESSAGE_KEY_LEVEL {
            return Err(MessageKeyRefusal::Level(level));
        }
        if !point.is_on_curve() {
            return Err(MessageKeyRefusal::Point);
        }
        Ok(Self { point, level })
    }

    /// Returns the key as `COSE_Key`.
    pub fn cose(&self) -> Vec<u8> {
        self.point.cose(KeyPurpose::Sign)
    }

    /// Returns the key in PEM, as `openssl pkey -pubout` writes it.
    pub fn public_pem(&self) -> String {
        pem::encode("PUBLIC KEY", &self.point.spki()).to_string()
    }

    /// Returns its name among the keys of its device.
    pub fn kid(&self) -> Kid {
        self.point.kid()
    }

    /// Returns how well the device keeps the private key: 0 to 3.
    pub fn level(&self) -> u8 {
        self.level
    }

    /// Returns the key, kept no better than `level` says.
    pub(crate) fn at_most(self, level: u8) -> Self {
        Self { level: self.level.min(level), ..self }
    }

    /// Returns its algorithm.
    pub fn algorithm(&self) -> MessageAlgorithm {
        match self.point {
            Point::P256 { .. } => MessageAlgorithm::Es256,
            Point::Ed25519 { .. } => MessageAlgorithm::EdDsa,
        }
    }

    /// Returns the name that the key would have in a certificate: one key is nobody's second one, whatever it is for.
    pub fn id(&self) -> KeyId {
        key_id(&self.point.spki())
    }
}

/// Is a message key of an account.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldMessageKey {
    /// The key.
    pub key: MessageKey,
    /// When it was registered.
    pub registered: WallTime,
    /// Until when messages signed by it are accepted; no end if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<WallTime>,
    /// The certificate that it came with, which renewed another ([`Account::awaits_use`](crate::Account::awaits_use)).
    #[serde(with = "wire::optional_text", default, skip_serializing_if = "Option::is_none")]
    pub awaits: Option<CertSerial>,
    /// The TPM that vouched for it; its level is somebody's word if absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub endorsement: Option<Endorsement>,
    /// That two hold it, as far as is known, or that its device has lost count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_holder: Option<FoundHolder>,
}

/// Says whether a key is used: whether messages signed by it are accepted, or whether anything is encrypted to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKeyStatus {
    /// It is.
    Active,
    /// It is, for a while: another key is to take its place.
    Overlapping {
        /// The end of that while.
        until: WallTime,
    },
    /// It is not; what was signed by it earlier can still be verified.
    Retired {
        /// Since when.
        since: WallTime,
    },
}

impl MessageKeyStatus {
    /// Says it of a key that is used until then, or without end.
    pub(crate) fn of(until: Option<WallTime>, now: WallTime) -> Self {
        match until {
            None => Self::Active,
            Some(until) if now < until => Self::Overlapping { until },
            Some(since) => Self::Retired { since },
        }
    }
}

impl HeldMessageKey {
    /// Tells whether no more is known when this TPM vouches for it.
    pub(crate) fn is_endorsed_by(&self, shown: &Endorsement) -> bool {
        let known = self.endorsement.as_ref().filter(|known| known.key == shown.key);
        known.is_some_and(|known| known.named || !shown.named)
    }

    /// Says whether messages signed by it are accepted at the time `now`.
    pub fn status(&self, now: WallTime) -> MessageKeyStatus {
        MessageKeyStatus::of(self.until, now)
    }
}

/// Says why a message key is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MessageKeyRefusal {
    /// It is no key, or spelled otherwise.
    #[error(
        "this is no message key that is taken: give a public key in PEM (P-256 or Ed25519), or a COSE_Key of ES256 or EdDSA, \
         deterministic, with the labels 1, 2, 3, -1, -2 (and -3) and nothing else"
    )]
    Form,
    /// The file holds a private key.
    #[error(
        "this file holds a private key; give the public one alone (openssl pkey -pubout), and keep the key where it is"
    )]
    HoldsPrivateKey,
    /// It is no key to which can be encrypted.
    #[error(
        "this is no key to encrypt to: give a public key of P-256 in PEM, or a COSE_Key of P-256 with no key operations (4: []), \
         deterministic, with the labels 1, 2, 4, -1, -2, -3 and nothing else"
    )]
    AgreementForm,
    /// Its name is not the beginning of its thumbprint.
    #[error(
        "the message key has another kid (label 2) than its own, which is the first 8 bytes of its thumbprint (RFC 9679)"
    )]
    OtherKid,
    /// Its coordinates are no point of the curve.
    #[error("the coordinates of the message key are no point of its curve; make another key")]
    Point,
    /// There is no such level.
    #[error(
        "a message key has level 0 (in a file), 1 (sealed), 2 (hardware) or 3 (hardware that vouched for it), not {0}"
    )]
    Level(u8),
}

/// Reads the one public key of a PEM file; nothing if this is no PEM.
pub(crate) fn read_pem(bytes: &[u8]) -> Result<Option<Point>, MessageKeyRefusal> {
    let Some(text) = std::str::from_utf8(bytes).ok().filter(|text| text.contains("-----BEGIN ")) else {
        return Ok(None);
    };
    let blocks = pem::decode(text).ok_or(MessageKeyRefusal::Form)?;
    if blocks.iter().any(|block| block.label.ends_with("PRIVATE KEY")) {
        return Err(MessageKeyRefusal::HoldsPrivateKey);
    }
    match blocks.as_slice() {
        [block] if block.label == "PUBLIC KEY" => {
            Point::of_spki(&block.bytes).map(Some).ok_or(MessageKeyRefusal::Form)
        }
        _ => Err(MessageKeyRefusal::Form),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::PublicKey;
    use crate::cose_key::KidError;

    fn ed25519() -> Point {
        let hex = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
        let x: Vec<u8> = (0..32).map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap()).collect();
        Point::Ed25519 { x: x.try_into().unwrap() }
    }

    fn p256(pair: &SigningKey) -> Point {
        Point::of_spki(&pair.subject_public_key_info()).unwrap()
    }

    /// The key of RFC 8037 §A.2 and its COSE thumbprint, computed with Python's hashlib over the map written by hand; the key of
    /// RFC 9679 §6 and its thumbprint there.
    #[test]
    fn the_kid_is_the_beginning_of_the_thumbprint() {
        assert_eq!(ed25519().kid().to_string(), "866eefbd6718c884");
        let hex = "65eda5a12577c2bae829437fe338701a10aaa375e1bb5b5de108de439c08551d\
                   1e52ed75701163f7f9e40ddf9f341b3dc9ba860af7e0ca7ca7e9eecd0084d19c";
        let xy: Vec<u8> = (0..64).map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap()).collect();
        let point = Point::P256 { x: xy[..32].try_into().unwrap(), y: xy[32..].try_into().unwrap() };
        assert_eq!(point.kid().to_string(), "496bd8afadf307e5");
        assert_eq!("496bd8afadf307e5".parse(), Ok(point.kid()));
        for text in ["", "496bd8afadf307e", "496bd8afadf307e5a", "+96bd8afadf307e5", "496bd8afadf307eg"] {
            assert_eq!(text.parse::<Kid>(), Err(KidError), "{text}");
        }
    }

    #[test]
    fn a_key_is_read_as_it_is_written_and_every_other_spelling_is_refused() {
        for point in [ed25519(), p256(&SigningKey::generate().unwrap())] {
            let good = point.cose(KeyPurpose::Sign);
            let key = MessageKey::read(&good, 3).unwrap();
            assert_eq!((key.cose(), key.level()), (good.clone(), 3));
            assert_eq!(MessageKey::read(&good, 4), Err(MessageKeyRefusal::Level(4)));
            for bit in 0..8 * good.len() {
                let mut bad = good.clone();
                bad[bit / 8] ^= 1 << (bit % 8);
                assert!(MessageKey::read(&bad, 0).is_err(), "bit {bit}");
            }
            for len in 0..good.len() {
                assert_eq!(MessageKey::read(&good[..len], 0), Err(MessageKeyRefusal::Form));
            }
            assert_eq!(MessageKey::read(&[good.as_slice(), &[0]].concat(), 0), Err(MessageKeyRefusal::Form));
        }
    }

    #[test]
    fn a_point_beside_the_curve_is_refused() {
        let beside = Point::P256 { x: [1; 32], y: [2; 32] };
        assert_eq!(MessageKey::read(&beside.cose(KeyPurpose::Sign), 0), Err(MessageKeyRefusal::Point));
    }

    #[test]
    fn a_key_in_pem_is_the_same_key_and_has_the_name_that_it_has_in_certificates() {
        let pair = SigningKey::generate().unwrap();
        let text = pem::encode("PUBLIC KEY", &pair.subject_public_key_info());
        let key = MessageKey::read_file(text.as_bytes(), 1).unwrap();
        assert_eq!(key.public_pem(), *text);
        assert_eq!(key, MessageKey::read_file(&key.cose(), 1).unwrap());
        assert_eq!(key.id(), PublicKey::of(&pair).unwrap().id());
        let text = pem::encode("PUBLIC KEY", &ed25519().spki());
        assert_eq!(
            MessageKey::read_file(text.as_bytes(), 1).unwrap().cose(),
            ed25519().cose(KeyPurpose::Sign)
        );
        let refused = |text: &str| MessageKey::read_file(text.as_bytes(), 0).unwrap_err();
        assert_eq!(refused(&text.repeat(2)), MessageKeyRefusal::Form, "which of the two?");
        assert_eq!(refused(&text[..40]), MessageKeyRefusal::Form);
        let private = pair.to_pem();
        assert_eq!(refused(private.expose_text()), MessageKeyRefusal::HoldsPrivateKey);
    }
}
