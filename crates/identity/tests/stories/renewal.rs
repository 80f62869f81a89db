//! A certificate that grows old is renewed by its device, and the keys for messages with it: nothing ends before the device has used the new ones.

use crate::enrolment::{key, request};
use crate::quarantine::{quarantine, release};
use crate::support::*;
use keyward_identity::{
    AgreementKey, Command, Event, IssuedCertificate, KeySource, Kid, MessageKey, MessageKeyStatus,
    NewCredential, QuarantinedBy, Refusal, Renewal, SecondHolder, SecondHolderSign, limits,
};
use rcgen::KeyPair;

const HOUR: u64 = 3_600_000;

/// For how long a message key is accepted after another has taken its place.
const OVERLAP: u64 = 7 * 86_400;

fn renewal(certificate: &IssuedCertificate, key: &KeyPair) -> Renewal {
    let (identity, serial) = (certificate.identity.clone(), certificate.serial.clone());
    Renewal { overlap_secs: OVERLAP, ..Renewal::new(identity, serial, request(key)) }
}

pub fn renew(certificate: &IssuedCertificate, key: &KeyPair) -> Command {
    Command::Renew(renewal(certificate, key))
}

/// Shows a certificate for the first time.
fn used(certificate: &IssuedCertificate) -> Command {
    let (identity, serial) = (certificate.identity.clone(), certificate.serial.clone());
    Command::Succeed { identity, serial, overlap_secs: OVERLAP }
}

#[test]
fn a_certificate_is_renewed_in_its_last_third_and_the_old_one_ends_with_the_first_use_of_the_new() {
    let mut house = House::new();
    let issued = house.run(device(
        "pump-1",
        NewCredential::Certificate { key: KeySource::Generate, lifetime_days: Some(90) },
    ));
    let old = issued.certificate.unwrap();
    house.now.0 += 50 * DAY;
    assert!(matches!(house.refused(renew(&old, &key())), Refusal::RenewalEarly { .. }));
    house.now.0 += 15 * DAY;
    let new_key = key();
    let new = house.run(renew(&old, &new_key)).certificate.unwrap();
    assert!(house.admit(&old).is_ok() && house.admit(&new).is_ok(), "it may not have the new one yet");
    let again = house.run(renew(&old, &new_key)).certificate.unwrap();
    assert_eq!(again.serial, new.serial, "the answer was lost");
    let account = house.account("device:pump-1");
    assert_eq!(account.renewed_by(&new.serial), Some(&old.serial));
    assert_eq!(account.renewed_by(&old.serial), None);
    assert!(house.run(used(&new)).changed);
    assert!(house.admit(&old).is_err() && house.admit(&new).is_ok());
    assert!(!house.run(used(&new)).changed);
    assert!(matches!(house.refused(renew(&old, &key())), Refusal::NothingToRenew { .. }));
}

/// The device lost power before it had stored the new key.
#[test]
fn a_renewal_with_yet_another_key_leaves_the_one_that_was_not_used_until_one_is_used() {
    let mut house = House::new();
    let old = house.add_device("pump-1");
    house.now.0 += 3_000 * DAY;
    let lost = house.run(renew(&old, &key())).certificate.unwrap();
    let new = house.run(renew(&old, &key())).certificate.unwrap();
    assert!([&lost, &new, &old].iter().all(|held| house.admit(held).is_ok()));
    house.run(used(&new));
    assert!(house.admit(&lost).is_err() && house.admit(&old).is_err() && house.admit(&new).is_ok());
}

/// The pause was a day, whatever was left: a device that had lost two keys could not renew before its certificate ended.
#[test]
fn the_pause_between_renewals_is_over_before_the_certificate_is() {
    let mut house = House::new();
    let old = house.add_device("pump-1");
    let end = house.account("device:pump-1").certificates[0].not_after;
    house.now.0 = end.0 - 20 * HOUR;
    house.run(renew(&old, &key()));
    house.run(renew(&old, &key()));
    let Err(Refusal::RenewedTooOften { until, .. }) = house.execute(renew(&old, &key())) else {
        panic!("a third key at once")
    };
    assert!(until.0 < end.0 - 16 * HOUR, "{until:?}");
    house.now = until;
    house.run(renew(&old, &key()));
}

/// It forgets its key each time, or wants the ledger to grow.
#[test]
fn a_device_that_renews_with_another_key_each_time_gets_two_a_day_and_keeps_its_links() {
    let mut house = House::new();
    let old = house.add_device("pump-1");
    house.now.0 += 3_000 * DAY;
    let epoch = house.account("device:pump-1").epoch;
    let mut issued = 0;
    for _ in 0..3 * 24 {
        match house.execute(renew(&old, &key())) {
            Ok(outcome) => issued += usize::from(outcome.certificate.is_some()),
            Err(Refusal::RenewedTooOften { until, .. }) => assert!(until > house.now),
            Err(other) => panic!("{other}"),
        }
        house.now.0 += HOUR;
    }
    assert_eq!(issued, 6);
    let account = house.account("device:pump-1");
    assert_eq!(account.certificates.len(), 1 + limits::RENEWALS_OUTSTANDING);
    assert_eq!(account.epoch, epoch, "what was never used has no links that would have to be closed");
    assert!(house.admit(&old).is_ok());
}

/// Else each of two could be renewed by two.
#[test]
fn to_renew_by_a_certificate_is_to_use_it() {
    let mut house = House::new();
    let old = house.add_device("pump-1");
    house.now.0 += 3_000 * DAY;
    let days = |days| Command::Renew(Renewal { lifetime_days: Some(days), ..renewal(&old, &key()) });
    let (one, other) = (house.run(days(30)).certificate.unwrap(), house.run(days(30)).certificate.unwrap());
    house.now.0 += 25 * DAY;
    let next = house.run(renew(&one, &key())).certificate.unwrap();
    assert!(house.admit(&old).is_err() && house.admit(&other).is_err());
    assert!(house.admit(&one).is_ok() && house.admit(&next).is_ok());
}

#[test]
fn who_may_not_act_renews_nothing_and_nothing_is_renewed_after_its_end() {
    let mut house = House::new();
    let old = house.add_device("pump-1");
    house.now.0 += 3_000 * DAY;
    house.run(disable("device:pump-1"));
    house.refused(renew(&old, &key()));
    house.now.0 += 700 * DAY;
    house.run(enable("device:pump-1"));
    assert!(matches!(house.refused(renew(&old, &key())), Refusal::NothingToRenew { .. }), "it has ended");
}

fn renew_with(certificate: &IssuedCertificate, key: &KeyPair, message_key: &MessageKey) -> Command {
    Command::Renew(Renewal { message_key: Some(message_key.clone()), ..renewal(certificate, key) })
}

/// Returns a house whose device signs with a first key of this level, and has a certificate that is due.
fn signing_house(level: u8) -> (House, IssuedCertificate) {
    let mut house = House::new();
    let old = house.add_device("pump-1");
    let identity = old.identity.clone();
    house.run(Command::RegisterMessageKey { identity, key: message_key(1, level) });
    house.now.0 += 3_000 * DAY;
    (house, old)
}

/// Returns the message keys that are accepted, by number, with those that are for a while only marked.
fn accepted(house: &House) -> Vec<(u8, bool)> {
    let held = house.account("device:pump-1").message_keys;
    let number = |kid: Kid| (1..9).find(|n| message_key(*n, 0).kid() == kid).unwrap();
    let status = |held: &keyward_identity::HeldMessageKey| match held.status(house.now) {
        MessageKeyStatus::Active => Some((number(held.key.kid()), false)),
        MessageKeyStatus::Overlapping { .. } => Some((number(held.key.kid()), true)),
        MessageKeyStatus::Retired { .. } => None,
    };
    held.iter().filter_map(status).collect()
}

/// Messages that were signed by the key before lie in the device when it begins with the new one.
#[test]
fn a_message_key_comes_with_a_renewal_and_the_one_before_is_retired_with_the_first_use() {
    let (mut house, old) = signing_house(2);
    let (tls, second) = (key(), message_key(2, 2));
    let new = house.run(renew_with(&old, &tls, &second)).certificate.unwrap();
    assert_eq!(
        accepted(&house),
        [(1, false), (2, false)],
        "the device signs by either, and may lose the answer"
    );
    house.open().unwrap();
    let again = house.run(renew_with(&old, &tls, &second));
    assert!(!again.changed && again.certificate.unwrap().serial == new.serial, "the answer was lost");
    house.run(used(&new));
    assert_eq!(accepted(&house), [(1, true), (2, false)]);
    assert!(house.account("device:pump-1").message_keys.iter().all(|held| held.key.level() == 2));
    assert!(!house.run(used(&new)).changed);
    house.now.0 += OVERLAP * 1_000;
    assert_eq!(accepted(&house), [(2, false)]);
}

#[test]
fn a_key_to_encrypt_to_waits_for_the_first_use_and_takes_the_place_of_the_one_before() {
    let (mut house, old) = signing_house(2);
    let first = agree(&mut house, "device:pump-1");
    let second = agreement_key();
    let with =
        |key: &AgreementKey| Renewal { agreement_key: Some(key.clone()), ..renewal(&old, &self::key()) };
    let new = house.run(Command::Renew(with(&second))).certificate.unwrap();
    let used_ones = |house: &House| -> Vec<Kid> {
        let account = house.account("device:pump-1");
        let is_used = |held: &&keyward_identity::HeldAgreementKey| {
            held.status(house.now) == MessageKeyStatus::Active && !account.awaits_use(held.awaits.as_ref())
        };
        account.agreement_keys.iter().filter(is_used).map(|held| held.key.kid()).collect()
    };
    assert_eq!(used_ones(&house), [first.kid()]);
    house.run(used(&new));
    assert_eq!(used_ones(&house), [second.kid()]);
    assert_eq!(accepted(&house), [(1, false)], "nothing was said of the other purpose");
}

/// A disk that was lost behind the answer: the device has made other keys.
#[test]
fn keys_that_came_with_a_lost_certificate_go_with_it() {
    let (mut house, old) = signing_house(0);
    house.run(renew_with(&old, &key(), &message_key(2, 0)));
    let new = house.run(renew_with(&old, &key(), &message_key(3, 0))).certificate.unwrap();
    house.run(used(&new));
    assert_eq!(accepted(&house), [(1, true), (3, false)]);
    // A third pair of keys makes room for itself; nothing that is used is taken.
    let (mut house, old) = signing_house(0);
    for n in [2, 3] {
        house.run(renew_with(&old, &key(), &message_key(n, 0)));
    }
    house.now.0 += 25 * HOUR;
    house.run(renew_with(&old, &key(), &message_key(4, 0)));
    assert_eq!(accepted(&house), [(1, false), (3, false), (4, false)]);
    // And an operator's other certificate takes the place of all.
    let (identity, key, lifetime_days) = (old.identity.clone(), KeySource::Generate, None);
    house.run(Command::AddCertificate { identity, key, lifetime_days, replace: true });
    assert_eq!(accepted(&house), [(1, false)]);
}

#[test]
fn a_message_key_that_outlived_the_key_of_its_certificate_waits_for_the_other_certificate() {
    let (mut house, old) = signing_house(0);
    house.run(renew_with(&old, &key(), &message_key(2, 0)));
    let new = house.run(renew_with(&old, &key(), &message_key(2, 0))).certificate.unwrap();
    house.run(used(&new));
    assert_eq!(accepted(&house), [(1, true), (2, false)]);
}

#[test]
fn a_message_key_that_does_not_come_again_is_one_that_the_device_does_without() {
    let (mut house, old) = signing_house(0);
    let tls = key();
    house.run(renew_with(&old, &tls, &message_key(2, 0)));
    let new = house.run(renew(&old, &tls)).certificate.unwrap();
    house.run(used(&new));
    assert_eq!(accepted(&house), [(1, false)], "it signs by the one that it has");
}

/// Else whoever has a copy of the old one could have a key written down with every request.
#[test]
fn a_certificate_that_was_issued_brings_no_other_keys_for_messages_than_it_came_with() {
    let (mut house, old) = signing_house(0);
    let (tls, other) = (key(), key());
    house.run(renew_with(&old, &tls, &message_key(2, 0)));
    let another = house.refused(renew_with(&old, &tls, &message_key(3, 0)));
    assert!(matches!(another, Refusal::NoRotation { .. }), "{another}");
    let with_agreement = Renewal { agreement_key: Some(agreement_key()), ..renewal(&old, &tls) };
    house.refused(Command::Renew(with_agreement));
    assert_eq!(accepted(&house), [(1, false), (2, false)], "what was refused changed nothing");
    house.run(renew_with(&old, &other, &message_key(2, 0)));
    house.refused(renew_with(&old, &tls, &message_key(2, 0)));
    assert!(!house.run(renew_with(&old, &other, &message_key(2, 0))).changed);
    // Who did without once does without to the end.
    house.run(renew(&old, &other));
    house.refused(renew_with(&old, &other, &message_key(3, 0)));
    assert!(!house.run(renew(&old, &tls)).changed && !house.run(renew(&old, &other)).changed);
}

/// Who has a copy of the certificate's key must not get more by it than it stands for.
#[test]
fn no_renewal_makes_a_message_key_where_none_was_or_a_better_one() {
    let mut house = House::new();
    let old = house.add_device("pump-1");
    house.now.0 += 3_000 * DAY;
    let refused = house.refused(renew_with(&old, &key(), &message_key(2, 0)));
    assert!(matches!(refused, Refusal::NoRotation { .. }), "{refused}");
    assert!(house.account("device:pump-1").certificates.len() == 1, "nothing of it happened");
    let (mut house, old) = signing_house(1);
    let worse = house.refused(renew_with(&old, &key(), &message_key(2, 0)));
    assert!(worse.to_string().contains("kept less well"), "{worse}");
    house.run(renew_with(&old, &key(), &message_key(2, 2)));
    assert_eq!(house.account("device:pump-1").message_keys[1].key.level(), 1);
}

#[test]
fn keys_of_a_renewal_are_three_and_nobody_elses() {
    let (mut house, old) = signing_house(0);
    house.add_device("pump-2");
    let identity = "device:pump-2".parse().unwrap();
    house.run(Command::RegisterMessageKey { identity, key: message_key(5, 0) });
    let tls = key();
    let own = MessageKey::read_file(tls.public_key_pem().as_bytes(), 0).unwrap();
    for bad in [own, message_key(5, 0)] {
        let refused = house.refused(renew_with(&old, &tls, &bad));
        assert!(matches!(refused, Refusal::KeyHeld { .. }), "{refused}");
    }
    let retired = |house: &mut House, n: u8| {
        let (identity, kid) = (old.identity.clone(), message_key(n, 0).kid());
        house.run(Command::RetireMessageKey { identity, kid, overlap_secs: 0 });
    };
    house.run(Command::RegisterMessageKey { identity: old.identity.clone(), key: message_key(6, 0) });
    retired(&mut house, 6);
    let refused = house.refused(renew_with(&old, &tls, &message_key(6, 0)));
    assert!(matches!(refused, Refusal::KeyHeld { .. }), "it does not come back: {refused}");
}

#[test]
fn keys_that_are_over_make_room_for_one_and_others_do_not() {
    let (mut house, mut old) = signing_house(0);
    for n in 2..=5 {
        let (message_key, lifetime_days) = (Some(message_key(n, 0)), Some(30));
        let wish = Renewal { message_key, lifetime_days, ..renewal(&old, &key()) };
        old = house.run(Command::Renew(wish)).certificate.unwrap();
        house.run(used(&old));
        house.now = house.account("device:pump-1").certificates[0].due();
    }
    // Some twenty days lie between two renewals: of each key the time is over.
    assert_eq!(accepted(&house), [(5, false)]);
    assert_eq!(house.account("device:pump-1").message_keys.len(), limits::MESSAGE_KEYS_PER_ACCOUNT);
    let (mut house, old) = signing_house(0);
    for n in 2..=4 {
        house.run(Command::RegisterMessageKey { identity: old.identity.clone(), key: message_key(n, 0) });
    }
    let refused = house.refused(renew_with(&old, &key(), &message_key(5, 0)));
    assert!(matches!(refused, Refusal::TooManyMessageKeys { .. }), "{refused}");
    assert!(house.run(renew(&old, &key())).certificate.is_some(), "the certificate does not wait for that");
}

fn second_holder(house: &mut House, n: u8) {
    let evidence = SecondHolder {
        sign: SecondHolderSign::Behind,
        number: 1,
        highest: 2_000,
        digest: [1; 32],
        topic: "pumps/1".into(),
        hosts: vec!["192.0.2.7".into()],
    };
    let (identity, kid) = ("device:pump-1".parse().unwrap(), message_key(n, 0).kid());
    house.run(Command::NoteSecondHolder { identity, kid, evidence, quarantine: None });
}

/// Either of the two could bring the new one.
#[test]
fn a_renewal_ends_no_proof_that_two_hold_a_key() {
    let (mut house, old) = signing_house(0);
    second_holder(&mut house, 1);
    let refused = house.refused(renew_with(&old, &key(), &message_key(2, 0)));
    assert!(refused.to_string().contains("two hold"), "{refused}");
    // It was found behind the renewal.
    let (mut house, old) = signing_house(0);
    let new = house.run(renew_with(&old, &key(), &message_key(2, 0))).certificate.unwrap();
    second_holder(&mut house, 1);
    house.run(used(&new));
    assert!(house.account("device:pump-1").second_holder().is_some(), "an operator ends that");
    assert_eq!(accepted(&house), [(1, false), (2, false)]);
}

/// Two may hold the key of the old one, and one of them had it renewed: the other would be cut off from what is left to it.
#[test]
fn in_quarantine_no_certificate_is_taken_away_by_the_use_of_another() {
    let (mut house, old) = signing_house(0);
    let new = house.run(renew_with(&old, &key(), &message_key(2, 0))).certificate.unwrap();
    house.run(quarantine("device:pump-1", QuarantinedBy::Broker));
    assert!(!house.run(used(&new)).changed);
    assert!(house.admit(&old).is_ok() && house.admit(&new).is_ok());
    house.run(release("device:pump-1"));
    assert!(house.run(used(&new)).changed);
    assert!(house.admit(&old).is_err() && accepted(&house) == [(1, true), (2, false)]);
}

#[test]
fn what_a_device_has_of_before_its_quarantine_counts_as_long_as_it_is_good_for_something() {
    let (mut house, old) = signing_house(0);
    let unused = house.run(renew(&old, &key())).certificate.unwrap();
    house.run(quarantine("device:pump-1", QuarantinedBy::Broker));
    let counts = |house: &House| house.account("device:pump-1").has_key_of_before_quarantine(house.now);
    assert!(counts(&house));
    house.now.0 += HOUR;
    let kid = message_key(1, 0).kid();
    let identity = || old.identity.clone();
    house.run(Command::RetireMessageKey { identity: identity(), kid, overlap_secs: 0 });
    assert!(counts(&house) && house.admit(&unused).is_ok(), "whoever asked for the certificate has it");
    let (key, lifetime_days) = (KeySource::Generate, None);
    house.run(Command::AddCertificate { identity: identity(), key, lifetime_days, replace: true });
    assert!(!counts(&house), "the message key is accepted no more, and the certificates are gone");
}

#[test]
fn that_a_key_waits_is_written_as_ever() {
    let serial = keyward_ids::CertSerial::from_bytes(&[0x4f; 16]).unwrap();
    let (identity, kid) = ("device:a".parse().unwrap(), message_key(1, 0).kid());
    let event = Event::MessageKeyAwaits { identity, kid, serial: serial.clone() };
    let json = format!(
        r#"{{"event":"message-key-awaits","identity":"device:a","kid":"{kid}","serial":"{serial}"}}"#
    );
    assert_eq!(serde_json::to_string(&event).unwrap(), json);
    assert_eq!(serde_json::from_str::<Event>(&json).unwrap(), event);
}
