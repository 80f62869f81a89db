//! Bytes beside the values that they mean, one full packet of each kind; and what the encoder refuses.

use crate::vectors::bytes;
use keyward_mqtt::codec::{EncodeError, Sender, decode, encode};
use keyward_mqtt::packet::*;
use keyward_mqtt::property::*;
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::topic::TopicName;
use std::num::{NonZeroU16, NonZeroU32};

const V3: Version = Version::V311;
const V5: Version = Version::V5;

fn id(number: u16) -> PacketId {
    PacketId(NonZeroU16::new(number).unwrap())
}
fn topic(text: &str) -> TopicName<'_> {
    TopicName::parse(text).unwrap()
}

#[track_caller]
fn means(version: Version, sender: Sender, notation: &str, packet: &Packet<'_>) {
    let frame = bytes(notation, version);
    assert_eq!(&decode(version, sender, &frame).unwrap(), packet);
    let mut written = Vec::new();
    encode(packet, version, &mut written).unwrap();
    assert_eq!(written, frame);
}

#[test]
fn connect_has_all_its_fields() {
    let connect = Connect {
        version: V5,
        clean_start: true,
        keep_alive: 10,
        client_id: "dev01",
        will: Some(Will {
            topic: topic("d/lwt"),
            payload: b"gone",
            qos: Qos::ExactlyOnce,
            retain: true,
            properties: WillProperties {
                delay: Some(30),
                payload_format: Some(true),
                message_expiry: Some(60),
                content_type: Some("text"),
                response_topic: Some("r"),
                correlation_data: Some(&[1, 2]),
                user: UserProperties::List(&[("k", "v")]),
            },
        }),
        username: Some("user"),
        password: Some(b"secret"),
        properties: ConnectProperties {
            session_expiry: Some(3600),
            receive_maximum: NonZeroU16::new(20),
            maximum_packet_size: NonZeroU32::new(2_000_000),
            topic_alias_maximum: Some(10),
            request_response_information: Some(true),
            request_problem_information: Some(false),
            user: UserProperties::List(&[("a", "1"), ("a", "2")]),
            authentication_method: Some("m"),
            authentication_data: Some(&[9]),
        },
    };
    means(
        V5,
        Sender::Client,
        r#"10 { "MQTT" 05 F6 000A
            { 11 00000E10 21 0014 27 001E8480 22 000A 19 01 17 00 26 "a" "1" 26 "a" "2" 15 "m" 16 0001 09 }
            "dev01" { 18 0000001E 01 01 02 0000003C 03 "text" 08 "r" 09 0002 0102 26 "k" "v" }
            "d/lwt" "gone" "user" "secret" }"#
            .replace('\n', " ")
            .as_str(),
        &Packet::Connect(connect.clone()),
    );
    let plain = Connect {
        version: V3,
        properties: ConnectProperties::default(),
        will: connect.will.map(|will| Will { properties: WillProperties::default(), ..will }),
        ..connect
    };
    means(
        V3,
        Sender::Client,
        r#"10 { "MQTT" 04 F6 000A "dev01" "d/lwt" "gone" "user" "secret" }"#,
        &Packet::Connect(plain),
    );
}

#[test]
fn connack_has_all_its_fields() {
    let connack = ConnAck {
        session_present: true,
        reason: ReasonCode::Success,
        properties: ConnAckProperties {
            session_expiry: Some(10),
            receive_maximum: NonZeroU16::new(20),
            maximum_qos: Some(Qos::AtLeastOnce),
            retain_available: Some(false),
            maximum_packet_size: NonZeroU32::new(1),
            assigned_client_id: Some("auto"),
            topic_alias_maximum: Some(2),
            reason_string: Some("why"),
            user: UserProperties::List(&[("k", "v")]),
            wildcard_subscription_available: Some(false),
            subscription_ids_available: Some(true),
            shared_subscription_available: Some(false),
            server_keep_alive: Some(30),
            response_information: Some("r"),
            server_reference: Some("other"),
            authentication_method: Some("m"),
            authentication_data: Some(&[255]),
        },
    };
    means(
        V5,
        Sender::Server,
        r#"20 { 01 00 { 11 0000000A 21 0014 24 01 25 00 27 00000001 12 "auto" 22 0002 1F "why" 26 "k" "v" 28 00 29 01 2A 00 13 001E 1A "r" 1C "other" 15 "m" 16 0001 FF } }"#,
        &Packet::ConnAck(connack),
    );
}

#[test]
fn publish_has_all_its_fields() {
    let publish = Publish {
        dup: true,
        delivery: Delivery::ExactlyOnce(id(258)),
        retain: true,
        topic: Some(topic("a/b")),
        properties: PublishProperties {
            payload_format: Some(false),
            message_expiry: Some(60),
            topic_alias: NonZeroU16::new(7),
            response_topic: Some("r"),
            correlation_data: Some(&[0]),
            user: UserProperties::List(&[("k", "v")]),
            subscription_ids: SubscriptionIds::List(&[NonZeroU32::MIN, NonZeroU32::new(200).unwrap()]),
            content_type: Some("c"),
        },
        payload: b"hi",
    };
    means(
        V5,
        Sender::Server,
        r#"3D { "a/b" 0102 { 01 00 02 0000003C 23 0007 08 "r" 09 0001 00 26 "k" "v" 0B 01 0B C801 03 "c" } 'hi' }"#,
        &Packet::Publish(publish.clone()),
    );
    let plain = Publish { properties: PublishProperties::default(), ..publish };
    means(V3, Sender::Client, r#"3D { "a/b" 0102 'hi' }"#, &Packet::Publish(plain));
}

#[test]
fn acknowledgements_have_all_their_fields() {
    let properties = AckProperties { reason_string: Some("why"), user: UserProperties::List(&[("k", "v")]) };
    let ack = |reason| Ack { id: id(7), reason, properties: properties.clone() };
    let tail = r#"{ 1F "why" 26 "k" "v" } }"#;
    let cases = [
        ("40 { 0007 87 ", Packet::PubAck(ack(ReasonCode::NotAuthorized))),
        ("50 { 0007 00 ", Packet::PubRec(ack(ReasonCode::Success))),
        ("62 { 0007 92 ", Packet::PubRel(ack(ReasonCode::PacketIdentifierNotFound))),
        ("70 { 0007 00 ", Packet::PubComp(ack(ReasonCode::Success))),
    ];
    for (head, packet) in cases {
        means(V5, Sender::Client, &format!("{head}{tail}"), &packet);
    }
    let reasons = ReasonCodes::List(&[ReasonCode::GrantedQos2, ReasonCode::NotAuthorized]);
    let suback = SubAck { id: id(7), properties: AckProperties::default(), reasons };
    means(V5, Sender::Server, "90 { 0007 { } 02 87 }", &Packet::SubAck(suback));
    let reasons = ReasonCodes::List(&[ReasonCode::NoSubscriptionExisted]);
    let unsuback = SubAck { id: id(7), properties: AckProperties::default(), reasons };
    means(V5, Sender::Server, "B0 { 0007 { } 11 }", &Packet::UnsubAck(unsuback));
}

#[test]
fn subscribe_and_unsubscribe_have_all_their_fields() {
    let options = SubscribeOptions {
        qos: Qos::AtLeastOnce,
        no_local: true,
        retain_as_published: false,
        retain_handling: RetainHandling::IfNew,
    };
    let other = SubscribeOptions { retain_as_published: true, ..SubscribeOptions::default() };
    let subscribe = Subscribe {
        id: id(7),
        properties: SubscribeProperties {
            subscription_id: NonZeroU32::new(128),
            user: UserProperties::List(&[("k", "v")]),
        },
        filters: SubscribeFilters::List(&[("a/+", options), ("b", other)]),
    };
    means(
        V5,
        Sender::Client,
        r#"82 { 0007 { 0B 8001 26 "k" "v" } "a/+" 15 "b" 08 }"#,
        &Packet::Subscribe(subscribe),
    );
    let unsubscribe = Unsubscribe {
        id: id(7),
        properties: UnsubscribeProperties { user: UserProperties::List(&[("k", "v")]) },
        filters: UnsubscribeFilters::List(&["a/+", "b"]),
    };
    means(V5, Sender::Client, r#"A2 { 0007 { 26 "k" "v" } "a/+" "b" }"#, &Packet::Unsubscribe(unsubscribe));
}

#[test]
fn disconnect_and_auth_have_all_their_fields() {
    let mut properties = DisconnectProperties {
        session_expiry: Some(60),
        reason_string: Some("why"),
        user: UserProperties::List(&[("k", "v")]),
        server_reference: None,
    };
    let leaving = Disconnect { reason: ReasonCode::DisconnectWithWill, properties: properties.clone() };
    means(
        V5,
        Sender::Client,
        r#"E0 { 04 { 11 0000003C 1F "why" 26 "k" "v" } }"#,
        &Packet::Disconnect(leaving),
    );
    properties.session_expiry = None;
    properties.server_reference = Some("other");
    let moved = Disconnect { reason: ReasonCode::ServerMoved, properties };
    means(V5, Sender::Server, r#"E0 { 9D { 1F "why" 26 "k" "v" 1C "other" } }"#, &Packet::Disconnect(moved));
    let auth = Auth {
        reason: ReasonCode::ContinueAuthentication,
        properties: AuthProperties {
            authentication_method: Some("m"),
            authentication_data: Some(&[1]),
            reason_string: Some("why"),
            user: UserProperties::List(&[("k", "v")]),
        },
    };
    means(V5, Sender::Client, r#"F0 { 18 { 15 "m" 16 0001 01 1F "why" 26 "k" "v" } }"#, &Packet::Auth(auth));
}

fn written(packet: &Packet<'_>, version: Version) -> Result<Vec<u8>, EncodeError> {
    let mut out = vec![0xAA];
    let result = encode(packet, version, &mut out);
    if result.is_err() {
        assert_eq!(out, [0xAA], "a refused packet leaves nothing behind");
    }
    result.map(|()| out.split_off(1))
}

#[test]
fn version_3_1_1_gets_its_own_connack_codes() {
    use ReasonCode as R;
    for (reason, code) in [
        (R::Success, 0),
        (R::UnsupportedProtocolVersion, 1),
        (R::ClientIdentifierNotValid, 2),
        (R::ServerUnavailable, 3),
        (R::ServerBusy, 3),
        (R::QuotaExceeded, 3),
        (R::ConnectionRateExceeded, 3),
        (R::BadUserNameOrPassword, 4),
        (R::BadAuthenticationMethod, 4),
        (R::NotAuthorized, 5),
        (R::Banned, 5),
        (R::TopicNameInvalid, 5),
    ] {
        let properties = ConnAckProperties { reason_string: Some("why"), ..ConnAckProperties::default() };
        let connack = Packet::ConnAck(ConnAck { session_present: true, reason, properties });
        let present = u8::from(reason == R::Success);
        assert_eq!(written(&connack, V3).unwrap(), [0x20, 2, present, code], "{reason:?}");
    }
}

#[test]
fn version_3_1_1_gets_0x80_for_every_refused_filter_and_no_codes_elsewhere() {
    use ReasonCode as R;
    let reasons = ReasonCodes::List(&[R::GrantedQos1, R::NotAuthorized, R::TopicFilterInvalid]);
    let answer = SubAck { id: id(1), properties: AckProperties::default(), reasons };
    assert_eq!(written(&Packet::SubAck(answer.clone()), V3).unwrap(), [0x90, 5, 0, 1, 1, 0x80, 0x80]);
    assert_eq!(written(&Packet::UnsubAck(answer), V3).unwrap(), [0xB0, 2, 0, 1]);
    let ack = Ack { id: id(1), reason: R::NotAuthorized, properties: AckProperties::default() };
    assert_eq!(written(&Packet::PubAck(ack), V3).unwrap(), [0x40, 2, 0, 1]);
}

#[test]
fn version_3_1_1_is_not_sent_what_it_does_not_have() {
    let auth = Auth { reason: ReasonCode::Success, properties: AuthProperties::default() };
    assert_eq!(written(&Packet::Auth(auth), V3), Err(EncodeError::NotInVersion(V3)));
    let reason = ReasonCode::SessionTakenOver;
    let disconnect = Disconnect { reason, properties: DisconnectProperties::default() };
    assert_eq!(written(&Packet::Disconnect(disconnect), V3), Err(EncodeError::NotInVersion(V3)));
}

fn publish<'a>(topic: &'a str, properties: PublishProperties<'a>) -> Packet<'a> {
    let topic = TopicName::parse(topic).ok();
    Packet::Publish(Publish {
        dup: false,
        delivery: Delivery::AtMostOnce,
        retain: false,
        topic,
        properties,
        payload: b"",
    })
}

#[test]
fn a_value_that_does_not_fit_is_an_error_and_no_panic() {
    let long = "x".repeat(65_536);
    let too_long = EncodeError::ValueTooLong { len: 65_536 };
    let content_type = PublishProperties { content_type: Some(&long), ..PublishProperties::default() };
    assert_eq!(written(&publish("a", content_type), V5), Err(too_long));
    let correlation =
        PublishProperties { correlation_data: Some(long.as_bytes()), ..PublishProperties::default() };
    assert_eq!(written(&publish("a", correlation), V5), Err(too_long));
    let user = [("k", long.as_str())];
    let user = PublishProperties { user: UserProperties::List(&user), ..PublishProperties::default() };
    assert_eq!(written(&publish("a", user.clone()), V5), Err(too_long));
    assert!(written(&publish("a", user), V3).is_ok(), "3.1.1 has no properties");
    let filters = [(long.as_str(), SubscribeOptions::default())];
    let filters = SubscribeFilters::List(&filters);
    let subscribe = Subscribe { id: id(1), properties: SubscribeProperties::default(), filters };
    assert_eq!(written(&Packet::Subscribe(subscribe), V3), Err(too_long));
}

#[test]
fn a_packet_beyond_the_remaining_length_is_an_error() {
    let payload = vec![0; 268_435_455];
    let Packet::Publish(mut packet) = publish("a", PublishProperties::default()) else { unreachable!() };
    packet.payload = &payload;
    assert_eq!(written(&Packet::Publish(packet), V3), Err(EncodeError::PacketTooLarge { len: 268_435_458 }));
}

#[test]
fn nothing_that_a_peer_would_refuse_is_written() {
    let nul = PublishProperties { content_type: Some("a\0"), ..PublishProperties::default() };
    assert_eq!(written(&publish("a", nul), V5), Err(EncodeError::Nul));
    let none = PublishProperties::default();
    assert_eq!(written(&publish("", none), V5), Err(EncodeError::TopicMissing));
    let alias = PublishProperties { topic_alias: NonZeroU16::new(1), ..PublishProperties::default() };
    assert_eq!(written(&publish("", alias.clone()), V3), Err(EncodeError::TopicMissing));
    assert!(written(&publish("", alias), V5).is_ok());
    let wild = PublishProperties { response_topic: Some("r/+"), ..PublishProperties::default() };
    let range = |id| Err(EncodeError::PropertyValue(id));
    assert_eq!(written(&publish("a", wild), V5), range(PropertyId::ResponseTopic));
    let ids = [NonZeroU32::new(268_435_456).unwrap()];
    let ids =
        PublishProperties { subscription_ids: SubscriptionIds::List(&ids), ..PublishProperties::default() };
    assert_eq!(written(&publish("a", ids), V5), range(PropertyId::SubscriptionIdentifier));
    let empty = Subscribe {
        id: id(1),
        properties: SubscribeProperties::default(),
        filters: SubscribeFilters::List(&[]),
    };
    assert_eq!(written(&Packet::Subscribe(empty), V5), Err(EncodeError::EmptyList));
    let maximum_qos = Some(Qos::ExactlyOnce);
    let properties = ConnAckProperties { maximum_qos, ..ConnAckProperties::default() };
    let connack = ConnAck { session_present: false, reason: ReasonCode::Success, properties };
    assert_eq!(written(&Packet::ConnAck(connack), V5), range(PropertyId::MaximumQos));
}
