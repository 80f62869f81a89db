//! A restore closes every maintenance window: which were called off behind the backup, nobody knows.

use super::*;

#[test]
fn a_window_of_the_backup_mutes_nothing_after_a_restore() {
    let mut house = House::new();
    let because = "new cables".to_owned();
    house.run(Command::BeginMaintenance { scope: "everything".into(), seconds: 600_000, because });
    let backup = back_up(&house);
    house.now.0 += HOUR;
    house.run(Command::EndMaintenance { scope: "everything".into() });
    let list = printed(&house);
    house.close();
    fs::remove_dir_all(house.path("ledger")).unwrap();
    restore(&mut house, &backup, Some(&list));
    assert_eq!(house.registrar().maintenance().open(house.now).count(), 0);
}
