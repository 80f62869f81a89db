//! The keys of the server that devices believe: made once, rotated with an overlap, and numbers that are given once.

use crate::support::*;

use keyward_identity::{Command, Refusal, WallTime};
use std::fs;

fn keep(house: &mut House) -> bool {
    house.run(Command::KeepServerKeys).changed
}

fn rotate(house: &mut House, lead_secs: u64, overlap_secs: u64) {
    house.run(Command::RotateCommandKey { lead_secs, overlap_secs });
}

fn kids(house: &House) -> Vec<String> {
    house.registrar().server_keys().commands().iter().map(|held| held.key.kid().to_string()).collect()
}

fn signing(house: &House) -> String {
    let (key, secret) = house.registrar().command_secret(house.now).unwrap();
    assert_eq!(secret.expose().len(), 32);
    key.key.kid().to_string()
}

fn keep_key_set(house: &mut House) -> u64 {
    let (version, expires) = house.registrar().server_keys().next_key_set(house.now);
    house.run(Command::KeepKeySet { version, expires, message: vec![7] });
    version
}

fn sign(house: &mut House) -> u64 {
    let identity = "device:pump-1".parse().unwrap();
    house.run(Command::SignCommand { identity, topic: "pump-1/set".into() }).number.unwrap()
}

#[test]
fn the_keys_are_made_once_and_are_there_after_a_start() {
    let mut house = House::new();
    let identity = "device:pump-1".parse().unwrap();
    house.add_device("pump-1");
    let refused = house.refused(Command::SignCommand { identity, topic: "x".into() });
    assert!(matches!(refused, Refusal::NoCommandKey), "{refused}");
    assert!(keep(&mut house) && !keep(&mut house));
    let keys = house.registrar().server_keys().clone();
    house.open().unwrap();
    assert_eq!(*house.registrar().server_keys(), keys);
    assert_eq!(house.registrar().installation_secret().unwrap().expose().len(), 32);
    assert_eq!(kids(&house), [signing(&house)]);
    assert_ne!(keys.installation().unwrap().kid(), keys.commands()[0].key.kid());
}

#[test]
fn a_device_cannot_register_a_key_of_the_server_as_its_own() {
    let mut house = House::new();
    keep(&mut house);
    house.add_device("pump-1");
    let keys = house.registrar().server_keys().clone();
    for key in [keys.installation().unwrap(), &keys.commands()[0].key] {
        let identity = "device:pump-1".parse().unwrap();
        let refused = house.refused(Command::RegisterMessageKey { identity, key: key.clone() });
        assert!(matches!(refused, Refusal::AuthorityKey), "{refused}");
    }
}

#[test]
fn a_new_command_key_is_believed_at_once_signs_later_and_the_old_one_leaves_later_still() {
    let mut house = House::new();
    keep(&mut house);
    let old = signing(&house);
    rotate(&mut house, 86_400, 7 * 86_400);
    assert_eq!((kids(&house).len(), signing(&house)), (2, old.clone()));
    house.now.0 += DAY;
    let new = signing(&house);
    assert_ne!(new, old);
    house.now.0 += 7 * DAY - 1;
    assert!(!keep(&mut house), "it is believed to the end of the overlap");
    house.now.0 += 1;
    assert!(keep(&mut house));
    assert_eq!(kids(&house), [new.as_str()]);
    assert!(!house.path(&format!("keys/command-{old}.key")).exists(), "the old key is deleted");
    assert!(house.path(&format!("keys/command-{new}.key")).exists());
}

#[test]
fn a_command_key_that_was_stolen_leaves_at_once_and_no_later_word_lengthens_an_overlap() {
    let mut house = House::new();
    keep(&mut house);
    rotate(&mut house, 0, 3_600);
    let until = house.now.after(std::time::Duration::from_secs(3_600));
    rotate(&mut house, 0, 7_200);
    assert_eq!(house.registrar().server_keys().commands()[0].until, Some(until));
    rotate(&mut house, 0, 7_200);
    let refused = house.refused(Command::RotateCommandKey { lead_secs: 0, overlap_secs: 1 });
    assert!(matches!(refused, Refusal::Full { .. }), "{refused}");
    let refused = house.refused(Command::RotateCommandKey { lead_secs: 1, overlap_secs: 0 });
    assert!(matches!(refused, Refusal::Full { .. }), "the others stay for that second: {refused}");
    rotate(&mut house, 0, 0);
    assert_eq!(kids(&house), [signing(&house)], "who is in a hurry is not held up");
    let too_long = Command::RotateCommandKey { lead_secs: u64::MAX, overlap_secs: 0 };
    assert!(matches!(house.refused(too_long), Refusal::CommandKeyTime { .. }));
}

#[test]
fn a_key_set_is_due_when_its_keys_change_and_before_its_end_and_its_version_only_grows() {
    let mut house = House::new();
    keep(&mut house);
    let is_due = |house: &House| house.registrar().server_keys().is_key_set_due(house.now);
    assert!(is_due(&house));
    let first = keep_key_set(&mut house);
    assert!(!is_due(&house));
    rotate(&mut house, 86_400, 86_400);
    assert!(is_due(&house));
    let second = keep_key_set(&mut house);
    assert_eq!(second, first + 1, "also within a second");
    let expires = WallTime(house.now.0 + DAY);
    let refused = house.refused(Command::KeepKeySet { version: second, expires, message: vec![8] });
    assert!(matches!(refused, Refusal::OldKeySet { .. }), "{refused}");
    house.now.0 += 29 * DAY;
    keep(&mut house);
    keep_key_set(&mut house);
    house.now.0 += 30 * DAY;
    assert!(is_due(&house), "two months before its end");
}

#[test]
fn a_number_is_given_once_also_after_a_kill_and_when_the_clock_goes_back() {
    let mut house = House::new();
    keep(&mut house);
    house.add_device("pump-1");
    let mut numbers = vec![sign(&mut house), sign(&mut house)];
    let reserved = house.run(Command::ReserveNumbers { count: 100 }).number.unwrap();
    numbers.push(reserved + 99);
    // What is in the ledger is all that a killed process leaves.
    house.open().unwrap();
    numbers.push(sign(&mut house));
    house.now.0 -= 200_000;
    numbers.push(sign(&mut house));
    house.now.0 += 3_600_000;
    numbers.push(sign(&mut house));
    assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
    assert_eq!(
        numbers[5] >> 32,
        house.now.as_secs(),
        "the upper half is the time, which no backup takes back"
    );
}

#[test]
fn nothing_is_signed_for_who_is_revoked_or_no_device_nor_by_a_wrong_clock() {
    let mut house = House::new();
    keep(&mut house);
    house.add_device("pump-1");
    house.run(user("anna", generated_password()));
    let command = |who: &str| Command::SignCommand { identity: who.parse().unwrap(), topic: "x".into() };
    assert!(matches!(house.refused(command("user:anna")), Refusal::SignsNothing(_)));
    assert!(matches!(house.refused(command("device:pump-2")), Refusal::NoSuchIdentity(_)));
    let long = Command::SignCommand { identity: "device:pump-1".parse().unwrap(), topic: "x".repeat(1_025) };
    assert!(matches!(house.refused(long), Refusal::TooLong { .. }));
    let now = std::mem::replace(&mut house.now, WallTime(1));
    assert!(matches!(house.refused(command("device:pump-1")), Refusal::Clock { .. }));
    house.now = now;
    house.run(revoke("device:pump-1"));
    assert!(matches!(house.refused(command("device:pump-1")), Refusal::IsRevoked(_)));
}

#[test]
fn a_key_that_is_lost_is_told_and_another_command_key_can_be_made() {
    let mut house = House::new();
    keep(&mut house);
    let old = signing(&house);
    fs::remove_file(house.path(&format!("keys/command-{old}.key"))).unwrap();
    house.open().unwrap();
    assert!(house.registrar().command_secret(house.now).is_none());
    let told = house.registrar().status(house.now).mended.concat();
    assert!(told.contains(&old) && told.contains("keyward keys rotate-command"), "{told}");
    rotate(&mut house, 0, 60);
    assert_ne!(signing(&house), old);
    let key = fs::read(house.path("keys/server.key")).unwrap();
    fs::write(house.path("keys/installation.key"), key).unwrap();
    house.open().unwrap();
    assert!(house.registrar().installation_secret().is_none(), "it is another key than the ledger's");
}
