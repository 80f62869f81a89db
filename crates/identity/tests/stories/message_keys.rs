//! The keys by which devices sign, and those to which is encrypted: registered, rotated with an overlap, withdrawn, and never two holders of one key.

use crate::support::*;

use keyward_identity::{
    AgreementKey, Command, Kid, MessageKey, MessageKeyStatus, NewMessageKey, Refusal, SecondHolder,
    SecondHolderSign, limits,
};
use keyward_ids::Identity;
use rcgen::{KeyPair, PublicKeyData};

fn register(id: &str, key: &MessageKey) -> Command {
    Command::RegisterMessageKey { identity: id.parse().unwrap(), key: key.clone() }
}

fn retire(id: &str, kid: Kid, overlap_secs: u64) -> Command {
    Command::RetireMessageKey { identity: id.parse().unwrap(), kid, overlap_secs }
}

fn withdraw(id: &str, kid: Kid) -> Command {
    Command::WithdrawMessageKey { identity: id.parse().unwrap(), kid }
}

fn kids(house: &House, id: &str) -> Vec<Kid> {
    house.account(id).message_keys.iter().map(|held| held.key.kid()).collect()
}

fn status(house: &House, id: &str, kid: Kid) -> MessageKeyStatus {
    let account = house.account(id);
    account.message_keys.iter().find(|held| held.key.kid() == kid).unwrap().status(house.now)
}

#[test]
fn a_key_is_registered_and_is_there_after_a_start() {
    let mut house = House::new();
    house.add_device("pump-1");
    let key = message_key(7, 2);
    house.run(register("device:pump-1", &key));
    house.open().unwrap();
    let held = house.account("device:pump-1").message_keys;
    assert_eq!((held.len(), &held[0].key, held[0].registered), (1, &key, NOW));
    assert_eq!(status(&house, "device:pump-1", key.kid()), MessageKeyStatus::Active);
    let epoch = house.account("device:pump-1").epoch;
    house.run(withdraw("device:pump-1", key.kid()));
    assert_eq!(kids(&house, "device:pump-1"), []);
    assert_eq!(house.account("device:pump-1").epoch, epoch, "it opens no door: no link is closed");
}

#[test]
fn a_new_key_takes_the_place_of_the_old_one_with_an_overlap() {
    let mut house = House::new();
    house.add_device("pump-1");
    let (old, new) = (message_key(1, 0), message_key(2, 1));
    house.run(register("device:pump-1", &old));
    house.run(register("device:pump-1", &new));
    house.run(retire("device:pump-1", old.kid(), 7 * 86_400));
    let until = house.now.after(std::time::Duration::from_secs(7 * 86_400));
    assert_eq!(status(&house, "device:pump-1", old.kid()), MessageKeyStatus::Overlapping { until });
    assert!(
        !house.run(retire("device:pump-1", old.kid(), 8 * 86_400)).changed,
        "no later word gives it back"
    );
    house.now = until;
    assert_eq!(status(&house, "device:pump-1", old.kid()), MessageKeyStatus::Retired { since: until });
    assert_eq!(status(&house, "device:pump-1", new.kid()), MessageKeyStatus::Active);
    assert!(!house.run(retire("device:pump-1", old.kid(), 0)).changed, "it is retired already");
    house.run(retire("device:pump-1", new.kid(), 0));
    assert_eq!(status(&house, "device:pump-1", new.kid()), MessageKeyStatus::Retired { since: until });
    let refusal = house.refused(retire("device:pump-1", new.kid(), 93 * 86_400));
    assert!(refusal.to_string().contains("at most 92 days"), "{refusal}");
}

#[test]
fn a_device_has_a_key_once_and_four_at_most() {
    let mut house = House::new();
    house.add_device("pump-1");
    for n in 1..=4 {
        house.run(register("device:pump-1", &message_key(n, 0)));
    }
    let again = house.refused(register("device:pump-1", &message_key(3, 1)));
    assert!(matches!(again, Refusal::HasMessageKey { .. }), "{again}");
    let fifth = house.refused(register("device:pump-1", &message_key(5, 0)));
    assert!(fifth.to_string().contains("keyward keys withdraw device:pump-1 KID"), "{fifth}");
    house.run(withdraw("device:pump-1", message_key(2, 0).kid()));
    house.run(register("device:pump-1", &message_key(5, 0)));
    let unknown = house.refused(withdraw("device:pump-1", message_key(2, 0).kid()));
    assert!(unknown.to_string().contains("keyward keys list device:pump-1"), "{unknown}");
}

/// What was signed by a key that was withdrawn could be sent again, if the key came back to a device whose numbers are forgotten.
#[test]
fn a_key_that_was_withdrawn_never_comes_back_to_anybody() {
    let mut house = House::new();
    house.add_device("pump-1");
    house.add_device("pump-2");
    let key = message_key(7, 0);
    house.run(register("device:pump-1", &key));
    let other = house.refused(register("device:pump-2", &key));
    assert!(matches!(other, Refusal::KeyHeld { .. }), "{other}");
    house.run(withdraw("device:pump-1", key.kid()));
    for id in ["device:pump-1", "device:pump-2"] {
        let refusal = house.refused(register(id, &key));
        assert!(matches!(refusal, Refusal::KeyHeld { .. }), "{refusal}");
    }
    house.open().unwrap();
    house.refused(register("device:pump-2", &key));
}

#[test]
fn a_key_signs_messages_or_opens_the_door_not_both() {
    let mut house = House::new();
    let pair = KeyPair::generate().unwrap();
    let mut nameless = rcgen::CertificateParams::default();
    nameless.distinguished_name = rcgen::DistinguishedName::new();
    let request = || nameless.serialize_request(&pair).unwrap().der().to_vec();
    let key = MessageKey::read_file(public_pem(&pair.subject_public_key_info()).as_bytes(), 0).unwrap();
    house.run(device("pump-1", csr(request())));
    let refusal = house.refused(register("device:pump-1", &key));
    assert!(refusal.to_string().contains("one purpose"), "{refusal}");

    let mut house = House::new();
    house.add_device("pump-1");
    house.run(register("device:pump-1", &key));
    let certify = Command::AddCertificate {
        identity: "device:pump-1".parse().unwrap(),
        key: keyward_identity::KeySource::Csr(request()),
        lifetime_days: None,
        replace: false,
    };
    assert!(matches!(house.refused(certify), Refusal::KeyHeld { .. }));
    let release = Command::ReleaseKey { key: key.id() };
    assert!(matches!(house.refused(release), Refusal::KeyHeld { .. }), "it is in use");
}

#[test]
fn revocation_and_removal_end_the_keys_and_only_devices_have_some() {
    let mut house = House::new();
    for (n, id) in [(1, "a"), (2, "b")] {
        house.add_device(id);
        house.run(register(&format!("device:{id}"), &message_key(n, 0)));
    }
    house.run(Command::Revoke {
        identity: "device:a".parse().unwrap(),
        keep_messages: true,
        publish_will: false,
    });
    house.run(Command::Remove { identity: "device:b".parse().unwrap() });
    assert_eq!((kids(&house, "device:a"), kids(&house, "device:b")), (vec![], vec![]));
    assert!(matches!(house.refused(register("device:a", &message_key(3, 0))), Refusal::IsRevoked(_)));
    house.add_device("b");
    assert_eq!(kids(&house, "device:b"), [], "another life has other keys");
    let user: Identity = "user:app".parse().unwrap();
    let refusal = house.refused(register(&user.to_string(), &message_key(4, 0)));
    assert!(matches!(refusal, Refusal::SignsNothing(of) if of == user));
}

#[test]
fn the_first_proof_that_two_hold_a_key_stands_in_the_ledger_until_the_key_goes() {
    let mut house = House::new();
    house.add_device("pump-1");
    let (old, new) = (message_key(1, 0), message_key(2, 0));
    house.run(register("device:pump-1", &old));
    house.run(register("device:pump-1", &new));
    let note = |number, kid| Command::NoteSecondHolder {
        identity: "device:pump-1".parse().unwrap(),
        kid,
        evidence: SecondHolder {
            sign: SecondHolderSign::Equivocation { tag: 1, earlier: 2 },
            number,
            highest: 9,
            digest: [7; 32],
            topic: "ü".repeat(70_000),
            hosts: vec!["192.0.2.1".to_owned(); 100],
        },
        quarantine: Some("two hold it".to_owned()),
    };
    assert!(house.run(note(7, old.kid())).changed);
    assert!(!house.run(note(8, old.kid())).changed, "whoever has the key must not write the ledger full");
    assert!(!house.run(note(8, new.kid())).changed, "one of a device is enough");
    let account = house.account("device:pump-1");
    let (held, found) = account.second_holder().unwrap();
    assert_eq!((held.key.kid(), found.evidence.number, found.at), (old.kid(), 7, house.now));
    assert!(found.evidence.topic.len() <= limits::EVIDENCE_TOPIC_BYTES && found.evidence.topic.len() > 250);
    assert_eq!(found.evidence.hosts.len(), limits::EVIDENCE_HOSTS);
    assert!(account.quarantine.is_some(), "in the same record");
    assert!(!account.is_trusted());
    house.run(withdraw("device:pump-1", old.kid()));
    assert!(house.account("device:pump-1").second_holder().is_none());
    assert!(matches!(house.refused(note(9, old.kid())), Refusal::NoSuchMessageKey { .. }));
    assert!(house.run(note(9, new.kid())).changed);
    house.run(retire("device:pump-1", new.kid(), 60));
    assert!(house.account("device:pump-1").second_holder().is_none());
    assert!(house.run(note(10, new.kid())).changed, "it goes on until then");
}

#[test]
fn a_device_that_lost_count_gets_another_key_or_a_code_and_its_old_ones_never_come_back() {
    let mut house = House::new();
    house.add_device("pump-1");
    let rekey = |with| Command::Rekey { id: "pump-1".parse().unwrap(), with };
    for n in 1..=4 {
        house.run(register("device:pump-1", &message_key(n, 0)));
    }
    let again = house.refused(rekey(NewMessageKey::Key(message_key(2, 0))));
    assert!(matches!(again, Refusal::KeyHeld { .. }), "it signed under numbers that are lost: {again}");
    let revision = house.account("device:pump-1").epoch;
    let outcome = house.run(rekey(NewMessageKey::Key(message_key(5, 2))));
    assert!(outcome.changed && outcome.claim_code.is_none());
    assert_eq!(kids(&house, "device:pump-1"), [message_key(5, 2).kid()]);
    assert_eq!(house.account("device:pump-1").epoch, revision, "its certificate stays");
    let code = house.run(rekey(NewMessageKey::ClaimCode { seconds: 3_600 })).claim_code;
    assert!(code.is_some());
    assert_eq!(kids(&house, "device:pump-1"), []);
    assert_eq!(house.account("device:pump-1").certificates.len(), 1, "until the code is used");
    let short = house.refused(rekey(NewMessageKey::ClaimCode { seconds: 1 }));
    assert!(matches!(short, Refusal::ClaimLife { .. }), "{short}");
    for n in 1..=5 {
        let held = house.refused(register("device:pump-1", &message_key(n, 0)));
        assert!(matches!(held, Refusal::KeyHeld { .. }), "{held}");
    }
}

#[test]
fn devices_and_users_have_keys_to_encrypt_to_which_are_nobodys_other_key() {
    let mut house = House::new();
    house.add_device("pump-1");
    house.run(user("app", generated_password()));
    for id in ["device:pump-1", "user:app"] {
        let key = agree(&mut house, id);
        house.open().unwrap();
        assert_eq!(house.account(id).agreement_keys[0].key, key);
        let again = Command::RegisterAgreementKey { identity: id.parse().unwrap(), key: key.clone() };
        assert!(matches!(house.refused(again), Refusal::HasMessageKey { .. }));
        let signs = MessageKey::read_file(&signing_form(&key), 0).unwrap();
        for other in ["device:pump-1", "user:app"] {
            house.refused(register(other, &signs));
        }
    }
    for _ in 2..=limits::MESSAGE_KEYS_PER_ACCOUNT {
        agree(&mut house, "user:app");
    }
    let fifth = Command::RegisterAgreementKey { identity: "user:app".parse().unwrap(), key: agreement_key() };
    assert!(matches!(house.refused(fifth), Refusal::TooManyMessageKeys { .. }));
}

/// Spells a key to encrypt to as one that signs: two bytes differ.
fn signing_form(key: &AgreementKey) -> Vec<u8> {
    let mut cose = key.cose();
    cose[13..15].copy_from_slice(&[0x03, 0x26]);
    cose
}

#[test]
fn a_key_to_encrypt_to_is_retired_withdrawn_and_ends_with_its_holder() {
    let mut house = House::new();
    house.add_device("pump-1");
    let (first, second) = (agree(&mut house, "device:pump-1"), agree(&mut house, "device:pump-1"));
    let identity = || "device:pump-1".parse().unwrap();
    house.run(Command::RetireMessageKey { identity: identity(), kid: first.kid(), overlap_secs: 60 });
    let held = house.account("device:pump-1").agreement_keys;
    assert!(matches!(held[0].status(house.now), MessageKeyStatus::Overlapping { .. }));
    assert_eq!(held[1].status(house.now), MessageKeyStatus::Active);
    house.run(withdraw("device:pump-1", first.kid()));
    house.refused(withdraw("device:pump-1", first.kid()));
    let back = Command::RegisterAgreementKey { identity: identity(), key: first };
    assert!(matches!(house.refused(back), Refusal::KeyHeld { .. }));
    let release = Command::ReleaseKey { key: second.id() };
    assert!(matches!(house.refused(release), Refusal::KeyHeld { .. }), "it is in use");
    house.run(revoke("device:pump-1"));
    assert_eq!(house.account("device:pump-1").agreement_keys, []);
}
