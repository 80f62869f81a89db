//! A claim code that was used after the backup does not come back to life.

use super::*;
use crate::enrolment::{claim, claim_refused, invite, key};
use keyward_identity::ClaimRefusal;

/// Invites two devices, takes a backup, and lets one of them use its code.
fn scene() -> (House, Backup, [String; 2]) {
    let mut house = House::new();
    let codes = ["used", "open"].map(|id| invite(&mut house, id));
    let backup = back_up(&house);
    house.now.0 += HOUR;
    house.run(claim("used", &codes[0], &key()));
    (house, backup, codes)
}

fn assert_void(house: &mut House, codes: &[String; 2]) {
    for (id, code) in ["used", "open"].into_iter().zip(codes) {
        let refusal = claim_refused(house, claim(id, code, &key()));
        assert!(matches!(refusal, ClaimRefusal::NotInvited(_)), "{id}: {refusal}");
    }
}

#[test]
fn without_the_old_ledger_no_code_is_worth_anything_also_once_all_are_confirmed() {
    let (mut house, backup, codes) = scene();
    house.close();
    fs::remove_dir_all(house.path("ledger")).unwrap();
    let report = restore(&mut house, &backup, None);
    assert_eq!(report.void_codes, 2);
    assert!(report.to_string().contains("device invite"), "{report}");
    house.run(Command::ConfirmAll);
    assert_void(&mut house, &codes);
    house.open().unwrap();
    assert_void(&mut house, &codes);
}

/// Whoever writes a list by hand does not think of codes.
#[test]
fn a_list_that_is_complete_by_its_own_word_revives_no_code() {
    let (mut house, backup, codes) = scene();
    let list = list(&house, "");
    house.close();
    fs::remove_dir_all(house.path("ledger")).unwrap();
    let report = restore(&mut house, &backup, Some(&list));
    assert_eq!(report.unknown, None);
    assert_void(&mut house, &codes);
}

#[test]
fn with_the_old_ledger_the_certificate_stays_and_codes_are_void_all_the_same() {
    let (mut house, backup, codes) = scene();
    let report = restore(&mut house, &backup, None);
    assert!(matches!(report.old_ledger, OldLedger::Whole { .. }));
    assert_eq!((report.void_codes, house.account("device:used").certificates.len()), (1, 1));
    assert_void(&mut house, &codes);
}
