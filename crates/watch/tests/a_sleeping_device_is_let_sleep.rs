//! A device that says until when it sleeps is let sleep, and missed when it does not wake.
#![allow(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod yard;

use keyward_watch::event::{End, Heartbeat};
use keyward_watch::finding::Class;
use yard::{DAY, HOUR, MINUTE, SECOND, Yard, device, of, says, yard, yard_with};

/// Wakes, reports for a while, says how long it sleeps, and sleeps.
fn wake(yard: &mut Yard, reports: u64, sleep: u64, end: End) {
    yard.connect("probe");
    for _ in 0..reports {
        yard.message("probe");
        yard.pass(10 * SECOND);
    }
    let until = yard.now.plus(sleep);
    yard.heartbeat("probe", |heartbeat| heartbeat.sleep_until = Some(until));
    yard.disconnect("probe", end);
}

fn probe() -> Yard {
    let mut yard = yard();
    yard.add("probe", device().when_asked().on_battery().at("field"));
    for _ in 0..30 {
        wake(&mut yard, 3, 2 * HOUR, End::Disconnect);
        yard.pass(2 * HOUR);
    }
    yard.expect_nothing();
    yard
}

#[test]
fn announced_sleep_is_no_silence_whatever_its_length() {
    let mut yard = probe();
    for sleep in [6 * HOUR, MINUTE, 5 * DAY, HOUR] {
        wake(&mut yard, 3, sleep, End::Disconnect);
        yard.pass(sleep);
    }
    yard.expect_nothing();
}

#[test]
fn a_radio_that_is_turned_off_without_a_word_after_the_announcement_sleeps_too() {
    let mut yard = probe();
    for end in [End::Closed, End::KeepAlive] {
        wake(&mut yard, 3, 6 * HOUR, end);
        yard.pass(6 * HOUR);
    }
    yard.expect_nothing();
}

/// The clocks of sleeping chips go wrong by some percent.
#[test]
fn it_may_wake_a_little_late() {
    let mut yard = probe();
    wake(&mut yard, 3, 6 * HOUR, End::Disconnect);
    yard.pass(6 * HOUR + 20 * MINUTE);
    wake(&mut yard, 3, 6 * HOUR, End::Disconnect);
    yard.expect_nothing();
}

#[test]
fn one_that_does_not_wake_is_missing() {
    let mut yard = probe();
    wake(&mut yard, 3, 6 * HOUR, End::Disconnect);
    yard.pass(6 * HOUR);
    yard.expect_nothing();
    yard.pass(HOUR);
    let found = yard.expect_set(of("probe"), Class::Missing);
    assert!(says(&found.evidence, "to wake"), "{found:?}");
    wake(&mut yard, 3, 6 * HOUR, End::Disconnect);
    yard.expect_clear(of("probe"), Class::Missing);
}

/// Ten seconds between reports while it is awake are not how often it reports.
#[test]
fn its_sleep_does_not_teach_that_it_is_slow_nor_its_waking_that_it_is_fast() {
    let mut yard = probe();
    wake(&mut yard, 60, 10 * HOUR, End::Disconnect);
    yard.pass(10 * HOUR);
    wake(&mut yard, 60, 10 * HOUR, End::Disconnect);
    yard.pass(10 * HOUR);
    yard.expect_nothing();
}

#[test]
fn nobody_sleeps_for_years() {
    let mut yard = probe();
    wake(&mut yard, 3, 4_000 * DAY, End::Disconnect);
    yard.pass(7 * DAY);
    yard.expect_nothing();
    yard.pass(DAY);
    yard.expect_set(of("probe"), Class::Missing);
}

/// Chips that sleep deeply start anew each time that they wake.
#[test]
fn that_it_starts_when_it_wakes_is_no_loop_and_no_power_cut() {
    let mut yard = yard();
    yard.add("probe", device().when_asked().on_battery());
    for boots in 1..50 {
        yard.connect("probe");
        let until = yard.now.plus(5 * MINUTE);
        yard.heartbeat("probe", |heartbeat| {
            (heartbeat.uptime_secs, heartbeat.boot_count, heartbeat.sleep_until) = (2, boots, Some(until));
        });
        yard.disconnect("probe", End::Disconnect);
        yard.pass(5 * MINUTE);
    }
    yard.expect_nothing();
    yard.pass(HOUR);
    yard.expect_set(of("probe"), Class::Missing);
    yard.connect("probe");
    yard.heartbeat("probe", |heartbeat| (heartbeat.uptime_secs, heartbeat.boot_count) = (2, 50));
    yard.pass(5 * MINUTE);
    yard.expect_clear(of("probe"), Class::Missing);
}

/// Who has its password says so, and takes it away.
#[test]
fn nobody_else_sends_a_device_to_sleep_that_signs_its_heartbeats() {
    let mut yard = yard_with("pump", device());
    yard.pass(DAY);
    let sleep_until = Some(yard.now.plus(5 * DAY));
    yard.pretend(
        "pump",
        Heartbeat { uptime_secs: 86_400, boot_count: 1, sleep_until, ..Heartbeat::default() },
    );
    yard.cut("pump");
    yard.pass(HOUR);
    yard.expect_set(of("pump"), Class::Missing);
}
