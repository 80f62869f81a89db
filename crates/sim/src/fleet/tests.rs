//! That worlds are what their labels say.

use super::*;
use keyward_ids::DeviceId;
use keyward_watch::event::{End, Heartbeat, Ratchet};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

const SMALL: Plan = Plan { seed: 3, days: 1, devices: 20 };

#[test]
fn one_seed_has_one_world_and_another_seed_another() {
    let (one, again, other) = (SMALL, SMALL, Plan { seed: 4, ..SMALL });
    let [mut one, mut again, other] = [one, again, other].map(|plan| Fleet::new(plan).unwrap());
    assert_eq!(one.labels(), again.labels());
    assert_ne!(one.labels(), other.labels());
    assert!(one.by_ref().eq(again.by_ref()));
    assert!(!other.take(100).eq(Fleet::new(SMALL).unwrap().take(100)));
}

#[test]
fn time_never_goes_back_and_links_begin_and_end_once() {
    let mut last = UnixMillis(0);
    let (mut open, mut ended) = (BTreeMap::new(), BTreeSet::new());
    for (at, event) in Fleet::new(SMALL).unwrap() {
        assert!(last <= at);
        last = at;
        match &event {
            Event::Connected { device, connection } => {
                assert_eq!(open.insert(device.clone(), connection.link), None, "{event:?}");
                assert!(!ended.contains(&connection.link));
            }
            Event::Disconnected { device, link, .. } => {
                assert_eq!(open.remove(device), Some(*link), "{event:?}");
                ended.insert(*link);
            }
            _ => {}
        }
    }
}

#[test]
fn each_scenario_comes_once_on_a_whole_fleet_and_never_on_quiet_days() {
    let mut fleet = Fleet::new(Plan { seed: 1, days: 3, devices: 200 }).unwrap();
    let quiet_until = fleet.quiet_until();
    let named = |wanted: &str| fleet.labels().iter().filter(|label| label.name == wanted).count();
    for scenario in scenarios::all() {
        assert_eq!(named(scenario.name), 1, "{} ({})", scenario.name, scenario.rule);
    }
    for label in fleet.labels() {
        assert!(label.begins <= label.knowable && label.knowable <= label.ends, "{label:?}");
        assert!(!label.devices.is_empty(), "{label:?}");
        assert_eq!(label.kind == Kind::Ordinary && label.begins < quiet_until, label.begins < quiet_until);
    }
    assert!(fleet.next().is_some_and(|(at, _)| at >= fleet.begins()));
}

#[test]
fn names_of_scenarios_are_different() {
    let names: BTreeSet<&str> = scenarios::all().map(|scenario| scenario.name).collect();
    assert_eq!(names.len(), scenarios::all().count());
}

type Heard = Vec<(UnixMillis, Event)>;

/// A fleet that is large enough for each scenario, and what was heard of the first device of each, from its beginning to its end.
static SCENES: LazyLock<Vec<(Label, Heard)>> = LazyLock::new(|| {
    let fleet = Fleet::new(Plan { seed: 2, days: 0, devices: 120 }).unwrap();
    let scenarios = fleet.labels().iter().filter(|label| label.kind != Kind::Ordinary);
    let mut scenes: Vec<_> = scenarios.map(|label| (label.clone(), Heard::new())).collect();
    for (at, event) in fleet {
        let Some(device) = whose(&event) else { continue };
        for (label, heard) in &mut scenes {
            if (label.begins..=label.ends).contains(&at) && label.devices[0] == *device {
                heard.push((at, event.clone()));
            }
        }
    }
    scenes
});

fn whose(event: &Event) -> Option<&DeviceId> {
    match event {
        Event::Connected { device, .. }
        | Event::Disconnected { device, .. }
        | Event::Message { device, .. }
        | Event::Reading { device, .. }
        | Event::Heartbeat { device, .. }
        | Event::LastGasp { device, .. }
        | Event::Fix { device, .. }
        | Event::Tamper { device, .. }
        | Event::Ratcheted { device, .. }
        | Event::Proof { device, .. } => Some(device),
        _ => None,
    }
}

fn heard(name: &str) -> &'static (Label, Heard) {
    SCENES.iter().find(|(label, _)| label.name == name).unwrap()
}

fn heartbeats(events: &[(UnixMillis, Event)]) -> impl Iterator<Item = Heartbeat> {
    events.iter().filter_map(|(_, event)| match event {
        Event::Heartbeat { heartbeat, .. } => Some(*heartbeat),
        _ => None,
    })
}

#[test]
fn a_power_cut_is_told_by_a_last_gasp_or_by_a_short_uptime() {
    let (_, events) = heard("power cut, told by a last gasp");
    assert!(events.iter().any(|(_, event)| matches!(event, Event::LastGasp { .. })));
    assert!(events.iter().any(|(_, event)| matches!(event, Event::Disconnected { end: End::KeepAlive, .. })));
    let (_, events) = heard("power cut, told on return");
    assert!(!events.iter().any(|(_, event)| matches!(event, Event::LastGasp { .. })));
    assert!(heartbeats(events).any(|heartbeat| heartbeat.uptime_secs < 60));
}

#[test]
fn a_cut_way_keeps_readings_and_a_hang_keeps_none() {
    let (_, events) = heard("way cut, readings kept");
    assert!(
        heartbeats(events).any(|heartbeat| heartbeat.buffered > Some(0) && heartbeat.uptime_secs > 3_600)
    );
    let (_, events) = heard("hang");
    assert!(heartbeats(events).all(|heartbeat| heartbeat.buffered == Some(0)));
    let gap = events.windows(2).map(|pair| pair[1].0.since(pair[0].0)).max().unwrap();
    assert!(gap > 25 * MINUTE, "{gap}");
}

#[test]
fn a_copy_signs_with_another_start_and_the_device_goes_on() {
    let (_, events) = heard("a copy signs beside it");
    let mut epochs: Vec<u32> = events
        .iter()
        .filter_map(|(_, event)| match event {
            Event::Message { message, .. } => message.claims.map(|claims| claims.epoch),
            _ => None,
        })
        .collect();
    epochs.dedup();
    assert!(epochs.len() >= 5, "{epochs:?}");
}

#[test]
fn a_stale_secret_shows_where_two_hold_it_and_nowhere_else() {
    for (label, events) in &*SCENES {
        let is_stale = |(_, event): &(UnixMillis, Event)| {
            matches!(event, Event::Ratcheted { ratchet: Ratchet::Stale, .. })
        };
        let is_copied = label.name == "a copy without secure hardware";
        assert_eq!(events.iter().any(is_stale), is_copied, "{}", label.name);
    }
}

#[test]
fn who_is_destroyed_is_never_heard_again() {
    let (label, events) = heard("destroyed");
    assert!(
        events.iter().all(|(_, event)| matches!(event, Event::Disconnected { end: End::KeepAlive, .. })),
        "{events:?}"
    );
    assert!(label.ends.since(label.begins) > 48 * HOUR);
}

#[test]
fn quiet_devices_are_heard_on_each_day() {
    let plan = Plan { seed: 5, days: 4, devices: 20 };
    let fleet = Fleet::new(plan).unwrap();
    let quiet_until = fleet.quiet_until();
    let mut heard: BTreeMap<_, BTreeSet<u64>> = BTreeMap::new();
    let mut removed = BTreeSet::new();
    for (at, event) in fleet.take_while(|(at, _)| *at < quiet_until) {
        match event {
            Event::Message { device, .. } => {
                heard.entry(device).or_default().insert(at.0 / DAY);
            }
            Event::Removed { device } => {
                removed.insert(device);
            }
            _ => {}
        }
    }
    let whole = heard.iter().filter(|(device, days)| !removed.contains(*device) && days.len() == 4).count();
    assert!(whole + removed.len() >= 18, "{whole} of 20");
}
