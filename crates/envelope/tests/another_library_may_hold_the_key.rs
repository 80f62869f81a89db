//! The traits are enough for a library that knows nothing of this crate: aws-lc-rs signs and verifies, as a broker or a chip would.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

#[path = "vectors/form.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod form;
#[path = "vectors/page.rs"]
#[allow(dead_code, reason = "other tests use the rest")]
mod page;

use aws_lc_rs::digest::{Digest as LcDigest, SHA256};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{
    ECDSA_P256_SHA256_FIXED, ECDSA_P256_SHA256_FIXED_SIGNING, ED25519, EcdsaKeyPair, KeyPair as _,
    ParsedPublicKey,
};
use keyward_envelope::{
    Algorithm, BadSignature, Claims, Context, Decision, Direction, Kid, Message, PublicKey, Sequence, Signer,
    ToBeSigned, Unavailable, Verifier, Window, inspect, sign,
};

struct Fast {
    kid: Kid,
    algorithm: Algorithm,
    key: ParsedPublicKey,
}

impl Fast {
    fn new(key: &PublicKey) -> Self {
        let parsed = match (key.to_sec1(), key.to_ed25519()) {
            (Some(point), _) => ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point),
            (_, key) => ParsedPublicKey::new(&ED25519, key.unwrap()),
        };
        Self { kid: key.kid(), algorithm: key.algorithm(), key: parsed.unwrap() }
    }
}

impl Verifier for Fast {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    fn kid(&self) -> Kid {
        self.kid
    }

    fn check(&self, message: &ToBeSigned<'_>, signature: &[u8; 64]) -> Result<(), BadSignature> {
        let held = match self.algorithm {
            Algorithm::Es256 => {
                let digest =
                    LcDigest::import_less_safe(&message.digest().0, &SHA256).map_err(|_| BadSignature)?;
                self.key.verify_digest_sig(&digest, signature)
            }
            Algorithm::Ed25519 => {
                let mut all = vec![0; message.size()];
                message.copy_to(&mut all).map_err(|_| BadSignature)?;
                self.key.verify_sig(&all, signature)
            }
        };
        held.map_err(|_| BadSignature)
    }
}

#[test]
fn it_verifies_every_vector_and_nothing_else() {
    for vector in page::vectors() {
        let message = form::bytes(&vector.message).unwrap();
        let correlation = vector.correlation().unwrap();
        let context = vector.context(correlation.as_deref());
        let key = Fast::new(&form::public(&vector.public).unwrap());
        let verified = inspect(&message).unwrap().verify(&key, &context).unwrap();
        assert_eq!(form::hex(&verified.digest().0), vector.digest);
        for bit in (0..message.len() * 8).step_by(7) {
            let mut changed = message.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let refused = inspect(&changed).map_or(true, |found| found.verify(&key, &context).is_err());
            assert!(refused, "{}, bit {bit}", vector.name);
        }
    }
}

/// Draws a random number for each signature, as chips do.
struct Chip(EcdsaKeyPair, Kid);

impl Signer for Chip {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Es256
    }

    fn kid(&self) -> Kid {
        self.1
    }

    fn sign(&mut self, message: &ToBeSigned<'_>) -> Result<[u8; 64], Unavailable> {
        let mut all = vec![0; message.size()];
        message.copy_to(&mut all).map_err(|_| Unavailable(1))?;
        let signature = self.0.sign(&SystemRandom::new(), &all).map_err(|_| Unavailable(2))?;
        signature.as_ref().try_into().map_err(|_| Unavailable(3))
    }
}

/// A device that signs a stored reading again after a restart makes another signature of the same message. It was taken for a second
/// holder of its key when digests covered the signature.
#[test]
fn a_reading_that_a_chip_signs_twice_is_a_repeat() {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).unwrap();
    let public = PublicKey::p256(pair.public_key().as_ref().try_into().unwrap()).unwrap();
    let mut chip = Chip(pair, public.kid());
    let context = Context {
        direction: Direction::Up { device: "pump-1" },
        installation: "k7m2q9xw4hp3a8cd",
        topic: "plant/pump-1/temperature",
        correlation: None,
    };
    let mut window = Window::default();
    let mut decide = |payload: &[u8]| {
        let mut out = [0; 256];
        let message = Message { claims: Claims::issued_at(Sequence(1), 1), format: None, payload };
        let len = sign(&message, &context, &mut chip, &mut out).unwrap();
        let verified = inspect(&out[..len]).unwrap().verify(&public, &context).unwrap();
        (window.take(verified.claims().sequence, verified.digest().tag(&[3; 16])), out)
    };
    let (first, one) = decide(b"21.5");
    let (second, other) = decide(b"21.5");
    assert!(matches!(first, Decision::New(_)));
    assert_ne!(one, other);
    assert_eq!(second, Decision::Repeat);
    assert_eq!(decide(b"21.6").0, Decision::Equivocation);
}
