//! Message keys are credentials: what was taken of them since the backup stays taken.

use super::*;
use keyward_identity::MessageKeyStatus;

fn register(n: u8) -> Command {
    Command::RegisterMessageKey { identity: "device:a".parse().unwrap(), key: message_key(n, 1) }
}

fn retire(house: &mut House, n: u8, overlap_secs: u64) {
    let (identity, kid) = ("device:a".parse().unwrap(), message_key(n, 1).kid());
    house.run(Command::RetireMessageKey { identity, kid, overlap_secs });
}

fn withdraw(house: &mut House, n: u8) {
    let (identity, kid) = ("device:a".parse().unwrap(), message_key(n, 1).kid());
    house.run(Command::WithdrawMessageKey { identity, kid });
}

/// A device whose first key is withdrawn, whose second one is retired behind the backup, and whose third one is kept.
fn scene() -> (House, Backup) {
    let mut house = House::new();
    house.add_device("a");
    (1..=3).for_each(|n| drop(house.run(register(n))));
    let backup = back_up(&house);
    house.now.0 += HOUR;
    retire(&mut house, 1, 60);
    withdraw(&mut house, 1);
    retire(&mut house, 2, 9 * 3_600);
    retire(&mut house, 2, 3_600);
    (house, backup)
}

fn assert_taken(house: &House, retired: u64) {
    let held = house.account("device:a").message_keys;
    let of = |n: u8| held.iter().find(|held| held.key == message_key(n, 1));
    assert!(of(1).is_none(), "it was withdrawn");
    assert_eq!(of(2).unwrap().until.unwrap().as_secs(), retired / 1_000, "it was retired");
    assert_eq!(of(3).unwrap().status(house.now), MessageKeyStatus::Active);
}

#[test]
fn with_the_old_ledger_or_the_list_no_message_key_comes_back() {
    let (mut house, backup) = scene();
    let (retired, list) = (house.now.0 + HOUR, printed(&house));
    let text = list.to_string();
    let lines = text.lines().filter(|line| line.contains("message-key")).count();
    assert_eq!(lines, 2, "what is withdrawn is not retired too: {text}");
    house.close();
    fs::remove_dir_all(house.path("ledger")).unwrap();
    let report = restore(&mut house, &backup, Some(&list));
    assert_eq!(report.applied, Applied { message_keys: 2, ..Applied::default() });
    assert!(report.to_string().contains("Message keys withdrawn or retired as before: 2."), "{report}");
    assert_taken(&house, retired);
    let again = restore(&mut house, &backup, Some(&list));
    assert_eq!(again.applied, Applied::default(), "the old ledger has it");
    assert_taken(&house, retired);
}

#[test]
fn what_is_behind_a_damage_is_salvaged() {
    let (mut house, backup) = scene();
    let retired = house.now.0 + HOUR;
    house.close();
    for copy in ["ledger/a.log", "ledger/b.log"] {
        let mut bytes = fs::read(house.path(copy)).unwrap();
        bytes[backup.ledger.len() + 30] ^= 1;
        house.write(copy, bytes);
    }
    let report = restore(&mut house, &backup, None);
    assert_eq!(report.applied.message_keys, 2);
    house.run(Command::ConfirmAll);
    assert_taken(&house, retired);
}

#[test]
fn no_key_to_encrypt_to_comes_back() {
    let mut house = House::new();
    house.run(user("app", generated_password()));
    let [withdrawn, retired, kept] = [(); 3].map(|()| agree(&mut house, "user:app"));
    let backup = back_up(&house);
    house.now.0 += HOUR;
    let identity = || "user:app".parse().unwrap();
    house.run(Command::WithdrawMessageKey { identity: identity(), kid: withdrawn.kid() });
    house.run(Command::RetireMessageKey { identity: identity(), kid: retired.kid(), overlap_secs: 0 });
    let list = printed(&house);
    house.close();
    fs::remove_dir_all(house.path("ledger")).unwrap();
    let report = restore(&mut house, &backup, Some(&list));
    assert_eq!(report.applied, Applied { message_keys: 2, ..Applied::default() });
    let held = house.account("user:app").agreement_keys;
    assert_eq!(held.iter().map(|held| held.key.kid()).collect::<Vec<_>>(), [retired.kid(), kept.kid()]);
    assert!(matches!(held[0].status(house.now), MessageKeyStatus::Retired { .. }));
}
