//! A decision is made where it is used, by the policy of that moment.

use crate::peer::{Got, hello, hello5, letter};
use crate::world::{app_may_everything, identity, in_every_world, in_every_world_and_version, rule};
use keyward_broker::output::Report;
use keyward_broker::{DeniedAction, Notice, Standing};
use keyward_mqtt::reason::ReasonCode;

fn eve_reads(topics: &[&str]) -> String {
    app_may_everything() + &rule("user:eve", "allow", &["subscribe"], topics)
}

#[test]
fn a_change_of_policy_holds_for_the_next_message() {
    in_every_world_and_version(|w, version| {
        w.rules(&eve_reads(&["#"]));
        let eve = w.connect(hello(version, "user:eve", "eve"));
        w.subscribe(eve, "#");
        let app = w.connect(hello(version, "user:app", "app"));
        w.publish(app, letter("pump/a", "1"));
        w.rules(&eve_reads(&["lamp/#"]));
        w.publish(app, letter("pump/a", "2"));
        w.publish(app, letter("lamp/a", "3"));
        w.rules(&app_may_everything());
        w.publish(app, letter("lamp/a", "4"));
        w.rules(&eve_reads(&["#"]));
        w.publish(app, letter("pump/a", "5"));
        assert_eq!(w.payloads(eve), ["1", "3", "5"]);
    });
}

#[test]
fn a_queued_message_is_asked_about_again() {
    in_every_world_and_version(|w, version| {
        w.rules(&eve_reads(&["#"]));
        w.leave_behind(hello(version, "user:eve", "eve"), "#");
        let app = w.connect(hello(version, "user:app", "app"));
        w.publish(app, letter("pump/a", "secret by now").qos1(1));
        w.publish(app, letter("lamp/a", "harmless").qos1(2));
        w.rules(&eve_reads(&["lamp/#"]));
        let eve = w.connect(hello(version, "user:eve", "eve"));
        assert_eq!(w.payloads(eve), ["harmless"]);
    });
}

#[test]
fn a_message_under_way_is_not_repeated_to_who_may_not_read_it_any_more() {
    in_every_world_and_version(|w, version| {
        w.rules(&eve_reads(&["#"]));
        let eve = w.connect(hello(version, "user:eve", "eve").silent());
        w.subscribe(eve, "#");
        let app = w.connect(hello(version, "user:app", "app"));
        w.publish(app, letter("pump/a", "one").qos1(1));
        w.publish(app, letter("pump/a", "two").qos2(2));
        assert_eq!(w.messages(eve).len(), 2);
        w.lose(eve);
        w.rules(&eve_reads(&["lamp/#"]));
        let eve = w.connect(hello(version, "user:eve", "eve"));
        assert_eq!(w.messages(eve), []);
        w.publish(app, letter("lamp/a", "next").qos2(3));
        assert_eq!(w.payloads(eve), ["next"]);
    });
}

#[test]
fn what_may_not_be_read_takes_no_place_in_the_queue() {
    in_every_world_and_version(|w, version| {
        w.rules(&eve_reads(&["lamp/#"]));
        w.leave_behind(hello(version, "user:eve", "eve"), "#");
        let app = w.connect(hello(version, "user:app", "app"));
        w.publish(app, letter("pump/a", "x").qos1(1));
        assert_eq!(w.stats().queued, 0);
        assert_eq!(w.stats().withheld, 1);
    });
}

#[test]
fn publishing_follows_a_change_of_policy_too() {
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app"));
        w.subscribe(app, "#");
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.publish(pump, letter("pump/a", "1"));
        w.rules(&(app_may_everything() + &rule("device:pump", "deny", &["publish"], &["#"])));
        w.publish(pump, letter("pump/a", "2"));
        w.rules(&app_may_everything());
        w.publish(pump, letter("pump/a", "3"));
        assert_eq!(w.payloads(app), ["1", "3"]);
        assert_eq!(w.denials.len(), 1);
    });
}

#[test]
fn a_subscription_is_granted_if_something_of_it_is_readable() {
    in_every_world(|w| {
        w.rules(&eve_reads(&["+/status"]));
        let eve = w.connect(hello5("user:eve", "eve"));
        for (filter, code) in [
            ("#", ReasonCode::GrantedQos2),
            ("pump/#", ReasonCode::GrantedQos2),
            ("pump/secret", ReasonCode::NotAuthorized),
            ("+/+/status", ReasonCode::NotAuthorized),
        ] {
            assert_eq!(w.subscribe(eve, filter), [code], "{filter}");
        }
    });
}

#[test]
fn every_shard_reports_a_generation() {
    in_every_world(|w| {
        w.reports.clear();
        w.rules(&app_may_everything());
        let generation = w.generation();
        let expected = vec![Report::Policy { generation }; w.shard_count()];
        assert_eq!(w.reports, expected);
    });
}

#[test]
fn an_overlapping_subscription_that_covers_allows_the_copy() {
    in_every_world(|w| {
        w.rules(&eve_reads(&["lamp/#", "+/status"]));
        let eve = w.connect(hello5("user:eve", "eve"));
        w.subscribe(eve, "#");
        w.subscribe(eve, "lamp/#");
        let app = w.connect(hello5("user:app", "app"));
        for (number, topic) in (1..).zip(["lamp/a", "pump/a", "pump/status"]) {
            w.publish(app, letter(topic, topic).qos1(number));
        }
        assert_eq!(w.payloads(eve), ["lamp/a", "pump/status"]);
    });
}

#[test]
fn a_qos_2_message_that_is_forbidden_while_it_waits_for_the_disk_is_acknowledged_dropped_and_counted() {
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app"));
        w.subscribe(app, "#");
        let pump = w.connect(hello(version, "device:pump", "pump").silent());
        w.got(pump);
        w.slow_store();
        w.publish(pump, letter("pump/a", "too late").qos2(1));
        w.rules(&(app_may_everything() + &rule("device:pump", "deny", &["publish"], &["#"])));
        w.store();
        assert_eq!(w.got(pump), [Got::PubRec(1, ReasonCode::Success)]);
        assert_eq!(w.messages(app), []);
        assert_eq!(w.notices, [Notice::PublishWithheld { publisher: identity("device:pump") }]);
        assert_eq!((w.denials.len(), w.denials[0].action), (1, DeniedAction::Publish));
        // The handshake goes on as for any other.
        w.pubrel(pump, 1);
        w.store();
        assert_eq!(w.got(pump), [Got::PubComp(1, ReasonCode::Success)]);
    });
}

#[test]
fn a_qos_2_message_whose_publisher_is_disabled_while_it_waits_for_the_disk_is_dropped_and_counted() {
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app"));
        w.subscribe(app, "#");
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.slow_store();
        w.publish(pump, letter("pump/a", "too late").qos2(1));
        w.set("device:pump", 1, Standing::Disabled);
        w.store();
        assert_eq!(w.messages(app), []);
        assert_eq!(w.notices, [Notice::PublishWithheld { publisher: identity("device:pump") }]);
        assert!(w.denials.is_empty(), "no rule denied it");
    });
}
