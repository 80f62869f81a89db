//! Adding, disabling, revoking and removing identities, and what becomes of their credentials.

use crate::support::*;

use keyward_identity::{
    CertificateRefusal, Command, ImportedHash, KeySource, NewCredential, NewPassword, PasswordRecord,
    Refusal, Rehash, Secret, Standing,
};

#[test]
fn a_new_device_is_admitted_with_its_serial_and_key() {
    let mut house = House::new();
    let issued = house.add_device("pump-1");
    assert!(house.admit(&issued).is_ok());
    let account = house.account("device:PUMP-1");
    assert_eq!(account.device_type, Some("pump".parse().unwrap()));
    assert!(account.is_active());
}

#[test]
fn a_serial_with_another_key_and_a_key_with_another_serial_are_refused() {
    let mut house = House::new();
    let (mut one, other) = (house.add_device("pump-1"), house.add_device("pump-2"));
    one.key = other.key;
    assert!(matches!(house.admit(&one), Err(CertificateRefusal::KeyMismatch { .. })));
    one.serial = "0102".parse().unwrap();
    assert!(matches!(house.admit(&one), Err(CertificateRefusal::UnknownSerial { .. })));
}

#[test]
fn a_certificate_is_refused_outside_its_validity() {
    let mut house = House::new();
    let issued = house.add_device("pump-1");
    house.now.0 = NOW.0 - 2 * DAY;
    assert!(matches!(house.admit(&issued), Err(CertificateRefusal::OutsideValidity { .. })));
    house.now.0 = NOW.0 + 4_000 * DAY;
    assert!(matches!(house.admit(&issued), Err(CertificateRefusal::OutsideValidity { .. })));
}

#[test]
fn one_name_in_two_spellings_is_one_device() {
    let mut house = House::new();
    house.add_device("Pump-1");
    let refusal = house.refused(device("pUMP-1", generated()));
    assert!(matches!(refusal, Refusal::Exists { standing: "active", .. }), "{refusal}");
}

#[test]
fn a_device_and_a_user_of_one_name_are_two_principals() {
    let mut house = House::new();
    let thing = house.add_device("anna");
    house.run(user("anna", generated()));
    house.run(revoke("user:anna"));
    assert!(house.admit(&thing).is_ok());
}

#[test]
fn reserved_words_addresses_and_the_servers_names_are_refused() {
    let mut house = House::new();
    for name in ["homeassistant", "Devices", "10.0.0.7", "gate", "GATE.local"] {
        let refusal = house.refused(device(name, generated()));
        assert!(matches!(refusal, Refusal::Name(_)), "{name}: {refusal}");
    }
}

#[test]
fn a_disabled_device_is_refused_until_it_is_enabled_and_its_old_links_end() {
    let mut house = House::new();
    let issued = house.add_device("pump-1");
    let before = house.admit(&issued).unwrap();
    house.run(disable("device:pump-1"));
    assert!(matches!(house.admit(&issued), Err(CertificateRefusal::Disabled { .. })));
    let registry = house.registrar().registry();
    assert!(!registry.holds(&issued.identity, before));
    house.run(enable("device:pump-1"));
    let after = house.admit(&issued).unwrap();
    assert!(after > before);
    assert!(!house.registrar().registry().holds(&issued.identity, before));
    assert!(house.registrar().registry().holds(&issued.identity, after));
}

#[test]
fn saying_again_what_is_so_changes_nothing() {
    let mut house = House::new();
    house.add_device("pump-1");
    assert!(!house.run(enable("device:pump-1")).changed);
    assert!(house.run(disable("device:pump-1")).changed);
    assert!(!house.run(disable("device:pump-1")).changed);
    assert!(house.run(revoke("device:pump-1")).changed);
    assert!(!house.run(revoke("device:pump-1")).changed);
    assert!(!house.run(disable("device:pump-1")).changed);
}

#[test]
fn a_revoked_identity_loses_all_credentials_for_good() {
    let mut house = House::new();
    let issued = house.add_device("pump-1");
    let password = NewPassword::Generate;
    house.run(Command::SetPassword { identity: issued.identity.clone(), password });
    house.run(revoke("device:pump-1"));
    assert!(matches!(house.admit(&issued), Err(CertificateRefusal::Revoked { .. })));
    let account = house.account("device:pump-1");
    assert!(account.certificates.is_empty() && account.password.is_none());
    assert!(matches!(house.refused(enable("device:pump-1")), Refusal::IsRevoked(_)));
    let again = Command::SetPassword { identity: issued.identity, password: NewPassword::Generate };
    assert!(matches!(house.refused(again), Refusal::IsRevoked(_)));
}

#[test]
fn what_becomes_of_messages_and_will_is_kept_with_the_revocation() {
    let mut house = House::new();
    let identity = house.add_device("pump-1").identity;
    house.run(Command::Revoke { identity, keep_messages: true, publish_will: false });
    let standing = house.account("device:pump-1").standing;
    assert_eq!(standing, Standing::Revoked { keep_messages: true, publish_will: false });
    assert!(house.run(revoke("device:pump-1")).changed, "the operator may change that");
}

#[test]
fn a_removed_id_stays_a_tombstone_and_its_old_credentials_never_come_back() {
    let mut house = House::new();
    let old = house.add_device("pump-1");
    let old_epoch = house.admit(&old).unwrap();
    house.run(remove("device:pump-1"));
    assert!(matches!(house.admit(&old), Err(CertificateRefusal::Removed { .. })));
    assert!(matches!(house.refused(remove("device:pump-1")), Refusal::NoSuchIdentity(_)));
    assert!(matches!(house.refused(enable("device:pump-1")), Refusal::NoSuchIdentity(_)));

    let new = house.add_device("pump-1");
    assert!(house.admit(&new).unwrap() > old_epoch);
    assert!(matches!(house.admit(&old), Err(CertificateRefusal::Withdrawn { .. })));
    assert!(!house.registrar().registry().holds(&old.identity, old_epoch));
}

#[test]
fn a_new_certificate_stands_beside_the_old_one_or_replaces_it() {
    let mut house = House::new();
    let first = house.add_device("pump-1");
    let add = |replace| Command::AddCertificate {
        identity: "device:pump-1".parse().unwrap(),
        key: KeySource::Generate,
        lifetime_days: None,
        replace,
    };
    let second = house.run(add(false)).certificate.unwrap();
    let epoch = house.admit(&first).unwrap();
    assert_eq!(house.admit(&second).unwrap(), epoch, "nobody is cut off");
    let third = house.run(add(true)).certificate.unwrap();
    assert!(matches!(house.admit(&first), Err(CertificateRefusal::Withdrawn { .. })));
    assert!(matches!(house.admit(&second), Err(CertificateRefusal::Withdrawn { .. })));
    assert!(house.admit(&third).unwrap() > epoch);
    for _ in 1..keyward_identity::limits::CERTIFICATES_PER_ACCOUNT {
        house.run(add(false));
    }
    assert!(matches!(house.refused(add(false)), Refusal::TooManyCertificates(_)));
    house.run(add(true));
}

#[test]
fn a_generated_password_opens_the_account_once_it_is_shown() {
    let mut house = House::new();
    let shown = house.run(user("anna", generated_password())).password.unwrap();
    let (registry, pepper) = (house.registrar().registry(), house.registrar().pepper());
    for login in ["anna", "ANNA", "user:anna"] {
        let account = registry.find_login(login).unwrap();
        assert!(account.password.as_ref().unwrap().verify_generated(&pepper, shown.expose()), "{login}");
    }
    assert!(registry.find_login("device:anna").is_none());
    assert!(registry.find_login("a\n").is_none());
}

#[test]
fn a_new_password_voids_the_old_one_and_ends_links() {
    let mut house = House::new();
    let old = house.run(user("anna", generated_password())).password.unwrap();
    let epoch = house.account("user:anna").epoch;
    let identity: keyward_ids::Identity = "user:anna".parse().unwrap();
    let chosen = NewPassword::Chosen(Secret::new(b"correct horse".to_vec()));
    house.run(Command::SetPassword { identity: identity.clone(), password: chosen });
    let account = house.account("user:anna");
    let record = account.password.unwrap();
    assert!(account.epoch > epoch);
    assert!(record.is_slow() && record.verify_slow(b"correct horse", &mut Default::default()));
    assert!(!record.verify_generated(&house.registrar().pepper(), old.expose()));
    house.run(Command::WithdrawPassword { identity: identity.clone() });
    assert!(house.registrar().registry().find_login("anna").is_none());
    assert!(!house.run(Command::WithdrawPassword { identity }).changed);
}

/// Of "correct horse", as Mosquitto 1.x kept it.
const OLD_HASH: &str = "$6$MDEyMzQ1Njc4OWFi$vMblpzgCS5oj2lUbBcEO+PGDOv2Ychcm2aCJlOM/97en/aLeFXM5JAedC3UgjydjvghOxFalEDxmI0OHi3Vlsg==";
/// Of "horse", as Mosquitto 2.0 keeps it.
const SHORT_HASH: &str = "$7$101$MDEyMzQ1Njc4OWFi$ko7PyaotxyW70BbZQeg6r8/9WZweVgRoIQS0p3zCMJQCjxmVd/NGWmhnBP8FGpkOHuZowr2NK1PVTOzdPPdeoQ==";

fn imported(hash: &str) -> NewCredential {
    NewCredential::Password(NewPassword::Imported(ImportedHash::parse(hash).unwrap()))
}

/// What the pool does with a login whose password was right.
fn rehash(house: &House, identity: &str, password: &[u8]) -> Rehash {
    let before = house.account(identity).password.unwrap();
    assert!(before.verify_slow(password, &mut Default::default()));
    let identity: keyward_ids::Identity = identity.parse().unwrap();
    let after = before.rehash(password, identity.name()).unwrap().unwrap();
    Rehash { identity, before, after }
}

#[test]
fn an_imported_password_is_hashed_anew_once_and_ends_no_link() {
    let mut house = House::new();
    house.run(user("anna", imported(OLD_HASH)));
    house.run(device("pump-1", imported(SHORT_HASH)));
    let before = house.account("user:anna");
    assert_eq!(before.password.as_ref().unwrap().note().unwrap(), "imported, $6$: weak");
    let rehashes = vec![
        rehash(&house, "user:anna", b"correct horse"),
        rehash(&house, "device:pump-1", b"horse"),
        rehash(&house, "user:anna", b"correct horse"),
    ];
    assert!(house.run(Command::RehashPasswords { rehashes: rehashes.clone() }).changed);
    house.open().unwrap();
    let anna = house.account("user:anna");
    assert_eq!((anna.epoch, anna.life), (before.epoch, before.life));
    let record = anna.password.unwrap();
    assert!(!record.is_imported() && !record.is_weak() && record.note().is_none());
    assert!(record.verify_slow(b"correct horse", &mut Default::default()));
    let record = house.account("device:pump-1").password.unwrap();
    assert!(record.verify_slow(b"horse", &mut Default::default()));
    assert_eq!(record.note().unwrap(), "imported, too short or the name: weak", "it stays marked");
    assert!(!house.run(Command::RehashPasswords { rehashes }).changed, "only once");
}

/// The mark is of the password, not of its hash: a login hashes it anew and it is still the one that was read.
#[test]
fn a_password_that_may_have_been_read_is_remembered_until_there_is_another() {
    let mut house = House::new();
    let exposed = NewPassword::Exposed(ImportedHash::parse(OLD_HASH).unwrap());
    house.run(user("anna", NewCredential::Password(exposed)));
    house.run(user("ben", imported(OLD_HASH)));
    assert!(!house.account("user:ben").has_exposed_password());
    house.run(Command::RehashPasswords { rehashes: vec![rehash(&house, "user:anna", b"correct horse")] });
    house.open().unwrap();
    assert!(house.account("user:anna").has_exposed_password());
    let identity: keyward_ids::Identity = "user:anna".parse().unwrap();
    house.run(Command::MarkPlain { identity: identity.clone(), plain: true });
    assert!(!house.account("user:anna").has_exposed_password(), "it opens nothing else");
    let chosen = NewPassword::Chosen(Secret::new(b"battery staple".to_vec()));
    house.run(Command::SetPassword { identity, password: chosen });
    assert!(!house.account("user:anna").password_exposed);
}

#[test]
fn a_password_that_was_set_meanwhile_wins_over_the_new_hash_of_the_old_one() {
    let mut house = House::new();
    house.run(user("anna", imported(OLD_HASH)));
    let late = rehash(&house, "user:anna", b"correct horse");
    let identity: keyward_ids::Identity = "user:anna".parse().unwrap();
    let chosen = NewPassword::Chosen(Secret::new(b"battery staple".to_vec()));
    house.run(Command::SetPassword { identity: identity.clone(), password: chosen });
    assert!(!house.run(Command::RehashPasswords { rehashes: vec![late.clone()] }).changed);
    let record = house.account("user:anna").password.unwrap();
    assert!(!record.verify_slow(b"correct horse", &mut Default::default()));
    house.run(Command::WithdrawPassword { identity });
    assert!(!house.run(Command::RehashPasswords { rehashes: vec![late.clone()] }).changed);
    house.run(revoke("user:anna"));
    assert!(!house.run(Command::RehashPasswords { rehashes: vec![late] }).changed);
    assert!(house.account("user:anna").password.is_none());
}

#[test]
fn a_new_hash_never_puts_an_imported_or_a_generated_one_in_place() {
    let mut house = House::new();
    house.run(user("anna", imported(OLD_HASH)));
    let good = rehash(&house, "user:anna", b"correct horse");
    let other = PasswordRecord::Imported(ImportedHash::parse(SHORT_HASH).unwrap());
    let (_, generated) = PasswordRecord::generate(&house.registrar().pepper()).unwrap();
    for after in [other, generated] {
        let rehashes = vec![Rehash { after, ..good.clone() }];
        assert!(!house.run(Command::RehashPasswords { rehashes }).changed);
    }
    let rehashes = vec![good; keyward_identity::limits::REHASHES + 1];
    assert!(matches!(house.refused(Command::RehashPasswords { rehashes }), Refusal::Full { .. }));
}

#[test]
fn a_user_name_with_a_password_stands_for_one_principal() {
    let mut house = House::new();
    house.run(user("hall", generated_password()));
    let refusal = house.refused(device("Hall", generated_password()));
    assert!(matches!(refusal, Refusal::LoginTaken { .. }), "{refusal}");
    house.add_device("hall");
    house.run(remove("user:hall"));
    let identity = "device:hall".parse().unwrap();
    house.run(Command::SetPassword { identity, password: NewPassword::Generate });
}

#[test]
fn a_weak_password_adds_nobody() {
    let mut house = House::new();
    let weak = keyward_identity::NewCredential::Password(NewPassword::Chosen(Secret::new(b"1234".to_vec())));
    assert!(matches!(house.refused(user("anna", weak)), Refusal::Password(_)));
    assert!(house.registrar().registry().is_empty());
}

#[test]
fn who_did_what_is_in_the_audit_and_stays_after_a_restart() {
    let mut house = House::new();
    house.add_device("pump-1");
    house.run(revoke("device:pump-1"));
    house.run(Command::NoteConfigChange { summary: "policy.d/app.toml: +1 rule".into() });
    house.open().unwrap();
    let entries: Vec<_> = house.registrar().audit(1).unwrap().map(Result::unwrap).collect();
    let actors: Vec<_> = entries.iter().map(|entry| entry.actor.as_str()).collect();
    assert_eq!(actors, ["keyward up", "anna", "anna", "anna"]);
    assert_eq!(entries[2].at, NOW);
    assert!(format!("{:?}", entries[2].events).contains("Revoked"));
    assert_eq!(house.registrar().audit(4).unwrap().count(), 1);
}

#[test]
fn the_ledger_holds_no_secret() {
    let mut house = House::new();
    let password = house.run(user("anna", generated_password())).password.unwrap();
    let key = house.add_device("pump-1").private_key_pem.unwrap();
    let log = std::fs::read(house.path("ledger/a.log")).unwrap();
    let line = key.expose_text().lines().nth(1).unwrap();
    assert!(!contains(&log, password.expose()) && !contains(&log, line.as_bytes()));
}

fn contains(hay: &[u8], needle: &[u8]) -> bool {
    !needle.is_empty() && hay.windows(needle.len()).any(|window| window == needle)
}

#[test]
fn texts_that_are_too_long_are_refused() {
    let mut house = House::new();
    let note = "x".repeat(keyward_identity::limits::CONFIG_NOTE_BYTES + 1);
    assert!(matches!(house.refused(Command::NoteConfigChange { summary: note }), Refusal::TooLong { .. }));
    let worst = "\u{1}".repeat(keyward_identity::limits::CONFIG_NOTE_BYTES);
    house.run(Command::NoteConfigChange { summary: worst });
}

#[test]
fn a_mark_changes_which_doors_open_so_links_end_and_it_goes_with_the_identity() {
    let mut house = House::new();
    house.run(user("anna", generated_password()));
    let identity: keyward_ids::Identity = "user:anna".parse().unwrap();
    assert!(!house.account("user:anna").plain);
    for plain in [true, false] {
        let epoch = house.account("user:anna").epoch;
        assert!(house.run(Command::MarkPlain { identity: identity.clone(), plain }).changed);
        let account = house.account("user:anna");
        assert!(account.plain == plain && account.epoch > epoch);
        assert!(!house.run(Command::MarkPlain { identity: identity.clone(), plain }).changed);
    }
    house.run(Command::MarkPlain { identity, plain: true });
    house.run(remove("user:anna"));
    house.run(user("anna", generated_password()));
    assert!(!house.account("user:anna").plain, "the next one of this name is another");
}

#[test]
fn a_user_without_a_login_has_nothing_that_opens_a_door() {
    let mut house = House::new();
    house.run(user("guest", keyward_identity::NewCredential::None));
    let account = house.account("user:guest");
    assert!(account.is_active() && account.password.is_none() && account.certificates.is_empty());
    assert!(house.registrar().registry().find_login("guest").is_none());
}
