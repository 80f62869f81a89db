//! Rules 6 and 7 of the order of things: who is revoked, and what becomes of what it had said and was to hear.

use crate::peer::{Got, Peer, hello, hello5, letter};
use crate::world::{World, in_every_world, in_every_world_and_version};
use keyward_broker::output::Report;
use keyward_broker::{CloseCause, DeniedAction, Notice, Standing};
use keyward_mqtt::reason::ReasonCode;

fn closed(w: &World) -> u64 {
    let closed = |report: &Report| match report {
        Report::Directory { revision, closed } if *revision == w.revision() => Some(*closed),
        _ => None,
    };
    assert_eq!(w.reports.iter().filter_map(closed).count(), w.shard_count(), "every shard reports once");
    w.reports.iter().filter_map(closed).sum()
}

/// Lets a device have so many sessions that to sweep through them takes long.
fn many_sessions_of_pump(w: &mut World) -> Vec<Peer> {
    let limits = keyward_broker::Limits { sessions_per_identity: 10_000, ..Default::default() };
    *w = World::new(w.shard_count() as u16, limits);
    let sessions: Vec<_> =
        (0..600).map(|number| w.connect(hello5("device:pump", &number.to_string()))).collect();
    for session in &sessions {
        w.subscribe(*session, "pump/#");
        w.got(*session);
    }
    sessions
}

#[test]
fn a_revoked_identity_is_closed_with_all_its_links_and_sessions() {
    in_every_world_and_version(|w, version| {
        let links: Vec<_> =
            ["a", "b", "c"].iter().map(|id| w.connect(hello(version, "user:eve", id))).collect();
        let absent = w.connect(hello(version, "user:eve", "absent"));
        w.lose(absent);
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.revoke("user:eve");
        for link in links {
            assert_eq!(w.closed(link), Some(CloseCause::NotAllowed));
        }
        assert_eq!(closed(w), 3);
        assert!(w.is_open(pump));
        assert_eq!(w.stats().sessions, 1);
    });
}

#[test]
fn what_was_not_written_to_a_revoked_link_is_dropped() {
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump"));
        w.subscribe(pump, "pump/#");
        w.set_reading(pump, false);
        let app = w.connect(hello5("user:app", "app"));
        w.got(pump);
        for _ in 0..3 {
            w.publish(app, letter("pump/a", "secret"));
        }
        w.revoke("device:pump");
        assert!(!w.was_flushed(pump));
        assert_eq!(w.got(pump), []);
        assert_eq!(w.stats().outbox_bytes, 0);
    });
}

#[test]
fn a_connect_is_checked_against_the_registry_of_this_moment() {
    in_every_world_and_version(|w, version| {
        for (name, life, standing) in [
            ("device:pump", 1, Some(Standing::Disabled)),
            ("device:pump", 1, Some(Standing::Removed)),
            ("device:pump", 1, Some(Standing::Revoked { keep_messages: true, publish_will: true })),
            ("device:pump", 2, Some(Standing::Active)),
            ("device:stranger", 1, None),
        ] {
            if let Some(standing) = standing {
                w.set(name, life, standing);
            }
            let peer = w.try_connect(hello(version, name, "x"));
            assert_eq!(w.closed(peer), Some(CloseCause::Refused(ReasonCode::NotAuthorized)), "{standing:?}");
            assert_eq!(w.denials.pop().unwrap().action, DeniedAction::Attach);
        }
    });
}

#[test]
fn a_removed_id_that_is_added_again_inherits_no_session() {
    in_every_world_and_version(|w, version| {
        w.leave_behind(hello(version, "device:pump", "pump"), "pump/#");
        w.set("device:pump", 2, Standing::Active);
        let new = w.connect(hello(version, "device:pump", "pump").life(2));
        w.got(new);
        let app = w.connect(hello(version, "user:app", "app"));
        w.publish(app, letter("pump/a", "x").qos1(1));
        assert_eq!(w.got(new), []);
    });
}

#[test]
fn queued_messages_of_a_revoked_publisher_are_not_delivered_and_are_counted() {
    in_every_world_and_version(|w, version| {
        w.leave_behind(hello(version, "user:app", "app"), "#");
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.publish(pump, letter("pump/a", "poison").qos1(1));
        let lamp = w.connect(hello(version, "device:lamp", "lamp"));
        w.publish(lamp, letter("lamp/a", "light").qos1(1));
        w.revoke("device:pump");
        let app = w.connect(hello(version, "user:app", "app"));
        assert_eq!(w.payloads(app), ["light"]);
        let gone = Notice::PublisherGone { publisher: crate::world::identity("device:pump") };
        assert_eq!(w.notices.iter().filter(|notice| **notice == gone).count(), 1);
    });
}

#[test]
fn queued_messages_of_a_removed_publisher_are_not_delivered() {
    in_every_world(|w| {
        for (life, standing) in [(1, Standing::Removed), (2, Standing::Active)] {
            w.set("device:pump", 1, Standing::Active);
            w.leave_behind(hello5("user:app", "app"), "#");
            let pump = w.connect(hello5("device:pump", "pump"));
            w.publish(pump, letter("pump/a", "of an earlier life").qos1(1));
            w.set("device:pump", life, standing);
            let app = w.connect(hello5("user:app", "app"));
            assert_eq!(w.payloads(app), Vec::<String>::new(), "{standing:?}");
        }
    });
}

#[test]
fn an_earlier_life_gets_nothing_in_the_midst_of_a_long_sweep() {
    in_every_world(|w| {
        let olds = many_sessions_of_pump(w);
        let app = w.connect(hello5("user:app", "app"));
        w.set_only("device:pump", 2, Standing::Active);
        assert!(olds.iter().any(|old| w.is_open(*old)), "the sweep is not over");
        w.send_only(app, &letter("pump/a", "for the new life").packet());
        let new = w.begin_connect(hello5("device:pump", "599").life(2));
        w.settle();
        assert!(matches!(w.got(new)[..], [Got::ConnAck { session_present: false, .. }]));
        for old in olds {
            assert!(!w.is_open(old));
            assert_eq!(w.messages(old), []);
        }
    });
}

#[test]
fn queued_messages_are_kept_if_the_operator_says_so() {
    in_every_world_and_version(|w, version| {
        w.leave_behind(hello(version, "user:app", "app"), "#");
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.publish(pump, letter("pump/a", "last reading").qos1(1));
        w.set("device:pump", 1, Standing::Revoked { keep_messages: true, publish_will: false });
        let app = w.connect(hello(version, "user:app", "app"));
        assert_eq!(w.payloads(app), ["last reading"]);
    });
}

#[test]
fn messages_under_way_of_a_revoked_publisher_are_not_repeated() {
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app").silent());
        w.subscribe(app, "#");
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.publish(pump, letter("pump/a", "1").qos1(1));
        w.publish(pump, letter("pump/a", "2").qos2(2));
        assert_eq!(w.messages(app).len(), 2);
        w.lose(app);
        w.revoke("device:pump");
        let app = w.connect(hello(version, "user:app", "app"));
        assert_eq!(w.messages(app), []);
        assert_eq!(w.stats().queued, 0);
    });
}

#[test]
fn a_disabled_identity_keeps_its_session_and_gets_nothing_meanwhile() {
    in_every_world_and_version(|w, version| {
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.subscribe(pump, "pump/#");
        let app = w.connect(hello(version, "user:app", "app"));
        w.set("device:pump", 1, Standing::Disabled);
        assert_eq!(w.closed(pump), Some(CloseCause::NotAllowed));
        w.publish(app, letter("pump/a", "meanwhile").qos1(1));
        assert_eq!(w.stats().queued, 0);
        w.set("device:pump", 1, Standing::Active);
        w.publish(app, letter("pump/a", "afterwards").qos1(2));
        let pump = w.connect(hello(version, "device:pump", "pump"));
        assert_eq!(w.payloads(pump), ["afterwards"]);
    });
}

#[test]
fn a_mass_revocation_goes_in_slices_and_reports_at_the_end() {
    in_every_world(|w| {
        let limits = keyward_broker::Limits { sessions_per_identity: 10_000, ..Default::default() };
        *w = World::new(w.shard_count() as u16, limits);
        for number in 0..700 {
            w.connect(hello5("user:eve", &number.to_string()));
        }
        w.revoke("user:eve");
        assert_eq!(closed(w), 700);
        assert_eq!(w.stats().sessions, 0);
    });
}

#[test]
fn a_message_that_overtakes_the_revocation_of_its_publisher_stops_at_the_readers_shard() {
    in_every_world(|w| {
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe(app, "#");
        let pump = w.connect(hello5("device:pump", "pump"));
        if w.shard_of(app) == w.shard_of(pump) {
            return;
        }
        let reader = w.shard_of(app);
        w.set_deaf(reader, true);
        w.publish(pump, letter("pump/a", "poison"));
        w.revoke("device:pump");
        w.set_deaf(reader, false);
        assert_eq!(w.messages(app), []);
    });
}

#[test]
fn a_revocation_is_in_force_at_once_while_its_publishers_messages_wait_for_their_turn() {
    let mut world = World::new(1, keyward_broker::Limits::default());
    let w = &mut world;
    // Filters of nine levels, each `a` or `+`: one topic matches them all.
    let pump = w.connect(hello5("device:pump", "pump"));
    let overlapping = |number: u32| -> String {
        (0..9).map(|bit| if number & (1 << bit) == 0 { "/a" } else { "/+" }).collect()
    };
    for number in 0..512 {
        w.subscribe(pump, &format!("pump{}", overlapping(number)));
    }
    let topic = format!("pump{}", "/a".repeat(9));
    w.got(pump);
    for _ in 0..500 {
        w.send_only(pump, &letter(&topic, "x").packet());
    }
    assert!(w.is_behind(pump), "what overlaps is charged");
    assert!(w.messages(pump).len() < 50, "one slice serves few of them");
    w.set_only("device:pump", 1, Standing::Revoked { keep_messages: false, publish_will: false });
    assert_eq!(w.closed(pump), Some(CloseCause::NotAllowed));
    assert_eq!(closed(w), 1);
    w.settle();
    assert!(!w.is_behind(pump));
    assert!(w.notices.iter().any(|notice| matches!(notice, Notice::PublisherGone { .. })));
}

/// The registry counts another epoch whenever it takes a credential away: with a new password, and with every disabling
/// and revocation. The broker took that number for another life of the name: a new password ended the sessions of its
/// owner and erased its retained messages, and neither `enable` nor `--keep-messages` brought anything back.
#[test]
fn new_credentials_close_links_and_end_nothing_else() {
    in_every_world_and_version(|w, version| {
        w.set("device:pump", 1, Standing::Active);
        let old = w.connect(hello(version, "device:pump", "pump"));
        w.subscribe(old, "pump/#");
        let app = w.connect(hello(version, "user:app", "app").clean());
        w.publish(old, letter("pump/state", "on").retained());
        w.renew("device:pump", 2, Standing::Active);
        assert!(w.closed(old) == Some(CloseCause::NotAllowed) && !w.was_flushed(old));
        w.publish(app, letter("pump/a", "wait").qos1(1));
        let stolen = w.try_connect(hello(version, "device:pump", "pump"));
        assert!(!w.is_open(stolen), "the old password holds");
        let new = w.connect(hello(version, "device:pump", "pump").epoch(2));
        assert_eq!(w.payloads(new), ["wait"]);
        w.subscribe(app, "pump/state");
        assert_eq!(w.payloads(app), ["on"]);
    });
}

#[test]
fn what_a_disabled_device_had_is_there_when_it_is_enabled_with_its_next_epoch() {
    in_every_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump"));
        w.subscribe(pump, "pump/#");
        w.publish(pump, letter("pump/state", "on").retained());
        w.renew("device:pump", 2, Standing::Disabled);
        w.renew("device:pump", 2, Standing::Active);
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe(app, "pump/state");
        assert_eq!(w.payloads(app), ["on"]);
        w.publish(app, letter("pump/a", "again").qos1(1));
        let pump = w.connect(hello5("device:pump", "pump").epoch(2));
        assert_eq!(w.payloads(pump), ["again"]);
    });
}

#[test]
fn a_revocation_keeps_messages_and_wills_if_it_says_so_though_it_takes_the_credentials() {
    in_every_world(|w| {
        w.leave_behind(hello5("user:app", "app"), "#");
        let pump = w.connect(hello5("device:pump", "pump").will("pump/will", "gone"));
        w.publish(pump, letter("pump/a", "sent before").qos1(1));
        w.renew("device:pump", 2, Standing::Revoked { keep_messages: true, publish_will: true });
        let app = w.connect(hello5("user:app", "app"));
        assert_eq!(w.payloads(app), ["sent before", "gone"]);
    });
}

#[test]
fn old_credentials_get_nothing_in_the_midst_of_a_long_sweep() {
    in_every_world(|w| {
        let olds = many_sessions_of_pump(w);
        let app = w.connect(hello5("user:app", "app"));
        w.renew_only("device:pump", 2, Standing::Active);
        assert!(olds.iter().any(|old| w.is_open(*old)), "the sweep is not over");
        w.send_only(app, &letter("pump/a", "for new credentials").packet());
        w.settle();
        for old in olds {
            assert!(!w.is_open(old));
            assert_eq!(w.messages(old), []);
        }
    });
}
