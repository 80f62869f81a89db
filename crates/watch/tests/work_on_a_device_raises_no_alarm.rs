//! While somebody works on a device, on its site or on its gateway, nobody is called because it is silent.
#![allow(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod yard;

use keyward_watch::event::{Event, Reset, Scope};
use keyward_watch::finding::Class;
use yard::{DAY, HOUR, MINUTE, device, gateway, of, site, yard, yard_with};

#[test]
fn silence_during_work_is_nothing_and_after_it_the_device_has_time_to_come_back() {
    let mut yard = yard_with("pump", device());
    yard.maintain(of("pump"), 2 * HOUR);
    yard.cut("pump");
    yard.pass(2 * HOUR + MINUTE);
    yard.expect_nothing();
    yard.start("pump");
    yard.pass(HOUR);
    yard.expect_nothing();
}

#[test]
fn who_is_not_back_after_work_is_missing() {
    let mut yard = yard_with("pump", device());
    yard.maintain(of("pump"), 2 * HOUR);
    yard.cut("pump");
    yard.pass(2 * HOUR);
    yard.expect_nothing();
    yard.pass(20 * MINUTE);
    yard.expect_set(of("pump"), Class::Missing);
}

#[test]
fn work_on_a_site_or_a_gateway_covers_what_is_there_and_nothing_else() {
    for scope in [site("hall"), gateway("hall", "ap1"), Scope::Everything] {
        let mut yard = yard();
        let names = yard.add_many("lamp", 6, &device().at("hall").behind("ap1"));
        yard.add_many("far", 6, &device().at("mill").behind("ap1"));
        yard.pass(3 * HOUR);
        yard.maintain(scope, 4 * HOUR);
        yard.cut_all(&names);
        yard.pass(4 * HOUR);
        names.iter().for_each(|name| yard.start(name));
        yard.pass(HOUR);
        yard.expect_nothing();
    }
    let mut yard = yard();
    let names = yard.add_many("lamp", 6, &device().at("hall").behind("ap1"));
    yard.add_many("far", 6, &device().at("mill").behind("ap1"));
    yard.pass(3 * HOUR);
    yard.maintain(site("mill"), 4 * HOUR);
    yard.cut_all(&names);
    yard.pass(HOUR);
    assert!(yard.open().contains(&(site("hall"), Class::SiteOutage)), "{:?}", yard.open());
}

#[test]
fn a_hand_on_the_device_and_starts_during_work_are_work() {
    let mut yard = yard_with("pump", device());
    yard.maintain(of("pump"), 2 * HOUR);
    yard.tamper("pump", true);
    yard.pass(MINUTE);
    yard.cut("pump");
    yard.pass(HOUR);
    for _ in 0..5 {
        yard.start_after("pump", Reset::External);
        yard.pass(MINUTE);
    }
    yard.pass(3 * HOUR);
    yard.expect_nothing();
}

#[test]
fn work_that_is_called_off_covers_nothing_more() {
    let mut yard = yard_with("pump", device());
    yard.maintain(of("pump"), 2 * HOUR);
    yard.pass(MINUTE);
    let until = yard.now;
    yard.hear(Event::Maintenance { scope: of("pump"), until });
    yard.cut("pump");
    yard.pass(10 * MINUTE);
    yard.expect_set(of("pump"), Class::Missing);
}

#[test]
fn work_elsewhere_and_long_ago_covers_nothing() {
    let mut yard = yard_with("pump", device());
    yard.maintain(of("other"), 2 * HOUR);
    yard.maintain(of("pump"), HOUR);
    yard.pass(DAY);
    yard.cut("pump");
    yard.pass(10 * MINUTE);
    yard.expect_set(of("pump"), Class::Missing);
}
