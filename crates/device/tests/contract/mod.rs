//! What every key store has to do, wherever its keys are.

use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use keyward_device::{Generation, KeyError, KeyStore, Role, signing_request};
use keyward_envelope::software::P256Agreement;
use keyward_envelope::{Agreement, PublicKey};
use std::sync::Arc;

const MESSAGE: &[u8] = b"21.5";

/// Lets a store that `make` makes and `open` opens again go through a life. `open` is called when the one before is gone.
pub(crate) fn a_store_does_what_it_promises(
    make: impl FnOnce() -> Arc<dyn KeyStore>,
    open: impl Fn() -> Result<Arc<dyn KeyStore>, KeyError>,
) {
    let store = make();
    signs_with_both_roles(&*store);
    agrees_as_the_other_side_does(&*store);
    refuses_what_makes_no_sense(&*store);
    let wrapped = wraps(&*store);
    let publics = Role::ALL.map(|role| store.public(role, Generation::Current).unwrap());
    drop(store);

    let store = open().unwrap();
    assert_eq!(publics, Role::ALL.map(|role| store.public(role, Generation::Current).unwrap()));
    assert_eq!(*store.unwrap(&wrapped).unwrap(), [7; 32], "what was wrapped opens after a restart");
    let next = prepares(&*store);
    drop(store);

    let store = open().unwrap();
    promotes(&*store, next);
    assert_eq!(*store.unwrap(&wrapped).unwrap(), [7; 32], "other keys change nothing about what is wrapped");
    drop(store);

    let store = open().unwrap();
    assert_eq!(store.public(Role::Tls, Generation::Current).unwrap(), next, "the promoted key stays");
    signs_with_both_roles(&*store);
    store.destroy().unwrap();
    is_gone(&*store, &wrapped);
    drop(store);
    assert!(matches!(open(), Err(KeyError::Missing { .. })), "what was destroyed does not come back");
}

fn digest(message: &[u8]) -> [u8; 32] {
    aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, message).as_ref().try_into().unwrap()
}

fn signs(store: &dyn KeyStore, role: Role, generation: Generation) {
    let signature = store.sign(role, generation, &digest(MESSAGE)).unwrap();
    let public = store.public(role, generation).unwrap();
    let public = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, public);
    public.verify(MESSAGE, &signature).unwrap();
    assert!(public.verify(b"21.6", &signature).is_err());
}

fn signs_with_both_roles(store: &dyn KeyStore) {
    // Some numbers of a signature are short: one in 256 begins with a zero.
    (0..16).for_each(|_| signs(store, Role::Tls, Generation::Current));
    signs(store, Role::Message, Generation::Current);
    let publics = Role::ALL.map(|role| store.public(role, Generation::Current).unwrap());
    assert!(publics[0] != publics[1] && publics[1] != publics[2] && publics[0] != publics[2]);
}

fn agrees_as_the_other_side_does(store: &dyn KeyStore) {
    let ours = PublicKey::p256(&store.public(Role::Agreement, Generation::Current).unwrap()).unwrap();
    for secret in 1..9 {
        let mut peer = P256Agreement::from_secret(&[secret; 32]).unwrap();
        let theirs = peer.agree(&ours).unwrap();
        let shared = store.agree(Generation::Current, &peer.public().to_sec1().unwrap()).unwrap();
        assert_eq!(*shared, *theirs);
    }
}

fn refuses_what_makes_no_sense(store: &dyn KeyStore) {
    let signs = store.sign(Role::Agreement, Generation::Current, &[1; 32]);
    assert!(matches!(signs, Err(KeyError::Missing { .. })), "a key that agrees never signs");
    let mut beside = P256Agreement::from_secret(&[5; 32]).unwrap().public().to_sec1().unwrap();
    beside[64] ^= 1;
    assert!(store.agree(Generation::Current, &beside).is_err(), "a point beside the curve");
    for role in Role::ALL {
        assert!(matches!(store.public(role, Generation::Next), Err(KeyError::Missing { .. })));
        assert!(matches!(store.promote(role), Err(KeyError::Missing { .. })));
    }
}

fn wraps(store: &dyn KeyStore) -> Vec<u8> {
    let wrapped = store.wrap(&[7; 32]).unwrap();
    assert_eq!(*store.unwrap(&wrapped).unwrap(), [7; 32]);
    assert!(!wrapped.windows(8).any(|bytes| bytes == [7; 8]));
    for at in 0..wrapped.len() {
        let mut other = wrapped.clone();
        other[at] ^= 1;
        assert!(store.unwrap(&other).is_err(), "byte {at} was changed");
    }
    assert!(matches!(store.unwrap(&[]), Err(KeyError::Foreign)));
    wrapped
}

fn prepares(store: &dyn KeyStore) -> [u8; 65] {
    let current = store.public(Role::Tls, Generation::Current).unwrap();
    let next = store.prepare(Role::Tls).unwrap();
    assert_ne!(next, current);
    assert_eq!(store.prepare(Role::Tls).unwrap(), next, "the same until it is promoted");
    assert_eq!(store.public(Role::Tls, Generation::Current).unwrap(), current);
    signs(store, Role::Tls, Generation::Next);
    signs(store, Role::Tls, Generation::Current);
    assert!(signing_request(store, Generation::Next, None).unwrap().contains("CERTIFICATE REQUEST"));
    store.discard(Role::Tls).unwrap();
    store.discard(Role::Tls).unwrap();
    assert!(matches!(store.public(Role::Tls, Generation::Next), Err(KeyError::Missing { .. })));
    assert_eq!(store.public(Role::Tls, Generation::Current).unwrap(), current);
    let another = store.prepare(Role::Tls).unwrap();
    assert!(another != next && another != current, "what was discarded does not come back");
    another
}

fn promotes(store: &dyn KeyStore, next: [u8; 65]) {
    let message = store.public(Role::Message, Generation::Current).unwrap();
    assert_eq!(store.public(Role::Tls, Generation::Next).unwrap(), next, "what was prepared is still there");
    store.promote(Role::Tls).unwrap();
    assert_eq!(store.public(Role::Tls, Generation::Current).unwrap(), next);
    assert!(matches!(store.public(Role::Tls, Generation::Next), Err(KeyError::Missing { .. })));
    assert_eq!(store.public(Role::Message, Generation::Current).unwrap(), message);
    signs(store, Role::Tls, Generation::Current);
    let agreement = store.prepare(Role::Agreement).unwrap();
    store.promote(Role::Agreement).unwrap();
    assert_eq!(store.public(Role::Agreement, Generation::Current).unwrap(), agreement);
    agrees_as_the_other_side_does(store);
}

fn is_gone(store: &dyn KeyStore, wrapped: &[u8]) {
    assert!(store.unwrap(wrapped).is_err());
    assert!(store.wrap(&[7; 32]).is_err());
    for role in Role::ALL {
        assert!(store.public(role, Generation::Current).is_err());
        assert!(store.prepare(role).is_err());
    }
    assert!(store.sign(Role::Tls, Generation::Current, &[1; 32]).is_err());
    store.destroy().unwrap();
}
