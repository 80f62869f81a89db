//! Rule 14: what leaves only after it is durable, and in which order.

use crate::peer::{Got, at, hello, hello5, letter};
use crate::world::{in_every_world, in_every_world_and_version};
use keyward_broker::{CloseCause, CommitOutcome};
use keyward_mqtt::packet::{Qos, Version};
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
        w.store(CommitOutcome::Durable);
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
        w.store(CommitOutcome::Durable);
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
        w.store(CommitOutcome::Durable);
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
        w.store(CommitOutcome::Durable);
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
        w.store(CommitOutcome::Durable);
        assert!(matches!(w.got(pump)[..], [Got::PubAck(1, ..)]));
    });
}

#[test]
fn without_room_the_publisher_is_told_or_closed() {
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app"));
        w.subscribe(app, "#");
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.got(pump);
        w.slow_store();
        w.publish(pump, letter("pump/a", "x").qos1(1));
        w.publish(pump, letter("pump/a", "y").qos2(2));
        w.store(CommitOutcome::NoRoom);
        match version {
            Version::V31 | Version::V311 => {
                assert_eq!(w.closed(pump), Some(CloseCause::NoRoom));
                assert_eq!(w.got(pump), [], "what was not stored was acknowledged");
            }
            Version::V5 => {
                let got = w.got(pump);
                assert!(
                    matches!(
                        got[..],
                        [
                            Got::PubAck(1, ReasonCode::QuotaExceeded, _),
                            Got::PubRec(2, ReasonCode::QuotaExceeded)
                        ]
                    ),
                    "{got:?}"
                );
                w.publish(pump, letter("pump/a", "y").qos2(2));
                w.store(CommitOutcome::Durable);
                assert!(w.payloads(app).contains(&"y".to_owned()), "the packet id was free again");
            }
        }
    });
}

#[test]
fn a_subscription_that_could_not_be_stored_is_none_and_what_it_replaced_holds_again() {
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump"));
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe_with(app, "pump/old", at(Qos::AtLeastOnce), None);
        w.slow_store();
        w.subscribe_only(app, 1, "pump/new", at(Qos::AtLeastOnce), None);
        w.subscribe_only(app, 2, "pump/old", at(Qos::AtMostOnce), None);
        w.subscribe_only(app, 3, "pump/new", at(Qos::AtMostOnce), None);
        w.settle();
        w.store(CommitOutcome::NoRoom);
        let refused =
            |got: &Got| matches!(got, Got::SubAck(_, reasons) if *reasons == [ReasonCode::QuotaExceeded]);
        assert_eq!(w.got(app).iter().filter(|got| refused(got)).count(), 3);
        assert_eq!(w.stats().subscriptions, 1);
        w.publish(pump, letter("pump/new", "x").qos1(1));
        w.publish(pump, letter("pump/old", "y").qos1(2));
        w.store(CommitOutcome::Durable);
        let messages = w.messages(app);
        assert_eq!(messages.len(), 1);
        assert_eq!((&*messages[0].payload, messages[0].qos), (&b"y"[..], Qos::AtLeastOnce));
    });
}

#[test]
fn a_subscription_that_a_later_one_replaced_falls_without_it() {
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump"));
        let app = w.connect(hello5("user:app", "app"));
        w.slow_store();
        w.subscribe_only(app, 1, "pump/a", at(Qos::AtMostOnce), None);
        let first = w.take_unstored();
        w.subscribe_only(app, 2, "pump/a", at(Qos::AtLeastOnce), None);
        w.answer_tickets(first, CommitOutcome::NoRoom);
        w.store(CommitOutcome::Durable);
        w.publish(pump, letter("pump/a", "x").qos1(1));
        w.store(CommitOutcome::Durable);
        assert_eq!(w.messages(app).len(), 1);
        w.unsubscribe(app, "pump/a");
        w.store(CommitOutcome::Durable);
        assert_eq!(w.stats().subscriptions, 0);
    });
}

/// The simulated world found that a subscription which had been confirmed was taken back with one that it had replaced.
#[test]
fn a_subscription_that_need_not_be_stored_stands_though_the_one_that_it_replaced_could_not_be() {
    in_every_world(|w| {
        let app = w.connect(hello5("user:app", "app"));
        w.got(app);
        w.slow_store();
        w.subscribe_only(app, 1, "pump/#", at(Qos::AtMostOnce), None);
        let app = w.connect(hello5("user:app", "app").expiry(0));
        w.subscribe_only(app, 1, "pump/#", at(Qos::AtMostOnce), None);
        w.settle();
        assert!(w.got(app).iter().any(|got| matches!(got, Got::SubAck(..))));
        w.store(CommitOutcome::NoRoom);
        let pump = w.connect(hello5("device:pump", "pump").expiry(0));
        w.publish(pump, letter("pump/a", "x"));
        assert_eq!(w.payloads(app), ["x"]);
    });
}

#[test]
fn a_subscription_that_was_given_up_does_not_come_back() {
    in_every_world(|w| {
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe(app, "pump/#");
        w.slow_store();
        w.subscribe_only(app, 2, "pump/#", at(Qos::AtLeastOnce), None);
        let first = w.take_unstored();
        w.unsubscribe(app, "pump/#");
        w.subscribe_only(app, 3, "pump/#", at(Qos::AtLeastOnce), None);
        w.answer_tickets(first, CommitOutcome::NoRoom);
        w.store(CommitOutcome::NoRoom);
        assert_eq!(w.stats().subscriptions, 0);
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
            w.subscribe_only(app, 1, "#", crate::peer::at(keyward_mqtt::packet::Qos::AtMostOnce), None);
            w.settle();
            assert_eq!(w.got(app).is_empty(), waits);
            w.store(CommitOutcome::Durable);
            assert_eq!(w.got(app).len(), usize::from(waits));
            w.unsubscribe(app, "#");
            assert_eq!(w.got(app).is_empty(), waits);
            w.store(CommitOutcome::Durable);
        }
    });
}

#[test]
fn nothing_goes_before_a_connack_that_waits() {
    in_every_world_and_version(|w, version| {
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.subscribe(pump, "pump/#");
        w.lose(pump);
        w.slow_store();
        let app = w.connect(hello(version, "user:app", "app"));
        w.publish(app, letter("pump/a", "kept").qos1(1));
        let pump = w.try_connect(hello(version, "device:pump", "pump").retained_will("pump/gone", "x"));
        w.publish(app, letter("pump/a", "live").qos1(2));
        w.publish(app, letter("pump/a", "QoS 0 waits for nobody"));
        assert_eq!(w.got(pump), []);
        w.store(CommitOutcome::Durable);
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
        w.store(CommitOutcome::Durable);
        assert_eq!(w.got(pump)[0], Got::PubRec(1, ReasonCode::Success));
        assert_eq!(w.payloads(app), ["x"]);
    });
}
