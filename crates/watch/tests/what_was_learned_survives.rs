//! What the watch has learned is written down and read again: it goes on as if nothing had been.
#![allow(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod yard;

use keyward_watch::event::Exposure;
use keyward_watch::finding::{Class, Turn};
use yard::{DAY, HOUR, MINUTE, Yard, brief, device, of, site, yard};

/// Two sites of four devices; one device reports once an hour, and nothing but that tells of it.
fn town() -> Yard {
    let mut yard = yard();
    yard.add_many("hall", 4, &device().at("hall"));
    yard.add_many("mill", 4, &device().at("mill").exposed(Exposure::Public).sensing(&["air", "noise"]));
    yard.add("meter", device().every(HOUR).keep_alive(0));
    yard.pass(2 * DAY);
    yard.expect_nothing();
    yard
}

/// What is found is the same, wherever the watch was written down and read between.
#[test]
fn a_watch_that_was_written_down_finds_what_another_finds() {
    let story = |is_written_down: bool| {
        let mut yard = town();
        let mut found = Vec::new();
        let mut next = |yard: &mut Yard, minutes: u64| {
            for _ in 0..minutes {
                yard.pass(MINUTE);
                if is_written_down {
                    yard.write_down_and_read();
                }
            }
            found.extend(yard.found());
        };
        yard.cut("hall-1");
        next(&mut yard, 3);
        yard.mute("mill-1", "air");
        yard.tamper("mill-2", true);
        yard.cut("mill-2");
        next(&mut yard, 15);
        yard.cut_all(&["hall-2".to_owned(), "hall-3".to_owned(), "hall-4".to_owned()]);
        next(&mut yard, 20);
        yard.start("hall-1");
        yard.reconnect("hall-2", 3);
        next(&mut yard, 10);
        found
    };
    let (one, other) = (story(false), story(true));
    assert!(one.len() > 5, "{}", brief(&one));
    assert_eq!(brief(&one), brief(&other));
    assert_eq!(one, other);
}

#[test]
fn a_start_of_the_broker_is_no_trouble_and_who_does_not_come_back_is_missed() {
    let mut yard = town();
    yard.restart(3 * HOUR);
    yard.pass(MINUTE);
    yard.reconnect_all_but(&["hall-1"]);
    yard.pass(MINUTE);
    yard.expect_nothing();
    yard.pass(HOUR);
    yard.expect_set(of("hall-1"), Class::Missing);
    yard.hang("meter");
    yard.pass(2 * HOUR);
    yard.expect_nothing();
    yard.pass(3 * HOUR);
    yard.expect_set(of("meter"), Class::Missing);
}

/// What was open when the broker stopped ends when it is over, also then.
#[test]
fn what_was_open_before_is_over_when_the_device_is_back() {
    let mut yard = town();
    yard.cut("hall-1");
    yard.pass(30 * MINUTE);
    yard.expect_set(of("hall-1"), Class::Missing);
    yard.own_trouble(true);
    yard.restart(HOUR);
    let found = yard.found();
    assert!(
        found.iter().any(|found| found.class == Class::OwnTrouble && found.turn == Turn::Clear),
        "trouble of before the stop is over: {}",
        brief(&found)
    );
    yard.reconnect_all_but(&[]);
    yard.pass(10 * MINUTE);
    assert!(!yard.open().iter().any(|(scope, _)| *scope == of("hall-1")), "{:?}", yard.open());
    assert!(!yard.open().iter().any(|(scope, _)| *scope == site("hall")), "{:?}", yard.open());
}
