//! Whatever happens to devices, in whatever order: who they are and where they are is judged without a panic, and within bounds.

mod story;

use keyward_ids::DeviceId;
use keyward_watch::event::{
    Claims, Connection, End, Event, Fence, Heartbeat, Message, Place, Position, Proof, Ratchet, Reset, Scope,
    Source, UnixMillis,
};
use keyward_watch::finding::{Class, Turn};
use keyward_watch::{Watch, limits};
use proptest::prelude::*;
use std::collections::BTreeSet;
use story::is_ours;

/// Numbers as devices send them: few, so that they meet again, and the ends of what there is.
fn number() -> impl Strategy<Value = u64> {
    prop_oneof![6 => 0..6_u64, 1 => Just(u64::MAX), 1 => any::<u64>()]
}

fn source() -> impl Strategy<Value = Source> {
    (number(), number(), number(), any::<(i16, i16)>()).prop_map(|(network, fingerprint, other, location)| {
        Source {
            network,
            fingerprint,
            system: (other % 3 > 0).then_some(other as u32),
            country: (other % 5 > 0).then_some([other as u8; 2]),
            location: (other % 2 > 0).then_some(location),
        }
    })
}

fn connection() -> impl Strategy<Value = Connection> {
    (number(), source()).prop_map(|(link, source)| Connection { link, source, keep_alive_secs: 60 })
}

fn place() -> impl Strategy<Value = Place> {
    any::<(bool, i32, i32, u32)>().prop_map(|(is_fenced, latitude, longitude, radius_m)| Place {
        fence: is_fenced.then_some(Fence { middle: Position { latitude, longitude }, radius_m }),
        ..Place::default()
    })
}

fn heartbeat() -> impl Strategy<Value = Heartbeat> {
    let reset = prop::sample::select(vec![Reset::Unknown, Reset::PowerOn, Reset::Software]);
    (number(), number(), reset).prop_map(|(uptime_secs, boot_count, reset)| Heartbeat {
        uptime_secs,
        boot_count,
        reset,
        ..Heartbeat::default()
    })
}

fn event() -> impl Strategy<Value = Event> {
    let device =
        || (0..3_u8).prop_map(|n| DeviceId::parse(&format!("d{n}")).ok()).prop_filter_map("a name", |id| id);
    let end =
        prop::sample::select(vec![End::Disconnect, End::Closed, End::KeepAlive, End::TakenOver, End::Server]);
    let ratchet = prop::sample::select(vec![Ratchet::Current, Ratchet::Stale, Ratchet::Empty]);
    let proof = prop_oneof![
        Just(Proof::Equivocation),
        Just(Proof::NumberBehind),
        number().prop_map(|message| Proof::Replay { message }),
        Just(Proof::BadSignature),
    ];
    prop_oneof![
        3 => (device(), place()).prop_map(|(device, place)| Event::Registered { device, place }),
        1 => device().prop_map(|device| Event::Removed { device }),
        6 => (device(), connection()).prop_map(|(device, connection)| Event::Connected { device, connection }),
        3 => (device(), number(), ratchet).prop_map(|(device, link, ratchet)| Event::Ratcheted { device, link, ratchet }),
        4 => (device(), number(), end).prop_map(|(device, link, end)| Event::Disconnected { device, link, end }),
        6 => (device(), number(), number(), number(), number(), 0..4_u8).prop_map(
            |(device, key, epoch, count, made, key_level)| {
                let claims = Claims { key, epoch: epoch as u32, count, made: UnixMillis(made), key_level };
                Event::Message { device, message: Message { claims: Some(claims) } }
            }
        ),
        4 => (device(), heartbeat()).prop_map(|(device, heartbeat)| {
            Event::Heartbeat { device, heartbeat, verified: true }
        }),
        2 => (device(), any::<(i32, i32)>()).prop_map(|(device, (latitude, longitude))| {
            Event::Fix { device, position: Position { latitude, longitude }, verified: true }
        }),
        2 => (device(), ".{0,300}").prop_map(|(device, input)| {
            Event::Tamper { device, input: input.into(), verified: false }
        }),
        4 => (device(), proof).prop_map(|(device, proof)| Event::Proof { device, proof }),
        1 => device().prop_map(|device| Event::MovedOnPurpose { device }),
        1 => number().prop_map(|until| Event::Maintenance { scope: Scope::Everything, until: UnixMillis(until) }),
    ]
}

proptest! {
    #[test]
    fn any_events_in_any_order(events in prop::collection::vec((number(), event()), 0..200)) {
        let mut watch = Watch::new();
        let mut now = UnixMillis(0);
        let mut open = BTreeSet::new();
        for (pause, event) in events {
            // Hours, milliseconds, and times that go back.
            now = UnixMillis(if pause > 6 { pause / 2 } else { now.0.saturating_add(pause * pause * pause * 100_000) });
            if pause % 2 == 0 {
                watch.handle_timeout(now);
            }
            watch.handle(now, &event);
            while let Some(finding) = watch.poll_finding() {
                prop_assert!((1..=limits::EVIDENCE).contains(&finding.evidence.len()), "{finding:?}");
                prop_assert!(finding.evidence.iter().all(|seen| seen.what.len() <= limits::EVIDENCE_BYTES));
                let place: (Scope, Class) = (finding.scope, finding.class);
                match finding.turn {
                    _ if !is_ours(place.1) => {}
                    Turn::Set => drop(open.insert(place)),
                    Turn::Clear => prop_assert!(open.remove(&place), "{place:?} is over and did not begin"),
                }
            }
            if let Event::Removed { device } = &event {
                open.retain(|(scope, _)| *scope != Scope::Device(device.clone()));
            }
        }
    }
}
