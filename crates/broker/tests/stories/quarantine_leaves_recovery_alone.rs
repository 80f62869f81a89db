//! A device in quarantine stays connected, and speaks and hears on its recovery topics only.

use crate::peer::{Got, Peer, hello, hello5, letter};
use crate::world::{World, in_every_world, in_every_world_and_version, rule};
use keyward_broker::{CloseCause, DeniedAction, Standing};
use keyward_mqtt::packet::Packet;
use keyward_mqtt::reason::ReasonCode;

const OWN: &str = "devices/pump/recovery/state";

fn reader(w: &mut World) -> Peer {
    let app = w.connect(hello5("user:app", "app"));
    w.subscribe(app, "#");
    app
}

fn nothing() -> Vec<String> {
    Vec::new()
}

#[test]
fn its_link_stays_open_and_it_publishes_on_recovery_topics_only() {
    in_every_world_and_version(|w, version| {
        let app = reader(w);
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.quarantine("device:pump", true);
        assert!(w.is_open(pump));
        w.got(pump);
        w.publish(pump, letter("pump/a", "0"));
        w.publish(pump, letter("pump/a", "1").qos1(1));
        w.publish(pump, letter("devices/pump/set", "2").qos2(2));
        w.publish(pump, letter(OWN, "here").qos1(3));
        assert_eq!(w.payloads(app), ["here"]);
        assert_eq!(w.denials.len(), 3);
        for denial in &w.denials {
            assert_eq!(denial.action, DeniedAction::Publish);
            assert!(denial.rule.as_ref().unwrap().to_string().starts_with("quarantine:"), "{denial:?}");
        }
    });
}

#[test]
fn over_5_0_it_is_told_so_and_keeps_what_it_has() {
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump"));
        w.quarantine("device:pump", true);
        w.got(pump);
        w.publish(pump, letter("pump/a", "1").qos1(1));
        w.publish(pump, letter("pump/a", "2").qos2(2));
        let told = w.got(pump);
        let words = Some("quarantined".to_owned());
        assert!(told.contains(&Got::PubAck(1, ReasonCode::NotAuthorized, words)), "{told:?}");
        assert!(told.contains(&Got::PubRec(2, ReasonCode::NotAuthorized)), "{told:?}");
        w.quarantine("device:pump", false);
        w.publish(pump, letter("lamp/a", "3").qos1(3));
        let told = w.got(pump);
        assert!(matches!(&told[..], [Got::PubAck(3, _, Some(text))] if text != "quarantined"), "{told:?}");
    });
}

#[test]
fn what_is_queued_for_it_is_withheld_and_its_subscriptions_get_nothing_until_it_is_released() {
    in_every_world_and_version(|w, version| {
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.subscribe(pump, "pump/#");
        w.subscribe(pump, "devices/pump/#");
        w.lose(pump);
        let app = w.connect(hello5("user:app", "app"));
        w.publish(app, letter("pump/a", "queued").qos1(1));
        w.publish(app, letter("devices/pump/recovery/do", "come home").qos1(2));
        w.quarantine("device:pump", true);
        w.publish(app, letter("pump/a", "meanwhile").qos1(3));
        let pump = w.connect(hello(version, "device:pump", "pump"));
        assert_eq!(w.payloads(pump), ["come home"]);
        w.publish(app, letter("devices/pump/recovery/do", "now").qos1(4));
        w.publish(app, letter("pump/a", "still").qos1(5));
        assert_eq!(w.payloads(pump), ["now"]);
        w.quarantine("device:pump", false);
        w.publish(app, letter("pump/a", "free").qos1(6));
        assert_eq!(w.payloads(pump), ["free"]);
    });
}

#[test]
fn what_it_had_on_the_way_when_it_was_cut_off_is_not_sent_again() {
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump").silent());
        w.subscribe(pump, "pump/#");
        let app = w.connect(hello5("user:app", "app"));
        w.publish(app, letter("pump/a", "secret").qos1(1));
        assert_eq!(w.payloads(pump), ["secret"]);
        w.lose(pump);
        w.quarantine("device:pump", true);
        let pump = w.connect(hello5("device:pump", "pump"));
        assert_eq!(w.payloads(pump), nothing());
    });
}

#[test]
fn retained_messages_of_other_topics_are_not_replayed_to_it_and_its_own_are_withheld_from_others() {
    in_every_world_and_version(|w, version| {
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.publish(pump, letter("pump/a", "mine").qos1(1).retained());
        w.publish(pump, letter(OWN, "well").qos1(2).retained());
        w.quarantine("device:pump", true);
        let app = reader(w);
        assert_eq!(w.payloads(app), ["well"]);
        w.got(pump);
        w.subscribe(pump, "#");
        assert_eq!(w.payloads(pump), ["well"]);
        w.disconnect(app);
        w.quarantine("device:pump", false);
        let app = w.connect(hello5("user:app", "app").clean());
        w.subscribe(app, "#");
        let mut kept = w.payloads(app);
        kept.sort();
        assert_eq!(kept, ["mine", "well"], "it was withheld, not erased");
    });
}

#[test]
fn it_connects_with_any_will_and_only_one_on_recovery_topics_is_published() {
    in_every_world_and_version(|w, version| {
        let app = reader(w);
        w.quarantine("device:pump", true);
        let pump = w.connect(hello(version, "device:pump", "pump").will("pump/gone", "gone"));
        w.lose(pump);
        assert_eq!(w.payloads(app), nothing());
        assert_eq!(w.denials.last().unwrap().action, DeniedAction::Will);
        let pump = w.connect(hello(version, "device:pump", "pump").will(OWN, "last gasp"));
        w.lose(pump);
        assert_eq!(w.payloads(app), ["last gasp"]);
    });
}

#[test]
fn a_will_that_was_left_before_is_withheld() {
    in_every_world(|w| {
        let app = reader(w);
        let pump = w.connect(hello5("device:pump", "pump").will("pump/gone", "gone"));
        w.quarantine("device:pump", true);
        w.lose(pump);
        assert_eq!(w.payloads(app), nothing());
        let pump = w.connect(hello5("device:pump", "pump"));
        assert!(w.is_open(pump));
    });
}

#[test]
fn subscriptions_elsewhere_are_refused_and_group_members_get_nothing() {
    in_every_world(|w| {
        let rules = rule("all", "allow", &["publish", "subscribe", "share"], &["#"]);
        w.rules(&rules);
        let pump = w.connect(hello5("device:pump", "pump"));
        w.subscribe(pump, "$share/g/jobs/#");
        w.quarantine("device:pump", true);
        assert_eq!(w.subscribe(pump, "pump/#"), [ReasonCode::NotAuthorized]);
        assert_eq!(w.subscribe(pump, "$share/h/jobs/#"), [ReasonCode::NotAuthorized]);
        assert!(!w.subscribe(pump, "devices/pump/recovery/#")[0].is_failure());
        let eve = w.connect(hello5("user:eve", "eve"));
        w.subscribe(eve, "$share/g/jobs/#");
        let app = w.connect(hello5("user:app", "app"));
        w.got(pump);
        for job in 1..=8 {
            w.publish(app, letter("jobs/a", "job").qos1(job));
        }
        assert_eq!(w.payloads(pump), nothing());
        assert_eq!(w.payloads(eve).len(), 8);
    });
}

#[test]
fn a_second_link_takes_the_session_over_and_is_in_quarantine_too() {
    in_every_world(|w| {
        let app = reader(w);
        let pump = w.connect(hello5("device:pump", "pump"));
        w.quarantine("device:pump", true);
        let other = w.connect(hello5("device:pump", "pump"));
        assert!(matches!(w.closed(pump), Some(CloseCause::TakenOver)), "{:?}", w.closed(pump));
        w.publish(other, letter("pump/a", "x").qos1(1));
        let strange = w.connect(hello5("device:pump", "another id"));
        w.publish(strange, letter("pump/a", "y").qos1(1));
        assert_eq!(w.payloads(app), nothing());
    });
}

#[test]
fn a_qos_2_message_that_waits_for_the_disk_is_not_routed_any_more() {
    in_every_world(|w| {
        let app = reader(w);
        let pump = w.connect(hello5("device:pump", "pump").silent());
        w.slow_store();
        w.publish(pump, letter("pump/a", "x").qos2(1));
        w.quarantine("device:pump", true);
        w.store();
        assert_eq!(w.payloads(app), nothing());
    });
}

#[test]
fn what_it_published_before_is_delivered_still() {
    in_every_world(|w| {
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe(app, "pump/#");
        w.lose(app);
        let pump = w.connect(hello5("device:pump", "pump"));
        w.publish(pump, letter("pump/a", "before").qos1(1));
        w.quarantine("device:pump", true);
        let app = w.connect(hello5("user:app", "app"));
        assert_eq!(w.payloads(app), ["before"]);
    });
}

#[test]
fn a_release_closes_its_link_so_that_it_begins_anew() {
    in_every_world_and_version(|w, version| {
        let app = reader(w);
        w.quarantine("device:pump", true);
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.subscribe(pump, "pump/#");
        w.renew("device:pump", 2, Standing::Active);
        assert_eq!(w.closed(pump), Some(CloseCause::NotAllowed));
        let pump = w.connect(hello(version, "device:pump", "pump").epoch(2));
        w.subscribe(pump, "pump/#");
        w.publish(pump, letter("pump/a", "again").qos1(1));
        assert_eq!((w.payloads(app), w.payloads(pump)), (vec!["again".to_owned()], vec!["again".to_owned()]));
    });
}

#[test]
fn a_link_in_quarantine_is_kept_alive() {
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump").keep_alive(10));
        w.quarantine("device:pump", true);
        w.got(pump);
        w.send(pump, &Packet::PingReq);
        assert!(w.has_got(pump, |got| matches!(got, Got::Pong)), "{:?}", w.got(pump));
    });
}
