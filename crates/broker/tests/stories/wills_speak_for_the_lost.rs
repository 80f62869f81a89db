//! Wills: when they are published, and when not.

use crate::peer::{Got, Peer, hello, hello5};
use crate::world::{World, app_may_everything, in_every_world, in_every_world_and_version, rule};
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
        let hello = || hello(version, "device:pump", "pump").will("pump/gone", "gone");
        for hello in [hello(), hello().clean().expiry(0)] {
            let pump = w.connect(hello.clone());
            w.disconnect(pump);
            assert_eq!(w.payloads(app), Vec::<String>::new());
            let pump = w.connect(hello);
            w.lose(pump);
            assert_eq!(w.payloads(app), ["gone"]);
        }
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
        w.rules(&(app_may_everything() + &denied));
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
        let pump = w.connect(hello5("device:pump", "pump").will("pump/gone", "gone later"));
        w.pass(60);
        assert_eq!(
            w.payloads(app),
            Vec::<String>::new(),
            "neither the old will nor, at its time, the new one"
        );
        w.lose(pump);
        assert_eq!(w.payloads(app), ["gone later"]);
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

// A delayed will whose owner is lost, and what may come before it is due.

/// Loses a pump that left a will of half a minute.
fn lose_a_pump(w: &mut World) {
    let pump = w.connect(hello5("device:pump", "pump").will("pump/gone", "gone").will_delay(30));
    w.lose(pump);
    w.pass(10);
}

fn withheld(w: &World) -> usize {
    w.notices.iter().filter(|notice| matches!(notice, Notice::WillWithheld { .. })).count()
}

#[test]
fn a_clean_start_ends_the_session_and_the_wait_of_its_will() {
    in_every_world(|w| {
        let app = reader(w);
        lose_a_pump(w);
        let pump = w.connect(hello5("device:pump", "pump").clean());
        assert_eq!(w.payloads(app), ["gone"], "[MQTT-3.1.2-8]: the session has ended");
        w.lose(pump);
        w.pass(100);
        assert_eq!(w.payloads(app), [""; 0], "it is published once");
    });
}

#[test]
fn a_delayed_will_of_a_disabled_owner_is_withheld_unless_it_is_enabled_before_it_is_due() {
    in_every_world(|w| {
        let app = reader(w);
        for (enabled, expected) in [(true, vec!["gone"]), (false, vec![])] {
            lose_a_pump(w);
            w.set("device:pump", 1, Standing::Disabled);
            w.pass(10);
            if enabled {
                w.set("device:pump", 1, Standing::Active);
            }
            assert_eq!(w.payloads(app), [""; 0], "it is not due");
            w.pass(10);
            assert_eq!(w.payloads(app), expected);
            assert_eq!(withheld(w), usize::from(!enabled));
        }
        w.set("device:pump", 1, Standing::Active);
        w.pass(100);
        assert_eq!(w.payloads(app), [""; 0], "what was withheld is gone");
    });
}

#[test]
fn a_disabled_link_leaves_its_delayed_will_behind_as_a_lost_one_does() {
    in_every_world(|w| {
        let app = reader(w);
        let pump = w.connect(hello5("device:pump", "pump").will("pump/gone", "gone").will_delay(30));
        w.set("device:pump", 1, Standing::Disabled);
        assert!(!w.is_open(pump));
        w.pass(29);
        w.set("device:pump", 1, Standing::Active);
        assert_eq!(w.payloads(app), [""; 0]);
        w.pass(1);
        assert_eq!(w.payloads(app), ["gone"]);
    });
}

#[test]
fn a_revocation_ends_the_wait_of_a_will_as_the_operator_says() {
    in_every_world(|w| {
        let app = reader(w);
        for (publish_will, expected) in [(true, vec!["gone"]), (false, vec![])] {
            w.set("device:pump", 1, Standing::Active);
            lose_a_pump(w);
            w.set("device:pump", 1, Standing::Revoked { keep_messages: false, publish_will });
            assert_eq!(w.payloads(app), expected, "now, for its session has ended");
            assert_eq!(withheld(w), usize::from(!publish_will));
            w.set("device:pump", 1, Standing::Active);
            w.pass(100);
            assert_eq!(w.payloads(app), [""; 0], "and no second time");
        }
    });
}

#[test]
fn a_delayed_will_is_decided_by_the_rules_of_the_moment_when_it_is_due() {
    in_every_world(|w| {
        let app = reader(w);
        let denying = app_may_everything() + &rule("device:pump", "deny", &["publish"], &["pump/gone"]);
        for (allowed_again, expected) in [(true, vec!["gone"]), (false, vec![])] {
            lose_a_pump(w);
            w.rules(&denying);
            w.pass(10);
            if allowed_again {
                w.rules(&app_may_everything());
            }
            w.pass(10);
            assert_eq!(w.payloads(app), expected);
            assert_eq!(w.denials.len(), usize::from(!allowed_again));
        }
        assert_eq!((w.denials[0].action, &*w.denials[0].topic), (DeniedAction::Will, "pump/gone"));
        w.rules(&app_may_everything());
        w.pass(100);
        assert_eq!(w.payloads(app), [""; 0], "what was withheld is gone");
    });
}

#[test]
fn who_comes_back_and_is_lost_again_is_mourned_after_a_whole_delay_of_the_new_will() {
    in_every_world(|w| {
        let app = reader(w);
        // The older link is lost, or taken over while it is up.
        for is_lost in [true, false] {
            let hello = |text| hello5("device:pump", "pump").will("pump/gone", text).will_delay(30);
            let first = w.connect(hello("first"));
            if is_lost {
                w.lose(first);
            }
            w.pass(20);
            let second = w.connect(hello("second"));
            w.pass(5);
            w.lose(second);
            w.pass(29);
            assert_eq!(
                w.payloads(app),
                [""; 0],
                "the time of the first will is over, not that of the second"
            );
            w.pass(1);
            assert_eq!(w.payloads(app), ["second"]);
        }
    });
}
