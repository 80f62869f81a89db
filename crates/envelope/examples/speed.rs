//! Measures how long signing and verifying take with keys in memory, and verifying with aws-lc-rs: `cargo run --release -p keyward-envelope --example speed`.
#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a tool: it prints, and stops when it cannot")]
#![allow(clippy::disallowed_methods, reason = "it measures time")]

use aws_lc_rs::digest::{Digest as LcDigest, SHA256};
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, ParsedPublicKey};
use keyward_envelope::software::{Ed25519Key, P256Agreement, P256Key};
use keyward_envelope::{
    Algorithm, BadSignature, Cipher, Claims, Content, Context, Direction, Epoch, GroupKey, Kid, Message,
    PublicKey, Random, Sequence, Signer, ToBeSigned, Unavailable, Verifier, inspect, sign, sign_for_group,
    sign_for_recipient,
};
use std::time::Instant;

const CONTEXT: Context<'_> = Context {
    direction: Direction::Up { device: "pump-1" },
    installation: "k7m2q9xw4hp3a8cd",
    topic: "plant/pump-1/temperature",
    correlation: None,
};

/// Counts, which is enough to measure.
struct Counting(u8);

impl Random for Counting {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), Unavailable> {
        self.0 = self.0.wrapping_add(1);
        out.fill(self.0.max(1));
        Ok(())
    }
}

/// Verifies ES256 by aws-lc-rs, as a broker would.
struct Fast(Kid, ParsedPublicKey);

impl Verifier for Fast {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Es256
    }
    fn kid(&self) -> Kid {
        self.0
    }
    fn check(&self, message: &ToBeSigned<'_>, signature: &[u8; 64]) -> Result<(), BadSignature> {
        let digest = LcDigest::import_less_safe(&message.digest().0, &SHA256).map_err(|_| BadSignature)?;
        self.1.verify_digest_sig(&digest, signature).map_err(|_| BadSignature)
    }
}

/// Prints the median of five runs of 200.
fn measure(what: &str, mut work: impl FnMut()) {
    let mut runs: Vec<f64> = (0..5)
        .map(|_| {
            let begin = Instant::now();
            (0..200).for_each(|_| work());
            begin.elapsed().as_secs_f64() * 1e6 / 200.0
        })
        .collect();
    runs.sort_by(f64::total_cmp);
    println!("{what:44} {:7.1} µs", runs[2]);
}

fn each(what: &str, signer: &mut dyn Signer, public: PublicKey) {
    let payload = [7; 64];
    let message = Message {
        claims: Claims::issued_at(Sequence(3 << 32), 1_795_000_000),
        format: None,
        payload: &payload,
    };
    let (mut out, mut len) = ([0; 512], 0);
    measure(&format!("{what}: sign"), || len = sign(&message, &CONTEXT, signer, &mut out).unwrap());
    measure(&format!("{what}: inspect"), || assert!(inspect(&out[..len]).is_ok()));
    measure(&format!("{what}: inspect and verify"), || {
        inspect(&out[..len]).unwrap().verify(&public, &CONTEXT).unwrap();
    });
    if let Some(point) = public.to_sec1() {
        let fast = Fast(public.kid(), ParsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point).unwrap());
        measure(&format!("{what}: inspect and verify by aws-lc-rs"), || {
            inspect(&out[..len]).unwrap().verify(&fast, &CONTEXT).unwrap();
        });
    }
    let mut to = P256Agreement::from_secret(&[5; 32]).unwrap();
    measure(&format!("{what}: sign for one recipient"), || {
        len =
            sign_for_recipient(&message, &CONTEXT, signer, &to.public(), &mut Counting(0), &mut out).unwrap();
    });
    let mut opened = [0; 512];
    measure(&format!("{what}: verify and open for one recipient"), || {
        let verified = inspect(&out[..len]).unwrap().verify(&public, &CONTEXT).unwrap();
        let Content::ForRecipient(sealed) = verified.content().unwrap() else { unreachable!() };
        sealed.open(&mut to, &mut opened).unwrap();
    });
    let group = GroupKey::new("plant", Epoch(7), &[3; 16]).unwrap();
    measure(&format!("{what}: sign for a group"), || {
        len = sign_for_group(&message, &CONTEXT, signer, &group, Cipher::Gcm, &mut out).unwrap();
    });
}

fn main() {
    let mut es256 = P256Key::from_secret(&[9; 32]).unwrap();
    let public = es256.public();
    each("ES256", &mut es256, public);
    let mut ed25519 = Ed25519Key::from_seed(&[7; 32]);
    let public = ed25519.public();
    each("Ed25519", &mut ed25519, public);
}
