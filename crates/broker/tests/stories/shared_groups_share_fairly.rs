//! Shared subscriptions: each message goes to one member, in turns, and none is lost with a member.

use crate::peer::{Got, Hello, Peer, ack, at, hello, hello5, letter};
use crate::world::{World, in_every_world, in_every_world_and_version, in_every_world_with, rule};
use keyward_broker::{Limits, Notice};
use keyward_mqtt::packet::{Packet, Qos, RetainHandling, SubscribeOptions, Version};
use keyward_mqtt::reason::ReasonCode;

/// `user:app` and `user:eve` may share everything.
pub(crate) fn all_may_share() -> String {
    let all = ["publish", "subscribe", "share"];
    rule("user:app", "allow", &all, &["#"]) + &rule("user:eve", "allow", &all, &["#"])
}

/// Connects `user:app` so many times, each a member of `filter`.
pub(crate) fn members<const N: usize>(
    w: &mut World,
    filter: &str,
    greet: impl Fn(&str) -> Hello,
) -> [Peer; N] {
    w.rules(&all_may_share());
    std::array::from_fn(|number| {
        let peer = w.connect(greet(&format!("m{number}")));
        w.subscribe(peer, filter);
        peer
    })
}

/// Publishes numbers at this quality of service.
pub(crate) fn publish_numbers(w: &mut World, topic: &str, numbers: std::ops::Range<u16>, qos: Qos) {
    let source = w.connect(hello5("user:app", "source"));
    for number in numbers {
        w.publish(source, letter(topic, &number.to_string()).qos(qos, number + 1));
    }
}

pub(crate) fn numbers(texts: &[String]) -> Vec<u16> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

/// Takes what all have got, sorted.
pub(crate) fn all_got(w: &mut World, peers: &[Peer]) -> Vec<u16> {
    let mut all: Vec<_> = peers.iter().flat_map(|peer| numbers(&w.payloads(*peer))).collect();
    all.sort_unstable();
    all
}

#[test]
fn each_message_goes_to_one_member_and_all_have_their_turn() {
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
        in_every_world_and_version(|w, version| {
            let peers: [_; 3] = members(w, "$share/g/t/#", |name| hello(version, "user:app", name));
            publish_numbers(w, "t/a", 0..9, qos);
            let got: Vec<_> = peers.iter().map(|peer| numbers(&w.payloads(*peer))).collect();
            assert!(got.iter().all(|one| one.len() == 3 && one.is_sorted()), "{got:?}");
            let mut all = got.concat();
            all.sort_unstable();
            assert_eq!(all, Vec::from_iter(0..9));
            assert_eq!((w.stats().queued, w.stats().groups), (0, 1));
        });
    }
}

#[test]
fn every_group_and_every_subscriber_of_its_own_gets_each_message() {
    in_every_world_and_version(|w, version| {
        let [a, b] = members(w, "$share/g/t", |name| hello(version, "user:app", name));
        w.subscribe(a, "$share/h/t");
        w.subscribe(b, "t");
        publish_numbers(w, "t", 0..4, Qos::AtLeastOnce);
        let of_a = w.payloads(a).len();
        let of_b = w.payloads(b).len();
        // Two of g and all of h; two of g and all of its own.
        assert_eq!((of_a, of_b), (6, 6));
    });
}

#[test]
fn a_member_that_takes_no_more_holds_nobody_up_and_loses_nothing() {
    in_every_world(|w| {
        w.rules(&all_may_share());
        let slow = w.connect(hello5("user:app", "slow").silent().receive_maximum(2));
        w.subscribe(slow, "$share/g/t");
        let quick = w.connect(hello5("user:app", "quick"));
        w.subscribe(quick, "$share/g/t");
        publish_numbers(w, "t", 0..200, Qos::AtLeastOnce);
        let of_slow = numbers(&w.payloads(slow));
        let of_quick = numbers(&w.payloads(quick));
        assert_eq!((of_slow.len(), of_quick.len()), (2, 198));
        w.puback(slow, 1);
        publish_numbers(w, "t", 200..202, Qos::AtLeastOnce);
        assert_eq!(w.payloads(slow).len(), 1, "it takes one more, and its turn came");
    });
}

#[test]
fn what_nobody_can_take_waits_and_keeps_its_order() {
    in_every_world(|w| {
        w.rules(&all_may_share());
        let only = w.connect(hello5("user:app", "only").silent().receive_maximum(1));
        w.subscribe(only, "$share/g/t");
        publish_numbers(w, "t", 0..5, Qos::AtLeastOnce);
        for number in 0..5 {
            assert_eq!(numbers(&w.payloads(only)), [number]);
            w.puback(only, number + 1);
        }
        assert_eq!(w.stats().queued, 0);
    });
}

#[test]
fn messages_of_its_own_make_a_member_give_back_what_it_has_no_room_for() {
    in_every_world(|w| {
        w.rules(&all_may_share());
        let busy = w.connect(hello5("user:app", "busy").silent().receive_maximum(2));
        w.subscribe(busy, "$share/g/t");
        w.subscribe(busy, "own");
        publish_numbers(w, "own", 0..3, Qos::AtLeastOnce);
        let free = w.connect(hello5("user:app", "free"));
        w.subscribe(free, "$share/g/t");
        publish_numbers(w, "t", 10..14, Qos::AtLeastOnce);
        assert_eq!(numbers(&w.payloads(busy)), [0, 1]);
        assert_eq!(numbers(&w.payloads(free)), [10, 11, 12, 13]);
    });
}

#[test]
fn what_a_member_gave_back_comes_before_what_was_handed_out_after_it() {
    let mut w = World::new(3, Limits::default());
    w.rules(&all_may_share());
    let home = w.home_of("$share/g/t");
    let elsewhere = |w: &mut World, name: &str, shard: usize| {
        let tries = (0..100).map(|number| format!("{name}{number}"));
        for name in tries {
            let peer = w.connect(hello5("user:app", &name).silent().receive_maximum(2));
            if w.shard_of(peer) != shard {
                return peer;
            }
        }
        panic!("all on one shard");
    };
    let member = elsewhere(&mut w, "member", home);
    let deaf = w.shard_of(member);
    let source = elsewhere(&mut w, "source", deaf);
    w.subscribe(member, "$share/g/t");
    w.subscribe(member, "own");
    w.set_deaf(deaf, true);
    for (number, topic) in (1..).zip(["own", "own", "t", "t"]) {
        w.publish(source, letter(topic, &number.to_string()).qos1(number));
    }
    // Two of its own take all its room: the third message is given back. Then there is room again.
    w.hear(deaf, 3);
    w.send_only(member, &Packet::PubAck(ack(1)));
    w.hear(deaf, 1);
    w.set_deaf(deaf, false);
    for number in 2..=4 {
        w.puback(member, number);
    }
    assert_eq!(numbers(&w.payloads(member)), [1, 2, 3, 4]);
}

#[test]
fn the_terms_of_the_member_hold_qos_identifier_and_retain_flag() {
    in_every_world(|w| {
        w.rules(&all_may_share());
        let low = w.connect(hello5("user:app", "low"));
        w.subscribe_with(low, "$share/g/t", at(Qos::AtMostOnce), Some(7));
        let high = w.connect(hello5("user:app", "high"));
        let as_published = SubscribeOptions { retain_as_published: true, ..at(Qos::ExactlyOnce) };
        w.subscribe_with(high, "$share/g/t", as_published, None);
        let source = w.connect(hello5("user:app", "source"));
        for number in 1..=2 {
            w.publish(source, letter("t", "x").qos1(number).retained());
        }
        let seen = |w: &mut World, peer| {
            let messages = w.messages(peer);
            assert_eq!(messages.len(), 1);
            (messages[0].qos, messages[0].retain, messages[0].subscription_ids.clone())
        };
        assert_eq!(seen(w, low), (Qos::AtMostOnce, false, vec![7]));
        assert_eq!(seen(w, high), (Qos::AtLeastOnce, true, vec![]));
    });
}

#[test]
fn a_member_that_subscribes_again_changes_its_terms_and_stays_one_member() {
    in_every_world(|w| {
        let [one] = members(w, "$share/g/t", |name| hello5("user:app", name));
        let reasons = w.subscribe_with(one, "$share/g/t", at(Qos::AtMostOnce), Some(3));
        assert_eq!(reasons, [ReasonCode::Success]);
        publish_numbers(w, "t", 0..1, Qos::AtLeastOnce);
        let messages = w.messages(one);
        assert_eq!((messages.len(), messages[0].qos), (1, Qos::AtMostOnce));
        assert_eq!(messages[0].subscription_ids, [3]);
        assert_eq!((w.stats().shared_subscriptions, w.stats().subscriptions), (1, 0));
    });
}

#[test]
fn retained_messages_are_not_replayed_to_a_group() {
    in_every_world_and_version(|w, version| {
        w.rules(&all_may_share());
        let source = w.connect(hello5("user:app", "source"));
        w.publish(source, letter("t", "old").qos1(1).retained());
        let one = w.connect(hello(version, "user:app", "one"));
        let always = SubscribeOptions { retain_handling: RetainHandling::Always, ..at(Qos::AtLeastOnce) };
        w.subscribe_with(one, "$share/g/t", always, None);
        assert!(w.payloads(one).is_empty());
    });
}

#[test]
fn qos_0_is_dropped_and_counted_while_no_member_is_connected_and_qos_1_waits() {
    in_every_world_and_version(|w, version| {
        let [one] = members(w, "$share/g/t", |name| hello(version, "user:app", name));
        w.lose(one);
        publish_numbers(w, "t", 0..1, Qos::AtMostOnce);
        publish_numbers(w, "t", 1..2, Qos::AtLeastOnce);
        let lost = w.notices.iter().filter(|notice| matches!(notice, Notice::GroupAbsent { .. })).count();
        assert_eq!((lost, w.stats().dropped, w.stats().queued), (1, 1, 1));
        let back = w.connect(hello(version, "user:app", "m0"));
        assert_eq!(numbers(&w.payloads(back)), [1]);
    });
}

#[test]
fn a_group_whose_members_take_only_qos_0_keeps_nothing() {
    in_every_world(|w| {
        w.rules(&all_may_share());
        let one = w.connect(hello5("user:app", "one"));
        w.subscribe_with(one, "$share/g/t", at(Qos::AtMostOnce), None);
        w.lose(one);
        publish_numbers(w, "t", 0..2, Qos::AtLeastOnce);
        assert_eq!((w.stats().queued, w.stats().dropped), (0, 2));
    });
}

#[test]
fn a_full_group_refuses_whoever_holds_most_of_it() {
    let limits = Limits { queue_messages: 3, ..Limits::default() };
    in_every_world_with(limits, |w| {
        let [one] = members(w, "$share/g/t", |name| hello5("user:app", name));
        w.lose(one);
        publish_numbers(w, "t", 0..5, Qos::AtLeastOnce);
        let eve = w.connect(hello5("user:eve", "eve"));
        w.publish(eve, letter("t", "100").qos1(1));
        let back = w.connect(hello5("user:app", "m0"));
        assert_eq!(numbers(&w.payloads(back)), [1, 2, 100]);
        let full = w.notices.iter().filter(|notice| matches!(notice, Notice::GroupFull { .. })).count();
        assert_eq!((full, w.stats().dropped), (3, 3));
    });
}

#[test]
fn expired_messages_leave_the_group_unseen() {
    in_every_world(|w| {
        let [one] = members(w, "$share/g/t", |name| hello5("user:app", name));
        w.lose(one);
        let source = w.connect(hello5("user:app", "source"));
        w.publish(source, letter("t", "old").qos1(1).expiring(5));
        w.publish(source, letter("t", "new").qos1(2).expiring(500));
        w.pass(10);
        let back = w.connect(hello5("user:app", "m0"));
        assert_eq!(w.payloads(back), ["new"]);
        assert_eq!(w.stats().queued, 0);
    });
}

#[test]
fn a_shared_subscription_is_offered_and_granted() {
    in_every_world_and_version(|w, version| {
        w.rules(&all_may_share());
        let one = w.connect(hello(version, "user:app", "one"));
        let Got::ConnAck { shared, .. } = w.got(one).remove(0) else { panic!("no CONNACK") };
        assert_eq!(shared, (version == Version::V5).then_some(true));
        assert_eq!(w.subscribe(one, "$share/g/t"), [ReasonCode::GrantedQos2]);
    });
}

#[test]
fn what_a_group_could_not_take_is_told_in_the_suback() {
    let limits = Limits { group_members: 1, shared_per_session: 2, groups: 6, ..Limits::default() };
    in_every_world_with(limits, |w| {
        let [one] = members(w, "$share/g/t", |name| hello5("user:app", name));
        let other = w.connect(hello5("user:app", "other"));
        assert_eq!(w.subscribe(other, "$share/g/t"), [ReasonCode::QuotaExceeded]);
        assert_eq!(w.subscribe(one, "$share/g/t"), [ReasonCode::GrantedQos2], "it is a member already");
        assert_eq!(w.subscribe(one, "$share/h/t"), [ReasonCode::GrantedQos2]);
        assert_eq!(w.subscribe(one, "$share/i/t"), [ReasonCode::QuotaExceeded]);
        assert_eq!((w.stats().shared_subscriptions, w.stats().groups), (2, 2));
    });
}

#[test]
fn no_more_groups_begin_than_there_may_be() {
    in_every_world_with(Limits { groups: 3, ..Limits::default() }, |w| {
        w.rules(&all_may_share());
        let one = w.connect(hello5("user:app", "one"));
        let filters: Vec<_> = (0..20).map(|number| format!("$share/g{number}/t")).collect();
        let granted = filters.iter().filter(|filter| !w.subscribe(one, filter)[0].is_failure()).count();
        assert!((1..=3).contains(&granted), "{granted}");
        assert_eq!(w.stats().groups, granted as u64);
        assert_eq!(w.stats().shared_subscriptions, granted as u64);
    });
}

#[test]
fn joining_and_leaving_by_the_thousand_leaves_nothing_behind() {
    in_every_world_and_version(|w, version| {
        w.rules(&all_may_share());
        let one = w.connect(hello(version, "user:app", "one"));
        w.subscribe(one, "$share/warm/t");
        w.unsubscribe(one, "$share/warm/t");
        w.got(one);
        let before = w.stats().memory;
        for number in 0..1_000 {
            let filter = format!("$share/g{number}/t/{number}");
            w.subscribe(one, &filter);
            w.unsubscribe(one, &filter);
            w.got(one);
        }
        let stats = w.stats();
        assert_eq!((stats.memory, stats.groups, stats.shared_subscriptions), (before, 0, 0));
    });
}
