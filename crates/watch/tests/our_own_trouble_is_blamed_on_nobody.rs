//! What is missing because the broker, its uplink or its machine was in trouble is told of once, as that.
#![allow(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod yard;

use keyward_watch::event::{End, Scope};
use keyward_watch::finding::{Class, Finding, Severity, Turn};
use yard::{DAY, HOUR, MINUTE, SECOND, Yard, brief, device, of, site, yard};

/// Four sites of five devices.
fn town() -> (Yard, Vec<String>) {
    let mut yard = yard();
    let mut names = Vec::new();
    for place in ["hall", "mill", "park", "quay"] {
        names.extend(yard.add_many(place, 5, &device().at(place).plain()));
    }
    yard.pass(3 * HOUR);
    yard.expect_nothing();
    (yard, names)
}

/// Expects our own trouble and nothing else.
#[track_caller]
fn expect_ours(yard: &mut Yard, turns: &[Turn]) -> Vec<Finding> {
    let found = yard.found();
    let are_ours =
        found.iter().all(|found| found.class == Class::OwnTrouble && found.scope == Scope::Everything);
    let told: Vec<_> = found.iter().map(|found| found.turn).collect();
    assert!(are_ours && told == turns, "{}", brief(&found));
    found
}

#[test]
fn an_uplink_that_is_cut_is_ours() {
    let (mut yard, names) = town();
    yard.cut_all(&names);
    yard.pass(3 * HOUR);
    let found = expect_ours(&mut yard, &[Turn::Set]);
    assert_eq!(found[0].severity, Severity::High);
    names.iter().for_each(|name| yard.reconnect(name, 0));
    yard.pass(3 * HOUR);
    expect_ours(&mut yard, &[Turn::Clear]);
}

#[test]
fn a_third_of_all_at_several_sites_is_ours_too() {
    let (mut yard, names) = town();
    let some: Vec<_> = names.iter().step_by(2).cloned().collect();
    yard.cut_all(&some);
    yard.pass(HOUR);
    expect_ours(&mut yard, &[Turn::Set]);
}

#[test]
fn one_site_of_two_is_not() {
    let mut yard = yard();
    let names = yard.add_many("hall", 5, &device().at("hall"));
    yard.add_many("mill", 5, &device().at("mill"));
    yard.pass(3 * HOUR);
    yard.cut_all(&names);
    yard.pass(HOUR);
    assert!(yard.open().contains(&(site("hall"), Class::SiteOutage)), "{:?}", yard.open());
    assert!(!yard.open().contains(&(Scope::Everything, Class::OwnTrouble)), "{:?}", yard.open());
}

#[test]
fn without_sites_nearly_all_at_once_is_ours_and_one_of_three_is_not() {
    let mut yard = yard();
    let names = yard.add_many("lamp", 3, &device());
    yard.pass(3 * HOUR);
    yard.cut("lamp-1");
    yard.pass(HOUR);
    yard.expect_set(of("lamp-1"), Class::Missing);
    yard.start("lamp-1");
    yard.pass(HOUR);
    yard.found();
    yard.cut_all(&names);
    yard.pass(HOUR);
    expect_ours(&mut yard, &[Turn::Set]);
}

/// A stop of the server ends all links; after the start they come back one by one, some after minutes.
#[test]
fn our_own_restart_is_ours_until_devices_have_had_time_to_come_back() {
    let (mut yard, names) = town();
    yard.own_trouble(true);
    names.iter().for_each(|name| yard.disconnect(name, End::Server));
    yard.pass(5 * MINUTE);
    yard.own_trouble(false);
    for name in &names {
        yard.pass(20 * SECOND);
        yard.reconnect(name, 0);
    }
    yard.pass(5 * MINUTE);
    expect_ours(&mut yard, &[Turn::Set, Turn::Clear]);
    yard.pass(HOUR);
    let found = yard.found();
    assert!(found.is_empty(), "{}", brief(&found));
}

#[test]
fn who_does_not_come_back_after_our_trouble_is_missing() {
    let (mut yard, names) = town();
    yard.own_trouble(true);
    yard.cut("hall-1");
    yard.pass(30 * MINUTE);
    yard.own_trouble(false);
    yard.pass(9 * MINUTE);
    expect_ours(&mut yard, &[Turn::Set, Turn::Clear]);
    yard.pass(HOUR);
    yard.expect_set(of("hall-1"), Class::Missing);
    assert_eq!(names.len(), 20);
}

#[test]
fn who_was_told_a_moment_before_is_folded_in() {
    let (mut yard, _) = town();
    yard.cut("hall-1");
    yard.pass(10 * MINUTE);
    yard.expect_set(of("hall-1"), Class::Missing);
    yard.cut("hall-2");
    yard.pass(6 * MINUTE + 40 * SECOND);
    yard.expect_set(of("hall-2"), Class::Missing);
    yard.own_trouble(true);
    let found = yard.found();
    let told: Vec<_> = found.iter().map(|found| (&found.scope, found.class)).collect();
    let (ours, folded) = ((&Scope::Everything, Class::OwnTrouble), (&of("hall-2"), Class::Missing));
    assert_eq!(told, [ours, folded], "who was lost long before is not: {}", brief(&found));
    assert_eq!(found[1].part_of, Some((Scope::Everything, Class::OwnTrouble)));
}

/// A laptop is closed on Friday and opened on Monday.
#[test]
fn a_machine_that_slept_for_days_blames_no_device() {
    let (mut yard, _) = town();
    yard.sleep(3 * DAY);
    yard.pass(DAY);
    let found = expect_ours(&mut yard, &[Turn::Set, Turn::Clear]);
    assert!(!found[0].severity.pages(), "{}", brief(&found));
}

#[test]
fn who_is_gone_after_the_machine_slept_is_missed_all_the_same() {
    let (mut yard, _) = town();
    yard.cut("hall-1");
    yard.sleep(3 * DAY);
    yard.pass(HOUR);
    let found = yard.found();
    let last = found.last().unwrap();
    assert_eq!((&last.scope, last.class), (&of("hall-1"), Class::Missing), "{}", brief(&found));
}

#[test]
fn time_that_stands_still_or_goes_back_is_nothing() {
    let (mut yard, names) = town();
    let now = yard.now;
    for _ in 0..100 {
        names.iter().for_each(|name| yard.message(name));
    }
    yard.now.0 -= HOUR;
    for _ in 0..100 {
        names.iter().for_each(|name| yard.message(name));
    }
    yard.now = now;
    yard.pass(HOUR);
    yard.expect_nothing();
}
