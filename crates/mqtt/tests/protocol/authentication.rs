//! Enhanced authentication as the server's end sees it (MQTT 5.0, chapter 4.12).

use crate::server::{fresh, refused, words};
use crate::vectors::bytes;
use keyward_mqtt::codec::{EncodeError, Violation};
use keyward_mqtt::connection::{Farewell, ServerConnection, Step};
use keyward_mqtt::packet::{Packet, Version};
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::time::Millis;

const CONNECT: &str = r#"10 { "MQTT" 05 02 000A { 15 "m" } "d" }"#;
const ANSWER: &str = r#"F0 { 18 { 15 "m" 16 0001 AA } }"#;
const AGAIN: &str = r#"F0 { 19 { 15 "m" } }"#;

#[track_caller]
fn takes(server: &mut ServerConnection, notation: &str) {
    let input = bytes(notation, Version::V5);
    let step = server.decode(Millis(0), &input);
    assert!(matches!(step, Ok(Step::Packet { size, .. }) if size == input.len()), "{step:?}");
}

#[track_caller]
fn challenges(server: &mut ServerConnection) {
    let mut out = Vec::new();
    server.challenge(Some(&[0xBB]), &mut out).unwrap();
    assert_eq!(out, bytes(r#"F0 { 18 { 15 "m" 16 0001 BB } }"#, Version::V5));
}

/// Returns a link whose CONNECT was challenged.
fn challenged() -> ServerConnection {
    let mut server = fresh();
    takes(&mut server, CONNECT);
    challenges(&mut server);
    server
}

fn open() -> ServerConnection {
    let mut server = challenged();
    takes(&mut server, ANSWER);
    server.established(Millis(0), 0);
    server
}

#[test]
fn challenges_and_answers_take_turns_until_connack() {
    // [MQTT-4.12.0-2], [MQTT-4.12.0-3]
    let mut server = challenged();
    takes(&mut server, ANSWER);
    let early = bytes(ANSWER, Version::V5);
    assert!(matches!(server.decode(Millis(0), &early), Ok(Step::Incomplete { .. })), "it is not their turn");
    challenges(&mut server);
    takes(&mut server, ANSWER);
    server.established(Millis(0), 0);
    takes(&mut server, "C0 00");
}

#[test]
fn before_connack_only_auth_and_disconnect_may_come() {
    // [MQTT-3.1.2-30]
    for other in ["30", "C0", r#"82 { 0001 { } "a" 00 }"#] {
        let refusal = refused(&mut challenged(), other);
        assert_eq!(refusal.error.violation, Violation::OutOfOrder, "{other}");
    }
    takes(&mut challenged(), "E0 00");
}

#[test]
fn a_wrong_step_before_connack_is_refused_with_a_connack() {
    // [MQTT-4.12.0-4]
    let refusal = refused(&mut challenged(), AGAIN);
    assert_eq!(refusal.error.violation, Violation::AuthOutOfTurn);
    assert_eq!(words(refusal.farewell), [0x20, 3, 0, 0x82, 0]);
}

#[test]
fn the_method_stays_that_of_connect() {
    // [MQTT-4.12.0-5], [MQTT-4.12.1-1]
    let refusal = refused(&mut challenged(), r#"F0 { 18 { 15 "n" 16 0001 AA } }"#);
    assert_eq!(refusal.error.violation, Violation::AuthMethodOther);
    let refusal = refused(&mut open(), r#"F0 { 19 { 15 "n" } }"#);
    assert_eq!(refusal.error.violation, Violation::AuthMethodOther);
    assert_eq!(refusal.farewell, Farewell::Disconnect(ReasonCode::ProtocolError));
}

#[test]
fn an_open_link_is_authenticated_again_while_packets_go_on() {
    // [MQTT-4.12.1-1]
    let mut server = open();
    takes(&mut server, AGAIN);
    takes(&mut server, "C0 00");
    challenges(&mut server);
    takes(&mut server, "C0 00");
    takes(&mut server, ANSWER);
    let mut out = Vec::new();
    server.reauthenticated(None, &mut out).unwrap();
    assert_eq!(out, bytes(r#"F0 { 00 { 15 "m" } }"#, Version::V5));
    takes(&mut server, AGAIN);
}

#[test]
fn an_open_link_takes_no_auth_out_of_turn() {
    let refusal = refused(&mut open(), ANSWER);
    assert_eq!(refusal.error.violation, Violation::AuthOutOfTurn);
    let mut server = open();
    takes(&mut server, AGAIN);
    assert_eq!(refused(&mut server, AGAIN).error.violation, Violation::AuthOutOfTurn);
}

#[test]
fn who_named_no_method_may_not_send_auth() {
    // [MQTT-4.12.0-7]
    let mut server = fresh();
    takes(&mut server, r#"10 { "MQTT" 05 02 000A { } "d" }"#);
    server.established(Millis(0), 0);
    assert_eq!(refused(&mut server, AGAIN).error.violation, Violation::AuthNotBegun);
}

#[test]
fn a_server_sends_no_auth_unasked() {
    // [MQTT-4.12.0-6]
    let mut out = Vec::new();
    let mut server = fresh();
    takes(&mut server, r#"10 { "MQTT" 05 02 000A { } "d" }"#);
    assert_eq!(server.challenge(None, &mut out), Err(EncodeError::AuthOutOfTurn));
    assert_eq!(open().reauthenticated(None, &mut out), Err(EncodeError::AuthOutOfTurn));
    let mut server = fresh();
    takes(&mut server, CONNECT);
    assert_eq!(server.reauthenticated(None, &mut out), Err(EncodeError::AuthOutOfTurn), "CONNACK says it");
    assert!(out.is_empty());
}

#[test]
fn an_answer_is_no_longer_than_a_connect() {
    let long = bytes(r#"F0 7F 18"#, Version::V5);
    let refusal = challenged().decode(Millis(0), &long).unwrap_err();
    assert!(matches!(refusal.error.violation, Violation::TooLarge { limit: 100, .. }));
}

#[test]
fn what_is_decoded_before_the_link_is_open_borrows_nothing_of_the_connection() {
    let mut server = challenged();
    let input = bytes(ANSWER, Version::V5);
    let Ok(Step::Packet { packet: Packet::Auth(auth), .. }) = server.decode_opening(Millis(0), &input) else {
        panic!("no AUTH");
    };
    let mut out = Vec::new();
    server.challenge(auth.properties.authentication_data, &mut out).unwrap();
    assert!(out.ends_with(&[0xAA]));
}
