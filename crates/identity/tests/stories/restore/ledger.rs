//! What the old ledger is good for, whole or damaged.

use super::*;

#[test]
fn over_a_whole_old_ledger_the_state_is_exactly_the_old_one() {
    let mut scene = Scene::new();
    let before = scene.house.registrar().registry();
    let report = restore(&mut scene.house, &scene.backup, None);
    assert_eq!(report.old_ledger, OldLedger::Whole { records: before.revision() });
    assert_eq!((report.unknown, report.unconfirmed, report.applied), (None, 0, Applied::default()));
    let after = scene.house.registrar().registry();
    assert!(before.accounts().all(|account| after.find(&account.identity) == Some(account)));
    assert_eq!(after.len(), before.len());
    scene.assert_all_taken();
    assert!(scene.house.admit(&scene.kept).is_ok());
    assert!(opens(&scene.house, "app", &scene.new_password));
    let last = scene.house.registrar().audit(after.revision()).unwrap().next().unwrap().unwrap();
    assert!(format!("{:?}", last.events).contains("Restored"), "{last:?}");
}

#[test]
fn an_old_ledger_damaged_before_the_end_of_the_backup_is_read_on_behind_it() {
    let mut scene = Scene::new();
    let before = scene.house.registrar().registry();
    scene.damage(400);
    let report = restore(&mut scene.house, &scene.backup, None);
    assert_eq!(report.old_ledger, OldLedger::Whole { records: before.revision() });
    assert_eq!(report.unknown, None);
    scene.assert_all_taken();
    assert!(opens(&scene.house, "app", &scene.new_password));
}

#[test]
fn what_stands_behind_a_damage_stays_taken_and_the_rest_is_unconfirmed() {
    let mut scene = Scene::new();
    // The first record behind the backup: the one that revokes.
    scene.damage(scene.backup.ledger.len() + 30);
    let report = restore(&mut scene.house, &scene.backup, None);
    let records = scene.house.registrar().audit(1).unwrap().count() as u64;
    let OldLedger::Damaged { records: read, salvaged } = report.old_ledger else { panic!("{report:?}") };
    assert!(read < records && salvaged == 4, "{report:?}");
    let applied =
        Applied { revoked: 0, removed: 1, disabled: 1, passwords: 1, certificates: 1, ..Applied::default() };
    assert_eq!(report.applied, applied);
    assert_eq!(report.unknown, Some((scene.backup.taken, scene.house.now)));
    scene.assert_all_taken();
    assert!(is_unconfirmed(&scene.house, "device:revoked") && is_unconfirmed(&scene.house, "device:kept"));
    assert_eq!(standing(&scene.house, "device:removed"), Standing::Removed);

    scene.house.run(revoke("device:revoked"));
    scene.house.run(Command::ConfirmAll);
    assert!(scene.house.admit(&scene.kept).is_ok());
    scene.assert_all_taken();
    assert!(!opens(&scene.house, "app", &scene.new_password), "who set it last is not known: neither opens");
}

#[test]
fn wherever_the_old_ledger_is_damaged_nothing_taken_comes_back_before_it_is_confirmed() {
    let mut scene = Scene::new();
    scene.house.close();
    let old = fs::read(scene.log()).unwrap();
    // A record begins with its length, which a damage can make longer than what is left: it looks torn then.
    let (mut begins, mut at) = (Vec::new(), 16);
    while let Some(length) = old.get(at..at + 4) {
        begins.push(at + 2);
        at += 4 + u32::from_le_bytes(length.try_into().unwrap()) as usize + 40;
    }
    assert!(begins.len() > 10, "{begins:?}");
    for at in (1..old.len()).step_by(149).chain(begins) {
        let mut damaged = old.clone();
        damaged[at] ^= 0x01;
        scene.house.close();
        for copy in ["ledger/a.log", "ledger/b.log"] {
            scene.house.write(copy, &damaged);
        }
        let report = restore(&mut scene.house, &scene.backup, None);
        scene.assert_all_taken();
        assert!(report.unknown.is_some() || at < scene.backup.ledger.len(), "at {at}: {report}");
    }
}

/// A record that was written while the clock was wrong made a damaged ledger look as if it reached up to now.
#[test]
fn a_record_from_the_future_vouches_for_nothing() {
    let mut house = House::new();
    house.add_device("a");
    let backup = back_up(&house);
    let now = house.now;
    house.now.0 += 3_000 * DAY;
    house.run(Command::NoteConfigChange { summary: "by a wrong clock".into() });
    house.now = now;
    house.now.0 += HOUR;
    let before = fs::read(house.path("ledger/a.log")).unwrap().len();
    house.run(revoke("device:a"));
    house.close();
    for copy in ["ledger/a.log", "ledger/b.log"] {
        let mut bytes = fs::read(house.path(copy)).unwrap();
        bytes[before + 30] ^= 1;
        house.write(copy, bytes);
    }
    let report = restore(&mut house, &backup, None);
    assert_eq!(report.unknown, Some((backup.taken, house.now)));
    assert!(is_unconfirmed(&house, "device:a"));
}

#[test]
fn another_installations_ledger_and_list_are_refused() {
    let (mut scene, mut other) = (Scene::new(), House::new());
    let foreign = printed(&other);
    scene.house.close();
    let error = refuses(&scene.house, &scene.backup, Some(&foreign));
    assert!(matches!(error, RestoreError::OtherList { .. }), "{error}");
    other.close();
    let error = refuses(&other, &scene.backup, None);
    assert!(
        matches!(error, RestoreError::OtherLedger { .. }) && error.to_string().contains("--dir"),
        "{error}"
    );
}

#[test]
fn a_ledger_that_went_another_way_is_refused_and_says_what_to_do() {
    let mut scene = Scene::new();
    let late = back_up(&scene.house);
    scene.lose_ledger();
    restore(&mut scene.house, &scene.backup, None);
    scene.house.close();
    let error = refuses(&scene.house, &late, None);
    assert!(matches!(error, RestoreError::Apart { .. }), "{error}");
    assert!(error.to_string().contains("keyward store revoked"), "{error}");
}

#[test]
fn an_old_ledger_that_is_older_than_the_backup_tells_nothing() {
    let mut scene = Scene::new();
    let late = back_up(&scene.house);
    scene.house.close();
    for copy in ["ledger/a.log", "ledger/b.log"] {
        scene.house.write(copy, &scene.backup.ledger);
    }
    let report = restore(&mut scene.house, &late, None);
    assert_eq!(report.old_ledger, OldLedger::Older);
    assert_eq!(report.unknown, Some((late.taken, scene.house.now)), "a moment is long enough");
    scene.assert_all_taken();
    scene.house.now.0 += HOUR;
    scene.house.close();
    for copy in ["ledger/a.log", "ledger/b.log"] {
        scene.house.write(copy, &scene.backup.ledger);
    }
    let report = restore(&mut scene.house, &late, None);
    assert_eq!(report.unknown, Some((late.taken, scene.house.now)));
}

#[test]
fn a_backup_whose_ledger_is_not_whole_is_refused() {
    let mut scene = Scene::new();
    scene.house.close();
    let whole = scene.backup.ledger.clone();
    for (ledger, why) in [
        (whole[..whole.len() - 9].to_vec(), "its end is missing"),
        (whole[..10].to_vec(), "no header"),
        (Vec::new(), "no header"),
        (whole[..16].to_vec(), "empty"),
        (whole.iter().enumerate().map(|(n, byte)| byte ^ u8::from(n == 500)).collect(), "checksum"),
    ] {
        let backup = Backup { ledger, taken: scene.backup.taken };
        let error = refuses(&scene.house, &backup, None);
        assert!(matches!(error, RestoreError::Backup(_)) && error.to_string().contains(why), "{error}");
    }
}
