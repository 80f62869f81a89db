//! The keys by which a device signs its messages: their public halves, as `COSE_Key` (RFC 9052 §7).
//!
//! One spelling is taken: deterministic (RFC 8949 §4.2), with the labels that such a key needs and no other. So what is read is what
//! would be written, and a key has one name. How well the device keeps the other half, its *level*, is the word of whoever registers
//! the key.
//!
//! What is not here: verifying (`envelope`), and what the broker demands of a message (`policy`).

use crate::{authority::key_id, clock::WallTime, limits, pem, second_holder::FoundHolder, wire};
use aws_lc_rs::{
    digest::{SHA256, digest},
    signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey},
};
use keyward_ids::KeyId;
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// Names a message key among those of one device: the first 8 bytes of its thumbprint (RFC 9679), printed as 16 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Kid([u8; 8]);

impl Kid {
    /// Makes a name of its 8 bytes.
    pub fn new(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// Returns the 8 bytes.
    pub fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Display for Kid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// Says that a text names no message key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("is no name of a message key; it has 16 hexadecimal digits, as `keyward keys list` prints them")]
pub struct KidError;

impl FromStr for Kid {
    type Err = KidError;

    fn from_str(text: &str) -> Result<Self, KidError> {
        let is_hex = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        let number = u64::from_str_radix(text, 16).ok().filter(|_| is_hex).ok_or(KidError)?;
        Ok(Self(number.to_be_bytes()))
    }
}

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
        let (point, kid) = Point::of_cose(cose).ok_or(MessageKeyRefusal::Form)?;
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
        let Some(text) = std::str::from_utf8(bytes).ok().filter(|text| text.contains("-----BEGIN ")) else {
            return Self::read(bytes, level);
        };
        let blocks = pem::decode(text).ok_or(MessageKeyRefusal::Form)?;
        if blocks.iter().any(|block| block.label.ends_with("PRIVATE KEY")) {
            return Err(MessageKeyRefusal::HoldsPrivateKey);
        }
        match blocks.as_slice() {
            [block] if block.label == "PUBLIC KEY" => {
                Self::of_point(Point::of_spki(&block.bytes).ok_or(MessageKeyRefusal::Form)?, level)
            }
            _ => Err(MessageKeyRefusal::Form),
        }
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
        self.point.cose()
    }

    /// Returns its name among the keys of its device.
    pub fn kid(&self) -> Kid {
        self.point.kid()
    }

    /// Returns how well the device keeps the private key: 0 to 3.
    pub fn level(&self) -> u8 {
        self.level
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
    /// That two hold it, as far as is known, or that its device has lost count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub second_holder: Option<FoundHolder>,
}

/// Says whether messages signed by a key are accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MessageKeyStatus {
    /// They are.
    Active,
    /// They are, for a while: another key is to take its place.
    Overlapping {
        /// The end of that while.
        until: WallTime,
    },
    /// They are not; what was signed by it earlier can still be verified.
    Retired {
        /// Since when.
        since: WallTime,
    },
}

impl HeldMessageKey {
    /// Says whether messages signed by it are accepted at the time `now`.
    pub fn status(&self, now: WallTime) -> MessageKeyStatus {
        match self.until {
            None => MessageKeyStatus::Active,
            Some(until) if now < until => MessageKeyStatus::Overlapping { until },
            Some(since) => MessageKeyStatus::Retired { since },
        }
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

/// Is a point of one of the two curves; on the curve only where that was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Point {
    P256 { x: [u8; 32], y: [u8; 32] },
    Ed25519 { x: [u8; 32] },
}

/// Stand before the coordinates in a DER `SubjectPublicKeyInfo` (RFC 5480 §2, uncompressed; RFC 8410 §4).
const SPKI_P256: &[u8] = &[
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86,
    0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];
const SPKI_ED25519: &[u8] = &[0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];

impl Point {
    /// Writes `{1: kty, 2: kid, 3: alg, -1: crv, -2: x, -3: y}`.
    fn cose(&self) -> Vec<u8> {
        let kid = self.kid();
        match self {
            Self::P256 { x, y } => [
                &[0xa6, 0x01, 0x02, 0x02, 0x48],
                kid.as_bytes().as_slice(),
                &[0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 0x20],
                x,
                &[0x22, 0x58, 0x20],
                y,
            ]
            .concat(),
            Self::Ed25519 { x } => [
                &[0xa5, 0x01, 0x01, 0x02, 0x48],
                kid.as_bytes().as_slice(),
                &[0x03, 0x27, 0x20, 0x06, 0x21, 0x58, 0x20],
                x,
            ]
            .concat(),
        }
    }

    /// Reads that, and the kid that stands in it.
    fn of_cose(bytes: &[u8]) -> Option<(Self, Kid)> {
        let kid = Kid(*bytes.get(5..)?.first_chunk()?);
        let x = *bytes.get(20..)?.first_chunk()?;
        let point = match bytes.get(55..) {
            Some(y) => Self::P256 { x, y: *y.first_chunk()? },
            None => Self::Ed25519 { x },
        };
        let mut written = point.cose();
        written.get_mut(5..13)?.copy_from_slice(kid.as_bytes());
        (written == bytes).then_some((point, kid))
    }

    /// Returns the first 8 bytes of the thumbprint: SHA-256 of `{1: kty, -1: crv, -2: x, -3: y}` (RFC 9679 §3).
    fn kid(&self) -> Kid {
        let required = match self {
            Self::P256 { x, y } => {
                [[0xa4, 0x01, 0x02, 0x20, 0x01, 0x21, 0x58, 0x20].as_slice(), x, &[0x22, 0x58, 0x20], y]
                    .concat()
            }
            Self::Ed25519 { x } => [[0xa3, 0x01, 0x01, 0x20, 0x06, 0x21, 0x58, 0x20].as_slice(), x].concat(),
        };
        let mut kid = [0; 8];
        kid.copy_from_slice(&digest(&SHA256, &required).as_ref()[..8]);
        Kid(kid)
    }

    fn spki(&self) -> Vec<u8> {
        match self {
            Self::P256 { x, y } => [SPKI_P256, x, y].concat(),
            Self::Ed25519 { x } => [SPKI_ED25519, x].concat(),
        }
    }

    fn of_spki(der: &[u8]) -> Option<Self> {
        let point = match der.strip_prefix(SPKI_ED25519) {
            Some(x) => Self::Ed25519 { x: *x.first_chunk()? },
            None => {
                let (x, y) = der.strip_prefix(SPKI_P256)?.split_first_chunk()?;
                Self::P256 { x: *x, y: *y.first_chunk()? }
            }
        };
        (point.spki() == der).then_some(point)
    }

    /// Tells whether it is a point of P-256. Of Ed25519 the verifier finds that out: there each half of all numbers is one.
    fn is_on_curve(&self) -> bool {
        match self {
            Self::P256 { x, y } => {
                let sec1 = [[4].as_slice(), x, y].concat();
                ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, sec1).is_ok()
            }
            Self::Ed25519 { .. } => true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::authority::{PublicKey, SigningKey};
    use rcgen::PublicKeyData as _;

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
            let good = point.cose();
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
        assert_eq!(MessageKey::read(&beside.cose(), 0), Err(MessageKeyRefusal::Point));
    }

    #[test]
    fn a_key_in_pem_is_the_same_key_and_has_the_name_that_it_has_in_certificates() {
        let pair = SigningKey::generate().unwrap();
        let text = pem::encode("PUBLIC KEY", &pair.subject_public_key_info());
        let key = MessageKey::read_file(text.as_bytes(), 1).unwrap();
        assert_eq!(key, MessageKey::read_file(&key.cose(), 1).unwrap());
        assert_eq!(key.id(), PublicKey::of(&pair).unwrap().id());
        let text = pem::encode("PUBLIC KEY", &ed25519().spki());
        assert_eq!(MessageKey::read_file(text.as_bytes(), 1).unwrap().cose(), ed25519().cose());
        let refused = |text: &str| MessageKey::read_file(text.as_bytes(), 0).unwrap_err();
        assert_eq!(refused(&text.repeat(2)), MessageKeyRefusal::Form, "which of the two?");
        assert_eq!(refused(&text[..40]), MessageKeyRefusal::Form);
        let private = pair.to_pem();
        assert_eq!(refused(private.expose_text()), MessageKeyRefusal::HoldsPrivateKey);
    }
}
