//! Two that connect with one credential show by where they come from, and a device that changes its network is not taken for two.

mod story;

use keyward_watch::event::{End, Ratchet, Source};
use keyward_watch::finding::{Class, Confidence, Severity};
use story::*;

/// Somebody else, with a program of another kind.
fn elsewhere() -> Source {
    Source { network: 0x0008_0001, fingerprint: 0xb2, ..home() }
}

/// The two take each other's place, each some time after the other.
fn alternate(story: &mut Story, sources: [Source; 2], times: usize, pause: u64, new_link_first: bool) {
    let mut link = story.connect(sources[0].clone());
    for turn in 1..times {
        story.wait(pause);
        let source = sources[turn % 2].clone();
        if new_link_first {
            let next = story.connect(source);
            story.disconnect(std::mem::replace(&mut link, next), End::TakenOver);
        } else {
            story.disconnect(link, End::TakenOver);
            link = story.connect(source);
        }
    }
}

#[test]
fn two_that_take_each_others_place_again_and_again_show() {
    for new_link_first in [true, false] {
        let mut story = Story::begin();
        alternate(&mut story, [home(), elsewhere()], 3, MINUTE, new_link_first);
        assert_eq!(story.found(), [], "once there and back may be a test");
        let mut story = Story::begin();
        alternate(&mut story, [home(), elsewhere()], 4, MINUTE, new_link_first);
        assert_eq!(story.found(), [(Class::TakeoverPingPong, Confidence::High, Severity::High)]);
    }
}

#[test]
fn one_program_behind_an_address_that_flaps_is_one() {
    let mut story = Story::begin();
    let flapping = Source { network: elsewhere().network, ..home() };
    alternate(&mut story, [home(), flapping], 50, 20 * SECOND, true);
    assert_eq!(story.found(), []);
}

#[test]
fn two_programs_of_one_house_are_one() {
    let mut story = Story::begin();
    let other_program = Source { fingerprint: elsewhere().fingerprint, ..home() };
    alternate(&mut story, [home(), other_program], 50, 20 * SECOND, false);
    assert_eq!(story.found(), []);
}

#[test]
fn who_takes_over_from_time_to_time_does_not_alternate() {
    let mut story = Story::begin();
    alternate(&mut story, [home(), elsewhere()], 20, 30 * MINUTE, true);
    assert_eq!(story.found(), []);
}

#[test]
fn links_that_end_by_themselves_take_no_place() {
    let mut story = Story::begin();
    for turn in 0..20 {
        let link = story.connect(if turn % 2 == 0 { home() } else { elsewhere() });
        story.wait(20 * SECOND);
        story.disconnect(link, End::Closed);
    }
    assert_eq!(story.found(), []);
}

#[test]
fn a_secret_that_was_used_up_may_be_a_restored_flash_and_the_second_is_proof() {
    let mut story = Story::begin();
    story.connect_with(home(), Ratchet::Current);
    story.wait(HOUR);
    story.connect_with(elsewhere(), Ratchet::Current);
    story.wait(HOUR);
    assert_eq!(story.found(), []);
    story.connect_with(home(), Ratchet::Stale);
    assert_eq!(story.found(), [(Class::StaleRatchet, Confidence::Medium, Severity::Medium)]);
    story.wait(MINUTE);
    story.connect_with(home(), Ratchet::Stale);
    assert_eq!(story.found(), [(Class::StaleRatchet, Confidence::Proven, Severity::Critical)]);
}

/// A device that was erased says so, and so can whoever has read its password: neither holds a copy.
#[test]
fn who_has_no_secret_proves_nothing_however_often() {
    let mut story = Story::begin();
    story.connect_with(home(), Ratchet::Current);
    story.wait(HOUR);
    for _ in 0..20 {
        story.connect_with(elsewhere(), Ratchet::Empty);
        story.wait(20 * MINUTE);
    }
    let found = story.found();
    assert_eq!(
        found[..2],
        [
            (Class::StaleRatchet, Confidence::Medium, Severity::Medium),
            (Class::StaleRatchet, Confidence::High, Severity::High),
        ]
    );
    assert!(found.iter().all(|(_, confidence, _)| *confidence < Confidence::Proven), "{found:?}");
    story.connect_with(home(), Ratchet::Stale);
    assert_eq!(
        story.found().last().map(|found| found.1),
        Some(Confidence::Medium),
        "this is the first of its kind"
    );
}

const BERLIN: (i16, i16) = (5_252, 1_340);
const SYDNEY: (i16, i16) = (-3_387, 15_121);
const CANBERRA: (i16, i16) = (-3_528, 14_913);

fn at(city: (i16, i16)) -> Source {
    Source { location: Some(city), ..home() }
}

#[test]
fn nobody_flies_from_berlin_to_sydney_in_an_hour() {
    let mut story = Story::begin();
    let link = story.connect(at(BERLIN));
    story.wait(30 * DAY);
    story.disconnect(link, End::Disconnect);
    story.wait(HOUR);
    story.connect(at(SYDNEY));
    let found: Vec<_> = story.found();
    assert_eq!(
        found,
        [(Class::ImpossibleTravel, Confidence::Medium, Severity::Medium)],
        "a relay may be behind it: nobody is called"
    );
}

#[test]
fn a_device_that_speaks_is_where_its_link_is() {
    let mut story = Story::begin();
    story.connect(at(BERLIN));
    story.wait(30 * DAY);
    story.signed(1, 1);
    story.wait(HOUR);
    story.connect(at(SYDNEY));
    assert_eq!(story.found(), [(Class::ImpossibleTravel, Confidence::Medium, Severity::Medium)]);
}

#[test]
fn travel_that_is_possible_and_locations_that_are_coarse_are_none() {
    let mut story = Story::begin();
    let link = story.connect(at(BERLIN));
    story.disconnect(link, End::Disconnect);
    story.wait(30 * HOUR);
    let link = story.connect(at(SYDNEY));
    story.disconnect(link, End::Disconnect);
    story.wait(SECOND);
    story.connect(at(CANBERRA));
    story.wait(SECOND);
    story.connect(Source { location: None, ..home() });
    assert_eq!(
        story.found(),
        [],
        "Canberra is 250 km from Sydney, which is what the location of an address is worth"
    );
}

#[test]
fn no_source_is_proof() {
    let mut story = Story::begin();
    alternate(
        &mut story,
        [at(BERLIN), Source { fingerprint: 1, network: 1, ..at(SYDNEY) }],
        30,
        MINUTE,
        true,
    );
    let found = story.found();
    assert!(found.len() > 2);
    assert!(found.iter().all(|(_, confidence, _)| *confidence < Confidence::Proven), "{found:?}");
}
