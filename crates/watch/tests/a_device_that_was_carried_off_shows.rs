//! A device that was carried off shows, and one whose address, provider or fuse changes does not call anybody.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

mod story;

use keyward_watch::event::{End, Event, Exposure, Fence, Heartbeat, Place, Position, Reset, Scope, Source};
use keyward_watch::finding::{Class, Confidence, Severity, Severity::*, Turn};
use story::*;

fn other_network() -> Source {
    Source { network: 0x0052_0001, ..home() }
}

fn other_provider() -> Source {
    Source { system: Some(6_805), ..other_network() }
}

fn abroad() -> Source {
    Source { country: Some(*b"PL"), system: Some(5_617), ..other_network() }
}

fn lives_at_home() -> Story {
    at_home_in(Place { site: Some("hall".parse().unwrap()), ..Place::default() })
}

fn at_home_in(place: Place) -> Story {
    let mut story = Story::at(place);
    for _ in 0..10 {
        let link = story.connect(home());
        story.beat(5, 10 * HOUR);
        story.wait(DAY);
        story.disconnect(link, End::Disconnect);
    }
    story.connect(home());
    story.wait(HOUR);
    assert_eq!(story.found(), []);
    story
}

/// It is switched off, and comes back after so long.
fn unplug(story: &mut Story, link: u64, millis: u64, source: Source) {
    story.disconnect(link, End::Closed);
    story.wait(millis);
    story.connect(source);
    story.wait(30 * SECOND);
    let heartbeat =
        Heartbeat { boot_count: 6, uptime_secs: 40, reset: Reset::PowerOn, ..Heartbeat::default() };
    story.beat_with(heartbeat);
}

/// The link of a device that [lives at home](lives_at_home).
const LINK: u64 = 11;

/// What was found since the last time, without what only adds evidence.
fn severities(story: &mut Story) -> Vec<(Class, Severity)> {
    let mut found: Vec<_> = story.found().into_iter().map(|(class, _, severity)| (class, severity)).collect();
    found.dedup();
    found
}

#[test]
fn who_is_carried_off_and_switched_on_abroad_calls_somebody() {
    let mut story = lives_at_home();
    unplug(&mut story, LINK, 3 * HOUR, abroad());
    assert_eq!(severities(&mut story), [(Class::Moved, High)]);
}

#[test]
fn in_a_public_place_it_calls_at_once() {
    let mut story = at_home_in(Place { exposure: Exposure::Public, ..Place::default() });
    unplug(&mut story, LINK, 3 * HOUR, abroad());
    assert_eq!(severities(&mut story), [(Class::Moved, Critical)]);
}

#[test]
fn each_fact_stands_there_with_its_points() {
    let mut story = lives_at_home();
    unplug(&mut story, LINK, 3 * HOUR, other_provider());
    story.tamper();
    let finding = story.findings().into_iter().rfind(|finding| finding.class == Class::Moved).unwrap();
    let facts: Vec<&str> = finding.evidence.iter().map(|seen| &*seen.what).collect();
    let expected = [
        "it was away for 180 min (1 points)",
        "it came from the system AS6805, which is new (2 points)",
        "it started 40 s before (1 points)",
        "its switch case was triggered (5 points)",
    ];
    assert_eq!((facts, finding.severity), (expected.to_vec(), High));
}

#[test]
fn another_provider_after_a_power_cut_is_worth_a_line_and_no_call() {
    let mut story = lives_at_home();
    unplug(&mut story, LINK, 3 * HOUR, other_provider());
    assert_eq!(severities(&mut story), [(Class::Moved, Low)]);
    story.wait(DAY);
    assert_eq!(story.over(), [Class::Moved]);
}

#[test]
fn addresses_that_change_each_night_never_call() {
    let mut story = lives_at_home();
    for night in 0..60 {
        let link = story.connect(Source { network: 0x0060_0000 + night, ..home() });
        story.wait(DAY);
        story.disconnect(link, End::KeepAlive);
        story.wait(20 * SECOND);
    }
    assert_eq!(severities(&mut story), []);
}

#[test]
fn a_bad_line_that_is_away_every_quarter_of_an_hour_never_calls() {
    let mut story = lives_at_home();
    for turn in 0..200 {
        let link = story.connect(if turn % 2 == 0 { home() } else { other_network() });
        story.wait(MINUTE);
        story.disconnect(link, End::KeepAlive);
        story.wait(11 * MINUTE);
    }
    assert_eq!(severities(&mut story), []);
}

#[test]
fn power_cuts_at_home_are_no_theft() {
    let mut story = lives_at_home();
    unplug(&mut story, LINK, 5 * HOUR, home());
    assert_eq!(severities(&mut story), []);
}

#[test]
fn who_was_switched_off_for_the_summer_is_still_known_at_home() {
    let mut story = lives_at_home();
    unplug(&mut story, LINK, 90 * DAY, home());
    assert_eq!(severities(&mut story), []);
}

#[test]
fn a_restart_of_the_broker_and_an_update_are_no_evidence() {
    let mut story = lives_at_home();
    story.disconnect(LINK, End::Server);
    story.wait(2 * HOUR);
    story.connect(abroad());
    let heartbeat =
        Heartbeat { boot_count: 6, uptime_secs: 9, reset: Reset::Software, ..Heartbeat::default() };
    story.beat_with(heartbeat);
    assert_eq!(severities(&mut story), [(Class::Moved, Low)], "four points for the country alone");
}

#[test]
fn the_switch_alone_is_tampering_and_with_a_new_place_it_is_theft() {
    let mut story = lives_at_home();
    story.tamper();
    assert_eq!(severities(&mut story), [(Class::Tampered, High)]);
    unplug(&mut story, LINK, 20 * MINUTE, other_provider());
    let finding = story.findings().remove(0);
    assert_eq!((finding.class, finding.instead_of), (Class::Moved, Some(Class::Tampered)));
}

#[test]
fn another_network_abroad_does_not_make_abroad_less() {
    let mut story = lives_at_home();
    story.connect(abroad());
    story.wait(2 * MINUTE);
    let link = story.connect(Source { network: 0x0053_0001, ..abroad() });
    assert_eq!(severities(&mut story), [(Class::Moved, Low)]);
    unplug(&mut story, link, 11 * MINUTE, abroad());
    assert_eq!(severities(&mut story).last(), Some(&(Class::Moved, High)));
}

#[test]
fn evidence_of_different_days_does_not_add_up() {
    let mut story = lives_at_home();
    let link = story.connect(other_provider());
    story.wait(4 * HOUR);
    unplug(&mut story, link, 5 * MINUTE, other_provider());
    story.wait(4 * HOUR);
    story.connect(Source { system: Some(1), ..other_provider() });
    assert_eq!(severities(&mut story), []);
}

const HOME: Position = Position { latitude: 52_520_000, longitude: 13_400_000 };

fn fenced() -> Story {
    let fence = Some(Fence { middle: HOME, radius_m: 200 });
    at_home_in(Place { fence, ..Place::default() })
}

#[test]
fn who_is_twice_outside_its_fence_calls_somebody() {
    let mut story = fenced();
    story.fix(52_520_100, 13_400_100);
    story.fix(52_530_000, 13_400_000);
    story.wait(MINUTE);
    assert_eq!(severities(&mut story), [], "one fix may be a reflection");
    story.fix(52_530_500, 13_400_000);
    assert_eq!(severities(&mut story), [(Class::Moved, High)]);
}

#[test]
fn fixes_that_stray_now_and_then_are_no_theft() {
    let mut story = fenced();
    for _ in 0..100 {
        story.fix(52_540_000, 13_400_000);
        story.wait(MINUTE);
        story.fix(52_520_000, 13_400_000);
        story.wait(MINUTE);
    }
    assert_eq!(severities(&mut story), []);
}

#[test]
fn what_was_moved_on_purpose_is_at_home_there() {
    let mut story = fenced();
    unplug(&mut story, LINK, HOUR, abroad());
    story.fix(50_000_000, 20_000_000);
    story.fix(50_000_000, 20_000_000);
    assert_eq!(severities(&mut story), [(Class::Moved, High)]);
    story.tell(Event::MovedOnPurpose { device: pump() });
    assert_eq!(story.over(), [Class::Moved]);
    let place = |exposure, middle| Place {
        fence: Some(Fence { middle, radius_m: 200 }),
        exposure,
        ..Place::default()
    };
    let (old, new) = (HOME, Position { latitude: 50_000_000, longitude: 20_000_000 });
    for _ in 0..10 {
        story.fix(50_000_000, 20_000_000);
        let link = story.connect(abroad());
        story.tell(Event::Registered { device: pump(), place: place(Exposure::Locked, old) });
        story.wait(DAY);
        story.disconnect(link, End::Disconnect);
    }
    assert_eq!(
        severities(&mut story),
        [],
        "the fence that it left counts no more, whatever else is said of the place"
    );
    story.tell(Event::Registered { device: pump(), place: place(Exposure::Locked, new) });
    story.fix(50_000_000, 20_000_000);
    story.fix(52_520_000, 13_400_000);
    story.fix(52_520_000, 13_400_000);
    assert_eq!(severities(&mut story), [(Class::Moved, High)]);
}

/// Firmware that counts no starts says its uptime.
#[test]
fn a_power_cycle_shows_by_the_uptime_alone() {
    let mut story = lives_at_home();
    let beat = |uptime_secs| Heartbeat { uptime_secs, ..Heartbeat::default() };
    story.beat_with(beat(90_000));
    story.disconnect(LINK, End::Closed);
    story.wait(HOUR);
    story.connect(other_provider());
    story.beat_with(beat(40));
    let finding = story.findings().pop().unwrap();
    assert!(finding.evidence.iter().any(|seen| seen.what.contains("it started 40 s before")), "{finding:?}");
}

#[test]
fn another_site_in_the_registry_is_a_move_on_purpose() {
    let mut story = lives_at_home();
    unplug(&mut story, LINK, HOUR, abroad());
    assert_eq!(severities(&mut story), [(Class::Moved, High)]);
    let place = Place { site: Some("yard".parse().unwrap()), ..Place::default() };
    story.tell(Event::Registered { device: pump(), place });
    assert_eq!(story.over(), [Class::Moved]);
}

#[test]
fn an_alarm_is_not_over_by_itself_and_a_second_theft_is_told_again() {
    let mut story = lives_at_home();
    story.tamper();
    story.wait(30 * DAY);
    let told = story.findings();
    assert!(told.iter().all(|finding| finding.turn == Turn::Set), "{told:?}");
    story.tamper();
    assert_eq!(severities(&mut story), [(Class::Tampered, High)]);
}

#[test]
fn where_somebody_works_all_but_the_switch_counts_half() {
    let mut story = lives_at_home();
    let scope = Scope::Site("hall".parse().unwrap());
    story.tell(Event::Maintenance { scope, until: story.now.plus(DAY) });
    unplug(&mut story, LINK, 3 * HOUR, abroad());
    assert_eq!(severities(&mut story), [(Class::Moved, Low)]);
    story.wait(4 * HOUR);
    story.findings();
    story.tamper();
    assert_eq!(severities(&mut story), [(Class::Tampered, High)]);
}

/// A switch that was triggered in these circumstances, as it was found.
fn switch(story: &mut Story, verified: bool) -> Vec<(Class, Confidence)> {
    let tamper = Event::Tamper { device: story::pump(), input: "case".into(), verified };
    story.tell(tamper);
    story.found().iter().map(|(class, confidence, _)| (*class, *confidence)).collect()
}

#[test]
fn a_signature_proves_what_a_switch_says_where_nobody_works() {
    let proven = [(Class::Tampered, Confidence::Proven)];
    assert_eq!(switch(&mut lives_at_home(), true), proven);
    assert_eq!(switch(&mut lives_at_home(), false), [(Class::Tampered, Confidence::High)]);
    let mut story = lives_at_home();
    let scope = Scope::Site("hall".parse().unwrap());
    story.tell(Event::Maintenance { scope, until: story.now.plus(DAY) });
    assert_eq!(
        switch(&mut story, true),
        [(Class::Tampered, Confidence::High)],
        "whoever works there opens it"
    );
}

/// Somebody who has its password says between its own words that it is at home.
#[test]
fn who_cannot_sign_does_not_bring_a_device_back_into_its_fence() {
    let mut story = fenced();
    for _ in 0..2 {
        story.fix(0, 0);
        story.tell(Event::Fix { device: story::pump(), position: HOME, verified: false });
    }
    assert_eq!(severities(&mut story), [(Class::Moved, High)]);
}

/// Who has its password says so without a signature; who has it in hand switches it off first. Neither takes away what a signature proves.
#[test]
fn what_a_signed_switch_proves_is_hidden_by_nothing_that_came_before() {
    let proven = (Class::Tampered, Confidence::Proven);
    let mut story = lives_at_home();
    switch(&mut story, false);
    story.wait(MINUTE);
    assert_eq!(switch(&mut story, true), [proven]);
    assert_eq!(switch(&mut story, true), [], "it is told once");
    let mut story = lives_at_home();
    unplug(&mut story, LINK, 20 * MINUTE, other_provider());
    story.found();
    assert_eq!(switch(&mut story, true), [(Class::Moved, Confidence::High), proven]);
    story.wait(DAY);
    assert_eq!(story.over(), [], "a person is to say what it was");
    story.tell(Event::MovedOnPurpose { device: story::pump() });
    assert_eq!(story.over(), [Class::Moved, Class::Tampered]);
}

/// Somebody said what the first time was: whoever opens it again a quarter of an hour later is another matter, and is proven, or not, anew.
#[test]
fn a_switch_that_is_triggered_again_is_told_again() {
    let mut story = lives_at_home();
    for verified in [false, false, true, false] {
        let confidence = if verified { Confidence::Proven } else { Confidence::High };
        assert_eq!(switch(&mut story, verified), [(Class::Tampered, confidence)]);
        story.wait(MINUTE);
        assert_eq!(switch(&mut story, false), [], "it trembles");
        story.wait(14 * MINUTE);
        story.found();
    }
}

#[test]
fn nothing_proves_that_a_device_was_moved() {
    let mut story = fenced();
    story.tamper();
    unplug(&mut story, LINK, 3 * HOUR, abroad());
    story.fix(0, 0);
    story.fix(0, 0);
    let mut found = story.found();
    found.retain(|(class, ..)| *class == Class::Moved);
    assert!(!found.is_empty() && found.iter().all(|(_, confidence, _)| *confidence < Confidence::Proven));
}
