//! Members of shared groups come and go: what they had not acknowledged goes to others, and QoS 2 never twice.

use crate::disk::in_every_stored_world;
use crate::peer::{Got, at, hello, hello5, letter};
use crate::shared_groups_share_fairly::{all_got, all_may_share, members, numbers, publish_numbers};
use crate::world::{World, in_every_world, in_every_world_and_version};
use keyward_broker::{Limits, Standing};
use keyward_mqtt::packet::{Ack, Packet, Qos};
use keyward_mqtt::property::AckProperties;
use keyward_mqtt::reason::ReasonCode;

#[test]
fn what_a_lost_member_did_not_acknowledge_goes_to_another_and_is_no_repetition_there() {
    in_every_world_and_version(|w, version| {
        w.rules(&all_may_share());
        let first = w.connect(hello(version, "user:app", "first").silent());
        w.subscribe(first, "$share/g/t");
        publish_numbers(w, "t", 0..3, Qos::AtLeastOnce);
        assert_eq!(numbers(&w.payloads(first)), [0, 1, 2]);
        let second = w.connect(hello(version, "user:app", "second"));
        w.subscribe(second, "$share/g/t");
        w.puback(first, 1);
        w.lose(first);
        let messages = w.messages(second);
        assert!(messages.iter().all(|message| !message.dup), "{messages:?}");
        let payloads: Vec<_> = messages.iter().map(|message| message.payload.clone()).collect();
        assert_eq!(payloads, [b"1", b"2"]);
        // The first comes back: nothing of it is owed.
        let back = w.connect(hello(version, "user:app", "first"));
        assert!(w.payloads(back).is_empty());
        assert_eq!(w.stats().queued, 0);
    });
}

#[test]
fn what_a_lost_member_did_not_acknowledge_waits_if_there_is_no_other() {
    in_every_world_and_version(|w, version| {
        w.rules(&all_may_share());
        let one = w.connect(hello(version, "user:app", "one").silent());
        w.subscribe(one, "$share/g/t");
        publish_numbers(w, "t", 0..3, Qos::AtLeastOnce);
        w.lose(one);
        assert_eq!(w.stats().queued, 3);
        let back = w.connect(hello(version, "user:app", "one"));
        assert_eq!(numbers(&w.payloads(back)), [0, 1, 2]);
    });
}

#[test]
fn qos_2_that_was_sent_waits_for_its_session_and_goes_to_no_other() {
    in_every_world_and_version(|w, version| {
        w.rules(&all_may_share());
        let first = w.connect(hello(version, "user:app", "first").silent());
        w.subscribe(first, "$share/g/t");
        publish_numbers(w, "t", 0..2, Qos::ExactlyOnce);
        assert_eq!(w.payloads(first).len(), 2);
        let second = w.connect(hello(version, "user:app", "second"));
        w.subscribe(second, "$share/g/t");
        // Of one PUBREC has come, of the other nothing [MQTT-4.8.2-4].
        w.pubrec(first, 1);
        w.lose(first);
        assert!(w.payloads(second).is_empty());
        let back = w.connect(hello(version, "user:app", "first"));
        let got = w.got(back);
        assert!(got.contains(&Got::PubRel(1, ReasonCode::Success)), "{got:?}");
        let again: Vec<_> = got.iter().filter(|got| matches!(got, Got::Message(_))).collect();
        let [Got::Message(message)] = again[..] else { panic!("{again:?}") };
        assert_eq!((message.payload.as_slice(), message.dup, message.id), (&b"1"[..], true, Some(2)));
        assert!(w.payloads(second).is_empty());
        assert_eq!(w.stats().queued, 0);
    });
}

#[test]
fn qos_2_that_was_sent_ends_with_its_session() {
    in_every_world_and_version(|w, version| {
        w.rules(&all_may_share());
        let first = w.connect(hello(version, "user:app", "first").silent());
        w.subscribe(first, "$share/g/t");
        publish_numbers(w, "t", 0..1, Qos::ExactlyOnce);
        let second = w.connect(hello(version, "user:app", "second"));
        w.subscribe(second, "$share/g/t");
        // A new session takes the place of the old one [MQTT-4.8.2-5].
        w.connect(hello(version, "user:app", "first").clean());
        assert!(w.payloads(second).is_empty());
        publish_numbers(w, "t", 1..2, Qos::ExactlyOnce);
        assert_eq!(numbers(&w.payloads(second)), [1]);
    });
}

#[test]
fn qos_2_is_not_sent_before_the_choice_of_a_stored_member_is_durable() {
    in_every_stored_world(|w| {
        let [one] = members(w, "$share/g/t", |name| hello5("user:app", name));
        let source = w.connect(hello5("user:app", "source"));
        w.slow_store();
        w.publish(source, letter("t", "x").qos2(1));
        for what in ["the message", "its place in the group", "the choice"] {
            w.store();
            assert!(w.payloads(one).is_empty(), "{what} is durable, that the group has let go of it is not");
        }
        w.store();
        assert_eq!(w.payloads(one), ["x"]);
    });
}

#[test]
fn a_member_that_is_taken_over_gets_its_messages_again_or_another_does() {
    in_every_world_and_version(|w, version| {
        w.rules(&all_may_share());
        let old = w.connect(hello(version, "user:app", "one").silent());
        w.subscribe(old, "$share/g/t");
        publish_numbers(w, "t", 0..4, Qos::AtLeastOnce);
        assert_eq!(w.payloads(old).len(), 4);
        let new = w.connect(hello(version, "user:app", "one"));
        assert!(!w.is_open(old));
        assert_eq!(numbers(&w.payloads(new)), [0, 1, 2, 3]);
        assert_eq!(w.stats().queued, 0);
    });
}

#[test]
fn what_a_member_refuses_is_discarded() {
    in_every_world(|w| {
        w.rules(&all_may_share());
        let first = w.connect(hello5("user:app", "first").silent());
        w.subscribe(first, "$share/g/t");
        publish_numbers(w, "t", 0..1, Qos::AtLeastOnce);
        let second = w.connect(hello5("user:app", "second"));
        w.subscribe(second, "$share/g/t");
        let reason = ReasonCode::UnspecifiedError;
        let refusal = Ack { id: crate::peer::id(1), reason, properties: AckProperties::default() };
        // [MQTT-4.8.2-6]
        w.send(first, &Packet::PubAck(refusal));
        w.lose(first);
        assert!(w.payloads(second).is_empty());
        assert_eq!(w.stats().queued, 0);
    });
}

#[test]
fn a_member_that_leaves_finishes_what_it_was_sent() {
    in_every_world_and_version(|w, version| {
        w.rules(&all_may_share());
        let first = w.connect(hello(version, "user:app", "first").silent());
        w.subscribe(first, "$share/g/t");
        let second = w.connect(hello(version, "user:app", "second"));
        publish_numbers(w, "t", 0..1, Qos::AtLeastOnce);
        w.subscribe(second, "$share/g/t");
        w.unsubscribe(first, "$share/g/t");
        w.lose(first);
        assert!(w.payloads(second).is_empty());
        let back = w.connect(hello(version, "user:app", "first"));
        let messages = w.messages(back);
        assert_eq!((messages.len(), messages[0].dup), (1, true));
    });
}

#[test]
fn members_that_come_and_go_while_messages_are_on_their_way_lose_none() {
    for shards in 2..=3_u16 {
        for deaf in 0..usize::from(shards) {
            let mut w = World::new(shards, Limits::default());
            let peers: [_; 3] = members(&mut w, "$share/g/t", |name| hello5("user:app", name));
            let source = w.connect(hello5("user:app", "source"));
            w.set_deaf(deaf, true);
            for number in 0..12 {
                w.publish(source, letter("t", &number.to_string()).qos1(number + 1));
            }
            w.unsubscribe(peers[0], "$share/g/t");
            w.lose(peers[1]);
            let late = w.connect(hello5("user:app", "late"));
            w.subscribe_only(late, 9, "$share/g/t", at(Qos::AtLeastOnce), None);
            w.settle();
            w.set_deaf(deaf, false);
            let back = w.connect(hello5("user:app", "m1"));
            let all = all_got(&mut w, &[peers[0], peers[1], peers[2], late, back]);
            // A lost link may make QoS 1 come twice, and nothing else may.
            let mut once = all.clone();
            once.dedup();
            assert_eq!(once, Vec::from_iter(0..12), "{shards} shards, {deaf} is deaf: {all:?}");
            assert_eq!(w.stats().queued, 0);
        }
    }
}

#[test]
fn the_last_member_takes_the_group_and_its_messages_with_it() {
    for shards in 1..=3_u16 {
        for deaf in 0..usize::from(shards) {
            let mut w = World::new(shards, Limits::default());
            let [one] = members(&mut w, "$share/g/t", |name| hello5("user:app", name));
            let source = w.connect(hello5("user:app", "source"));
            w.set_deaf(deaf, true);
            for number in 0..5 {
                w.publish(source, letter("t", &number.to_string()).qos1(number + 1));
            }
            w.unsubscribe(one, "$share/g/t");
            w.set_deaf(deaf, false);
            w.got(one);
            let stats = w.stats();
            assert_eq!((stats.groups, stats.shared_subscriptions, stats.queued), (0, 0, 0));
            // A group of the same name begins anew.
            w.subscribe(one, "$share/g/t");
            w.publish(source, letter("t", "100").qos1(100));
            assert_eq!(w.payloads(one), ["100"]);
        }
    }
}

#[test]
fn a_group_lasts_as_long_as_a_member_session() {
    in_every_world(|w| {
        w.rules(&all_may_share());
        let brief = w.connect(hello5("user:app", "brief").expiry(0));
        w.subscribe(brief, "$share/g/t");
        let lasting = w.connect(hello5("user:app", "lasting").expiry(60));
        w.subscribe(lasting, "$share/g/t");
        w.lose(brief);
        w.lose(lasting);
        publish_numbers(w, "t", 0..2, Qos::AtLeastOnce);
        assert_eq!((w.stats().groups, w.stats().queued), (1, 2));
        w.pass(61);
        assert_eq!((w.stats().groups, w.stats().queued), (0, 0));
    });
}

#[test]
fn a_suback_leaves_when_all_shards_know_the_group() {
    let mut w = World::new(3, Limits::default());
    w.rules(&all_may_share());
    let one = w.connect(hello5("user:app", "one"));
    let home = w.home_of("$share/g/t");
    let third = (0..3).find(|shard| *shard != home && *shard != w.shard_of(one)).unwrap();
    w.set_deaf(third, true);
    w.got(one);
    w.subscribe_only(one, 9, "$share/g/t", at(Qos::AtLeastOnce), None);
    w.settle();
    assert_eq!(w.got(one), []);
    w.set_deaf(third, false);
    assert_eq!(w.got(one), [Got::SubAck(9, vec![ReasonCode::GrantedQos1])]);
}

#[test]
fn a_revoked_member_gives_back_qos_1_and_its_qos_2_ends_with_it() {
    in_every_world_and_version(|w, version| {
        w.rules(&all_may_share());
        let eve = w.connect(hello(version, "user:eve", "eve").silent());
        w.subscribe(eve, "$share/g/t");
        publish_numbers(w, "t", 0..1, Qos::AtLeastOnce);
        publish_numbers(w, "t", 1..2, Qos::ExactlyOnce);
        assert_eq!(w.payloads(eve).len(), 2);
        let app = w.connect(hello(version, "user:app", "app"));
        w.subscribe(app, "$share/g/t");
        w.revoke("user:eve");
        assert_eq!(numbers(&w.payloads(app)), [0]);
        assert_eq!((w.stats().queued, w.stats().shared_subscriptions), (0, 1));
    });
}

#[test]
fn a_disabled_member_gives_back_qos_1_and_gets_nothing_until_it_is_enabled() {
    in_every_world(|w| {
        w.rules(&all_may_share());
        let eve = w.connect(hello5("user:eve", "eve").silent());
        w.subscribe(eve, "$share/g/t");
        publish_numbers(w, "t", 0..1, Qos::AtLeastOnce);
        w.set("user:eve", 1, Standing::Disabled);
        assert_eq!(w.stats().queued, 1);
        w.set("user:eve", 1, Standing::Active);
        let back = w.connect(hello5("user:eve", "eve"));
        assert_eq!(numbers(&w.payloads(back)), [0]);
    });
}

#[test]
fn messages_of_a_revoked_publisher_leave_the_group_unseen() {
    in_every_world(|w| {
        let [one] = members(w, "$share/g/t", |name| hello5("user:app", name));
        w.lose(one);
        let eve = w.connect(hello5("user:eve", "eve"));
        w.publish(eve, letter("t", "bad").qos1(1));
        w.revoke("user:eve");
        let back = w.connect(hello5("user:app", "m0"));
        assert!(w.payloads(back).is_empty());
        assert_eq!(w.stats().queued, 0);
    });
}
