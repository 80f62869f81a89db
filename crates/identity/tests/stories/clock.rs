//! Certificates are not dated by a clock that cannot be right; everything else works meanwhile.

use crate::support::*;
use keyward_identity::{ClockVerdict, Command, InitOptions, OpenError, Refusal, Registrar, WallTime};

const LONG_AGO: WallTime = WallTime(946_684_800_000);

#[test]
fn no_installation_is_made_by_a_clock_before_the_commit_date() {
    let dir = private_dir();
    let late = InitOptions { now: LONG_AGO, ..init() };
    let error = Registrar::create(dir.path(), late.clone()).err().unwrap();
    assert!(matches!(error, OpenError::Clock { .. }), "{error}");
    let accepted = InitOptions { accept_clock: true, ..late };
    let registrar = Registrar::create(dir.path(), accepted).unwrap();
    assert_eq!(registrar.clock(LONG_AGO), ClockVerdict::Plausible);
}

#[test]
fn nothing_is_issued_before_the_commit_date_until_the_operator_accepts_the_clock() {
    let mut house = House::new();
    house.now = LONG_AGO;
    let refusal = house.refused(device("pump-1", generated()));
    assert!(matches!(refusal, Refusal::Clock { .. }));
    assert!(refusal.to_string().contains("keyward clock accept"), "{refusal}");
    house.refused(Command::RenewServer);
    house.refused(Command::AddServerName { name: "mqtt.home".parse().unwrap() });
    assert!(house.run(Command::AcceptClock).changed);
    house.add_device("pump-1");
    let entry = house.registrar().audit(2).unwrap().next().unwrap().unwrap();
    assert!(format!("{:?}", entry.events).contains("ClockAccepted"));
}

#[test]
fn nothing_is_issued_before_the_newest_time_in_the_ledger() {
    let mut house = House::new();
    house.now.0 += DAY;
    house.add_device("pump-1");
    house.now.0 -= DAY / 2;
    house.refused(device("pump-2", generated()));
    house.open().unwrap();
    house.refused(device("pump-2", generated()));
    house.run(Command::AcceptClock);
    house.add_device("pump-2");
}

#[test]
fn one_reading_far_in_the_future_does_not_count() {
    let mut house = House::new();
    let issued = house.add_device("pump-1");
    house.now.0 += 9_000 * DAY;
    house.run(disable("device:pump-1"));
    house.now = NOW;
    house.run(enable("device:pump-1"));
    house.add_device("pump-2");
    assert!(house.admit(&issued).is_ok());
}

#[test]
fn revoking_and_passwords_work_with_any_clock() {
    let mut house = House::new();
    let issued = house.add_device("pump-1");
    house.now = LONG_AGO;
    house.run(user("anna", generated_password()));
    house.run(revoke("device:pump-1"));
    house.now = NOW;
    assert!(house.admit(&issued).is_err());
}

#[test]
fn accepting_a_plausible_clock_writes_nothing() {
    let mut house = House::new();
    assert!(!house.run(Command::AcceptClock).changed);
}
