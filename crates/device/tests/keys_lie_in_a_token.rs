//! Keys in a token that PKCS #11 reaches, shown with SoftHSM: they never leave it, and nothing that could leave it is taken for one.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]
#![allow(clippy::panic, clippy::print_stderr, reason = "a story that was not shown says so")]
#![allow(clippy::disallowed_methods, reason = "tests plant files as an owner would")]

mod contract;
mod softhsm;

use cryptoki::mechanism::Mechanism;
use cryptoki::object::{Attribute, AttributeType, KeyType, ObjectClass};
use cryptoki::types::AuthPin;
use keyward_device::{Generation, KeyError, KeyStore, Protection, Role};
use keyward_envelope::software::P256Key;
use softhsm::{PIN, with_a_token};
use std::fs;
use std::os::unix::fs::PermissionsExt as _;

const P256: [u8; 10] = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];

fn tls(store: &dyn KeyStore) -> [u8; 65] {
    store.public(Role::Tls, Generation::Current).unwrap()
}

#[test]
fn a_token_does_what_it_promises() {
    with_a_token("a_token_does_what_it_promises", |token| {
        contract::a_store_does_what_it_promises(|| token.spec().create().unwrap(), || token.spec().open());
        let again = token.spec().create().unwrap();
        assert_eq!(again.protection(), Protection::Hardware);
        assert!(token.spec().create().unwrap_err().to_string().contains("already"));
        let other = token.named("token=fleet%201;object=pump-8").create().unwrap();
        assert_ne!(tls(&*again), tls(&*other), "two devices can have keys in one token");
    });
}

#[test]
fn no_private_key_can_be_read_out_of_the_token() {
    with_a_token("no_private_key_can_be_read_out_of_the_token", |token| {
        let _store = token.spec().create().unwrap();
        let session = token.session();
        let inside = [ObjectClass::PRIVATE_KEY, ObjectClass::SECRET_KEY].map(|class| {
            let found = session.find_objects(&[Attribute::Class(class)]).unwrap();
            for key in &found {
                assert!(session.get_attributes(*key, &[AttributeType::Value]).unwrap().is_empty());
                let opened = session.update_attributes(*key, &[Attribute::Extractable(true)]);
                assert!(opened.is_err(), "what is closed cannot be opened");
            }
            found.len()
        });
        assert_eq!(inside, [3, 1]);
    });
}

#[test]
fn a_key_that_could_be_taken_out_is_refused() {
    with_a_token("a_key_that_could_be_taken_out_is_refused", |token| {
        let store = token.spec().create().unwrap();
        let session = token.session();
        let half = |private: bool| {
            let own = if private {
                vec![Attribute::Sensitive(false), Attribute::Extractable(true), Attribute::Sign(true)]
            } else {
                vec![Attribute::EcParams(P256.to_vec())]
            };
            let both = [
                Attribute::Token(true),
                Attribute::Private(private),
                Attribute::Label(b"keyward:pump-7:tls:2".to_vec()),
                Attribute::Id(b"planted".to_vec()),
            ];
            [own, both.to_vec()].concat()
        };
        session.generate_key_pair(&Mechanism::EccKeyPairGen, &half(false), &half(true)).unwrap();
        let error = token.spec().open().unwrap_err().to_string();
        assert!(error.contains("keyward:pump-7:tls:2") && error.contains("not level 2"), "{error}");
        drop(session);
        token.lose_sessions();
        assert!(store.sign(Role::Tls, Generation::Current, &[1; 32]).is_err());
        store.destroy().unwrap();
        assert!(matches!(token.spec().open(), Err(KeyError::Missing { .. })), "it keeps no other key alive");
    });
}

#[test]
fn a_key_that_signs_and_agrees_is_refused() {
    with_a_token("a_key_that_signs_and_agrees_is_refused", |token| {
        drop(token.spec().create().unwrap());
        let session = token.session();
        let common = [
            Attribute::Token(true),
            Attribute::Label(b"keyward:pump-7:tls:2".to_vec()),
            Attribute::Id(b"both".to_vec()),
        ];
        let public = [&common[..], &[Attribute::EcParams(P256.to_vec())]].concat();
        let private = [
            &common[..],
            &[
                Attribute::Private(true),
                Attribute::Sensitive(true),
                Attribute::Extractable(false),
                Attribute::Sign(true),
                Attribute::Derive(true),
            ],
        ]
        .concat();
        session.generate_key_pair(&Mechanism::EccKeyPairGen, &public, &private).unwrap();
        let error = token.spec().open().unwrap_err().to_string();
        assert!(error.contains("sign and agree"), "{error}");
    });
}

#[test]
fn a_session_that_was_lost_is_opened_again() {
    with_a_token("a_session_that_was_lost_is_opened_again", |token| {
        let store = token.spec().create().unwrap();
        let wrapped = store.wrap(&[7; 32]).unwrap();
        for _ in 0..3 {
            token.lose_sessions();
            store.sign(Role::Message, Generation::Current, &[1; 32]).unwrap();
            token.lose_sessions();
            assert_eq!(*store.unwrap(&wrapped).unwrap(), [7; 32]);
            token.lose_sessions();
            let next = store.prepare(Role::Tls).unwrap();
            token.lose_sessions();
            store.promote(Role::Tls).unwrap();
            assert_eq!(tls(&*store), next);
        }
    });
}

#[test]
fn another_token_in_the_place_of_the_first_is_recognised() {
    with_a_token("another_token_in_the_place_of_the_first_is_recognised", |token| {
        let store = token.spec().create().unwrap();
        let other = token.spec().open().unwrap();
        other.destroy().unwrap();
        drop(other);
        let other = token.spec().create().unwrap();
        token.lose_sessions();
        let error = store.sign(Role::Tls, Generation::Current, &[1; 32]).unwrap_err().to_string();
        assert!(error.contains("another token"), "{error}");
        other.sign(Role::Tls, Generation::Current, &[1; 32]).unwrap();
    });
}

#[test]
fn a_wrong_pin_is_tried_once() {
    with_a_token("a_wrong_pin_is_tried_once", |token| {
        let store = token.spec().create().unwrap();
        let session = token.session();
        session.set_pin(&AuthPin::from(PIN), &AuthPin::from("another-pin")).unwrap();
        drop(session);
        token.lose_sessions();
        let sign = || store.sign(Role::Tls, Generation::Current, &[1; 32]).unwrap_err().to_string();
        let (first, second) = (sign(), sign());
        assert!(first.contains("tried once") && second.contains("refused before"), "{first}\n{second}");
        assert!(!first.contains(PIN) && !format!("{store:?}").contains(PIN));
        let opened = token.spec().open().unwrap_err().to_string();
        assert!(opened.contains("refused the PIN"), "{opened}");
        token.write_pin("another-pin");
        assert!(token.spec().open().is_ok());
    });
}

#[test]
fn a_pin_that_others_can_read_or_that_is_missing_is_said() {
    with_a_token("a_pin_that_others_can_read_or_that_is_missing_is_said", |token| {
        fs::set_permissions(token.pin_file(), fs::Permissions::from_mode(0o644)).unwrap();
        assert!(token.spec().create().unwrap_err().to_string().contains("chmod 600"));
        token.write_pin("");
        assert!(token.spec().create().unwrap_err().to_string().contains("holds no PIN"));
        let text = token.spec().to_string();
        let without: keyward_device::KeySpec = text.split("&pin-source").next().unwrap().parse().unwrap();
        let error = without.create().unwrap_err().to_string();
        assert!(error.contains("KEYWARD_PIN_FILE"), "{error}");
    });
}

#[test]
fn a_token_that_is_not_there_is_asked_for_beside_those_that_are() {
    with_a_token("a_token_that_is_not_there_is_asked_for_beside_those_that_are", |token| {
        let error = token.named("token=fleet%202").open().unwrap_err().to_string();
        assert!(error.contains("plugged in") && error.contains("\"fleet 1\""), "{error}");
        let error = token.named("serial=x").open().unwrap_err().to_string();
        assert!(error.contains("plugged in"), "{error}");
        assert!(matches!(token.named("token=fleet%201").open(), Err(KeyError::Missing { .. })));
        let none: keyward_device::KeySpec = "pkcs11:?module-path=/no/such/library.so".parse().unwrap();
        assert!(none.open().unwrap_err().to_string().contains("cannot be used"));
    });
}

#[test]
fn a_promotion_that_a_power_cut_ended_is_finished() {
    with_a_token("a_promotion_that_a_power_cut_ended_is_finished", |token| {
        let store = token.spec().create().unwrap();
        let next = store.prepare(Role::Tls).unwrap();
        drop(store);
        let session = token.session();
        let halves = token.find(&session, "tls:2:next");
        assert_eq!(halves.len(), 2);
        for half in halves {
            let class = session.get_attributes(half, &[AttributeType::Class]).unwrap();
            if class == [Attribute::Class(ObjectClass::PRIVATE_KEY)] {
                session
                    .update_attributes(half, &[Attribute::Label(b"keyward:pump-7:tls:2".to_vec())])
                    .unwrap();
            }
        }
        let store = token.spec().open().unwrap();
        assert_eq!(tls(&*store), next);
        assert!(token.find(&session, "tls:1").is_empty(), "the one before it is destroyed");
        store.sign(Role::Tls, Generation::Current, &[1; 32]).unwrap();
        assert_ne!(store.prepare(Role::Tls).unwrap(), next);
    });
}

#[test]
fn half_a_pair_that_a_power_cut_left_is_swept_away() {
    with_a_token("half_a_pair_that_a_power_cut_left_is_swept_away", |token| {
        let current = tls(&*token.spec().create().unwrap());
        for left in [ObjectClass::PUBLIC_KEY, ObjectClass::PRIVATE_KEY] {
            token.spec().open().unwrap().prepare(Role::Tls).unwrap();
            let session = token.session();
            for half in token.find(&session, "tls:2:next") {
                if session.get_attributes(half, &[AttributeType::Class]).unwrap() != [Attribute::Class(left)]
                {
                    session.destroy_object(half).unwrap();
                }
            }
            let opened = token.spec().open().unwrap();
            assert_eq!(tls(&*opened), current);
            assert!(matches!(opened.promote(Role::Tls), Err(KeyError::Missing { .. })));
            assert!(token.find(&session, "tls:2:next").is_empty());
        }
    });
}

#[test]
fn without_the_wrapping_key_what_is_left_is_nobodys() {
    with_a_token("without_the_wrapping_key_what_is_left_is_nobodys", |token| {
        let store = token.spec().create().unwrap();
        let old = tls(&*store);
        drop(store);
        let session = token.session();
        session.destroy_object(token.find(&session, "wrapping")[0]).unwrap();
        let error = token.spec().open().unwrap_err();
        assert!(
            matches!(error, KeyError::Missing { .. }) && error.to_string().contains("interrupted"),
            "{error}"
        );
        let store = token.spec().create().unwrap();
        assert_ne!(tls(&*store), old);
        assert_eq!(token.find(&session, "tls:1").len(), 2);
    });
}

#[test]
fn a_key_that_was_brought_in_is_refused() {
    with_a_token("a_key_that_was_brought_in_is_refused", |token| {
        drop(token.spec().create().unwrap());
        let session = token.session();
        let common = [
            Attribute::Token(true),
            Attribute::KeyType(KeyType::EC),
            Attribute::EcParams(P256.to_vec()),
            Attribute::Label(b"keyward:pump-7:message:2".to_vec()),
            Attribute::Id(b"brought in".to_vec()),
        ];
        let private = [
            Attribute::Class(ObjectClass::PRIVATE_KEY),
            Attribute::Private(true),
            Attribute::Sensitive(true),
            Attribute::Extractable(false),
            Attribute::Sign(true),
            Attribute::Derive(false),
            Attribute::Value(vec![9; 32]),
        ];
        session.create_object(&[&common[..], &private].concat()).unwrap();
        let theirs = P256Key::from_secret(&[9; 32]).unwrap().public().to_sec1().unwrap();
        let public = [
            Attribute::Class(ObjectClass::PUBLIC_KEY),
            Attribute::EcPoint([&[0x04, 0x41][..], &theirs].concat()),
        ];
        session.create_object(&[&common[..], &public].concat()).unwrap();
        let error = token.spec().open().unwrap_err().to_string();
        assert!(error.contains("was not made in the token"), "{error}");
    });
}

#[test]
fn a_public_key_that_was_planted_in_the_token_is_recognised() {
    with_a_token("a_public_key_that_was_planted_in_the_token_is_recognised", |token| {
        for (number, role) in ["message", "agreement", "tls"].into_iter().enumerate() {
            let object = format!("pump-{number}");
            let spec = token.named(&format!("token=fleet%201;object={object}"));
            drop(spec.create().unwrap());
            let session = token.session();
            let label = Attribute::Label(format!("keyward:{object}:{role}:1").into_bytes());
            let template = [Attribute::Class(ObjectClass::PUBLIC_KEY), label.clone()];
            let real = session.find_objects(&template).unwrap()[0];
            let id = session.get_attributes(real, &[AttributeType::Id]).unwrap()[0].clone();
            session.destroy_object(real).unwrap();
            let theirs = P256Key::from_secret(&[9; 32]).unwrap().public().to_sec1().unwrap();
            let planted = [
                Attribute::Class(ObjectClass::PUBLIC_KEY),
                Attribute::Token(true),
                Attribute::KeyType(KeyType::EC),
                Attribute::EcParams(P256.to_vec()),
                Attribute::EcPoint([&[0x04, 0x41][..], &theirs].concat()),
                label,
                id,
            ];
            session.create_object(&planted).unwrap();
            let error = spec.open().unwrap_err().to_string();
            assert!(error.contains("do not belong together") && error.contains(role), "{error}");
        }
    });
}

#[test]
fn a_key_in_use_whose_public_half_was_removed_is_not_destroyed_for_it() {
    with_a_token("a_key_in_use_whose_public_half_was_removed_is_not_destroyed_for_it", |token| {
        drop(token.spec().create().unwrap());
        let session = token.session();
        let label = Attribute::Label(b"keyward:pump-7:tls:1".to_vec());
        let public = [Attribute::Class(ObjectClass::PUBLIC_KEY), label];
        let half = session.find_objects(&public).unwrap()[0];
        let asked = [AttributeType::EcPoint, AttributeType::Id, AttributeType::EcParams];
        let copied = session.get_attributes(half, &asked).unwrap();
        session.destroy_object(half).unwrap();
        let error = token.spec().open().unwrap_err().to_string();
        assert!(error.contains("public half") && error.contains("tls:1"), "{error}");
        let rest = [Attribute::Token(true), Attribute::KeyType(KeyType::EC)];
        session.create_object(&[&public[..], &copied, &rest].concat()).unwrap();
        token.spec().open().unwrap().sign(Role::Tls, Generation::Current, &[1; 32]).unwrap();
    });
}
