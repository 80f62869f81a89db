//! What a whole site, gateway or circuit suffers is told once, and what is lost by it is part of that.
#![allow(clippy::unwrap_used, reason = "a test stops where it cannot go on")]

mod yard;

use keyward_watch::event::{End, Scope};
use keyward_watch::finding::{Class, Finding, Severity, Turn};
use yard::{DAY, HOUR, MINUTE, SECOND, Yard, brief, circuit, device, gateway, of, site, yard};

/// Three sites of ten: at each, two gateways and two circuits, crosswise; three have a battery.
struct Town {
    yard: Yard,
    sites: Vec<Vec<String>>,
}

fn town() -> Town {
    let mut yard = yard();
    let mut sites = Vec::new();
    for place in ["hall", "mill", "park"] {
        let mut names = Vec::new();
        for number in 0..10 {
            let name = format!("{place}-{number}");
            let ap = if number < 5 { "ap1" } else { "ap2" };
            let fuse = if number % 2 == 0 { "f1" } else { "f2" };
            let new = device().at(place).behind(ap).on_circuit(fuse);
            yard.add(&name, if number % 4 == 3 { new.on_battery() } else { new });
            names.push(name);
        }
        sites.push(names);
    }
    yard.pass(3 * HOUR);
    yard.expect_nothing();
    Town { yard, sites }
}

impl Town {
    fn cut(&mut self, which: impl Fn(usize) -> bool) -> usize {
        let names: Vec<_> =
            (0..10).filter(|number| which(*number)).map(|number| self.sites[0][number].clone()).collect();
        self.yard.cut_all(&names);
        names.len()
    }
}

/// Expects one parent and so many children that are part of it, and nothing else.
#[track_caller]
fn expect_one(found: &[Finding], scope: &Scope, class: Class, children: usize) {
    let (own, others): (Vec<_>, Vec<_>) = found.iter().partition(|finding| finding.part_of.is_none());
    assert_eq!(own.len(), 1, "{}", brief(found));
    assert_eq!(
        (&own[0].scope, own[0].class, own[0].turn, own[0].severity),
        (scope, class, Turn::Set, Severity::High)
    );
    assert!(others.iter().all(|child| child.part_of == Some((scope.clone(), class))), "{}", brief(found));
    assert_eq!(others.len(), children, "{}", brief(found));
}

#[test]
fn a_whole_site_that_is_lost_is_one_finding() {
    let mut town = town();
    town.cut(|_| true);
    town.yard.pass(HOUR);
    expect_one(&town.yard.found(), &site("hall"), Class::SiteOutage, 10);
    town.yard.pass(5 * HOUR);
    town.yard.expect_nothing();
}

#[test]
fn a_site_whose_batteries_are_there_has_lost_the_mains() {
    let mut town = town();
    let lost = town.cut(|number| number % 4 != 3);
    town.yard.pass(HOUR);
    expect_one(&town.yard.found(), &site("hall"), Class::SitePower, lost);
}

#[test]
fn a_site_of_which_many_said_that_their_supply_fails_has_lost_its_power() {
    let mut town = town();
    for name in town.sites[0].clone() {
        town.yard.gasp(&name, true);
    }
    town.yard.pass(HOUR);
    expect_one(&town.yard.found(), &site("hall"), Class::SitePower, 10);
}

#[test]
fn what_is_lost_behind_one_gateway_while_others_stay_is_that_gateway() {
    let mut town = town();
    let lost = town.cut(|number| number < 5);
    town.yard.pass(HOUR);
    expect_one(&town.yard.found(), &gateway("hall", "ap1"), Class::GatewayLoss, lost);
}

#[test]
fn what_is_lost_on_one_circuit_while_others_stay_is_that_circuit() {
    let mut town = town();
    let lost = town.cut(|number| number % 2 == 1);
    town.yard.pass(HOUR);
    expect_one(&town.yard.found(), &circuit("hall", "f2"), Class::CircuitLoss, lost);
}

#[test]
fn one_or_two_are_no_group() {
    let mut town = town();
    town.cut(|number| number < 2);
    town.yard.pass(HOUR);
    let found = town.yard.found();
    assert_eq!(found.len(), 2, "{}", brief(&found));
    assert!(
        found.iter().all(|finding| finding.class == Class::Missing && finding.part_of.is_none()),
        "{}",
        brief(&found)
    );
}

#[test]
fn what_is_lost_hour_by_hour_is_no_outage() {
    let mut town = town();
    for number in 0..10 {
        town.cut(|other| other == number);
        town.yard.pass(HOUR);
    }
    let found = town.yard.found();
    assert_eq!(found.len(), 10, "{}", brief(&found));
    assert!(found.iter().all(|finding| finding.class == Class::Missing), "{}", brief(&found));
}

/// Providers cut each line once a night, and routers start anew.
#[test]
fn a_site_that_is_soon_there_again_is_nothing() {
    let mut town = town();
    for _ in 0..10 {
        for name in town.sites[0].clone() {
            town.yard.disconnect(&name, End::Closed);
        }
        town.yard.pass(100 * SECOND);
        for name in town.sites[0].clone() {
            town.yard.connect(&name);
        }
        town.yard.pass(HOUR);
    }
    town.yard.expect_nothing();
}

#[test]
fn it_is_over_when_nearly_all_are_back_and_who_is_not_is_judged_alone() {
    let mut town = town();
    town.cut(|_| true);
    town.yard.pass(2 * HOUR);
    town.yard.found();
    for name in &town.sites[0].clone()[1..] {
        town.yard.start(name);
    }
    town.yard.pass(30 * MINUTE);
    let found = town.yard.found();
    let is_power =
        |finding: &&Finding| finding.scope == site("hall") && finding.instead_of == Some(Class::SiteOutage);
    assert_eq!(found.iter().filter(is_power).count(), 1, "they had started anew: {}", brief(&found));
    assert!(
        found.iter().any(|finding| finding.scope == site("hall") && finding.turn == Turn::Clear),
        "{}",
        brief(&found)
    );
    let alone = found.iter().rfind(|finding| finding.scope == of("hall-0")).unwrap();
    assert_eq!((alone.class, alone.part_of.is_none()), (Class::Missing, true));
    assert_eq!(town.yard.open(), [(of("hall-0"), Class::Missing)]);
    town.yard.pass(DAY);
    town.yard.expect_set(of("hall-0"), Class::DestroyedOrStolen);
}

#[test]
fn a_site_whose_devices_ran_all_the_time_had_lost_its_uplink() {
    let mut town = town();
    town.cut(|_| true);
    town.yard.pass(2 * HOUR);
    town.yard.found();
    for name in town.sites[0].clone() {
        town.yard.reconnect(&name, 100);
    }
    town.yard.pass(30 * MINUTE);
    let found = town.yard.found();
    assert!(found.iter().all(|finding| finding.class != Class::SitePower), "{}", brief(&found));
    assert!(town.yard.open().is_empty(), "{:?}", town.yard.open());
}

/// Some are noticed by a keep-alive of a minute, some by one of ten.
#[test]
fn what_is_noticed_late_is_part_of_it_too() {
    let mut yard = yard();
    let soon = yard.add_many("soon", 6, &device().at("hall"));
    let late = yard.add_many("late", 4, &device().at("hall").keep_alive(600));
    yard.add_many("far", 20, &device().at("mill"));
    yard.pass(3 * HOUR);
    yard.cut_all(&soon);
    yard.cut_all(&late);
    yard.pass(HOUR);
    expect_one(&yard.found(), &site("hall"), Class::SiteOutage, 10);
}

#[test]
fn a_site_turns_out_to_be_without_power_when_the_last_without_a_battery_is_noticed() {
    let mut yard = yard();
    let mut mains = yard.add_many("soon", 8, &device().at("hall"));
    mains.extend(yard.add_many("late", 2, &device().at("hall").keep_alive(300)));
    yard.add_many("backed", 2, &device().at("hall").on_battery());
    yard.add_many("far", 30, &device().at("mill"));
    yard.pass(3 * HOUR);
    yard.cut_all(&mains);
    yard.pass(HOUR);
    let found = yard.found();
    let of_site = found.iter().filter(|finding| finding.scope == site("hall"));
    let told: Vec<_> = of_site.map(|finding| (finding.class, finding.instead_of)).collect();
    let (first, then) = ((Class::SiteOutage, None), (Class::SitePower, Some(Class::SiteOutage)));
    assert_eq!(told, [first, then], "{}", brief(&found));
}

/// The first was told alone a moment before.
#[test]
fn what_was_told_alone_is_folded_in() {
    let mut yard = yard();
    let soon = yard.add_many("soon", 2, &device().at("hall").public());
    let late = yard.add_many("late", 6, &device().at("hall").keep_alive(300));
    yard.add_many("far", 20, &device().at("mill"));
    yard.pass(3 * HOUR);
    yard.cut_all(&soon);
    yard.cut_all(&late);
    yard.pass(HOUR);
    let found = yard.found();
    let alone: Vec<_> = found.iter().filter(|finding| finding.part_of.is_none()).collect();
    assert_eq!(alone.len(), 3, "two alone, then the site: {}", brief(&found));
    for name in soon {
        let last = found.iter().rfind(|finding| finding.scope == of(&name)).unwrap();
        assert_eq!(last.part_of, Some((site("hall"), Class::SiteOutage)));
    }
}

#[test]
fn a_gateway_without_a_site_is_a_group_too() {
    let mut yard = yard();
    let near = yard.add_many("near", 4, &device().behind("lora"));
    yard.add_many("far", 16, &device());
    yard.pass(3 * HOUR);
    yard.cut_all(&near);
    yard.pass(HOUR);
    expect_one(&yard.found(), &Scope::Gateway(None, "lora".into()), Class::GatewayLoss, 4);
}

#[test]
fn a_site_of_thousands_is_judged_as_one_of_ten() {
    let mut yard = yard();
    let names = yard.add_many("row", 2_000, &device().at("farm").every(30 * MINUTE));
    yard.add_many("far", 2_000, &device().at("mill").every(30 * MINUTE));
    yard.pass(2 * HOUR);
    yard.cut_all(&names);
    yard.pass(HOUR);
    expect_one(&yard.found(), &site("farm"), Class::SiteOutage, 2_000);
}
