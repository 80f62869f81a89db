//! Clean start, session expiry, and what CONNACK says of them.

use crate::peer::{Got, hello, hello5, letter};
use crate::world::{in_every_world, in_every_world_and_version, in_every_world_with};
use keyward_broker::{CloseCause, Limits};
use keyward_mqtt::packet::Version;
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::time::Millis;

fn present(got: &[Got]) -> bool {
    matches!(got.first(), Some(Got::ConnAck { session_present: true, .. }))
}

#[test]
fn a_session_is_resumed_with_its_subscriptions() {
    in_every_world_and_version(|w, version| {
        let pump = w.connect(hello(version, "device:pump", "pump"));
        assert!(!present(&w.got(pump)));
        w.subscribe(pump, "pump/#");
        w.disconnect(pump);
        assert_eq!(w.closed(pump), Some(CloseCause::Disconnected));
        let pump = w.connect(hello(version, "device:pump", "pump"));
        assert_eq!(present(&w.got(pump)), version != Version::V31, "3.1 does not tell");
        w.publish(pump, letter("pump/a", "still here"));
        assert_eq!(w.payloads(pump), ["still here"]);
    });
}

#[test]
fn each_client_id_of_an_identity_names_a_session_of_its_own() {
    // [MQTT-3.1.3-2]
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app"));
        let [one, other] = ["one", "other"].map(|client_id| {
            let pump = w.connect(hello(version, "device:pump", client_id));
            assert!(!present(&w.got(pump)), "{client_id}");
            w.subscribe(pump, &format!("pump/{client_id}"));
            pump
        });
        assert!(w.is_open(one) && w.is_open(other));
        w.lose(one);
        for topic in ["pump/one", "pump/other"] {
            w.publish(app, letter(topic, topic).qos1(1));
        }
        assert_eq!(w.payloads(other), ["pump/other"]);
        let one = w.connect(hello(version, "device:pump", "one"));
        assert_eq!(w.payloads(one), ["pump/one"]);
    });
}

#[test]
fn a_clean_start_discards_what_was() {
    in_every_world_and_version(|w, version| {
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.subscribe(pump, "pump/#");
        w.disconnect(pump);
        let app = w.connect(hello(version, "user:app", "app"));
        w.publish(app, letter("pump/a", "old").qos1(1));
        let pump = w.connect(hello(version, "device:pump", "pump").clean());
        assert!(!present(&w.got(pump)));
        w.publish(app, letter("pump/a", "new").qos1(2));
        assert_eq!(w.got(pump), []);
        assert_eq!(w.stats().queued, 0);
    });
}

#[test]
fn a_clean_session_of_3_1_1_ends_with_its_link() {
    in_every_world(|w| {
        w.leave_behind(hello(Version::V311, "device:pump", "pump").clean(), "pump/#");
        assert_eq!(w.stats().sessions, 0);
        assert_eq!(w.stats().subscriptions, 0);
        let pump = w.connect(hello(Version::V311, "device:pump", "pump"));
        assert!(!present(&w.got(pump)));
    });
}

#[test]
fn a_session_of_5_0_ends_when_its_time_has_come() {
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump").expiry(100));
        w.lose(pump);
        w.pass(99);
        assert_eq!(w.stats().sessions, 1);
        let pump = w.connect(hello5("device:pump", "pump").expiry(100));
        assert!(present(&w.got(pump)));
        w.pass(1_000);
        assert_eq!(w.stats().sessions, 1, "no time runs while it is connected");
        w.lose(pump);
        w.pass(100);
        assert_eq!(w.stats().sessions, 0);
    });
}

#[test]
fn a_session_of_5_0_without_expiry_ends_with_its_link() {
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump").expiry(0));
        w.lose(pump);
        assert_eq!(w.stats().sessions, 0);
    });
}

#[test]
fn disconnect_may_change_the_expiry_but_not_from_nothing() {
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump").expiry(100));
        w.subscribe(pump, "pump/#");
        w.disconnect_with(pump, ReasonCode::Success, Some(10));
        w.pass(10);
        assert_eq!(w.stats().sessions, 0);

        let pump = w.connect(hello5("device:pump", "pump").expiry(100));
        w.disconnect_with(pump, ReasonCode::Success, Some(0));
        assert_eq!(w.stats().sessions, 0);

        let pump = w.connect(hello5("device:pump", "pump").expiry(0));
        w.disconnect_with(pump, ReasonCode::Success, Some(10));
        assert_eq!(w.closed(pump), Some(CloseCause::Violation(ReasonCode::ProtocolError)));
    });
}

#[test]
fn no_session_outlives_the_brokers_bound_and_connack_says_so() {
    let limits = Limits { session_expiry: Millis::from_secs(50), ..Limits::default() };
    in_every_world_with(limits, |w| {
        let pump = w.connect(hello5("device:pump", "pump").expiry(u32::MAX));
        assert!(matches!(w.got(pump)[0], Got::ConnAck { expiry: Some(50), .. }));
        let old = w.connect(hello(Version::V311, "device:lamp", "lamp"));
        w.lose(pump);
        w.lose(old);
        w.pass(49);
        assert_eq!(w.stats().sessions, 2);
        w.pass(1);
        assert_eq!(w.stats().sessions, 0);
    });
}

#[test]
fn connack_tells_the_assigned_client_id_and_the_brokers_keep_alive() {
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "auto-1").assigned().keep_alive(0));
        let got = w.got(pump);
        let Got::ConnAck { assigned, keep_alive, shared, .. } = &got[0] else { panic!("{got:?}") };
        assert_eq!((assigned.as_deref(), *keep_alive, *shared), (Some("auto-1"), Some(3_600), Some(true)));
        let lamp = w.connect(hello5("device:lamp", "lamp").keep_alive(30));
        let got = w.got(lamp);
        assert!(matches!(got[0], Got::ConnAck { assigned: None, keep_alive: None, .. }), "{got:?}");
    });
}

#[test]
fn a_client_id_that_is_too_long_is_refused() {
    in_every_world_and_version(|w, version| {
        let pump = w.try_connect(hello(version, "device:pump", &"x".repeat(257)));
        assert_eq!(w.closed(pump), Some(CloseCause::Refused(ReasonCode::ClientIdentifierNotValid)));
    });
}

#[test]
fn an_identity_has_no_more_sessions_than_the_bound() {
    let limits = Limits { sessions_per_identity: 2, ..Limits::default() };
    in_every_world_with(limits, |w| {
        for (client_id, admitted) in [("a", true), ("b", true), ("c", false), ("a", true)] {
            let pump = w.try_connect(hello5("device:pump", client_id));
            assert_eq!(w.is_open(pump), admitted, "{client_id}");
        }
    });
}

#[test]
fn at_the_end_everybody_is_told_and_no_will_is_fired() {
    in_every_world(|w| {
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe(app, "#");
        let pump = w.connect(hello5("device:pump", "pump").will("pump/gone", "gone"));
        w.shut_down();
        for peer in [app, pump] {
            assert_eq!(w.closed(peer), Some(CloseCause::ShuttingDown));
            assert_eq!(w.got(peer).last(), Some(&Got::Disconnect(ReasonCode::ServerShuttingDown)));
        }
        let late = w.try_connect(hello5("device:lamp", "lamp"));
        assert_eq!(w.closed(late), Some(CloseCause::Refused(ReasonCode::ServerUnavailable)));
    });
}
