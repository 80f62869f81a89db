//! Rules with `{client}`, and rules that are decided late, on their way through the broker.

use crate::peer::{hello, hello5, letter};
use crate::world::{World, app_may_everything, in_every_world, in_every_world_and_version, rule};
use keyward_broker::{CloseCause, DeniedAction};
use keyward_mqtt::reason::ReasonCode;

fn eve_has_her_client_id() -> String {
    app_may_everything() + &rule("user:eve", "allow", &["publish", "subscribe"], &["x/{client}/#"])
}

fn eve_is_decided_late() -> String {
    let late = "[[decide-late]]\nwho = \"user:eve\"\nwhat = [\"subscribe\", \"will\"]\n";
    app_may_everything() + &rule("user:eve", "allow", &["publish", "subscribe"], &["x/#"]) + late
}

#[test]
fn two_clients_of_one_user_have_each_their_own() {
    in_every_world_and_version(|w, version| {
        w.rules(&eve_has_her_client_id());
        let (one, two) =
            (w.connect(hello(version, "user:eve", "one")), w.connect(hello(version, "user:eve", "two")));
        w.subscribe(one, "#");
        w.subscribe(two, "#");
        for peer in [one, two, one] {
            w.publish(peer, letter("x/one/a", "1").qos1(1));
            w.publish(peer, letter("x/two/a", "2").qos2(2));
        }
        assert_eq!(w.payloads(one), ["1", "1"]);
        assert_eq!(w.payloads(two), ["2"]);
        assert_eq!(w.denials.len(), 3);
    });
}

#[test]
fn an_absent_session_gets_what_its_client_id_may_read() {
    in_every_world_and_version(|w, version| {
        w.rules(&eve_has_her_client_id());
        w.leave_behind(hello(version, "user:eve", "one"), "#");
        let app = w.connect(hello(version, "user:app", "app"));
        w.publish(app, letter("x/one/a", "mine").qos1(1));
        w.publish(app, letter("x/two/a", "not mine").qos1(2));
        let eve = w.connect(hello(version, "user:eve", "one"));
        assert_eq!(w.payloads(eve), ["mine"]);
    });
}

#[test]
fn a_will_speaks_with_the_client_id_of_its_session() {
    in_every_world_and_version(|w, version| {
        w.rules(&eve_has_her_client_id());
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe(app, "#");
        let eve = w.connect(hello(version, "user:eve", "one").will("x/one/gone", "gone"));
        w.lose(eve);
        assert_eq!(w.payloads(app), ["gone"]);
        let eve = w.try_connect(hello(version, "user:eve", "two").will("x/one/gone", "not mine"));
        assert_eq!(w.closed(eve), Some(CloseCause::Refused(ReasonCode::NotAuthorized)));
    });
}

#[test]
fn a_late_will_is_taken_and_not_published_and_nor_is_that_of_another_client_id() {
    in_every_world_and_version(|w, version| {
        let late = "[[decide-late]]\nwho = \"users\"\nwhat = \"will\"\n";
        w.rules(&(eve_has_her_client_id() + late));
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe(app, "#");
        for topic in ["y/gone", "x/two/gone"] {
            let eve = w.connect(hello(version, "user:eve", "one").will(topic, "gone"));
            w.lose(eve);
        }
        assert!(w.payloads(app).is_empty());
        assert!(w.denials.iter().all(|denial| denial.action == DeniedAction::Will) && w.denials.len() == 2);
    });
}

#[test]
fn a_retained_message_is_replayed_while_some_client_id_may_write_there() {
    in_every_world(|w: &mut World| {
        w.rules(&eve_has_her_client_id());
        let eve = w.connect(hello5("user:eve", "one"));
        w.publish(eve, letter("x/one/a", "kept").qos1(1).retained());
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe(app, "x/#");
        assert_eq!(w.payloads(app), ["kept"]);
        w.rules(&(eve_has_her_client_id() + &rule("user:eve", "deny", &["publish"], &["x/{client}/a"])));
        w.subscribe(app, "x/one/#");
        assert!(w.payloads(app).is_empty());
    });
}

#[test]
fn a_late_subscription_is_granted_and_delivers_what_may_be_read_then() {
    in_every_world_and_version(|w, version| {
        w.rules(&eve_is_decided_late());
        let eve = w.connect(hello(version, "user:eve", "eve"));
        for filter in ["#", "y/#", "$SYS/#"] {
            assert_eq!(w.subscribe(eve, filter), [ReasonCode::GrantedQos2], "{filter}");
        }
        let app = w.connect(hello(version, "user:app", "app"));
        w.publish(app, letter("y/a", "1"));
        w.publish(app, letter("x/a", "2"));
        assert_eq!(w.payloads(eve), ["2"]);
        w.rules(&(eve_is_decided_late() + &rule("user:eve", "allow", &["subscribe"], &["y/#"])));
        w.publish(app, letter("y/a", "3"));
        assert_eq!(w.payloads(eve), ["3"]);
        assert!(w.denials.is_empty());
    });
}
