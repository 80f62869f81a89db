//! Wills: when they are published, and when not.

use crate::peer::{Got, Peer, hello, hello5};
use crate::world::{World, in_every_world, in_every_world_and_version, rule};
use keyward_broker::{CloseCause, DeniedAction, Notice, Standing};
use keyward_mqtt::packet::Version;
use keyward_mqtt::reason::ReasonCode;

fn reader(w: &mut World) -> Peer {
    let app = w.connect(hello5("user:app", "app"));
    w.subscribe(app, "#");
    app
}

#[test]
fn a_lost_link_fires_the_will_and_a_goodbye_does_not() {
    in_every_world_and_version(|w, version| {
        let app = reader(w);
        let will = |w: &mut World| w.connect(hello(version, "device:pump", "pump").will("pump/gone", "gone"));
        let pump = will(w);
        w.disconnect(pump);
        assert_eq!(w.payloads(app), Vec::<String>::new());
        let pump = will(w);
        w.lose(pump);
        assert_eq!(w.payloads(app), ["gone"]);
    });
}

#[test]
fn a_client_may_ask_for_its_will_when_it_says_goodbye() {
    in_every_world(|w| {
        let app = reader(w);
        let pump = w.connect(hello5("device:pump", "pump").will("pump/gone", "gone"));
        w.disconnect_with(pump, ReasonCode::DisconnectWithWill, None);
        assert_eq!(w.payloads(app), ["gone"]);
    });
}

#[test]
fn a_breach_of_the_protocol_fires_the_will() {
    in_every_world_and_version(|w, version| {
        let app = reader(w);
        let pump = w.connect(hello(version, "device:pump", "pump").silent().will("pump/gone", "gone"));
        w.publish(pump, crate::peer::letter("pump/a", "x").qos2(1));
        w.got(app);
        w.slow_store();
        w.publish(pump, crate::peer::letter("pump/a", "y").qos2(2));
        w.pubrel(pump, 2);
        assert_eq!(w.closed(pump), Some(CloseCause::Violation(ReasonCode::ProtocolError)));
        assert_eq!(w.payloads(app), ["gone"]);
    });
}

#[test]
fn a_will_is_authorised_when_it_is_left() {
    in_every_world_and_version(|w, version| {
        let pump = w.try_connect(hello(version, "device:pump", "pump").will("lamp/gone", "not mine"));
        assert_eq!(w.closed(pump), Some(CloseCause::Refused(ReasonCode::NotAuthorized)));
        assert!(matches!(w.got(pump)[..], [Got::ConnAck { reason: ReasonCode::NotAuthorized, .. }]));
        assert_eq!((w.denials[0].action, &*w.denials[0].topic), (DeniedAction::Will, "lamp/gone"));
    });
}

#[test]
fn a_will_is_authorised_again_when_it_is_published() {
    in_every_world_and_version(|w, version| {
        let app = reader(w);
        let pump = w.connect(hello(version, "device:pump", "pump").will("pump/gone", "gone"));
        let denied = rule("device:pump", "deny", &["publish"], &["pump/gone"]);
        w.rules(&(crate::world::app_may_everything() + &denied));
        w.lose(pump);
        assert_eq!(w.payloads(app), Vec::<String>::new());
        assert_eq!(w.denials[0].action, DeniedAction::Will);
    });
}

#[test]
fn the_will_of_a_revoked_or_disabled_identity_is_not_published() {
    in_every_world_and_version(|w, version| {
        let app = reader(w);
        for standing in [
            Standing::Disabled,
            Standing::Removed,
            Standing::Revoked { keep_messages: true, publish_will: false },
        ] {
            w.set("device:pump", 1, Standing::Active);
            let pump = w.connect(hello(version, "device:pump", "pump").will("pump/gone", "gone"));
            w.set("device:pump", 1, standing);
            assert!(!w.is_open(pump));
            w.pass(10);
            assert_eq!(w.payloads(app), Vec::<String>::new(), "{standing:?}");
        }
        assert_eq!(w.notices.iter().filter(|n| matches!(n, Notice::WillWithheld { .. })).count(), 3);
    });
}

#[test]
fn a_revoked_will_is_published_if_the_operator_says_so() {
    in_every_world_and_version(|w, version| {
        let app = reader(w);
        let _pump = w.connect(hello(version, "device:pump", "pump").will("pump/gone", "gone"));
        w.set("device:pump", 1, Standing::Revoked { keep_messages: false, publish_will: true });
        assert_eq!(w.payloads(app), ["gone"]);
    });
}

#[test]
fn a_delayed_will_is_published_when_its_time_has_come() {
    in_every_world(|w| {
        let app = reader(w);
        let pump = w.connect(hello5("device:pump", "pump").will("pump/gone", "gone").will_delay(30));
        w.lose(pump);
        w.pass(29);
        assert_eq!(w.payloads(app), Vec::<String>::new());
        w.pass(1);
        assert_eq!(w.payloads(app), ["gone"]);
        w.pass(10_000);
        assert_eq!(w.payloads(app), Vec::<String>::new(), "it is published once");
    });
}

#[test]
fn who_is_back_in_time_is_not_mourned() {
    in_every_world(|w| {
        let app = reader(w);
        let pump = w.connect(hello5("device:pump", "pump").will("pump/gone", "gone").will_delay(30));
        w.lose(pump);
        w.pass(20);
        let _pump = w.connect(hello5("device:pump", "pump"));
        w.pass(60);
        assert_eq!(w.payloads(app), Vec::<String>::new());
    });
}

#[test]
fn the_end_of_the_session_cuts_the_delay_short() {
    in_every_world(|w| {
        let app = reader(w);
        let hello =
            |expiry| hello5("device:pump", "pump").expiry(expiry).will("pump/gone", "gone").will_delay(300);
        for expiry in [0, 10] {
            let pump = w.connect(hello(expiry));
            w.lose(pump);
            w.pass(u64::from(expiry));
            assert_eq!(w.payloads(app), ["gone"], "{expiry}");
        }
    });
}

#[test]
fn a_retained_will_is_found_later() {
    in_every_world_and_version(|w, version| {
        let pump = w.connect(hello(version, "device:pump", "pump").retained_will("pump/status", "offline"));
        w.lose(pump);
        let app = w.connect(hello(Version::V5, "user:app", "app"));
        w.subscribe(app, "+/status");
        assert_eq!(w.payloads(app), ["offline"]);
    });
}
