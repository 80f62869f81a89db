//! Statements of the standard that no other story shows, by number. `conformance/` lists them all.

use crate::peer::{Got, Peer, at, hello, hello5, id, letter};
use crate::world::{
    World, app_may_everything, in_every_world, in_every_world_and_version, in_every_world_with, rule,
};
use keyward_broker::{CloseCause, Limits};
use keyward_mqtt::codec::{self, Sender};
use keyward_mqtt::packet::{Packet, Qos, SubscribeOptions, Unsubscribe, UnsubscribeFilters, Version};
use keyward_mqtt::property::{AckProperties, PublishProperties, UnsubscribeProperties};
use keyward_mqtt::reason::ReasonCode;

/// Decodes what a peer of 5.0 got, so that every property can be looked at.
fn packets(w: &World, peer: Peer) -> Vec<Packet<'_>> {
    let decode = |frame| codec::decode(Version::V5, Sender::Server, frame).unwrap();
    w.frames(peer).iter().map(|frame| decode(frame)).collect()
}

fn unsubscribe(w: &mut World, peer: Peer, filters: &[&str]) {
    let packet = Packet::Unsubscribe(Unsubscribe {
        id: id(8),
        properties: UnsubscribeProperties::default(),
        filters: UnsubscribeFilters::List(filters),
    });
    w.send(peer, &packet);
}

fn payload_of_retained(w: &mut World, filter: &str) -> Vec<String> {
    let reader = w.connect(hello5("user:app", "reader").clean().expiry(0));
    w.subscribe(reader, filter);
    let payloads = w.payloads(reader);
    w.disconnect(reader);
    payloads
}

// What the broker says of itself.

#[test]
fn a_client_of_small_packets_gets_every_acknowledgement_without_words() {
    // [MQTT-3.4.2-2], [MQTT-3.5.2-2], [MQTT-3.9.2-1], [MQTT-3.11.2-1], [MQTT-3.14.2-3]
    in_every_world(|w| {
        for (room, words) in [(20, false), (200, true)] {
            let pump = w.connect(hello5("device:pump", "pump").packet_max(room));
            w.publish(pump, letter("not/mine", "x").qos1(1));
            w.publish(pump, letter("not/mine", "x").qos2(2));
            w.subscribe(pump, "not/mine");
            unsubscribe(w, pump, &["a#"]);
            let _another = w.connect(hello5("device:pump", "pump"));
            let packets = packets(w, pump);
            assert!(w.frames(pump).iter().all(|frame| frame.len() <= room as usize));
            let text = |properties: &AckProperties<'_>| properties.reason_string.is_some();
            let told: Vec<_> = packets
                .iter()
                .map(|packet| match packet {
                    Packet::PubAck(ack) | Packet::PubRec(ack) => text(&ack.properties),
                    Packet::SubAck(ack) | Packet::UnsubAck(ack) => text(&ack.properties),
                    Packet::Disconnect(disconnect) => disconnect.properties.reason_string.is_some(),
                    Packet::ConnAck(connack) => connack.properties.reason_string.is_some() || words,
                    other => panic!("{other:?}"),
                })
                .collect();
            assert_eq!(told, [words; 6], "{room}");
        }
    });
}

#[test]
fn the_broker_says_nothing_that_nobody_asked_for() {
    // [MQTT-3.1.2-28], [MQTT-3.2.2-19], [MQTT-3.2.2-20], [MQTT-3.4.2-3], [MQTT-3.5.2-3], [MQTT-3.6.2-2],
    // [MQTT-3.6.2-3], [MQTT-3.7.2-2], [MQTT-3.7.2-3], [MQTT-3.9.2-2], [MQTT-3.11.2-2], [MQTT-3.14.2-2],
    // [MQTT-3.14.2-4]
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump").silent().response_information(false));
        w.publish(pump, letter("not/mine", "x").qos1(1));
        w.publish(pump, letter("pump/a", "x").qos2(2));
        w.pubrel(pump, 2);
        w.pubrel(pump, 3);
        w.pubrec(pump, 4);
        w.subscribe(pump, "not/mine");
        unsubscribe(w, pump, &["pump/a"]);
        w.send(pump, &Packet::PingReq);
        let _another = w.connect(hello5("device:pump", "pump"));
        let packets = packets(w, pump);
        assert_eq!(packets.len(), 10);
        for packet in packets {
            match packet {
                Packet::ConnAck(connack) => {
                    assert_eq!(connack.properties.response_information, None);
                    assert_eq!(connack.properties.reason_string, None);
                    assert!(connack.properties.user.is_empty());
                }
                Packet::PubAck(ack) | Packet::PubRec(ack) => assert!(ack.properties.user.is_empty()),
                Packet::PubRel(ack) | Packet::PubComp(ack) => {
                    assert_eq!(ack.properties, AckProperties::default());
                }
                Packet::SubAck(ack) | Packet::UnsubAck(ack) => assert!(ack.properties.user.is_empty()),
                Packet::Disconnect(disconnect) => {
                    assert_eq!(disconnect.properties.session_expiry, None);
                    assert!(disconnect.properties.user.is_empty());
                }
                Packet::PingResp => {}
                other => panic!("{other:?}"),
            }
        }
    });
}

#[test]
fn a_link_has_one_connack_first_and_nothing_after_its_disconnect() {
    // [MQTT-3.2.0-1], [MQTT-3.2.0-2], [MQTT-3.14.0-1], [MQTT-3.14.4-1]
    in_every_world(|w| {
        let app = w.connect(hello5("user:app", "app"));
        w.leave_behind(hello5("device:pump", "pump"), "pump/#");
        w.publish(app, letter("pump/a", "waits").qos1(1));
        let pump = w.connect(hello5("device:pump", "pump"));
        w.publish(app, letter("pump/a", "comes").qos1(2));
        let _another = w.connect(hello5("device:pump", "pump"));
        w.publish(app, letter("pump/a", "for the other link").qos1(3));
        let kinds: Vec<_> = packets(w, pump).iter().map(|packet| format!("{:?}", packet.kind())).collect();
        assert_eq!(kinds, ["ConnAck", "Publish", "Publish", "Disconnect"]);
    });
}

#[test]
fn a_refused_client_gets_its_connack_and_nothing_else() {
    // [MQTT-3.14.0-1], [MQTT-3.2.2-6], [MQTT-3.2.2-7], in 3.1.1 [MQTT-3.2.2-4] and [MQTT-3.2.2-5]
    in_every_world_and_version(|w, version| {
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.lose(pump);
        let pump = w.try_connect(hello(version, "device:pump", "pump").will("not/mine", "x"));
        let got = w.got(pump);
        let refusal = ReasonCode::NotAuthorized;
        assert!(
            matches!(got[..], [Got::ConnAck { session_present: false, reason, .. }] if reason == refusal),
            "{got:?}"
        );
        assert!(!w.is_open(pump));
    });
}

#[test]
fn client_ids_of_1_to_23_letters_and_digits_are_taken() {
    // [MQTT-3.1.3-5]
    let all = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";
    in_every_world_and_version(|w, version| {
        for length in 1..=23 {
            let pump = w.connect(hello(version, "device:pump", &all[..length]).clean().expiry(0));
            w.disconnect(pump);
        }
        for start in [23, 39] {
            let pump = w.connect(hello(version, "device:pump", &all[start..start + 23]).clean().expiry(0));
            w.disconnect(pump);
        }
    });
}

#[test]
fn the_keep_alive_that_holds_is_the_clients_unless_connack_tells_another() {
    // [MQTT-3.2.2-22]
    in_every_world(|w| {
        for (asked, told, holds) in [(30, None, 30), (0, Some(3_600), 3_600), (u16::MAX, Some(3_600), 3_600)]
        {
            let pump = w.connect(hello5("device:pump", "pump").keep_alive(asked));
            assert_eq!(w.keep_alive(pump), Some(holds));
            let got = w.got(pump);
            assert!(matches!(got[0], Got::ConnAck { keep_alive, .. } if keep_alive == told), "{got:?}");
        }
    });
}

// Acknowledgements.

#[test]
fn what_is_no_publish_does_not_wait_for_the_send_quota() {
    // [MQTT-3.3.4-10], [MQTT-4.9.0-3]
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump").receive_maximum(1).silent());
        w.subscribe(pump, "pump/in");
        let app = w.connect(hello5("user:app", "app"));
        w.publish(app, letter("pump/in", "1").qos1(1));
        w.publish(app, letter("pump/in", "2").qos1(2));
        assert_eq!(w.payloads(pump), ["1"], "the quota is used up");
        w.send(pump, &Packet::PingReq);
        w.publish(pump, letter("pump/out", "x").qos1(7));
        w.publish(pump, letter("pump/out", "x").qos2(9));
        w.pubrel(pump, 9);
        unsubscribe(w, pump, &["pump/none"]);
        assert!(matches!(
            w.got(pump)[..],
            [Got::Pong, Got::PubAck(7, ..), Got::PubRec(9, _), Got::PubComp(9, _), Got::UnsubAck(8, _)]
        ));
        w.publish(app, letter("pump/in", "QoS 0 has no quota"));
        assert_eq!(w.payloads(pump), ["QoS 0 has no quota"]);
    });
}

#[test]
fn a_message_that_its_reader_refuses_is_over() {
    // [MQTT-4.4.0-2]
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump").silent());
        w.subscribe(pump, "pump/#");
        let app = w.connect(hello5("user:app", "app"));
        w.publish(app, letter("pump/a", "1").qos1(1));
        w.publish(app, letter("pump/a", "2").qos2(2));
        let sent = w.messages(pump);
        w.puback_with(pump, sent[0].id.unwrap(), ReasonCode::UnspecifiedError);
        w.pubrec_with(pump, sent[1].id.unwrap(), ReasonCode::QuotaExceeded);
        assert_eq!(w.got(pump), [], "a refused message gets no PUBREL");
        w.lose(pump);
        let pump = w.connect(hello5("device:pump", "pump").silent());
        assert_eq!(w.messages(pump), []);
        assert_eq!(w.stats().queued, 0);
    });
}

#[test]
fn after_a_refusing_pubrec_the_packet_id_is_free() {
    // [MQTT-4.3.3-9]
    in_every_world(|w| {
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe(app, "#");
        let pump = w.connect(hello5("device:pump", "pump").silent());
        w.got(pump);
        w.publish(pump, letter("not/mine", "x").qos2(5));
        w.publish(pump, letter("pump/a", "mine").qos2(5));
        let expected = [ReasonCode::NotAuthorized, ReasonCode::Success].map(|reason| Got::PubRec(5, reason));
        assert_eq!(w.got(pump), expected);
        assert_eq!(w.payloads(app), ["mine"]);
    });
}

#[test]
fn after_puback_the_packet_id_means_a_new_message_whatever_dup_says() {
    // [MQTT-4.3.2-5], in 3.1.1 [MQTT-4.3.2-2]
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app"));
        w.subscribe(app, "#");
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.publish(pump, letter("pump/a", "x").qos1(5));
        w.publish(pump, letter("pump/a", "x").qos1(5).dup());
        assert_eq!(w.payloads(app), ["x", "x"]);
    });
}

#[test]
fn a_publishers_dup_flag_does_not_reach_the_readers() {
    // [MQTT-3.3.1-2], [MQTT-3.3.1-3], [MQTT-4.3.1-1]
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app"));
        let pump = w.connect(hello(version, "device:pump", "pump"));
        for (topic, qos) in [("pump/0", Qos::AtMostOnce), ("pump/1", Qos::AtLeastOnce)] {
            // With an identifier it is encoded for this reader alone.
            for subscription in [None, Some(1)] {
                w.subscribe_with(app, topic, at(qos), subscription);
                w.publish(pump, letter(topic, "x").qos1(5).dup());
                let message = w.messages(app).remove(0);
                assert_eq!((message.qos, message.dup), (qos, false));
            }
        }
    });
}

#[test]
fn nothing_is_repeated_on_the_link_it_was_sent_on() {
    // [MQTT-4.4.0-1]
    in_every_world_and_version(|w, version| {
        let pump = w.connect(hello(version, "device:pump", "pump").silent());
        w.subscribe(pump, "pump/#");
        let app = w.connect(hello(version, "user:app", "app"));
        w.publish(app, letter("pump/a", "1").qos1(1));
        w.publish(app, letter("pump/a", "2").qos2(2));
        assert_eq!(w.messages(pump).len(), 2);
        w.pass(10_000);
        w.send(pump, &Packet::PingReq);
        assert_eq!(w.got(pump), [Got::Pong], "neither for time that passes nor for a sign of life");
    });
}

#[test]
fn a_publish_that_3_1_1_may_not_do_is_acknowledged_and_goes_nowhere() {
    // in 3.1.1 [MQTT-3.3.5-2]
    in_every_world(|w| {
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe(app, "#");
        let pump = w.connect(hello(Version::V311, "device:pump", "pump"));
        w.got(pump);
        w.publish(pump, letter("not/mine", "x"));
        w.publish(pump, letter("not/mine", "x").qos1(1));
        w.publish(pump, letter("not/mine", "x").qos2(2));
        let expected = [
            Got::PubAck(1, ReasonCode::Success, None),
            Got::PubRec(2, ReasonCode::Success),
            Got::PubComp(2, ReasonCode::Success),
        ];
        assert_eq!(w.got(pump), expected);
        assert_eq!(w.payloads(app), Vec::<String>::new());
        assert_eq!(w.denials.len(), 3);
    });
}

#[test]
fn a_publisher_of_3_1_1_is_closed_where_there_is_no_memory_for_its_message() {
    // in 3.1.1 [MQTT-4.8.0-2]
    let limits = Limits { memory_total: 600_000, ..Limits::default() };
    in_every_world_with(limits, |w| {
        w.leave_behind(hello5("device:pump", "reader"), "pump/#");
        let pump = w.connect(hello(Version::V311, "device:pump", "pump"));
        w.got(pump);
        let mut acknowledged = 0;
        for number in 1..=200 {
            if w.is_open(pump) {
                w.publish(pump, letter("pump/a", &"x".repeat(5_000)).qos1(number));
                acknowledged += w.got(pump).len();
            }
        }
        assert_eq!(w.closed(pump), Some(CloseCause::NoRoom));
        let reader = w.connect(hello5("device:pump", "reader"));
        assert_eq!(w.messages(reader).len(), acknowledged);
    });
}

// Subscriptions.

#[test]
fn unsubscribing_lets_what_is_under_way_finish() {
    // [MQTT-3.10.4-2], [MQTT-3.10.4-3]
    in_every_world_and_version(|w, version| {
        let pump = w.connect(hello(version, "device:pump", "pump").silent());
        w.subscribe(pump, "pump/#");
        let app = w.connect(hello(version, "user:app", "app"));
        w.publish(app, letter("pump/a", "1").qos1(1));
        w.publish(app, letter("pump/a", "2").qos2(2));
        let sent = w.messages(pump);
        let ids: Vec<_> = sent.iter().map(|message| message.id.unwrap()).collect();
        unsubscribe(w, pump, &["pump/#"]);
        w.publish(app, letter("pump/a", "new").qos1(3));
        w.lose(pump);
        let pump = w.connect(hello(version, "device:pump", "pump").silent());
        let again = w.messages(pump);
        assert_eq!(again.iter().map(|message| message.id.unwrap()).collect::<Vec<_>>(), ids);
        w.puback(pump, ids[0]);
        w.pubrec(pump, ids[1]);
        w.pubcomp(pump, ids[1]);
        assert_eq!(w.got(pump), [Got::PubRel(ids[1], ReasonCode::Success)]);
        assert_eq!(w.stats().queued, 0);
    });
}

#[test]
fn one_unsuback_answers_all_filters_in_their_order() {
    // [MQTT-3.10.4-4], [MQTT-3.10.4-5], [MQTT-3.10.4-6], [MQTT-3.11.3-1]
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app"));
        for filter in ["a", "b"] {
            w.subscribe(app, filter);
        }
        w.got(app);
        unsubscribe(w, app, &["b", "c", "a#", "a"]);
        let codes = match version {
            Version::V5 => vec![
                ReasonCode::Success,
                ReasonCode::NoSubscriptionExisted,
                ReasonCode::TopicFilterInvalid,
                ReasonCode::Success,
            ],
            _ => vec![],
        };
        assert_eq!(w.got(app), [Got::UnsubAck(8, codes)]);
        assert_eq!(w.stats().subscriptions, 0);
    });
}

#[test]
fn unsubscribing_compares_filters_letter_by_letter() {
    // [MQTT-3.10.4-1]
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app"));
        w.subscribe(app, "pump/+");
        unsubscribe(w, app, &["pump/a", "pump/#", "PUMP/+", "pump/+/"]);
        w.got(app);
        w.publish(app, letter("pump/a", "still"));
        assert_eq!(w.payloads(app), ["still"]);
        unsubscribe(w, app, &["pump/+"]);
        w.publish(app, letter("pump/a", "no more"));
        assert_eq!(w.payloads(app), Vec::<String>::new());
    });
}

#[test]
fn a_subscription_made_again_repeats_what_is_retained_and_loses_no_message() {
    // [MQTT-3.8.4-4], in 3.1.1 [MQTT-3.8.4-3]
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app"));
        w.publish(app, letter("pump/kept", "retained").qos1(1).retained());
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.subscribe(pump, "pump/#");
        assert_eq!(w.payloads(pump), ["retained"]);
        w.lose(pump);
        w.publish(app, letter("pump/a", "waits").qos1(2));
        let pump = w.begin_connect(hello(version, "device:pump", "pump"));
        w.subscribe(pump, "pump/#");
        w.publish(app, letter("pump/a", "live").qos1(3));
        let got: Vec<_> = w.messages(pump).into_iter().map(|m| (m.payload, m.retain)).collect();
        let expected = [("waits", false), ("retained", true), ("live", false)];
        assert_eq!(got, expected.map(|(payload, retain)| (payload.as_bytes().to_vec(), retain)));
    });
}

#[test]
fn a_retained_message_comes_at_the_lower_qos_too() {
    // [MQTT-3.8.4-8], in 3.1.1 [MQTT-3.8.4-6]
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app"));
        w.publish(app, letter("a", "x").qos1(1).retained());
        for (asked, comes) in [
            (Qos::AtMostOnce, Qos::AtMostOnce),
            (Qos::AtLeastOnce, Qos::AtLeastOnce),
            (Qos::ExactlyOnce, Qos::AtLeastOnce),
        ] {
            w.subscribe_with(app, "a", at(asked), None);
            assert_eq!(w.messages(app).remove(0).qos, comes);
        }
    });
}

#[test]
fn topics_that_only_look_alike_are_different() {
    // [MQTT-4.7.3-4]
    let topics = ["a", "A", "a/", "/a", "a ", "\u{e9}", "e\u{301}", "a//b", "a/b", "\u{feff}a"];
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app"));
        for filter in topics {
            w.subscribe(app, filter);
            w.got(app);
            for topic in topics {
                w.publish(app, letter(topic, topic));
            }
            assert_eq!(w.payloads(app), [filter]);
            unsubscribe(w, app, &[filter]);
        }
    });
}

// Retained messages.

#[test]
fn only_a_publish_with_retain_changes_what_is_retained() {
    // [MQTT-3.3.1-5], [MQTT-3.3.1-8], in 3.1.1 also [MQTT-3.3.1-7] and [MQTT-3.3.1-12]
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app"));
        w.publish(app, letter("a", "not kept").qos1(1));
        assert_eq!(payload_of_retained(w, "a"), Vec::<String>::new());
        w.publish(app, letter("a", "kept").qos1(2).retained());
        w.publish(app, letter("a", "not kept").qos1(3));
        w.publish(app, letter("a", ""));
        assert_eq!(payload_of_retained(w, "a"), ["kept"]);
        w.publish(app, letter("a", "QoS 0").retained());
        assert_eq!(payload_of_retained(w, "a"), ["QoS 0"]);
    });
}

#[test]
fn retained_messages_outlive_the_session_that_published_them() {
    // in 3.1.1 [MQTT-3.1.2-7]
    in_every_world_and_version(|w, version| {
        let pump = w.connect(hello(version, "device:pump", "pump").clean().expiry(0));
        w.publish(pump, letter("pump/a", "stays").qos1(1).retained());
        w.disconnect(pump);
        assert_eq!(w.stats().sessions, 0);
        assert_eq!(payload_of_retained(w, "#"), ["stays"]);
    });
}

#[test]
fn who_was_there_gets_a_retained_or_empty_message_like_any_other() {
    // [MQTT-3.3.1-6], [MQTT-3.3.1-12], in 3.1.1 [MQTT-3.3.1-9] and [MQTT-3.3.1-10]
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app"));
        w.subscribe(app, "a");
        w.publish(app, letter("a", "x").qos1(1).retained());
        w.publish(app, letter("a", "").qos1(2).retained());
        let got: Vec<_> = w.messages(app).into_iter().map(|m| (m.payload, m.retain)).collect();
        assert_eq!(got, [(b"x".to_vec(), false), (vec![], false)]);
        assert_eq!(payload_of_retained(w, "a"), Vec::<String>::new());
    });
}

// Properties and wills.

#[test]
fn payload_format_and_content_type_reach_the_reader_as_they_were() {
    // [MQTT-3.3.2-4], [MQTT-3.3.2-20]
    in_every_world(|w| {
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe(app, "#");
        let pump = w.connect(hello5("device:pump", "pump"));
        for payload_format in [Some(true), Some(false), None] {
            let content_type = payload_format.map(|_| "Text/Plain; Ä");
            let properties =
                PublishProperties { payload_format, content_type, ..PublishProperties::default() };
            w.publish(pump, letter("pump/a", "x").with(properties));
            let Some(Packet::Publish(publish)) = packets(w, app).pop() else { panic!() };
            assert_eq!(publish.properties.payload_format, payload_format);
            assert_eq!(publish.properties.content_type, content_type);
        }
    });
}

#[test]
fn the_user_properties_of_a_will_keep_their_order() {
    // [MQTT-3.1.3-10]
    let user = &[("b", "1"), ("a", "2"), ("b", "3"), ("a", "0")];
    in_every_world(|w| {
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe(app, "#");
        let pump = w.connect(hello5("device:pump", "pump").will("pump/gone", "gone").will_user(user));
        w.lose(pump);
        let got = w.messages(app).remove(0).user;
        let got: Vec<_> = got.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
        assert_eq!(got, user);
    });
}

#[test]
fn a_will_is_retained_only_if_it_says_so() {
    // [MQTT-3.1.2-14], [MQTT-3.1.2-15], in 3.1.1 [MQTT-3.1.2-16] and [MQTT-3.1.2-17]
    in_every_world_and_version(|w, version| {
        let as_published = SubscribeOptions { retain_as_published: true, ..at(Qos::AtLeastOnce) };
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe_with(app, "#", as_published, None);
        let plain = hello(version, "device:pump", "pump").will("pump/gone", "gone");
        let retained = hello(version, "device:pump", "pump").retained_will("pump/gone", "gone");
        for (hello, is_retained) in [(plain, false), (retained, true)] {
            let pump = w.connect(hello);
            w.lose(pump);
            assert_eq!(w.messages(app).remove(0).retain, is_retained);
            assert_eq!(payload_of_retained(w, "pump/gone").len(), usize::from(is_retained));
        }
    });
}

#[test]
fn a_will_is_published_once_and_only_of_the_link_that_left_it() {
    // [MQTT-3.1.2-10], in 3.1.1 also [MQTT-3.1.2-12]
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app"));
        w.subscribe(app, "#");
        let pump = w.connect(hello(version, "device:pump", "pump").will("pump/gone", "gone"));
        w.lose(pump);
        assert_eq!(w.payloads(app), ["gone"]);
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.lose(pump);
        w.pass(1_000);
        assert_eq!(w.payloads(app), Vec::<String>::new());
    });
}

#[test]
fn a_message_that_expired_before_it_was_sent_is_not_sent() {
    // [MQTT-3.3.2-5]
    in_every_world(|w| {
        let app = w.connect(hello5("user:app", "app"));
        let rules = app_may_everything() + &rule("device:pump", "allow", &["subscribe"], &["#"]);
        w.rules(&rules);
        let pump = w.connect(hello5("device:pump", "pump").receive_maximum(1).silent());
        w.subscribe(pump, "a");
        w.publish(app, letter("a", "first").qos1(1));
        w.publish(app, letter("a", "expires").qos1(2).expiring(5));
        w.publish(app, letter("a", "stays").qos1(3));
        let first = w.messages(pump).remove(0);
        w.pass(6);
        w.puback(pump, first.id.unwrap());
        assert_eq!(w.payloads(pump), ["stays"]);
    });
}
