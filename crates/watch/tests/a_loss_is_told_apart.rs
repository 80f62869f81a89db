//! What a device lost is told by what it said before, by who touched it, and by what it says when it is back.
#![allow(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod yard;

use keyward_watch::event::Reset;
use keyward_watch::finding::{Class, Confidence, Severity};
use yard::{DAY, HOUR, MINUTE, Yard, device, of, says, yard_with};

#[test]
fn a_last_gasp_is_a_power_loss_as_sure_as_its_signature() {
    for (verified, confidence) in [(true, Confidence::Proven), (false, Confidence::Medium)] {
        let mut yard = yard_with("pump", device());
        yard.gasp("pump", verified);
        yard.pass(2 * MINUTE);
        let found = yard.expect_set(of("pump"), Class::PowerLoss);
        assert_eq!((found.confidence, found.severity), (confidence, Severity::Medium));
        assert!(says(&found.evidence, "its supply fails"), "{found:?}");
    }
}

#[test]
fn a_public_device_that_alone_loses_its_power_was_unplugged() {
    let mut yard = yard::yard();
    let names = yard.add_many("lamp", 5, &device().at("square").public());
    yard.pass(DAY);
    yard.gasp(&names[0], true);
    yard.pass(2 * MINUTE);
    let found = yard.expect_set(of("lamp-1"), Class::PowerLoss);
    assert_eq!(found.severity, Severity::High);
    assert!(says(&found.evidence, "others of its site are there"), "{found:?}");
}

#[test]
fn a_supply_that_recovers_is_nothing() {
    let mut yard = yard_with("pump", device());
    for _ in 0..3 {
        yard.gasp("pump", true);
        yard.pass(10_000);
        yard.heartbeat("pump", |_| {});
        yard.reconnect("pump", 0);
        yard.pass(30 * MINUTE);
    }
    yard.expect_nothing();
}

fn away(hours: u64) -> Yard {
    let mut yard = yard_with("pump", device());
    yard.cut("pump");
    yard.pass(hours * HOUR);
    yard.expect_set(of("pump"), Class::Missing);
    yard
}

#[track_caller]
fn expect_explained(mut yard: Yard, class: Class, confidence: Confidence) {
    yard.pass(5 * MINUTE);
    let found = yard.found();
    let [explained, cleared] = &found[..] else { panic!("{found:#?}") };
    assert_eq!((explained.class, explained.instead_of), (class, Some(Class::Missing)), "{found:#?}");
    assert_eq!(explained.confidence, confidence);
    assert_eq!(cleared.class, class);
    assert!(yard.open().is_empty());
}

#[test]
fn a_device_that_has_just_started_had_lost_its_power() {
    let mut yard = away(2);
    yard.start("pump");
    expect_explained(yard, Class::PowerLoss, Confidence::High);
}

#[test]
fn a_device_that_ran_all_the_time_and_kept_readings_had_lost_its_network() {
    let mut yard = away(2);
    yard.reconnect("pump", 120);
    expect_explained(yard, Class::NetworkLoss, Confidence::High);
}

#[test]
fn messages_that_come_at_once_were_kept_too() {
    let mut yard = away(2);
    yard.connect("pump");
    for _ in 0..50 {
        yard.message("pump");
    }
    yard.heartbeat("pump", |_| {});
    yard.report_every("pump", MINUTE);
    expect_explained(yard, Class::NetworkLoss, Confidence::Medium);
}

#[test]
fn a_device_that_ran_all_the_time_and_kept_nothing_had_stalled() {
    let mut yard = away(2);
    yard.reconnect("pump", 0);
    expect_explained(yard, Class::Stalled, Confidence::High);
}

#[test]
fn a_device_that_ran_all_the_time_and_does_not_say_what_it_kept_probably_lost_its_network() {
    let mut yard = away(2);
    yard.connect("pump");
    yard.heartbeat("pump", |heartbeat| heartbeat.buffered = None);
    expect_explained(yard, Class::NetworkLoss, Confidence::Low);
}

#[test]
fn a_device_that_its_watchdog_started_had_hung() {
    let mut yard = away(2);
    yard.start_after("pump", Reset::Watchdog);
    expect_explained(yard, Class::Stalled, Confidence::High);
}

#[test]
fn many_starts_in_one_absence_are_told() {
    let mut yard = away(2);
    yard.connect("pump");
    yard.heartbeat("pump", |heartbeat| (heartbeat.uptime_secs, heartbeat.boot_count) = (30, 3));
    let found = yard.expect_set(of("pump"), Class::PowerLoss);
    assert!(says(&found.evidence, "started 2 times"), "{found:?}");
}

#[test]
fn a_power_loss_that_the_device_confirms_is_told_once() {
    let mut yard = yard_with("pump", device());
    yard.gasp("pump", true);
    yard.pass(HOUR);
    yard.expect_set(of("pump"), Class::PowerLoss);
    yard.start("pump");
    yard.pass(5 * MINUTE);
    yard.expect_clear(of("pump"), Class::PowerLoss);
}

#[test]
fn a_hand_on_the_device_shortly_before_makes_theft_suspected_at_once() {
    for (verified, severity) in [(true, Severity::Critical), (false, Severity::High)] {
        let mut yard = yard_with("pump", device());
        yard.tamper("pump", verified);
        yard.pass(5 * MINUTE);
        yard.expect_nothing();
        yard.cut("pump");
        yard.pass(3 * MINUTE);
        let found = yard.expect_set(of("pump"), Class::TheftSuspected);
        assert_eq!(found.severity, severity);
        assert!(says(&found.evidence, "\"case\""), "{found:?}");
    }
}

#[test]
fn a_hand_on_the_device_and_its_supply_cut_is_theft_rather_than_a_power_loss() {
    let mut yard = yard_with("pump", device());
    yard.tamper("pump", true);
    yard.pass(MINUTE);
    yard.gasp("pump", true);
    yard.pass(2 * MINUTE);
    let found = yard.expect_set(of("pump"), Class::TheftSuspected);
    assert!(says(&found.evidence, "its supply fails"), "{found:?}");
}

#[test]
fn a_hand_on_the_device_long_before_is_another_story() {
    let mut yard = yard_with("pump", device());
    yard.tamper("pump", true);
    yard.pass(HOUR);
    yard.cut("pump");
    yard.pass(HOUR);
    yard.expect_set(of("pump"), Class::Missing);
}

#[test]
fn a_device_that_was_given_up_and_comes_back_says_why() {
    let mut yard = away(2);
    yard.pass(2 * DAY);
    yard.expect_set(of("pump"), Class::DestroyedOrStolen);
    yard.start("pump");
    let found = yard.expect_set(of("pump"), Class::PowerLoss);
    assert_eq!(found.instead_of, Some(Class::DestroyedOrStolen));
    yard.pass(5 * MINUTE);
    yard.expect_clear(of("pump"), Class::PowerLoss);
}
