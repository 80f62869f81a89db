//! Two messages that another program made, on a Cortex-M4, and that pycose verified: the first check of all.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

use keyward_envelope::software::{Ed25519Key, P256Key};
use keyward_envelope::{
    Algorithm, BadSignature, Claims, Content, Context, Direction, Kid, Message, PublicKey, Refused, Sequence,
    Signer, ToBeSigned, Unavailable, Verifier, inspect, sign,
};

const ED25519: &str = "d284581aa301270448deadbeef010203040fa2061a6afd86c0074301e240a05840\
    000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f\
    584059ce0e1e86da2253c76b28ed3030c344137eeaaeddb5dae35dc85ef5352e8f1a7c084d2ef5dae92042433bfd061d3bcb7ca62b0a3b8dad26336252c9172d3305";
const ED25519_PUBLIC: &str = "ea4a6c63e29c520abef5507b132ec5f9954776aebebe7b92421eea691446d22c";
const ES256: &str = "d284581aa301260448deadbeef010203040fa2061a6afd86c0074301e241a05840\
    000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2c2d2e2f303132333435363738393a3b3c3d3e3f\
    58407465dc72f989fbe19d12c33b4d8f1379c061b569bc3f52abb48f0df9ebdeff973ca0530ff3db6ad3bd8a31b25db9c27de343644ea08f8499c1200a9c96d5e660";
const ES256_PUBLIC: &str = "047135fa4fd93a09dce98bbf681b4bfcf50e7c0d6354e62afb0bff2a3429617865\
    ed4c1f02ddb9023ee56a557e515d6a9dc66c11f220960de594334df588776724";
/// `["mqsec1", 0, "acme", "dev-0001", "t/acme/dev-0001/up/temp", null]`
const EXTERNAL: &str =
    "86666d7173656331006461636d65686465762d3030303177742f61636d652f6465762d303030312f75702f74656d70f6";

const CONTEXT: Context<'_> = Context {
    direction: Direction::Up { device: "dev-0001" },
    installation: "acme",
    topic: "t/acme/dev-0001/up/temp",
    correlation: None,
};

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len()).step_by(2).map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap()).collect()
}

/// A key under the identifier that program gave it, which is no thumbprint.
struct Named<K>(K);

fn deadbeef() -> Kid {
    Kid::new([0xde, 0xad, 0xbe, 0xef, 1, 2, 3, 4])
}

impl<K: Signer> Signer for Named<K> {
    fn algorithm(&self) -> Algorithm {
        self.0.algorithm()
    }
    fn kid(&self) -> Kid {
        deadbeef()
    }
    fn sign(&mut self, message: &ToBeSigned<'_>) -> Result<[u8; 64], Unavailable> {
        self.0.sign(message)
    }
}

impl Verifier for Named<PublicKey> {
    fn algorithm(&self) -> Algorithm {
        self.0.algorithm()
    }
    fn kid(&self) -> Kid {
        deadbeef()
    }
    fn check(&self, message: &ToBeSigned<'_>, signature: &[u8; 64]) -> Result<(), BadSignature> {
        self.0.check(message, signature)
    }
}

type Case = (Vec<u8>, PublicKey, Box<dyn Signer>, u64);

fn cases() -> [Case; 2] {
    let ed25519 = PublicKey::ed25519(&bytes(ED25519_PUBLIC).try_into().unwrap()).unwrap();
    let es256 = PublicKey::p256(&bytes(ES256_PUBLIC).try_into().unwrap()).unwrap();
    [
        (bytes(ED25519), ed25519, Box::new(Named(Ed25519Key::from_seed(&[7; 32]))), 123_456),
        (bytes(ES256), es256, Box::new(Named(P256Key::from_secret(&[9; 32]).unwrap())), 123_457),
    ]
}

#[test]
fn we_read_what_it_wrote() {
    for (message, key, _, number) in cases() {
        assert_eq!(message.len(), 163);
        let found = inspect(&message).unwrap();
        assert_eq!(
            (found.kid(), found.claims()),
            (deadbeef(), &Claims::issued_at(Sequence(number), 1_795_000_000))
        );
        let verified = found.verify(&Named(key), &CONTEXT).unwrap();
        let expected: Vec<u8> = (0..64).collect();
        assert!(
            matches!(verified.content(), Ok(Content::Plain { format: None, payload }) if payload == expected)
        );
    }
}

#[test]
fn we_write_what_it_wrote() {
    let payload: Vec<u8> = (0..64).collect();
    for (expected, _, mut key, number) in cases() {
        let claims = Claims::issued_at(Sequence(number), 1_795_000_000);
        let message = Message { claims, format: None, payload: &payload };
        let mut out = [0; 256];
        let len = sign(&message, &CONTEXT, &mut *key, &mut out).unwrap();
        assert_eq!(out[..len], expected);
    }
}

/// Keeps what is to be signed.
#[derive(Default)]
struct Listener(std::cell::RefCell<Vec<u8>>);

impl Verifier for Listener {
    fn algorithm(&self) -> Algorithm {
        Algorithm::Ed25519
    }
    fn kid(&self) -> Kid {
        deadbeef()
    }
    fn check(&self, message: &ToBeSigned<'_>, _: &[u8; 64]) -> Result<(), BadSignature> {
        let mut all = vec![0; message.size()];
        message.copy_to(&mut all).unwrap();
        *self.0.borrow_mut() = all;
        Err(BadSignature)
    }
}

#[test]
fn the_external_data_is_the_one_that_it_gave_pycose() {
    let (message, ..) = &cases()[0];
    let listener = Listener::default();
    assert_eq!(inspect(message).unwrap().verify(&listener, &CONTEXT).unwrap_err(), Refused::Signature);
    let signed = listener.0.into_inner();
    let external = bytes(EXTERNAL);
    assert_eq!(signed[..12], *b"\x84jSignature1");
    assert_eq!(signed[12 + 2 + 26..][..2], [0x58, 48]);
    assert_eq!(signed[12 + 2 + 26 + 2..][..48], external);
}
