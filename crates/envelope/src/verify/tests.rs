//! What is inside a signature is looked at as closely: here the signer itself changes it.

use super::*;
use crate::group::{Epoch, GroupKey, sign_for_group};
use crate::keys::PublicKey;
use crate::recipient::{Agreement as _, OpenError, sign_for_recipient};
use crate::sign::{Message, Random, Unavailable, sign, sign_what_is_filled_in};
use crate::software::{Ed25519Key, P256Agreement};
use crate::{Cipher, Direction, KeySet, Purpose, SealError, Sequence, open_grant, sign_grant, sign_key_set};
extern crate std;
use std::vec::Vec;

const SECRET: &[u8] = b"the valve in hall 3";

fn context<'a>() -> Context<'a> {
    Context {
        direction: Direction::Down { device: "pump-1" },
        installation: "k7m2q9xw4hp3a8cd",
        topic: "plant/pump-1/set",
        correlation: None,
    }
}

fn claims() -> Claims {
    Claims::issued_at(Sequence(77), 1_795_000_000)
}

fn signer() -> Ed25519Key {
    Ed25519Key::from_seed(&[7; 32])
}

fn recipient() -> P256Agreement {
    P256Agreement::from_secret(&[5; 32]).unwrap()
}

fn group() -> GroupKey {
    GroupKey::new("plant", Epoch(7), &[3; 16]).unwrap()
}

/// Counts: 1, 2, 3 …
struct Counting(u8);

impl Random for Counting {
    fn fill(&mut self, out: &mut [u8]) -> Result<(), Unavailable> {
        out.iter_mut().for_each(|byte| {
            self.0 = self.0.wrapping_add(1);
            *byte = self.0;
        });
        Ok(())
    }
}

/// Makes a message in a buffer.
type Make<'m> = &'m dyn Fn(&mut [u8]) -> Result<usize, SealError>;

/// Makes a message and returns its bytes.
fn made(make: impl FnOnce(&mut [u8]) -> Result<usize, SealError>) -> Vec<u8> {
    let mut out = [0; 1024];
    let len = make(&mut out).unwrap();
    out[..len].to_vec()
}

fn message<'a>() -> Message<'a> {
    Message { claims: claims(), format: Some(Format::JSON), payload: SECRET }
}

fn for_recipient() -> Vec<u8> {
    let to = recipient().public();
    made(|out| sign_for_recipient(&message(), &context(), &mut signer(), &to, &mut Counting(0), out))
}

fn for_group(cipher: Cipher) -> Vec<u8> {
    made(|out| sign_for_group(&message(), &context(), &mut signer(), &group(), cipher, out))
}

fn granted() -> Vec<u8> {
    let to = recipient().public();
    made(|out| sign_grant(&group(), claims(), &context(), &mut signer(), &to, &mut Counting(0), out))
}

/// Signs an inside again as it is given, by the same key.
fn signed_again(message: &[u8], inside: &[u8]) -> Vec<u8> {
    let format = inspect(message).unwrap().header.format;
    made(|out| {
        sign_what_is_filled_in(claims(), format, inside.len(), &context(), &mut signer(), out, |place| {
            place.copy_from_slice(inside);
            Ok(())
        })
    })
}

/// Opens a message whatever it is; gives the payload.
fn open(message: &[u8]) -> Result<Vec<u8>, OpenError> {
    let key = signer().public();
    let verified = inspect(message).unwrap().verify(&key, &context()).unwrap();
    let mut out = [0; 1024];
    let opened = match verified.content().map_err(OpenError::Malformed)? {
        Content::Plain { payload, .. } => payload,
        Content::ForRecipient(sealed) => sealed.open(&mut recipient(), &mut out)?,
        Content::ForGroup(sealed) => sealed.open(&group(), &mut out)?,
    };
    Ok(opened.to_vec())
}

#[test]
fn an_inside_with_any_bit_changed_does_not_open_even_if_it_is_signed() {
    for message in [for_recipient(), for_group(Cipher::Gcm), for_group(Cipher::Ccm)] {
        assert_eq!(open(&message).unwrap(), SECRET);
        assert!(!message.windows(SECRET.len()).any(|window| window == SECRET), "it is not encrypted");
        let inside = inspect(&message).unwrap().payload;
        for bit in 0..inside.len() * 8 {
            let mut changed = inside.to_vec();
            changed[bit / 8] ^= 1 << (bit % 8);
            let opened = open(&signed_again(&message, &changed));
            assert!(opened.is_err(), "bit {bit} of {}", inside.len());
        }
        for len in 0..inside.len() {
            assert!(open(&signed_again(&message, &inside[..len])).is_err(), "{len} of {}", inside.len());
        }
        let longer = [inside, &[0]].concat();
        assert!(open(&signed_again(&message, &longer)).is_err(), "something after the end");
    }
}

#[test]
fn a_grant_with_any_bit_changed_gives_no_key_even_if_it_is_signed() {
    let message = granted();
    let key = signer().public();
    let open = |message: &[u8]| {
        let verified = inspect(message).unwrap().verify(&key, &context()).unwrap();
        open_grant(&verified, &mut recipient()).map(|key| *key.expose_secret())
    };
    assert_eq!(open(&message).unwrap(), [3; 16]);
    let inside = inspect(&message).unwrap().payload;
    for bit in 0..inside.len() * 8 {
        let mut changed = inside.to_vec();
        changed[bit / 8] ^= 1 << (bit % 8);
        assert!(open(&signed_again(&message, &changed)).is_err(), "bit {bit}");
    }
}

#[test]
fn a_grant_is_no_message_and_a_message_no_grant() {
    let key = signer().public();
    let verified = for_recipient();
    let verified = inspect(&verified).unwrap().verify(&key, &context()).unwrap();
    assert_eq!(open_grant(&verified, &mut recipient()).err(), Some(OpenError::OtherForm));
    assert_eq!(open(&granted()), Err(OpenError::OtherForm));
    // A device that grants another a key of its own.
    let (to, up) =
        (recipient().public(), Context { direction: Direction::Up { device: "pump-1" }, ..context() });
    let grant = made(|out| sign_grant(&group(), claims(), &up, &mut signer(), &to, &mut Counting(0), out));
    let verified = inspect(&grant).unwrap().verify(&key, &up).unwrap();
    assert_eq!(open_grant(&verified, &mut recipient()).err(), Some(OpenError::OtherForm));
}

#[test]
fn what_is_for_another_key_group_or_epoch_is_told_from_what_was_changed() {
    let key = signer().public();
    let (one, many) = (for_recipient(), for_group(Cipher::Gcm));
    let mut out = [0; 256];
    let content = |bytes| inspect(bytes).unwrap().verify(&key, &context()).unwrap().content().unwrap();
    let Content::ForRecipient(sealed) = content(&one) else { panic!("{one:?}") };
    let mut other = P256Agreement::from_secret(&[6; 32]).unwrap();
    assert_eq!(sealed.open(&mut other, &mut out), Err(OpenError::OtherKey));
    let Content::ForGroup(sealed) = content(&many) else { panic!("{many:?}") };
    let epoch = GroupKey::new("plant", Epoch(8), &[3; 16]).unwrap();
    assert_eq!(sealed.open(&epoch, &mut out), Err(OpenError::OtherKey));
    for other in [GroupKey::new("plant-2", Epoch(7), &[3; 16]), GroupKey::new("plant", Epoch(7), &[4; 16])] {
        assert_eq!(sealed.open(&other.unwrap(), &mut out), Err(OpenError::Unreadable));
    }
    let upper = GroupKey::new("PLANT", Epoch(7), &[3; 16]).unwrap();
    assert_eq!(sealed.open(&upper, &mut out), Ok(SECRET), "a name is one in all spellings");
}

/// The first design derived a sender's key from the device's name alone. A device whose key was replaced began again at number 1, and
/// used the same key with the same nonce for another message.
#[test]
fn a_new_signing_key_is_a_new_key_in_the_group() {
    let by = |seed: u8| {
        made(|out| {
            let mut signer = Ed25519Key::from_seed(&[seed; 32]);
            sign_for_group(&message(), &context(), &mut signer, &group(), Cipher::Gcm, out)
        })
    };
    let (old, new) = (by(7), by(8));
    let sealed = |message: &[u8]| {
        let inside = inspect(message).unwrap().payload.to_vec();
        let text = inside.len() - SECRET.len() - 16;
        // Without the tag, which differs by the context alone.
        inside[text..][..SECRET.len()].to_vec()
    };
    assert_ne!(sealed(&old), sealed(&new));
    let mut up = context();
    up.direction = Direction::Up { device: "pump-1" };
    let up = made(|out| sign_for_group(&message(), &up, &mut signer(), &group(), Cipher::Gcm, out));
    assert_ne!(sealed(&old), sealed(&up), "both directions of one device");
}

/// A sender that keeps a number of its own for nonces would use one twice sooner or later, and no reader could see it.
#[test]
fn the_number_inside_is_the_number_of_the_message() {
    let other = Message { claims: Claims { sequence: Sequence(78), ..claims() }, ..message() };
    let other = made(|out| sign_for_group(&other, &context(), &mut signer(), &group(), Cipher::Gcm, out));
    let inside = inspect(&other).unwrap().payload;
    let opened = open(&signed_again(&for_group(Cipher::Gcm), inside));
    let Err(OpenError::Malformed(Malformed { fault, .. })) = opened else { panic!("{opened:?}") };
    assert_eq!(fault, Fault::Expected("the number of the message, as in its claims"));
}

/// Holds the recipient's identifier, and takes any point: a chip that does not look draws its secret out of itself bit by bit.
struct Careless;

impl crate::recipient::Agreement for Careless {
    fn kid(&self) -> Kid {
        recipient().kid()
    }
    fn agree(&mut self, _: &PublicKey) -> Result<crate::SharedSecret, Unavailable> {
        panic!("it was asked to agree with a point beside the curve")
    }
}

#[test]
fn a_point_beside_the_curve_never_reaches_the_key() {
    let message = for_recipient();
    let mut inside = inspect(&message).unwrap().payload.to_vec();
    // The last byte is the empty byte string, before it y ends.
    let last = inside.len() - 2;
    inside[last] ^= 1;
    let message = signed_again(&message, &inside);
    let key = signer().public();
    let verified = inspect(&message).unwrap().verify(&key, &context()).unwrap();
    let Content::ForRecipient(sealed) = verified.content().unwrap() else { panic!("it is for one") };
    assert_eq!(sealed.open(&mut Careless, &mut [0; 64]), Err(OpenError::BadPoint));
}

#[test]
fn what_does_not_open_leaves_nothing_in_the_buffer() {
    let key = signer().public();
    for message in [for_recipient(), for_group(Cipher::Gcm), for_group(Cipher::Ccm)] {
        let mut inside = inspect(&message).unwrap().payload.to_vec();
        // The last byte of the group's tag; a byte inside the text of the other.
        let place = if inside[0] == 0x83 { inside.len() - 1 } else { 26 };
        inside[place] ^= 1;
        let message = signed_again(&message, &inside);
        let verified = inspect(&message).unwrap().verify(&key, &context()).unwrap();
        let mut out = [0xaa; 64];
        let opened = match verified.content().unwrap() {
            Content::ForRecipient(sealed) => sealed.open(&mut recipient(), &mut out).map(<[u8]>::len),
            Content::ForGroup(sealed) => sealed.open(&group(), &mut out).map(<[u8]>::len),
            Content::Plain { .. } => panic!("it is encrypted"),
        };
        assert_eq!(opened, Err(OpenError::Unreadable));
        assert_eq!(out[..SECRET.len()], [0; SECRET.len()]);
    }
}

/// Fails after what is to be encrypted has been written.
struct Broken(Ed25519Key);

impl crate::sign::Signer for Broken {
    fn algorithm(&self) -> Algorithm {
        self.0.algorithm()
    }
    fn kid(&self) -> Kid {
        self.0.kid()
    }
    fn sign(&mut self, _: &ToBeSigned<'_>) -> Result<[u8; 64], Unavailable> {
        Err(Unavailable(0x101))
    }
}

#[test]
fn a_signer_that_fails_leaves_nothing_in_the_buffer() {
    let mut out = [0xaa; 256];
    let failed = sign(&message(), &context(), &mut Broken(signer()), &mut out);
    assert_eq!(failed, Err(SealError::Unavailable(Unavailable(0x101))));
    assert!(!out.windows(SECRET.len()).any(|window| window == SECRET));
}

#[test]
fn a_buffer_that_is_too_short_says_what_is_needed_and_one_of_that_length_does() {
    let mut none = [];
    let to = recipient().public();
    let makes: [Make<'_>; 3] = [
        &|out| sign(&message(), &context(), &mut signer(), out),
        &|out| sign_for_recipient(&message(), &context(), &mut signer(), &to, &mut Counting(0), out),
        &|out| sign_for_group(&message(), &context(), &mut signer(), &group(), Cipher::Ccm, out),
    ];
    for make in makes {
        let Err(SealError::NoRoom(room)) = make(&mut none) else { panic!("there was room in nothing") };
        let mut out = std::vec![0; room.needed];
        assert_eq!(make(&mut out[1..]), Err(SealError::NoRoom(room)));
        assert_eq!(make(&mut out), Ok(room.needed));
    }
}

#[test]
fn what_no_verifier_would_take_is_not_signed() {
    let mut out = [0; 256];
    let mut sign =
        |message: &Message<'_>, context: &Context<'_>| sign(message, context, &mut signer(), &mut out);
    let undated = Claims { issued: None, ..claims() };
    assert_eq!(sign(&Message { claims: undated, ..message() }, &context()), Err(SealError::Undated));
    for reserved in [16, 96] {
        let message = Message { format: Some(Format(reserved)), ..message() };
        assert_eq!(sign(&message, &context()), Err(SealError::ReservedFormat));
    }
    for (context, error) in [
        (Context { installation: "", ..context() }, ContextError::Installation),
        (Context { direction: Direction::Up { device: "a/b" }, ..context() }, ContextError::Device),
        (Context { topic: "", ..context() }, ContextError::Topic),
        (Context { topic: "plant/+", ..context() }, ContextError::Topic),
        (Context { correlation: Some(&[0; 65_536]), ..context() }, ContextError::Correlation),
    ] {
        assert_eq!(sign(&message(), &context), Err(SealError::Context(error)));
    }
    let long = Message { payload: &[0; MESSAGE_BYTES], ..message() };
    assert_eq!(sign(&long, &context()), Err(SealError::TooLong));
    let to = signer().public();
    let sealed = sign_for_recipient(&message(), &context(), &mut signer(), &to, &mut Counting(0), &mut out);
    assert_eq!(sealed, Err(SealError::NoAgreementKey));
}

#[test]
fn the_key_decides_about_the_algorithm_and_another_key_is_named() {
    let message = made(|out| sign(&message(), &context(), &mut signer(), out));
    let found = inspect(&message).unwrap();
    let nowhere = Context { topic: "plant/#", ..context() };
    let refused = found.verify(&signer().public(), &nowhere).err();
    assert_eq!(refused, Some(Refused::Context(ContextError::Topic)));
    let other = Ed25519Key::from_seed(&[8; 32]).public();
    assert_eq!(found.verify(&other, &context()).err(), Some(Refused::OtherKey));
    /// Has the identifier of the right key and another algorithm.
    struct Confused(PublicKey);
    impl Verifier for Confused {
        fn algorithm(&self) -> Algorithm {
            Algorithm::Es256
        }
        fn kid(&self) -> Kid {
            self.0.kid()
        }
        fn check(&self, _: &ToBeSigned<'_>, _: &[u8; 64]) -> Result<(), BadSignature> {
            Ok(())
        }
    }
    let refused = found.verify(&Confused(signer().public()), &context()).err();
    let (key, message) = (Algorithm::Es256, Algorithm::Ed25519);
    assert_eq!(refused, Some(Refused::OtherAlgorithm { key, message }));
}

#[test]
fn a_key_set_is_read_as_it_was_signed_and_only_if_it_is_for_all() {
    let keys = [
        (signer().public(), Purpose::Sign),
        (recipient().public(), Purpose::Agree),
        (Ed25519Key::from_seed(&[9; 32]).public(), Purpose::Sign),
    ];
    let all = Context { direction: Direction::All, topic: "$keyward/keys/server", ..context() };
    let message = made(|out| sign_key_set(&keys, claims(), &all, &mut signer(), out));
    let root = signer().public();
    let verified = inspect(&message).unwrap().verify(&root, &all).unwrap();
    let set = KeySet::read(&verified).unwrap();
    assert_eq!(set.version(), Sequence(77));
    assert!(set.keys().map(|(key, purpose)| (*key, purpose)).eq(keys));
    assert_eq!(set.find(recipient().kid(), Purpose::Agree), Some(&recipient().public()));
    assert_eq!(set.find(recipient().kid(), Purpose::Sign), None, "a key that agrees verifies nothing");

    let down = made(|out| sign_key_set(&keys, claims(), &context(), &mut signer(), out));
    let verified = inspect(&down).unwrap().verify(&root, &context()).unwrap();
    assert!(KeySet::read(&verified).is_err(), "for one device");
    let for_both = (recipient().public(), Purpose::Sign);
    for twice in [[keys[0], keys[0]], [keys[1], for_both]] {
        let message = made(|out| sign_key_set(&twice, claims(), &all, &mut signer(), out));
        let verified = inspect(&message).unwrap().verify(&root, &all).unwrap();
        assert_eq!(KeySet::read(&verified).unwrap_err().fault, Fault::SameKid);
    }
    // One key of Ed25519 without identifier and purpose: good to register, not here.
    let mut bare = std::vec![0x81, 0xa3, 0x01, 0x01, 0x20, 0x06, 0x21, 0x58, 0x20];
    bare.extend(signer().public().to_ed25519().unwrap());
    assert!(PublicKey::from_cose(&bare[1..]).is_ok());
    for payload in [&bare, &[0x80, 0x00][..], &[0x81], &[0x89], &[0xa0], &[]] {
        let message = Message { format: Some(Format::KEY_SET), payload, ..self::message() };
        let message = made(|out| sign(&message, &all, &mut signer(), out));
        let verified = inspect(&message).unwrap().verify(&root, &all).unwrap();
        assert!(KeySet::read(&verified).is_err(), "{payload:?}");
    }
    let plain = made(|out| sign(&self::message(), &all, &mut signer(), out));
    let verified = inspect(&plain).unwrap().verify(&root, &all).unwrap();
    assert!(KeySet::read(&verified).is_err(), "something else that the root said");
    let many = [keys[0]; 9];
    assert_eq!(sign_key_set(&many, claims(), &all, &mut signer(), &mut [0; 1024]), Err(SealError::TooLong));
}
