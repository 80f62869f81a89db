//! Rule 8 of the order of things: whom a topic concerns, who may publish and read it and what it is called towards a
//! client are remembered. What is remembered saves work and grants nothing.

use crate::peer::{Got, Peer, at, hello, hello5, letter};
use crate::world::{World, app_may_everything, in_every_world, in_every_world_and_version, rule};
use keyward_broker::Standing;
use keyward_mqtt::packet::Qos;
use keyward_mqtt::reason::ReasonCode;

const TOPIC: &str = "plant/hall/line/temperature";
const OTHER: &str = "plant/hall/line/pressure!!!";
const NOTHING: [&str; 0] = [];

fn eve_may_use_the_plant() -> String {
    app_may_everything() + &rule("user:eve", "allow", &["publish", "subscribe"], &["plant/#"])
}

fn eve_reads_the_pressure() -> String {
    app_may_everything() + &rule("user:eve", "allow", &["subscribe"], &[OTHER])
}

/// Publishes until all that can be remembered of the topic is.
fn warm(w: &mut World, writer: Peer, reader: Peer) {
    for _ in 0..4 {
        w.publish(writer, letter(TOPIC, "warm"));
    }
    assert_eq!(w.payloads(reader), ["warm"; 4]);
}

/// Publishes once more, and returns what the reader got of it.
fn once_more(w: &mut World, writer: Peer, reader: Peer, payload: &str) -> Vec<String> {
    w.publish(writer, letter(TOPIC, payload));
    w.payloads(reader)
}

#[test]
fn a_reader_on_a_warm_route_is_asked_by_the_rules_of_each_moment() {
    in_every_world_and_version(|w, version| {
        // All of the first is readable, some of the second.
        for filter in ["plant/#", "#"] {
            w.rules(&eve_may_use_the_plant());
            let app = w.connect(hello(version, "user:app", "app"));
            let eve = w.connect(hello(version, "user:eve", "eve").clean());
            w.subscribe(eve, filter);
            warm(w, app, eve);
            w.rules(&eve_reads_the_pressure());
            assert_eq!(once_more(w, app, eve, "secret"), NOTHING, "{filter}");
            w.rules(&eve_may_use_the_plant());
            assert_eq!(once_more(w, app, eve, "open again"), ["open again"], "{filter}");
        }
    });
}

#[test]
fn a_publisher_on_a_warm_route_is_asked_by_the_rules_of_each_moment() {
    in_every_world(|w| {
        w.rules(&eve_may_use_the_plant());
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe(app, "#");
        let eve = w.connect(hello5("user:eve", "eve"));
        warm(w, eve, app);
        w.rules(&eve_reads_the_pressure());
        w.publish(eve, letter(TOPIC, "lie").qos1(1));
        assert!(w.has_got(eve, |got| matches!(got, Got::PubAck(1, ReasonCode::NotAuthorized, _))));
        assert_eq!(w.payloads(app), NOTHING);
        w.rules(&eve_may_use_the_plant());
        assert_eq!(once_more(w, eve, app, "true again"), ["true again"]);
    });
}

#[test]
fn a_warm_route_ends_with_the_revocation_of_its_reader_and_is_not_inherited() {
    in_every_world_and_version(|w, version| {
        w.rules(&eve_may_use_the_plant());
        let app = w.connect(hello(version, "user:app", "app"));
        let eve = w.connect(hello(version, "user:eve", "eve"));
        w.subscribe(eve, TOPIC);
        warm(w, app, eve);
        w.revoke("user:eve");
        assert_eq!(once_more(w, app, eve, "for nobody"), NOTHING);
        w.set("user:eve", 2, Standing::Active);
        let eve = w.connect(hello(version, "user:eve", "eve").life(2));
        assert_eq!(once_more(w, app, eve, "for nobody"), NOTHING);
        w.subscribe(eve, TOPIC);
        assert_eq!(once_more(w, app, eve, "for the new one"), ["for the new one"]);
    });
}

#[test]
fn the_next_session_in_a_place_gets_nothing_of_the_route_to_the_one_before() {
    in_every_world_and_version(|w, version| {
        w.rules(&eve_may_use_the_plant());
        let app = w.connect(hello(version, "user:app", "app"));
        let eve = w.connect(hello(version, "user:eve", "eve").clean().expiry(0));
        w.subscribe(eve, TOPIC);
        warm(w, app, eve);
        w.lose(eve);
        // As many as it takes to fill the free place on whichever shard.
        let newcomers: Vec<_> =
            (0..8).map(|number| w.connect(hello(version, "user:app", &format!("new-{number}")))).collect();
        w.publish(app, letter(TOPIC, "for nobody"));
        for newcomer in newcomers {
            assert_eq!(w.payloads(newcomer), NOTHING);
        }
    });
}

#[test]
fn a_warm_route_to_an_absent_reader_is_judged_when_it_is_back() {
    in_every_world_and_version(|w, version| {
        w.rules(&eve_may_use_the_plant());
        let app = w.connect(hello(version, "user:app", "app"));
        let eve = w.connect(hello(version, "user:eve", "eve"));
        w.subscribe(eve, "#");
        warm(w, app, eve);
        w.lose(eve);
        w.publish(app, letter(TOPIC, "allowed when sent").qos1(1));
        w.rules(&eve_reads_the_pressure());
        w.publish(app, letter(TOPIC, "never allowed").qos1(2));
        let eve = w.connect(hello(version, "user:eve", "eve"));
        assert_eq!(w.payloads(eve), NOTHING);
        assert_eq!(once_more(w, app, eve, "still not"), NOTHING);
        w.rules(&eve_may_use_the_plant());
        assert_eq!(once_more(w, app, eve, "open again"), ["open again"]);
    });
}

#[test]
fn a_warm_route_follows_those_who_leave_come_and_change_their_mind() {
    in_every_world(|w| {
        let app = w.connect(hello5("user:app", "app"));
        let reader = w.connect(hello5("user:app", "reader"));
        w.subscribe(reader, TOPIC);
        warm(w, app, reader);
        w.unsubscribe(reader, TOPIC);
        assert_eq!(once_more(w, app, reader, "not wanted"), NOTHING);
        for (filter, id) in [(TOPIC, 7), ("plant/+/#", 8), ("+/hall/#", 9)] {
            w.subscribe_with(reader, filter, at(Qos::AtLeastOnce), Some(id));
            for number in 1..4 {
                w.publish(app, letter(TOPIC, "wanted").qos2(number));
            }
            let messages = w.messages(reader);
            assert_eq!(messages.len(), 3, "{filter}");
            for message in messages {
                assert_eq!((message.qos, message.subscription_ids), (Qos::AtLeastOnce, vec![id]));
            }
            w.unsubscribe(reader, filter);
            assert_eq!(once_more(w, app, reader, "not wanted"), NOTHING, "{filter}");
        }
    });
}

#[test]
fn a_name_that_a_reader_was_given_for_a_topic_says_nothing_while_it_may_not_read_it() {
    in_every_world(|w| {
        w.rules(&eve_may_use_the_plant());
        let app = w.connect(hello5("user:app", "app"));
        let eve = w.connect(hello5("user:eve", "eve").aliases(1));
        w.subscribe(eve, "#");
        warm(w, app, eve);
        let packets = w.frames(eve).len();
        w.rules(&eve_reads_the_pressure());
        assert_eq!(once_more(w, app, eve, "secret"), NOTHING);
        assert_eq!(w.frames(eve).len(), packets, "no packet with a name alone either");
        // Another topic takes the only name over; the reader's end puts the topic in for each name as it knows it.
        for _ in 0..3 {
            w.publish(app, letter(OTHER, "pressure"));
        }
        w.publish(app, letter(TOPIC, "secret"));
        let messages = w.messages(eve);
        assert_eq!(messages.iter().map(|message| &*message.topic).collect::<Vec<_>>(), [OTHER; 3]);
        assert!(messages.last().unwrap().alias.is_some());
        w.rules(&eve_may_use_the_plant());
        w.publish(app, letter(TOPIC, "open again"));
        let messages = w.messages(eve);
        assert_eq!((&*messages[0].topic, &*messages[0].payload), (TOPIC, &b"open again"[..]));
    });
}

#[test]
fn a_name_from_the_link_before_opens_nothing_on_the_next() {
    in_every_world(|w| {
        w.rules(&eve_may_use_the_plant());
        let app = w.connect(hello5("user:app", "app"));
        let greeting = hello5("user:eve", "eve").aliases(1);
        let eve = w.connect(greeting.clone());
        w.subscribe(eve, "#");
        warm(w, app, eve);
        w.lose(eve);
        w.rules(&eve_reads_the_pressure());
        let eve = w.connect(greeting);
        w.got(eve);
        assert_eq!(once_more(w, app, eve, "secret"), NOTHING);
        assert_eq!(w.got(eve), []);
        w.publish(app, letter(OTHER, "pressure"));
        let messages = w.messages(eve);
        assert_eq!((&*messages[0].topic, messages[0].alias), (OTHER, None));
    });
}
