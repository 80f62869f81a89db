//! The list of what was taken away.

use super::*;

#[test]
fn with_the_list_of_the_old_ledger_nothing_taken_comes_back_and_the_rest_needs_a_word() {
    let mut scene = Scene::new();
    let list = printed(&scene.house);
    assert!(!list.to_string().contains(&scene.new_password));
    scene.lose_ledger();
    scene.house.now.0 += HOUR;
    let report = restore(&mut scene.house, &scene.backup, Some(&list));
    assert_eq!(report.old_ledger, OldLedger::Absent);
    let applied =
        Applied { revoked: 1, removed: 1, disabled: 1, passwords: 1, certificates: 1, ..Applied::default() };
    assert_eq!(report.applied, applied);
    let until = list.complete_until.unwrap();
    assert_eq!(report.unknown, Some((until, scene.house.now)), "it says what stays unknown behind the list");
    assert!(is_unconfirmed(&scene.house, "device:kept"));
    scene.house.run(Command::ConfirmAll);
    scene.assert_all_taken();
    assert!(scene.house.admit(&scene.kept).is_ok());
    assert_eq!(standing(&scene.house, "device:disabled"), Standing::Disabled);
}

#[test]
fn a_list_that_is_found_later_takes_away_what_the_first_restore_did_not_know() {
    let mut scene = Scene::new();
    let list = printed(&scene.house);
    scene.lose_ledger();
    restore(&mut scene.house, &scene.backup, None);
    let report = restore(&mut scene.house, &scene.backup, Some(&list));
    assert_eq!(report.applied.revoked, 1, "its record has the number of the first restore");
    scene.house.run(Command::ConfirmAll);
    assert!(scene.house.admit(&scene.revoked).is_err());
}

#[test]
fn a_list_by_hand_is_taken_at_its_word() {
    let mut scene = Scene::new();
    let list =
        list(&scene.house, "device:revoked revoked\nuser:app password-replaced\ndevice:typo revoked\n");
    scene.lose_ledger();
    let report = restore(&mut scene.house, &scene.backup, Some(&list));
    assert_eq!((report.unknown, report.unconfirmed), (None, 0));
    assert_eq!(report.strangers, ["device:typo".parse().unwrap()]);
    assert!(report.to_string().contains("device:typo"), "{report}");
    assert!(scene.house.admit(&scene.revoked).is_err() && scene.house.admit(&scene.kept).is_ok());
    assert!(!opens(&scene.house, "app", &scene.old_password));
    assert!(scene.house.admit(&scene.removed).is_ok(), "the list did not name it");
}

#[test]
fn a_list_does_not_undo_what_the_backup_knows_better() {
    let mut house = House::new();
    house.add_device("a");
    house.run(disable("device:a"));
    house.run(remove("device:a"));
    let again = house.add_device("a");
    house.run(disable("device:a"));
    let early = printed(&house);
    house.run(enable("device:a"));
    let backup = back_up(&house);
    house.close();
    fs::remove_dir_all(house.path("ledger")).unwrap();
    let report = restore(&mut house, &backup, Some(&early));
    assert_eq!(report.applied, Applied::default(), "the backup holds these records");
    house.run(Command::ConfirmAll);
    assert!(house.admit(&again).is_ok());
}

#[test]
fn a_list_is_good_for_a_backup_of_any_age_also_behind_restores() {
    let mut house = House::new();
    let first = house.add_device("a");
    let oldest = back_up(&house);
    house.run(remove("device:a"));
    let second = house.add_device("a");
    let middle = back_up(&house);
    house.close();
    fs::remove_dir_all(house.path("ledger")).unwrap();
    restore(&mut house, &middle, None);
    house.run(Command::ConfirmAll);
    house.run(revoke("device:a"));
    house.add_device("b");
    house.run(disable("device:b"));
    let list = printed(&house);
    for backup in [&oldest, &middle] {
        house.close();
        fs::remove_dir_all(house.path("ledger")).unwrap();
        restore(&mut house, backup, Some(&list));
        house.run(Command::ConfirmAll);
        assert!(house.admit(&first).is_err() && house.admit(&second).is_err(), "\n{list}");
    }
}

#[test]
fn what_is_unconfirmed_stays_so_through_another_restore() {
    let mut scene = Scene::new();
    scene.lose_ledger();
    restore(&mut scene.house, &scene.backup, None);
    let list = printed(&scene.house);
    assert!(list.to_string().contains("device:kept unconfirmed"), "{list}");
    // The list is complete by its own word, yet what it calls unconfirmed is not let in.
    let text = list.to_string();
    let by_hand: String =
        text.lines().filter(|line| !line.starts_with("complete")).map(|l| format!("{l}\n")).collect();
    let list = RevokedList::parse(Path::new("list"), by_hand.as_bytes()).unwrap();
    scene.lose_ledger();
    let report = restore(&mut scene.house, &scene.backup, Some(&list));
    assert_eq!((report.unknown, report.unconfirmed), (None, 6));
    assert!(is_unconfirmed(&scene.house, "device:kept"));
}

#[test]
fn a_list_that_speaks_of_the_future_is_refused() {
    let mut scene = Scene::new();
    let list = list(&scene.house, "complete-until: 2036-01-01T00:00:00Z\n");
    scene.house.close();
    assert!(matches!(
        refuses(&scene.house, &scene.backup, Some(&list)),
        RestoreError::ListOfTheFuture { .. }
    ));
}

#[test]
fn an_authority_of_others_is_not_used_after_a_restore_until_an_operator_says_so() {
    use crate::trust;
    let mut house = trust::house();
    house.add_device("pump-1");
    house.run(trust::bind("device:pump-1", "Kitchen"));
    let backup = back_up(&house);
    let list = printed(&house);
    house.close();
    fs::remove_dir_all(house.path("ledger")).unwrap();
    restore(&mut house, &backup, Some(&list));
    let refusal = trust::admitted(&house, "Kitchen").unwrap_err();
    assert!(matches!(refusal, CertificateRefusal::Distrusted { .. }), "{refusal}");
    house.open().unwrap();
    assert!(trust::admitted(&house, "Kitchen").is_err(), "nor after a restart");
    house.run(Command::ConfirmAll);
    assert!(trust::admitted(&house, "Kitchen").is_err(), "it is asked for by itself");
    house.run(Command::ConfirmAuthority { name: trust::old() });
    assert_eq!(trust::admitted(&house, "Kitchen").unwrap(), "device:pump-1");
}

#[test]
fn a_mark_that_was_set_or_cleared_since_the_backup_is_as_before() {
    let mut house = House::new();
    let mark = |identity: &str, plain| Command::MarkPlain { identity: identity.parse().unwrap(), plain };
    house.run(user("cleared", generated_password()));
    house.run(mark("user:cleared", true));
    house.run(user("set", generated_password()));
    let backup = back_up(&house);
    house.run(mark("user:cleared", false));
    house.run(mark("user:set", true));
    let list = printed(&house);
    assert!(list.to_string().contains("user:cleared unmarked-plain record="), "{list}");
    house.close();
    for copy in ["ledger/a.log", "ledger/b.log"] {
        fs::remove_file(house.path(copy)).unwrap();
    }
    let report = restore(&mut house, &backup, Some(&list));
    assert_eq!(report.applied.marks, 2);
    assert!(!house.account("user:cleared").plain && house.account("user:set").plain);
    assert!(house.account("user:cleared").password.is_none(), "it may have been read");
}

/// Marked, used on the network, unmarked: all behind the backup, which knows the password and no mark.
#[test]
fn a_password_that_was_exposed_after_the_backup_stays_void() {
    let mut house = House::new();
    house.run(user("vic", generated_password()));
    let backup = back_up(&house);
    for plain in [true, false] {
        house.run(Command::MarkPlain { identity: "user:vic".parse().unwrap(), plain });
    }
    let list = printed(&house);
    house.close();
    fs::remove_dir_all(house.path("ledger")).unwrap();
    restore(&mut house, &backup, Some(&list));
    assert!(house.account("user:vic").password.is_none());
}
