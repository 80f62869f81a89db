//! Stories of the client's end of a link, against a server that is written out packet by packet.

use crate::vectors::bytes;
use keyward_mqtt::codec::{EncodeError, Sender, Violation, decode};
use keyward_mqtt::connection::{
    ClientConnection, ClientError, ClientEvent, ClientLimits, ClientStep, Message,
};
use keyward_mqtt::frame;
use keyward_mqtt::packet::*;
use keyward_mqtt::property::*;
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::time::Millis;
use keyward_mqtt::topic::TopicName;
use std::num::{NonZeroU16, NonZeroU32};

const V3: Version = Version::V311;
const V5: Version = Version::V5;
const LIMITS: ClientLimits = ClientLimits {
    packet_max: 1000,
    in_flight_max: 10,
    queue_max: 20,
    requests_max: 2,
    topic_alias_max: 2,
    topic_alias_out_max: 2,
    answer_timeout: Millis(5_000),
};

/// Is a client, and the server's side of its story.
pub(crate) struct Story {
    pub(crate) client: ClientConnection,
    pub(crate) now: Millis,
    version: Version,
}

pub(crate) fn connect(version: Version) -> Connect<'static> {
    Connect {
        version,
        clean_start: false,
        keep_alive: 0,
        client_id: "dev01",
        will: None,
        username: None,
        password: None,
        properties: ConnectProperties::default(),
    }
}

pub(crate) fn message(qos: Qos, payload: &[u8]) -> Message<'_> {
    let properties = PublishProperties::default();
    Message { topic: TopicName::parse("t").unwrap(), payload, qos, retain: false, properties }
}

pub(crate) fn normal_end() -> Disconnect<'static> {
    Disconnect { reason: ReasonCode::Success, properties: DisconnectProperties::default() }
}

impl Story {
    pub(crate) fn new(version: Version) -> Self {
        Self { client: ClientConnection::new(LIMITS), now: Millis(0), version }
    }

    /// Returns a story of a client that takes larger packets.
    pub(crate) fn with_packets_of(packet_max: u32) -> Self {
        Self { client: ClientConnection::new(ClientLimits { packet_max, ..LIMITS }), ..Self::new(V5) }
    }

    /// Returns a story whose link the server accepted.
    pub(crate) fn connected(version: Version) -> Self {
        let mut story = Self::new(version);
        story.connects(&connect(version), "20 { 00 00 {5 } }");
        story
    }

    pub(crate) fn connects(&mut self, connect: &Connect<'_>, connack: &str) -> String {
        self.client.connect(self.now, connect).unwrap();
        assert_eq!(self.sent().len(), 1);
        self.gets(connack)
    }

    /// Loses the link and takes a new one.
    pub(crate) fn reconnects(&mut self, connack: &str) -> String {
        self.client.link_lost();
        self.connects(&connect(self.version), connack)
    }

    /// Gives the client one packet; returns its event, printed, or nothing.
    #[track_caller]
    pub(crate) fn gets(&mut self, notation: &str) -> String {
        let input = bytes(notation, self.version);
        match self.client.handle(self.now, &input).unwrap() {
            ClientStep::Packet { event, size } => {
                assert_eq!(size, input.len());
                event.map_or(String::new(), |event| format!("{event:?}"))
            }
            ClientStep::Incomplete { need } => panic!("{notation} is incomplete, {need}"),
        }
    }

    #[track_caller]
    pub(crate) fn refuses(&mut self, notation: &str) -> Violation {
        let input = bytes(notation, self.version);
        match self.client.handle(self.now, &input) {
            Err(ClientError::Server(error)) => error.violation,
            other => panic!("{other:?}"),
        }
    }

    /// Takes what the client sent, cut into packets.
    pub(crate) fn sent(&mut self) -> Vec<Vec<u8>> {
        let mut packets = Vec::new();
        while let Some(header) = frame::peek(self.client.output()).unwrap() {
            let packet = self.client.output()[..header.total_len].to_vec();
            decode(self.version, Sender::Client, &packet).unwrap();
            self.client.written(packet.len());
            packets.push(packet);
        }
        assert!(self.client.output().is_empty());
        packets
    }

    #[track_caller]
    pub(crate) fn sends(&mut self, expected: &[&str]) {
        let expected: Vec<_> = expected.iter().map(|notation| bytes(notation, self.version)).collect();
        assert_eq!(self.sent(), expected);
    }

    pub(crate) fn publishes(&mut self, qos: Qos, payload: &[u8]) -> Result<Option<PacketId>, ClientError> {
        self.client.publish(self.now, &message(qos, payload))
    }
}

#[test]
fn a_link_opens_with_connack() {
    for version in [V3, V5] {
        let mut story = Story::new(version);
        let event = story.connects(&connect(version), "20 { 00 00 {5 } }");
        assert!(event.starts_with("Connected"), "{event}");
        assert!(story.client.is_connected());
        story.sends(&[]);
    }
}

#[test]
fn a_refused_link_says_why() {
    let mut story = Story::new(V3);
    let event = story.connects(&connect(V3), "20 { 00 05 }");
    assert!(event.starts_with("Refused") && event.contains("NotAuthorized"), "{event}");
    assert!(!story.client.is_connected());
}

#[test]
fn in_5_0_connect_announces_the_smaller_of_its_own_packet_limit_and_the_clients() {
    for (own, announced) in
        [(None, "000003E8"), (NonZeroU32::new(5000), "000003E8"), (NonZeroU32::new(16), "00000010")]
    {
        let mut story = Story::new(V5);
        let mut limited = connect(V5);
        limited.properties.maximum_packet_size = own;
        story.client.connect(Millis(0), &limited).unwrap();
        story.sends(&[&format!(r#"10 {{ "MQTT" 05 00 0000 {{ 27 {announced} 22 0002 }} "dev01" }}"#)]);
    }
}

#[test]
fn a_silent_server_is_given_up_on() {
    let mut story = Story::new(V5);
    story.client.connect(Millis(100), &connect(V5)).unwrap();
    assert_eq!(story.client.poll_timeout(), Some(Millis(5_100)));
    story.client.handle_timeout(Millis(5_099)).unwrap();
    assert_eq!(story.client.handle_timeout(Millis(5_100)), Err(ClientError::ServerSilent));
}

#[test]
fn qos_0_is_sent_and_forgotten() {
    let mut story = Story::connected(V3);
    assert_eq!(story.publishes(Qos::AtMostOnce, b"x"), Ok(None));
    story.sends(&[r#"30 { "t" 'x' }"#]);
    assert_eq!(story.client.unacknowledged(), 0);
}

#[test]
fn qos_0_without_a_link_is_an_error() {
    assert_eq!(Story::new(V5).publishes(Qos::AtMostOnce, b"x"), Err(ClientError::NotConnected));
    assert_eq!(Story::new(V5).publishes(Qos::AtLeastOnce, b"x"), Err(ClientError::NotConnected));
}

#[test]
fn qos_1_ends_with_puback() {
    let mut story = Story::connected(V5);
    let id = story.publishes(Qos::AtLeastOnce, b"x").unwrap().unwrap();
    assert_eq!(id, PacketId(NonZeroU16::MIN));
    story.sends(&[r#"32 { "t" 0001 { } 'x' }"#]);
    let event = story.gets("40 { 0001 10 }");
    assert!(event.starts_with("Published") && event.contains("NoMatchingSubscribers"), "{event}");
    assert_eq!(story.client.unacknowledged(), 0);
    assert_eq!(story.gets("40 { 0001 }"), "", "an acknowledgement of nothing is passed over");
}

#[test]
fn qos_2_out_takes_four_packets() {
    for version in [V3, V5] {
        let mut story = Story::connected(version);
        story.publishes(Qos::ExactlyOnce, b"x").unwrap();
        story.sends(&[r#"34 { "t" 0001 {5 } 'x' }"#]);
        assert_eq!(story.gets("50 { 0001 }"), "");
        story.sends(&["62 { 0001 }"]);
        assert!(story.gets("70 { 0001 }").starts_with("Published"));
        assert_eq!(story.client.unacknowledged(), 0);
    }
}

#[test]
fn a_refused_qos_2_message_ends_with_pubrec() {
    let mut story = Story::connected(V5);
    story.publishes(Qos::ExactlyOnce, b"x").unwrap();
    story.sent();
    assert!(story.gets("50 { 0001 87 }").contains("NotAuthorized"));
    story.sends(&[]);
    assert_eq!(story.client.unacknowledged(), 0);
}

#[test]
fn qos_2_in_comes_once() {
    // [MQTT-4.3.3-10]
    for version in [V3, V5] {
        let mut story = Story::connected(version);
        assert!(story.gets(r#"34 { "t" 0007 {5 } 'x' }"#).starts_with("Message"));
        story.sends(&["50 { 0007 }"]);
        assert_eq!(story.gets(r#"3C { "t" 0007 {5 } 'x' }"#), "");
        story.sends(&["50 { 0007 }"]);
        assert_eq!(story.gets("62 { 0007 }"), "");
        story.sends(&["70 { 0007 }"]);
        assert!(
            story.gets(r#"34 { "t" 0007 {5 } 'x' }"#).starts_with("Message"),
            "the identifier is free again"
        );
    }
}

#[test]
fn qos_2_in_survives_a_lost_link() {
    let mut story = Story::connected(V5);
    story.gets(r#"34 { "t" 0007 { } 'x' }"#);
    story.reconnects("20 { 01 00 { } }");
    assert_eq!(story.gets(r#"3C { "t" 0007 { } 'x' }"#), "");
    story.sends(&["50 { 0007 }"]);
    story.reconnects("20 { 00 00 { } }");
    assert!(
        story.gets(r#"34 { "t" 0007 { } 'x' }"#).starts_with("Message"),
        "another session, another message"
    );
}

#[test]
fn an_unknown_release_is_answered() {
    let mut story = Story::connected(V5);
    assert_eq!(story.gets("62 { 0007 }"), "");
    story.sends(&["70 { 0007 92 }"]);
    assert_eq!(story.gets("50 { 0007 }"), "");
    story.sends(&["62 { 0007 92 }"]);
}

#[test]
fn a_qos_1_message_that_came_is_acknowledged_and_one_of_qos_0_is_not() {
    // [MQTT-3.3.4-1]
    for version in [V3, V5] {
        let mut story = Story::connected(version);
        assert!(story.gets(r#"32 { "t" 0007 {5 } 'x' }"#).starts_with("Message"));
        story.sends(&["40 { 0007 }"]);
        assert!(story.gets(r#"30 { "t" {5 } 'x' }"#).starts_with("Message"));
        story.sends(&[]);
    }
}

#[test]
fn a_resumed_session_sends_again_in_order_with_dup() {
    // [MQTT-4.4.0-1], [MQTT-4.6.0-1], [MQTT-3.3.1-1]
    for version in [V3, V5] {
        let mut story = Story::connected(version);
        for payload in [b"1", b"2", b"3", b"4"] {
            story
                .publishes(if payload == b"2" { Qos::AtLeastOnce } else { Qos::ExactlyOnce }, payload)
                .unwrap();
        }
        story.gets("50 { 0001 }");
        story.gets("50 { 0003 }");
        story.reconnects("20 { 01 00 {5 } }");
        story.sends(&[
            "62 { 0001 }",
            "62 { 0003 }",
            r#"3A { "t" 0002 {5 } '2' }"#,
            r#"3C { "t" 0004 {5 } '4' }"#,
        ]);
        story.gets("70 { 0001 }");
        story.gets("40 { 0002 }");
        story.gets("70 { 0003 }");
        assert_eq!(story.client.unacknowledged(), 1);
    }
}

#[test]
fn a_session_that_the_server_lost_is_given_up_but_for_what_was_never_sent() {
    // [MQTT-3.2.2-5]
    let mut story = Story::connected(V5);
    story.publishes(Qos::AtLeastOnce, b"1").unwrap();
    story.publishes(Qos::ExactlyOnce, b"2").unwrap();
    story.gets("50 { 0002 }");
    story.client.link_lost();
    story.publishes(Qos::AtLeastOnce, b"3").unwrap();
    let event = story.connects(&connect(V5), "20 { 00 00 { } }");
    assert!(event.contains("discarded: [PacketId(2), PacketId(1)]"), "{event}");
    story.sends(&[r#"32 { "t" 0003 { } '3' }"#]);
    assert_eq!(story.client.unacknowledged(), 1);
}

#[test]
fn no_more_messages_are_under_way_than_the_server_receives() {
    // [MQTT-3.3.4-7]
    let mut story = Story::new(V5);
    story.connects(&connect(V5), "20 { 00 00 { 21 0002 } }");
    for payload in [b"1", b"2", b"3", b"4"] {
        story.publishes(Qos::ExactlyOnce, payload).unwrap();
    }
    story.sends(&[r#"34 { "t" 0001 { } '1' }"#, r#"34 { "t" 0002 { } '2' }"#]);
    story.gets("50 { 0001 }");
    story.sends(&["62 { 0001 }"]);
    story.gets("70 { 0001 }");
    story.sends(&[r#"34 { "t" 0003 { } '3' }"#]);
    story.gets("50 { 0002 97 }");
    story.sends(&[r#"34 { "t" 0004 { } '4' }"#]);
    assert_eq!(story.publishes(Qos::AtMostOnce, b"5"), Ok(None), "QoS 0 is not counted");
    assert_eq!(story.sent().len(), 1);
}

#[test]
fn a_full_queue_refuses() {
    let mut story = Story::connected(V5);
    for _ in 0..20 {
        story.publishes(Qos::AtLeastOnce, b"x").unwrap();
    }
    assert_eq!(story.publishes(Qos::AtLeastOnce, b"x"), Err(ClientError::QueueFull));
    assert_eq!(story.sent().len(), 10, "no more are under way than the client's own limit");
    story.gets("40 { 0001 }");
    assert!(story.publishes(Qos::AtLeastOnce, b"x").is_ok());
}

#[test]
fn a_server_that_exceeds_the_receive_maximum_is_told_0x93() {
    // [MQTT-3.3.4-9]
    let mut story = Story::new(V5);
    let mut small = connect(V5);
    small.properties.receive_maximum = NonZeroU16::new(1);
    story.connects(&small, "20 { 00 00 { } }");
    story.gets(r#"34 { "t" 0001 { } }"#);
    story.sent();
    assert_eq!(story.refuses(r#"34 { "t" 0002 { } }"#), Violation::ReceiveMaximum);
    story.sends(&["E0 { 93 }"]);
    assert!(!story.client.is_connected());
}

#[test]
fn a_quiet_link_is_kept_alive() {
    // [MQTT-3.1.2-20]
    let mut story = Story::new(V5);
    story.connects(&Connect { keep_alive: 60, ..connect(V5) }, "20 { 00 00 { 13 0004 } }");
    assert_eq!(story.client.poll_timeout(), Some(Millis(3_000)), "the server's keep-alive counts");
    story.now = Millis(2_000);
    story.publishes(Qos::AtMostOnce, b"x").unwrap();
    story.sent();
    story.client.handle_timeout(Millis(3_000)).unwrap();
    story.sends(&[]);
    story.client.handle_timeout(Millis(5_000)).unwrap();
    story.sends(&["C0 00"]);
    story.now = Millis(6_000);
    assert_eq!(story.gets("D0 00"), "");
    assert_eq!(story.client.poll_timeout(), Some(Millis(8_000)));
    story.client.handle_timeout(Millis(8_000)).unwrap();
    story.client.handle_timeout(Millis(11_000)).unwrap();
    story.sends(&["C0 00", "C0 00"]);
    assert_eq!(story.client.handle_timeout(Millis(13_000)), Err(ClientError::ServerSilent));
}

#[test]
fn keep_alive_0_sends_nothing() {
    assert_eq!(Story::connected(V5).client.poll_timeout(), None);
}

#[test]
fn the_servers_disconnect_is_told() {
    let mut story = Story::connected(V5);
    let event = story.gets(r#"E0 { 8E { 1F "elsewhere" } }"#);
    assert!(
        event.starts_with("Disconnected")
            && event.contains("SessionTakenOver")
            && event.contains("elsewhere")
    );
    assert!(!story.client.is_connected());
    assert_eq!(story.client.handle(Millis(0), &[0xD0, 0]), Err(ClientError::NotConnected));
}

#[test]
fn the_clients_disconnect_ends_the_link() {
    let mut story = Story::connected(V5);
    let mut raising = normal_end();
    raising.properties.session_expiry = Some(60);
    assert_eq!(
        story.client.disconnect(&raising),
        Err(ClientError::Encode(EncodeError::PropertyValue(PropertyId::SessionExpiryInterval)))
    );
    story.client.disconnect(&normal_end()).unwrap();
    story.sends(&["E0 00"]);
    assert_eq!(story.client.disconnect(&normal_end()), Err(ClientError::NotConnected));
}

pub(crate) fn subscribe(story: &mut Story, filters: &[&str]) -> Result<PacketId, ClientError> {
    let list: Vec<_> = filters.iter().map(|filter| (*filter, SubscribeOptions::default())).collect();
    story.client.subscribe(Millis(0), SubscribeFilters::List(&list), &SubscribeProperties::default())
}

#[test]
fn subscriptions_are_answered_filter_by_filter() {
    let mut story = Story::connected(V5);
    subscribe(&mut story, &["a", "b"]).unwrap();
    story.sends(&[r#"82 { 0001 { } "a" 00 "b" 00 }"#]);
    assert!(story.gets("90 { 0001 { } 00 87 }").starts_with("Subscribed"));
    let filters = UnsubscribeFilters::List(&["a"]);
    story.client.unsubscribe(Millis(0), filters, &UnsubscribeProperties::default()).unwrap();
    story.sends(&[r#"A2 { 0002 { } "a" }"#]);
    assert!(story.gets("B0 { 0002 { } 11 }").starts_with("Unsubscribed"));
}

#[test]
fn an_answer_that_fits_no_request_ends_the_link() {
    // [MQTT-3.8.4-6]
    for answer in ["90 { 0001 { } 00 }", "90 { 0002 { } 00 00 }", "B0 { 0001 { } 00 00 }"] {
        let mut story = Story::connected(V5);
        subscribe(&mut story, &["a", "b"]).unwrap();
        story.sent();
        assert_eq!(story.refuses(answer), Violation::Unasked, "{answer}");
        story.sends(&["E0 { 82 }"]);
    }
}

#[test]
fn requests_are_bounded_and_die_with_the_link() {
    let mut story = Story::connected(V5);
    subscribe(&mut story, &["a"]).unwrap();
    subscribe(&mut story, &["b"]).unwrap();
    assert_eq!(subscribe(&mut story, &["c"]), Err(ClientError::TooManyRequests));
    story.reconnects("20 { 01 00 { } }");
    story.sends(&[]);
    assert_eq!(story.refuses("90 { 0001 { } 00 }"), Violation::Unasked);
}

#[test]
fn what_the_server_does_not_take_is_not_sent() {
    // [MQTT-3.2.2-11], [MQTT-3.2.2-14], [MQTT-3.2.2-15]
    let mut story = Story::new(V5);
    story.connects(&connect(V5), "20 { 00 00 { 24 01 25 00 27 00000010 } }");
    assert_eq!(story.publishes(Qos::ExactlyOnce, b"x"), Err(ClientError::QosNotSupported));
    let retained = Message { retain: true, ..message(Qos::AtMostOnce, b"x") };
    assert_eq!(story.client.publish(Millis(0), &retained), Err(ClientError::RetainNotSupported));
    assert_eq!(story.publishes(Qos::AtMostOnce, &[0; 11]), Err(ClientError::PacketTooLarge));
    assert_eq!(story.publishes(Qos::AtLeastOnce, &[0; 9]), Err(ClientError::PacketTooLarge));
    story.sends(&[]);
    assert!(story.publishes(Qos::AtMostOnce, &[0; 10]).is_ok());
    assert!(story.publishes(Qos::AtLeastOnce, &[0; 8]).is_ok());
    assert_eq!(story.client.unacknowledged(), 1);
}

#[test]
fn a_server_that_takes_less_than_what_waits_for_it_is_left() {
    let mut story = Story::connected(V5);
    story.publishes(Qos::ExactlyOnce, b"x").unwrap();
    story.client.link_lost();
    story.client.connect(Millis(0), &connect(V5)).unwrap();
    story.sent();
    let connack = bytes("20 { 01 00 { 24 01 } }", V5);
    assert_eq!(story.client.handle(Millis(0), &connack), Err(ClientError::QosNotSupported));
    story.sends(&["E0 { 80 }"]);
}

#[test]
fn a_server_that_breaks_the_protocol_is_told_in_5_0_and_left() {
    for (packet, violation, code) in [
        ("20 { 00 00 { } }", Violation::Repeated, 0x82),
        ("C0", Violation::WrongSender, 0x82),
        (r#"30 { "" { 23 0003 } }"#, Violation::TopicAlias, 0x94),
        (r#"36 { "t" 0001 { } }"#, Violation::Qos, 0x81),
        ("30 E6 07", Violation::TooLarge { size: 1001, limit: 1000 }, 0x95),
        (r#"F0 { 18 { 15 "m" } }"#, Violation::AuthNotBegun, 0x82),
    ] {
        let mut story = Story::connected(V5);
        assert_eq!(story.refuses(packet), violation);
        assert_eq!(story.sent(), [vec![0xE0, 1, code]]);
    }
    let mut story = Story::connected(V3);
    assert_eq!(story.refuses("C0"), Violation::WrongSender);
    story.sends(&[]);
}

#[test]
fn before_connack_nothing_else_comes() {
    // [MQTT-3.2.0-1]
    for packet in [r#"30 { "t" { } }"#, "D0 00", "E0 00"] {
        let mut story = Story::new(V5);
        story.client.connect(Millis(0), &connect(V5)).unwrap();
        story.sent();
        assert_eq!(story.refuses(packet), Violation::OutOfOrder, "{packet}");
        story.sends(&[]);
    }
}

#[test]
fn a_session_after_a_clean_start_is_refused() {
    // [MQTT-3.2.2-2]
    let mut story = Story::new(V5);
    story.client.connect(Millis(0), &Connect { clean_start: true, ..connect(V5) }).unwrap();
    story.sent();
    assert_eq!(story.refuses("20 { 01 00 { } }"), Violation::SessionPresent);
}

#[test]
fn enhanced_authentication_passes_both_ways() {
    let mut story = Story::new(V5);
    let mut asking = connect(V5);
    asking.properties.authentication_method = Some("m");
    story.client.connect(Millis(0), &asking).unwrap();
    story.sent();
    assert!(story.gets(r#"F0 { 18 { 15 "m" 16 0001 01 } }"#).starts_with("Auth"));
    let properties = AuthProperties { authentication_method: Some("m"), ..AuthProperties::default() };
    let auth = Auth { reason: ReasonCode::ContinueAuthentication, properties };
    story.client.authenticate(Millis(0), &auth).unwrap();
    story.sends(&[r#"F0 { 18 { 15 "m" } }"#]);
    assert!(story.gets(r#"20 { 00 00 { 15 "m" } }"#).starts_with("Connected"));
}

#[test]
fn who_named_no_method_in_connect_sends_no_auth() {
    // [MQTT-4.12.0-7]
    for reason in [ReasonCode::ReAuthenticate, ReasonCode::ContinueAuthentication] {
        let mut story = Story::connected(V5);
        let sent = story.client.authenticate(Millis(0), &auth(reason, "m"));
        assert_eq!(sent, Err(ClientError::NotConnected));
        story.sends(&[]);
    }
}

/// Is the story of a client that asked for the method "m" and was let in after one challenge, or is before that.
fn authenticating(is_open: bool) -> Story {
    let mut story = Story::new(V5);
    let mut asking = connect(V5);
    asking.properties.authentication_method = Some("m");
    story.client.connect(Millis(0), &asking).unwrap();
    story.sent();
    if is_open {
        story.gets(r#"20 { 00 00 { 15 "m" } }"#);
    }
    story
}

fn auth(reason: ReasonCode, method: &str) -> Auth<'_> {
    Auth {
        reason,
        properties: AuthProperties { authentication_method: Some(method), ..AuthProperties::default() },
    }
}

#[test]
fn an_open_link_is_authenticated_again_in_turns() {
    // [MQTT-4.12.1-1]
    let mut story = authenticating(true);
    story.client.authenticate(Millis(0), &auth(ReasonCode::ReAuthenticate, "m")).unwrap();
    story.sends(&[r#"F0 { 19 { 15 "m" } }"#]);
    let early = story.client.authenticate(Millis(0), &auth(ReasonCode::ContinueAuthentication, "m"));
    assert_eq!(early, Err(EncodeError::AuthOutOfTurn.into()), "it is the server's turn");
    assert!(story.gets(r#"F0 { 18 { 15 "m" } }"#).starts_with("Auth"));
    story.client.authenticate(Millis(0), &auth(ReasonCode::ContinueAuthentication, "m")).unwrap();
    story.sends(&[r#"F0 { 18 { 15 "m" } }"#]);
    assert!(story.gets(r#"F0 { 00 { 15 "m" } }"#).starts_with("Auth"));
    assert!(story.client.is_connected());
}

#[test]
fn a_client_sends_no_other_step_and_no_other_method() {
    // [MQTT-4.12.0-5]
    for (reason, method) in [(ReasonCode::ContinueAuthentication, "m"), (ReasonCode::ReAuthenticate, "n")] {
        let mut story = authenticating(true);
        let sent = story.client.authenticate(Millis(0), &auth(reason, method));
        assert_eq!(sent, Err(EncodeError::AuthOutOfTurn.into()));
        story.sends(&[]);
    }
}

#[test]
fn a_server_that_changes_the_method_or_takes_a_step_too_many_is_refused() {
    // [MQTT-4.12.0-5], [MQTT-4.12.0-6]
    for (is_open, packet, violation) in [
        (false, r#"F0 { 18 { 15 "n" } }"#, Violation::AuthMethodOther),
        (false, r#"F0 { 00 { 15 "m" } }"#, Violation::AuthOutOfTurn),
        (false, "20 { 00 00 { } }", Violation::AuthMethodOther),
        (true, r#"F0 { 18 { 15 "m" } }"#, Violation::AuthOutOfTurn),
        (true, r#"F0 { 00 { 15 "m" } }"#, Violation::AuthOutOfTurn),
    ] {
        assert_eq!(authenticating(is_open).refuses(packet), violation, "{packet}");
    }
    let mut unasked = Story::new(V5);
    unasked.client.connect(Millis(0), &connect(V5)).unwrap();
    unasked.sent();
    assert_eq!(unasked.refuses(r#"20 { 00 00 { 15 "m" } }"#), Violation::AuthMethodOther);
}

#[test]
fn misuse_is_an_error_and_changes_nothing() {
    let mut story = Story::connected(V5);
    assert_eq!(story.client.connect(Millis(0), &connect(V5)), Err(ClientError::AlreadyConnected));
    let mut aliased = message(Qos::AtMostOnce, b"x");
    aliased.properties.topic_alias = NonZeroU16::new(1);
    assert_eq!(story.client.publish(Millis(0), &aliased), Err(ClientError::TopicAlias));
    story.sends(&[]);
    story.publishes(Qos::AtLeastOnce, b"x").unwrap();
    story.client.link_lost();
    assert_eq!(story.client.connect(Millis(0), &connect(V3)), Err(ClientError::OtherVersion));
    let long = "x".repeat(70_000);
    let too_long = Connect { client_id: &long, ..connect(V5) };
    assert!(matches!(story.client.connect(Millis(0), &too_long), Err(ClientError::Encode(_))));
    story.connects(&connect(V5), "20 { 01 00 { } }");
    story.sends(&[r#"3A { "t" 0001 { } 'x' }"#]);
}

#[test]
fn packet_identifiers_in_use_are_passed_over() {
    // [MQTT-2.2.1-3]
    let mut story = Story::connected(V5);
    story.publishes(Qos::AtLeastOnce, b"held").unwrap();
    for _ in 0..65_534 {
        let id = story.publishes(Qos::AtLeastOnce, b"x").unwrap().unwrap();
        story.client.written(usize::MAX);
        let [high, low] = id.0.get().to_be_bytes();
        story.client.handle(Millis(0), &[0x40, 2, high, low]).unwrap();
    }
    let id = story.publishes(Qos::AtLeastOnce, b"x").unwrap().unwrap();
    assert_eq!(id.0.get(), 2, "0 does not exist and 1 is held");
}

#[test]
fn half_a_packet_waits_for_the_rest() {
    let mut story = Story::connected(V5);
    let whole = bytes(r#"30 { "t" { } 'x' }"#, V5);
    for end in 0..whole.len() {
        assert!(matches!(
            story.client.handle(Millis(0), &whole[..end]),
            Ok(ClientStep::Incomplete { need }) if need > end
        ));
    }
    assert!(matches!(
        story.client.handle(Millis(0), &whole),
        Ok(ClientStep::Packet { event: Some(ClientEvent::Message(_)), .. })
    ));
}
