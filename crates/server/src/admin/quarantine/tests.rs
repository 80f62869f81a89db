use super::*;
use crate::admin::fixture::{Fixture, fixture};
use crate::admin::incidents::tests::{evidence, key};
use crate::config::Exception;
use crate::control::{PolicyExplain, Request};
use keyward_identity::{AddDevice, NewCredential};

const EQUIVOCATION: SecondHolderSign = SecondHolderSign::Equivocation { tag: 1, earlier: 2 };

fn identity(n: u8) -> Identity {
    format!("device:p{n}").parse().unwrap()
}

/// An installation with so many devices, each with a message key of its own.
fn with_devices(count: u8) -> Fixture {
    let mut site = fixture();
    for n in 0..count {
        let add = AddDevice {
            device_type: (n == 0).then(|| "gateway".parse().unwrap()),
            ..AddDevice::new(format!("p{n}").parse().unwrap(), NewCredential::None)
        };
        run(&mut site, Command::AddDevice(add));
        run(&mut site, Command::RegisterMessageKey { identity: identity(n), key: key(n) });
    }
    site.told.take();
    site
}

fn run(site: &mut Fixture, command: Command) {
    Turn::begin(&mut site.admin, "test").command(command).unwrap_or_else(|error| panic!("{}", error.what));
}

fn prove(site: &mut Fixture, n: u8) {
    site.admin.two_holders(&identity(n), key(n).kid(), evidence(7, EQUIVOCATION), "broker");
}

fn is_in_quarantine(site: &Fixture, n: u8) -> bool {
    site.admin.registrar.registry().find(&identity(n)).unwrap().quarantine.is_some()
}

fn warnings(site: &Fixture) -> String {
    site.admin.status().warnings.join("\n")
}

fn ask(site: &mut Fixture, request: Request) -> Response {
    site.admin.execute(request).unwrap_or_else(|refusal| panic!("{}", refusal.what))
}

fn by_hand(site: &mut Fixture, id: &str) -> Result<Response, Refusal> {
    site.admin.execute(Request::DeviceQuarantine { id: id.into(), because: "seen twice".into() })
}

fn release(site: &mut Fixture, n: u8) -> Vec<String> {
    match ask(site, Request::DeviceRelease { id: format!("p{n}") }) {
        Response::Changed(changed) => changed.notes,
        _ => panic!("not an answer to a release"),
    }
}

#[test]
fn proof_that_two_hold_a_key_puts_its_device_into_quarantine_and_says_so_everywhere() {
    let mut site = with_devices(1);
    prove(&mut site, 0);
    assert!(is_in_quarantine(&site, 0));
    let told = site.told.take();
    let incident =
        told.iter().find_map(|told| told.strip_prefix("$keyward/incidents/quarantine/p0 ")).unwrap();
    let incident: serde_json::Value = serde_json::from_str(incident).unwrap();
    assert_eq!((&incident["incident"], &incident["by"]), (&"quarantine".into(), &"broker".into()));
    assert!(incident["because"].as_str().unwrap().contains(&key(0).kid().to_string()), "{incident}");
    let audit = site.audit().concat();
    assert!(audit.contains("put into quarantine by the broker: two hold its message key"), "{audit}");
    let status = site.admin.status();
    assert_eq!((status.devices_quarantined, status.devices_shut_out), (1, 0));
    assert!(warnings(&site).contains("incident quarantine"), "{}", warnings(&site));
    let Response::Devices(rows) = ask(&mut site, Request::DeviceList) else { panic!() };
    assert_eq!(rows[0].quarantine.as_ref().unwrap().by, "broker");
    let notes = release(&mut site, 0);
    assert!(notes.concat().contains("device rekey p0"), "its key is the one of before: {notes:?}");
    assert!(site.told.take().contains(&"$keyward/incidents/quarantine/p0 ".to_owned()));
    assert!(!is_in_quarantine(&site, 0));
}

#[test]
fn the_word_of_a_person_ends_it_and_the_same_proof_begins_it_no_more() {
    let mut site = with_devices(1);
    prove(&mut site, 0);
    release(&mut site, 0);
    prove(&mut site, 0);
    assert!(!is_in_quarantine(&site, 0), "whoever released it knew");
    assert!(warnings(&site).contains("incident equivocation"));
}

#[test]
fn where_the_configuration_says_so_it_is_an_incident_only() {
    let mut site = with_devices(3);
    let config = |site: &mut Fixture, quarantine| {
        site.admin.running.as_mut().unwrap().config.quarantine = quarantine;
    };
    let never = vec![Exception::Type("gateway".parse().unwrap()), Exception::Device("p1".parse().unwrap())];
    config(&mut site, crate::config::Quarantine { two_holders: true, never });
    (0..2).for_each(|n| prove(&mut site, n));
    config(&mut site, crate::config::Quarantine { two_holders: false, never: Vec::new() });
    prove(&mut site, 2);
    for n in 0..3 {
        assert!(!is_in_quarantine(&site, n), "{n}");
        assert!(site.admin.registrar.registry().find(&identity(n)).unwrap().second_holder().is_some());
    }
    by_hand(&mut site, "p1").unwrap_or_else(|refusal| panic!("{}", refusal.what));
    assert!(is_in_quarantine(&site, 1), "a person may");
}

#[test]
fn after_three_in_an_hour_it_stops_and_says_so_until_a_person_has_seen_to_the_rest() {
    let mut site = with_devices(5);
    (0..3).for_each(|n| prove(&mut site, n));
    assert!(!warnings(&site).contains("STOPPED"));
    release(&mut site, 0);
    site.told.take();
    (3..5).for_each(|n| prove(&mut site, n));
    assert!(!is_in_quarantine(&site, 3) && !is_in_quarantine(&site, 4), "a release gives no room");
    assert!(warnings(&site).contains("QUARANTINE HAS STOPPED") && warnings(&site).contains("p3, p4"));
    let stopped = "$keyward/incidents/quarantine-stopped ";
    assert_eq!(site.told.take().iter().filter(|told| told.starts_with(stopped)).count(), 2);
    by_hand(&mut site, "p3").unwrap_or_else(|refusal| panic!("{}", refusal.what));
    assert!(warnings(&site).contains("STOPPED"));
    run(&mut site, Command::WithdrawMessageKey { identity: identity(4), kid: key(4).kid() });
    assert!(!warnings(&site).contains("STOPPED"));
    assert!(site.told.take().contains(&stopped.to_owned()));
}

#[test]
fn of_a_large_fleet_one_in_a_hundred_may_be_put_there_within_an_hour_and_a_restart_forgets_nothing() {
    let mut quarantining = Hour::default();
    let now = WallTime(1_800_000_000_000);
    for n in 0..7 {
        assert!(quarantining.has_room(799, now), "{n}");
        quarantining.note(now);
    }
    assert!(!quarantining.has_room(799, now) && quarantining.has_room(800, now));
    assert!(!quarantining.has_room(0, WallTime(now.0 + 3_599_999)));
    assert!(!quarantining.has_room(0, WallTime(now.0 - 9)), "a clock that is set back gives no room");
    assert!(quarantining.has_room(0, WallTime(now.0 + 3_600_000)));
    let mut site = with_devices(3);
    (0..3).for_each(|n| prove(&mut site, n));
    let mut again = Quarantining::of(&site.admin.registrar);
    assert!(!again.recent.has_room(3, wall_time()));
}

#[test]
fn a_device_that_a_person_put_there_takes_nothing_of_the_bound() {
    let mut site = with_devices(5);
    for n in 0..2 {
        by_hand(&mut site, &format!("p{n}")).unwrap_or_else(|refusal| panic!("{}", refusal.what));
        prove(&mut site, n);
    }
    (2..5).for_each(|n| prove(&mut site, n));
    assert!((0..5).all(|n| is_in_quarantine(&site, n)));
}

#[test]
fn a_user_and_a_name_that_nobody_has_are_refused_clearly() {
    let mut site = with_devices(1);
    let refused = |site: &mut Fixture, id: &str| by_hand(site, id).err().unwrap().what;
    assert!(refused(&mut site, "user:ben").contains("quarantine is for devices"));
    assert!(refused(&mut site, "ghost").contains("there is no device:ghost"));
    let empty = Request::DeviceQuarantine { id: "p0".into(), because: " ".into() };
    assert!(site.admin.execute(empty).err().unwrap().what.contains("a quarantine needs a reason"));
}

#[test]
fn policy_explain_names_quarantine_and_the_command_that_ends_it() {
    let mut site = with_devices(1);
    by_hand(&mut site, "P0").unwrap_or_else(|refusal| panic!("{}", refusal.what));
    assert!(site.told.take()[0].starts_with("$keyward/incidents/quarantine/p0 "), "as it is spelled");
    let question = PolicyExplain {
        identity: "device:p0".into(),
        client: None,
        action: crate::control::ExplainAction::Publish,
        topic: "p0/a".into(),
    };
    let Response::PolicyExplained(explained) = ask(&mut site, Request::PolicyExplain(question)) else {
        panic!()
    };
    assert!(!explained.allowed && explained.would_allow.is_none());
    assert!(explained.text.contains("keyward device release p0"), "{}", explained.text);
}
