//! What one identity makes the broker hold or do is bounded and charged to it: the others keep their room.

use crate::peer::{Got, Peer, at, hello, hello5, id, letter};
use crate::shared_groups_share_fairly::publish_numbers;
use crate::world::{World, in_every_world, in_every_world_with, rule};
use keyward_broker::{Bound, Limits, Notice};
use keyward_mqtt::packet::{
    Packet, Qos, Subscribe, SubscribeFilters, SubscribeOptions, Unsubscribe, UnsubscribeFilters, Version,
};
use keyward_mqtt::property::{SubscribeProperties, UnsubscribeProperties};
use keyward_mqtt::reason::ReasonCode;

/// The pump may share its own topics, `user:app` and `user:eve` all.
fn all_may_share() -> String {
    let all = ["publish", "subscribe", "share"];
    ["user:app", "user:eve"].map(|who| rule(who, "allow", &all, &["#"])).concat()
        + &rule("device:pump", "allow", &all, &["pump/#"])
}

/// Makes a session of `who` an absent member of these groups.
fn absent_member(w: &mut World, who: &str, client_id: &str, groups: impl IntoIterator<Item = String>) {
    let member = w.connect(hello5(who, client_id));
    for group in groups {
        assert_eq!(w.subscribe(member, &group), [ReasonCode::GrantedQos2], "{group}");
    }
    w.lose(member);
}

/// Publishes so many messages of this payload at QoS 1.
fn fill(w: &mut World, source: Peer, topic: &str, messages: u16, payload: &str) {
    for number in 1..=messages {
        w.publish(source, letter(topic, payload).qos1(number));
    }
}

fn ran_into(w: &World, bound: Bound) -> usize {
    let is_it = |notice: &&Notice| matches!(notice, Notice::Limit { bound: found, .. } if *found == bound);
    w.notices.iter().filter(is_it).count()
}

fn subscribe_all<'a>(
    w: &mut World,
    peer: Peer,
    number: u16,
    filters: impl IntoIterator<Item = &'a str>,
    options: SubscribeOptions,
) {
    let filters: Vec<_> = filters.into_iter().map(|filter| (filter, options)).collect();
    let packet = Packet::Subscribe(Subscribe {
        id: id(number),
        properties: SubscribeProperties::default(),
        filters: SubscribeFilters::List(&filters),
    });
    w.send_only(peer, &packet);
}

// Shared groups.

#[test]
fn the_groups_of_one_identity_do_not_fill_the_memory_of_all() {
    let limits = Limits {
        memory_total: 6_000_000,
        queue_bytes: 200_000,
        queue_bytes_per_identity: 600_000,
        ..Limits::default()
    };
    in_every_world_with(limits, |w| {
        w.rules(&all_may_share());
        absent_member(w, "device:pump", "member", (0..60).map(|n| format!("$share/g/pump/{n}")));
        let pump = w.connect(hello5("device:pump", "pump"));
        let lamp = w.connect(hello5("device:lamp", "lamp"));
        for topic in 0..60 {
            fill(w, pump, &format!("pump/{topic}"), 15, &"x".repeat(10_000));
        }
        assert!(w.stats().queued_bytes > 100_000, "{:?}", w.stats());
        assert!(w.stats().queued_bytes <= 600_000, "{:?}", w.stats());
        w.got(lamp);
        w.publish(lamp, letter("lamp/a", "x").qos1(9));
        assert!(w.has_got(lamp, |got| matches!(got, Got::PubAck(9, ReasonCode::Success, _))));
        w.connect(hello5("device:lamp", "newcomer"));
        assert!(w.notices.iter().all(|notice| matches!(notice, Notice::GroupFull { .. })), "{:?}", w.notices);
    });
}

#[test]
fn who_opened_a_group_and_leaves_it_pays_for_it_no_longer() {
    let limits = Limits { queue_messages_per_identity: 10, ..Limits::default() };
    let mut world = World::new(1, limits);
    let w = &mut world;
    w.rules(&all_may_share());
    absent_member(w, "user:eve", "member", ["$share/a/pump/a".to_owned()]);
    absent_member(w, "user:app", "member", ["$share/a/pump/a".to_owned()]);
    let pump = w.connect(hello5("device:pump", "pump"));
    fill(w, pump, "pump/a", 8, "x");
    let eve = w.connect(hello5("user:eve", "member").silent().receive_maximum(1));
    assert_eq!(w.payloads(eve).len(), 1);
    w.unsubscribe(eve, "$share/a/pump/a");
    absent_member(w, "user:eve", "other", ["$share/b/pump/b".to_owned()]);
    fill(w, pump, "pump/b", 12, "x");
    assert_eq!(w.stats().queued, 1 + 7 + 10, "of app one group, of eve the other");
    fill(w, pump, "pump/a", 12, "x");
    assert_eq!(w.stats().queued, 1 + 10 + 10);
}

#[test]
fn a_group_whose_next_payer_has_little_room_keeps_what_has_room() {
    let limits = Limits { queue_messages_per_identity: 10, ..Limits::default() };
    let mut world = World::new(1, limits);
    let w = &mut world;
    w.rules(&all_may_share());
    let both = || ["$share/a/pump/a".to_owned()];
    w.leave_behind(hello5("user:eve", "brief").expiry(30), "$share/a/pump/a");
    absent_member(w, "user:app", "member", both().into_iter().chain(["$share/b/pump/b".to_owned()]));
    let pump = w.connect(hello5("device:pump", "pump"));
    fill(w, pump, "pump/a", 8, "x");
    fill(w, pump, "pump/b", 7, "x");
    assert_eq!(w.stats().queued, 15);
    w.pass(31);
    assert_eq!(w.stats().queued, 10, "what the app has no room for is lost, as rule 18 says");
    assert_eq!(w.notices.iter().filter(|notice| matches!(notice, Notice::GroupFull { .. })).count(), 5);
    let app = w.connect(hello5("user:app", "member"));
    assert_eq!(w.payloads(app).len(), 10);
    assert_eq!(w.stats().queued, 0);
}

#[test]
fn a_member_with_room_pays_when_the_opener_has_none() {
    let limits = Limits { queue_messages_per_identity: 10, ..Limits::default() };
    let mut world = World::new(1, limits);
    let w = &mut world;
    w.rules(&all_may_share());
    let greedy = ["$share/work/pump/work".to_owned(), "$share/other/pump/other".to_owned()];
    absent_member(w, "user:eve", "greedy", greedy);
    absent_member(w, "user:app", "worker", ["$share/work/pump/work".to_owned()]);
    let pump = w.connect(hello5("device:pump", "pump"));
    fill(w, pump, "pump/other", 20, "x");
    fill(w, pump, "pump/work", 10, "x");
    assert_eq!(w.stats().queued, 20, "the greed of the opener costs its fellow members nothing");
}

#[test]
fn what_an_identity_was_charged_for_groups_is_given_back() {
    let limits = Limits { queue_messages_per_identity: 30, ..Limits::default() };
    in_every_world_with(limits, |w| {
        w.rules(&all_may_share());
        for round in 0..40 {
            let group = format!("$share/g{round}/pump/{round}");
            let member = w.connect(hello5("user:eve", "member"));
            assert_eq!(w.subscribe(member, &group), [ReasonCode::GrantedQos2]);
            w.lose(member);
            publish_numbers(w, &format!("pump/{round}"), 0..3, Qos::AtLeastOnce);
            assert_eq!(w.stats().queued, 3, "round {round}");
            let member = w.connect(hello5("user:eve", "member"));
            if round % 2 == 0 {
                assert_eq!(w.payloads(member).len(), 3, "round {round}");
            }
            w.unsubscribe(member, &group);
            assert_eq!(w.stats().queued, 0, "round {round}");
        }
    });
}

// SUBSCRIBE and UNSUBSCRIBE.

#[test]
fn places_beyond_what_a_session_may_have_are_refused_without_a_question() {
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump"));
        subscribe_all(w, pump, 1, std::iter::repeat_n("lamp/x", 5_000), at(Qos::AtLeastOnce));
        w.settle();
        let Some(Got::SubAck(1, codes)) = w.got(pump).pop() else { panic!("no SUBACK") };
        assert_eq!(codes.len(), 5_000, "one code for each filter [MQTT-3.9.3-1]");
        assert!(codes[..1_000].iter().all(|code| *code == ReasonCode::NotAuthorized));
        assert!(codes[1_000..].iter().all(|code| *code == ReasonCode::QuotaExceeded));
        assert_eq!((w.denials.len(), ran_into(w, Bound::SubscriptionsPerSession)), (1_000, 1));
    });
}

#[test]
fn a_packet_full_of_filters_tells_people_once() {
    let limits = Limits { subscriptions_per_session: 10, ..Limits::default() };
    in_every_world_with(limits, |w| {
        let pump = w.connect(hello(Version::V311, "device:pump", "pump"));
        let filters: Vec<_> = (0..100).map(|number| format!("pump/{number}")).collect();
        subscribe_all(w, pump, 1, filters.iter().map(String::as_str), at(Qos::AtLeastOnce));
        w.settle();
        assert_eq!((w.stats().subscriptions, ran_into(w, Bound::SubscriptionsPerSession)), (10, 1));
    });
}

#[test]
fn filters_use_up_the_slice_that_all_share() {
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump"));
        for number in 1..=5 {
            assert!(!w.is_behind(pump), "{number}");
            subscribe_all(w, pump, number, std::iter::repeat_n("pump/a", 1_000), at(Qos::AtLeastOnce));
            if w.is_behind(pump) {
                return;
            }
        }
        panic!("the work of 5,000 filters was nothing");
    });
}

#[test]
fn an_unsubscribe_of_more_filters_than_there_can_be_is_not_worked_off() {
    in_every_world(|w| {
        for version in [Version::V311, Version::V5] {
            let pump = w.connect(hello(version, "device:pump", "pump"));
            w.subscribe(pump, "pump/a");
            let filters = vec!["pump/a"; 5_000];
            w.got(pump);
            w.send(
                pump,
                &Packet::Unsubscribe(Unsubscribe {
                    id: id(1),
                    properties: UnsubscribeProperties::default(),
                    filters: UnsubscribeFilters::List(&filters),
                }),
            );
            if version == Version::V311 {
                assert!(!w.is_open(pump), "3.1.1 has no code to tell it");
                continue;
            }
            let Some(Got::UnsubAck(1, codes)) = w.got(pump).pop() else { panic!("no UNSUBACK") };
            assert_eq!(
                (codes.len(), codes[0], codes[1]),
                (5_000, ReasonCode::Success, ReasonCode::NoSubscriptionExisted)
            );
            assert!(codes[1_000..].iter().all(|code| *code == ReasonCode::ImplementationSpecificError));
        }
    });
}

// Groups and their seats.

#[test]
fn one_identity_joins_no_more_groups_than_its_portion_and_others_open_theirs() {
    let limits = Limits { groups: 60, groups_per_identity: 12, ..Limits::default() };
    in_every_world_with(limits, |w| {
        w.rules(&all_may_share());
        let pump = w.connect(hello5("device:pump", "pump"));
        let join = |w: &mut World, number| w.subscribe(pump, &format!("$share/g{number}/pump"))[0];
        let granted = (0..60).filter(|number| !join(w, *number).is_failure()).count();
        assert!((4..=12).contains(&granted), "{granted}");
        assert!(ran_into(w, Bound::GroupsPerIdentity) > 0);
        assert_eq!(ran_into(w, Bound::Groups), 0);
        let app = w.connect(hello5("user:app", "app"));
        assert_eq!(w.subscribe(app, "$share/mine/t"), [ReasonCode::GrantedQos2]);
        (0..60).for_each(|number| w.unsubscribe(pump, &format!("$share/g{number}/pump")));
        assert_eq!(w.stats().groups, 1);
        let again = (0..60).filter(|number| !join(w, *number).is_failure()).count();
        assert_eq!(again, granted, "what was left counts no longer");
    });
}

#[test]
fn many_sessions_of_one_identity_in_a_group_are_one_of_its_groups() {
    let limits = Limits { groups_per_identity: 1, ..Limits::default() };
    in_every_world_with(limits, |w| {
        w.rules(&all_may_share());
        let members: Vec<_> = (0..5).map(|n| w.connect(hello5("device:pump", &format!("m{n}")))).collect();
        for member in &members {
            assert_eq!(w.subscribe(*member, "$share/g/pump"), [ReasonCode::GrantedQos2]);
        }
        members.iter().for_each(|member| w.unsubscribe(*member, "$share/g/pump"));
        assert_eq!(w.subscribe(members[0], "$share/h/pump"), [ReasonCode::GrantedQos2]);
    });
}

#[test]
fn one_identity_leaves_seats_in_a_group_to_others() {
    let limits = Limits { group_members: 6, group_members_per_identity: 3, ..Limits::default() };
    in_every_world_with(limits, |w| {
        w.rules(&all_may_share());
        let join = |w: &mut World, who: &str, number| {
            let member = w.connect(hello5(who, &format!("m{number}")));
            w.subscribe(member, "$share/g/pump")[0]
        };
        let granted = (0..6).filter(|number| !join(w, "user:eve", *number).is_failure()).count();
        assert_eq!((granted, ran_into(w, Bound::GroupMembersPerIdentity)), (3, 3));
        assert_eq!(join(w, "user:app", 0), ReasonCode::GrantedQos2);
    });
}

// Messages that members may not read, or cannot take.

/// Counts the messages that groups hand to members of other shards while `act` runs.
fn hand_outs(w: &mut World, act: impl FnOnce(&mut World)) -> usize {
    w.record();
    act(w);
    w.take_record().iter().filter(|line| line.contains("HandOut")).count()
}

#[test]
fn what_is_too_large_for_a_member_is_not_offered_to_it_again_when_rules_change() {
    for shards in 2..=3 {
        let mut world = World::new(shards, Limits::default());
        let w = &mut world;
        w.rules(&all_may_share());
        absent_member(w, "user:app", "absent", ["$share/g/t".to_owned()]);
        for number in 0..20 {
            let small = w.connect(hello5("user:eve", &format!("small-{number}")).packet_max(60));
            w.subscribe(small, "$share/g/t");
        }
        let source = w.connect(hello5("user:app", "source"));
        let asked = hand_outs(w, |w| fill(w, source, "t", 10, &"x".repeat(100)));
        assert!(asked > 20, "{asked}");
        assert_eq!(w.stats().queued, 10);
        let asked = hand_outs(w, |w| w.rules(&(all_may_share() + "# changed\n")));
        assert_eq!((asked, w.stats().queued), (0, 10));
        let app = w.connect(hello5("user:app", "absent"));
        assert_eq!(w.payloads(app).len(), 10);
    }
}

#[test]
fn what_one_session_may_not_read_no_other_of_its_identity_is_asked_about() {
    let secret = rule("user:eve", "deny", &["receive"], &["t/secret"]);
    for shards in 2..=3 {
        let mut world = World::new(shards, Limits::default());
        let w = &mut world;
        w.rules(&(all_may_share() + &secret));
        absent_member(w, "user:app", "absent", ["$share/g/t/#".to_owned()]);
        for number in 0..50 {
            let eve = w.connect(hello5("user:eve", &format!("eve-{number}")));
            w.subscribe(eve, "$share/g/t/#");
        }
        let source = w.connect(hello5("user:app", "source"));
        let asked = hand_outs(w, |w| fill(w, source, "t/secret", 20, "x"));
        assert!(asked <= 20, "{asked}");
        let asked = hand_outs(w, |w| w.rules(&(all_may_share() + &secret + "# changed\n")));
        assert!(asked <= 20, "{asked}");
        assert_eq!(w.stats().queued, 20);
        w.rules(&all_may_share());
        assert_eq!(w.stats().queued, 0, "rules have changed: all may read it now");
    }
}

// Outboxes.

fn small_outboxes() -> Limits {
    Limits { outbox_bytes_per_identity: 3_000_000, ..Limits::default() }
}

/// Connects so many links of the pump that read nothing.
fn readers(w: &mut World, many: usize) -> Vec<Peer> {
    let connect = |number| {
        let reader = w.connect(hello5("device:pump", &format!("reader-{number}")));
        w.subscribe(reader, "pump/#");
        w.got(reader);
        w.set_reading(reader, false);
        reader
    };
    (0..many).map(connect).collect()
}

#[test]
fn the_outboxes_of_one_identity_are_bounded_together() {
    in_every_world_with(small_outboxes(), |w| {
        readers(w, 20);
        let app = w.connect(hello5("user:app", "app"));
        let large = "x".repeat(100_000);
        for _ in 0..3 {
            w.publish(app, letter("pump/a", &large));
        }
        let waits = w.stats().outbox_bytes;
        assert!((2_900_000..=3_200_000).contains(&waits), "{waits}");
        assert!(w.notices.iter().all(|notice| matches!(notice, Notice::TooSlow { .. })));
    });
}

#[test]
fn a_link_that_reads_goes_on_when_another_of_its_identity_has_read() {
    in_every_world_with(small_outboxes(), |w| {
        let greedy = readers(w, 20);
        let app = w.connect(hello5("user:app", "app"));
        let large = "x".repeat(100_000);
        for _ in 0..3 {
            w.publish(app, letter("pump/a", &large));
        }
        let modest = w.connect(hello5("device:pump", "modest"));
        w.subscribe(modest, "pump/b");
        for number in 1..=3 {
            w.publish(app, letter("pump/b", &number.to_string()).qos1(number));
        }
        assert!(w.payloads(modest).is_empty(), "its identity has used up what it may have");
        w.set_reading(greedy[0], true);
        assert_eq!(w.payloads(modest), ["1", "2", "3"]);
        w.publish(app, letter("pump/b", "4").qos1(4));
        assert_eq!(w.payloads(modest), ["4"]);
        for reader in greedy {
            w.lose(reader);
        }
        assert_eq!(w.stats().outbox_bytes, 0);
    });
}

#[test]
fn a_link_that_ends_makes_room_for_the_others_of_its_identity() {
    in_every_world_with(small_outboxes(), |w| {
        let greedy = readers(w, 20);
        let app = w.connect(hello5("user:app", "app"));
        let large = "x".repeat(100_000);
        for _ in 0..3 {
            w.publish(app, letter("pump/a", &large));
        }
        let modest = w.connect(hello5("device:pump", "modest"));
        w.subscribe(modest, "pump/b");
        w.publish(app, letter("pump/b", "1").qos1(1));
        assert!(w.payloads(modest).is_empty());
        w.lose(greedy[0]);
        assert_eq!(w.payloads(modest), ["1"]);
    });
}

// Replays.

#[test]
fn what_waits_for_the_end_of_a_replay_is_bounded_as_what_is_queued() {
    let limits = Limits { queue_bytes: 100_000, ..Limits::default() };
    let mut world = World::new(1, limits);
    let w = &mut world;
    let app = w.connect(hello5("user:app", "app"));
    for number in 1..=2 {
        w.publish(app, letter(&format!("pump/{number}"), "x").qos1(number).retained());
    }
    let slow = w.connect(hello5("device:pump", "slow").silent().receive_maximum(1));
    w.subscribe(slow, "pump/#");
    for number in 0..4_096 {
        w.publish(app, letter(&format!("pump/seen/{number}"), "x").retained());
    }
    let before = w.stats().memory;
    for number in 1..=50 {
        w.publish(app, letter(&format!("pump/held/{number}"), &"x".repeat(10_000)).qos1(number));
    }
    let grown = w.stats().memory - before;
    assert!((50_000..=110_000).contains(&grown), "{grown}");
}
