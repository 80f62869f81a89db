//! Rule 5: two links of one session; the later wins.

use crate::peer::{Got, hello, hello5, letter};
use crate::world::{in_every_world, in_every_world_and_version};
use keyward_broker::CloseCause;
use keyward_mqtt::packet::Version;
use keyward_mqtt::reason::ReasonCode;

#[test]
fn the_older_link_is_told_and_closed() {
    in_every_world_and_version(|w, version| {
        let first = w.connect(hello(version, "device:pump", "pump"));
        w.got(first);
        let second = w.connect(hello(version, "device:pump", "pump"));
        assert_eq!(w.closed(first), Some(CloseCause::TakenOver));
        let told = match version {
            Version::V31 | Version::V311 => vec![],
            Version::V5 => vec![Got::Disconnect(ReasonCode::SessionTakenOver)],
        };
        assert_eq!(w.got(first), told);
        let told = version != Version::V31;
        assert!(matches!(w.got(second)[0], Got::ConnAck { session_present, .. } if session_present == told));
    });
}

#[test]
fn waiting_acknowledgements_of_the_older_link_are_dropped() {
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app"));
        w.subscribe(app, "#");
        w.slow_store();
        let first = w.connect(hello(version, "device:pump", "pump"));
        w.got(first);
        w.publish(first, letter("pump/a", "a").qos1(7));
        assert_eq!(w.got(first), []);
        let second = w.connect(hello(version, "device:pump", "pump"));
        w.store();
        assert!(!w.got(first).iter().any(|got| matches!(got, Got::PubAck(..))));
        let got = w.got(second);
        assert!(matches!(&got[..], [Got::ConnAck { .. }]), "{got:?}");
    });
}

#[test]
fn a_packet_of_the_older_link_is_ignored_after_the_takeover() {
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app"));
        w.subscribe(app, "#");
        let first = w.connect(hello(version, "device:pump", "pump"));
        let _second = w.connect(hello(version, "device:pump", "pump"));
        w.publish(first, letter("pump/a", "late"));
        w.lose(first);
        assert_eq!(w.payloads(app), Vec::<String>::new());
    });
}

#[test]
fn of_two_connects_at_once_the_later_wins() {
    in_every_world(|w| {
        let first = w.begin_connect(hello5("device:pump", "pump"));
        let second = w.begin_connect(hello5("device:pump", "pump"));
        w.settle();
        assert!(!w.is_open(first) && w.is_open(second));
    });
}

#[test]
fn the_will_of_the_older_link_comes_before_the_new_connack() {
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app"));
        w.subscribe(app, "#");
        let _first = w.connect(hello(version, "device:pump", "pump").will("pump/gone", "gone"));
        let _second = w.connect(hello(version, "device:pump", "pump"));
        assert_eq!(w.payloads(app), ["gone"]);
    });
}

#[test]
fn a_delayed_will_is_dropped_by_a_takeover_that_resumes() {
    in_every_world(|w| {
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe(app, "#");
        let will = |hello: crate::peer::Hello| hello.will("pump/gone", "gone").will_delay(30);
        let first = w.connect(will(hello5("device:pump", "pump")));
        let second = w.connect(hello5("device:pump", "pump"));
        w.pass(60);
        assert!(!w.is_open(first) && w.is_open(second));
        assert_eq!(w.payloads(app), Vec::<String>::new());
    });
}

#[test]
fn a_delayed_will_is_fired_by_a_takeover_that_ends_the_session() {
    in_every_world(|w| {
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe(app, "#");
        let _first = w.connect(hello5("device:pump", "pump").will("pump/gone", "gone").will_delay(30));
        let _second = w.connect(hello5("device:pump", "pump").clean());
        assert_eq!(w.payloads(app), ["gone"]);
    });
}

#[test]
fn a_refused_connect_takes_nothing_over() {
    in_every_world(|w| {
        let first = w.connect(hello5("device:pump", "pump"));
        let second = w.try_connect(hello5("device:pump", "pump").will("lamp/x", "not mine"));
        assert_eq!(w.closed(second), Some(CloseCause::Refused(ReasonCode::NotAuthorized)));
        assert!(w.is_open(first));
    });
}
