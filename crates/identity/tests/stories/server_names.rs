//! The names in the server's certificate, and its renewal.

use crate::support::*;
use keyward_identity::{Command, NameOrigin, Refusal, ServerName};

fn name(text: &str) -> ServerName {
    text.parse().unwrap()
}

fn add(text: &str) -> Command {
    Command::AddServerName { name: name(text) }
}

fn remove_name(text: &str) -> Command {
    Command::RemoveServerName { name: name(text) }
}

#[test]
fn a_name_is_in_the_certificate_at_once_and_the_key_stays() {
    let mut house = House::new();
    let before = house.registrar().server_identity();
    let outcome = house.run(add("MQTT.home"));
    let after = house.registrar().server_identity();
    assert!(outcome.server_certificate_changed);
    assert!(after.names.contains(&name("mqtt.home")) && !before.names.contains(&name("mqtt.home")));
    assert_eq!(after.certificate.key, before.certificate.key);
    assert_eq!(after.private_key.expose(), before.private_key.expose());
    assert_ne!(after.certificate.serial, before.certificate.serial);
    assert!(!house.run(add("mqtt.home")).changed);
    house.open().unwrap();
    assert_eq!(house.registrar().server_identity().chain, after.chain);
}

#[test]
fn a_removed_name_leaves_the_certificate_and_does_not_come_back_by_itself() {
    let mut house = House::new();
    house.run(remove_name("192.168.1.5"));
    assert!(!house.registrar().server_identity().names.contains(&name("192.168.1.5")));
    house.run(Command::FindServerNames { names: names(&["localhost", "192.168.1.5", "10.9.9.9"]) });
    let server = house.registrar().server_identity();
    assert!(!server.names.contains(&name("192.168.1.5")) && server.names.contains(&name("10.9.9.9")));
    assert!(matches!(house.refused(remove_name("192.168.1.5")), Refusal::NoSuchServerName(_)));
    house.run(add("192.168.1.5"));
    assert_eq!(house.registrar().server_names().origin(&name("192.168.1.5")), Some(NameOrigin::Added));
}

#[test]
fn the_last_name_cannot_be_removed() {
    let mut house = House::new();
    house.run(Command::FindServerNames { names: names(&["only"]) });
    assert!(matches!(house.refused(remove_name("only")), Refusal::LastServerName(_)));
}

#[test]
fn finding_nothing_new_writes_nothing() {
    let mut house = House::new();
    assert!(!house.run(Command::FindServerNames { names: names(&["gate", "localhost"]) }).changed);
    assert!(house.run(Command::FindServerNames { names: names(&["gate", "10.0.0.8"]) }).changed);
    assert!(!house.run(Command::FindServerNames { names: names(&["gate", "10.0.0.8"]) }).changed);
}

#[test]
fn a_name_that_a_device_has_cannot_become_the_servers() {
    let mut house = House::new();
    house.add_device("pump-1");
    assert!(matches!(house.refused(add("PUMP-1")), Refusal::ServerNameHeld { .. }));
    assert!(!house.run(Command::FindServerNames { names: names(&["pump-1"]) }).changed);
    house.run(remove("device:pump-1"));
    house.run(add("pump-1"));
    assert!(matches!(house.refused(device("pump-1", generated())), Refusal::Name(_)));
}

#[test]
fn there_are_only_so_many_names() {
    let mut house = House::new();
    let many = (0..100).map(|n| name(&format!("10.0.1.{n}"))).collect();
    house.run(Command::FindServerNames { names: many });
    assert!(matches!(house.refused(add("one-too-many.home")), Refusal::Full { .. }));
    let many = (0..200).map(|n| name(&format!("10.0.0.{n}"))).collect();
    house.run(Command::FindServerNames { names: many });
    assert!(house.registrar().server_names().len() <= keyward_identity::limits::SERVER_NAMES);
}

#[test]
fn names_are_added_until_small_devices_could_not_read_the_certificate() {
    let mut house = House::new();
    let many = (0..40).map(|n| name(&format!("fd00::{n:x}"))).collect();
    house.run(Command::FindServerNames { names: many });
    let refused =
        (0..60).find_map(|n| match house.execute(add(&format!("a-rather-long-name-{n}.example.org"))) {
            Ok(_) => None,
            Err(refusal) => Some((n, refusal)),
        });
    let (added, refusal) = refused.unwrap();
    assert!(added > 5, "{added}");
    assert!(matches!(refusal, Refusal::ServerNamesTooLong(_)) && refusal.to_string().contains("name remove"));
    let server = house.registrar().server_identity();
    assert!(message_len(&server.chain) < 1_500, "{}", message_len(&server.chain));
    assert!(server.names.len() > added, "some found names are left");
    house.run(remove_name("a-rather-long-name-0.example.org"));
    house.run(add("a-rather-long-name-60.example.org"));
    assert!(message_len(&house.registrar().server_identity().chain) < 1_500);
}

#[test]
fn the_longest_name_fits() {
    let mut house = House::new();
    let label = "x".repeat(61);
    house.run(add(&format!("{label}.{label}.{label}.{label}.longx")));
    let server = house.registrar().server_identity();
    assert!(message_len(&server.chain) < 1_500, "{}", message_len(&server.chain));
}

#[test]
fn the_certificate_is_due_at_two_thirds_of_its_life_and_renewed_with_the_same_key() {
    let mut house = House::new();
    let key = house.registrar().server_identity().certificate.key;
    house.now.0 = NOW.0 + 263 * DAY;
    assert!(!house.registrar().server_renewal_due(house.now));
    house.now.0 = NOW.0 + 265 * DAY;
    assert!(house.registrar().server_renewal_due(house.now));
    assert!(house.run(Command::RenewServer).server_certificate_changed);
    assert!(!house.registrar().server_renewal_due(house.now));
    assert_eq!(house.registrar().server_identity().certificate.key, key);
}
