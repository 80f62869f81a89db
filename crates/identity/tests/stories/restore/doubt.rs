//! Where nobody knows what was taken away, and what was given is lost.

use super::*;

#[test]
fn without_ledger_and_list_everybody_is_shut_out_until_confirmed() {
    let mut scene = Scene::new();
    scene.lose_ledger();
    let report = restore(&mut scene.house, &scene.backup, None);
    assert_eq!(report.unknown, Some((scene.backup.taken, scene.house.now)));
    assert_eq!(report.unconfirmed, 6);
    let text = report.to_string();
    assert!(text.contains(&scene.backup.taken.to_string()) && text.contains("store confirm --all"), "{text}");
    scene.assert_all_taken();
    let refused = scene.house.admit(&scene.kept).unwrap_err();
    assert!(matches!(refused, CertificateRefusal::Unconfirmed { .. }), "{refused}");
    assert!(refused.to_string().contains("not confirmed since the restore of"), "{refused}");

    let confirm = |identity: &str| Command::Confirm { identity: identity.parse().unwrap() };
    scene.house.run(confirm("device:kept"));
    assert!(scene.house.admit(&scene.kept).is_ok());
    scene.house.open().unwrap();
    assert!(scene.house.admit(&scene.kept).is_ok() && scene.house.admit(&scene.revoked).is_err());
    assert_eq!(scene.house.registrar().status(scene.house.now).devices.unconfirmed, 4);

    // What is disabled or revoked meanwhile is not let in by `--all`.
    scene.house.run(disable("device:disabled"));
    scene.house.run(revoke("device:revoked"));
    assert!(matches!(scene.house.refused(confirm("device:disabled")), Refusal::IsDisabled(_)));
    assert!(matches!(scene.house.refused(confirm("device:revoked")), Refusal::IsRevoked(_)));
    assert!(scene.house.run(Command::ConfirmAll).changed);
    assert!(!scene.house.run(Command::ConfirmAll).changed);
    assert_eq!(standing(&scene.house, "device:disabled"), Standing::Disabled);
    assert!(scene.house.admit(&scene.revoked).is_err());
    assert!(opens(&scene.house, "app", &scene.old_password), "nobody said that it was replaced");
}

#[test]
fn who_was_disabled_before_the_backup_stays_so_through_confirming() {
    let mut house = House::new();
    house.add_device("a");
    house.run(disable("device:a"));
    let backup = back_up(&house);
    house.close();
    fs::remove_dir_all(house.path("ledger")).unwrap();
    restore(&mut house, &backup, None);
    house.run(Command::ConfirmAll);
    assert_eq!(standing(&house, "device:a"), Standing::Disabled);
}

/// Adds and removes a device some times; each life is one record after, or two, than the one before.
fn live_and_die(house: &mut House, lives: &mut Vec<u64>) {
    for n in 0..8 {
        house.add_device("a");
        lives.push(house.account("device:a").life);
        house.run(remove("device:a"));
        if n % 2 == 0 {
            house.run(Command::NoteConfigChange { summary: "between".into() });
        }
    }
}

#[test]
fn a_life_is_not_given_again_after_records_were_lost() {
    let mut house = House::new();
    let (backup, mut lives) = (back_up(&house), Vec::new());
    live_and_die(&mut house, &mut lives);
    for _ in 0..2 {
        house.close();
        fs::remove_dir_all(house.path("ledger")).unwrap();
        restore(&mut house, &backup, None);
        live_and_die(&mut house, &mut lives);
        house.open().unwrap();
    }
    restore(&mut house, &backup, None);
    live_and_die(&mut house, &mut lives);
    assert!(lives.iter().all(|life| *life < 1 << 53));
    let count = lives.len();
    lives.sort_unstable();
    lives.dedup();
    assert_eq!(lives.len(), count, "{lives:?}");
}

#[test]
fn a_life_from_before_the_backup_goes_on() {
    let mut house = House::new();
    house.add_device("a");
    let (life, backup) = (house.account("device:a").life, back_up(&house));
    house.close();
    fs::remove_dir_all(house.path("ledger")).unwrap();
    restore(&mut house, &backup, None);
    assert_eq!(house.account("device:a").life, life);
}

#[test]
fn what_was_issued_after_the_backup_is_refused_and_taken_for_nobody_else() {
    let mut scene = Scene::new();
    let lost = scene.house.add_device("lost");
    let renewed = renew(&mut scene.house, "device:kept");
    scene.lose_ledger();
    restore(&mut scene.house, &scene.backup, None);
    scene.house.run(Command::ConfirmAll);
    for certificate in [&lost, &renewed] {
        let refused = scene.house.admit(certificate).unwrap_err();
        assert!(matches!(refused, CertificateRefusal::UnknownSerial { .. }), "{refused}");
    }
    // The name is free, and its new bearer is not let in by what the lost one had.
    let again = scene.house.add_device("lost");
    assert!(again.serial != lost.serial && again.key != lost.key);
    assert!(scene.house.admit(&lost).is_err() && scene.house.admit(&again).is_ok());
}

#[test]
fn the_clock_and_certificates_work_with_a_restored_ledger() {
    let mut scene = Scene::new();
    scene.lose_ledger();
    scene.house.now.0 += 300 * DAY;
    restore(&mut scene.house, &scene.backup, None);
    let now = scene.house.now;
    assert!(scene.house.registrar().server_renewal_due(now), "its certificate is 300 days old");
    assert!(scene.house.run(Command::RenewServer).server_certificate_changed);
    assert!(!scene.house.registrar().server_renewal_due(now));
    scene.house.add_device("new");
    scene.house.now.0 += 2 * HOUR;
    scene.house.run(Command::NoteConfigChange { summary: "later".into() });
    scene.house.now.0 -= 30 * DAY;
    let refused = scene.house.refused(device("late", generated()));
    assert!(matches!(refused, Refusal::Clock { .. }), "the guard knows the time again: {refused}");
}

#[test]
fn a_clock_before_the_backup_is_refused() {
    let mut scene = Scene::new();
    scene.house.close();
    scene.house.now = WallTime(scene.backup.taken.0 - HOUR);
    let error = refuses(&scene.house, &scene.backup, None);
    assert!(
        matches!(error, RestoreError::Clock { .. }) && error.to_string().contains("set the clock"),
        "{error}"
    );
}
