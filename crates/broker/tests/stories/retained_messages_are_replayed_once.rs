//! Rule 12: slots live on the shard of their topic; a replay does not undo what came live.

use crate::peer::{Got, Peer, at, hello, hello5, letter};
use crate::world::{World, in_every_world, in_every_world_and_version, in_every_world_with, rule};
use keyward_broker::{Limits, Notice, Standing};
use keyward_mqtt::packet::{Qos, SubscribeOptions};

fn retained_for(w: &mut World, filter: &str) -> Vec<String> {
    let reader = w.connect(hello5("user:app", "reader").clean().expiry(0));
    w.subscribe(reader, filter);
    let mut payloads = w.payloads(reader);
    payloads.sort();
    w.disconnect(reader);
    payloads
}

fn keep(w: &mut World, peer: Peer, topic: &str, payload: &str) {
    w.publish(peer, letter(topic, payload).retained().qos1(1));
}

#[test]
fn a_new_subscription_gets_the_last_message_of_each_topic() {
    in_every_world_and_version(|w, version| {
        let pump = w.connect(hello(version, "device:pump", "pump"));
        for topic in ["pump/a", "pump/b", "pump/c/d"] {
            keep(w, pump, topic, "old");
            keep(w, pump, topic, topic);
        }
        let app = w.connect(hello(version, "user:app", "app"));
        w.subscribe(app, "pump/+");
        let mut got: Vec<_> =
            w.messages(app).into_iter().map(|m| (m.topic, m.payload, m.retain, m.qos)).collect();
        got.sort();
        let expected = ["pump/a", "pump/b"]
            .map(|topic| (topic.to_owned(), topic.as_bytes().to_vec(), true, Qos::AtLeastOnce));
        assert_eq!(got, expected);
    });
}

#[test]
fn an_empty_message_empties_the_slot() {
    in_every_world_and_version(|w, version| {
        let pump = w.connect(hello(version, "device:pump", "pump"));
        keep(w, pump, "pump/a", "x");
        keep(w, pump, "pump/a", "");
        assert_eq!(retained_for(w, "#"), Vec::<String>::new());
        assert_eq!((w.stats().retained, w.stats().retained_bytes), (0, 0));
    });
}

#[test]
fn every_filter_finds_what_it_matches() {
    in_every_world(|w| {
        let app = w.connect(hello5("user:app", "app"));
        let topics = ["a", "a/b", "a/b/c", "a/c", "/a", "b", "a//b"];
        for topic in topics {
            keep(w, app, topic, topic);
        }
        for (filter, expected) in [
            ("#", vec!["/a", "a", "a//b", "a/b", "a/b/c", "a/c", "b"]),
            ("a/#", vec!["a", "a//b", "a/b", "a/b/c", "a/c"]),
            ("+", vec!["a", "b"]),
            ("+/+", vec!["/a", "a/b", "a/c"]),
            ("a/+/c", vec!["a/b/c"]),
            ("a/+/b", vec!["a//b"]),
            ("a/b", vec!["a/b"]),
        ] {
            assert_eq!(retained_for(w, filter), expected, "{filter}");
        }
    });
}

#[test]
fn a_long_replay_comes_in_slices_and_completely() {
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump"));
        let mut expected: Vec<_> = (0..500).map(|number| format!("{number}")).collect();
        for payload in &expected {
            keep(w, pump, &format!("pump/{}/{payload}", payload.len()), payload);
        }
        expected.sort();
        assert_eq!(retained_for(w, "pump/#"), expected);
        assert_eq!(retained_for(w, "+/+/#"), expected);
    });
}

#[test]
fn a_replay_waits_for_a_client_that_takes_little_at_once() {
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump"));
        for number in 0..20 {
            keep(w, pump, &format!("pump/{number}"), "x");
        }
        let app = w.connect(hello5("user:app", "app").receive_maximum(3).silent());
        w.subscribe(app, "pump/#");
        let mut seen = 0;
        loop {
            let messages = w.messages(app);
            if messages.is_empty() {
                break;
            }
            assert!(messages.len() <= 3);
            seen += messages.len();
            messages.iter().for_each(|message| w.puback(app, message.id.unwrap()));
        }
        assert_eq!(seen, 20);
    });
}

#[test]
fn retained_qos_0_is_not_lost_on_a_slow_link() {
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump"));
        let large = "x".repeat(100_000);
        for number in 0..20 {
            w.publish(pump, letter(&format!("pump/{number}"), &large).retained());
        }
        let app = w.connect(hello5("user:app", "app"));
        w.set_reading(app, false);
        w.subscribe_only(app, 1, "pump/#", at(Qos::AtMostOnce), None);
        w.settle();
        assert!(w.stats().outbox_bytes < 500_000, "{}", w.stats().outbox_bytes);
        w.set_reading(app, true);
        assert_eq!(w.messages(app).len(), 20);
    });
}

#[test]
fn a_live_message_is_not_overwritten_by_an_older_replay() {
    in_every_world(|w| {
        let app = w.connect(hello5("user:app", "app"));
        let pump = w.connect(hello5("device:pump", "pump"));
        keep(w, pump, "pump/a", "old");
        keep(w, pump, "pump/b", "of another topic");
        w.got(app);
        // The home of the topic hears of nothing while the live message reaches the reader.
        let home = w.home_of("pump/a");
        if home == w.shard_of(app) || home == w.shard_of(pump) {
            return;
        }
        w.subscribe_only(app, 1, "pump/#", at(Qos::AtMostOnce), None);
        w.settle_until(|w| w.has_got(app, |got| matches!(got, Got::SubAck(..))));
        w.set_deaf(home, true);
        w.publish(pump, letter("pump/a", "new").retained());
        w.set_deaf(home, false);
        let mut payloads = w.payloads(app);
        payloads.sort();
        assert_eq!(payloads, ["new", "of another topic"]);
    });
}

#[test]
fn a_live_empty_message_hides_the_retained_one_too() {
    in_every_world(|w| {
        let app = w.connect(hello5("user:app", "app").receive_maximum(1).silent());
        let pump = w.connect(hello5("device:pump", "pump"));
        for topic in ["pump/a", "pump/b"] {
            keep(w, pump, topic, topic);
        }
        w.subscribe(app, "pump/#");
        let first = w.messages(app).remove(0);
        let other = if first.topic == "pump/a" { "pump/b" } else { "pump/a" };
        keep(w, pump, other, "");
        w.puback(app, first.id.unwrap());
        let second = w.messages(app);
        assert_eq!(
            second.iter().map(|m| (m.topic.as_str(), m.payload.len())).collect::<Vec<_>>(),
            [(other, 0)]
        );
        w.puback(app, second[0].id.unwrap());
        assert_eq!(w.messages(app), []);
    });
}

#[test]
fn a_retained_message_is_withheld_when_its_publisher_may_no_longer_write_there() {
    in_every_world_and_version(|w, version| {
        let pump = w.connect(hello(version, "device:pump", "pump"));
        keep(w, pump, "pump/a", "x");
        assert_eq!(retained_for(w, "#"), ["x"]);
        w.rules(
            &(crate::world::app_may_everything() + &rule("device:pump", "deny", &["publish"], &["pump/a"])),
        );
        assert_eq!(retained_for(w, "#"), Vec::<String>::new());
        w.rules(&crate::world::app_may_everything());
        assert_eq!(retained_for(w, "#"), ["x"], "the permission came back");
    });
}

#[test]
fn a_retained_message_follows_the_standing_of_its_publisher() {
    in_every_world(|w| {
        for (standing, expected) in [
            (Standing::Active, 1),
            (Standing::Disabled, 0),
            (Standing::Revoked { keep_messages: true, publish_will: false }, 1),
            (Standing::Active, 1),
            (Standing::Revoked { keep_messages: false, publish_will: true }, 0),
        ] {
            if w.stats().retained == 0 {
                let pump = w.connect(hello5("device:pump", "pump"));
                keep(w, pump, "pump/a", "x");
            }
            w.set("device:pump", 1, standing);
            assert_eq!(retained_for(w, "#").len(), expected, "{standing:?}");
        }
        w.set("device:pump", 2, Standing::Active);
        assert_eq!(retained_for(w, "#"), Vec::<String>::new(), "a new life inherits nothing");
    });
}

#[test]
fn a_retained_message_that_is_withheld_because_its_publisher_was_revoked_is_counted() {
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump"));
        keep(w, pump, "pump/a", "x");
        w.set("device:pump", 1, Standing::Revoked { keep_messages: false, publish_will: false });
        assert_eq!(retained_for(w, "#"), Vec::<String>::new());
        let gone = w.notices.iter().filter(|notice| matches!(notice, Notice::PublisherGone { .. })).count();
        assert_eq!(gone, 1);
    });
}

#[test]
fn a_retained_message_expires() {
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump"));
        w.publish(pump, letter("pump/a", "x").retained().expiring(10));
        w.publish(pump, letter("pump/b", "y").retained().expiring(30));
        w.pass(10);
        let reader = w.connect(hello5("user:app", "reader"));
        w.subscribe(reader, "#");
        let left: Vec<_> = w.messages(reader).into_iter().map(|m| (m.topic, m.expiry)).collect();
        assert_eq!(left, [("pump/b".to_owned(), Some(20))]);
        assert_eq!(w.stats().retained, 1);
    });
}

#[test]
fn a_replay_goes_on_after_the_link_was_lost() {
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump"));
        for number in 0..10 {
            keep(w, pump, &format!("pump/{number}"), "x");
        }
        let app = w.connect(hello5("user:app", "app").receive_maximum(1).silent());
        w.subscribe(app, "pump/#");
        assert_eq!(w.messages(app).len(), 1);
        w.lose(app);
        let app = w.connect(hello5("user:app", "app"));
        assert_eq!(w.messages(app).len(), 10);
    });
}

#[test]
fn one_publisher_cannot_fill_the_store() {
    let limits = Limits { retained_per_identity: 6, ..Limits::default() };
    in_every_world_with(limits, |w| {
        let pump = w.connect(hello5("device:pump", "pump"));
        for number in 0..50 {
            keep(w, pump, &format!("pump/{number}"), "x");
        }
        assert!(w.stats().retained <= 6);
        assert!(w.notices.iter().any(|notice| matches!(notice, Notice::RetainedFull { .. })));
        let lamp = w.connect(hello5("device:lamp", "lamp"));
        keep(w, lamp, "lamp/a", "mine");
        assert_eq!(retained_for(w, "lamp/#"), ["mine"]);
    });
}

#[test]
fn live_messages_wait_when_a_replay_has_seen_too_many_topics() {
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump"));
        keep(w, pump, "pump/first", "first");
        keep(w, pump, "pump/second", "second");
        let app = w.connect(hello5("user:app", "app").receive_maximum(1).silent());
        let options = SubscribeOptions { qos: Qos::AtLeastOnce, ..SubscribeOptions::default() };
        w.subscribe_with(app, "pump/#", options, None);
        let held = w.messages(app).remove(0);
        for number in 0..4_096 {
            w.publish(pump, letter(&format!("pump/live/{number}"), "x").retained());
        }
        assert_eq!(w.messages(app).len(), 4_096);
        w.publish(pump, letter("pump/live/beyond", "last"));
        assert_eq!(w.messages(app).len(), 0);
        w.puback(app, held.id.unwrap());
        let replayed = w.messages(app);
        assert_eq!(replayed.len(), 1);
        w.puback(app, replayed[0].id.unwrap());
        assert_eq!(w.payloads(app), ["last"]);
    });
}

#[test]
fn a_slice_that_finds_its_reader_gone_is_asked_for_again() {
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump"));
        w.publish(pump, letter("pump/a", "x").retained());
        let app = w.connect(hello5("user:app", "app"));
        let home = w.home_of("pump/a");
        if home == w.shard_of(app) {
            return;
        }
        w.subscribe_only(app, 1, "pump/#", at(Qos::AtMostOnce), None);
        w.settle_until(|w| w.has_got(app, |got| matches!(got, Got::SubAck(..))));
        w.set_deaf(home, true);
        w.lose(app);
        w.set_deaf(home, false);
        let app = w.connect(hello5("user:app", "app"));
        assert_eq!(w.payloads(app), ["x"]);
    });
}

/// The simulated world found that the replay began when its SUBACK could leave, though nobody subscribed any more.
#[test]
fn what_was_unsubscribed_before_its_suback_left_is_not_replayed() {
    in_every_world_and_version(|w, version| {
        let pump = w.connect(hello(version, "device:pump", "pump"));
        keep(w, pump, "pump/a", "old");
        let app = w.connect(hello(version, "user:app", "app"));
        w.got(app);
        w.slow_store();
        w.subscribe_only(app, 1, "pump/#", at(Qos::AtLeastOnce), None);
        w.unsubscribe(app, "pump/#");
        w.store();
        assert!(matches!(w.got(app)[..], [Got::SubAck(..), Got::UnsubAck(..)]));
    });
}
