//! The broker names topics towards clients of 5.0 that take aliases (chapter 3.3.2.3.4). Each client here puts the topic
//! in for the alias as it knows it, and fails if it does not.

use crate::peer::{Peer, at, hello, hello5, letter};
use crate::world::{World, in_every_world};
use keyward_mqtt::packet::{Qos, Version};

const LONG: &str = "plant/hall/line/temperature";

/// Publishes, and returns which alias the reader got with it and how many bytes.
fn next(w: &mut World, writer: Peer, reader: Peer, topic: &str, payload: &str) -> (Option<u16>, usize) {
    w.publish(writer, letter(topic, payload));
    let messages = w.messages(reader);
    let [message] = &messages[..] else { panic!("{messages:?}") };
    assert_eq!((message.topic.as_str(), &message.payload[..]), (topic, payload.as_bytes()));
    (message.alias, w.frames(reader).last().unwrap().len())
}

#[test]
fn a_topic_that_comes_again_is_sent_by_its_alias() {
    in_every_world(|w| {
        let (writer, reader) =
            (w.connect(hello5("user:app", "writer")), w.connect(hello5("user:app", "reader").aliases(1)));
        w.subscribe(reader, "#");
        let (first, whole) = next(w, writer, reader, LONG, "1");
        assert_eq!(first, None, "a topic that may never come again gets none");
        assert_eq!(next(w, writer, reader, LONG, "2"), (Some(1), whole + 3));
        for _ in 0..3 {
            assert_eq!(next(w, writer, reader, LONG, "3"), (Some(1), whole + 3 - LONG.len()));
        }
        // Another topic takes the only alias over.
        let others: Vec<_> = (0..3).map(|_| next(w, writer, reader, "another/topic", "4").0).collect();
        assert_eq!(others, [None, Some(1), Some(1)]);
    });
}

#[test]
fn nobody_gets_an_alias_who_takes_none_or_saves_none() {
    in_every_world(|w| {
        let writer = w.connect(hello5("user:app", "writer"));
        let plain = w.connect(hello5("user:app", "plain"));
        let old = w.connect(hello(Version::V311, "user:app", "old"));
        let taking = w.connect(hello5("user:app", "taking").aliases(100));
        for reader in [plain, old] {
            w.subscribe(reader, LONG);
            (0..3).for_each(|_| assert_eq!(next(w, writer, reader, LONG, "x").0, None));
        }
        w.subscribe(taking, "abc");
        (0..3).for_each(|_| assert_eq!(next(w, writer, taking, "abc", "x").0, None));
    });
}

#[test]
fn many_topics_share_few_aliases_and_all_arrive_under_their_own_names() {
    in_every_world(|w| {
        let writer = w.connect(hello5("user:app", "writer"));
        let reader = w.connect(hello5("user:app", "reader").aliases(3));
        w.subscribe_with(reader, "#", at(Qos::AtLeastOnce), Some(7));
        let mut aliased = 0;
        for number in 0..200_u16 {
            let topic = format!("plant/{}", number * number / 3 % 11);
            w.publish(writer, letter(&topic, &topic).qos1(1 + number));
            for message in w.messages(reader) {
                assert_eq!(message.topic.as_bytes(), message.payload);
                assert_eq!(message.subscription_ids, [7]);
                aliased += usize::from(message.alias.is_some());
            }
        }
        assert!(aliased > 20, "{aliased}");
    });
}

#[test]
fn a_new_link_knows_no_alias_of_the_one_before() {
    in_every_world(|w| {
        let writer = w.connect(hello5("user:app", "writer"));
        let greeting = hello5("user:app", "reader").aliases(5).silent();
        let reader = w.connect(greeting.clone());
        w.subscribe(reader, "#");
        for number in 1..=4 {
            w.publish(writer, letter(LONG, &number.to_string()).qos1(number));
        }
        assert!(w.messages(reader).last().unwrap().alias.is_some());
        w.lose(reader);
        // The new client would not know what an alias stands for.
        let reader = w.connect(greeting);
        let again = w.messages(reader);
        let topics: Vec<_> = again.iter().map(|message| (message.topic.as_str(), message.dup)).collect();
        assert_eq!(topics, [(LONG, true); 4]);
        w.lose(reader);
        let reader = w.connect(hello5("user:app", "reader"));
        assert!(w.messages(reader).iter().all(|message| message.alias.is_none()));
    });
}

#[test]
fn an_alias_means_nothing_before_its_packet_was_written() {
    in_every_world(|w| {
        let writer = w.connect(hello5("user:app", "writer"));
        let whole = 1 + 1 + 2 + LONG.len() + 1 + 10;
        let reader = w.connect(hello5("user:app", "reader").aliases(1).packet_max(whole as u32));
        w.subscribe(reader, "#");
        for _ in 0..3 {
            w.publish(writer, letter(LONG, "far too large to be taken by this one"));
        }
        assert!(w.messages(reader).is_empty());
        // Ten bytes fit with the topic, and with the alias alone, but not with both.
        for _ in 0..3 {
            assert_eq!(next(w, writer, reader, LONG, "ten bytes!"), (None, whole));
        }
        assert_eq!(next(w, writer, reader, LONG, "seven b").0, Some(1));
        assert_eq!(next(w, writer, reader, LONG, "ten bytes!"), (Some(1), whole + 3 - LONG.len()));
    });
}

#[test]
fn what_a_slow_client_misses_confuses_no_alias() {
    let limits = keyward_broker::Limits { outbox_bytes: 300, ..keyward_broker::Limits::default() };
    crate::world::in_every_world_with(limits, |w| {
        let writer = w.connect(hello5("user:app", "writer"));
        let reader = w.connect(hello5("user:app", "reader").aliases(2));
        w.subscribe(reader, "#");
        let mut arrived = 0;
        for round in 0..10_usize {
            w.set_reading(reader, round % 3 == 2);
            for number in 0..30 {
                let topic = format!("plant/{}", (round + number) % 4);
                w.publish(writer, letter(&topic, &topic));
            }
            w.set_reading(reader, true);
            for message in w.messages(reader) {
                assert_eq!(message.topic.as_bytes(), message.payload);
                arrived += 1;
            }
        }
        assert!((30..300).contains(&arrived), "{arrived}");
    });
}
