//! Rule 19: where nothing more can be stored, what would have to be is refused before anything of it is taken; all else
//! goes on, and what was taken before is stored still.

use crate::peer::{Got, Letter, Peer, at, hello, hello5, letter};
use crate::shared_groups_share_fairly::all_may_share;
use crate::world::{World, identity, in_every_world, in_every_world_and_version};
use keyward_broker::{CloseCause, Notice, Storage};
use keyward_mqtt::packet::{Qos, Version};
use keyward_mqtt::reason::ReasonCode;

/// Lets a story happen in every version where a store is full, and where it is broken: both refuse the same.
fn without_room(story: impl Fn(&mut World, Version, Storage)) {
    for storage in [Storage::Full, Storage::Broken] {
        in_every_world_and_version(|w, version| story(w, version, storage));
    }
}

/// Publishes and sees that it is refused: in so many words in 5.0, before that by the end of the link.
fn is_refused(w: &mut World, peer: Peer, version: Version, letter: Letter<'_>) {
    w.got(peer);
    w.publish(peer, letter);
    let refusal = ReasonCode::QuotaExceeded;
    match version {
        Version::V5 => {
            let got = w.got(peer);
            assert!(
                matches!(&got[..], [Got::PubAck(_, told, _) | Got::PubRec(_, told)] if *told == refusal),
                "{got:?}"
            );
        }
        Version::V31 | Version::V311 => {
            assert_eq!(w.closed(peer), Some(CloseCause::NoRoom));
            assert_eq!(w.got(peer), [], "what was not taken was acknowledged");
        }
    }
}

fn is_told(w: &World, name: &str) -> bool {
    w.notices.contains(&Notice::NoRoom { identity: identity(name) })
}

#[test]
fn a_message_for_a_stored_session_is_refused_and_goes_to_nobody() {
    without_room(|w, version, storage| {
        let stored = w.connect(hello(version, "user:app", "stored"));
        w.subscribe(stored, "pump/#");
        let passing = w.connect(hello(version, "user:app", "passing").clean().expiry(0));
        w.subscribe(passing, "pump/#");
        for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
            let pump = w.connect(hello(version, "device:pump", "pump").clean().expiry(0));
            w.storage(storage);
            is_refused(w, pump, version, letter("pump/a", "x").qos(qos, 1));
            w.storage(Storage::Open);
        }
        assert!(is_told(w, "device:pump"));
        assert_eq!((w.payloads(stored).len(), w.payloads(passing).len()), (0, 0));
    });
}

#[test]
fn a_message_for_a_group_with_a_stored_member_is_refused() {
    without_room(|w, version, storage| {
        w.rules(&all_may_share());
        let member = w.connect(hello(version, "user:app", "member"));
        w.subscribe(member, "$share/g/pump/#");
        let pump = w.connect(hello(version, "device:pump", "pump").clean().expiry(0));
        w.storage(storage);
        is_refused(w, pump, version, letter("pump/a", "x").qos1(1));
        assert_eq!((w.payloads(member).len(), w.stats().queued), (0, 0));
    });
}

#[test]
fn a_retained_message_is_refused_and_the_slot_keeps_what_it_had() {
    without_room(|w, version, storage| {
        let app = w.connect(hello(version, "user:app", "app").clean().expiry(0));
        for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
            let pump = w.connect(hello(version, "device:pump", "pump").clean().expiry(0));
            w.publish(pump, letter("pump/a", "old").qos1(1).retained());
            w.storage(storage);
            is_refused(w, pump, version, letter("pump/a", "new").qos(qos, 2).retained());
            w.storage(Storage::Open);
        }
        w.subscribe(app, "pump/a");
        assert_eq!(w.payloads(app), ["old"]);
    });
}

#[test]
fn a_qos_2_message_of_a_stored_session_is_refused_whoever_it_is_for() {
    without_room(|w, version, storage| {
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.storage(storage);
        is_refused(w, pump, version, letter("pump/nobody", "x").qos2(1));
    });
}

#[test]
fn a_packet_id_whose_message_was_refused_is_free_again() {
    in_every_world(|w| {
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe(app, "#");
        let pump = w.connect(hello5("device:pump", "pump"));
        w.storage(Storage::Full);
        is_refused(w, pump, Version::V5, letter("pump/a", "refused").qos2(1));
        w.storage(Storage::Open);
        w.publish(pump, letter("pump/a", "taken").qos2(1));
        assert_eq!(w.payloads(app), ["taken"]);
    });
}

#[test]
fn a_subscription_of_a_stored_session_is_refused_and_what_it_would_replace_holds() {
    without_room(|w, version, storage| {
        w.rules(&all_may_share());
        let app = w.connect(hello(version, "user:app", "app"));
        w.subscribe_with(app, "pump/old", at(Qos::AtLeastOnce), None);
        w.storage(storage);
        // 3.1 has no word for a refusal.
        let refusal = if version == Version::V31 { ReasonCode::Success } else { ReasonCode::QuotaExceeded };
        for filter in ["pump/new", "pump/old", "$share/g/pump/new"] {
            let reasons = w.subscribe_with(app, filter, at(Qos::AtMostOnce), None);
            assert_eq!(reasons, [told(version, refusal)], "{filter}");
        }
        assert!(is_told(w, "user:app"));
        let stats = w.stats();
        assert_eq!((stats.subscriptions, stats.shared_subscriptions, stats.groups), (1, 0, 0));
        w.storage(Storage::Open);
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.publish(pump, letter("pump/new", "x").qos1(1));
        w.publish(pump, letter("pump/old", "y").qos1(2));
        let messages = w.messages(app);
        assert_eq!(messages.len(), 1);
        assert_eq!((&*messages[0].payload, messages[0].qos), (&b"y"[..], Qos::AtLeastOnce));
    });
}

/// Says how a refusal is told: 3.1.1 has one code for all.
fn told(version: Version, reason: ReasonCode) -> ReasonCode {
    if version == Version::V311 { ReasonCode::UnspecifiedError } else { reason }
}

#[test]
fn a_new_stored_session_is_refused_and_one_that_is_there_goes_on() {
    without_room(|w, version, storage| {
        let old = w.connect(hello(version, "user:app", "old"));
        w.lose(old);
        w.storage(storage);
        let new = w.try_connect(hello(version, "user:app", "new"));
        assert!(matches!(w.closed(new), Some(CloseCause::Refused(ReasonCode::QuotaExceeded))));
        assert!(is_told(w, "user:app"));
        assert_eq!(w.stats().sessions, 1);
        w.connect(hello(version, "user:app", "old"));
        w.connect(hello(version, "user:app", "passing").clean().expiry(0));
        w.storage(Storage::Open);
        w.connect(hello(version, "user:app", "new"));
    });
}

/// It would end what is stored and begin anew: both would have to be stored.
#[test]
fn a_stored_session_in_the_place_of_another_is_refused_and_the_other_keeps_its_link() {
    in_every_world(|w| {
        let first = w.connect(hello5("user:app", "app"));
        w.subscribe(first, "#");
        for storage in [Storage::Full, Storage::Broken] {
            w.storage(storage);
            let second = w.try_connect(hello5("user:app", "app").clean());
            assert!(!w.is_open(second) && w.is_open(first));
            assert_eq!(w.stats().subscriptions, 1);
        }
    });
}

#[test]
fn what_was_taken_before_the_store_was_full_is_acknowledged_when_it_is_stored() {
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app"));
        w.subscribe(app, "#");
        let pump = w.connect(hello(version, "device:pump", "pump").silent());
        w.got(pump);
        w.slow_store();
        w.publish(pump, letter("pump/a", "x").qos1(1));
        w.publish(pump, letter("pump/a", "y").qos2(2));
        w.subscribe_only(app, 9, "pump/#", at(Qos::AtMostOnce), None);
        w.storage(Storage::Full);
        w.settle();
        assert_eq!(w.got(pump), []);
        w.store();
        assert!(w.has_got(app, |got| *got == Got::SubAck(9, vec![ReasonCode::Success])));
        assert_eq!(w.payloads(app), ["x", "y"]);
        let got = w.got(pump);
        assert!(
            matches!(got[..], [Got::PubAck(1, ReasonCode::Success, _), Got::PubRec(2, ReasonCode::Success)]),
            "{got:?}"
        );
        // The exchange goes on to its end.
        w.pubrel(pump, 2);
        w.store();
        assert!(matches!(w.got(pump)[..], [Got::PubComp(2, ..)]));
    });
}

#[test]
fn what_is_not_to_be_stored_goes_on() {
    without_room(|w, version, storage| {
        let stored = w.connect(hello(version, "user:app", "stored"));
        w.subscribe(stored, "pump/live");
        let app = w.connect(hello(version, "user:app", "app").clean().expiry(0));
        let pump = w.connect(hello(version, "device:pump", "pump").clean().expiry(0));
        w.got(pump);
        w.storage(storage);
        w.subscribe(app, "pump/now");
        w.publish(pump, letter("pump/live", "0"));
        w.publish(pump, letter("pump/now", "1").qos1(1));
        w.publish(pump, letter("pump/now", "2").qos2(2));
        w.publish(pump, letter("pump/nobody", "3").qos1(3));
        assert_eq!(w.payloads(stored), ["0"]);
        assert_eq!(w.payloads(app), ["1", "2"]);
        let answered = w.got(pump).len();
        assert!(answered >= 3 && w.is_open(pump), "{answered}");
        assert!(w.notices.is_empty(), "{:?}", w.notices);
    });
}

#[test]
fn where_there_is_room_again_all_goes_on_as_before() {
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app"));
        let pump = w.connect(hello(version, "device:pump", "pump"));
        w.got(pump);
        w.storage(Storage::Full);
        w.storage(Storage::Open);
        w.subscribe(app, "#");
        w.publish(pump, letter("pump/a", "x").qos1(1).retained());
        w.publish(pump, letter("pump/a", "y").qos2(2));
        assert_eq!(w.payloads(app), ["x", "y"]);
        assert!(matches!(w.got(pump)[0], Got::PubAck(1, ReasonCode::Success, _)));
    });
}

#[test]
fn nothing_that_waits_for_a_broken_store_is_ever_acknowledged_and_reading_goes_on() {
    in_every_world_and_version(|w, version| {
        let reader = w.connect(hello(version, "user:app", "reader"));
        w.subscribe(reader, "#");
        let pump = w.connect(hello(version, "device:pump", "pump").silent());
        let lamp = w.connect(hello(version, "device:lamp", "lamp"));
        w.got(pump);
        w.slow_store();
        w.publish(pump, letter("pump/a", "waits").qos1(1));
        w.publish(pump, letter("pump/a", "waits longer").qos2(2));
        w.storage(Storage::Broken);
        w.publish(lamp, letter("lamp/a", "live"));
        w.lose(reader);
        // Whoever comes back reads what its session has.
        let reader = w.connect(hello(version, "user:app", "reader"));
        w.publish(lamp, letter("lamp/a", "later"));
        assert!(w.payloads(reader).ends_with(&["later".to_owned()]));
        w.pass(600);
        let answers = |got: &Got| matches!(got, Got::PubAck(..) | Got::PubRec(..));
        assert!(!w.got(pump).iter().any(answers));
        assert!(!w.payloads(reader).contains(&"waits longer".to_owned()), "it was to be stored first");
    });
}

/// A CONNECT that waited for a broken store kept its link open without an answer.
#[test]
fn what_connack_would_wait_for_at_a_broken_store_is_refused() {
    in_every_world_and_version(|w, version| {
        let app = w.connect(hello(version, "user:app", "app"));
        w.lose(app);
        w.slow_store();
        w.storage(Storage::Broken);
        let with_will = w.try_connect(hello(version, "user:app", "app").retained_will("gone", "x"));
        assert!(!w.is_open(with_will), "its will would have to be stored");
        let anew = w.try_connect(hello(version, "user:app", "app").clean().expiry(0));
        assert!(!w.is_open(anew), "the end of the session would have to be stored");
        let again = w.try_connect(hello(version, "user:app", "app"));
        assert!(w.is_open(again), "nothing of it has to be stored");
    });
}

/// A QoS 2 message behind one that waited for a broken store waited with it, although nobody's was to be stored.
#[test]
fn no_qos_2_message_waits_behind_one_that_a_broken_store_will_not_take() {
    in_every_world(|w| {
        w.leave_behind(hello5("user:app", "app"), "pump/stored");
        let pump = w.connect(hello5("device:pump", "pump").expiry(0).silent());
        w.slow_store();
        w.publish(pump, letter("pump/stored", "x").qos2(1));
        w.got(pump);
        w.storage(Storage::Broken);
        let lamp = w.connect(hello5("device:lamp", "lamp").expiry(0).silent());
        w.got(lamp);
        w.publish(lamp, letter("lamp/a", "y").qos2(1));
        let refused = |got: &Got| matches!(got, Got::PubRec(1, ReasonCode::QuotaExceeded));
        let went_on = |got: &Got| matches!(got, Got::PubRec(1, ReasonCode::Success));
        let got = w.got(lamp);
        assert!(got.iter().any(|got| refused(got) || went_on(got)), "{got:?}");
    });
}
