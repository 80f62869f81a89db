//! Rules 13 to 20: what a broker has acknowledged is there after it was killed, and nothing is there twice.

use crate::disk::in_every_stored_world;
use crate::peer::{Got, hello, hello5, letter};
use crate::world::{World, app_may_everything, rule};
use keyward_broker::{Limits, Standing};
use keyward_mqtt::packet::{Qos, Version};

const SESSIONS: u8 = 1;
const SUBSCRIPTIONS: u8 = 2;
const PLACES: u8 = 4;
const MESSAGES: u8 = 5;
const ACCEPTED: u8 = 6;
const RETAINED: u8 = 7;
const WILLS: u8 = 8;
const GROUPS: u8 = 9;

#[test]
fn messages_for_somebody_absent_come_after_a_crash_in_their_order() {
    in_every_stored_world(|w| {
        w.leave_behind(hello5("user:app", "app"), "#");
        let pump = w.connect(hello5("device:pump", "pump"));
        for number in 1..=5 {
            w.publish(pump, letter("pump/a", &number.to_string()).qos1(number));
        }
        w.crash();
        let (app, present) = w.resume(hello5("user:app", "app"));
        assert!(present);
        assert_eq!(w.payloads(app), ["1", "2", "3", "4", "5"]);
        w.flush();
        assert_eq!((w.rows(PLACES), w.rows(MESSAGES)), (0, 0), "what has arrived is nowhere any more");
    });
}

#[test]
fn nothing_is_acknowledged_that_a_crash_takes_away() {
    in_every_stored_world(|w| {
        w.leave_behind(hello5("user:app", "app"), "#");
        let pump = w.connect(hello5("device:pump", "pump"));
        w.got(pump);
        w.slow_store();
        w.publish(pump, letter("pump/a", "x").qos1(1));
        w.publish(pump, letter("pump/b", "y").qos2(2));
        assert_eq!(w.got(pump), []);
        w.crash();
        let (app, present) = w.resume(hello5("user:app", "app"));
        assert!(present);
        assert_eq!(w.payloads(app), [""; 0]);
    });
}

#[test]
fn a_crash_leaves_all_of_a_publish_or_nothing() {
    for shards in 1..=3 {
        for kept in 0..6 {
            let w = &mut World::on_disk(shards, Limits::default());
            let readers = ["a", "b", "c", "d"];
            for id in readers {
                w.leave_behind(hello5("user:app", id), "#");
            }
            let pump = w.connect(hello5("device:pump", "pump"));
            w.slow_store();
            w.publish(pump, letter("pump/a", "x").qos1(1));
            w.crash_keeping(kept);
            let got: Vec<usize> = readers
                .iter()
                .map(|id| {
                    let (app, _) = w.resume(hello5("user:app", id));
                    w.payloads(app).len()
                })
                .collect();
            assert!(got == [0; 4] || got == [1; 4], "{shards} shards, {kept} batches: {got:?}");
            assert_eq!((w.rows(PLACES), w.rows(MESSAGES)), (0, 0));
        }
    }
}

#[test]
fn a_message_for_many_sessions_is_stored_once_and_goes_with_the_last() {
    in_every_stored_world(|w| {
        for id in ["a", "b", "c"] {
            w.leave_behind(hello5("user:app", id), "#");
        }
        let pump = w.connect(hello5("device:pump", "pump"));
        w.publish(pump, letter("pump/a", "x").qos1(1));
        assert_eq!((w.rows(PLACES), w.rows(MESSAGES)), (3, 1));
        for (left, id) in [(2, "a"), (1, "b"), (0, "c")] {
            w.connect(hello5("user:app", id));
            assert_eq!((w.rows(PLACES), w.rows(MESSAGES)), (left, left.min(1)));
        }
    });
}

#[test]
fn what_touches_no_stored_session_touches_no_disk() {
    in_every_stored_world(|w| {
        let app = w.connect(hello5("user:app", "app").expiry(0));
        w.subscribe(app, "#");
        let pump = w.connect(hello5("device:pump", "pump").expiry(0));
        w.publish(pump, letter("pump/a", "0"));
        w.publish(pump, letter("pump/a", "1").qos1(1));
        assert_eq!(w.payloads(app), ["0", "1"]);
        for table in 1..10 {
            assert_eq!(w.rows(table), 0, "table {table}");
        }
    });
}

#[test]
fn what_was_sent_and_not_acknowledged_comes_again_under_its_packet_id() {
    for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
        in_every_stored_world(|w| {
            let app = w.connect(hello5("user:app", "app").silent());
            w.subscribe(app, "#");
            let pump = w.connect(hello5("device:pump", "pump"));
            for number in 1..=3 {
                w.publish(pump, letter("pump/a", &number.to_string()).qos(qos, number));
                w.pubrel(pump, number);
            }
            let before: Vec<_> = w.messages(app).into_iter().map(|sent| (sent.id, sent.payload)).collect();
            assert_eq!(before.len(), 3);
            w.crash();
            let (app, _) = w.resume(hello5("user:app", "app").silent());
            let after = w.messages(app);
            assert!(after.iter().all(|sent| sent.dup));
            let after: Vec<_> = after.into_iter().map(|sent| (sent.id, sent.payload)).collect();
            assert_eq!(after, before);
        });
    }
}

#[test]
fn a_qos_2_message_that_arrived_is_not_sent_again_and_its_pubrel_is() {
    in_every_stored_world(|w| {
        let app = w.connect(hello5("user:app", "app").silent());
        w.subscribe(app, "#");
        let pump = w.connect(hello5("device:pump", "pump"));
        w.publish(pump, letter("pump/a", "x").qos2(1));
        let id = w.messages(app)[0].id.unwrap();
        w.pubrec(app, id);
        w.crash();
        let (app, _) = w.resume(hello5("user:app", "app").silent());
        assert!(matches!(w.got(app)[..], [Got::PubRel(again, _)] if again == id));
        w.pubcomp(app, id);
        w.flush();
        assert_eq!(w.rows(PLACES), 0);
    });
}

#[test]
fn a_qos_2_message_that_was_taken_is_known_after_a_crash_and_not_taken_twice() {
    in_every_stored_world(|w| {
        w.leave_behind(hello5("user:app", "app"), "#");
        let pump = w.connect(hello5("device:pump", "pump").silent());
        w.publish(pump, letter("pump/a", "x").qos2(7));
        w.crash();
        let (pump, _) = w.resume(hello5("device:pump", "pump").silent());
        w.publish(pump, letter("pump/a", "x").qos2(7).dup());
        assert!(matches!(w.got(pump)[..], [Got::PubRec(7, _)]));
        w.pubrel(pump, 7);
        let (app, _) = w.resume(hello5("user:app", "app"));
        assert_eq!(w.payloads(app), ["x"]);
        w.crash();
        let (pump, _) = w.resume(hello5("device:pump", "pump").silent());
        w.publish(pump, letter("pump/a", "x").qos2(7));
        assert!(matches!(w.got(pump)[..], [Got::PubRec(7, _)]), "PUBCOMP freed the packet id");
        assert_eq!(w.payloads(app), [""; 0]);
    });
}

#[test]
fn a_qos_2_message_that_was_taken_and_not_sent_on_is_sent_on_at_the_start() {
    for kept in 1..8 {
        in_every_stored_world(|w| {
            w.leave_behind(hello5("user:app", "app"), "#");
            let pump = w.connect(hello5("device:pump", "pump").silent());
            w.slow_store();
            w.publish(pump, letter("pump/a", "x").qos2(7));
            w.store();
            assert!(w.has_got(pump, |got| matches!(got, Got::PubRec(7, _))));
            w.crash_keeping(kept - 1);
            w.store();
            let (app, _) = w.resume(hello5("user:app", "app"));
            w.store();
            w.store();
            assert_eq!(w.payloads(app), ["x"]);
            assert_eq!(w.rows(ACCEPTED), 0);
        });
    }
}

#[test]
fn subscriptions_survive_with_their_terms_and_those_given_up_do_not() {
    in_every_stored_world(|w| {
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe(app, "pump/kept");
        w.subscribe(app, "pump/left");
        w.unsubscribe(app, "pump/left");
        w.crash();
        let (app, present) = w.resume(hello5("user:app", "app"));
        assert!(present);
        let pump = w.connect(hello5("device:pump", "pump"));
        w.publish(pump, letter("pump/kept", "kept").qos1(1));
        w.publish(pump, letter("pump/left", "left").qos1(2));
        assert_eq!(w.payloads(app), ["kept"]);
        assert_eq!(w.rows(SUBSCRIPTIONS), 1);
    });
}

#[test]
fn a_session_that_was_discarded_does_not_come_back() {
    in_every_stored_world(|w| {
        w.leave_behind(hello5("user:app", "app"), "#");
        let pump = w.connect(hello5("device:pump", "pump"));
        w.publish(pump, letter("pump/a", "old").qos1(1));
        let app = w.connect(hello5("user:app", "app").clean());
        w.crash();
        assert!(!w.is_open(app));
        let (app, present) = w.resume(hello5("user:app", "app"));
        assert!(present, "the new one is there");
        w.publish(pump, letter("pump/a", "new").qos1(2));
        assert_eq!(w.payloads(app), [""; 0]);
        assert_eq!((w.rows(PLACES), w.rows(SUBSCRIPTIONS)), (0, 0));
    });
}

#[test]
fn a_session_that_is_to_end_with_its_link_leaves_nothing_on_disk() {
    in_every_stored_world(|w| {
        let app = w.connect(hello5("user:app", "app").silent());
        w.subscribe(app, "#");
        let pump = w.connect(hello5("device:pump", "pump"));
        w.publish(pump, letter("pump/a", "x").qos1(1));
        w.disconnect_with(app, keyward_mqtt::reason::ReasonCode::Success, Some(0));
        assert_eq!((w.rows(SUBSCRIPTIONS), w.rows(PLACES), w.rows(MESSAGES)), (0, 0, 0));
        assert_eq!(w.rows(SESSIONS), 1, "the publisher's");
    });
}

#[test]
fn the_time_of_a_session_runs_while_the_broker_is_down() {
    in_every_stored_world(|w| {
        let gone = w.connect(hello5("user:app", "gone").expiry(100));
        let here = w.connect(hello5("user:app", "here").expiry(100));
        w.lose(gone);
        w.flush();
        w.sleep(99);
        w.crash();
        w.pass(2);
        let (_, gone) = w.resume(hello5("user:app", "gone").expiry(100));
        let (_, present) = w.resume(hello5("user:app", "here").expiry(100));
        assert_eq!((gone, present), (false, true), "who was connected has all its time");
        assert!(!w.is_open(here));
    });
}

#[test]
fn retained_messages_survive_at_every_quality_of_service_and_cleared_ones_do_not() {
    in_every_stored_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump").expiry(0));
        w.publish(pump, letter("pump/0", "zero").retained());
        w.publish(pump, letter("pump/1", "one").retained().qos1(1));
        w.publish(pump, letter("pump/2", "two").retained().qos2(2));
        w.publish(pump, letter("pump/gone", "x").retained().qos1(3));
        w.publish(pump, letter("pump/gone", "").retained().qos1(4));
        w.publish(pump, letter("pump/brief", "x").retained().qos1(5).expiring(10));
        w.flush();
        assert_eq!(w.rows(RETAINED), 4);
        w.sleep(10);
        w.crash();
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe(app, "pump/#");
        let mut got = w.payloads(app);
        got.sort();
        assert_eq!(got, ["one", "two", "zero"]);
        assert_eq!(w.rows(RETAINED), 3);
    });
}

#[test]
fn the_puback_of_a_retained_message_waits_for_its_slot() {
    in_every_stored_world(|w| {
        let pump = w.connect(hello5("device:pump", "pump").expiry(0));
        w.got(pump);
        w.slow_store();
        for number in 1..=4 {
            let topic = format!("pump/{number}");
            w.publish(pump, letter(&topic, "x").retained().qos1(number));
        }
        assert_eq!(w.got(pump), []);
        w.crash();
        let app = w.connect(hello5("user:app", "app").expiry(0));
        w.subscribe(app, "pump/#");
        assert_eq!(w.payloads(app), [""; 0]);
    });
}

#[test]
fn what_the_broker_says_of_itself_is_not_on_disk() {
    in_every_stored_world(|w| {
        w.announce(&[("$SYS/broker/version", "keyward")]);
        assert_eq!(w.rows(RETAINED), 0);
    });
}

#[test]
fn the_will_of_a_client_that_does_not_come_back_is_published_once_its_grace_is_over() {
    in_every_stored_world(|w| {
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe(app, "pump/#");
        w.connect(hello5("device:pump", "pump").retained_will("pump/status", "offline"));
        w.connect(hello5("device:lamp", "lamp").expiry(0).retained_will("lamp/status", "offline"));
        assert_eq!(w.rows(WILLS), 2);
        w.crash();
        let (app, _) = w.resume(hello5("user:app", "app"));
        w.connect(hello5("device:lamp", "lamp").expiry(0).clean());
        w.pass(59);
        assert_eq!(w.payloads(app), [""; 0]);
        w.pass(2);
        assert_eq!(w.payloads(app), ["offline"], "the pump's, not that of the lamp, which is back");
        assert_eq!(w.rows(WILLS), 0);
        w.crash();
        let reader = w.connect(hello5("user:app", "reader").expiry(0));
        w.subscribe(reader, "#");
        assert_eq!(w.payloads(reader), ["offline"]);
    });
}

#[test]
fn a_delayed_will_keeps_its_moment_over_a_restart() {
    in_every_stored_world(|w| {
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe(app, "pump/#");
        let pump = w.connect(hello5("device:pump", "pump").will("pump/status", "offline").will_delay(300));
        w.lose(pump);
        w.flush();
        w.sleep(200);
        w.crash();
        let (app, _) = w.resume(hello5("user:app", "app"));
        w.pass(98);
        assert_eq!(w.payloads(app), [""; 0]);
        w.pass(3);
        assert_eq!(w.payloads(app), ["offline"]);
    });
}

#[test]
fn messages_of_a_shared_group_survive_and_go_to_one_member_each() {
    in_every_stored_world(|w| {
        w.rules(&(app_may_everything() + &rule("user:app", "allow", &["share"], &["#"])));
        for id in ["a", "b"] {
            w.leave_behind(hello(Version::V5, "user:app", id), "$share/g/pump/#");
        }
        let pump = w.connect(hello5("device:pump", "pump"));
        for number in 1..=4 {
            w.publish(pump, letter("pump/a", &number.to_string()).qos1(number));
        }
        assert_eq!((w.rows(GROUPS), w.rows(PLACES), w.rows(MESSAGES)), (1, 4, 4));
        w.crash();
        let (a, _) = w.resume(hello5("user:app", "a"));
        let (b, _) = w.resume(hello5("user:app", "b"));
        let mut got = w.payloads(a);
        got.extend(w.payloads(b));
        got.sort();
        assert_eq!(got, ["1", "2", "3", "4"]);
        assert_eq!((w.rows(PLACES), w.rows(MESSAGES)), (0, 0));
    });
}

#[test]
fn the_member_that_was_chosen_for_a_qos_2_message_stays_the_only_one() {
    for kept in 0..6 {
        in_every_stored_world(|w| {
            w.rules(&(app_may_everything() + &rule("user:app", "allow", &["share"], &["#"])));
            let a = w.connect(hello5("user:app", "a").silent());
            w.subscribe(a, "$share/g/pump/#");
            let pump = w.connect(hello5("device:pump", "pump"));
            w.publish(pump, letter("pump/a", "x").qos2(1));
            let sent = w.messages(a);
            assert_eq!(sent.len(), 1);
            w.crash_keeping(kept);
            let b = w.connect(hello5("user:app", "b"));
            w.subscribe(b, "$share/g/pump/#");
            let (a, _) = w.resume(hello5("user:app", "a"));
            let again = w.messages(a);
            assert_eq!(again.len(), 1);
            assert_eq!((again[0].id, again[0].dup), (sent[0].id, true));
            assert_eq!(w.payloads(b), [""; 0]);
        });
    }
}

#[test]
fn what_belongs_to_somebody_who_was_removed_meanwhile_is_nobodys() {
    in_every_stored_world(|w| {
        w.leave_behind(hello5("user:app", "app"), "#");
        let pump = w.connect(hello5("device:pump", "pump"));
        w.publish(pump, letter("pump/a", "x").qos1(1));
        w.set_only("user:app", 1, Standing::Removed);
        w.crash();
        assert_eq!(w.stats().sessions, 1, "the pump's");
        assert_eq!((w.rows(PLACES), w.rows(MESSAGES), w.rows(SUBSCRIPTIONS)), (0, 0, 0));
    });
}

#[test]
fn a_broker_of_another_number_of_shards_finds_everything() {
    for (before, after) in [(1, 3), (3, 1), (3, 2), (2, 3)] {
        let w = &mut World::on_disk(before, Limits::default());
        w.rules(&(app_may_everything() + &rule("user:app", "allow", &["share"], &["#"])));
        for id in ["a", "b", "c", "d"] {
            let app = w.connect(hello5("user:app", id));
            w.subscribe(app, "pump/#");
            w.subscribe(app, "$share/g/lamp/#");
            w.lose(app);
        }
        let pump = w.connect(hello5("device:pump", "pump"));
        let lamp = w.connect(hello5("device:lamp", "lamp"));
        w.publish(pump, letter("pump/a", "x").retained().qos1(1));
        w.publish(lamp, letter("lamp/a", "y").qos1(1));
        w.crash_to(after);
        let mut shared = 0;
        for id in ["a", "b", "c", "d"] {
            let (app, present) = w.resume(hello5("user:app", id));
            let got = w.payloads(app);
            assert!(present && got.iter().filter(|text| *text == "x").count() == 1, "{got:?}");
            shared += got.iter().filter(|text| *text == "y").count();
        }
        assert_eq!(shared, 1);
        let reader = w.connect(hello5("user:app", "reader"));
        w.subscribe(reader, "pump/#");
        assert_eq!(w.payloads(reader), ["x"]);
    }
}

#[test]
fn a_crash_during_a_crash_changes_nothing() {
    in_every_stored_world(|w| {
        w.leave_behind(hello5("user:app", "app"), "#");
        let pump = w.connect(hello5("device:pump", "pump"));
        w.publish(pump, letter("pump/a", "x").qos1(1));
        for _ in 0..4 {
            w.crash();
        }
        let (app, _) = w.resume(hello5("user:app", "app"));
        assert_eq!(w.payloads(app), ["x"]);
        assert_eq!(w.on_disk_now().places, 0);
    });
}

/// Each of two shards waited for the slot of the other, behind its own publish, without end.
#[test]
fn retained_messages_that_cross_between_two_shards_are_both_acknowledged() {
    in_every_stored_world(|w| {
        w.leave_behind(hello5("user:app", "reader"), "#");
        let writers: Vec<_> =
            (0..6).map(|number| w.connect(hello5("user:app", &format!("writer {number}")))).collect();
        for (number, writer) in writers.iter().enumerate() {
            w.got(*writer);
            let topic = format!("slot/{number}");
            w.send_only(*writer, &letter(&topic, "x").retained().qos1(1).packet());
        }
        w.settle();
        for writer in writers {
            assert!(matches!(w.got(writer)[..], [Got::PubAck(1, ..)]));
        }
        assert_eq!(w.rows(RETAINED), 6);
    });
}

#[test]
fn what_was_sent_comes_again_with_dup_also_behind_what_had_arrived() {
    // The client has one message after the other. That the first had arrived was lost with the crash; so the second
    // seemed never to have been sent, and came again as a new one.
    for shards in 1..=3 {
        let limits = Limits { in_flight: core::num::NonZeroU16::MIN, ..Limits::default() };
        let w = &mut World::on_disk(shards, limits);
        let app = w.connect(hello5("user:app", "app").silent());
        w.subscribe(app, "#");
        let pump = w.connect(hello5("device:pump", "pump"));
        w.publish(pump, letter("pump/a", "1").qos1(1));
        w.publish(pump, letter("pump/a", "2").qos1(2));
        let first = w.messages(app)[0].id.unwrap();
        w.puback(app, first);
        let second = w.messages(app)[0].id;
        w.crash();
        let (app, _) = w.resume(hello5("user:app", "app").silent());
        assert_eq!(w.messages(app)[0].id, Some(first));
        w.puback(app, first);
        let again = w.messages(app);
        assert_eq!((again[0].id, again[0].dup), (second, true));
    }
}

#[test]
fn the_end_of_an_exchange_without_its_message_is_durable_before_pubrel() {
    // A reader loses its right within an exchange: it is sent PUBREL in place of the message. After a crash, with the
    // right given back, it was sent the message as well, whose packet id it had let go of: a second time.
    in_every_stored_world(|w| {
        let app = w.connect(hello5("user:app", "app").silent());
        w.subscribe(app, "#");
        let pump = w.connect(hello5("device:pump", "pump"));
        w.publish(pump, letter("pump/a", "x").qos2(1));
        assert_eq!(w.messages(app).len(), 1);
        w.lose(app);
        w.rules(&rule("user:app", "allow", &["subscribe"], &["other"]));
        w.slow_store();
        let app = w.connect(hello5("user:app", "app").silent());
        assert!(!w.has_got(app, |got| matches!(got, Got::PubRel(..))), "it is not on disk");
        w.crash();
        w.rules(&app_may_everything());
        let (app, _) = w.resume(hello5("user:app", "app").silent());
        assert!(w.messages(app)[0].dup);
    });
}

#[test]
fn a_message_that_expired_on_its_way_to_a_group_leaves_nothing_on_disk() {
    // It waited for the disk for longer than it lived. The group dropped it, and then recorded that it had it.
    in_every_stored_world(|w| {
        w.rules(&(app_may_everything() + &rule("user:app", "allow", &["share"], &["#"])));
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe(app, "$share/g/pump/#");
        let pump = w.connect(hello5("device:pump", "pump"));
        w.slow_store();
        w.publish(pump, letter("pump/a", "x").qos2(1).expiring(1));
        w.pass(2);
        w.store();
        w.store();
        assert_eq!(w.payloads(app), [""; 0]);
        assert_eq!((w.rows(PLACES), w.rows(MESSAGES)), (0, 0));
    });
}

#[test]
fn what_may_belong_to_a_record_that_does_not_read_is_left_where_it_is() {
    for table in [SESSIONS, MESSAGES] {
        let w = &mut World::on_disk(1, Limits::default());
        w.leave_behind(hello5("user:app", "app"), "#");
        let pump = w.connect(hello5("device:pump", "pump").expiry(0));
        w.publish(pump, letter("pump/a", "x").qos1(1));
        w.damage(table);
        let survey = w.on_disk_now();
        assert_eq!(survey.damaged.len(), 1, "{:?}", survey.damaged);
        assert!(survey.litter.is_empty(), "subscriptions, places and messages stay");
    }
}

/// The simulated world found that a place which was reserved for a group was written once more when the group was stored
/// again before that was settled: its message was never deleted.
#[test]
fn a_group_that_is_stored_again_before_its_places_are_settled_has_each_of_them_once() {
    in_every_stored_world(|w| {
        w.rules(&(app_may_everything() + &rule("user:app", "allow", &["share"], &["#"])));
        let stays = w.connect(hello5("user:app", "stays").expiry(0).receive_maximum(1).silent());
        let goes = w.connect(hello5("user:app", "goes").receive_maximum(1).silent());
        w.subscribe(stays, "$share/g/#");
        w.subscribe(goes, "$share/g/#");
        let pumps: Vec<_> =
            (0..6).map(|number| w.connect(hello5("user:app", &format!("pump {number}")).expiry(0))).collect();
        w.slow_store();
        for (number, pump) in pumps.iter().enumerate() {
            w.publish(*pump, letter("pump/a", &number.to_string()).qos1(1));
        }
        w.disconnect_with(goes, keyward_mqtt::reason::ReasonCode::Success, Some(0));
        let again = w.connect(hello5("user:app", "again").receive_maximum(1));
        w.subscribe_only(again, 9, "$share/g/#", keyward_mqtt::packet::SubscribeOptions::default(), None);
        w.settle();
        for _ in 0..6 {
            w.store();
        }
        // The last member takes the group along.
        w.disconnect(stays);
        w.disconnect_with(again, keyward_mqtt::reason::ReasonCode::Success, Some(0));
        for _ in 0..6 {
            w.store();
        }
        assert_eq!(w.rows(PLACES), 0);
        assert_eq!(w.rows(MESSAGES), 0);
    });
}
