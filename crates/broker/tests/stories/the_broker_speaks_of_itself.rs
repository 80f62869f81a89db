//! What the broker publishes below `$SYS/`: who may read it, who may not write it, and what the figures count.

use crate::peer::{Got, hello5, letter};
use crate::world::{app_may_everything, in_every_world, rule};
use keyward_broker::Storage;
use keyward_mqtt::reason::ReasonCode;

const UPTIME: &str = "$SYS/broker/uptime";

fn sys_for_the_app() -> String {
    app_may_everything() + &rule("user:app", "allow", &["subscribe"], &["$SYS/#"])
}

#[test]
fn only_who_is_granted_it_by_name_reads_what_the_broker_says_of_itself() {
    in_every_world(|w| {
        let app = w.connect(hello5("user:app", "app"));
        assert_eq!(w.subscribe(app, "$SYS/#"), [ReasonCode::NotAuthorized], "a rule for # is none for $SYS");
        w.rules(&sys_for_the_app());
        assert_eq!(w.subscribe(app, "$SYS/#"), [ReasonCode::GrantedQos2]);
        let pump = w.connect(hello5("device:pump", "pump"));
        assert_eq!(w.subscribe(pump, "$SYS/#"), [ReasonCode::NotAuthorized]);
        w.announce(&[(UPTIME, "1 seconds")]);
        assert_eq!(w.payloads(app), ["1 seconds"]);
        w.rules(&app_may_everything());
        w.announce(&[(UPTIME, "2 seconds")]);
        assert_eq!(w.payloads(app), [""; 0], "the next one is decided by the new rules");
    });
}

#[test]
fn no_filter_that_begins_with_a_wildcard_matches_what_the_broker_says_of_itself() {
    // [MQTT-4.7.2-1]
    in_every_world(|w| {
        w.rules(&sys_for_the_app());
        let app = w.connect(hello5("user:app", "app"));
        w.announce(&[(UPTIME, "1 seconds")]);
        w.subscribe(app, "#");
        w.subscribe(app, "+/broker/uptime");
        w.announce(&[(UPTIME, "2 seconds")]);
        assert_eq!(w.payloads(app), [""; 0]);
        w.subscribe(app, "$SYS/+/uptime");
        assert_eq!(w.payloads(app), ["2 seconds"], "by its name it is there");
    });
}

#[test]
fn who_comes_later_gets_what_was_said_last_and_a_change_of_accounts_keeps_it() {
    in_every_world(|w| {
        w.rules(&sys_for_the_app());
        w.announce(&[(UPTIME, "1 seconds"), ("$SYS/broker/version", "x"), ("not/ours", "x")]);
        w.announce(&[(UPTIME, "2 seconds")]);
        w.revoke("device:lamp");
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe(app, "$SYS/broker/+");
        w.subscribe(app, "not/#");
        let mut got = w.payloads(app);
        got.sort();
        assert_eq!(got, ["2 seconds", "x"]);
    });
}

/// A full disk took away what the broker said of itself, which is never on disk, just when somebody wanted to know it.
#[test]
fn a_store_without_room_takes_nothing_away_of_what_the_broker_says_of_itself() {
    for storage in [Storage::Full, Storage::Broken] {
        in_every_world(|w| {
            w.rules(&sys_for_the_app());
            w.storage(storage);
            w.announce(&[(UPTIME, "1 seconds")]);
            let app = w.connect(hello5("user:app", "app").expiry(0));
            w.subscribe(app, "$SYS/#");
            assert_eq!(w.payloads(app), ["1 seconds"]);
            assert_eq!(w.notices, []);
        });
    }
}

#[test]
fn no_client_publishes_where_the_broker_speaks_whatever_the_rules_say() {
    in_every_world(|w| {
        w.rules(&sys_for_the_app());
        let app = w.connect(hello5("user:app", "app"));
        w.publish(app, letter(UPTIME, "lie").qos1(1).retained());
        assert!(w.has_got(app, |got| matches!(got, Got::PubAck(1, ReasonCode::NotAuthorized, _))));
        assert_eq!(w.stats().retained, 0);
    });
}

#[test]
fn figures_count_messages_packets_and_bytes() {
    in_every_world(|w| {
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe(app, "pump/#");
        let pump = w.connect(hello5("device:pump", "pump"));
        let before = w.stats();
        w.set_reading(app, false);
        w.publish(pump, letter("pump/a", "12345").qos1(1));
        let stats = w.stats();
        assert_eq!((stats.received, stats.received_payload), (before.received + 1, 5));
        assert_eq!((stats.sent, stats.sent_payload), (before.sent + 1, 5));
        // What the app is to get, and a PUBACK of four bytes.
        assert_eq!(stats.packets_sent, before.packets_sent + 2);
        assert_eq!(stats.packets_received, before.packets_received + 1);
        assert_eq!(stats.outbox_packets, 1, "the app does not read");
        assert_eq!(stats.bytes_sent - before.bytes_sent - 4, stats.outbox_bytes);
        w.set_reading(app, true);
        assert_eq!((w.stats().outbox_packets, w.stats().outbox_bytes), (0, 0));
    });
}
