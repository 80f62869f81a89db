//! A claim code gets one key certified, once; a certificate that grows old is renewed by its device.

use crate::support::*;
use keyward_identity::{
    AgreementKey, Claim, ClaimRefusal, Command, CsrRefusal, Event, KeySource, Kid, MessageKey, NewCredential,
    Outcome, Refusal, WallTime, limits,
};
use keyward_ids::DeviceId;
use rcgen::KeyPair;

const HOUR: u64 = 3_600_000;

pub fn invited(seconds: u64) -> NewCredential {
    NewCredential::ClaimCode { seconds, endorsement: None }
}

pub fn request(key: &KeyPair) -> Vec<u8> {
    let mut params = rcgen::CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.serialize_request(key).unwrap().der().to_vec()
}

pub fn key() -> KeyPair {
    KeyPair::generate().unwrap()
}

/// Adds a device with a claim code for a day, and returns the code.
pub fn invite(house: &mut House, id: &str) -> String {
    let outcome = house.run(device(id, invited(86_400)));
    assert!(outcome.certificate.is_none() && outcome.password.is_none());
    outcome.claim_code.unwrap().code.expose_text().to_owned()
}

pub fn claim(id: &str, code: &str, key: &KeyPair) -> Command {
    let (id, code) = (id.parse().unwrap(), keyward_identity::Secret::new(code.as_bytes().to_vec()));
    let (message_key, agreement_key) = (None, None);
    Command::Claim(Claim {
        id,
        code,
        csr: request(key),
        message_key,
        proof: None,
        agreement_key,
        lifetime_days: None,
    })
}

pub fn claim_refused(house: &mut House, command: Command) -> ClaimRefusal {
    match house.execute(command).err().expect("the code should get nothing") {
        Refusal::Claim(refusal) => refusal,
        other => panic!("{other}"),
    }
}

fn invite_again(id: &str, replace: bool) -> Command {
    Command::Invite { id: id.parse().unwrap(), seconds: 900, replace, endorsement: None }
}

fn code_of(outcome: Outcome) -> String {
    outcome.claim_code.unwrap().code.expose_text().to_owned()
}

/// Returns what of a certificate is signed: all but the signature.
fn signed(pem: &str) -> Vec<u8> {
    let house = House::new();
    let path = house.write("leaf.pem", &blocks(pem)[0]);
    let der = house.path("leaf.tbs");
    openssl(&["asn1parse", "-in", text(&path), "-strparse", "4", "-out", text(&der), "-noout"]);
    std::fs::read(der).unwrap()
}

pub fn events(house: &House) -> Vec<Event> {
    house.registrar().audit(1).unwrap().flat_map(|entry| entry.unwrap().events).collect()
}

#[test]
fn a_code_gets_the_key_of_its_device_certified_and_is_void_then() {
    let mut house = House::new();
    let code = invite(&mut house, "pump-1");
    assert!(house.account("device:pump-1").certificates.is_empty());
    let issued = house.run(claim("pump-1", &code, &key())).certificate.unwrap();
    assert_eq!(issued.identity, "device:pump-1".parse().unwrap());
    assert!(house.admit(&issued).is_ok() && issued.private_key_pem.is_none());
    house.now.0 += HOUR + 1;
    let refusal = claim_refused(&mut house, claim("pump-1", &code, &key()));
    assert!(matches!(refusal, ClaimRefusal::Used { .. }), "{refusal}");
    assert!(house.admit(&issued).is_ok());
}

/// A thief was first, and the device itself comes when the hour is over.
#[test]
fn a_code_that_comes_after_its_hour_is_written_down_once_unless_the_same_key_comes() {
    let mut house = House::new();
    let code = invite(&mut house, "pump-1");
    let first = key();
    house.run(claim("pump-1", &code, &first));
    house.now.0 += HOUR + 1;
    claim_refused(&mut house, claim("pump-1", &code, &first));
    let conflict = |house: &House| house.account("device:pump-1").invitation.unwrap().conflict;
    assert_eq!(conflict(&house), None, "it is the device: its answer was lost for an hour");
    let keyless = |code: &str| match claim("pump-1", code, &first) {
        Command::Claim(claim) => Command::Claim(Claim { csr: Vec::new(), ..claim }),
        other => other,
    };
    assert!(claim_refused(&mut house, keyless("wrong")).is_guess());
    assert_eq!(conflict(&house), None, "only the right code tells something");
    for _ in 0..3 {
        assert!(matches!(claim_refused(&mut house, keyless(&code)), ClaimRefusal::Used { .. }));
    }
    claim_refused(&mut house, claim("pump-1", &code, &key()));
    let at = house.now;
    house.open().unwrap();
    let conflict = conflict(&house).unwrap();
    assert_eq!((conflict.at, conflict.key), (at, None));
    let written = events(&house).into_iter().filter(|event| matches!(event, Event::ClaimConflicted { .. }));
    assert_eq!(written.count(), 1);
}

/// The code was photographed, and the operator carried a certificate to the device meanwhile.
#[test]
fn a_code_for_a_device_without_a_certificate_takes_no_later_one_away() {
    let mut house = House::new();
    let code = invite(&mut house, "pump-1");
    let later = Command::AddCertificate {
        identity: "device:pump-1".parse().unwrap(),
        key: KeySource::Generate,
        lifetime_days: None,
        replace: false,
    };
    let carried = house.run(later).certificate.unwrap();
    let refusal = claim_refused(&mut house, claim("pump-1", &code, &key()));
    assert!(matches!(refusal, ClaimRefusal::HasCertificate(_)) && !refusal.is_guess(), "{refusal}");
    assert!(house.admit(&carried).is_ok());
}

/// The answer was lost on the way, or the broker was killed before it sent it.
#[test]
fn the_same_key_gets_the_same_certificate_for_an_hour_also_after_a_restart() {
    let mut house = House::new();
    let code = invite(&mut house, "pump-1");
    let key = key();
    let first = house.run(claim("pump-1", &code, &key)).certificate.unwrap();
    let records = house.registrar().registry().revision();
    house.now.0 += HOUR;
    house.open().unwrap();
    let again = house.run(claim("pump-1", &code, &key));
    assert!(!again.changed);
    let again = again.certificate.unwrap();
    assert_eq!((&again.serial, again.key, again.not_after), (&first.serial, first.key, first.not_after));
    assert_eq!(signed(&again.chain_pem), signed(&first.chain_pem));
    assert_eq!(house.registrar().registry().revision(), records, "nothing is written for it");
    house.now.0 += 1;
    claim_refused(&mut house, claim("pump-1", &code, &key));
}

#[test]
fn of_two_devices_with_one_code_the_first_gets_it_and_the_other_is_written_down_once() {
    let mut house = House::new();
    let code = invite(&mut house, "pump-1");
    let issued = house.run(claim("pump-1", &code, &key())).certificate.unwrap();
    let other = key();
    for _ in 0..3 {
        let refusal = claim_refused(&mut house, claim("pump-1", &code, &other));
        assert!(
            matches!(&refusal, ClaimRefusal::OtherKey { certified, .. } if *certified == issued.key),
            "{refusal}"
        );
    }
    let conflicts = |event: &Event| matches!(event, Event::ClaimConflicted { .. });
    assert_eq!(events(&house).into_iter().filter(conflicts).count(), 1);
    let conflict = house.account("device:pump-1").invitation.unwrap().conflict.unwrap();
    assert_eq!(conflict.at, house.now);
    assert!(house.admit(&issued).is_ok(), "who came first is not punished for it");
}

#[test]
fn a_code_that_is_wrong_late_voided_or_anothers_gets_nothing() {
    let mut house = House::new();
    let (code, other) = (invite(&mut house, "pump-1"), invite(&mut house, "pump-2"));
    let wrong = claim_refused(&mut house, claim("pump-1", &other, &key()));
    assert!(matches!(&wrong, ClaimRefusal::WrongCode(_)) && wrong.is_guess(), "{wrong}");
    for unknown in ["pump-3", "PUMP-4"] {
        assert!(claim_refused(&mut house, claim(unknown, &code, &key())).is_guess());
    }
    house.run(Command::Uninvite { id: "pump-2".parse().unwrap() });
    let voided = claim_refused(&mut house, claim("pump-2", &other, &key()));
    assert!(matches!(voided, ClaimRefusal::NotInvited(_)), "{voided}");
    house.now.0 += DAY;
    let early = house.now;
    house.now.0 += 1;
    let late = claim_refused(&mut house, claim("pump-1", &code, &key()));
    assert!(matches!(late, ClaimRefusal::Expired { .. }) && !late.is_guess(), "{late}");
    house.now = early;
    house.run(claim("PUMP-1", &code, &key()));
}

#[test]
fn who_may_not_act_gets_no_certificate_by_a_code() {
    let mut house = House::new();
    let code = invite(&mut house, "pump-1");
    house.run(disable("device:pump-1"));
    let refusal = claim_refused(&mut house, claim("pump-1", &code, &key()));
    assert!(refusal.to_string().contains("disabled"), "{refusal}");
    house.run(enable("device:pump-1"));
    house.run(revoke("device:pump-1"));
    assert!(matches!(claim_refused(&mut house, claim("pump-1", &code, &key())), ClaimRefusal::NotInvited(_)));
    assert!(matches!(house.refused(invite_again("pump-1", true)), Refusal::IsRevoked(_)));
    house.run(remove("device:pump-1"));
    house.run(device("pump-1", generated()));
    claim_refused(&mut house, claim("pump-1", &code, &key()));
}

#[test]
fn a_device_with_a_certificate_is_invited_only_if_that_is_said_and_loses_it_to_the_code() {
    let mut house = House::new();
    let old = house.add_device("pump-1");
    assert!(matches!(house.refused(invite_again("pump-1", false)), Refusal::HasCertificate(_)));
    let outcome = house.run(invite_again("pump-1", true));
    let code = code_of(outcome);
    assert!(house.admit(&old).is_ok(), "until the code is used");
    let new = house.run(claim("pump-1", &code, &key())).certificate.unwrap();
    assert!(house.admit(&old).is_err() && house.admit(&new).is_ok());
}

#[test]
fn a_new_code_voids_the_one_before() {
    let mut house = House::new();
    let first = invite(&mut house, "pump-1");
    let outcome = house.run(invite_again("PUMP-1", false));
    let second = code_of(outcome);
    assert!(claim_refused(&mut house, claim("pump-1", &first, &key())).is_guess());
    house.run(claim("pump-1", &second, &key()));
}

#[test]
fn a_bad_request_does_not_use_the_code_up() {
    let mut house = House::new();
    let code = invite(&mut house, "pump-1");
    let id = "pump-1".parse().unwrap();
    let secret = || keyward_identity::Secret::new(code.as_bytes().to_vec());
    let mut of = |csr: Vec<u8>| {
        let command = Command::Claim(Claim {
            id: DeviceId::clone(&id),
            code: secret(),
            csr,
            message_key: None,
            proof: None,
            agreement_key: None,
            lifetime_days: None,
        });
        match house.refused(command) {
            Refusal::Csr(refusal) => refusal,
            other => panic!("{other}"),
        }
    };
    assert!(matches!(of(vec![b'a'; limits::CSR_BYTES + 1]), CsrRefusal::TooLarge { .. }));
    assert!(matches!(of(b"0".to_vec()), CsrRefusal::Malformed(_)));
    let small = House::new();
    let pem = small.path("small.pem");
    let rsa = small.path("rsa.pem");
    openssl(&["genrsa", "-out", text(&rsa), "1024"]);
    openssl(&["req", "-new", "-key", text(&rsa), "-subj", "/CN=pump-1", "-out", text(&pem)]);
    assert!(matches!(of(std::fs::read(pem).unwrap()), CsrRefusal::Key(_)));
    let mut params = rcgen::CertificateParams::new(vec!["gate.local".to_owned()]).unwrap();
    params.distinguished_name = rcgen::DistinguishedName::new();
    assert!(matches!(
        of(params.serialize_request(&key()).unwrap().der().to_vec()),
        CsrRefusal::AsksForMore { .. }
    ));
    house.run(claim("pump-1", &code, &key()));
}

#[test]
fn a_key_that_another_device_holds_or_held_is_not_certified_by_a_code() {
    let mut house = House::new();
    let stolen = key();
    house.run(device("lost", csr(request(&stolen))));
    house.run(revoke("device:lost"));
    let code = invite(&mut house, "pump-1");
    assert!(matches!(house.refused(claim("pump-1", &code, &stolen)), Refusal::KeyHeld { .. }));
}

#[test]
fn codes_are_for_devices_and_live_a_minute_to_a_month() {
    let mut house = House::new();
    assert!(matches!(house.refused(user("anna", invited(900))), Refusal::NoDevice(_)));
    for seconds in [0, 59, 30 * 86_400 + 1] {
        let refusal = house.refused(device("pump-1", invited(seconds)));
        assert!(refusal.to_string().contains("60 seconds to 30 days"), "{refusal}");
    }
    house.now = WallTime(BUILD.0 - DAY);
    assert!(matches!(house.refused(device("pump-1", invited(900))), Refusal::Clock { .. }));
}

#[test]
fn no_code_stands_in_the_files_or_in_what_is_printed() {
    let mut house = House::new();
    let code = invite(&mut house, "pump-1");
    let refusal = claim_refused(&mut house, claim("pump-1", &"x".repeat(26), &key()));
    assert!(!format!("{refusal} {refusal:?} {:?}", house.account("device:pump-1")).contains(&code));
    house.run(claim("pump-1", &code, &key()));
    house.close();
    for copy in ["ledger/a.log", "ledger/b.log"] {
        let bytes = std::fs::read(house.path(copy)).unwrap();
        assert!(!bytes.windows(code.len()).any(|window| window == code.as_bytes()), "{copy}");
    }
}

fn with(command: Command, message_key: &MessageKey) -> Command {
    match command {
        Command::Claim(claim) => Command::Claim(Claim { message_key: Some(message_key.clone()), ..claim }),
        other => other,
    }
}

/// Returns the names of the message keys of a device.
fn kids(house: &House) -> Vec<Kid> {
    house.account("device:pump-1").message_keys.iter().map(|held| held.key.kid()).collect()
}

#[test]
fn a_message_key_comes_with_the_claim_and_takes_the_place_of_those_before() {
    let mut house = House::new();
    let code = invite(&mut house, "pump-1");
    let (tls, first) = (key(), message_key(1, 2));
    house.run(with(claim("pump-1", &code, &tls), &first));
    house.open().unwrap();
    assert_eq!(kids(&house), [first.kid()]);
    for lost in [with(claim("pump-1", &code, &tls), &first), claim("pump-1", &code, &tls)] {
        assert!(house.run(lost).certificate.is_some(), "the answer was lost");
    }
    let other = claim_refused(&mut house, with(claim("pump-1", &code, &tls), &message_key(2, 2)));
    assert!(matches!(other, ClaimRefusal::OtherMessageKey(_)), "{other}");
    for (sent, held) in [(Some(1), vec![1]), (Some(3), vec![3]), (None, vec![])] {
        let outcome = house.run(invite_again("pump-1", true));
        let claim = claim("pump-1", &code_of(outcome), &key());
        house.run(sent.map_or(claim.clone(), |n| with(claim, &message_key(n, 2))));
        assert_eq!(kids(&house), held.iter().map(|n| message_key(*n, 2).kid()).collect::<Vec<_>>());
    }
}

#[test]
fn a_message_key_is_no_key_of_a_certificate_and_nobody_elses() {
    let mut house = House::new();
    let (tls, held) = (key(), message_key(1, 0));
    let code = invite(&mut house, "pump-1");
    house.run(with(claim("pump-1", &code, &tls), &held));
    let code = invite(&mut house, "pump-2");
    let own = key();
    let same = |key: &KeyPair| MessageKey::read_file(key.public_key_pem().as_bytes(), 0).unwrap();
    for bad in [same(&own), same(&tls), held] {
        let refusal = house.refused(with(claim("pump-2", &code, &own), &bad));
        assert!(matches!(refusal, Refusal::KeyHeld { .. }), "{refusal}");
    }
    house.run(with(claim("pump-2", &code, &own), &message_key(2, 0)));
}

#[test]
fn a_key_to_encrypt_to_comes_with_the_claim_and_takes_the_place_of_those_before() {
    let mut house = House::new();
    let code = invite(&mut house, "pump-1");
    let (tls, first, second) = (key(), agreement_key(), agreement_key());
    let with = |command: Command, key: &AgreementKey| match command {
        Command::Claim(claim) => Command::Claim(Claim { agreement_key: Some(key.clone()), ..claim }),
        other => other,
    };
    house.run(with(claim("pump-1", &code, &tls), &first));
    house.open().unwrap();
    let held = |house: &House| -> Vec<Kid> {
        house.account("device:pump-1").agreement_keys.iter().map(|held| held.key.kid()).collect()
    };
    assert_eq!(held(&house), [first.kid()]);
    assert!(
        house.run(with(claim("pump-1", &code, &tls), &first)).certificate.is_some(),
        "the answer was lost"
    );
    let other = claim_refused(&mut house, with(claim("pump-1", &code, &tls), &second));
    assert!(matches!(other, ClaimRefusal::OtherMessageKey(_)), "{other}");
    for (sent, expected) in
        [(Some(&first), vec![first.kid()]), (Some(&second), vec![second.kid()]), (None, vec![])]
    {
        let outcome = house.run(invite_again("pump-1", true));
        let claim = claim("pump-1", &code_of(outcome), &key());
        house.run(sent.map_or(claim.clone(), |key| with(claim, key)));
        assert_eq!(held(&house), expected);
    }
    let code = invite(&mut house, "pump-2");
    let own = key();
    let same = AgreementKey::read_file(own.public_key_pem().as_bytes()).unwrap();
    let refusal = house.refused(with(claim("pump-2", &code, &own), &same));
    assert!(matches!(refusal, Refusal::KeyHeld { .. }), "it is the key of the certificate: {refusal}");
}
