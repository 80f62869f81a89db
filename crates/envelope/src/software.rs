//! Keys in memory, and the arithmetic of both curves. On a device with a chip that holds the key, the chip takes their place.

use crate::algorithm::Algorithm;
use crate::keys::{BadPoint, Kid, Point, PublicKey};
use crate::recipient::{Agreement, SharedSecret};
use crate::sign::{Random, Signer, Unavailable};
use crate::signed::ToBeSigned;
use crate::verify::{BadSignature, Verifier};
use ed25519_dalek::hazmat::{ExpandedSecretKey, raw_sign_byupdate};
use p256::ecdsa::signature::hazmat::{PrehashSigner as _, PrehashVerifier as _};
use p256::ecdsa::{Signature, SigningKey, VerifyingKey};
use sha2::{Digest as _, Sha512};
use zeroize::Zeroizing;

/// How often a random number is drawn until it is a secret key of P-256; one in four thousand million is not.
const DRAWS: usize = 4;

/// Signs by ES256 with a key in memory, deterministically (RFC 6979). It is wiped when dropped, and never shown.
pub struct P256Key {
    secret: SigningKey,
    kid: Kid,
}

impl P256Key {
    /// Takes a secret number, big-endian.
    ///
    /// # Errors
    /// It is zero or not below the order of the curve.
    pub fn from_secret(secret: &[u8; 32]) -> Result<Self, BadPoint> {
        let secret = SigningKey::from_slice(secret).map_err(|_| BadPoint)?;
        let kid = public_of(&secret).kid();
        Ok(Self { secret, kid })
    }

    /// Draws a new key.
    ///
    /// # Errors
    /// There are no random numbers.
    pub fn generate(random: &mut dyn Random) -> Result<Self, Unavailable> {
        draw(random, Self::from_secret)
    }

    /// Returns the public half.
    pub fn public(&self) -> PublicKey {
        public_of(&self.secret)
    }
}

impl Signer for P256Key {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Es256
    }

    fn kid(&self) -> Kid {
        self.kid
    }

    fn sign(&mut self, message: &ToBeSigned<'_>) -> Result<[u8; 64], Unavailable> {
        let signature: Signature =
            self.secret.sign_prehash(&message.digest().0).map_err(|_| Unavailable(1))?;
        Ok(signature.to_bytes().into())
    }
}

/// Opens what is encrypted to one recipient, with a key of P-256 in memory. It is another key than the one that signs.
pub struct P256Agreement {
    secret: SigningKey,
    kid: Kid,
}

impl P256Agreement {
    /// Takes a secret number, big-endian.
    ///
    /// # Errors
    /// It is zero or not below the order of the curve.
    pub fn from_secret(secret: &[u8; 32]) -> Result<Self, BadPoint> {
        P256Key::from_secret(secret).map(|P256Key { secret, kid }| Self { secret, kid })
    }

    /// Draws a new key.
    ///
    /// # Errors
    /// There are no random numbers.
    pub fn generate(random: &mut dyn Random) -> Result<Self, Unavailable> {
        draw(random, Self::from_secret)
    }

    /// Returns the public half.
    pub fn public(&self) -> PublicKey {
        public_of(&self.secret)
    }
}

impl Agreement for P256Agreement {
    fn kid(&self) -> Kid {
        self.kid
    }

    fn agree(&mut self, peer: &PublicKey) -> Result<SharedSecret, Unavailable> {
        let sec1 = peer.to_sec1().ok_or(Unavailable(2))?;
        let peer = p256::PublicKey::from_sec1_bytes(&sec1).map_err(|_| Unavailable(2))?;
        let shared = p256::ecdh::diffie_hellman(self.secret.as_nonzero_scalar(), peer.as_affine());
        Ok(Zeroizing::new((*shared.raw_secret_bytes()).into()))
    }
}

/// Signs by Ed25519 with a key in memory. It is wiped when dropped, and never shown.
pub struct Ed25519Key {
    secret: ExpandedSecretKey,
    public: ed25519_dalek::VerifyingKey,
    kid: Kid,
}

impl Ed25519Key {
    /// Takes the private key of RFC 8032: 32 random bytes.
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        let secret = ExpandedSecretKey::from(seed);
        let public = ed25519_dalek::VerifyingKey::from(&secret);
        let kid = PublicKey::of_own(Point::Ed25519(public.to_bytes())).kid();
        Self { secret, public, kid }
    }

    /// Returns the public half.
    pub fn public(&self) -> PublicKey {
        PublicKey::of_own(Point::Ed25519(self.public.to_bytes()))
    }

    /// Draws a new key.
    ///
    /// # Errors
    /// There are no random numbers.
    pub fn generate(random: &mut dyn Random) -> Result<Self, Unavailable> {
        draw(random, |seed| Ok(Self::from_seed(seed)))
    }
}

impl Signer for Ed25519Key {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Ed25519
    }

    fn kid(&self) -> Kid {
        self.kid
    }

    fn sign(&mut self, message: &ToBeSigned<'_>) -> Result<[u8; 64], Unavailable> {
        // The hash takes the message where it lies; the public key is always the secret's own.
        let feed = |hash: &mut Sha512| {
            message.feed(hash);
            Ok(())
        };
        raw_sign_byupdate::<Sha512, _>(&self.secret, feed, &self.public)
            .map(|signature| signature.to_bytes())
            .map_err(|_| Unavailable(1))
    }
}

impl Verifier for PublicKey {
    fn algorithm(&self) -> Algorithm {
        self.algorithm()
    }

    fn kid(&self) -> Kid {
        self.kid()
    }

    fn check(&self, message: &ToBeSigned<'_>, signature: &[u8; 64]) -> Result<(), BadSignature> {
        match (self.to_sec1(), self.to_ed25519()) {
            (Some(point), _) => check_es256(&point, message, signature),
            (_, Some(key)) => check_ed25519(&key, message, signature),
            _ => Err(BadSignature),
        }
    }
}

/// Checks a signature of ES256 with a point of P-256: 4, x and y, 65 bytes.
///
/// # Errors
/// The signature does not hold, or the point is none.
pub fn check_es256(
    point: &[u8; 65],
    message: &ToBeSigned<'_>,
    signature: &[u8; 64],
) -> Result<(), BadSignature> {
    let key = VerifyingKey::from_sec1_bytes(point).map_err(|_| BadSignature)?;
    let signature = Signature::from_slice(signature).map_err(|_| BadSignature)?;
    key.verify_prehash(&message.digest().0, &signature).map_err(|_| BadSignature)
}

/// Checks a signature of Ed25519.
///
/// # Errors
/// The signature does not hold, or the key is none.
pub fn check_ed25519(
    key: &[u8; 32],
    message: &ToBeSigned<'_>,
    signature: &[u8; 64],
) -> Result<(), BadSignature> {
    let key = ed25519_dalek::VerifyingKey::from_bytes(key).map_err(|_| BadSignature)?;
    let signature = ed25519_dalek::Signature::from_bytes(signature);
    let mut stream = key.verify_stream(&signature).map_err(|_| BadSignature)?;
    message.feed(&mut Chunks(&mut stream));
    stream.finalize_and_verify().map_err(|_| BadSignature)
}

struct Chunks<'s>(&'s mut ed25519_dalek::StreamVerifier);

impl crate::cbor::Sink for Chunks<'_> {
    fn put(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }
}

impl crate::cbor::Sink for Sha512 {
    fn put(&mut self, bytes: &[u8]) {
        self.update(bytes);
    }
}

/// Tells whether a point is on P-256.
pub(crate) fn is_on_p256(sec1: &[u8; 65]) -> bool {
    VerifyingKey::from_sec1_bytes(sec1).is_ok()
}

/// Tells whether bytes are a key of Ed25519 for which only its owner can sign.
pub(crate) fn is_on_ed25519(bytes: &[u8; 32]) -> bool {
    ed25519_dalek::VerifyingKey::from_bytes(bytes).is_ok_and(|key| !key.is_weak())
}

fn public_of(secret: &SigningKey) -> PublicKey {
    let point = secret.verifying_key().to_sec1_point(false);
    let coordinate = |bytes: Option<&p256::FieldBytes>| bytes.map_or([0; 32], |bytes| (*bytes).into());
    PublicKey::of_own(Point::P256 { x: coordinate(point.x()), y: coordinate(point.y()) })
}

fn draw<T>(
    random: &mut dyn Random,
    from: impl Fn(&[u8; 32]) -> Result<T, BadPoint>,
) -> Result<T, Unavailable> {
    for _ in 0..DRAWS {
        let mut secret = Zeroizing::new([0; 32]);
        random.fill(&mut *secret)?;
        if let Ok(key) = from(&secret) {
            return Ok(key);
        }
    }
    Err(Unavailable(3))
}
