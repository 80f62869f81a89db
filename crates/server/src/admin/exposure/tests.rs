//! The blast radius of a device, told of devices that have much, little and nothing.

use super::super::{Turn, fixture::Fixture, fixture::fixture, incidents::tests::key};
use super::*;
use crate::control::{DeviceAdd, NewCredential, NewPassword, Request, Secret};
use keyward_identity::Command;

/// As Mosquitto keeps it: of a password that two have, with one salt.
const HASH: &str = concat!(
    "$7$101$MDEyMzQ1Njc4OWFi$",
    "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA",
    "=="
);

fn ask(site: &mut Fixture, request: Request) -> Response {
    site.admin.execute(request).unwrap_or_else(|refusal| panic!("{}", refusal.what))
}

fn run(site: &mut Fixture, command: Command) {
    Turn::begin(&mut site.admin, "test").command(command).unwrap_or_else(|error| panic!("{}", error.what));
}

fn add(site: &mut Fixture, id: &str, password: NewPassword) {
    let mut add = DeviceAdd::new(id, NewCredential::Password(password));
    add.allow_overlap = true;
    ask(site, Request::DeviceAdd(add));
}

fn report(site: &mut Fixture, id: &str) -> ExposureReport {
    let Response::Exposure(report) = ask(site, Request::DeviceExposure { id: id.into() }) else {
        panic!("no report")
    };
    *report
}

fn filters(rows: &[ReachRow]) -> Vec<&str> {
    rows.iter().map(|row| row.filter.as_str()).collect()
}

fn has(lines: &[String], part: &str) -> bool {
    lines.iter().any(|line| line.contains(part))
}

#[test]
fn what_its_rules_allow_is_listed_with_what_lies_there() {
    let mut site = fixture();
    add(&mut site, "kept", NewPassword::Generated);
    site.rules(
        "[[rule]]\nwho = \"device:kept\"\nallow = [\"subscribe\"]\ntopics = [\"house/#\"]\n\
         [[rule]]\nwho = \"device:kept\"\ndeny = [\"receive\"]\ntopics = [\"house/cellar/#\"]\n\
         [[signed]]\nwho = \"devices\"\ntopics = [\"{id}/alarm\"]\ncheck = \"require\"\nlevel = 1\n",
    );
    site.reload().unwrap();
    let report = report(&mut site, "kept");
    assert!(filters(&report.reads).contains(&"house/#") && !filters(&report.writes).contains(&"house/#"));
    let house = report.reads.iter().find(|row| row.filter == "house/#").unwrap();
    assert_eq!((&*house.rule, house.retained), ("policy.d/a.toml:1", Some(0)));
    assert_eq!(house.except, ["house/cellar/# (policy.d/a.toml:5)"]);
    let own = report.reads.iter().find(|row| row.filter == "kept/#").unwrap();
    assert_eq!((own.retained, own.retained_more), (Some(1), false), "what lies there is read at once");
    assert!(filters(&report.writes).contains(&"kept/#"));
    assert_eq!((report.must_sign, report.sessions, report.waiting), (Some(1), Some(1), Some(3)));
    assert_eq!(report.contact.connected, Some(true));
    assert!(
        has(&report.to_do, "keyward device quarantine kept")
            && has(&report.to_do, "keyward device revoke kept")
    );
}

#[test]
fn keys_of_groups_are_those_that_it_was_given_and_its_own_say_whether_they_can_be_copied() {
    let mut site = fixture();
    add(&mut site, "pump-1", NewPassword::Generated);
    let pump = "device:pump-1".parse::<keyward_ids::Identity>().unwrap();
    run(&mut site, Command::RegisterMessageKey { identity: pump.clone(), key: key(7) });
    for name in ["plant", "hall"] {
        ask(&mut site, Request::GroupCreate { name: name.into() });
    }
    // It came when the group had its second key, and has had a third since.
    ask(&mut site, Request::GroupRotate { name: "plant".into() });
    ask(&mut site, Request::GroupAdd { name: "plant".into(), who: vec!["pump-1".into()] });
    ask(&mut site, Request::GroupRotate { name: "plant".into() });
    let told = report(&mut site, "pump-1");
    let [plant] = &told.groups[..] else { panic!("{:?}", told.groups) };
    assert_eq!((&*plant.group, plant.keys, plant.gets_next), ("plant", 2, true));
    assert!(plant.since_unix_ms.is_some() && plant.since_unix_ms <= plant.newest_unix_ms);
    let [held] = &told.keys[..] else { panic!("{:?}", told.keys) };
    assert_eq!((held.key.level, held.can_be_copied), (Some(0), Some(true)));

    ask(&mut site, Request::DeviceQuarantine { id: "pump-1".into(), because: "seen twice".into() });
    let told = report(&mut site, "pump-1");
    assert!(told.groups.iter().all(|group| !group.gets_next), "{:?}", told.groups);
    assert!(!has(&told.to_do, "keyward device quarantine") && has(&told.to_do, "keyward device revoke"));
    assert!(!filters(&told.writes).contains(&"pump-1/#"), "quarantine takes the place of all rules");
}

#[test]
fn a_password_that_was_carried_over_twice_is_one_and_of_others_that_is_not_known() {
    let mut site = fixture();
    for id in ["plug-1", "plug-2"] {
        add(&mut site, id, NewPassword::Imported(Secret::new(HASH.to_owned())));
    }
    add(&mut site, "plug-3", NewPassword::Generated);
    assert_eq!(report(&mut site, "plug-1").same_password, ["device:plug-2"]);
    let alone = report(&mut site, "plug-3");
    assert_eq!(alone.same_password, [""; 0]);
    assert!(has(&alone.unknown, "whether others have the same password"), "{:?}", alone.unknown);
}

#[test]
fn who_was_revoked_can_do_nothing_and_there_is_nothing_to_do() {
    let mut site = fixture();
    add(&mut site, "pump-1", NewPassword::Generated);
    run(
        &mut site,
        Command::Revoke {
            identity: "device:pump-1".parse().unwrap(),
            keep_messages: false,
            publish_will: false,
        },
    );
    let told = report(&mut site, "pump-1");
    assert_eq!((told.reads.len(), told.writes.len(), told.credentials.len()), (0, 0, 0));
    assert_eq!(told.to_do, ["nothing: it is revoked, and nobody gets in with what it holds"]);
}

#[test]
fn on_a_stopped_store_it_is_said_what_only_a_broker_knows() {
    let mut site = fixture();
    add(&mut site, "pump-1", NewPassword::Generated);
    site.admin.running = None;
    let told = report(&mut site, "pump-1");
    assert_eq!((told.sessions, told.contact.connected, told.reads[0].retained), (None, None, None));
    assert!(has(&told.unknown, "no broker runs here"), "{:?}", told.unknown);
    let refusal = site.admin.execute(Request::DeviceExposure { id: "nobody".into() }).err().unwrap();
    assert!(refusal.what.contains("there is no device:nobody"), "{refusal}");
}
