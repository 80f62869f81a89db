//! Rule 2: the end of what is large, and of everything, does not hold up the rest.

use crate::peer::{Got, Peer, hello5, letter};
use crate::world::{World, in_every_world_with};
use keyward_broker::limits::{FANOUT_BYTES, FANOUT_SLICE};
use keyward_broker::{CloseCause, Limits};

const MANY: u64 = 5_000;
/// What one slice of a fan-out writes at most, but for its last packet.
const SLICE_BYTES: u64 = (FANOUT_SLICE * FANOUT_BYTES) as u64;

fn roomy() -> Limits {
    Limits {
        subscriptions_per_session: 10_000,
        subscription_bytes_per_identity: usize::MAX / 2,
        sessions_per_identity: 10_000,
        ..Limits::default()
    }
}

fn with_many_subscriptions(w: &mut World) -> crate::peer::Peer {
    let pump = w.connect(hello5("device:pump", "pump").expiry(0));
    for number in 0..MANY {
        w.subscribe(pump, &format!("pump/{number}"));
    }
    assert_eq!(w.stats().subscriptions, MANY);
    pump
}

#[test]
fn the_end_of_a_session_with_very_many_subscriptions_goes_in_slices() {
    in_every_world_with(roomy(), |w| {
        let pump = with_many_subscriptions(w);
        w.lose_only(pump);
        assert!(w.is_behind(pump));
        let left = w.stats().subscriptions;
        assert!(left > 0 && left < MANY, "{left}");
        w.settle();
        assert_eq!((w.stats().subscriptions, w.stats().sessions, w.stats().memory), (0, 0, 0));
    });
}

#[test]
fn a_session_that_is_being_taken_away_gets_nothing_and_its_name_is_free() {
    in_every_world_with(roomy(), |w| {
        let pump = with_many_subscriptions(w);
        w.lose_only(pump);
        let app = w.begin_connect(hello5("user:app", "app"));
        w.send_only(app, &letter("pump/4999", "x").qos1(1).packet());
        w.settle_until(|w| w.stats().subscriptions < 2_000);
        assert_eq!(w.stats().queued, 0);
        let again = w.begin_connect(hello5("device:pump", "pump"));
        w.settle();
        w.subscribe(again, "pump/4999");
        w.publish(app, letter("pump/4999", "y"));
        assert_eq!(w.payloads(again), ["y"]);
        assert_eq!((w.stats().subscriptions, w.stats().sessions), (1, 2));
    });
}

#[test]
fn a_shutdown_tells_its_clients_in_slices() {
    in_every_world_with(roomy(), |w| {
        let peers: Vec<_> =
            (0..3_000).map(|number| w.connect(hello5("device:pump", &format!("pump-{number}")))).collect();
        w.begin_shut_down();
        let open = peers.iter().filter(|peer| w.is_open(**peer)).count();
        assert!(open > 0 && open < peers.len(), "{open}");
        w.settle();
        assert!(peers.iter().all(|peer| w.closed(*peer) == Some(CloseCause::ShuttingDown)));
    });
}

/// Bytes of a message that are more work than to find its readers.
const LARGE: usize = 10_000;

#[test]
fn a_fan_out_of_large_messages_is_sliced_by_the_bytes_that_are_written() {
    in_every_world_with(roomy(), |w| {
        let readers: Vec<_> =
            (0..600).map(|number| w.connect(hello5("device:pump", &format!("pump-{number}")))).collect();
        for reader in &readers {
            w.subscribe(*reader, "pump/a");
        }
        let app = w.connect(hello5("user:app", "app"));
        let text = "x".repeat(LARGE);
        let before = w.stats().bytes_sent;
        w.send_only(app, &letter("pump/a", &text).packet());
        let written = w.stats().bytes_sent - before;
        assert!(written <= SLICE_BYTES + 2 * LARGE as u64, "{written}");
        w.settle();
        assert!(readers.iter().all(|reader| w.payloads(*reader) == [text.as_str()]), "all get it");
    });
}

/// Returns three readers of `pump/a`, an app that writes to them, and somebody else. Two copies of [`megabyte`] use a
/// slice up.
fn with_three_readers(w: &mut World) -> ([Peer; 3], Peer, Peer) {
    let readers = [1, 2, 3].map(|number| w.connect(hello5("device:pump", &format!("pump-{number}"))));
    for reader in readers {
        w.subscribe(reader, "pump/a");
    }
    let app = w.connect(hello5("user:app", "app"));
    let lamp = w.connect(hello5("device:lamp", "lamp"));
    w.subscribe(lamp, "lamp/a");
    (readers, app, lamp)
}

fn megabyte() -> String {
    "x".repeat(1_000_000)
}

#[test]
fn who_publishes_to_many_waits_behind_itself_and_others_behind_one_message() {
    // A flood from another shard once kept a shard at work without end: no link there was read, and what was read
    // waited behind all of it.
    let w = &mut World::new(1, roomy());
    let (readers, app, lamp) = with_three_readers(w);
    for _ in 0..3 {
        w.send_only(app, &letter("pump/a", &megabyte()).packet());
    }
    assert!(w.is_behind(app));
    assert!(!w.may_be_read(app), "what it says would wait, and in memory");
    assert!(w.may_be_read(lamp));
    w.send_only(lamp, &letter("lamp/a", "on").packet());
    w.settle_until(|w| w.has_got(lamp, |got| matches!(got, Got::Message(_))));
    assert!(w.is_behind(app), "its messages are not through yet");
    w.settle();
    for reader in readers {
        assert_eq!(w.payloads(reader), [megabyte(), megabyte(), megabyte()], "all get all, in order");
    }
}

#[test]
fn what_waits_of_one_publisher_leaves_room_for_others() {
    let w = &mut World::new(1, roomy());
    let (_, app, lamp) = with_three_readers(w);
    for _ in 0..6 {
        w.send_only(app, &letter("pump/a", &megabyte()).packet());
    }
    assert_eq!(w.stats().dropped, 3, "one is under way, two wait, three are more than may wait");
    w.send_only(lamp, &letter("lamp/a", "on").packet());
    w.settle();
    assert_eq!((w.payloads(lamp), w.stats().dropped), (vec!["on".to_owned()], 3));
}
