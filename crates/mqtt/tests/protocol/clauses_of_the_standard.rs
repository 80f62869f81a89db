//! Statements of the standard about codec and connections that no other story shows, by number. `conformance/` lists
//! them all.

use crate::client::{Story, connect, message, normal_end, subscribe};
use crate::vectors::bytes;
use keyward_mqtt::codec::{Sender, decode, encode};
use keyward_mqtt::connection::{ClientError, ConnectionLimits, ServerConnection, Step};
use keyward_mqtt::packet::*;
use keyward_mqtt::property::*;
use keyward_mqtt::time::Millis;
use keyward_mqtt::topic::TopicName;

const V3: Version = Version::V311;
const V5: Version = Version::V5;

/// Returns the last words that an open link of this version gets for a packet.
fn last_words(version: Version, packet: &str) -> Vec<u8> {
    let connect = match version {
        V5 => r#"10 { "MQTT" 05 02 000A { } "d" }"#,
        _ => r#"10 { "MQTT" 04 02 000A "d" }"#,
    };
    let mut server = ServerConnection::new(ConnectionLimits::default());
    assert!(matches!(server.decode(Millis(0), &bytes(connect, V5)), Ok(Step::Packet { .. })));
    server.established(Millis(0), 0);
    let refused = server.decode(Millis(0), &bytes(packet, version)).unwrap_err();
    let mut words = Vec::new();
    refused.farewell.encode(&mut words);
    words
}

#[test]
fn a_malformed_packet_ends_the_link_and_5_0_is_told_0x81() {
    // [MQTT-3.6.1-1], [MQTT-3.8.1-1], [MQTT-3.10.1-1], [MQTT-3.14.1-1], [MQTT-4.13.1-1], [MQTT-4.13.2-1],
    // in 3.1.1 [MQTT-2.2.2-2] and [MQTT-4.8.0-1]
    for packet in [
        "60 { 0001 }",
        r#"80 { 0001 {5 } "a" 00 }"#,
        r#"A0 { 0001 {5 } "a" }"#,
        "E1 00",
        "C1 00",
        r#"36 { "a" 0001 {5 } }"#,
        "30 { 0001 FF {5 } }",
        "30 { 0001 00 {5 } }",
    ] {
        assert_eq!(last_words(V5, packet), [0xE0, 1, 0x81], "{packet}");
        assert_eq!(last_words(V3, packet), [], "{packet}");
    }
}

#[test]
fn a_breach_of_the_protocol_ends_the_link_and_5_0_is_told_0x82() {
    // [MQTT-4.13.1-1], [MQTT-3.8.3-2], [MQTT-3.10.3-2], in 3.1.1 [MQTT-4.8.0-1]
    for packet in ["82 { 0001 {5 } }", "A2 { 0001 {5 } }", r#"32 { "a" 0000 {5 } }"#] {
        assert_eq!(last_words(V5, packet), [0xE0, 1, 0x82], "{packet}");
        assert_eq!(last_words(V3, packet), [], "{packet}");
    }
}

#[test]
fn at_qos_0_there_is_no_packet_id_between_topic_and_payload() {
    // [MQTT-2.2.1-2], in 3.1.1 [MQTT-2.3.1-5]. The payload could be taken for an identifier.
    for version in [Version::V31, V3, V5] {
        let frame = bytes(r#"30 { "a/b" {5 } 0007 }"#, version);
        for sender in [Sender::Client, Sender::Server] {
            let Packet::Publish(publish) = decode(version, sender, &frame).unwrap() else { panic!() };
            assert_eq!((publish.delivery, publish.payload), (Delivery::AtMostOnce, &[0, 7][..]));
            let mut written = Vec::new();
            encode(&Packet::Publish(publish), version, &mut written).unwrap();
            assert_eq!(written, frame);
        }
    }
}

#[test]
fn packets_without_properties_say_that_their_length_is_0() {
    // [MQTT-2.2.2-1]
    let mut written = Vec::new();
    for (packet, expected) in [
        (Packet::Connect(connect(V5)), r#"10 { "MQTT" 05 00 0000 { } "dev01" }"#),
        (publish("a"), r#"30 { "a" { } }"#),
    ] {
        written.clear();
        encode(&packet, V5, &mut written).unwrap();
        assert_eq!(written, bytes(expected, V5));
    }
}

fn publish(topic: &str) -> Packet<'_> {
    Packet::Publish(Publish {
        dup: false,
        delivery: Delivery::AtMostOnce,
        retain: false,
        topic: TopicName::parse(topic).ok(),
        properties: PublishProperties::default(),
        payload: b"",
    })
}

#[test]
fn a_topic_has_at_most_65_535_bytes() {
    // [MQTT-4.7.3-3]
    let mut written = Vec::new();
    let longest = "x".repeat(65_535);
    encode(&publish(&longest), V5, &mut written).unwrap();
    assert_eq!(decode(V5, Sender::Client, &written).unwrap(), publish(&longest));
    assert!(encode(&publish(&(longest + "x")), V5, &mut written).is_err());
}

#[test]
fn a_filter_that_is_none_is_no_fault_of_its_packet() {
    // [MQTT-3.8.4-5]: what is wrong with one filter is said about it alone.
    let packet = bytes(r#"82 { 0001 { } "a/#/b" 00 "" 00 "good" 01 }"#, V5);
    let Ok(Packet::Subscribe(subscribe)) = decode(V5, Sender::Client, &packet) else { panic!() };
    assert_eq!(subscribe.filters.into_iter().count(), 3);
}

// The client's end.

#[test]
fn with_a_method_only_auth_and_disconnect_leave_before_connack() {
    // [MQTT-3.1.2-30]
    let mut story = Story::new(V5);
    let mut asking = connect(V5);
    asking.properties.authentication_method = Some("m");
    story.client.connect(Millis(0), &asking).unwrap();
    story.sent();
    let _ = story.publishes(Qos::AtMostOnce, b"0");
    let _ = story.publishes(Qos::AtLeastOnce, b"1");
    let _ = subscribe(&mut story, &["a"]);
    let _ = story.client.handle_timeout(Millis(1));
    story.sends(&[]);
}

#[test]
fn what_is_no_publish_does_not_wait_for_the_servers_receive_maximum() {
    // [MQTT-3.3.4-7], [MQTT-3.3.4-8], [MQTT-4.9.0-1], [MQTT-4.9.0-2], [MQTT-4.9.0-3]
    let mut story = Story::new(V5);
    story.connects(&connect(V5), "20 { 00 00 { 21 0001 } }");
    story.publishes(Qos::AtLeastOnce, b"1").unwrap();
    story.publishes(Qos::AtLeastOnce, b"2").unwrap();
    story.sends(&[r#"32 { "t" 0001 { } '1' }"#]);
    subscribe(&mut story, &["a"]).unwrap();
    story.gets(r#"32 { "t" 0009 { } 'x' }"#);
    story.publishes(Qos::AtMostOnce, b"0").unwrap();
    story.sends(&[r#"82 { 0003 { } "a" 00 }"#, "40 { 0009 }", r#"30 { "t" { } '0' }"#]);
    story.gets("40 { 0001 }");
    story.sends(&[r#"32 { "t" 0002 { } '2' }"#]);
}

#[test]
fn a_client_answers_in_the_order_in_which_packets_came_whatever_it_makes_of_them() {
    // [MQTT-4.5.0-2], [MQTT-4.6.0-2], [MQTT-4.6.0-3], [MQTT-4.6.0-4]
    for version in [V3, V5] {
        let mut story = Story::connected(version);
        for qos in [Qos::ExactlyOnce, Qos::ExactlyOnce] {
            story.publishes(qos, b"x").unwrap();
        }
        story.sent();
        for packet in [
            r#"32 { "t" 0009 {5 } 'x' }"#,
            r#"34 { "t" 0005 {5 } 'x' }"#,
            "50 { 0002 }",
            r#"32 { "t" 0003 {5 } 'x' }"#,
            r#"34 { "t" 0004 {5 } 'x' }"#,
            "50 { 0001 }",
        ] {
            story.gets(packet);
        }
        story.sends(&[
            "40 { 0009 }",
            "50 { 0005 }",
            "62 { 0002 }",
            "40 { 0003 }",
            "50 { 0004 }",
            "62 { 0001 }",
        ]);
    }
}

#[test]
fn after_disconnect_a_client_sends_nothing_more() {
    // [MQTT-3.14.4-1], in 3.1.1 [MQTT-3.14.4-2]
    for version in [V3, V5] {
        let mut story = Story::connected(version);
        story.client.disconnect(&normal_end()).unwrap();
        story.sends(&["E0 00"]);
        assert_eq!(story.publishes(Qos::AtMostOnce, b"x"), Err(ClientError::NotConnected));
        assert_eq!(subscribe(&mut story, &["a"]), Err(ClientError::NotConnected));
        let _ = story.client.handle_timeout(Millis(1_000_000));
        story.sends(&[]);
    }
}

#[test]
fn a_client_sends_no_alias_that_it_was_not_offered() {
    // [MQTT-3.2.2-18], [MQTT-3.3.2-9]
    let mut story = Story::connected(V5);
    let mut aliased = message(Qos::AtMostOnce, b"x");
    aliased.properties.topic_alias = core::num::NonZeroU16::new(1);
    assert_eq!(story.client.publish(Millis(0), &aliased), Err(ClientError::TopicAlias));
    story.sends(&[]);
}
