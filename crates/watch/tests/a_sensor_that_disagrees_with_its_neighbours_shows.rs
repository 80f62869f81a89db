//! A sensor that says something else than those around it shows; what happens to all of them is no sensor's fault.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

mod house;

use house::{DAY, HOUR, House, MINUTE, house, room, site};
use keyward_watch::event::{Event, Scope};
use keyward_watch::finding::{Class, Finding, Turn};

/// Twelve rooms whose readings come every five minutes, every ten, and every quarter of an hour.
fn twelve() -> House {
    let intervals = [5 * MINUTE, 10 * MINUTE, 15 * MINUTE];
    house((0..12).map(|number| room(number).every(intervals[number % 3])))
}

fn learned() -> House {
    let mut house = twelve();
    house.pass(6 * DAY);
    assert_eq!(brief(&house.found()), [""; 0]);
    house
}

fn brief(found: &[Finding]) -> Vec<String> {
    let one = |finding: &Finding| {
        let Finding { scope, class, turn, severity, .. } = finding;
        let over = if *turn == Turn::Clear { " over" } else { "" };
        format!("{scope} {class} {severity:?}{over}")
    };
    found.iter().map(one).collect()
}

#[test]
fn rooms_that_are_honest_are_left_alone() {
    let mut house = twelve();
    house.pass(14 * DAY);
    assert_eq!(brief(&house.found()), [""; 0]);
}

#[test]
fn one_that_is_off_is_told_then_as_grave_and_it_is_over_when_it_fits_again() {
    let mut house = learned();
    house.rooms[4].offset = 4.0;
    house.pass(12 * HOUR);
    let found = house.found();
    assert_eq!(brief(&found), ["device:room-4 disagrees Medium", "device:room-4 disagrees High"]);
    assert!(house.now.since(found[0].at) > 10 * HOUR, "within two hours");
    let why = &found[0].evidence[0].what;
    assert!(why.starts_with("+/sensors/temperature: ") && why.contains(" by 8 neighbours"), "{why}");
    house.rooms[4].offset = 0.0;
    house.pass(12 * HOUR);
    assert_eq!(brief(&house.found()), ["device:room-4 disagrees Medium over"]);
}

#[test]
fn one_that_strays_slowly_is_told_before_it_is_far_off() {
    let mut house = learned();
    for quarter in 0..4 * 36 {
        house.rooms[7].offset = f64::from(quarter) * 4.0 / (4.0 * 24.0);
        house.pass(15 * MINUTE);
    }
    let found = house.found();
    assert_eq!(brief(&found)[0], "device:room-7 disagrees Medium");
    assert!(found.iter().all(|finding| finding.scope == house::device(7)), "{:?}", brief(&found));
    assert!(house.now.since(found[0].at) > 15 * HOUR);
}

#[test]
fn nothing_is_said_in_the_first_four_days() {
    let mut house = twelve();
    house.pass(2 * DAY);
    house.rooms[4].offset = 6.0;
    house.pass(47 * HOUR);
    assert_eq!(brief(&house.found()), [""; 0]);
}

#[test]
fn of_fewer_than_four_and_of_those_without_a_site_nothing_is_said() {
    let homeless = |number: usize| room(number).without_a_site();
    for rooms in [(0..3).map(room).collect::<Vec<_>>(), (0..8).map(homeless).collect()] {
        let mut house = house(rooms);
        house.pass(6 * DAY);
        house.rooms[1].offset = 6.0;
        house.pass(DAY);
        assert_eq!(brief(&house.found()), [""; 0]);
    }
}

#[test]
fn where_most_disagree_the_site_is_told_and_no_culprit() {
    let mut house = learned();
    // One after the other, some up and some down: nothing that the world does.
    for number in 0..9 {
        house.rooms[number].offset = if number % 2 == 0 { 5.0 } else { -5.0 } * (1.0 + number as f64 / 4.0);
        house.pass(10 * MINUTE);
    }
    house.pass(12 * HOUR);
    let found = house.found();
    let of_site: Vec<_> = found.iter().filter(|finding| finding.scope == site()).collect();
    assert_eq!(of_site.len(), 1, "{:?}", brief(&found));
    assert_eq!((of_site[0].class, of_site[0].turn), (Class::Disagrees, Turn::Set));
    let part = Some((site(), Class::Disagrees));
    let later = found.iter().filter(|finding| finding.at >= of_site[0].at && finding.scope != site());
    assert!(later.clone().count() > 0 && later.clone().all(|finding| finding.part_of == part), "{found:?}");
    let alone = found.iter().filter(|finding| finding.part_of.is_none() && finding.severity.pages());
    assert_eq!(alone.count(), 0, "{:?}", brief(&found));
}

#[test]
fn a_window_that_is_open_is_told_once_and_blamed_on_nobody() {
    let mut house = learned();
    house.weather_step = -5.0;
    house.pass(3 * HOUR);
    house.weather_step = 0.0;
    house.pass(12 * HOUR);
    let found = house.found();
    assert_eq!(brief(&found), ["site:hall group-step Info", "site:hall group-step Info over"]);
    assert!(found[0].evidence[0].what.contains("changed together"), "{found:?}");
}

#[test]
fn two_that_step_are_no_event_of_the_world() {
    let mut house = learned();
    house.rooms[0].offset = -5.0;
    house.rooms[3].offset = -5.0;
    house.pass(4 * HOUR);
    assert!(house.found().iter().all(|finding| finding.class == Class::Disagrees));
}

#[test]
fn where_somebody_works_nothing_is_said_until_they_are_gone() {
    let mut house = learned();
    let until = house.now.plus(8 * HOUR);
    house.tell(Event::Maintenance { scope: site(), until });
    house.rooms[4].offset = 4.0;
    house.pass(8 * HOUR);
    assert_eq!(brief(&house.found()), [""; 0]);
    house.pass(8 * HOUR);
    assert_eq!(brief(&house.found())[0], "device:room-4 disagrees Medium");
}

#[test]
fn an_outage_and_trouble_of_our_own_cost_no_learning() {
    let mut house = learned();
    house.pass(HOUR);
    house.are_dark = true;
    house.pass(7 * HOUR);
    house.are_dark = false;
    house.pass(HOUR);
    house.tell(Event::OwnTrouble { is_on: true });
    house.rooms[4].offset = 4.0;
    house.pass(6 * HOUR);
    assert_eq!(brief(&house.found()), [""; 0]);
    house.tell(Event::OwnTrouble { is_on: false });
    house.pass(6 * HOUR);
    assert_eq!(brief(&house.found()), ["device:room-4 disagrees Medium", "device:room-4 disagrees High"]);
}

#[test]
fn who_was_moved_on_purpose_learns_anew() {
    let mut house = learned();
    house.rooms[4].offset = 4.0;
    house.pass(6 * HOUR);
    assert_eq!(house.found().len(), 2);
    let Scope::Device(device) = house::device(4) else { unreachable!() };
    house.tell(Event::MovedOnPurpose { device });
    assert_eq!(brief(&house.found()), ["device:room-4 disagrees Medium over"]);
    house.pass(8 * DAY);
    assert_eq!(brief(&house.found()), [""; 0]);
    house.rooms[4].offset = 0.0;
    house.pass(12 * HOUR);
    assert_eq!(brief(&house.found())[0], "device:room-4 disagrees Medium");
}

#[test]
fn who_is_removed_leaves_nothing_open() {
    let mut house = learned();
    house.rooms[4].offset = 4.0;
    house.pass(6 * HOUR);
    house.found();
    let Scope::Device(device) = house::device(4) else { unreachable!() };
    house.tell(Event::Removed { device });
    assert_eq!(brief(&house.found()), ["device:room-4 disagrees Medium over"]);
}

#[test]
fn meters_and_uptimes_are_not_compared() {
    let mut house = house((0..8).map(|number| room(number).counting()));
    house.pass(6 * DAY);
    house.rooms[2].counted_from = house.now;
    house.pass(DAY);
    assert_eq!(brief(&house.found()), [""; 0]);
}

#[test]
fn who_disagrees_with_two_sensors_and_comes_from_elsewhere_may_have_been_moved() {
    let mut house = house((0..8).map(|number| room(number).with_two_sensors()));
    house.connect(4, 1);
    house.pass(6 * DAY);
    assert_eq!(brief(&house.found()), [""; 0]);
    house.rooms[4].offset = 4.0;
    let mut found = Vec::new();
    while found.is_empty() {
        house.pass(5 * MINUTE);
        found = house.found();
    }
    assert_eq!(brief(&found), ["device:room-4 disagrees Medium"], "two sensors of one device are told once");
    house.connect(4, 2);
    let found = house.found();
    assert_eq!(brief(&found), ["device:room-4 moved Low"]);
    let why: Vec<_> = found[0].evidence.iter().map(|fact| &*fact.what).collect();
    assert!(why.iter().any(|why| why.contains("disagree with those around it")), "{why:?}");
}
