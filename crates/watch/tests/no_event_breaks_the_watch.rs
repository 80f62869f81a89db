//! Whatever happens in whatever order: nothing breaks, one state of a kind is open at a time, and memory is bounded.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has to fail")]

use keyward_watch::declared::{Declared, Limits, Relation};
use keyward_watch::event::{
    Connection, End, Event, Exposure, Heartbeat, Message, Place, Power, Reset, Scope, Source, UnixMillis,
};
use keyward_watch::finding::{Class, Turn};
use keyward_watch::{Watch, limits};
use proptest::prelude::*;
use std::collections::BTreeSet;

const SECOND: u64 = 1_000;
const HOUR: u64 = 3_600 * SECOND;

/// What comes after how long.
type Step = (u64, Event);

fn place() -> impl Strategy<Value = Place> {
    let site = prop::option::of(prop::sample::select(vec!["hall", "mill"]));
    let part = || prop::option::of(prop::sample::select(vec!["one", "two"]));
    let power = prop::sample::select(vec![Power::Mains, Power::Battery, Power::Ups]);
    let exposure = prop::sample::select(vec![Exposure::Public, Exposure::Workplace, Exposure::Locked]);
    let interval = prop::option::of(prop_oneof![Just(0), Just(60_000), any::<u64>()]);
    (site, part(), part(), power, exposure, interval).prop_map(
        |(site, gateway, circuit, power, exposure, interval_ms)| Place {
            site: site.map(|site| site.parse().unwrap()),
            gateway: gateway.map(Into::into),
            circuit: circuit.map(Into::into),
            power,
            exposure,
            interval_ms,
            ..Place::default()
        },
    )
}

fn heartbeat() -> impl Strategy<Value = Heartbeat> {
    let resets = vec![
        Reset::Unknown,
        Reset::PowerOn,
        Reset::Brownout,
        Reset::Watchdog,
        Reset::Software,
        Reset::External,
    ];
    let count = || prop_oneof![3 => 0..10_u64, 1 => any::<u64>()];
    let sleep =
        prop::option::of(prop_oneof![3 => 1_800_000_000_000..1_800_900_000_000_u64, 1 => any::<u64>()]);
    (count(), count(), prop::sample::select(resets), count(), sleep).prop_map(
        |(uptime_secs, boot_count, reset, buffered, sleep_until)| Heartbeat {
            uptime_secs,
            boot_count,
            reset,
            buffered: Some(buffered),
            sleep_until: sleep_until.map(UnixMillis),
            supply_millivolts: None,
        },
    )
}

fn declared() -> impl Strategy<Value = Declared> {
    let number = || prop::option::of(prop_oneof![4 => 0.0..3.0, 1 => any::<f64>()]);
    let limits = (number(), number(), number()).prop_map(|(min, max, per_second)| {
        let limits = Limits { min, max, per_second, ..Limits::default() };
        [("air".into(), limits)].into()
    });
    let relation = prop_oneof![
        Just(Relation::AtMost { less: "air".into(), more: "a".into() }),
        Just(Relation::WhileOn { switch: "a".into(), stream: "air".into(), above: 1.0 }),
        Just(Relation::Sum { total: "air".into(), parts: vec!["a".into(), "b".into()], tolerance: 0.1 }),
    ];
    let relations = prop::collection::vec(relation, 0..4);
    (limits, relations).prop_map(|(limits, relations)| Declared { limits, relations })
}

fn event() -> impl Strategy<Value = Event> {
    let device = || (0..8_u8).prop_map(|number| format!("device-{number}").parse().unwrap());
    let ends = vec![End::Disconnect, End::Closed, End::KeepAlive, End::TakenOver, End::Server];
    let link = || 0..12_u64;
    let stream = prop_oneof![3 => Just("air".to_owned()), 1 => "[a-z]{1,4}", 1 => "é{120,300}"];
    let value = prop_oneof![4 => 0.0..3.0, 2 => Just(1.5), 1 => any::<f64>()];
    let scope = prop_oneof![
        device().prop_map(Scope::Device),
        Just(Scope::Site("hall".parse().unwrap())),
        Just(Scope::Everything),
    ];
    let until = prop_oneof![1_800_000_000_000..1_801_000_000_000_u64, any::<u64>()];
    prop_oneof![
        3 => (device(), place()).prop_map(|(device, place)| Event::Registered { device, place }),
        1 => device().prop_map(|device| Event::Removed { device }),
        6 => (device(), link(), prop::sample::select(vec![0, 1, 60, u16::MAX])).prop_map(|(device, link, keep_alive_secs)| {
            let connection = Connection { link, source: Source::default(), keep_alive_secs };
            Event::Connected { device, connection }
        }),
        6 => (device(), link(), prop::sample::select(ends))
            .prop_map(|(device, link, end)| Event::Disconnected { device, link, end }),
        10 => device().prop_map(|device| Event::Message { device, message: Message::default() }),
        6 => (device(), stream, value)
            .prop_map(|(device, stream, value)| Event::Reading { device, stream: stream.into(), value }),
        4 => (device(), heartbeat(), any::<bool>())
            .prop_map(|(device, heartbeat, verified)| Event::Heartbeat { device, heartbeat, verified }),
        1 => (device(), declared()).prop_map(|(device, declared)| Event::Declared { device, declared: Box::new(declared) }),
        2 => (device(), any::<bool>()).prop_map(|(device, verified)| Event::LastGasp { device, verified }),
        2 => (device(), "[a-zé ]{0,80}", any::<bool>())
            .prop_map(|(device, input, verified)| Event::Tamper { device, input: input.into(), verified }),
        1 => (scope, until).prop_map(|(scope, until)| Event::Maintenance { scope, until: UnixMillis(until) }),
        1 => any::<bool>().prop_map(|is_on| Event::OwnTrouble { is_on }),
        1 => Just(Event::Restarted),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let pause = prop_oneof![4 => 0..5 * SECOND, 4 => 0..5 * 60 * SECOND, 2 => 0..HOUR, 1 => 0..3 * 24 * HOUR];
    prop::collection::vec((pause, event()), 1..200)
}

/// Devices of which most talk by the clock, so that there is something to lose.
fn lively() -> impl Strategy<Value = Vec<Step>> {
    steps().prop_map(|steps| {
        let mut all = Vec::new();
        for number in 0..8_u8 {
            let device: keyward_ids::DeviceId = format!("device-{number}").parse().unwrap();
            let site = Some(if number < 5 { "hall" } else { "mill" }.parse().unwrap());
            all.push((
                0,
                Event::Registered { device: device.clone(), place: Place { site, ..Place::default() } },
            ));
            let source = Source::default();
            let connection = Connection { link: number.into(), source, keep_alive_secs: 60 };
            all.push((0, Event::Connected { device, connection }));
        }
        for turn in 0..240_u64 {
            let device = format!("device-{}", turn % 8).parse().unwrap();
            all.push((10 * SECOND, Event::Message { device, message: Message::default() }));
        }
        all.extend(steps);
        all
    })
}

#[derive(Default)]
struct Seen {
    open: BTreeSet<(Scope, Class)>,
}

impl Seen {
    /// Classes of other detectors may be told again.
    fn take(&mut self, watch: &mut Watch) {
        while let Some(finding) = watch.poll_finding() {
            assert!(finding.evidence.len() <= limits::EVIDENCE, "{finding:?}");
            assert!(
                finding.evidence.iter().all(|fact| fact.what.len() <= limits::EVIDENCE_BYTES),
                "{finding:?}"
            );
            if is_of_sensors(finding.class) {
                let key = (finding.scope.clone(), finding.class);
                match finding.turn {
                    Turn::Set => _ = self.open.insert(key),
                    Turn::Clear => assert!(self.open.remove(&key), "{finding:?}"),
                }
            }
            if !is_loss(finding.class) {
                continue;
            }
            if let Some(before) = finding.instead_of {
                assert!(self.open.remove(&(finding.scope.clone(), before)), "{finding:?}");
            }
            let key = (finding.scope.clone(), finding.class);
            match finding.turn {
                Turn::Set => _ = self.open.insert(key),
                Turn::Clear => assert!(self.open.remove(&key), "{finding:?}"),
            }
            let of_device = |open: &&(Scope, Class)| open.0 == finding.scope && is_loss(open.1);
            assert!(self.open.iter().filter(of_device).count() <= 1, "{:?}", self.open);
        }
    }
}

/// Whether a class is about readings; these may be told again while they are open.
fn is_of_sensors(class: Class) -> bool {
    use Class::{
        CadenceChanged, NoiseChanged, OutOfRange, RelationBroken, Stuck, TooFast, Unusual, ValueReplay,
    };
    matches!(
        class,
        CadenceChanged | NoiseChanged | OutOfRange | RelationBroken | Stuck | TooFast | Unusual | ValueReplay
    )
}

fn is_loss(class: Class) -> bool {
    use Class::{
        CircuitLoss, DestroyedOrStolen, GatewayLoss, Missing, NetworkLoss, OwnTrouble, PowerLoss, SiteOutage,
        SitePower, Stalled, TheftSuspected,
    };
    let device =
        matches!(class, Missing | PowerLoss | NetworkLoss | Stalled | DestroyedOrStolen | TheftSuspected);
    device || matches!(class, SiteOutage | SitePower | GatewayLoss | CircuitLoss | OwnTrouble)
}

/// Returns the watch as it is after it was written down and read.
fn again(watch: &Watch) -> Watch {
    minicbor_serde::from_slice(&minicbor_serde::to_vec(watch).unwrap()).unwrap()
}

fn run(steps: &[Step]) {
    let (mut watch, mut seen, mut now) = (Watch::new(), Seen::default(), UnixMillis(1_800_000_000_000));
    for (index, (pause, event)) in steps.iter().enumerate() {
        let next = now.plus(*pause);
        pass(&mut watch, &mut seen, now, next);
        now = next;
        watch.handle(now, event);
        if index == steps.len() / 2 {
            watch = again(&watch);
        }
        seen.take(&mut watch);
    }
    // At last all are taken away, and nothing is left open of them.
    for number in 0..8_u8 {
        watch.handle(now, &Event::Removed { device: format!("device-{number}").parse().unwrap() });
    }
    watch.handle(now, &Event::OwnTrouble { is_on: false });
    seen.take(&mut watch);
    pass(&mut watch, &mut seen, now, now.plus(3 * 24 * HOUR));
    assert!(seen.open.is_empty(), "{:?}", seen.open);
}

fn pass(watch: &mut Watch, seen: &mut Seen, from: UnixMillis, to: UnixMillis) {
    let mut now = from;
    let mut calls = 0_u32;
    while let Some(at) = watch.poll_timeout().filter(|at| *at <= to) {
        now = now.max(at);
        watch.handle_timeout(now);
        seen.take(watch);
        calls += 1;
        assert!(calls < 100_000, "the watch does not let time pass");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(32))]

    #[test]
    fn any_events_in_any_order(steps in steps()) {
        run(&steps);
    }

    #[test]
    fn any_events_among_devices_that_talk_by_the_clock(steps in lively()) {
        run(&steps);
    }
}
