//! Topic aliases from a client (MQTT 5.0, chapter 3.3.2.3.4): what comes out has a topic and no alias, or is refused.

use crate::server::{open_with, refused};
use crate::vectors::bytes;
use keyward_mqtt::codec::Violation;
use keyward_mqtt::connection::{ServerConnection, Step};
use keyward_mqtt::packet::{Packet, Version};
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::time::Millis;

/// Opens a link on which three aliases may be set.
fn open() -> ServerConnection {
    open_with(r#"10 { "MQTT" 05 02 000A { } "d" }"#, 0)
}

#[track_caller]
fn topic_of(server: &mut ServerConnection, notation: &str) -> String {
    let input = bytes(notation, Version::V5);
    match server.decode(Millis(0), &input) {
        Ok(Step::Packet { packet: Packet::Publish(publish), size }) => {
            assert_eq!((publish.properties.topic_alias, size), (None, input.len()));
            publish.topic.unwrap().as_str().to_owned()
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_alias_stands_for_the_topic_that_it_was_last_given() {
    // [MQTT-3.3.2-12]
    let mut server = open();
    assert_eq!(topic_of(&mut server, r#"30 { "a/b" { 23 0001 } 'x' }"#), "a/b");
    assert_eq!(topic_of(&mut server, r#"30 { "c" { 23 0003 } 'x' }"#), "c");
    assert_eq!(topic_of(&mut server, r#"30 { "" { 23 0001 } 'y' }"#), "a/b");
    assert_eq!(topic_of(&mut server, r#"32 { "" 0007 { 23 0003 } 'y' }"#), "c");
    assert_eq!(topic_of(&mut server, r#"30 { "d/e" { 23 0001 } 'z' }"#), "d/e");
    assert_eq!(topic_of(&mut server, r#"30 { "" { 23 0001 } 'z' }"#), "d/e");
    assert_eq!(topic_of(&mut server, r#"30 { "" { 23 0003 } 'z' }"#), "c", "another alias is untouched");
}

#[test]
fn an_alias_above_the_maximum_is_invalid() {
    // [MQTT-3.3.2-9]
    for publish in [r#"30 { "a" { 23 0004 } }"#, r#"30 { "" { 23 FFFF } }"#] {
        let refusal = refused(&mut open(), publish);
        assert_eq!(refusal.error.violation, Violation::TopicAlias);
        assert_eq!(refusal.error.reason(), ReasonCode::TopicAliasInvalid);
    }
}

#[test]
fn alias_0_is_invalid() {
    // [MQTT-3.3.2-8]
    let refusal = refused(&mut open(), r#"30 { "a" { 23 0000 } }"#);
    assert_eq!(refusal.error.reason(), ReasonCode::TopicAliasInvalid);
}

#[test]
fn an_alias_that_was_given_no_topic_is_a_protocol_error() {
    let mut server = open();
    topic_of(&mut server, r#"30 { "a" { 23 0002 } }"#);
    for unset in ["0001", "0003"] {
        let refusal = refused(&mut open(), &format!(r#"30 {{ "" {{ 23 {unset} }} }}"#));
        assert_eq!(refusal.error.violation, Violation::TopicAliasUnknown);
        assert_eq!(refusal.error.reason(), ReasonCode::ProtocolError);
    }
}

#[test]
fn a_new_link_knows_no_alias_of_the_one_before() {
    // [MQTT-3.3.2-7]
    topic_of(&mut open(), r#"30 { "a" { 23 0001 } }"#);
    let resumed = &mut open_with(r#"10 { "MQTT" 05 00 000A { 11 0000003C } "d" }"#, 0);
    let refusal = refused(resumed, r#"30 { "" { 23 0001 } }"#);
    assert_eq!(refusal.error.violation, Violation::TopicAliasUnknown);
}

#[test]
fn what_aliases_hold_is_counted_and_a_long_topic_gets_none() {
    let mut server = open();
    let publish = |len: usize| format!(r#"30 {{ "{}" {{ 23 0001 }} }}"#, "x".repeat(len));
    assert_eq!(server.held(), 0);
    topic_of(&mut server, &publish(900));
    assert!((900..1_000).contains(&server.held()), "{}", server.held());
    topic_of(&mut server, &publish(10));
    assert!((10..100).contains(&server.held()), "{}", server.held());
    let limits = keyward_mqtt::connection::ConnectionLimits::default();
    let mut roomy = ServerConnection::new(limits);
    let connect = bytes(r#"10 { "MQTT" 05 02 000A { } "d" }"#, Version::V5);
    roomy.decode(Millis(0), &connect).unwrap();
    roomy.established(Millis(0), 0);
    topic_of(&mut roomy, &publish(4_096));
    let refusal = refused(&mut roomy, &publish(4_097));
    assert_eq!(refusal.error.reason(), ReasonCode::QuotaExceeded);
}
