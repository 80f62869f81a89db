//! Groups: who was taken out stays out, and no epoch is given twice.

use super::*;
use crate::groups::{add, create, epoch, found, group, keep, plant, take_out};

#[test]
fn who_was_taken_out_stays_out_and_every_group_gets_a_key_of_a_new_number() {
    for with_list in [false, true] {
        let mut house = plant();
        let backup = back_up(&house);
        house.now.0 += HOUR;
        // The record that is damaged.
        house.run(Command::RotateGroup { group: group("plant") });
        house.run(take_out("plant", &["device:pump-1"]));
        house.run(create("later"));
        let (last, list) = (epoch(&house, "later"), printed(&house));
        assert!(list.to_string().contains("device:pump-1 group-left plant record="), "{list}");
        house.close();
        if with_list {
            fs::remove_dir_all(house.path("ledger")).unwrap();
        } else {
            let mut bytes = fs::read(house.path("ledger/a.log")).unwrap();
            bytes[backup.ledger.len() + 30] ^= 1;
            for copy in ["ledger/a.log", "ledger/b.log"] {
                house.write(copy, &bytes);
            }
        }
        let report = restore(&mut house, &backup, with_list.then_some(&list));
        assert_eq!(report.applied.memberships, 1, "{report}");
        assert!(report.to_string().contains("Members taken out of groups as before: 1."), "{report}");
        house.run(Command::ConfirmAll);
        assert!(!found(&house, "plant").members.contains_key(&"device:pump-1".parse().unwrap()));
        let at = epoch(&house, "plant");
        house.run(keep());
        assert!(epoch(&house, "plant") > last.max(at), "a new key, of a number that was never given");
        assert!(!house.run(keep()).changed, "once");
    }
}

/// A ledger that is restored twice from one backup goes two ways: no number is given on both.
#[test]
fn two_restores_of_one_backup_give_no_number_twice() {
    let mut house = plant();
    let backup = back_up(&house);
    let mut given = Vec::new();
    for _ in 0..2 {
        house.now.0 += HOUR;
        house.close();
        fs::remove_dir_all(house.path("ledger")).unwrap();
        restore(&mut house, &backup, None);
        house.run(Command::ConfirmAll);
        for _ in 0..20 {
            house.run(Command::RotateGroup { group: group("plant") });
            given.push(epoch(&house, "plant"));
        }
    }
    assert!(given.windows(2).all(|two| two[0] < two[1]), "{given:?}");
}

#[test]
fn who_came_back_behind_the_backup_is_not_taken_out_again() {
    let mut house = plant();
    let backup = back_up(&house);
    house.run(take_out("plant", &["device:pump-1"]));
    house.run(add("plant", &["device:pump-1"]));
    let list = printed(&house);
    house.close();
    fs::remove_dir_all(house.path("ledger")).unwrap();
    let report = restore(&mut house, &backup, Some(&list));
    assert_eq!(report.applied.memberships, 0);
    assert!(found(&house, "plant").members.contains_key(&"device:pump-1".parse().unwrap()));
}
