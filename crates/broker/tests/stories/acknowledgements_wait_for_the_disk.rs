//! Rule 14: what leaves only after it is durable, and in which order.

use crate::peer::{Got, at, hello, hello5, letter};
use crate::world::{in_every_world, in_every_world_and_version};
use keyward_mqtt::packet::Qos;
use keyward_mqtt::reason::ReasonCode;

#[test]
fn a_puback_waits_if_a_stored_session_has_the_message() {
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app"));
        w.subscribe(app, "pump/stored");
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.got(pump);
        w.slow_store();
        w.publish(pump, letter("pump/nobody", "x").qos1(1));
        assert!(matches!(w.got(pump)[..], [Got::PubAck(1, ..)]), "nothing is stored, nothing waits");
        w.publish(pump, letter("pump/stored", "x").qos1(2));
        w.publish(pump, letter("pump/nobody", "x").qos1(3));
        assert_eq!(w.got(pump), [], "the third waits behind the second");
        assert_eq!(w.messages(app).len(), 1, "QoS 1 goes on at once");
        w.store();
        assert!(matches!(w.got(pump)[..], [Got::PubAck(2, ..), Got::PubAck(3, ..)]));
    });
}

#[test]
fn a_qos_2_message_goes_to_nobody_and_has_no_pubrec_before_it_is_durable() {
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app").clean());
        w.subscribe(app, "#");
        let pump = w.connect(hello(version, "device:pump", "pump").silent());
        w.got(pump);
        w.slow_store();
        w.publish(pump, letter("pump/a", "x").qos2(1));
        assert_eq!((w.messages(app), w.got(pump)), (vec![], vec![]));
        w.store();
        assert_eq!(w.messages(app).len(), 1);
        assert_eq!(w.got(pump), [Got::PubRec(1, ReasonCode::Success)]);
    });
}

/// The simulated world found that the PUBREC of the older message answered the newer one too, which was then lost.
#[test]
fn a_client_that_lost_its_memory_may_use_an_id_again_whose_message_waits_for_the_disk() {
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app").clean());
        w.subscribe(app, "#");
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.slow_store();
        w.publish(pump, letter("pump/a", "older").qos2(1));
        w.lose(pump);
        let pump = w.begin_connect(hello(version, "device:pump", "pump"));
        w.settle();
        w.publish(pump, letter("pump/a", "newer").qos2(1));
        w.publish(pump, letter("pump/a", "newer").qos2(1).dup());
        w.store();
        assert_eq!(w.payloads(app), ["older", "newer"]);
        let recs = w.got(pump).into_iter().filter(|got| matches!(got, Got::PubRec(1, _))).count();
        assert_eq!(recs, 2);
    });
}

/// The simulated world found that one which is not retained went on at once.
#[test]
fn a_qos_2_message_does_not_overtake_one_that_waits_for_the_disk() {
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump").expiry(0));
        let app = w.connect(hello5("user:app", "app").expiry(0));
        w.subscribe(app, "pump/a");
        w.slow_store();
        w.publish(pump, letter("pump/a", "first").qos2(1).retained());
        w.publish(pump, letter("pump/a", "second").qos2(2));
        w.store();
        assert_eq!(w.payloads(app), ["first", "second"]);
    });
}

#[test]
fn a_retained_message_is_acknowledged_when_it_is_durable() {
    in_every_world_and_version(|w, version| {
        let pump = w.connect(hello(version, "device:pump", "pump").clean());
        w.got(pump);
        w.slow_store();
        w.publish(pump, letter("pump/a", "x").qos1(1).retained());
        assert_eq!(w.got(pump), []);
        w.store();
        assert!(matches!(w.got(pump)[..], [Got::PubAck(1, ..)]));
    });
}

#[test]
fn subscriptions_of_a_stored_session_are_confirmed_when_they_are_durable() {
    in_every_world(|w| {
        for (hello, waits) in
            [(hello5("user:app", "stored"), true), (hello5("user:app", "short").expiry(0), false)]
        {
            let app = w.connect(hello);
            w.got(app);
            w.slow_store();
            w.subscribe_only(app, 1, "#", at(Qos::AtMostOnce), None);
            w.settle();
            assert_eq!(w.got(app).is_empty(), waits);
            w.store();
            assert_eq!(w.got(app).len(), usize::from(waits));
            w.unsubscribe(app, "#");
            assert_eq!(w.got(app).is_empty(), waits);
            w.store();
        }
    });
}

#[test]
fn nothing_goes_before_a_connack_that_waits() {
    in_every_world_and_version(|w, version| {
        w.leave_behind(hello(version, "device:pump", "pump"), "pump/#");
        w.slow_store();
        let app = w.connect(hello(version, "user:app", "app"));
        w.publish(app, letter("pump/a", "kept").qos1(1));
        let pump = w.try_connect(hello(version, "device:pump", "pump").retained_will("pump/gone", "x"));
        w.publish(app, letter("pump/a", "live").qos1(2));
        w.publish(app, letter("pump/a", "QoS 0 waits for nobody"));
        assert_eq!(w.got(pump), []);
        w.store();
        let got = w.got(pump);
        assert!(matches!(&got[..], [Got::ConnAck { .. }, Got::Message(_), Got::Message(_)]), "{got:?}");
    });
}

#[test]
fn a_qos_2_message_repeated_over_a_new_link_while_it_waits_is_answered() {
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app"));
        w.subscribe(app, "#");
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.slow_store();
        w.publish(pump, letter("pump/a", "x").qos2(1));
        w.lose(pump);
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.got(pump);
        w.publish(pump, letter("pump/a", "x").qos2(1).dup());
        assert_eq!(w.got(pump), []);
        w.store();
        assert_eq!(w.got(pump)[0], Got::PubRec(1, ReasonCode::Success));
        assert_eq!(w.payloads(app), ["x"]);
    });
}
