//! What `inspect` says of a store is what a start would find in it.

use crate::peer::{hello5, letter};
use crate::world::World;
use keyward_broker::Limits;
use keyward_broker::persist::{Inspected, Inspection};

const META: u8 = 0;
const SESSIONS: u8 = 1;
const MESSAGES: u8 = 5;

/// A store with two messages for somebody absent, one of them retained.
fn with_messages() -> World {
    let mut world = World::on_disk(1, Limits::default());
    let w = &mut world;
    w.leave_behind(hello5("user:app", "app"), "#");
    let pump = w.connect(hello5("device:pump", "pump").expiry(0));
    w.publish(pump, letter("pump/a", "x").qos1(1));
    w.publish(pump, letter("pump/b", "y").qos1(2).retained());
    world
}

fn table<'a>(found: &'a Inspection, name: &str) -> &'a Inspected {
    found.tables.iter().find(|table| table.name == name).unwrap()
}

#[test]
fn a_sound_store_is_counted_and_nothing_is_wrong_with_it() {
    let w = &mut with_messages();
    let (found, told) = w.inspected();
    for (name, rows) in [("sessions", 1), ("subscriptions", 1), ("places in queues", 2), ("messages", 2)] {
        assert_eq!((table(&found, name).rows, table(&found, name).nobodys), (rows, 0), "{name}");
    }
    assert_eq!(table(&found, "retained messages").rows, 1);
    assert!(found.is_sound() && found.damaged.is_empty(), "{found:?}");
    let rows: u64 = found.tables.iter().map(|table| table.rows).sum();
    assert_eq!(told, rows, "all rows were told");
    assert!(table(&found, "messages").bytes > 20);
}

#[test]
fn a_record_that_does_not_read_is_named() {
    let w = &mut with_messages();
    w.damage(MESSAGES);
    let (found, _) = w.inspected();
    assert_eq!(table(&found, "messages").damaged, 1);
    assert!(!found.is_sound() && found.damaged[0].starts_with("table 5 key "), "{found:?}");
    assert_eq!(table(&found, "places in queues").nobodys, 1, "its place leads nowhere");
}

#[test]
fn what_refers_to_nothing_is_counted_and_no_damage() {
    let w = &mut with_messages();
    w.remove_first(SESSIONS);
    let (found, _) = w.inspected();
    assert!(found.is_sound(), "{found:?}");
    for (name, nobodys) in [("subscriptions", 1), ("places in queues", 2), ("messages", 2)] {
        assert_eq!(table(&found, name).nobodys, nobodys, "{name}");
    }
}

#[test]
fn a_store_that_cannot_be_read_says_so_in_every_table_and_a_newer_one_is_refused() {
    let w = &mut with_messages();
    w.set_unreadable(true);
    let (found, _) = w.inspected();
    assert!(found.tables.iter().all(|table| table.unreadable.is_some()) && !found.is_sound());
    w.set_unreadable(false);
    w.write_newer_format(META);
    assert!(w.try_inspect().is_err());
}
