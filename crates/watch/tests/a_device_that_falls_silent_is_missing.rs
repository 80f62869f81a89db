//! A device that falls silent is missing; one that is only slow, seldom or talkative is not.
#![allow(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod yard;

use keyward_watch::event::{End, Exposure};
use keyward_watch::finding::{Class, Severity};
use yard::{DAY, HOUR, MINUTE, SECOND, device, of, says, yard, yard_with};

#[test]
fn a_lost_link_that_is_soon_there_again_is_nothing() {
    let mut yard = yard_with("pump", device());
    for _ in 0..20 {
        yard.disconnect("pump", End::Closed);
        yard.pass(20 * SECOND);
        yard.connect("pump");
        yard.pass(10 * MINUTE);
    }
    yard.expect_nothing();
}

#[test]
fn a_lost_link_that_does_not_come_back_is_a_missing_device() {
    let mut yard = yard_with("pump", device());
    yard.cut("pump");
    yard.pass(5 * MINUTE);
    yard.expect_nothing();
    yard.pass(2 * MINUTE);
    let found = yard.expect_set(of("pump"), Class::Missing);
    assert!(says(&found.evidence, "keep-alive"), "{found:?}");
    yard.pass(HOUR);
    yard.expect_nothing();
}

#[test]
fn who_can_be_reached_by_everybody_is_missed_sooner() {
    let after = |exposure| {
        let mut yard = yard_with("pump", device().exposed(exposure));
        yard.cut("pump");
        let cut = yard.now;
        yard.pass(HOUR);
        let found = yard.expect_set(of("pump"), Class::Missing);
        (found.at.since(cut), found.severity)
    };
    let (public, workplace, locked) =
        (after(Exposure::Public), after(Exposure::Workplace), after(Exposure::Locked));
    assert!(public.0 < workplace.0 && workplace.0 < locked.0, "{public:?} {workplace:?} {locked:?}");
    assert!(public.0 <= 5 * MINUTE && locked.1 < public.1, "{public:?} {locked:?}");
}

#[test]
fn it_is_back_after_two_messages_or_when_its_link_has_stood() {
    let mut yard = yard_with("pump", device().plain());
    yard.cut("pump");
    yard.pass(HOUR);
    yard.expect_set(of("pump"), Class::Missing);
    yard.connect("pump");
    yard.message("pump");
    yard.expect_nothing();
    yard.pass(2 * SECOND);
    yard.message("pump");
    yard.expect_clear(of("pump"), Class::Missing);

    let mut yard = yard_with("door", device().when_asked().plain());
    yard.cut("door");
    yard.pass(HOUR);
    yard.expect_set(of("door"), Class::Missing);
    yard.connect("door");
    yard.pass(MINUTE);
    yard.expect_nothing();
    yard.pass(MINUTE);
    yard.expect_clear(of("door"), Class::Missing);
}

#[test]
fn one_that_comes_and_goes_is_missing_once() {
    let mut yard = yard_with("pump", device().plain());
    yard.cut("pump");
    yard.pass(HOUR);
    yard.expect_set(of("pump"), Class::Missing);
    for _ in 0..10 {
        yard.connect("pump");
        yard.disconnect("pump", End::Closed);
        yard.cut("pump");
        yard.pass(HOUR / 2);
    }
    yard.expect_nothing();
}

#[test]
fn without_a_keep_alive_its_interval_tells() {
    let mut yard = yard_with("pump", device().keep_alive(0));
    yard.cut("pump");
    yard.pass(2 * MINUTE);
    assert!(yard.is_late("pump"));
    yard.expect_nothing();
    yard.pass(4 * MINUTE);
    let found = yard.expect_set(of("pump"), Class::Missing);
    assert!(says(&found.evidence, "60 s are usual"), "{found:?}");
}

#[test]
fn a_declared_interval_counts_from_the_first_message_on() {
    let mut yard = yard();
    yard.add("pump", device().declared(10 * MINUTE).keep_alive(0));
    yard.pass(15 * MINUTE);
    yard.cut("pump");
    yard.pass(30 * MINUTE);
    yard.expect_nothing();
    yard.pass(20 * MINUTE);
    yard.expect_set(of("pump"), Class::Missing);
}

#[test]
fn nothing_is_expected_of_a_device_that_never_came() {
    let mut yard = yard();
    yard.add("pump", device().declared(MINUTE));
    let mut other = yard::yard();
    other.hear(keyward_watch::Event::Registered {
        device: "spare".parse().unwrap(),
        place: keyward_watch::event::Place { interval_ms: Some(MINUTE), ..Default::default() },
    });
    other.pass(30 * DAY);
    other.expect_nothing();
    yard.pass(DAY);
    yard.expect_nothing();
}

/// A door reports when somebody comes: at night and at weekends nobody does.
#[test]
fn one_that_reports_seldom_and_irregularly_is_told_by_its_link_alone() {
    let mut yard = yard();
    yard.add("door", device().when_asked().plain());
    for turn in 0..400_u64 {
        yard.message("door");
        yard.pass(MINUTE << (turn * 7 % 11));
    }
    yard.pass(14 * DAY);
    yard.expect_nothing();
    yard.cut("door");
    yard.pass(10 * MINUTE);
    yard.expect_set(of("door"), Class::Missing);
}

/// It connects, says something, takes leave, and comes back when it likes.
#[test]
fn one_that_only_visits_seldom_is_not_missing_between() {
    let mut yard = yard();
    yard.add("meter", device().when_asked().plain());
    for turn in 0..60_u64 {
        yard.connect("meter");
        yard.message("meter");
        yard.disconnect("meter", if turn % 2 == 0 { End::Disconnect } else { End::Closed });
        yard.pass(HOUR << (turn * 5 % 7));
    }
    yard.expect_nothing();
}

#[test]
fn one_that_visits_regularly_is_missed_when_it_does_not_come() {
    let mut yard = yard();
    yard.add("meter", device().when_asked().plain());
    for _ in 0..50 {
        yard.connect("meter");
        yard.message("meter");
        yard.disconnect("meter", End::Closed);
        yard.pass(15 * MINUTE);
    }
    yard.expect_nothing();
    yard.pass(HOUR);
    yard.expect_set(of("meter"), Class::Missing);
}

#[test]
fn batches_are_one_report_each() {
    let mut yard = yard();
    yard.add("logger", device().when_asked().plain().keep_alive(0));
    for _ in 0..100 {
        for _ in 0..30 {
            yard.message("logger");
            yard.pass(300);
        }
        yard.pass(20 * MINUTE);
    }
    yard.expect_nothing();
    yard.pass(2 * HOUR);
    yard.expect_set(of("logger"), Class::Missing);
}

#[test]
fn another_interval_is_told_once_and_learned() {
    let mut yard = yard_with("pump", device().keep_alive(0).plain());
    yard.report_every("pump", 30 * MINUTE);
    yard.pass(DAY);
    let found = yard.found();
    assert!(found.len() <= 2, "{found:#?}");
    assert!(yard.open().is_empty(), "{:?}", yard.open());
    yard.pass(3 * DAY);
    yard.expect_nothing();
    yard.report_every("pump", MINUTE);
    yard.pass(3 * DAY);
    yard.expect_nothing();
}

#[test]
fn a_device_that_hangs_while_its_link_is_alive_has_stalled() {
    let mut yard = yard_with("pump", device().plain());
    yard.hang("pump");
    yard.pass(HOUR);
    let found = yard.expect_set(of("pump"), Class::Stalled);
    assert!(says(&found.evidence, "while its link is alive"), "{found:?}");
    yard.pass(3 * HOUR);
    yard.expect_nothing();
    yard.report_every("pump", MINUTE);
    yard.pass(5 * MINUTE);
    yard.expect_clear(of("pump"), Class::Stalled);
}

#[test]
fn a_device_that_is_silent_for_a_day_is_destroyed_or_stolen_and_sooner_in_public() {
    for (exposure, within) in [(Exposure::Workplace, 24), (Exposure::Public, 6)] {
        let mut yard = yard_with("pump", device().exposed(exposure));
        yard.cut("pump");
        yard.pass(within * HOUR - 5 * MINUTE);
        yard.expect_set(of("pump"), Class::Missing);
        yard.pass(10 * MINUTE);
        let found = yard.expect_set(of("pump"), Class::DestroyedOrStolen);
        assert_eq!((found.instead_of, found.severity), (Some(Class::Missing), Severity::High));
        yard.pass(30 * DAY);
        yard.expect_nothing();
    }
}

#[test]
fn a_device_that_is_removed_is_forgotten() {
    let mut yard = yard_with("pump", device());
    yard.cut("pump");
    yard.pass(HOUR);
    yard.expect_set(of("pump"), Class::Missing);
    yard.remove("pump");
    yard.expect_clear(of("pump"), Class::Missing);
    yard.pass(DAY);
    yard.expect_nothing();
}
