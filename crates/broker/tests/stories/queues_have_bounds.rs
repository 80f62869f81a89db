//! Rule 18 and the bounds of memory: who fills a queue loses, others do not.

use crate::peer::{Got, Peer, at, hello, hello5, letter};
use crate::world::{World, identity, in_every_world_with, rule};
use keyward_broker::{CloseCause, Limits, Notice};
use keyward_mqtt::packet::{Qos, Version};
use keyward_mqtt::reason::ReasonCode;

fn absent_reader(w: &mut World) {
    w.leave_behind(hello5("user:app", "app"), "#");
}

fn back(w: &mut World) -> Vec<String> {
    let app = w.connect(hello5("user:app", "app"));
    w.payloads(app)
}

fn say(w: &mut World, peer: Peer, topic: &str, payloads: std::ops::RangeInclusive<u32>) {
    for payload in payloads {
        w.publish(peer, letter(topic, &payload.to_string()).qos1(1));
    }
}

fn full_by(w: &World, publisher: &str) -> usize {
    let lost = |notice: &&Notice| matches!(notice, Notice::QueueFull { publisher: p, .. } if *p == identity(publisher));
    w.notices.iter().filter(lost).count()
}

#[test]
fn who_holds_most_of_a_full_queue_is_refused() {
    let limits = Limits { queue_messages: 4, ..Limits::default() };
    in_every_world_with(limits, |w| {
        absent_reader(w);
        let pump = w.connect(hello5("device:pump", "pump"));
        say(w, pump, "pump/a", 1..=10);
        assert_eq!(full_by(w, "device:pump"), 6);
        assert_eq!(back(w), ["1", "2", "3", "4"]);
    });
}

#[test]
fn who_holds_little_of_a_full_queue_takes_the_place_of_the_greediest() {
    let limits = Limits { queue_messages: 4, ..Limits::default() };
    in_every_world_with(limits, |w| {
        absent_reader(w);
        let pump = w.connect(hello5("device:pump", "pump"));
        let lamp = w.connect(hello5("device:lamp", "lamp"));
        say(w, pump, "pump/a", 1..=4);
        say(w, lamp, "lamp/a", 100..=101);
        assert_eq!((full_by(w, "device:pump"), full_by(w, "device:lamp")), (2, 0));
        say(w, lamp, "lamp/a", 102..=102);
        assert_eq!(full_by(w, "device:lamp"), 1, "half is as much as the other has");
        assert_eq!(back(w), ["3", "4", "100", "101"]);
    });
}

#[test]
fn queues_are_bounded_in_bytes() {
    let limits = Limits { queue_bytes: 5_500, ..Limits::default() };
    in_every_world_with(limits, |w| {
        absent_reader(w);
        let pump = w.connect(hello5("device:pump", "pump"));
        let lamp = w.connect(hello5("device:lamp", "lamp"));
        for _ in 0..10 {
            w.publish(pump, letter("pump/a", &"x".repeat(1_000)).qos1(1));
        }
        w.publish(lamp, letter("lamp/a", &"y".repeat(100)).qos1(1));
        w.publish(lamp, letter("lamp/a", &"z".repeat(6_000)).qos1(1));
        assert!(w.stats().queued_bytes <= 5_500);
        let lengths: Vec<_> = back(w).iter().map(String::len).collect();
        assert_eq!(lengths, [1_000, 1_000, 1_000, 1_000, 100]);
    });
}

#[test]
fn what_a_client_does_not_acknowledge_is_bounded_as_what_it_is_not_sent() {
    let limits = Limits { queue_bytes: 5_500, ..Limits::default() };
    in_every_world_with(limits, |w| {
        let app = w.connect(hello5("user:app", "app").silent());
        w.subscribe_only(app, 1, "#", at(Qos::AtLeastOnce), None);
        w.settle();
        let pump = w.connect(hello5("device:pump", "pump"));
        for _ in 0..10 {
            w.publish(pump, letter("pump/a", &"x".repeat(1_000)).qos1(1));
        }
        assert!(w.stats().queued_bytes <= 5_500, "{:?}", w.stats());
        assert_eq!(w.payloads(app).len(), 4, "what has room is sent at once");
        assert_eq!(full_by(w, "device:pump"), 6);
    });
}

#[test]
fn a_member_of_a_group_that_does_not_acknowledge_is_lent_no_more_than_a_queue() {
    let limits = Limits { queue_messages: 3, ..Limits::default() };
    in_every_world_with(limits, |w| {
        w.rules(&rule("user:app", "allow", &["publish", "subscribe", "share"], &["#"]));
        let mute = w.connect(hello5("user:app", "mute").silent());
        w.subscribe_only(mute, 1, "$share/g/#", at(Qos::AtLeastOnce), None);
        w.settle();
        let pump = w.connect(hello5("device:pump", "pump"));
        say(w, pump, "pump/a", 1..=5);
        assert_eq!(w.payloads(mute), ["1", "2", "3"]);
        let other = w.connect(hello5("user:app", "other"));
        w.subscribe(other, "$share/g/#");
        assert_eq!(w.payloads(other), ["4", "5"], "what it had no room for goes to another");
    });
}

#[test]
fn the_queues_of_one_identity_are_bounded_together() {
    let limits = Limits { queue_messages_per_identity: 6, ..Limits::default() };
    in_every_world_with(limits, |w| {
        for client_id in ["a", "b", "c"] {
            w.leave_behind(hello5("device:pump", client_id), "pump/#");
        }
        let app = w.connect(hello5("user:app", "app"));
        for _ in 0..5 {
            w.publish(app, letter("pump/a", "x").qos1(1));
        }
        assert_eq!(w.stats().queued, 6);
    });
}

#[test]
fn expired_messages_make_room() {
    let limits = Limits { queue_messages: 2, ..Limits::default() };
    in_every_world_with(limits, |w| {
        absent_reader(w);
        let pump = w.connect(hello5("device:pump", "pump"));
        w.publish(pump, letter("pump/a", "short").qos1(1).expiring(5));
        w.publish(pump, letter("pump/a", "kept").qos1(2));
        w.pass(10);
        w.publish(pump, letter("pump/a", "new").qos1(3));
        assert_eq!(back(w), ["kept", "new"]);
    });
}

#[test]
fn qos_0_to_a_link_that_is_behind_is_dropped_and_counted_and_qos_1_waits() {
    let limits = Limits { outbox_bytes: 10_000, ..Limits::default() };
    in_every_world_with(limits, |w| {
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe(app, "#");
        w.got(app);
        w.set_reading(app, false);
        let pump = w.connect(hello5("device:pump", "pump"));
        for number in 1..=20 {
            w.publish(pump, letter("pump/a", &"x".repeat(2_000)));
            w.publish(pump, letter("pump/b", &"x".repeat(2_000)).qos1(number));
        }
        assert!(w.stats().outbox_bytes < 13_000, "{}", w.stats().outbox_bytes);
        let dropped = w.notices.iter().filter(|n| matches!(n, Notice::TooSlow { .. })).count();
        w.set_reading(app, true);
        let messages = w.messages(app);
        let count = |qos| messages.iter().filter(|message| message.qos == qos).count();
        assert_eq!(count(Qos::AtLeastOnce), 20);
        assert_eq!(count(Qos::AtMostOnce) + dropped, 20);
        assert!(dropped > 0);
    });
}

#[test]
fn who_sends_and_never_reads_its_answers_is_closed() {
    let limits = Limits { outbox_bytes: 1_000, outbox_bytes_hard: 2_000, ..Limits::default() };
    in_every_world_with(limits, |w| {
        let pump = w.connect(hello(Version::V311, "device:pump", "pump"));
        w.set_reading(pump, false);
        for _ in 0..600 {
            w.publish(pump, letter("pump/a", "x").qos1(1));
        }
        assert_eq!(w.closed(pump), Some(CloseCause::NotReading));
        assert_eq!(w.stats().outbox_bytes, 0);
    });
}

#[test]
fn when_memory_is_short_what_would_be_queued_is_refused_and_the_rest_goes_on() {
    let limits = Limits { memory_total: 600_000, ..Limits::default() };
    in_every_world_with(limits, |w| {
        w.leave_behind(hello5("device:pump", "reader"), "pump/#");
        let pump = w.connect(hello5("device:pump", "pump"));
        for number in 1..=200 {
            w.publish(pump, letter("pump/a", &"x".repeat(5_000)).qos1(number));
        }
        assert!(w.stats().queued_bytes <= 600_000);
        let refused = |got: &Got| matches!(got, Got::PubAck(_, ReasonCode::QuotaExceeded, _));
        assert!(w.got(pump).iter().any(refused));
        let newcomer = w.try_connect(hello5("device:pump", "newcomer"));
        assert_eq!(w.closed(newcomer), Some(CloseCause::Refused(ReasonCode::ServerBusy)));
        let old = w.connect(hello5("device:pump", "reader"));
        assert!(!w.messages(old).is_empty());
        w.publish(pump, letter("pump/a", "room again").qos1(1));
        assert_eq!(w.payloads(old), ["room again"]);
    });
}

#[test]
fn when_memory_is_short_nothing_more_is_retained() {
    let limits = Limits { memory_total: 600_000, ..Limits::default() };
    in_every_world_with(limits, |w| {
        let pump = w.connect(hello5("device:pump", "pump"));
        for number in 1..=300 {
            w.publish(pump, letter(&format!("pump/{number}"), &"x".repeat(5_000)).retained());
        }
        assert!(w.stats().retained_bytes <= 600_000);
        assert!(w.notices.iter().any(|notice| matches!(notice, Notice::RetainedFull { .. })));
        for number in 1..=300 {
            w.publish(pump, letter(&format!("pump/{number}"), "").retained());
        }
        assert_eq!(w.stats().retained, 0, "slots can be emptied all the same");
    });
}

#[test]
fn a_retained_message_is_charged_for_its_topic_wherever_that_is_held_and_gives_all_back() {
    in_every_world_with(Limits::default(), |w| {
        let pump = w.connect(hello5("device:pump", "pump"));
        let deep = format!("pump/{}", "x".repeat(900)) + &"/".repeat(25);
        w.publish(pump, letter(&deep, "x").retained().expiring(60));
        assert!(w.stats().retained_bytes as usize > 3 * deep.len(), "message, slot, expiry");
        w.publish(pump, letter(&deep, "").retained());
        assert_eq!(w.stats().retained_bytes, 0);
    });
}

#[test]
fn subscriptions_are_bounded_in_bytes_wildcards_and_levels_and_give_all_back() {
    let limits = Limits {
        subscription_bytes_per_identity: 30_000,
        wildcards_per_identity: 1,
        topic_bytes: 65_535,
        ..Limits::default()
    };
    in_every_world_with(limits, |w| {
        let pump = w.connect(hello5("device:pump", "pump"));
        let long = format!("pump/{}", "x".repeat(40_000));
        assert_eq!(w.subscribe(pump, &long), [ReasonCode::QuotaExceeded]);
        assert_eq!(w.subscribe(pump, &"pump/".repeat(40)), [ReasonCode::TopicFilterInvalid]);
        for _ in 0..20 {
            assert_eq!(w.subscribe(pump, "pump/+"), [ReasonCode::GrantedQos2]);
            assert_eq!(w.subscribe(pump, "pump/+/b"), [ReasonCode::QuotaExceeded]);
            assert_eq!(w.subscribe(pump, &format!("pump/{}", "y".repeat(3_000))), [ReasonCode::GrantedQos2]);
            w.unsubscribe(pump, "pump/+");
            w.unsubscribe(pump, &format!("pump/{}", "y".repeat(3_000)));
        }
    });
}

#[test]
fn a_topic_of_too_many_levels_is_refused() {
    in_every_world_with(Limits::default(), |w| {
        let pump = w.connect(hello5("device:pump", "pump"));
        w.publish(pump, letter(&format!("pump{}", "/".repeat(32)), "x").qos1(1));
        assert!(w.has_got(pump, |got| matches!(got, Got::PubAck(1, ReasonCode::TopicNameInvalid, _))));
    });
}

#[test]
fn what_waits_for_its_fan_out_is_bounded_and_only_qos_0_is_lost() {
    let mut world = World::new(1, Limits { queue_messages: 5_000, ..Limits::default() });
    let w = &mut world;
    let pump = w.connect(hello5("device:pump", "pump"));
    for number in 0..512_u32 {
        let filter: String = (0..9).map(|bit| if number & (1 << bit) == 0 { "/a" } else { "/+" }).collect();
        w.subscribe(pump, &format!("pump{filter}"));
    }
    let topic = format!("pump{}", "/a".repeat(9));
    w.got(pump);
    let large = "x".repeat(100_000);
    for _ in 0..200 {
        w.send_only(pump, &letter(&topic, &large).packet());
    }
    assert!(w.notices.iter().any(|notice| matches!(notice, Notice::ShardBehind { .. })));
    assert!(w.is_behind(pump), "what is kept waits still");
    for id in 1..=10 {
        w.send_only(pump, &letter(&topic, "kept").qos1(id).packet());
    }
    w.settle();
    assert_eq!(w.payloads(pump).iter().filter(|payload| *payload == "kept").count(), 10);
}
