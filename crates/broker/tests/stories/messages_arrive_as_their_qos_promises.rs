//! QoS 0, 1 and 2 both ways: order, repetition, receive maximum, packet ids.

use crate::peer::{Got, at, hello, hello5, letter};
use crate::world::{in_every_world, in_every_world_and_version, in_every_world_with};
use core::num::NonZeroU16;
use keyward_broker::{CloseCause, Limits};
use keyward_mqtt::packet::{Qos, Version};
use keyward_mqtt::property::{PublishProperties, UserProperties};
use keyward_mqtt::reason::ReasonCode;

#[test]
fn every_qos_arrives_once_and_at_the_lower_of_both() {
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app"));
        let pump = w.connect(hello(version, "device:pump", "pump"));
        let all = [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce];
        for (number, subscribed) in (0..).zip(all) {
            w.subscribe_with(app, &format!("pump/{number}"), at(subscribed), None);
            for published in all {
                w.publish(pump, letter(&format!("pump/{number}"), "x").qos(published, 1));
                let messages = w.messages(app);
                assert_eq!(messages.len(), 1);
                assert_eq!(messages[0].qos, subscribed.min(published));
                assert!(!messages[0].dup);
            }
        }
        assert_eq!(w.stats().queued, 0);
    });
}

#[test]
fn a_publish_is_answered_as_its_qos_says() {
    // [MQTT-3.3.4-1]
    in_every_world_and_version(|w, version| {
        let pump = w.connect(hello(version, "device:pump", "pump").silent());
        w.got(pump);
        w.publish(pump, letter("pump/a", "0"));
        assert_eq!(w.got(pump), []);
        w.publish(pump, letter("pump/a", "1").qos1(7));
        assert_eq!(w.got(pump), [Got::PubAck(7, ReasonCode::Success, None)]);
        w.publish(pump, letter("pump/a", "2").qos2(7));
        assert_eq!(w.got(pump), [Got::PubRec(7, ReasonCode::Success)], "PUBCOMP is for PUBREL");
        w.pubrel(pump, 7);
        assert_eq!(w.got(pump), [Got::PubComp(7, ReasonCode::Success)]);
    });
}

#[test]
fn a_publisher_gets_its_acknowledgements_in_order() {
    in_every_world_and_version(|w, version| {
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.got(pump);
        w.publish(pump, letter("pump/a", "1").qos1(1));
        w.publish(pump, letter("pump/a", "2").qos2(2));
        w.publish(pump, letter("pump/a", "3").qos1(3));
        let codes: Vec<_> = w.got(pump);
        assert!(
            matches!(
                &codes[..],
                [Got::PubAck(1, ..), Got::PubRec(2, _), Got::PubComp(2, _), Got::PubAck(3, ..)]
            ),
            "{codes:?}"
        );
    });
}

#[test]
fn a_repeated_qos_2_message_is_published_once_even_after_a_reconnect() {
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app"));
        w.subscribe(app, "#");
        let pump = w.connect(hello(version, "device:pump", "pump").silent());
        w.publish(pump, letter("pump/a", "once").qos2(5));
        w.publish(pump, letter("pump/a", "once").qos2(5).dup());
        w.lose(pump);
        let pump = w.connect(hello(version, "device:pump", "pump").silent());
        w.got(pump);
        w.publish(pump, letter("pump/a", "once").qos2(5).dup());
        w.pubrel(pump, 5);
        assert_eq!(w.got(pump), [Got::PubRec(5, ReasonCode::Success), Got::PubComp(5, ReasonCode::Success)]);
        assert_eq!(w.payloads(app), ["once"]);
        w.publish(pump, letter("pump/a", "once").qos2(5));
        assert_eq!(w.payloads(app), ["once"], "after PUBREL the id is free for another message");
    });
}

#[test]
fn another_message_under_a_packet_id_in_use_is_refused() {
    in_every_world_and_version(|w, version| {
        let pump = w.connect(hello(version, "device:pump", "pump").silent());
        w.publish(pump, letter("pump/a", "one").qos2(5));
        w.got(pump);
        w.publish(pump, letter("pump/a", "two").qos2(5));
        match version {
            Version::V31 | Version::V311 => {
                assert_eq!(w.closed(pump), Some(CloseCause::Violation(ReasonCode::PacketIdentifierInUse)))
            }
            Version::V5 => {
                assert_eq!(w.got(pump), [Got::PubRec(5, ReasonCode::PacketIdentifierInUse)]);
            }
        }
    });
}

#[test]
fn a_client_that_lost_its_memory_may_use_its_packet_ids_again() {
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app"));
        w.subscribe(app, "#");
        let pump = w.connect(hello(version, "device:pump", "pump").silent());
        w.publish(pump, letter("pump/a", "before").qos2(1));
        w.lose(pump);
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.publish(pump, letter("pump/a", "after").qos2(1));
        assert_eq!(w.payloads(app), ["before", "after"]);
    });
}

#[test]
fn a_pubrel_for_an_unknown_packet_id_is_answered() {
    in_every_world_and_version(|w, version| {
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.got(pump);
        w.pubrel(pump, 9);
        let told = match version {
            Version::V31 | Version::V311 => ReasonCode::Success,
            Version::V5 => ReasonCode::PacketIdentifierNotFound,
        };
        assert_eq!(w.got(pump), [Got::PubComp(9, told)]);
    });
}

#[test]
fn what_was_not_acknowledged_comes_again_in_order_with_dup_and_the_same_packet_ids() {
    in_every_world_and_version(|w, version| {
        let pump = w.connect(hello(version, "device:pump", "pump").silent());
        w.subscribe(pump, "pump/#");
        let app = w.connect(hello(version, "user:app", "app"));
        for number in 1..=4 {
            w.publish(app, letter("pump/a", &number.to_string()).qos(qos_of(number), number));
        }
        let sent = w.messages(pump);
        w.puback(pump, sent[1].id.unwrap());
        w.pubrec(pump, sent[2].id.unwrap());
        assert!(matches!(w.got(pump)[..], [Got::PubRel(..)]));
        w.lose(pump);
        w.publish(app, letter("pump/a", "5").qos1(5));

        let pump = w.connect(hello(version, "device:pump", "pump").silent());
        let got = w.got(pump);
        let Got::Message(first) = &got[1] else { panic!("{got:?}") };
        assert_eq!((&first.payload[..], first.dup, first.id), (&b"1"[..], true, sent[0].id));
        assert_eq!(got[2], Got::PubRel(sent[2].id.unwrap(), ReasonCode::Success));
        let Got::Message(fourth) = &got[3] else { panic!("{got:?}") };
        assert_eq!((&fourth.payload[..], fourth.dup, fourth.id), (&b"4"[..], true, sent[3].id));
        let Got::Message(fifth) = &got[4] else { panic!("{got:?}") };
        assert_eq!((&fifth.payload[..], fifth.dup), (&b"5"[..], false));
        assert_eq!(got.len(), 5);
    });
}

fn qos_of(number: u16) -> Qos {
    if number == 3 { Qos::ExactlyOnce } else { Qos::AtLeastOnce }
}

#[test]
fn no_more_messages_are_under_way_than_the_client_takes() {
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump").receive_maximum(2).silent());
        w.subscribe(pump, "pump/#");
        let app = w.connect(hello5("user:app", "app"));
        for number in 1..=5_u16 {
            w.publish(app, letter("pump/a", &number.to_string()).qos(qos_of(number), number));
        }
        let sent = w.messages(pump);
        assert_eq!(sent.len(), 2);
        w.puback(pump, sent[0].id.unwrap());
        let third = w.messages(pump);
        assert_eq!(third.len(), 1);
        w.pubrec(pump, third[0].id.unwrap());
        assert_eq!(w.messages(pump).len(), 0, "PUBREC gives no place back");
        w.pubcomp(pump, third[0].id.unwrap());
        assert_eq!(w.payloads(pump), ["4"]);
        w.lose(pump);

        let pump = w.connect(hello5("device:pump", "pump").receive_maximum(1).silent());
        assert_eq!(w.payloads(pump), ["2"], "it holds for repetitions too");
    });
}

#[test]
fn who_sends_more_than_our_receive_maximum_is_closed() {
    let limits = Limits { receive_maximum: NonZeroU16::new(2).unwrap(), ..Limits::default() };
    in_every_world_with(limits, |w| {
        let pump = w.connect(hello5("device:pump", "pump").silent());
        assert!(matches!(w.got(pump)[0], Got::ConnAck { receive_maximum: Some(2), .. }));
        for number in 1..=3 {
            w.publish(pump, letter("pump/a", &number.to_string()).qos2(number));
        }
        assert_eq!(w.closed(pump), Some(CloseCause::Violation(ReasonCode::ReceiveMaximumExceeded)));
        assert_eq!(w.got(pump).last(), Some(&Got::Disconnect(ReasonCode::ReceiveMaximumExceeded)));
    });
}

#[test]
fn more_of_qos_1_than_our_receive_maximum_is_no_better() {
    let limits = Limits { receive_maximum: NonZeroU16::new(2).unwrap(), ..Limits::default() };
    in_every_world_with(limits, |w| {
        let pump = w.connect(hello5("device:pump", "pump"));
        w.slow_store();
        // Retained, so that their acknowledgements wait for the disk.
        for number in 1..=2 {
            w.publish(pump, letter("pump/a", "x").qos1(number).retained());
        }
        assert!(w.is_open(pump));
        w.publish(pump, letter("pump/a", "x").qos1(3).retained());
        assert_eq!(w.closed(pump), Some(CloseCause::Violation(ReasonCode::ReceiveMaximumExceeded)));
        assert_eq!(w.got(pump).last(), Some(&Got::Disconnect(ReasonCode::ReceiveMaximumExceeded)));
    });
}

#[test]
fn before_5_0_a_client_may_have_any_number_of_messages_under_way() {
    for version in [Version::V31, Version::V311] {
        in_every_world(|w| {
            let app = w.connect(hello5("user:app", "app"));
            w.subscribe(app, "#");
            let pump = w.connect(hello(version, "device:pump", "pump").silent());
            w.got(pump);
            for number in 1..=1_500 {
                w.publish(pump, letter("pump/a", &number.to_string()).qos2(number));
            }
            let received: Vec<_> = (1..=1_500).map(|id| Got::PubRec(id, ReasonCode::Success)).collect();
            assert!(w.got(pump) == received, "{:?}", w.closed(pump));
            for number in 1..=1_500 {
                w.pubrel(pump, number);
            }
            let done: Vec<_> = (1..=1_500).map(|id| Got::PubComp(id, ReasonCode::Success)).collect();
            assert!(w.got(pump) == done);
            let expected: Vec<_> = (1..=1_500).map(|number: u16| number.to_string()).collect();
            assert_eq!(w.payloads(app), expected);
            assert_eq!(w.notices, []);
        });
    }
}

#[test]
fn messages_of_one_topic_keep_their_order_while_they_wait() {
    in_every_world_and_version(|w, version| {
        w.leave_behind(hello(version, "device:pump", "pump"), "pump/#");
        let app = w.connect(hello(version, "user:app", "app"));
        let expected: Vec<_> = (1..=200_u16).map(|number| number.to_string()).collect();
        for (number, payload) in (1..).zip(&expected) {
            w.publish(app, letter("pump/a", payload).qos(qos_of(number % 4), number));
        }
        let pump = w.connect(hello(version, "device:pump", "pump"));
        assert_eq!(w.payloads(pump), expected);
        assert_eq!(w.stats().queued, 0);
    });
}

#[test]
fn qos_0_is_not_kept_for_the_absent() {
    in_every_world_and_version(|w, version| {
        w.leave_behind(hello(version, "device:pump", "pump"), "pump/#");
        let app = w.connect(hello(version, "user:app", "app"));
        w.publish(app, letter("pump/a", "x"));
        let pump = w.connect(hello(version, "device:pump", "pump"));
        assert_eq!(w.payloads(pump), Vec::<String>::new());
    });
}

#[test]
fn an_acknowledgement_of_the_wrong_kind_ends_the_link() {
    in_every_world_and_version(|w, version| {
        let pump = w.connect(hello(version, "device:pump", "pump").silent());
        w.subscribe(pump, "pump/#");
        w.publish(pump, letter("pump/a", "x").qos2(1));
        let message = w.messages(pump).remove(0);
        w.puback(pump, message.id.unwrap());
        assert_eq!(w.closed(pump), Some(CloseCause::Violation(ReasonCode::ProtocolError)));
    });
}

#[test]
fn what_a_publisher_says_about_its_message_reaches_the_reader() {
    in_every_world(|w| {
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe(app, "#");
        let old = w.connect(hello(Version::V311, "user:app", "old"));
        w.subscribe(old, "#");
        let pump = w.connect(hello5("device:pump", "pump"));
        let user = [("a", "1"), ("a", "2"), ("", "")];
        let large = "x".repeat(5_000);
        let properties = PublishProperties {
            response_topic: Some("pump/answers"),
            correlation_data: Some(&[0, 255]),
            user: UserProperties::List(&user),
            ..PublishProperties::default()
        };
        w.publish(pump, letter("pump/a", &large).qos1(1).with(properties));
        let message = w.messages(app).remove(0);
        assert_eq!(message.response_topic.as_deref(), Some("pump/answers"));
        assert_eq!(message.correlation, Some(vec![0, 255]));
        let expected: Vec<_> = user.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        assert_eq!(message.user, expected);
        assert_eq!(message.payload, large.as_bytes());
        assert_eq!(w.payloads(old), [large]);
    });
}

/// A device that says of its own message that it was verified would be believed by every reader.
#[test]
fn what_the_broker_says_of_messages_no_client_can_say() {
    in_every_world(|w| {
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe(app, "#");
        let user = &[
            ("mqsec-verified", "0011223344556677,3"),
            ("a", "1"),
            ("MQsec-late", "1"),
            ("mqsec-", ""),
            ("mqsec", "2"),
            ("x-mqsec-verified", "3"),
        ];
        let kept = [("a", "1"), ("mqsec", "2"), ("x-mqsec-verified", "3")];
        let kept: Vec<_> = kept.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let pump = w.connect(hello5("device:pump", "pump").will("pump/gone", "gone").will_user(user));
        let said = || PublishProperties { user: UserProperties::List(user), ..PublishProperties::default() };
        for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
            w.publish(pump, letter("pump/a", "x").qos(qos, 1).with(said()).retained());
            assert_eq!(w.messages(app).remove(0).user, kept, "{qos:?}");
        }
        w.lose(pump);
        assert_eq!(w.messages(app).remove(0).user, kept, "its will");
        let late = w.connect(hello5("user:app", "late"));
        w.subscribe(late, "#");
        assert_eq!(w.messages(late).remove(0).user, kept, "what is replayed");
    });
}

#[test]
fn a_message_expires_while_it_waits_and_the_remaining_time_is_told() {
    in_every_world(|w| {
        w.leave_behind(hello5("device:pump", "pump"), "pump/#");
        let app = w.connect(hello5("user:app", "app"));
        w.publish(app, letter("pump/a", "short").qos1(1).expiring(5));
        w.publish(app, letter("pump/a", "long").qos1(2).expiring(60));
        w.publish(app, letter("pump/a", "for ever").qos1(3));
        w.pass(20);
        let pump = w.connect(hello5("device:pump", "pump"));
        let left: Vec<_> = w.messages(pump).into_iter().map(|m| (m.payload, m.expiry)).collect();
        assert_eq!(left, [(b"long".to_vec(), Some(40)), (b"for ever".to_vec(), None)]);
    });
}

#[test]
fn a_message_larger_than_the_client_takes_is_left_out_and_the_next_one_comes() {
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump").packet_max(100));
        let app = w.connect(hello5("user:app", "app"));
        // With an identifier a message is encoded for this reader alone.
        for subscription in [None, Some(1)] {
            w.subscribe_with(pump, "pump/#", at(Qos::ExactlyOnce), subscription);
            for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
                w.publish(app, letter("pump/a", &"x".repeat(200)).qos(qos, 1));
                w.publish(app, letter("pump/a", "small").qos(qos, 2));
                assert_eq!(w.payloads(pump), ["small"]);
            }
        }
        assert_eq!(w.stats().queued, 0);
        assert_eq!(w.notices.len(), 6);
    });
}

#[test]
fn a_ping_is_answered() {
    in_every_world_and_version(|w, version| {
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.got(pump);
        w.send(pump, &keyward_mqtt::packet::Packet::PingReq);
        assert_eq!(w.got(pump), [Got::Pong]);
    });
}

#[test]
fn a_reason_string_comes_only_to_those_who_want_it() {
    in_every_world(|w| {
        for (hello, expected) in
            [(hello5("user:eve", "a"), true), (hello5("user:eve", "b").without_problem_information(), false)]
        {
            let eve = w.connect(hello);
            w.got(eve);
            w.publish(eve, letter("x", "x").qos1(1));
            let got = w.got(eve);
            assert!(
                matches!(&got[..], [Got::PubAck(1, ReasonCode::NotAuthorized, text)] if text.is_some() == expected),
                "{got:?}"
            );
        }
    });
}
