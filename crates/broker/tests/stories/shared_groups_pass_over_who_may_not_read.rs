//! Permissions of members: one that may not read a message is passed over, and nothing is lost for the others.

use crate::peer::{Peer, at, hello, hello5, letter};
use crate::shared_groups_share_fairly::{numbers, publish_numbers};
use crate::world::{World, app_may_everything, in_every_world, in_every_world_and_version, rule};
use keyward_broker::{DeniedAction, Notice};
use keyward_mqtt::packet::{Qos, Version};
use keyward_mqtt::reason::ReasonCode;

/// `user:app` may share all of `t/#`, `user:eve` too but reads nothing of `t/secret`.
fn eve_may_not_read_secrets() -> String {
    let both = ["subscribe", "share"];
    app_may_everything()
        + &rule("user:app", "allow", &["share"], &["#"])
        + &rule("user:eve", "allow", &both, &["t/#"])
        + &rule("user:eve", "deny", &["receive"], &["t/secret"])
}

fn join(w: &mut World, who: &str, version: Version) -> Peer {
    let peer = w.connect(hello(version, who, who));
    assert_eq!(w.subscribe(peer, "$share/g/t/#"), [ReasonCode::GrantedQos2], "{who}");
    peer
}

fn denied_to_all(w: &World) -> usize {
    w.notices.iter().filter(|notice| matches!(notice, Notice::GroupDenied { .. })).count()
}

#[test]
fn a_member_that_may_not_read_is_passed_over() {
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
        in_every_world_and_version(|w, version| {
            w.rules(&eve_may_not_read_secrets());
            let eve = join(w, "user:eve", version);
            let app = join(w, "user:app", version);
            publish_numbers(w, "t/secret", 0..6, qos);
            assert!(w.payloads(eve).is_empty());
            assert_eq!(numbers(&w.payloads(app)), [0, 1, 2, 3, 4, 5]);
            assert_eq!((w.stats().withheld, denied_to_all(w)), (0, 0));
            publish_numbers(w, "t/open", 6..10, qos);
            assert_eq!((w.payloads(eve).len(), w.payloads(app).len()), (2, 2));
        });
    }
}

#[test]
fn what_no_member_may_read_is_dropped_and_counted_and_holds_nothing_up() {
    for qos in [Qos::AtMostOnce, Qos::AtLeastOnce, Qos::ExactlyOnce] {
        in_every_world_and_version(|w, version| {
            w.rules(&eve_may_not_read_secrets());
            let eve = join(w, "user:eve", version);
            publish_numbers(w, "t/secret", 0..3, qos);
            publish_numbers(w, "t/open", 3..5, qos);
            assert_eq!(numbers(&w.payloads(eve)), [3, 4]);
            assert_eq!((w.stats().withheld, denied_to_all(w), w.stats().queued), (3, 3, 0));
        });
    }
}

#[test]
fn what_only_an_absent_member_may_read_waits_for_it_and_lets_the_rest_pass() {
    in_every_world(|w| {
        w.rules(&eve_may_not_read_secrets());
        let eve = join(w, "user:eve", Version::V5);
        let app = join(w, "user:app", Version::V5);
        w.lose(app);
        publish_numbers(w, "t/secret", 0..3, Qos::AtLeastOnce);
        publish_numbers(w, "t/open", 3..5, Qos::AtLeastOnce);
        assert_eq!(numbers(&w.payloads(eve)), [3, 4]);
        assert_eq!(w.stats().queued, 3);
        let back = w.connect(hello5("user:app", "user:app"));
        assert_eq!(numbers(&w.payloads(back)), [0, 1, 2]);
    });
}

#[test]
fn what_only_a_member_may_read_that_leaves_is_dropped_and_counted() {
    in_every_world(|w| {
        w.rules(&eve_may_not_read_secrets());
        join(w, "user:eve", Version::V5);
        w.leave_behind(hello5("user:app", "brief").expiry(30), "$share/g/t/#");
        publish_numbers(w, "t/secret", 0..2, Qos::AtLeastOnce);
        assert_eq!((w.stats().queued, denied_to_all(w)), (2, 0));
        w.pass(31);
        assert_eq!((w.stats().queued, denied_to_all(w)), (0, 2));
    });
}

#[test]
fn a_member_that_loses_its_rights_is_passed_over_from_then_on() {
    let reads = rule("user:eve", "allow", &["subscribe"], &["t/#"]);
    let app = app_may_everything() + &rule("user:app", "allow", &["share"], &["#"]);
    // It may not read any more, or only not share any more.
    for after in [app.clone(), app.clone() + &reads] {
        in_every_world_and_version(|w, version| {
            w.rules(&(app.clone() + &reads + &rule("user:eve", "allow", &["share"], &["t/#"])));
            let eve = join(w, "user:eve", version);
            publish_numbers(w, "t/a", 0..1, Qos::AtLeastOnce);
            assert_eq!(w.payloads(eve).len(), 1);
            let one = join(w, "user:app", version);
            w.rules(&after);
            publish_numbers(w, "t/a", 1..5, Qos::AtLeastOnce);
            assert!(w.payloads(eve).is_empty());
            assert_eq!(numbers(&w.payloads(one)), [1, 2, 3, 4]);
        });
    }
}

#[test]
fn a_member_that_gains_rights_gets_what_waited() {
    in_every_world(|w| {
        w.rules(&eve_may_not_read_secrets());
        let eve = join(w, "user:eve", Version::V5);
        let app = join(w, "user:app", Version::V5);
        w.lose(app);
        publish_numbers(w, "t/secret", 0..2, Qos::AtLeastOnce);
        assert!(w.payloads(eve).is_empty());
        w.rules(&(app_may_everything() + &rule("user:eve", "allow", &["subscribe", "share"], &["t/#"])));
        assert_eq!(numbers(&w.payloads(eve)), [0, 1]);
    });
}

#[test]
fn a_member_that_gains_rights_gets_what_waited_whichever_shard_hears_of_them_first() {
    for first in 0..3 {
        in_every_world(|w| {
            w.rules(&eve_may_not_read_secrets());
            let eve = join(w, "user:eve", Version::V5);
            let app = join(w, "user:app", Version::V5);
            w.lose(app);
            publish_numbers(w, "t/secret", 0..2, Qos::AtLeastOnce);
            assert!(w.payloads(eve).is_empty());
            let shares = rule("user:eve", "allow", &["subscribe", "share"], &["t/#"]);
            w.rules_one_by_one(&(app_may_everything() + &shares), first);
            assert_eq!(numbers(&w.payloads(eve)), [0, 1], "shard {first} first");
        });
    }
}

#[test]
fn a_message_that_is_too_large_for_one_member_goes_to_another() {
    in_every_world(|w| {
        w.rules(&eve_may_not_read_secrets());
        let small = w.connect(hello5("user:app", "small").packet_max(60));
        w.subscribe(small, "$share/g/t/#");
        let large = w.connect(hello5("user:app", "large"));
        w.subscribe(large, "$share/g/t/#");
        let source = w.connect(hello5("user:app", "source"));
        for number in 1..=4 {
            w.publish(source, letter("t/a", &"x".repeat(100)).qos1(number));
        }
        assert_eq!((w.payloads(small).len(), w.payloads(large).len()), (0, 4));
    });
}

#[test]
fn to_share_is_a_right_of_its_own_and_must_cover_the_filter() {
    in_every_world_and_version(|w, version| {
        let reads = rule("user:eve", "allow", &["subscribe"], &["t/#"]);
        let shares = rule("user:eve", "allow", &["share"], &["t/a"]);
        w.rules(&(app_may_everything() + &reads + &shares));
        let eve = w.connect(hello(version, "user:eve", "eve"));
        let refused = match version {
            // It has no word for a refusal.
            Version::V31 => ReasonCode::GrantedQos2,
            Version::V311 => ReasonCode::UnspecifiedError,
            Version::V5 => ReasonCode::NotAuthorized,
        };
        assert_eq!(w.subscribe(eve, "$share/g/t/#"), [refused]);
        assert_eq!(w.stats().shared_subscriptions, 0);
        assert_eq!(w.subscribe(eve, "$share/g/t/a"), [ReasonCode::GrantedQos2]);
        assert_eq!(w.denials.len(), 1);
        assert_eq!((w.denials[0].action, &*w.denials[0].topic), (DeniedAction::Subscribe, "$share/g/t/#"));
    });
}

#[test]
fn a_member_gets_its_own_messages_like_any_other() {
    in_every_world(|w| {
        w.rules(&eve_may_not_read_secrets());
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe_with(app, "$share/g/t/#", at(Qos::AtLeastOnce), None);
        w.publish(app, letter("t/a", "x").qos1(1));
        assert_eq!(w.payloads(app), ["x"]);
    });
}

#[test]
fn who_takes_the_place_of_a_member_that_left_is_denied_nothing_that_was_denied_to_it() {
    in_every_world(|w| {
        w.rules(&eve_may_not_read_secrets());
        let eve = join(w, "user:eve", Version::V5);
        let app = join(w, "user:app", Version::V5);
        w.lose(app);
        publish_numbers(w, "t/secret", 0..3, Qos::AtLeastOnce);
        assert_eq!((w.payloads(eve).len(), w.stats().queued), (0, 3));
        w.unsubscribe(eve, "$share/g/t/#");
        let next = w.connect(hello5("user:app", "next"));
        w.subscribe(next, "$share/g/t/#");
        assert_eq!(numbers(&w.payloads(next)), [0, 1, 2]);
    });
}

#[test]
fn what_many_members_cannot_take_waits_for_the_one_that_can() {
    in_every_world(|w| {
        w.rules(&eve_may_not_read_secrets());
        let app = join(w, "user:app", Version::V5);
        w.lose(app);
        // More than fit in one word of places; their clients take no packet that has a message.
        for number in 0..70 {
            let small = w.connect(hello5("user:eve", &format!("small{number}")).packet_max(20));
            w.subscribe(small, "$share/g/t/#");
        }
        publish_numbers(w, "t/too-long-for-a-small-packet", 0..20, Qos::AtLeastOnce);
        assert_eq!(w.stats().queued, 20);
        let back = w.connect(hello5("user:app", "user:app"));
        assert_eq!(numbers(&w.payloads(back)), Vec::from_iter(0..20));
    });
}
