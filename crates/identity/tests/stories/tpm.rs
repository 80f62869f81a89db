//! A TPM vouches for a device's keys when it enrols: level 3, which nobody can claim. That the TPM opened a challenge is seen by whoever
//! hands the proof in (`tpm`, `server`).

use crate::enrolment::{claim, claim_refused, events, invite, key};
use crate::support::*;
use keyward_identity::{
    Claim, ClaimRefusal, Command, Endorsement, Event, MessageKey, Refusal, Renewal, TpmProof,
};
use keyward_ids::KeyId;
use rcgen::KeyPair;

const PUMP: &str = "device:pump-1";

fn chip(n: u8) -> KeyId {
    KeyId::new([n; 32])
}

/// Claims with a message key of this level, for which the chip vouched.
fn proven(code: &str, tls: &KeyPair, message_key: MessageKey, chip: Option<KeyId>) -> Command {
    let certified = MessageKey::read_file(tls.public_key_pem().as_bytes(), 0).unwrap().id();
    let message = message_key.id();
    let proof = chip.map(|endorsement| TpmProof { endorsement, tls: certified, message });
    match claim("pump-1", code, tls) {
        Command::Claim(claim) => Command::Claim(Claim { message_key: Some(message_key), proof, ..claim }),
        other => other,
    }
}

fn invite_again(house: &mut House, endorsement: Option<KeyId>) -> String {
    let id = "pump-1".parse().unwrap();
    let invite = Command::Invite { id, seconds: 900, replace: true, endorsement };
    house.run(invite).claim_code.unwrap().code.expose_text().to_owned()
}

/// Returns the level of the one message key, and which TPM vouched for it.
fn held(house: &House) -> (u8, Option<Endorsement>) {
    let account = house.account(PUMP);
    assert_eq!(account.message_keys.len(), 1);
    (account.message_keys[0].key.level(), account.message_keys[0].endorsement.clone())
}

#[test]
fn a_key_for_which_a_tpm_vouched_has_level_3_and_the_ledger_names_the_tpm() {
    let mut house = House::new();
    let code = invite(&mut house, "pump-1");
    let tls = key();
    let claim = || proven(&code, &tls, message_key(1, 3), Some(chip(7)));
    house.run(claim());
    house.open().unwrap();
    assert_eq!(held(&house), (3, Some(Endorsement { key: chip(7), named: false })));
    assert!(house.run(claim()).certificate.is_some(), "the answer was lost");
    let without = claim_refused(&mut house, proven(&code, &tls, message_key(1, 3), None));
    assert!(matches!(without, ClaimRefusal::Unproven(_)), "{without}");
}

#[test]
fn a_code_for_one_tpm_gets_nothing_from_another_or_from_none() {
    let mut house = House::new();
    invite(&mut house, "pump-1");
    let code = invite_again(&mut house, Some(chip(7)));
    for (level, shown) in [(0, None), (2, None), (3, None), (3, Some(chip(8)))] {
        let refusal = claim_refused(&mut house, proven(&code, &key(), message_key(1, level), shown));
        assert!(matches!(refusal, ClaimRefusal::OtherTpm { .. }), "{refusal}");
        assert!(refusal.to_string().contains("07070707"), "the operator is told which: {refusal}");
    }
    assert!(matches!(
        claim_refused(&mut house, claim("pump-1", &code, &key())),
        ClaimRefusal::OtherTpm { .. }
    ));
    let written = events(&house).into_iter().filter(|event| matches!(event, Event::ClaimConflicted { .. }));
    assert_eq!(written.count(), 1, "who has a code must not write the ledger full");
    assert!(house.account("device:pump-1").invitation.unwrap().conflict.is_some());
    let tls = key();
    house.run(proven(&code, &tls, message_key(1, 3), Some(chip(7))));
    assert_eq!(held(&house), (3, Some(Endorsement { key: chip(7), named: true })));
    let again = claim_refused(&mut house, proven(&code, &tls, message_key(1, 3), Some(chip(8))));
    assert!(matches!(again, ClaimRefusal::OtherTpm { .. }), "{again}");
}

#[test]
fn level_3_is_not_said_and_evidence_is_about_the_keys_that_come() {
    let mut house = House::new();
    let code = invite(&mut house, "pump-1");
    let tls = key();
    let good = || proven(&code, &tls, message_key(1, 3), Some(chip(7)));
    let with = |change: &dyn Fn(&mut Claim)| match good() {
        Command::Claim(mut claim) => {
            change(&mut claim);
            Command::Claim(claim)
        }
        other => other,
    };
    let other_tls = key();
    let other_csr = crate::enrolment::request(&other_tls);
    for bad in [
        with(&|claim| claim.csr.clone_from(&other_csr)),
        with(&|claim| claim.message_key = Some(message_key(2, 3))),
        with(&|claim| claim.message_key = None),
    ] {
        assert!(matches!(house.refused(bad), Refusal::Claim(ClaimRefusal::OtherKeysProven(_))));
    }
    for bad in [with(&|claim| claim.proof = None), with(&|claim| claim.message_key = Some(message_key(1, 2)))]
    {
        assert!(matches!(house.refused(bad), Refusal::Claim(ClaimRefusal::Unproven(_))));
    }
    house.run(good());
}

/// It enrolled before this server knew of evidence.
#[test]
fn a_tpm_may_vouch_later_for_a_key_that_was_claimed_and_it_keeps_its_place() {
    let mut house = House::new();
    let code = invite(&mut house, "pump-1");
    house.run(proven(&code, &key(), message_key(1, 2), None));
    let registered = house.account(PUMP).message_keys[0].registered;
    house.now.0 += DAY;
    let code = invite_again(&mut house, Some(chip(7)));
    house.run(proven(&code, &key(), message_key(1, 3), Some(chip(7))));
    house.open().unwrap();
    assert_eq!(held(&house), (3, Some(Endorsement { key: chip(7), named: true })));
    assert_eq!(house.account(PUMP).message_keys[0].registered, registered);
    // What was shown is not unsaid: another code does not make less of it.
    let code = invite_again(&mut house, None);
    let less = house.refused(proven(&code, &key(), message_key(1, 2), None));
    assert!(matches!(less, Refusal::KeyHeld { .. }), "{less}");
    house.run(proven(&code, &key(), message_key(1, 3), Some(chip(7))));
    assert_eq!(held(&house), (3, Some(Endorsement { key: chip(7), named: true })));
}

#[test]
fn a_renewed_certificate_leaves_the_message_key_and_its_level_as_they_are() {
    let mut house = House::new();
    let code = invite(&mut house, "pump-1");
    let issued = house.run(proven(&code, &key(), message_key(1, 3), Some(chip(7)))).certificate.unwrap();
    house.now.0 += 3_000 * DAY;
    let (identity, serial) = (issued.identity.clone(), issued.serial.clone());
    let csr = crate::enrolment::request(&key());
    let renew = |message_key| {
        let (identity, serial, csr) = (identity.clone(), serial.clone(), csr.clone());
        let agreement_key = None;
        let overlap_secs = 0;
        let lifetime_days = None;
        Command::Renew(Renewal {
            identity,
            serial,
            csr,
            message_key,
            agreement_key,
            overlap_secs,
            lifetime_days,
        })
    };
    for level in [2, 3] {
        let refusal = house.refused(renew(Some(message_key(2, level))));
        assert!(matches!(refusal, Refusal::NoRotation { .. }), "nobody vouches for that one: {refusal}");
    }
    house.run(renew(None));
    assert_eq!(held(&house), (3, Some(Endorsement { key: chip(7), named: false })));
}
