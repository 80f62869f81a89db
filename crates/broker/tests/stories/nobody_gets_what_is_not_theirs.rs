//! A session belongs to the identity that opened it. Eve knows the client id of a device and tries what she can.

use crate::peer::{Got, hello, letter};
use crate::world::{in_every_world_and_version, rule};
use keyward_broker::DeniedAction;
use keyward_mqtt::packet::Version;
use keyward_mqtt::reason::ReasonCode;

fn eve_may_read_all() -> String {
    crate::world::app_may_everything() + &rule("user:eve", "allow", &["subscribe"], &["#"])
}

fn session_present(got: &[Got]) -> bool {
    matches!(got.first(), Some(Got::ConnAck { session_present: true, .. }))
}

#[test]
fn a_queue_cannot_be_stolen_with_a_client_id() {
    in_every_world_and_version(|w, version| {
        w.rules(&eve_may_read_all());
        w.leave_behind(hello(version, "device:pump", "pump"), "pump/#");
        let app = w.connect(hello(version, "user:app", "app"));
        w.publish(app, letter("pump/secret", "for the pump").qos1(1));

        let eve = w.connect(hello(version, "user:eve", "pump"));
        let got = w.got(eve);
        assert!(!session_present(&got));
        assert_eq!(got.len(), 1, "{got:?}");

        let pump = w.connect(hello(version, "device:pump", "pump"));
        assert_eq!(w.payloads(pump), ["for the pump"]);
    });
}

#[test]
fn a_session_cannot_be_ended_by_a_clean_start_of_another_identity() {
    in_every_world_and_version(|w, version| {
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.subscribe(pump, "pump/#");
        let eve = w.connect(hello(version, "user:eve", "pump").clean());
        assert!(w.is_open(pump), "the older link was taken over");
        w.disconnect(eve);
        w.lose(pump);
        let pump = w.connect(hello(version, "device:pump", "pump"));
        assert_eq!(session_present(&w.got(pump)), version != Version::V31, "3.1 does not tell");
        assert_eq!(w.stats().subscriptions, 1);
    });
}

#[test]
fn a_subscription_cannot_be_inherited_with_a_client_id() {
    in_every_world_and_version(|w, version| {
        w.rules(&eve_may_read_all());
        w.leave_behind(hello(version, "device:pump", "pump"), "pump/#");
        let eve = w.connect(hello(version, "user:eve", "pump"));
        w.got(eve);
        let app = w.connect(hello(version, "user:app", "app"));
        w.publish(app, letter("pump/secret", "x"));
        assert_eq!(w.got(eve), []);
    });
}

#[test]
fn a_will_cannot_be_fired_with_a_client_id() {
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app"));
        w.subscribe(app, "#");
        let _pump = w.connect(hello(version, "device:pump", "pump").will("pump/gone", "gone"));
        let eve = w.connect(hello(version, "user:eve", "pump").clean());
        w.lose(eve);
        w.pass(10);
        assert_eq!(w.payloads(app), Vec::<String>::new());
    });
}

#[test]
fn a_device_and_a_user_of_one_name_are_two() {
    in_every_world_and_version(|w, version| {
        w.set("user:pump", 1, keyward_broker::Standing::Active);
        let device = w.connect(hello(version, "device:pump", "pump"));
        w.subscribe(device, "pump/#");
        let user = w.connect(hello(version, "user:pump", "pump"));
        assert!(w.is_open(device));
        let is_told = version != Version::V31;
        assert_eq!(w.subscribe(user, "pump/#")[0].is_failure(), is_told);
        assert_eq!(w.stats().subscriptions, 1);
    });
}

#[test]
fn an_identity_without_rules_gets_nothing_and_says_nothing() {
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app"));
        w.subscribe(app, "#");
        let eve = w.connect(hello(version, "user:eve", "eve"));
        w.got(eve);
        let refused = match version {
            // 3.1 has no word for it: the answer is the QoS that was asked for.
            Version::V31 => ReasonCode::GrantedQos2,
            Version::V311 => ReasonCode::UnspecifiedError,
            Version::V5 => ReasonCode::NotAuthorized,
        };
        assert_eq!(w.subscribe(eve, "#"), [refused]);
        w.publish(eve, letter("pump/interval", "0"));
        w.publish(eve, letter("pump/interval", "1").qos1(1));
        w.publish(eve, letter("pump/interval", "2").qos2(2));
        assert_eq!(w.payloads(app), Vec::<String>::new());

        let told = match version {
            Version::V31 | Version::V311 => ReasonCode::Success,
            Version::V5 => ReasonCode::NotAuthorized,
        };
        let got = w.got(eve);
        assert!(matches!(got[0], Got::PubAck(1, reason, _) if reason == told), "{got:?}");
        assert_eq!(got[1], Got::PubRec(2, told));
        let denied: Vec<_> =
            w.denials.iter().map(|d| (d.identity.to_string(), d.action, d.topic.to_string())).collect();
        let publish = ("user:eve".to_owned(), DeniedAction::Publish, "pump/interval".to_owned());
        let subscribe = ("user:eve".to_owned(), DeniedAction::Subscribe, "#".to_owned());
        assert_eq!(denied, [subscribe, publish.clone(), publish.clone(), publish]);
    });
}

#[test]
fn a_denial_names_the_rule_that_decided() {
    in_every_world_and_version(|w, version| {
        w.rules(&rule("device:pump", "deny", &["publish"], &["pump/config"]));
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.publish(pump, letter("pump/config", "x"));
        let rule = w.denials[0].rule.as_ref().unwrap();
        assert_eq!(rule.to_string(), "policy.d/test.toml:1");
    });
}

#[test]
fn clients_publish_to_no_topic_of_the_broker() {
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app"));
        w.publish(app, letter("$SYS/broker/uptime", "1"));
        assert_eq!(w.denials.len(), 1);
    });
}

#[test]
fn a_subscription_of_everything_delivers_only_what_may_be_read() {
    in_every_world_and_version(|w, version| {
        let allowed = rule("user:eve", "allow", &["subscribe"], &["+/status"]);
        w.rules(&(crate::world::app_may_everything() + &allowed));
        let eve = w.connect(hello(version, "user:eve", "eve"));
        assert_eq!(w.subscribe(eve, "#"), [ReasonCode::GrantedQos2]);
        let app = w.connect(hello(version, "user:app", "app"));
        for (number, topic) in (1..).zip(["pump/status", "pump/secret", "lamp/status", "status"]) {
            w.publish(app, letter(topic, topic).qos1(number));
        }
        assert_eq!(w.payloads(eve), ["pump/status", "lamp/status"]);
    });
}
