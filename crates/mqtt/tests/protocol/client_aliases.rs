//! Topic aliases on the client's end (MQTT 5.0, chapter 3.3.2.3.4), both ways.

use crate::client::{Story, connect, message};
use keyward_mqtt::codec::Violation;
use keyward_mqtt::connection::Message;
use keyward_mqtt::packet::{Connect, Qos, Version};
use keyward_mqtt::topic::TopicName;

const V5: Version = Version::V5;

impl Story {
    /// Publishes a message without payload.
    fn says(&mut self, qos: Qos, topic: &str) {
        let topic = TopicName::parse(topic).unwrap();
        self.client.publish(self.now, &Message { topic, ..message(qos, b"") }).unwrap();
    }
}

/// Opens a link to a server that takes `most` aliases; the client takes and gives two.
fn open(most: &str) -> Story {
    let mut story = Story::new(V5);
    story.connects(&connect(V5), &format!("20 {{ 00 00 {{ 22 {most} }} }}"));
    story
}

#[test]
fn connect_announces_no_more_than_the_client_holds() {
    for (own, announced) in [(None, "22 0002"), (Some(1), "22 0001"), (Some(3), "22 0002"), (Some(0), "")] {
        let mut asking = connect(V5);
        asking.properties.topic_alias_maximum = own;
        let mut story = Story::new(V5);
        story.client.connect(story.now, &asking).unwrap();
        story.sends(&[&format!(r#"10 {{ "MQTT" 05 00 0000 {{ 27 000003E8 {announced} }} "dev01" }}"#)]);
    }
}

#[test]
fn a_message_by_alias_comes_with_the_topic_that_the_alias_was_last_given() {
    // [MQTT-3.3.2-10]
    let mut story = open("0000");
    let topic = |name: &str| format!(r#"topic: Some(TopicName("{name}"))"#);
    for (publish, name) in [
        (r#"30 { "a/b" { 23 0001 } }"#, "a/b"),
        (r#"32 { "c" 0001 { 23 0002 } }"#, "c"),
        (r#"34 { "" 0002 { 23 0001 } }"#, "a/b"),
        (r#"30 { "d" { 23 0001 } }"#, "d"),
        (r#"30 { "" { 23 0001 } }"#, "d"),
        (r#"30 { "" { 23 0002 } }"#, "c"),
    ] {
        let event = story.gets(publish);
        assert!(event.contains(&topic(name)) && event.contains("topic_alias: None"), "{publish}: {event}");
    }
    story.sends(&["40 { 0001 }", "50 { 0002 }"]);
}

#[test]
fn an_alias_that_comes_with_a_repeated_message_counts() {
    let mut story = open("0000");
    story.gets(r#"34 { "a/b" 0007 { } }"#);
    assert_eq!(story.gets(r#"3C { "a/b" 0007 { 23 0001 } }"#), "");
    assert!(story.gets(r#"30 { "" { 23 0001 } }"#).contains("a/b"));
}

#[test]
fn a_server_that_breaks_the_rules_of_aliases_is_told_which_and_gets_no_acknowledgement() {
    // [MQTT-3.3.2-8], [MQTT-3.1.2-26]
    let long = format!(r#"32 {{ "{}" 0001 {{ 23 0001 }} }}"#, "x".repeat(4_097));
    for (publish, violation, farewell) in [
        (r#"32 { "a" 0001 { 23 0000 } }"#, Violation::TopicAlias, "E0 { 94 }"),
        (r#"32 { "a" 0001 { 23 0003 } }"#, Violation::TopicAlias, "E0 { 94 }"),
        (r#"32 { "" 0001 { 23 0002 } }"#, Violation::TopicAliasUnknown, "E0 { 82 }"),
        (&long, Violation::TopicAliasLength, "E0 { 97 }"),
    ] {
        let mut story = Story::with_packets_of(5_000);
        story.connects(&connect(V5), "20 { 00 00 { } }");
        story.gets(r#"30 { "a/b" { 23 0001 } }"#);
        assert_eq!(story.refuses(publish), violation, "{publish}");
        story.sends(&[farewell]);
    }
}

#[test]
fn a_client_that_announces_no_maximum_gets_no_alias() {
    // [MQTT-3.1.2-27]
    let mut story = Story::new(V5);
    let mut plain = connect(V5);
    plain.properties.topic_alias_maximum = Some(0);
    story.connects(&plain, "20 { 00 00 { } }");
    assert_eq!(story.refuses(r#"30 { "a/b" { 23 0001 } }"#), Violation::TopicAlias);
}

#[test]
fn the_servers_aliases_end_with_their_link() {
    // [MQTT-3.3.2-7]
    let mut story = open("0000");
    story.gets(r#"30 { "a/b" { 23 0001 } }"#);
    story.reconnects("20 { 01 00 { } }");
    assert_eq!(story.refuses(r#"30 { "" { 23 0001 } }"#), Violation::TopicAliasUnknown);
}

#[test]
fn a_topic_that_comes_again_is_sent_by_its_alias() {
    let mut story = open("000A");
    story.says(Qos::AtMostOnce, "a/b/c");
    story.says(Qos::AtLeastOnce, "a/b/c");
    story.says(Qos::ExactlyOnce, "a/b/c");
    story.says(Qos::AtMostOnce, "a/b/c");
    story.sends(&[
        r#"30 { "a/b/c" { } }"#,
        r#"32 { "a/b/c" 0001 { 23 0001 } }"#,
        r#"34 { "" 0002 { 23 0001 } }"#,
        r#"30 { "" { 23 0001 } }"#,
    ]);
}

#[test]
fn a_topic_that_an_alias_would_not_shorten_gets_none() {
    let mut story = open("000A");
    let long = "x".repeat(4_097);
    for topic in ["abc", "abc", "abc", &long, &long, &long] {
        story.says(Qos::AtMostOnce, topic);
    }
    for packet in story.sent() {
        assert!(packet.ends_with(b"\x03abc\x00") || packet.len() > 4_097, "{packet:?}");
    }
}

#[test]
fn the_topic_used_least_lately_gives_its_alias_up() {
    // [MQTT-3.2.2-17]: two are all that the client gives, however many more the server takes.
    let mut story = open("FFFF");
    for topic in ["red1", "red1", "red2", "red2", "red1", "red3", "red3", "red3", "red1", "red2"] {
        story.says(Qos::AtMostOnce, topic);
    }
    story.sends(&[
        r#"30 { "red1" { } }"#,
        r#"30 { "red1" { 23 0001 } }"#,
        r#"30 { "red2" { } }"#,
        r#"30 { "red2" { 23 0002 } }"#,
        r#"30 { "" { 23 0001 } }"#,
        r#"30 { "red3" { } }"#,
        r#"30 { "red3" { 23 0002 } }"#,
        r#"30 { "" { 23 0002 } }"#,
        r#"30 { "" { 23 0001 } }"#,
        r#"30 { "red2" { } }"#,
    ]);
}

#[test]
fn the_server_gets_no_more_aliases_than_it_takes() {
    // [MQTT-3.2.2-17], [MQTT-3.2.2-18], [MQTT-3.3.2-9]
    let mut story = open("0001");
    for topic in ["red1", "red1", "red2", "red2"] {
        story.says(Qos::AtMostOnce, topic);
    }
    story.sends(&[
        r#"30 { "red1" { } }"#,
        r#"30 { "red1" { 23 0001 } }"#,
        r#"30 { "red2" { } }"#,
        r#"30 { "red2" { 23 0001 } }"#,
    ]);
    for connack in ["20 { 00 00 { } }", "20 { 00 00 { 22 0000 } }"] {
        let mut story = Story::new(V5);
        story.connects(&connect(V5), connack);
        for _ in 0..3 {
            story.says(Qos::AtMostOnce, "red1");
        }
        assert_eq!(story.sent(), vec![b"\x30\x07\x00\x04red1\x00"; 3]);
    }
}

#[test]
fn the_older_versions_know_no_alias() {
    for version in [Version::V31, Version::V311] {
        let mut story = Story::connected(version);
        for _ in 0..3 {
            story.says(Qos::AtMostOnce, "red1");
        }
        story.sends(&[r#"30 { "red1" }"#; 3]);
    }
}

#[test]
fn a_message_that_is_sent_again_names_its_topic_and_the_new_link_has_no_alias() {
    // [MQTT-3.3.2-7]
    let mut story = open("000A");
    for _ in 0..3 {
        story.says(Qos::AtLeastOnce, "a/b/c");
    }
    assert_eq!(story.sent().last().unwrap(), b"\x32\x08\x00\x00\x00\x03\x03\x23\x00\x01");
    story.reconnects("20 { 01 00 { 22 000A } }");
    story.says(Qos::AtMostOnce, "a/b/c");
    story.says(Qos::AtMostOnce, "a/b/c");
    story.sends(&[
        r#"3A { "a/b/c" 0001 { } }"#,
        r#"3A { "a/b/c" 0002 { } }"#,
        r#"3A { "a/b/c" 0003 { } }"#,
        r#"30 { "a/b/c" { } }"#,
        r#"30 { "a/b/c" { 23 0001 } }"#,
    ]);
}

#[test]
fn an_alias_never_makes_a_packet_too_large_for_the_server() {
    // [MQTT-3.2.2-15]
    let mut story = Story::new(V5);
    story.connects(&connect(V5), "20 { 00 00 { 22 000A 27 00000010 } }");
    let topic = "x".repeat(11);
    for _ in 0..3 {
        story.says(Qos::AtMostOnce, &topic);
    }
    assert_eq!(story.sent(), vec![format!("\x30\x0E\x00\x0B{topic}\x00").as_bytes(); 3]);
}

#[test]
fn a_packet_that_was_not_sent_gives_no_alias() {
    let mut story = Story::new(V5);
    story.connects(&connect(V5), "20 { 00 00 { 22 000A 27 00000014 } }");
    story.says(Qos::AtMostOnce, "a/b/c");
    let topic = TopicName::parse("a/b/c").unwrap();
    let large = Message { topic, ..message(Qos::AtMostOnce, &[0; 20]) };
    story.client.publish(story.now, &large).unwrap_err();
    story.says(Qos::AtMostOnce, "a/b/c");
    story.says(Qos::AtMostOnce, "a/b/c");
    story.sends(&[r#"30 { "a/b/c" { } }"#, r#"30 { "a/b/c" { 23 0001 } }"#, r#"30 { "" { 23 0001 } }"#]);
}

#[test]
fn a_message_that_waited_for_its_first_sending_may_have_an_alias() {
    let mut story = Story::connected(V5);
    story.client.link_lost();
    for _ in 0..3 {
        story.says(Qos::AtLeastOnce, "a/b/c");
    }
    story.connects(&Connect { clean_start: true, ..connect(V5) }, "20 { 00 00 { 22 000A } }");
    story.sends(&[
        r#"32 { "a/b/c" 0001 { } }"#,
        r#"32 { "a/b/c" 0002 { 23 0001 } }"#,
        r#"32 { "" 0003 { 23 0001 } }"#,
    ]);
}
