//! Starts again and again are a weak supply, a program that hangs, or a hand at the reset pin.
#![allow(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod yard;

use keyward_watch::event::Reset;
use keyward_watch::finding::{Class, Severity};
use yard::{DAY, HOUR, MINUTE, Yard, device, of, says, yard_with};

fn starts(yard: &mut Yard, times: u32, reset: Reset) {
    for _ in 0..times {
        yard.pass(5 * MINUTE);
        yard.start_after("pump", reset);
    }
}

#[test]
fn three_brownouts_within_the_hour_are_a_loop_that_ends_an_hour_after_the_last() {
    let mut yard = yard_with("pump", device());
    starts(&mut yard, 2, Reset::Brownout);
    yard.expect_nothing();
    starts(&mut yard, 1, Reset::Brownout);
    let found = yard.expect_set(of("pump"), Class::RebootLoop);
    assert!(says(&found.evidence, "supply was too weak"), "{found:?}");
    starts(&mut yard, 20, Reset::Brownout);
    yard.pass(50 * MINUTE);
    yard.expect_nothing();
    yard.pass(20 * MINUTE);
    yard.expect_clear(of("pump"), Class::RebootLoop);
}

#[test]
fn three_pulls_at_the_reset_pin_are_a_hand_at_it() {
    let mut yard = yard_with("pump", device().public());
    starts(&mut yard, 3, Reset::External);
    let found = yard.expect_set(of("pump"), Class::TamperReset);
    assert_eq!(found.severity, Severity::High);
}

#[test]
fn an_update_that_starts_it_some_times_is_nothing() {
    let mut yard = yard_with("pump", device());
    starts(&mut yard, 3, Reset::Software);
    yard.pass(DAY);
    yard.expect_nothing();
}

#[test]
fn a_start_a_day_is_nothing() {
    let mut yard = yard_with("pump", device());
    for _ in 0..10 {
        starts(&mut yard, 1, Reset::PowerOn);
        yard.pass(DAY);
    }
    yard.expect_nothing();
}

/// It heard nothing of the two between: the counter tells.
#[test]
fn starts_that_nobody_heard_of_count() {
    let mut yard = yard_with("pump", device());
    yard.heartbeat("pump", |heartbeat| {
        (heartbeat.uptime_secs, heartbeat.boot_count, heartbeat.reset) = (20, 4, Reset::Watchdog);
    });
    yard.expect_set(of("pump"), Class::RebootLoop);
}

#[test]
fn a_heartbeat_that_waited_since_before_the_start_is_no_start() {
    let mut yard = yard_with("pump", device());
    starts(&mut yard, 1, Reset::PowerOn);
    for _ in 0..10 {
        yard.heartbeat("pump", |heartbeat| (heartbeat.uptime_secs, heartbeat.boot_count) = (90_000, 1));
        yard.pass(2 * MINUTE);
    }
    yard.pass(HOUR);
    yard.expect_nothing();
}

/// It was flashed and counts from one again; or somebody said in its name that it had started more often than it ever will.
#[test]
fn a_count_of_starts_that_fell_makes_nobody_deaf() {
    let mut yard = yard_with("pump", device());
    yard.heartbeat("pump", |heartbeat| heartbeat.boot_count = u64::MAX);
    yard.pass(2 * HOUR);
    yard.found();
    starts(&mut yard, 1, Reset::PowerOn);
    yard.pass(2 * HOUR);
    starts(&mut yard, 4, Reset::Brownout);
    yard.expect_set(of("pump"), Class::RebootLoop);
}
