//! A PUBLISH that is encoded once and sent to many is the same packet as one encoded alone.

use crate::packets::any_packet;
use keyward_mqtt::codec::{EncodeError, PublishHead, Sender, decode, encode_publish_head, publish_len};
use keyward_mqtt::packet::{Delivery, Packet, Publish, Version};
use keyward_mqtt::property::{PropertyId, PublishProperties, SubscriptionIds, UserProperties};
use keyward_mqtt::topic::TopicName;
use proptest::prelude::*;
use std::num::{NonZeroU16, NonZeroU32};

fn head(version: Version) -> PublishHead<'static> {
    PublishHead {
        version,
        dup: false,
        delivery: Delivery::AtMostOnce,
        retain: false,
        topic: "a/b",
        topic_alias: None,
        forwarded: &[],
        message_expiry: None,
        subscription_ids: &[],
        payload_len: 2,
    }
}

#[test]
fn a_head_without_properties_is_the_plain_packet() {
    for (version, expected) in
        [(Version::V311, &b"\x30\x07\0\x03a/b"[..]), (Version::V5, &b"\x30\x08\0\x03a/b\0"[..])]
    {
        let mut out = Vec::new();
        encode_publish_head(&mut out, &head(version)).unwrap();
        assert_eq!(out, expected);
        assert_eq!(publish_len(&head(version)), expected.len() + 2);
    }
}

#[test]
fn a_head_that_cannot_be_written_leaves_nothing_behind() {
    let long = "x".repeat(65_536);
    let ids = [NonZeroU32::MAX];
    let v5 = head(Version::V5);
    for (head, error) in [
        (PublishHead { topic: &long, ..v5 }, EncodeError::ValueTooLong { len: 65_536 }),
        (PublishHead { topic: "", ..v5 }, EncodeError::TopicMissing),
        (
            PublishHead { topic: "", topic_alias: NonZeroU16::new(1), ..head(Version::V311) },
            EncodeError::TopicMissing,
        ),
        (
            PublishHead { subscription_ids: &ids, ..v5 },
            EncodeError::PropertyValue(PropertyId::SubscriptionIdentifier),
        ),
        (
            PublishHead { payload_len: 268_435_455, ..v5 },
            EncodeError::PacketTooLarge { len: 268_435_455 + 6 },
        ),
        (PublishHead { payload_len: usize::MAX, ..v5 }, EncodeError::PacketTooLarge { len: usize::MAX }),
    ] {
        let mut out = vec![0xAA];
        assert_eq!(encode_publish_head(&mut out, &head), Err(error));
        assert_eq!(out, [0xAA]);
    }
}

#[test]
fn user_properties_that_do_not_pass_are_left_out_and_the_others_keep_their_order() {
    let user = [("a", "1"), ("own", "2"), ("b", "3"), ("own", "4"), ("a", "5")];
    let sent = PublishProperties { user: UserProperties::List(&user), ..PublishProperties::default() };
    let mut forwarded = Vec::new();
    sent.encode_forwarded(|name| name != "own", &mut forwarded).unwrap();
    assert_eq!(forwarded, b"\x26\x00\x01a\x00\x011\x26\x00\x01b\x00\x013\x26\x00\x01a\x00\x015");
}

proptest! {
    #[test]
    fn a_forwarded_publish_is_what_was_published_with_the_receivers_own_properties(
        sent in any_packet().prop_filter("a publish", |sent| matches!(&sent.packet, Packet::Publish(_))),
        version in prop::sample::select(vec![Version::V31, Version::V311, Version::V5]),
        message_expiry in any::<Option<u32>>(),
        topic_alias in any::<Option<NonZeroU16>>(), is_known in any::<bool>(),
        numbers in proptest::collection::vec(1_u32..268_435_456, 0..4),
    ) {
        let Packet::Publish(publish) = sent.packet else { unreachable!() };
        let topic = publish.topic.unwrap_or(TopicName::parse("t").unwrap());
        let ids: Vec<NonZeroU32> = numbers.into_iter().filter_map(NonZeroU32::new).collect();
        let mut forwarded = Vec::new();
        publish.properties.encode_forwarded(|_| true, &mut forwarded).unwrap();
        // Only 5.0 can leave out a topic, and only for an alias.
        let named = Some(topic).filter(|_| !(is_known && version.is_v5() && topic_alias.is_some()));
        let head = PublishHead {
            version, dup: publish.dup, delivery: publish.delivery, retain: publish.retain,
            topic: named.map_or("", |topic| topic.as_str()), topic_alias, forwarded: &forwarded, message_expiry, subscription_ids: &ids, payload_len: publish.payload.len(),
        };
        let mut frame = Vec::new();
        encode_publish_head(&mut frame, &head).unwrap();
        frame.extend_from_slice(publish.payload);
        prop_assert_eq!(publish_len(&head), frame.len());
        let properties = match version {
            Version::V31 | Version::V311 => PublishProperties::default(),
            Version::V5 => PublishProperties {
                topic_alias, message_expiry, subscription_ids: SubscriptionIds::List(&ids),
                ..publish.properties.clone()
            },
        };
        let expected = Packet::Publish(Publish { topic: named, properties, ..publish });
        prop_assert_eq!(decode(version, Sender::Server, &frame).unwrap(), expected);
    }
}
