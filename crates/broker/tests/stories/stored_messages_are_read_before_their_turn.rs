//! Rule 20: what a stored message says is in memory until it is durable and again before its turn, and on disk otherwise.

use crate::disk::in_every_stored_world;
use crate::peer::{Got, Peer, hello5, letter};
use crate::world::{World, app_may_everything, rule};
use keyward_broker::{Limits, Notice, Standing};
use keyward_mqtt::packet::Qos;

const SESSIONS: u8 = 1;
const PLACES: u8 = 4;
const MESSAGES: u8 = 5;

/// A text of ten thousand bytes that begins with its number.
fn long(number: u16) -> String {
    format!("{number};{}", ".".repeat(10_000))
}

/// What [`long`] texts are these?
fn numbers(w: &mut World, peer: Peer) -> Vec<u16> {
    let number = |text: String| text.split_once(';').map(|(number, _)| number.parse().unwrap());
    w.payloads(peer).into_iter().map(|text| number(text).unwrap()).collect()
}

/// Somebody is absent, and so many long messages wait.
fn with_waiting(w: &mut World, messages: u16) -> Peer {
    w.leave_behind(hello5("user:app", "app").receive_maximum(5), "#");
    let pump = w.connect(hello5("device:pump", "pump"));
    for number in 1..=messages {
        w.publish(pump, letter("pump/a", &long(number)).qos(qos(number), number));
        if number.is_multiple_of(2) {
            w.pubrel(pump, number);
        }
    }
    pump
}

/// Every other message is of QoS 2.
fn qos(number: u16) -> Qos {
    if number.is_multiple_of(2) { Qos::ExactlyOnce } else { Qos::AtLeastOnce }
}

#[test]
fn what_waits_is_in_memory_until_it_is_durable_and_comes_whole() {
    in_every_stored_world(|w| {
        let before = w.stats().memory;
        with_waiting(w, 100);
        let stats = w.stats();
        assert!(stats.queued_bytes > 1_000_000, "{stats:?}");
        assert!(stats.memory < before + 100_000, "{} bytes more", stats.memory - before);
        let (app, _) = w.resume(hello5("user:app", "app"));
        assert_eq!(numbers(w, app), (1..=100).collect::<Vec<u16>>());
        assert_eq!((w.rows(PLACES), w.rows(MESSAGES)), (0, 0));
    });
}

#[test]
fn what_is_not_durable_yet_stays_in_memory() {
    in_every_stored_world(|w| {
        let pump = with_waiting(w, 0);
        w.slow_store();
        let before = w.stats().memory;
        (1..=10).for_each(|number| w.publish(pump, letter("pump/a", &long(number)).qos1(number)));
        assert!(w.stats().memory > before + 100_000);
        w.store();
        assert!(w.stats().memory < before + 10_000);
        w.slow_reads();
        let (app, _) = w.resume(hello5("user:app", "app"));
        assert_eq!(numbers(w, app), [0_u16; 0]);
    });
}

#[test]
fn no_connect_waits_for_a_read_and_nothing_overtakes_what_is_read() {
    in_every_stored_world(|w| {
        let pump = with_waiting(w, 20);
        w.slow_reads();
        let (app, present) = w.resume(hello5("user:app", "app"));
        assert!(present);
        w.publish(pump, letter("pump/a", "21;").qos1(21));
        w.publish(pump, letter("pump/a", "22;"));
        // QoS 0 waits for nothing.
        assert_eq!(numbers(w, app), [22]);
        let mut got = Vec::new();
        while w.read_pages() > 0 {
            got.extend(numbers(w, app));
        }
        assert_eq!(got, (1..=21).collect::<Vec<u16>>());
    });
}

#[test]
fn after_a_restart_only_those_whose_turn_is_near_are_in_memory() {
    for (before, after) in [(1, 3), (3, 1), (2, 2)] {
        let w = &mut World::on_disk(before, Limits::default());
        with_waiting(w, 300);
        w.crash_to(after);
        let stats = w.stats();
        assert!(stats.queued_bytes > 3_000_000 && stats.memory < 200_000, "{stats:?}");
        w.slow_reads();
        let (app, _) = w.resume(hello5("user:app", "app"));
        w.set_reading(app, false);
        while w.read_pages() > 0 {
            assert!(w.stats().memory < 1_500_000, "{:?}", w.stats());
        }
        w.set_reading(app, true);
        let mut got = numbers(w, app);
        while w.read_pages() > 0 {
            got.extend(numbers(w, app));
        }
        assert_eq!(got, (1..=300).collect::<Vec<u16>>());
    }
}

#[test]
fn what_was_sent_and_not_acknowledged_is_read_again_and_goes_first_under_its_packet_id() {
    in_every_stored_world(|w| {
        with_waiting(w, 20);
        let silent = w.connect(hello5("user:app", "app").silent());
        let sent: Vec<_> = w.messages(silent).into_iter().map(|message| message.id).collect();
        assert!(sent.len() > 5, "{sent:?}");
        w.lose(silent);
        assert!(w.stats().memory < 30_000, "{:?}", w.stats());
        w.slow_reads();
        let (app, _) = w.resume(hello5("user:app", "app").silent());
        assert_eq!(w.messages(app), []);
        while w.read_pages() > 0 {}
        let again = w.messages(app);
        let ids: Vec<_> = again.iter().map(|message| message.id).collect();
        assert_eq!(ids, sent);
        assert!(again.iter().all(|message| message.dup));
    });
}

#[test]
fn a_page_for_a_session_that_has_ended_is_nobodys() {
    in_every_stored_world(|w| {
        let pump = with_waiting(w, 5);
        w.slow_reads();
        w.connect(hello5("user:app", "app"));
        let (app, present) = w.resume(hello5("user:app", "app").clean());
        assert!(!present);
        w.subscribe(app, "#");
        w.lose(app);
        w.publish(pump, letter("pump/a", &long(6)).qos1(6));
        let (app, _) = w.resume(hello5("user:app", "app"));
        assert_eq!(w.read_pages(), 2);
        assert_eq!(numbers(w, app), [6]);
        assert_eq!((w.rows(PLACES), w.rows(MESSAGES)), (0, 0));
    });
}

#[test]
fn a_page_comes_after_its_messages_have_gone() {
    in_every_stored_world(|w| {
        with_waiting(w, 5);
        w.slow_reads();
        w.connect(hello5("user:app", "app"));
        w.revoke("device:pump");
        w.flush();
        w.read_pages();
        assert!(!w.notices.iter().any(|notice| matches!(notice, Notice::Damaged { .. })));
        assert_eq!((w.rows(PLACES), w.rows(MESSAGES)), (0, 0));
    });
}

#[test]
fn a_message_for_many_is_read_for_each_of_them() {
    in_every_stored_world(|w| {
        let ids = ["a", "b", "c"];
        for id in ids {
            w.leave_behind(hello5("user:app", id), "#");
        }
        let pump = w.connect(hello5("device:pump", "pump"));
        let before = w.stats().memory;
        for number in 1..=10 {
            w.publish(pump, letter("pump/a", &long(number)).qos1(number));
        }
        assert!(w.stats().memory < before + 30_000);
        for id in ids {
            let (app, _) = w.resume(hello5("user:app", id));
            assert_eq!(numbers(w, app), (1..=10).collect::<Vec<u16>>());
        }
        assert_eq!((w.rows(PLACES), w.rows(MESSAGES)), (0, 0));
    });
}

#[test]
fn a_session_that_is_to_end_with_its_link_gets_what_waited() {
    in_every_stored_world(|w| {
        with_waiting(w, 20);
        let (app, present) = w.resume(hello5("user:app", "app").expiry(0));
        assert!(present);
        assert_eq!(numbers(w, app), (1..=20).collect::<Vec<u16>>());
        assert_eq!((w.rows(PLACES), w.rows(MESSAGES)), (0, 0));
    });
}

#[test]
fn a_session_that_is_stored_no_longer_leaves_nothing() {
    in_every_stored_world(|w| {
        with_waiting(w, 20);
        w.slow_reads();
        let (app, _) = w.resume(hello5("user:app", "app").expiry(0));
        assert_eq!(w.rows(PLACES), 20);
        w.lose(app);
        assert_eq!(
            (w.rows(SESSIONS), w.rows(PLACES), w.rows(MESSAGES)),
            (1, 0, 0),
            "only the pump's is left"
        );
        w.read_pages();
    });
}

#[test]
fn what_does_not_read_is_lost_and_said() {
    in_every_stored_world(|w| {
        with_waiting(w, 4);
        w.damage(MESSAGES);
        let (app, _) = w.resume(hello5("user:app", "app"));
        assert_eq!(numbers(w, app), [2, 3, 4]);
        let said = w.notices.iter().filter(|notice| matches!(notice, Notice::Damaged { .. })).count();
        assert_eq!(said, 1);
        assert_eq!((w.rows(PLACES), w.rows(MESSAGES)), (0, 0));
    });
}

#[test]
fn a_shared_group_reads_what_waits_before_it_hands_it_out() {
    in_every_stored_world(|w| {
        w.rules(&(app_may_everything() + &rule("user:app", "allow", &["share"], &["#"])));
        for crashes in [false, true] {
            let members = ["a", "b"].map(|id| w.connect(hello5("user:app", id).receive_maximum(3)));
            for member in members {
                w.subscribe(member, "$share/g/pump/#");
                w.lose(member);
            }
            let pump = w.connect(hello5("device:pump", "pump"));
            let before = w.stats().memory;
            for number in 1..=100 {
                w.publish(pump, letter("pump/a", &long(number)).qos1(number));
            }
            assert!(w.stats().memory < before + 100_000, "{:?}", w.stats());
            if crashes {
                w.crash();
                assert!(w.stats().memory < 200_000, "{:?}", w.stats());
            }
            w.slow_reads();
            let (first, _) = w.resume(hello5("user:app", "a").receive_maximum(3));
            let pump = w.connect(hello5("device:pump", "pump"));
            w.publish(pump, letter("pump/a", "101;").qos1(101));
            let mut got = numbers(w, first);
            while w.read_pages() > 0 {
                got.extend(numbers(w, first));
            }
            assert_eq!(got, (1..=101).collect::<Vec<u16>>(), "crashes: {crashes}");
            assert_eq!((w.rows(PLACES), w.rows(MESSAGES)), (0, 0));
            w.unsubscribe(first, "$share/g/pump/#");
            let (second, _) = w.resume(hello5("user:app", "b"));
            w.unsubscribe(second, "$share/g/pump/#");
        }
    });
}

#[test]
fn however_many_come_back_at_once_a_few_pages_are_read_at_a_time() {
    in_every_stored_world(|w| {
        let ids: Vec<String> = (0..100).map(|number| format!("app{number}")).collect();
        for id in &ids {
            w.leave_behind(hello5("user:app", id), "#");
        }
        let pump = w.connect(hello5("device:pump", "pump"));
        for number in 1..=30 {
            w.publish(pump, letter("pump/a", &long(number)).qos1(number));
        }
        let before = w.stats().memory;
        w.slow_reads();
        let apps: Vec<Peer> = ids.iter().map(|id| w.resume(hello5("user:app", id)).0).collect();
        let most = 6_000_000 * w.shard_count() as u64;
        let mut rounds = 0;
        loop {
            assert!(w.stats().memory < before + most, "{:?}", w.stats());
            if w.read_pages() == 0 {
                break;
            }
            rounds += 1;
        }
        assert!(rounds > 2);
        for app in apps {
            assert_eq!(numbers(w, app), (1..=30).collect::<Vec<u16>>());
        }
    });
}

#[test]
fn who_does_not_take_what_waits_makes_no_more_of_it_be_read() {
    in_every_stored_world(|w| {
        let large = format!("0;{}", ".".repeat(200_000));
        w.leave_behind(hello5("user:app", "app"), "#");
        let pump = w.connect(hello5("device:pump", "pump"));
        (1..=40).for_each(|number| w.publish(pump, letter("pump/a", &large).qos1(number)));
        let before = w.stats().memory;
        w.slow_reads();
        let (app, _) = w.resume(hello5("user:app", "app").receive_maximum(1).silent());
        while w.read_pages() > 0 {}
        assert!(w.stats().memory < before + 1_000_000, "{:?}", w.stats());
        assert_eq!(w.messages(app).len(), 1);
    });
}

#[test]
fn what_comes_back_to_a_group_leaves_memory_again() {
    in_every_stored_world(|w| {
        w.rules(&(app_may_everything() + &rule("user:app", "allow", &["share"], &["#"])));
        for id in ["a", "b"] {
            w.leave_behind(hello5("user:app", id), "$share/g/pump/#");
        }
        let pump = w.connect(hello5("device:pump", "pump"));
        (1..=100).for_each(|number| w.publish(pump, letter("pump/a", &long(number)).qos1(number)));
        let before = w.stats().memory;
        // Each is larger than this one takes: they are for the other.
        let (small, _) = w.resume(hello5("user:app", "a").packet_max(1_000));
        assert_eq!(numbers(w, small), [0_u16; 0]);
        assert!(w.stats().memory < before + 100_000, "{:?}", w.stats());
        w.lose(small);
        let (other, _) = w.resume(hello5("user:app", "b"));
        assert_eq!(numbers(w, other), (1..=100).collect::<Vec<u16>>());
    });
}

#[test]
fn who_may_not_read_any_more_gets_nothing_that_was_read() {
    in_every_stored_world(|w| {
        with_waiting(w, 10);
        w.slow_reads();
        let (app, _) = w.resume(hello5("user:app", "app"));
        w.rules(&rule("user:app", "allow", &["publish"], &["#"]));
        w.read_pages();
        assert_eq!(numbers(w, app), [0_u16; 0]);
        w.set("user:app", 1, Standing::Active);
        assert!(w.got(app).iter().all(|got| !matches!(got, Got::Message(_))));
    });
}
