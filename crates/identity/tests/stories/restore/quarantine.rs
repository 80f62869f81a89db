//! A restore releases nobody from quarantine.

use super::*;
use crate::quarantine::{quarantine, release};
use keyward_identity::QuarantinedBy;

/// Three devices at the backup; behind it `a` is put into quarantine, `b` too and released again, `c` was before.
fn scene() -> (House, Backup) {
    let mut house = House::new();
    ["a", "b", "c"].iter().for_each(|id| drop(house.add_device(id)));
    house.run(quarantine("device:c", QuarantinedBy::Operator));
    let backup = back_up(&house);
    house.now.0 += HOUR;
    house.run(quarantine("device:b", QuarantinedBy::Broker));
    house.run(release("device:b"));
    house.run(quarantine("device:a", QuarantinedBy::Broker));
    (house, backup)
}

fn assert_kept(house: &House) {
    let of = |id: &str| house.account(id).quarantine;
    let held = of("device:a").unwrap();
    assert_eq!((held.by, &*held.because), (QuarantinedBy::Broker, "two hold its key"));
    assert!(of("device:b").is_none(), "it was released");
    assert!(of("device:c").is_some(), "it was there before the backup");
}

#[test]
fn with_the_old_ledger_or_the_list_nobody_is_released() {
    let (mut house, backup) = scene();
    let list = printed(&house);
    let text = list.to_string();
    assert!(text.contains("device:a quarantined broker two%20hold%20its%20key record="), "{text}");
    house.close();
    fs::remove_dir_all(house.path("ledger")).unwrap();
    let report = restore(&mut house, &backup, Some(&list));
    assert_eq!(report.applied, Applied { quarantined: 1, ..Applied::default() });
    assert!(report.to_string().contains("Put back into quarantine: 1."), "{report}");
    assert_kept(&house);
    let again = restore(&mut house, &backup, Some(&list));
    assert_eq!(again.applied, Applied::default(), "the old ledger has it");
    assert_kept(&house);
}

#[test]
fn what_is_behind_a_damage_is_salvaged_and_confirming_releases_nobody() {
    let (mut house, backup) = scene();
    house.close();
    for copy in ["ledger/a.log", "ledger/b.log"] {
        let mut bytes = fs::read(house.path(copy)).unwrap();
        bytes[backup.ledger.len() + 30] ^= 1;
        house.write(copy, bytes);
    }
    let report = restore(&mut house, &backup, None);
    assert!(report.unconfirmed > 0 && report.applied.quarantined == 1, "{report}");
    house.run(Command::ConfirmAll);
    assert_kept(&house);
}
