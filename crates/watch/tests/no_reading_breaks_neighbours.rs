//! Whatever neighbours say in whatever order: nothing breaks, what is told is over once, and a watch that was written down and read goes on alike.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

use keyward_ids::DeviceId;
use keyward_watch::event::{Event, Place, Scope, UnixMillis};
use keyward_watch::finding::{Class, Finding, Turn};
use keyward_watch::{Watch, limits};
use proptest::prelude::*;
use std::collections::BTreeSet;

const MINUTE: u64 = 60_000;
const DAY: u64 = 24 * 60 * MINUTE;
const DEVICES: u8 = 6;

fn device(number: u8) -> DeviceId {
    format!("device-{number}").parse().unwrap()
}

fn registered(number: u8, site: Option<&str>) -> Event {
    let site = site.map(|site| site.parse().unwrap());
    Event::Registered { device: device(number), place: Place { site, ..Place::default() } }
}

fn event() -> impl Strategy<Value = Event> {
    let number = || 0..DEVICES;
    let value = prop_oneof![
        4 => -50.0..50.0,
        2 => prop::sample::select(vec![0.0, -0.0, 85.0, f64::MAX, f64::MIN, 5e-324, 1e300, f64::NAN, f64::INFINITY]),
        1 => prop::num::f64::ANY,
    ];
    let stream = prop_oneof![4 => Just("air".to_owned()), 1 => "[a-z+/]{0,6}", 1 => Just("é".repeat(200))];
    let scope = prop_oneof![number().prop_map(|n| Scope::Device(device(n))), Just(Scope::Everything)];
    let until = prop_oneof![1_800_000_000_000..1_801_000_000_000_u64, any::<u64>()];
    let site = prop::option::of(prop::sample::select(vec!["hall", "mill"]));
    prop_oneof![
        20 => (number(), stream, value).prop_map(|(n, stream, value)| Event::Reading { device: device(n), stream: stream.into(), value }),
        1 => (number(), site).prop_map(|(n, site)| registered(n, site)),
        1 => number().prop_map(|n| Event::Removed { device: device(n) }),
        1 => number().prop_map(|n| Event::MovedOnPurpose { device: device(n) }),
        1 => (scope, until).prop_map(|(scope, until)| Event::Maintenance { scope, until: UnixMillis(until) }),
        1 => any::<bool>().prop_map(|is_on| Event::OwnTrouble { is_on }),
        1 => Just(Event::Restarted),
    ]
}

fn steps() -> impl Strategy<Value = Vec<(u64, Event)>> {
    let pause = prop_oneof![8 => 0..5 * MINUTE, 4 => 0..30 * MINUTE, 1 => 0..3 * DAY, 1 => prop::sample::select(vec![100 * DAY, 100_000 * DAY])];
    prop::collection::vec((pause, event()), 1..300)
}

/// Days in which all follow the same waves, each in its own measure, until they are compared.
fn learned() -> Vec<(u64, Event)> {
    let mut all: Vec<_> = (0..DEVICES).map(|number| (0, registered(number, Some("hall")))).collect();
    for turn in 0..5 * DAY / (20 * MINUTE) {
        for number in 0..DEVICES {
            let hours = turn as f64 / 3.0;
            let own = f64::from(number) + (hours * 0.7 + f64::from(number)).sin() * 0.1;
            let value = (hours / 3.8).sin() * f64::from(number + 1) + own;
            all.push((
                20 * MINUTE / u64::from(DEVICES),
                Event::Reading { device: device(number), stream: "air".into(), value },
            ));
        }
    }
    all
}

/// What stands now.
#[derive(Default)]
struct Standing(BTreeSet<(Scope, Class)>);

impl Standing {
    fn take(&mut self, watch: &mut Watch) -> Vec<Finding> {
        let found: Vec<_> = std::iter::from_fn(|| watch.poll_finding()).collect();
        for finding in &found {
            assert!(finding.evidence.len() <= limits::EVIDENCE);
            assert!(finding.evidence.iter().all(|fact| fact.what.len() <= limits::EVIDENCE_BYTES));
            if matches!(finding.class, Class::Disagrees | Class::GroupStep) {
                let key = (finding.scope.clone(), finding.class);
                match finding.turn {
                    Turn::Set => _ = self.0.insert(key),
                    Turn::Clear => assert!(self.0.remove(&key), "{finding:?}"),
                }
            }
        }
        found
    }
}

fn copied(watch: &Watch) -> Watch {
    minicbor_serde::from_slice(&minicbor_serde::to_vec(watch).unwrap()).unwrap()
}

fn run(steps: &[(u64, Event)]) -> (Watch, Standing) {
    let (mut watch, mut standing, mut now) =
        (Watch::new(), Standing::default(), UnixMillis(1_800_000_000_000));
    let half = steps.len() / 2;
    let mut twin = None;
    for (number, (pause, event)) in steps.iter().enumerate() {
        if number == half {
            twin = Some(copied(&watch));
        }
        now = now.plus(*pause);
        watch.handle(now, event);
        let found = standing.take(&mut watch);
        if let Some(twin) = &mut twin {
            twin.handle(now, event);
            assert_eq!(std::iter::from_fn(|| twin.poll_finding()).collect::<Vec<_>>(), found);
        }
    }
    for number in 0..DEVICES {
        watch.handle(now, &Event::Removed { device: device(number) });
    }
    standing.take(&mut watch);
    assert_eq!(standing.0, BTreeSet::new(), "all are gone, and nothing is left of them");
    (watch, standing)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn any_readings_in_any_order(steps in steps()) {
        run(&steps);
    }

    #[test]
    fn any_readings_among_neighbours_that_are_compared(steps in steps()) {
        let mut all = learned();
        all.extend(steps);
        run(&all);
    }
}

/// Bytes that are written down of a watch over devices that have learned, and of which one sends so many streams that it makes up.
fn written(site: Option<&str>, made_up: u64) -> usize {
    let (mut watch, mut now) = (Watch::new(), UnixMillis(1_800_000_000_000));
    for (pause, event) in learned() {
        now = now.plus(pause);
        watch.handle(now, &event);
    }
    for number in 0..DEVICES {
        watch.handle(now, &registered(number, site));
    }
    for number in 0..made_up {
        let stream = format!("made up {number}").into();
        watch.handle(now, &Event::Reading { device: device(0), stream, value: 1.0 });
    }
    minicbor_serde::to_vec(&watch).unwrap().len()
}

/// Without a site nothing is compared: the difference is what a comparison takes.
#[test]
fn what_is_compared_is_bounded_for_each_sensor_and_each_device() {
    let compared = |made_up| written(Some("hall"), made_up) - written(None, made_up);
    let (honest, greedy) = (compared(0), compared(10_000));
    assert!(honest < usize::from(DEVICES) * 6 * 1_024, "{honest}");
    assert!(greedy < honest + limits::SENSORS * 2 * 1_024, "{greedy}, and {honest} without what was made up");
}
