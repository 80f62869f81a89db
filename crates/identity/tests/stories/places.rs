//! Where devices stand, that they were moved, and where somebody works.

use super::support::*;
use keyward_identity::{
    AddDevice, Command, Exposure, Fence, MaintenanceRefusal, NewCredential, NewPassword, Place, PlaceRefusal,
    Power, Refusal, limits,
};

fn hall() -> Place {
    Place {
        gateway: Some("ap-2".into()),
        circuit: Some("F3".into()),
        power: Some(Power::Battery),
        interval_secs: Some(60),
        fence: Some(Fence { latitude: 52_516_200, longitude: 13_377_700, radius_m: 200 }),
    }
}

fn place(identity: &str, site: Option<&str>, exposure: Option<Exposure>, place: Place) -> Command {
    let site = site.map(|site| site.parse().unwrap());
    Command::Place { identity: identity.parse().unwrap(), site, exposure, place }
}

fn work(scope: &str, seconds: u64) -> Command {
    Command::BeginMaintenance { scope: scope.into(), seconds, because: "new cables".into() }
}

/// Lists the windows that are open: what is worked on, and who opened them.
fn open(house: &House) -> Vec<(String, String)> {
    let windows = house.registrar().maintenance().open(house.now);
    windows.map(|(scope, window)| (scope.to_owned(), window.by.clone())).collect()
}

#[test]
fn where_a_device_stands_is_said_as_a_whole_and_survives_a_restart() {
    let mut house = House::new();
    let add = AddDevice { place: hall(), ..AddDevice::new("pump-1".parse().unwrap(), generated()) };
    house.run(Command::AddDevice(add));
    let account = house.account("device:pump-1");
    assert_eq!((account.exposure, &account.place), (None, &hall()), "who adds it may say it at once");

    let epoch = account.epoch;
    house.run(place("device:pump-1", Some("yard"), Some(Exposure::Public), Place::default()));
    house.open().unwrap();
    let account = house.account("device:pump-1");
    assert_eq!(account.site, Some("yard".parse().unwrap()));
    assert_eq!((account.exposure, account.place), (Some(Exposure::Public), Place::default()));
    assert_eq!(account.epoch, epoch, "its links stay");

    let same = place("device:pump-1", Some("yard"), Some(Exposure::Public), Place::default());
    assert!(!house.run(same).changed);
    house.run(place("device:pump-1", None, None, hall()));
    let account = house.account("device:pump-1");
    assert_eq!((account.site, account.exposure, account.place), (None, None, hall()));
}

#[test]
fn what_is_no_place_is_refused_and_only_devices_stand_somewhere() {
    let mut house = House::new();
    house.add_device("pump-1");
    house.run(user("ben", NewCredential::Password(NewPassword::Generate)));
    let refused = house.refused(place("user:ben", None, None, hall()));
    assert!(matches!(refused, Refusal::NoPlace(_)), "{refused}");
    let odd = Place { gateway: Some("a b".into()), ..Place::default() };
    let refused = house.refused(place("device:pump-1", None, None, odd.clone()));
    assert!(matches!(refused, Refusal::Place(PlaceRefusal::Name("gateway"))), "{refused}");
    let add = AddDevice { place: odd, ..AddDevice::new("pump-2".parse().unwrap(), generated()) };
    house.refused(Command::AddDevice(add));
    house.refused(place("device:nobody", None, None, hall()));
    house.run(Command::Revoke {
        identity: "device:pump-1".parse().unwrap(),
        keep_messages: false,
        publish_will: false,
    });
    house.refused(place("device:pump-1", None, None, hall()));
}

#[test]
fn that_a_device_was_moved_is_kept_with_the_reason() {
    let mut house = House::new();
    house.add_device("pump-1");
    let moved = |because: &str| Command::NoteMove {
        identity: "device:pump-1".parse().unwrap(),
        because: because.into(),
    };
    house.run(moved(""));
    house.now.0 += DAY;
    assert!(house.run(moved("to the other roof")).changed, "each move is one of its own");
    house.open().unwrap();
    let told = house.account("device:pump-1").moved.unwrap();
    assert_eq!((told.at, &*told.because), (house.now, "to the other roof"));
    let long = "x".repeat(limits::REASON_BYTES + 1);
    assert!(matches!(house.refused(moved(&long)), Refusal::Place(PlaceRefusal::Reason)));
}

#[test]
fn a_window_ends_by_itself_by_a_word_and_with_a_restart_it_does_not() {
    let mut house = House::new();
    house.run(work("site:yard", 7_200));
    house.run(work("device:pump-1", limits::MAINTENANCE_SECONDS));
    house.open().unwrap();
    let both = [("device:pump-1", "anna"), ("site:yard", "anna")].map(|(a, b)| (a.to_owned(), b.to_owned()));
    assert_eq!(open(&house), both);
    let windows = house.registrar().maintenance();
    let (_, yard) = windows.open(house.now).find(|(scope, _)| *scope == "site:yard").unwrap();
    assert_eq!((yard.since, yard.until.0, &*yard.because), (NOW, NOW.0 + 7_200_000, "new cables"));

    house.now.0 += 7_200_000;
    assert_eq!(open(&house), both[..1], "its time is over");
    house.run(Command::EndMaintenance { scope: "device:pump-1".into() });
    assert_eq!(open(&house), []);
    let refused = house.refused(Command::EndMaintenance { scope: "site:yard".into() });
    assert!(matches!(refused, Refusal::Maintenance(MaintenanceRefusal::None(_))), "{refused}");
}

#[test]
fn a_window_has_a_reason_a_bound_and_not_endlessly_many_beside_it() {
    let mut house = House::new();
    for (command, refusal) in [
        (work("site:yard", 59), MaintenanceRefusal::Span),
        (work("site:yard", limits::MAINTENANCE_SECONDS + 1), MaintenanceRefusal::Span),
        (work("", 60), MaintenanceRefusal::Scope),
        (work("a\nb", 60), MaintenanceRefusal::Scope),
        (
            Command::BeginMaintenance { scope: "everything".into(), seconds: 60, because: " ".into() },
            MaintenanceRefusal::NoReason,
        ),
    ] {
        let refused = house.refused(command);
        assert!(matches!(&refused, Refusal::Maintenance(it) if *it == refusal), "{refused}");
    }
    for number in 0..limits::MAINTENANCE_WINDOWS {
        house.run(work(&format!("device:d{number}"), 60));
    }
    let refused = house.refused(work("everything", 60));
    assert!(matches!(refused, Refusal::Maintenance(MaintenanceRefusal::TooMany)), "{refused}");
    house.run(work("device:d7", 120));
    house.now.0 += 60_000;
    house.run(work("everything", 60));
    assert_eq!(open(&house).len(), 2, "what is over counts no more");
}
