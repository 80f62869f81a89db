//! Stories of the server's end of a link: what is refused, when, and with which last words.

use crate::vectors::bytes;
use keyward_mqtt::codec::{Fault, Violation};
use keyward_mqtt::connection::{ConnectionLimits, Farewell, Refused, ServerConnection, Step};
use keyward_mqtt::frame::PacketType;
use keyward_mqtt::packet::{Packet, Version};
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::time::Millis;

const V3: Version = Version::V311;
const V5: Version = Version::V5;
const CONNECT_3: &str = r#"10 { "MQTT" 04 02 000A "d" }"#;
const CONNECT_5: &str = r#"10 { "MQTT" 05 02 000A { } "d" }"#;

pub(crate) fn fresh() -> ServerConnection {
    ServerConnection::new(ConnectionLimits { connect_max: 100, packet_max: 1000, topic_alias_max: 3 })
}

/// Returns a link on which this CONNECT was accepted at time 0.
pub(crate) fn open_with(connect: &str, keep_alive_secs: u16) -> ServerConnection {
    let mut server = fresh();
    let input = bytes(connect, V5);
    assert!(matches!(server.decode(Millis(0), &input), Ok(Step::Packet { .. })));
    server.established(Millis(0), keep_alive_secs);
    server
}

fn open(version: Version) -> ServerConnection {
    open_with(if version == V3 { CONNECT_3 } else { CONNECT_5 }, 0)
}

#[track_caller]
pub(crate) fn refused(server: &mut ServerConnection, notation: &str) -> Refused {
    let input = bytes(notation, server.version().unwrap_or(V5));
    server.decode(Millis(0), &input).unwrap_err()
}

#[track_caller]
fn need(server: &mut ServerConnection, input: &[u8]) -> usize {
    match server.decode(Millis(0), input) {
        Ok(Step::Incomplete { need }) => need,
        other => panic!("{other:?}"),
    }
}

pub(crate) fn words(farewell: Farewell) -> Vec<u8> {
    let mut out = Vec::new();
    farewell.encode(&mut out);
    assert_eq!(farewell.is_silent(), out.is_empty());
    out
}

#[test]
fn the_first_packet_is_connect() {
    // [MQTT-3.1.0-1]
    for first in ["30", "C0", "E0 00", r#"82 { 0001 { } "a" 00 }"#, "20"] {
        let refusal = refused(&mut fresh(), first);
        assert_eq!(refusal.error.violation, Violation::OutOfOrder, "{first}");
        assert_eq!(refusal.farewell, Farewell::Silent);
    }
}

#[test]
fn a_publish_that_announces_256_megabytes_before_connect_is_refused_at_its_first_byte() {
    assert_eq!(refused(&mut fresh(), "30 FF FF FF 7F").error.violation, Violation::OutOfOrder);
    assert_eq!(refused(&mut fresh(), "30").error.violation, Violation::OutOfOrder);
}

#[test]
fn a_connect_over_its_limit_is_refused_from_the_header() {
    let error = refused(&mut fresh(), "10 63").error;
    assert_eq!(error.violation, Violation::TooLarge { size: 101, limit: 100 });
    assert_eq!(error.fault(), Fault::OverLimit);
    assert_eq!(need(&mut fresh(), &[0x10, 98]), 100);
}

#[test]
fn a_packet_over_the_limit_is_refused_from_the_header_with_0x95() {
    let refusal = refused(&mut open(V5), "30 E6 07");
    assert_eq!(refusal.error.violation, Violation::TooLarge { size: 1001, limit: 1000 });
    assert_eq!(words(refusal.farewell), [0xE0, 1, 0x95]);
    assert_eq!(need(&mut open(V5), &[0x30, 0xE5, 0x07]), 1000);
}

#[test]
fn garbage_is_refused_in_silence() {
    for garbage in [&b"GET / HTTP/1.1\r\n"[..], b"\x16\x03\x01\x02\x00\x01", b"SSH-2.0-x", b"\0\0\0"] {
        let refusal = fresh().decode(Millis(0), garbage).unwrap_err();
        assert_eq!(refusal.farewell, Farewell::Silent);
        assert_eq!(refusal.error.fault(), Fault::PeerMisbehaved);
    }
}

#[test]
fn an_unknown_level_is_answered_in_the_nearest_version() {
    // [MQTT-3.1.2-2] of both versions
    for (connect, answer) in [
        (r#"10 { "MQIsdp" 04 02 000A "d" }"#, &[0x20, 2, 0, 1][..]),
        (r#"10 { "MQTT" 03 02 000A "d" }"#, &[0x20, 2, 0, 1]),
        (r#"10 { "MQTT" 84 02 000A "d" }"#, &[0x20, 2, 0, 1]),
        (r#"10 { "MQTT" 06 02 000A { } "d" }"#, &[0x20, 3, 0, 0x84, 0]),
    ] {
        let refusal = refused(&mut fresh(), connect);
        assert_eq!(words(refusal.farewell), answer, "{connect}");
        assert_eq!(refusal.error.fault(), Fault::PeerIncompatible);
        assert_eq!(refusal.error.reason(), ReasonCode::UnsupportedProtocolVersion);
    }
}

#[test]
fn an_empty_client_id_of_3_1_is_rejected() {
    let refusal = refused(&mut fresh(), r#"10 { "MQIsdp" 03 02 000A "" }"#);
    assert_eq!(words(refusal.farewell), [0x20, 2, 0, 2]);
    assert_eq!(refusal.error.violation, Violation::ClientIdMissing);
}

#[test]
fn only_on_a_link_of_3_1_does_dup_mark_other_packets_than_publish() {
    let mut server = open_with(r#"10 { "MQIsdp" 03 02 000A "d" }"#, 0);
    assert_eq!(server.version(), Some(Version::V31));
    let subscribe = bytes(r#"8A { 0001 "a" 01 }"#, Version::V31);
    let step = server.decode(Millis(0), &subscribe);
    assert!(matches!(step, Ok(Step::Packet { packet: Packet::Subscribe(_), .. })), "{step:?}");
    for version in [V3, V5] {
        let refusal = open(version).decode(Millis(0), &[0x8A]).unwrap_err();
        assert_eq!(refusal.error.violation, Violation::ReservedFlags);
    }
}

#[test]
fn another_protocol_name_gets_no_answer() {
    let refusal = refused(&mut fresh(), r#"10 { "AMQP" 05 02 000A { } "d" }"#);
    assert_eq!(refusal.farewell, Farewell::Silent);
}

#[test]
fn a_bad_connect_of_5_0_is_told_why() {
    for (connect, code) in [
        (r#"10 { "MQTT" 05 03 000A { } "d" }"#, 0x81),
        (r#"10 { "MQTT" 05 02 000A { 21 0000 } "d" }"#, 0x82),
        (r#"10 { "MQTT" 05 06 000A { } "d" { } "a/#" "x" }"#, 0x90),
        (r#"10 { "MQTT" 05 02 000A { } 0005 64 }"#, 0x81),
        (r#"10 7F "MQTT" 05 02"#, 0x95),
    ] {
        let refusal = refused(&mut fresh(), connect);
        assert_eq!(words(refusal.farewell), [0x20, 3, 0, code, 0], "{connect}");
    }
}

#[test]
fn a_bad_connect_of_3_1_1_is_told_only_what_return_codes_can_say() {
    // [MQTT-3.1.3-8], [MQTT-3.1.4-1], [MQTT-3.2.2-6]
    let empty_id = refused(&mut fresh(), r#"10 { "MQTT" 04 00 000A "" }"#);
    assert_eq!(words(empty_id.farewell), [0x20, 2, 0, 2]);
    for wordless in [
        r#"10 { "MQTT" 04 03 000A "d" }"#,
        r#"10 { "MQTT" 04 0A 000A "d" }"#,
        r#"10 { "MQTT" 04 1E 000A "d" "w" "" }"#,
        r#"10 { "MQTT" 04 06 000A "d" "w/#" "" }"#,
        r#"10 { "MQTT" 04 42 000A "d" "secret" }"#,
        r#"10 { "MQTT" 04 02 000A }"#,
        r#"10 { "MQTT" 04 02 000A "d" "u" }"#,
        r#"10 { "MQTT" 04 02 000A 0001 00 }"#,
        r#"10 { "MQTT" 04 02 000A 0001 FF }"#,
        r#"11 { "MQTT" 04 02 000A "d" }"#,
        r#"10 7F "MQTT" 04 02"#,
    ] {
        assert!(refused(&mut fresh(), wordless).farewell.is_silent(), "{wordless}");
    }
}

#[test]
fn nothing_is_decoded_between_connect_and_its_answer() {
    let mut server = fresh();
    let mut input = bytes(CONNECT_5, V5);
    let connect = input.len();
    input.extend(bytes(r#"30 { "a" { } }"#, V5));
    assert!(matches!(server.decode(Millis(0), &input), Ok(Step::Packet { size, .. }) if size == connect));
    assert_eq!(server.version(), Some(V5));
    assert!(matches!(server.decode(Millis(0), &input[connect..]), Ok(Step::Incomplete { .. })));
    server.established(Millis(0), 0);
    assert!(matches!(
        server.decode(Millis(0), &input[connect..]),
        Ok(Step::Packet { packet: Packet::Publish(_), .. })
    ));
}

#[test]
fn a_second_connect_ends_the_link() {
    // [MQTT-3.1.0-2]
    let refusal = refused(&mut open(V5), CONNECT_5);
    assert_eq!(refusal.error.violation, Violation::Repeated);
    assert_eq!(words(refusal.farewell), [0xE0, 1, 0x82]);
    let refusal = refused(&mut open(V3), CONNECT_3);
    assert_eq!((refusal.error.violation, refusal.farewell), (Violation::Repeated, Farewell::Silent));
}

#[test]
fn what_only_servers_send_is_refused_at_its_first_byte() {
    for first in [0x20, 0x90, 0xB0, 0xD0] {
        let refusal = open(V5).decode(Millis(0), &[first]).unwrap_err();
        assert_eq!(refusal.error.violation, Violation::WrongSender, "{first:#x}");
        assert_eq!(words(refusal.farewell), [0xE0, 1, 0x82]);
    }
}

#[test]
fn version_3_1_1_knows_no_auth_and_gets_no_last_words() {
    let refusal = open(V3).decode(Millis(0), &[0xF0]).unwrap_err();
    assert_eq!(refusal.error.violation, Violation::ReservedType);
    assert!(refusal.farewell.is_silent());
}

#[test]
fn auth_needs_a_method_in_connect() {
    // [MQTT-4.12.0-7]
    let auth = r#"F0 { 19 { 15 "m" } }"#;
    assert_eq!(refused(&mut open(V5), auth).error.violation, Violation::AuthNotBegun);
    let mut server = open_with(r#"10 { "MQTT" 05 02 000A { 15 "m" } "d" }"#, 0);
    assert!(matches!(server.decode(Millis(0), &bytes(auth, V5)), Ok(Step::Packet { .. })));
}

#[test]
fn a_topic_alias_is_refused_where_none_was_allowed() {
    // [MQTT-3.3.2-9]
    let limits = ConnectionLimits { topic_alias_max: 0, ..ConnectionLimits::default() };
    let mut server = ServerConnection::new(limits);
    server.decode(Millis(0), &bytes(CONNECT_5, V5)).unwrap();
    server.established(Millis(0), 0);
    let refusal = refused(&mut server, r#"30 { "a" { 23 0001 } }"#);
    assert_eq!(words(refusal.farewell), [0xE0, 1, 0x94]);
}

#[test]
fn a_disconnect_cannot_give_an_expiry_to_a_session_that_has_none() {
    // MQTT 5.0 chapter 3.14.2.2.2
    let raise = "E0 { 00 { 11 0000003C } }";
    let refusal = refused(&mut open(V5), raise);
    assert_eq!(refusal.error.violation, Violation::SessionExpiryRaised);
    assert_eq!(words(refusal.farewell), [0xE0, 1, 0x82]);
    for (connect, disconnect) in
        [(r#"10 { "MQTT" 05 02 000A { 11 0000000A } "d" }"#, raise), (CONNECT_5, "E0 { 00 { 11 00000000 } }")]
    {
        let input = bytes(disconnect, V5);
        assert!(matches!(open_with(connect, 0).decode(Millis(0), &input), Ok(Step::Packet { .. })));
    }
}

#[test]
fn nothing_follows_a_disconnect() {
    // [MQTT-3.14.4-1]
    let mut server = open(V5);
    server.decode(Millis(0), &[0xE0, 0]).unwrap();
    assert_eq!(server.version(), Some(V5));
    assert_eq!(need(&mut server, &[]), 1);
    let refusal = server.decode(Millis(0), &[0xC0, 0]).unwrap_err();
    assert_eq!((refusal.error.violation, refusal.farewell), (Violation::AfterDisconnect, Farewell::Silent));
}

#[test]
fn a_client_is_late_after_one_and_a_half_keep_alives_without_a_packet() {
    // [MQTT-3.1.2-22]
    let mut server = open_with(CONNECT_5, 10);
    assert_eq!(server.poll_timeout(), Some(Millis(15_000)));
    assert!(matches!(server.decode(Millis(9_000), &[0xC0]), Ok(Step::Incomplete { need: 2 })));
    assert_eq!(server.poll_timeout(), Some(Millis(15_000)), "half a packet is no sign of life");
    server.decode(Millis(10_000), &[0xC0, 0]).unwrap();
    assert!(!server.is_late(Millis(24_999)));
    assert!(server.is_late(Millis(25_000)));
}

#[test]
fn keep_alive_0_never_expires_and_login_has_no_keep_alive() {
    assert_eq!(open_with(CONNECT_5, 0).poll_timeout(), None);
    let mut server = fresh();
    server.decode(Millis(0), &bytes(CONNECT_5, V5)).unwrap();
    assert_eq!(server.poll_timeout(), None);
    server.established(Millis(7_000), 10);
    assert_eq!(server.poll_timeout(), Some(Millis(22_000)), "the answer starts the count");
}

#[test]
fn an_error_names_the_packet_the_cause_and_the_clause() {
    let error = refused(&mut open(V5), r#"30 { "a/+" { } }"#).error;
    assert_eq!(error.packet, Some(PacketType::Publish));
    assert_eq!(
        error.to_string(),
        "PUBLISH: the topic holds a wildcard, which a topic name may not [MQTT-3.3.2-2]"
    );
}
