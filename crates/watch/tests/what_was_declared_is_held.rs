//! What an owner declared of sensors holds from the first reading on, and what is broken calls somebody.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

mod rooms;

use keyward_watch::declared::{Declared, Limits, Relation};
use keyward_watch::event::{Exposure, Place};
use keyward_watch::finding::{Class, Confidence, Severity, Turn};
use rooms::{DAY, HOUR, MINUTE, Rooms};

const AIR: &str = "air/temperature";
const DEW: &str = "air/dew_point";

fn a_room_with(limits: &[(&str, Limits)], relations: Vec<Relation>) -> Rooms {
    let mut rooms = Rooms::begin(Place::default());
    let limits = limits.iter().map(|(name, limits)| ((*name).into(), limits.clone())).collect();
    rooms.declare(Declared { limits, relations });
    rooms.pass(HOUR);
    rooms.expect_nothing();
    rooms
}

fn from_to(min: f64, max: f64) -> Limits {
    Limits { min: Some(min), max: Some(max), ..Limits::default() }
}

fn dew_below_air() -> Vec<Relation> {
    vec![Relation::AtMost { less: DEW.into(), more: AIR.into() }]
}

#[test]
fn one_value_outside_calls_somebody_at_once_and_three_inside_end_it() {
    let mut rooms = a_room_with(&[(AIR, from_to(-20.0, 60.0))], Vec::new());
    rooms.lie(|_| -127.0);
    rooms.pass(5 * MINUTE);
    let found = rooms.expect(Class::OutOfRange, Turn::Set);
    assert_eq!((found.confidence, found.severity), (Confidence::High, Severity::High));
    assert_eq!(&*found.evidence[0].what, "\"air/temperature\" said -127; declared is -20 to 60");
    rooms.tell_the_truth();
    rooms.pass(10 * MINUTE);
    rooms.expect_nothing();
    rooms.pass(5 * MINUTE);
    rooms.expect(Class::OutOfRange, Turn::Clear);
}

#[test]
fn behind_a_locked_door_a_look_today_is_soon_enough() {
    let mut rooms = Rooms::begin(Place { exposure: Exposure::Locked, ..Place::default() });
    let limits = [(AIR.into(), from_to(-20.0, 60.0))].into();
    rooms.declare(Declared { limits, relations: Vec::new() });
    rooms.lie(|_| 850.0);
    rooms.pass(HOUR);
    assert_eq!(rooms.expect(Class::OutOfRange, Turn::Set).severity, Severity::Medium);
}

#[test]
fn what_cannot_change_so_fast_is_told_when_it_does_twice() {
    let limits = Limits { per_second: Some(0.01), ..Limits::default() };
    let mut rooms = a_room_with(&[(AIR, limits)], Vec::new());
    rooms.pass(DAY);
    rooms.expect_nothing();
    let turn = std::cell::Cell::new(0_u32);
    rooms.lie(move |value| {
        turn.set(turn.get() + 1);
        if turn.get().is_multiple_of(2) { value + 9.0 } else { value }
    });
    rooms.pass(HOUR);
    assert_eq!(rooms.expect(Class::TooFast, Turn::Set).severity, Severity::High);
}

#[test]
fn a_dew_point_above_the_temperature_is_a_contradiction_the_second_time() {
    let mut rooms = a_room_with(&[], dew_below_air());
    rooms.also(DEW, |value| value - 9.0);
    rooms.pass(DAY);
    rooms.expect_none_of(&[Class::RelationBroken]);
    rooms.also(DEW, |value| value + 1.5);
    rooms.pass(5 * MINUTE);
    rooms.expect_nothing();
    rooms.pass(5 * MINUTE);
    let found = rooms.expect(Class::RelationBroken, Turn::Set);
    assert_eq!(found.severity, Severity::High);
    assert!(found.evidence[0].what.starts_with("\"air/dew_point\" is never more than"), "{found:?}");
    rooms.also(DEW, |value| value - 9.0);
    rooms.pass(HOUR);
    rooms.expect(Class::RelationBroken, Turn::Clear);
}

#[test]
fn what_was_said_at_different_times_contradicts_nothing() {
    let mut rooms = a_room_with(&[], dew_below_air());
    rooms.say(DEW, 90.0);
    for _ in 0..20 {
        rooms.pass(5 * MINUTE);
    }
    rooms.expect_nothing();
}

#[test]
fn what_is_declared_anew_ends_what_was_told_of_the_old() {
    let mut rooms = a_room_with(&[], dew_below_air());
    rooms.also(DEW, |value| value + 1.5);
    rooms.pass(HOUR);
    rooms.expect(Class::RelationBroken, Turn::Set);
    rooms.declare(Declared::default());
    rooms.expect(Class::RelationBroken, Turn::Clear);
}

#[test]
fn a_pump_that_is_on_has_a_flow_and_a_sum_is_that_of_its_parts() {
    let relations = vec![
        Relation::WhileOn { switch: "pump".into(), stream: "flow".into(), above: 0.5 },
        Relation::Sum { total: "all".into(), parts: vec!["a".into(), "b".into()], tolerance: 0.1 },
    ];
    let mut rooms = a_room_with(&[], relations);
    let mut say = |pump: f64, flow: f64, all: f64| {
        for (stream, value) in [("pump", pump), ("flow", flow), ("a", 1.0), ("b", 2.0), ("all", all)] {
            rooms.say(stream, value);
        }
        rooms.pass(5 * MINUTE);
        rooms.found().into_iter().map(|found| (found.class, found.turn)).collect::<Vec<_>>()
    };
    for _ in 0..3 {
        assert_eq!(say(1.0, 3.0, 3.05), []);
        assert_eq!(say(0.0, 0.0, 2.95), []);
    }
    assert_eq!(say(1.0, 0.0, 3.0), []);
    assert_eq!(say(1.0, 0.0, 3.0), [(Class::RelationBroken, Turn::Set)]);
    for _ in 0..5 {
        say(1.0, 2.0, 3.0);
    }
    assert_eq!(say(1.0, 2.0, 4.0), []);
}
