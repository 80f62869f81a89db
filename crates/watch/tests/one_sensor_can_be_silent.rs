//! One sensor that is silent while its device talks is told; the silence of the whole device is not that.
#![allow(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod yard;

use keyward_watch::finding::{Class, Turn};
use yard::{DAY, HOUR, MINUTE, SECOND, Yard, brief, device, of, says, yard, yard_with};

fn station() -> Yard {
    yard_with("station", device().sensing(&["air/temperature", "air/humidity", "soil"]))
}

#[test]
fn a_sensor_that_is_silent_while_others_talk_is_told_and_ends_with_its_second_reading() {
    let mut yard = station();
    yard.mute("station", "soil");
    yard.pass(HOUR);
    let found = yard.expect_set(of("station"), Class::SensorSilent);
    assert!(says(&found.evidence, "\"soil\""), "{found:?}");
    yard.pass(DAY);
    yard.expect_nothing();
    yard.unmute("station", "soil");
    yard.pass(MINUTE);
    yard.expect_nothing();
    yard.pass(2 * MINUTE);
    yard.expect_clear(of("station"), Class::SensorSilent);
}

#[test]
fn a_device_that_is_silent_has_no_silent_sensors() {
    let mut yard = station();
    yard.cut("station");
    yard.pass(3 * HOUR);
    yard.expect_set(of("station"), Class::Missing);
    yard.reconnect("station", 200);
    yard.pass(3 * HOUR);
    let found = yard.found();
    assert!(found.iter().all(|found| found.class != Class::SensorSilent), "{}", brief(&found));
}

#[test]
fn a_sensor_that_talks_irregularly_may_be_silent() {
    let mut yard = yard();
    yard.add("station", device());
    for turn in 0..200_u64 {
        yard.reading("station", "rain");
        yard.pass(MINUTE << (turn * 7 % 9));
    }
    yard.pass(DAY);
    yard.expect_nothing();
}

#[test]
fn a_sensor_that_was_taken_out_is_forgotten_after_a_week() {
    let mut yard = station();
    yard.mute("station", "soil");
    yard.pass(6 * DAY);
    yard.expect_set(of("station"), Class::SensorSilent);
    yard.pass(2 * DAY);
    yard.expect_clear(of("station"), Class::SensorSilent);
}

#[test]
fn sensors_that_are_never_named_twice_push_no_other_out() {
    let mut yard = station();
    for number in 0..200 {
        yard.reading("station", &format!("event/{number}"));
        yard.pass(10 * SECOND);
    }
    yard.mute("station", "soil");
    yard.pass(HOUR);
    yard.expect_set(of("station"), Class::SensorSilent);
}

#[test]
fn two_that_fall_silent_one_after_the_other_are_one_state() {
    let mut yard = station();
    yard.mute("station", "soil");
    yard.pass(HOUR);
    yard.mute("station", "air/humidity");
    yard.pass(HOUR);
    let found = yard.found();
    assert_eq!(found.iter().filter(|found| found.turn == Turn::Set).count(), 2, "{}", brief(&found));
    yard.unmute("station", "soil");
    yard.pass(HOUR);
    yard.expect_nothing();
    yard.unmute("station", "air/humidity");
    yard.pass(HOUR);
    yard.expect_clear(of("station"), Class::SensorSilent);
}
