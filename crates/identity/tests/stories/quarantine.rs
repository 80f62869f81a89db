//! Quarantine of a device: it may log in, an operator alone releases it, and nothing else does.

use crate::support::*;
use keyward_identity::{Command, IssuedCertificate, QuarantinedBy, Refusal, Renewal};

pub(crate) fn quarantine(identity: &str, by: QuarantinedBy) -> Command {
    let because = "two hold its key".to_owned();
    Command::Quarantine { identity: identity.parse().unwrap(), by, because }
}

pub(crate) fn release(identity: &str) -> Command {
    Command::Release { identity: identity.parse().unwrap() }
}

#[test]
fn a_device_in_quarantine_stays_connected_and_its_links_end_when_it_is_released() {
    let mut house = House::new();
    let issued = house.add_device("pump-1");
    let before = house.admit(&issued).unwrap();
    house.run(quarantine("device:pump-1", QuarantinedBy::Broker));
    assert_eq!(house.admit(&issued).unwrap(), before, "its links are how it can be reached");
    let held = house.account("device:pump-1").quarantine.unwrap();
    assert_eq!((held.since, held.by), (house.now, QuarantinedBy::Broker));
    assert_eq!(held.because, "two hold its key");
    assert!(!house.account("device:pump-1").is_trusted());
    house.run(release("device:pump-1"));
    assert!(house.admit(&issued).unwrap() > before, "it begins anew");
    assert!(house.account("device:pump-1").is_trusted());
}

#[test]
fn saying_it_again_keeps_the_first_reason() {
    let mut house = House::new();
    house.add_device("pump-1");
    assert!(!house.run(release("device:pump-1")).changed);
    assert!(house.run(quarantine("device:pump-1", QuarantinedBy::Broker)).changed);
    assert!(!house.run(quarantine("device:pump-1", QuarantinedBy::Operator)).changed);
    assert_eq!(house.account("device:pump-1").quarantine.unwrap().by, QuarantinedBy::Broker);
}

#[test]
fn it_survives_a_restart_and_whatever_else_changes_its_standing() {
    let mut house = House::new();
    house.add_device("pump-1");
    house.run(quarantine("device:pump-1", QuarantinedBy::Operator));
    for command in [disable("device:pump-1"), enable("device:pump-1")] {
        house.run(command);
    }
    house.open().unwrap();
    assert!(house.account("device:pump-1").quarantine.is_some());
    assert_eq!(house.registrar().registry().counts(keyward_ids::Kind::Device).quarantined, 1);
    house.run(remove("device:pump-1"));
    house.add_device("pump-1");
    assert!(house.account("device:pump-1").quarantine.is_none(), "it is another device");
}

#[test]
fn users_and_what_is_not_there_are_refused_and_so_is_a_quarantine_without_a_reason() {
    let mut house = House::new();
    house.add_device("pump-1");
    house.add_device("gone");
    house.run(user("ben", generated_password()));
    house.run(revoke("device:gone"));
    let of_user = house.refused(quarantine("user:ben", QuarantinedBy::Operator));
    assert!(matches!(of_user, Refusal::NoQuarantine(_)) && of_user.to_string().contains("is no device"));
    let refused = house.refused(quarantine("device:nobody", QuarantinedBy::Operator));
    assert!(matches!(refused, Refusal::NoSuchIdentity(_)));
    let refused = house.refused(quarantine("device:gone", QuarantinedBy::Operator));
    assert!(matches!(refused, Refusal::IsRevoked(_)));
    for because in [String::new(), "  ".into(), "a\nb".into(), "\u{1b}[2J".into(), "x".repeat(513)] {
        let identity = "device:pump-1".parse().unwrap();
        let by = QuarantinedBy::Operator;
        assert!(matches!(house.refused(Command::Quarantine { identity, by, because }), Refusal::NoReason));
    }
}

/// Asks for a certificate in the place of `issued`, when it is due.
fn renew(issued: &IssuedCertificate, dir: &House) -> Command {
    let key = dir.path("renewed.key");
    openssl(&["ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", text(&key)]);
    let csr = openssl(&["req", "-new", "-key", text(&key), "-subj", "/"]);
    Command::Renew(Renewal::new(issued.identity.clone(), issued.serial.clone(), csr.into_bytes()))
}

#[test]
fn no_certificate_is_renewed_in_quarantine_and_a_claim_code_replaces_it_without_a_release() {
    let mut house = House::new();
    let issued = house.add_device("pump-1");
    house.run(quarantine("device:pump-1", QuarantinedBy::Operator));
    let account = house.account("device:pump-1");
    house.now = account.certificates[0].due();
    let wish = renew(&issued, &house);
    let refused = house.refused(wish.clone());
    assert!(refused.to_string().contains("device invite pump-1 --replace"), "{refused}");
    let invite =
        Command::Invite { id: "pump-1".parse().unwrap(), seconds: 3_600, replace: true, endorsement: None };
    assert!(house.run(invite).claim_code.is_some());
    assert!(house.account("device:pump-1").quarantine.is_some(), "an invitation is no release");
    house.run(release("device:pump-1"));
    assert!(house.run(wish).certificate.is_some());
}
