//! A sensor that lies is told, by its own history alone; one that is honest is not, whatever befalls its device.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

mod rooms;

use keyward_watch::event::{Exposure, Place};
use keyward_watch::finding::{Class, Confidence, Severity, Turn};
use rooms::{DAY, HOUR, MINUTE, Rooms};

fn a_room() -> Rooms {
    let mut rooms = Rooms::begin(Place::default());
    rooms.pass(7 * DAY);
    rooms.expect_nothing();
    rooms
}

#[test]
fn a_quiet_month_is_quiet() {
    let mut rooms = a_room();
    rooms.pass(30 * DAY);
    rooms.expect_nothing();
}

#[test]
fn a_value_that_is_far_from_all_others_is_unusual_and_calls_nobody() {
    let mut rooms = a_room();
    rooms.lie(|value| value + 12.0);
    rooms.pass(2 * HOUR);
    let found = rooms.expect(Class::Unusual, Turn::Set);
    assert_eq!((found.confidence, found.severity), (Confidence::Medium, Severity::Medium));
    assert!(found.evidence[0].what.starts_with("\"air/temperature\" "), "{found:?}");
    rooms.tell_the_truth();
    rooms.pass(2 * DAY);
    rooms.expect_over(Class::Unusual);
}

#[test]
fn a_value_that_stands_still_is_told_and_over_when_it_moves() {
    let mut rooms = a_room();
    rooms.lie(|_| 20.4);
    rooms.pass(6 * HOUR);
    let found = rooms.expect(Class::Stuck, Turn::Set);
    assert!(!found.severity.pages());
    rooms.tell_the_truth();
    rooms.pass(2 * HOUR);
    rooms.expect_over(Class::Stuck);
}

#[test]
fn values_of_the_day_before_that_come_again_call_somebody() {
    let mut rooms = a_room();
    rooms.play_what_was(DAY);
    rooms.pass(10 * HOUR);
    let found = rooms.expect(Class::ValueReplay, Turn::Set);
    assert_eq!((found.confidence, found.severity), (Confidence::High, Severity::High));
    rooms.tell_the_truth();
    rooms.pass(2 * HOUR);
    rooms.expect_over(Class::ValueReplay);
}

#[test]
fn behind_a_locked_door_nobody_is_called_for_it() {
    let mut rooms = Rooms::begin(Place { exposure: Exposure::Locked, ..Place::default() });
    rooms.pass(7 * DAY);
    rooms.play_what_was(DAY);
    rooms.pass(10 * HOUR);
    assert_eq!(rooms.expect(Class::ValueReplay, Turn::Set).severity, Severity::Medium);
}

#[test]
fn readings_that_come_much_more_often_are_told_and_usual_after_a_day() {
    let mut rooms = a_room();
    rooms.every(MINUTE);
    rooms.pass(2 * HOUR);
    assert_eq!(rooms.expect(Class::CadenceChanged, Turn::Set).severity, Severity::Low);
    rooms.pass(2 * DAY);
    rooms.expect_over(Class::CadenceChanged);
}

#[test]
fn nothing_is_told_in_the_first_three_days() {
    let mut rooms = Rooms::begin(Place::default());
    rooms.pass(2 * DAY);
    rooms.lie(|value| value + 12.0);
    rooms.pass(6 * HOUR);
    rooms.lie(|_| 20.4);
    rooms.pass(6 * HOUR);
    rooms.play_what_was(DAY);
    rooms.pass(6 * HOUR);
    rooms.expect_nothing();
}

#[test]
fn what_is_worked_on_may_say_what_it_wants() {
    let mut rooms = a_room();
    rooms.work(8 * HOUR);
    rooms.lie(|value| value + 12.0);
    rooms.pass(4 * HOUR);
    rooms.lie(|_| 20.4);
    rooms.pass(3 * HOUR);
    rooms.tell_the_truth();
    rooms.pass(2 * DAY);
    rooms.expect_nothing();
}

#[test]
fn what_was_kept_through_an_outage_comes_late_and_is_no_lie() {
    let mut rooms = a_room();
    for _ in 0..5 {
        rooms.cut_for(7 * HOUR);
        rooms.pass(DAY);
    }
    rooms.expect_nothing();
}

#[test]
fn trouble_of_the_brokers_own_makes_no_sensor_a_liar() {
    let mut rooms = a_room();
    rooms.trouble(true);
    rooms.lose_every_second();
    rooms.pass(3 * HOUR);
    rooms.lose_none();
    rooms.trouble(false);
    rooms.pass(DAY);
    rooms.expect_nothing();
}

#[test]
fn switches_counters_and_constants_may_say_the_same_for_ever() {
    for nature in [rooms::switch, rooms::counter, rooms::constant] {
        let mut rooms = Rooms::begin(Place::default());
        rooms.is(nature);
        rooms.pass(14 * DAY);
        rooms.hold();
        rooms.pass(3 * DAY);
        rooms.expect_none_of(&[Class::Stuck, Class::ValueReplay]);
    }
}

#[test]
fn a_device_that_is_removed_leaves_nothing_open() {
    let mut rooms = a_room();
    rooms.lie(|_| 20.4);
    rooms.pass(12 * HOUR);
    rooms.expect(Class::Stuck, Turn::Set);
    rooms.remove();
    rooms.expect_over(Class::Stuck);
}
