//! Rule 21: signed messages are verified beside the shard, and each counts once, also through a crash.

use crate::disk::in_every_stored_world;
use crate::peer::{Got, Peer, hello, hello5, letter};
use crate::world::{INSTALLATION, World, app_may_everything, in_every_world, in_every_world_and_version};
use keyward_broker::{
    CloseCause, DeniedAction, HolderSign, Limits, MessageKey, Notice, Standing, Storage, Unfit,
};
use keyward_envelope::software::Ed25519Key;
use keyward_envelope::{Claims, Context, Direction, Message, Sequence, sign};
use keyward_mqtt::packet::{Delivery, Packet, PacketId, Publish, Qos};
use keyward_mqtt::property::PublishProperties;
use keyward_mqtt::reason::ReasonCode;
use keyward_mqtt::time::UnixMillis;
use keyward_mqtt::topic::TopicName;
use std::num::NonZeroU16;

const WINDOWS: u8 = 10;

fn signer(seed: u8) -> Ed25519Key {
    Ed25519Key::from_seed(&[seed; 32])
}

/// Returns the public half of a key of this level.
pub(crate) fn key(seed: u8, level: u8) -> MessageKey {
    let public = signer(seed).public();
    MessageKey { kid: public.kid(), public, level, until: None }
}

/// Makes the payload of a message, number `sequence`, made `ago` seconds ago by the device that the topic begins with.
pub(crate) fn sealed(w: &World, seed: u8, topic: &str, sequence: u64, ago: u64, text: &str) -> Vec<u8> {
    let context = Context {
        direction: Direction::Up { device: topic.split('/').next().unwrap() },
        installation: INSTALLATION,
        topic,
        correlation: None,
    };
    let issued = (w.now.0 / 1_000).saturating_sub(ago);
    let claims = Claims::issued_at(Sequence(sequence), issued);
    let mut out = vec![0; text.len() + 200];
    let message = Message { claims, format: None, payload: text.as_bytes() };
    let len = sign(&message, &context, &mut signer(seed), &mut out).unwrap();
    out.truncate(len);
    out
}

/// Publishes bytes.
pub(crate) fn packet<'a>(topic: &'a str, payload: &'a [u8], qos: Qos, id: u16) -> Packet<'a> {
    let id = PacketId(NonZeroU16::new(id).unwrap());
    Packet::Publish(Publish {
        dup: false,
        delivery: match qos {
            Qos::AtMostOnce => Delivery::AtMostOnce,
            Qos::AtLeastOnce => Delivery::AtLeastOnce(id),
            Qos::ExactlyOnce => Delivery::ExactlyOnce(id),
        },
        retain: false,
        topic: Some(TopicName::parse(topic).unwrap()),
        properties: PublishProperties::default(),
        payload,
    })
}

pub(crate) fn publish(w: &mut World, pump: Peer, payload: &[u8], qos: Qos, id: u16) {
    w.send(pump, &packet("pump/a", payload, qos, id));
}

pub(crate) fn demand(rest: &str) -> String {
    app_may_everything() + &format!("[[signed]]\nwho = \"device:pump\"\ntopics = [\"pump/#\"]\n{rest}\n")
}

/// A pump whose messages must be signed, with one key.
pub(crate) fn begin(w: &mut World) -> (Peer, Peer) {
    w.rules(&demand("check = \"require\""));
    w.message_keys("device:pump", vec![key(1, 2)]);
    reader_and_pump(w)
}

/// Connects a reader of everything and the pump, for the first time or again.
pub(crate) fn reader_and_pump(w: &mut World) -> (Peer, Peer) {
    let app = w.connect(hello5("user:app", "app"));
    w.subscribe(app, "#");
    let pump = w.connect(hello5("device:pump", "pump").expiry(1_000));
    w.got(app);
    w.got(pump);
    (app, pump)
}

fn verified() -> (String, String) {
    ("mqsec-verified".to_owned(), format!("{},2", key(1, 2).kid))
}

pub(crate) fn acks(w: &mut World, pump: Peer) -> Vec<ReasonCode> {
    let reason = |got| match got {
        Got::PubAck(_, reason, _) | Got::PubRec(_, reason) => Some(reason),
        _ => None,
    };
    w.got(pump).into_iter().filter_map(reason).collect()
}

#[test]
fn a_signed_message_goes_on_as_it_is_and_says_by_whom_it_was_verified() {
    in_every_world(|w| {
        let (app, pump) = begin(w);
        for (number, qos) in [(1, Qos::AtMostOnce), (2, Qos::AtLeastOnce), (3, Qos::ExactlyOnce)] {
            let payload = sealed(w, 1, "pump/a", number, 0, "21.5");
            publish(w, pump, &payload, qos, number as u16);
            let message = w.messages(app).remove(0);
            assert_eq!(message.payload, payload, "not a byte is changed");
            assert_eq!(message.user, [verified()]);
        }
        let late = sealed(w, 1, "pump/a", 9, 400, "kept while offline");
        publish(w, pump, &late, Qos::AtLeastOnce, 9);
        assert_eq!(w.messages(app)[0].user, [verified(), ("mqsec-late".to_owned(), "1".to_owned())]);
        assert!(acks(w, pump).iter().all(|reason| *reason == ReasonCode::Success));
    });
}

#[test]
fn what_is_not_signed_as_it_must_be_is_refused_and_the_place_that_demands_it_is_named() {
    in_every_world(|w| {
        let (app, pump) = begin(w);
        w.rules(&demand("check = \"require\"\nlevel = 2\nmax_offline = \"1h\""));
        w.now.0 += 10_000_000;
        let retired = MessageKey { until: Some(UnixMillis(w.now.0)), ..key(3, 2) };
        w.message_keys("device:pump", vec![key(1, 2), key(2, 1), retired]);
        let mut forged = sealed(w, 1, "pump/a", 5, 0, "21.5");
        *forged.last_mut().unwrap() ^= 1;
        for (payload, unfit, reason) in [
            (b"21.5".to_vec(), Unfit::Form, ReasonCode::PayloadFormatInvalid),
            (sealed(w, 4, "pump/a", 1, 0, "x"), Unfit::Key, ReasonCode::NotAuthorized),
            (sealed(w, 3, "pump/a", 1, 0, "x"), Unfit::Retired, ReasonCode::NotAuthorized),
            (sealed(w, 2, "pump/a", 1, 0, "x"), Unfit::Level, ReasonCode::NotAuthorized),
            (forged, Unfit::Signature, ReasonCode::NotAuthorized),
            (sealed(w, 1, "pump/b", 5, 0, "of another topic"), Unfit::Signature, ReasonCode::NotAuthorized),
            (sealed(w, 1, "pump/a", 5, 3_700, "x"), Unfit::Age, ReasonCode::NotAuthorized),
        ] {
            w.pass(61);
            publish(w, pump, &payload, Qos::AtLeastOnce, 7);
            assert_eq!(acks(w, pump), [reason], "{unfit:?}");
            let denial = w.denials.pop().unwrap();
            assert_eq!(denial.action, DeniedAction::Signed(unfit));
            assert_eq!(denial.rule.unwrap().to_string(), "policy.d/test.toml:5");
        }
        assert_eq!(w.payloads(app), [""; 0]);
        assert!(w.is_open(pump));
    });
}

#[test]
fn versions_without_a_word_for_it_are_answered_and_the_message_goes_nowhere() {
    in_every_world_and_version(|w, version| {
        let (app, _) = begin(w);
        let pump = w.connect(hello(version, "device:pump", "old"));
        w.got(pump);
        publish(w, pump, b"21.5", Qos::AtLeastOnce, 1);
        publish(w, pump, b"21.5", Qos::ExactlyOnce, 2);
        assert_eq!(acks(w, pump).len(), 2, "{version:?}");
        assert_eq!(w.payloads(app), [""; 0]);
        let good = sealed(w, 1, "pump/a", 1, 0, "21.5");
        publish(w, pump, &good, Qos::AtLeastOnce, 3);
        assert_eq!(w.messages(app).len(), 1);
    });
}

#[test]
fn the_same_message_again_is_answered_and_goes_nowhere_and_another_of_its_number_is_refused() {
    in_every_world(|w| {
        let (app, pump) = begin(w);
        let first = sealed(w, 1, "pump/a", 5, 0, "21.5");
        for id in [1, 2] {
            publish(w, pump, &first, Qos::AtLeastOnce, id);
        }
        publish(w, pump, &first, Qos::AtMostOnce, 1);
        publish(w, pump, &first, Qos::ExactlyOnce, 4);
        assert_eq!(acks(w, pump), [ReasonCode::Success; 3]);
        assert_eq!(w.messages(app).len(), 1);
        let other = sealed(w, 1, "pump/a", 5, 0, "99.9");
        publish(w, pump, &other, Qos::AtLeastOnce, 3);
        assert_eq!(acks(w, pump), [ReasonCode::NotAuthorized]);
        let unfit = |notice: &Notice| matches!(notice, Notice::Unfit { unfit: Unfit::Equivocation, .. });
        assert_eq!(w.notices.iter().filter(|notice| unfit(notice)).count(), 1);
        let stats = w.stats();
        let mut counted = Unfit::ALL.iter().zip(stats.unfit).filter(|(_, count)| *count > 0);
        assert_eq!((counted.next(), counted.next()), (Some((&Unfit::Equivocation, 1)), None));
        let newest = sealed(w, 1, "pump/a", 5_000, 0, "x");
        publish(w, pump, &newest, Qos::AtLeastOnce, 5);
        let ancient = sealed(w, 1, "pump/a", 6, 0, "new, and too far below");
        publish(w, pump, &ancient, Qos::AtLeastOnce, 6);
        assert_eq!(acks(w, pump), [ReasonCode::Success, ReasonCode::NotAuthorized]);
        assert_eq!(w.messages(app).len(), 1);
    });
}

#[test]
fn a_message_that_comes_again_is_answered_as_it_was_however_old_it_is_by_now() {
    in_every_world(|w| {
        let (app, pump) = begin(w);
        w.rules(&demand("check = \"require\"\nmax_offline = \"1h\""));
        let payload = sealed(w, 1, "pump/a", 5, 0, "21.5");
        publish(w, pump, &payload, Qos::AtLeastOnce, 7);
        w.now.0 += 3_700_000;
        // Its acknowledgement was lost, and the device was away: told that it is too old, it would say the same under a new number.
        publish(w, pump, &payload, Qos::AtLeastOnce, 7);
        assert_eq!(acks(w, pump), [ReasonCode::Success, ReasonCode::Success]);
        assert_eq!(w.messages(app).len(), 1);
        // Another message of that number is a proof, whatever date it has.
        let other = sealed(w, 1, "pump/a", 5, 3_700, "99.9");
        publish(w, pump, &other, Qos::AtLeastOnce, 8);
        assert_eq!(w.denials.pop().unwrap().action, DeniedAction::Signed(Unfit::Equivocation));
    });
}

#[test]
fn a_link_waits_for_its_check_and_no_other_does() {
    in_every_world(|w| {
        let (app, pump) = begin(w);
        let lamp = w.connect(hello5("device:lamp", "lamp"));
        w.slow_checks();
        let payload = sealed(w, 1, "pump/a", 1, 0, "21.5");
        publish(w, pump, &payload, Qos::AtLeastOnce, 1);
        assert!(w.is_held(pump) && !w.is_held(lamp));
        w.publish(lamp, letter("lamp/a", "on"));
        assert_eq!(w.payloads(app), ["on"]);
        assert_eq!(w.verify(), 1);
        assert!(!w.is_held(pump));
        assert_eq!(w.messages(app).len(), 1);
        assert_eq!(acks(w, pump), [ReasonCode::Success]);

        let payload = sealed(w, 1, "pump/a", 2, 0, "22");
        publish(w, pump, &payload, Qos::AtLeastOnce, 2);
        w.lose(pump);
        assert_eq!(w.verify(), 1);
        assert_eq!(w.messages(app).len(), 0, "it was not acknowledged: it comes again");
        let pump = w.connect(hello5("device:pump", "pump").expiry(1_000));
        publish(w, pump, &payload, Qos::AtLeastOnce, 2);
        w.verify();
        assert_eq!(w.messages(app).len(), 1);
    });
}

#[test]
fn what_was_decided_before_the_check_is_decided_again_after_it() {
    in_every_world(|w| {
        let (app, pump) = begin(w);
        w.slow_checks();
        let mut number = 0;
        let mut send = |w: &mut World| {
            number += 1;
            let payload = sealed(w, 1, "pump/a", number, 0, "x");
            publish(w, pump, &payload, Qos::AtLeastOnce, number as u16);
        };
        send(w);
        let denied = crate::world::rule("device:pump", "deny", &["publish"], &["pump/a"]);
        w.rules(&(demand("check = \"require\"") + &denied));
        w.verify();
        assert_eq!(acks(w, pump), [ReasonCode::NotAuthorized], "the right was taken away");
        w.rules(&demand("check = \"require\""));
        send(w);
        w.message_keys("device:pump", Vec::new());
        w.verify();
        assert_eq!(acks(w, pump), [ReasonCode::NotAuthorized], "the key was taken away");
        w.message_keys("device:pump", vec![key(1, 2)]);
        send(w);
        w.rules(&app_may_everything());
        w.verify();
        assert_eq!(acks(w, pump), [ReasonCode::Success], "nothing is demanded any more");
        assert_eq!(w.messages(app).len(), 1);
        w.rules(&demand("check = \"require\""));
        send(w);
        w.revoke("device:pump");
        assert_eq!(w.closed(pump), Some(CloseCause::NotAllowed));
        w.verify();
        assert_eq!(w.messages(app).len(), 0);
    });
}

#[test]
fn where_signatures_are_observed_everything_goes_on_and_the_good_ones_are_marked() {
    in_every_world(|w| {
        let (app, pump) = begin(w);
        w.rules(&demand("check = \"observe\""));
        let good = sealed(w, 1, "pump/a", 1, 0, "21.5");
        let strange = sealed(w, 4, "pump/a", 2, 0, "21.5");
        let mut forged = sealed(w, 1, "pump/a", 3, 0, "21.5");
        *forged.last_mut().unwrap() ^= 1;
        for (payload, user) in
            [(&good, vec![verified()]), (&b"plain".to_vec(), vec![]), (&strange, vec![]), (&forged, vec![])]
        {
            for (id, qos) in [(1, Qos::AtLeastOnce), (2, Qos::ExactlyOnce), (3, Qos::AtMostOnce)] {
                publish(w, pump, payload, qos, id);
                w.pubrel(pump, 2);
            }
            let got = w.messages(app);
            assert_eq!(got[0].user, user);
            assert_eq!(&got[0].payload, payload);
        }
        assert!(acks(w, pump).iter().all(|reason| *reason == ReasonCode::Success));
        assert!(w.denials.is_empty() && w.is_open(pump));
    });
}

#[test]
fn five_messages_in_a_minute_that_are_refused_close_the_link() {
    in_every_world_and_version(|w, version| {
        let (_, _) = begin(w);
        let pump = w.connect(hello(version, "device:pump", "loud"));
        for number in 1..=4 {
            publish(w, pump, b"x", Qos::AtLeastOnce, number);
        }
        w.pass(61);
        for number in 1..=4 {
            publish(w, pump, b"x", Qos::AtLeastOnce, number);
        }
        assert!(w.is_open(pump));
        publish(w, pump, b"x", Qos::AtMostOnce, 1);
        assert_eq!(w.closed(pump), Some(CloseCause::Violation(ReasonCode::PayloadFormatInvalid)));
    });
}

#[test]
fn a_device_that_kept_messages_for_too_long_is_not_closed_for_them() {
    in_every_world(|w| {
        let (app, pump) = begin(w);
        w.rules(&demand("check = \"require\"\nmax_offline = \"1h\""));
        w.now.0 += 10_000_000;
        for number in 1..=20 {
            let payload = sealed(w, 1, "pump/a", number, 3_700, "kept");
            publish(w, pump, &payload, Qos::AtLeastOnce, number as u16);
        }
        assert_eq!(acks(w, pump), [ReasonCode::NotAuthorized; 20]);
        let payload = sealed(w, 1, "pump/a", 21, 0, "now");
        publish(w, pump, &payload, Qos::AtLeastOnce, 21);
        assert_eq!((acks(w, pump), w.messages(app).len()), (vec![ReasonCode::Success], 1));
    });
}

#[test]
fn a_will_on_such_a_topic_is_refused_when_it_is_left_and_withheld_when_it_is_due() {
    in_every_world(|w| {
        let (app, _) = begin(w);
        let refused = w.try_connect(hello5("device:pump", "w").will("pump/gone", "gone"));
        assert_eq!(w.closed(refused), Some(CloseCause::Refused(ReasonCode::NotAuthorized)));
        assert_eq!(w.denials[0].rule.as_ref().unwrap().to_string(), "policy.d/test.toml:5");
        w.rules(&app_may_everything());
        let pump = w.connect(hello5("device:pump", "w").will("pump/gone", "gone"));
        w.rules(&demand("check = \"require\""));
        w.lose(pump);
        assert_eq!(w.payloads(app), [""; 0]);
        let other = w.connect(hello5("device:lamp", "w").will("lamp/gone", "gone"));
        w.lose(other);
        assert_eq!(w.payloads(app), ["gone"]);
    });
}

#[test]
fn a_number_is_durable_before_the_answer_and_before_a_message_of_qos_0_goes_on() {
    in_every_stored_world(|w| {
        let (app, pump) = begin(w);
        w.slow_store();
        let first = sealed(w, 1, "pump/a", 1, 0, "x");
        publish(w, pump, &first, Qos::AtLeastOnce, 1);
        publish(w, pump, &first, Qos::AtLeastOnce, 2);
        assert_eq!((acks(w, pump), w.messages(app).len()), (vec![], 1), "nor is a repeat answered before");
        let second = sealed(w, 1, "pump/a", 2, 0, "x");
        publish(w, pump, &second, Qos::AtMostOnce, 1);
        assert_eq!(w.messages(app).len(), 0);
        w.store();
        assert_eq!((acks(w, pump), w.messages(app).len()), (vec![ReasonCode::Success; 2], 1));
    });
}

/// Where neither the publisher nor a reader has a stored session nothing but the number is to be stored.
#[test]
fn a_number_is_durable_before_the_answer_also_where_nothing_else_is_stored() {
    in_every_stored_world(|w| {
        let _ = begin(w);
        let app = w.connect(hello5("user:app", "app").clean().expiry(0));
        w.subscribe(app, "#");
        let pump = w.connect(hello5("device:pump", "pump").clean().expiry(0));
        w.got(app);
        w.got(pump);
        w.slow_store();
        for (id, qos) in [(1, Qos::ExactlyOnce), (2, Qos::AtLeastOnce)] {
            let payload = sealed(w, 1, "pump/a", id.into(), 0, "open");
            publish(w, pump, &payload, qos, id);
            assert_eq!(acks(w, pump), [], "{qos:?}");
        }
        w.store();
        assert_eq!(acks(w, pump), [ReasonCode::Success; 2]);
        assert_eq!(w.messages(app).len(), 2);
    });
}

/// What waits for a slow disk is in memory, and QoS 0 knows no acknowledgement that would slow its publisher down.
#[test]
fn signed_messages_of_qos_0_wait_for_the_disk_only_while_there_is_memory() {
    let total = 2_000_000;
    let w = &mut World::on_disk(1, Limits { memory_total: total, ..Limits::default() });
    let (app, pump) = begin(w);
    w.slow_store();
    let text = "x".repeat(50_000);
    for number in 1..=100 {
        let payload = sealed(w, 1, "pump/a", number, 0, &text);
        publish(w, pump, &payload, Qos::AtMostOnce, 1);
    }
    assert!(w.stats().memory < total as u64, "{}", w.stats().memory);
    let is_told = |notice: &Notice| matches!(notice, Notice::NoMemory { .. });
    assert!(w.notices.iter().any(is_told) && w.is_open(pump));
    w.store();
    let waited = w.messages(app).len();
    assert!((20..50).contains(&waited), "{waited}");
}

/// The attack of the rule: what was captured is sent again after the broker was killed.
#[test]
fn what_was_sent_before_a_crash_does_not_go_on_again_after_it() {
    in_every_stored_world(|w| {
        let (_, pump) = begin(w);
        let captured: Vec<_> = (1..=3).map(|number| sealed(w, 1, "pump/a", number, 0, "open")).collect();
        for (payload, (id, qos)) in
            captured.iter().zip([(1, Qos::AtMostOnce), (2, Qos::AtLeastOnce), (3, Qos::ExactlyOnce)])
        {
            publish(w, pump, payload, qos, id);
        }
        w.crash();
        let app = w.connect(hello5("user:app", "app"));
        w.subscribe(app, "#");
        w.got(app);
        let pump = w.connect(hello5("device:pump", "pump"));
        w.got(pump);
        for (id, payload) in captured.iter().enumerate() {
            publish(w, pump, payload, Qos::AtLeastOnce, id as u16 + 10);
        }
        assert_eq!(acks(w, pump), [ReasonCode::Success; 3]);
        assert_eq!(w.messages(app).len(), 0);
        let other = sealed(w, 1, "pump/a", 2, 0, "close");
        publish(w, pump, &other, Qos::AtLeastOnce, 20);
        assert_eq!(acks(w, pump), [ReasonCode::NotAuthorized], "the tags survive too");
        assert_eq!(w.second_holders.len(), 1, "a proof that a crash took is found again");
    });
}

/// A number that is stored without its message would make the device's next try a repeat: acknowledged, and lost.
#[test]
fn a_crash_leaves_the_number_with_the_message_or_neither() {
    for qos in [Qos::AtLeastOnce, Qos::ExactlyOnce] {
        for shards in 1..=3 {
            for kept in 0..8 {
                let w = &mut World::on_disk(shards, Limits::default());
                let (app, pump) = begin(w);
                w.disconnect(app);
                w.leave_behind(hello5("user:app", "away"), "#");
                let payload = sealed(w, 1, "pump/a", 1, 0, "x");
                w.slow_store();
                publish(w, pump, &payload, qos, 1);
                w.crash_keeping(kept);
                let pump = w.connect(hello5("device:pump", "pump"));
                publish(w, pump, &payload, qos, 1);
                w.store();
                w.pubrel(pump, 1);
                w.store();
                let (app, _) = w.resume(hello5("user:app", "away"));
                w.store();
                assert_eq!(w.messages(app).len(), 1, "{qos:?}, {shards} shards, {kept} batches");
            }
        }
    }
}

#[test]
fn without_room_no_number_is_taken() {
    in_every_stored_world(|w| {
        let (app, pump) = begin(w);
        let payload = sealed(w, 1, "pump/a", 1, 0, "x");
        w.storage(Storage::Full);
        publish(w, pump, &payload, Qos::AtLeastOnce, 1);
        assert_eq!(acks(w, pump), [ReasonCode::QuotaExceeded]);
        w.storage(Storage::Open);
        publish(w, pump, &payload, Qos::AtLeastOnce, 1);
        assert_eq!((acks(w, pump), w.messages(app).len()), (vec![ReasonCode::Success], 1));
    });
}

#[test]
fn the_numbers_of_a_key_go_with_it() {
    in_every_stored_world(|w| {
        let (_, pump) = begin(w);
        for number in 1..=3 {
            let payload = sealed(w, 1, "pump/a", number, 0, "x");
            publish(w, pump, &payload, Qos::AtLeastOnce, 1);
        }
        assert_eq!(w.rows(WINDOWS), 3);
        w.message_keys("device:pump", vec![key(2, 2)]);
        w.pass(1);
        assert_eq!(w.rows(WINDOWS), 0);
        let payload = sealed(w, 2, "pump/a", 1, 0, "x");
        publish(w, pump, &payload, Qos::AtLeastOnce, 1);
        assert_eq!(w.rows(WINDOWS), 1);
        w.set("device:pump", 1, Standing::Removed);
        w.pass(1);
        assert_eq!(w.rows(WINDOWS), 0);
    });
}

/// The number was written at once, its message when another shard had reserved a place for it: a crash in between made the device's next
/// try a repeat, acknowledged and lost.
#[test]
fn a_number_waits_with_its_message_for_places_on_other_shards() {
    let mut is_elsewhere = false;
    for reader in ["a", "b", "c", "d"] {
        let w = &mut World::on_disk(3, Limits::default());
        let (app, pump) = begin(w);
        w.disconnect(app);
        let away = w.leave_behind(hello5("user:app", reader), "#");
        let shard = w.shard_of(away);
        is_elsewhere |= shard != w.shard_of(pump);
        let payload = sealed(w, 1, "pump/a", 1, 0, "x");
        w.set_deaf(shard, true);
        publish(w, pump, &payload, Qos::AtLeastOnce, 1);
        w.flush();
        w.crash();
        let pump = w.connect(hello5("device:pump", "pump"));
        publish(w, pump, &payload, Qos::AtLeastOnce, 1);
        let (app, _) = w.resume(hello5("user:app", reader));
        assert_eq!(w.messages(app).len(), 1, "{reader}");
    }
    assert!(is_elsewhere);
}

fn refused(w: &mut World, pump: Peer, number: u64, ago: u64, text: &str) {
    w.pass(61);
    let payload = sealed(w, 1, "pump/a", number, ago, text);
    publish(w, pump, &payload, Qos::AtLeastOnce, 9);
    assert_eq!(acks(w, pump), [ReasonCode::NotAuthorized], "{text}");
}

#[test]
fn two_messages_of_one_number_prove_a_second_holder_each_time() {
    in_every_world(|w| {
        let (_, pump) = begin(w);
        for (number, text) in [(5, "21.5"), (900, "22")] {
            let payload = sealed(w, 1, "pump/a", number, 0, text);
            publish(w, pump, &payload, Qos::AtLeastOnce, 1);
            publish(w, pump, &payload, Qos::AtLeastOnce, 2);
        }
        acks(w, pump);
        assert!(w.second_holders.is_empty(), "a repeat proves nothing");
        refused(w, pump, 5, 0, "99.9");
        let found = w.second_holders.pop().unwrap();
        assert_eq!((found.number, found.highest, &*found.topic), (Sequence(5), Sequence(900), "pump/a"));
        assert_eq!((found.identity.name(), found.kid), ("pump", key(1, 2).kid));
        assert!(matches!(found.sign, HolderSign::Equivocation { tag, earlier } if tag != earlier));
        refused(w, pump, 5, 0, "88");
        let again = w.second_holders.pop().unwrap();
        assert!(again.digest != found.digest, "it is the message that came");
        assert!(w.second_holders.is_empty());
    });
}

/// What was captured and what was kept while offline have old numbers too. Only who counts anew signs an old number later than the highest.
#[test]
fn a_number_behind_the_window_proves_a_second_holder_if_it_was_made_after_the_highest() {
    in_every_world(|w| {
        let (_, pump) = begin(w);
        let highest = sealed(w, 1, "pump/a", 5_000, 0, "x");
        publish(w, pump, &highest, Qos::AtLeastOnce, 1);
        acks(w, pump);
        refused(w, pump, 5_000 - 1_024, 61, "made in the second of the highest");
        refused(w, pump, 7, 200, "kept for a while");
        assert!(w.second_holders.is_empty());
        refused(w, pump, 5_000 - 1_024, 0, "made just now");
        let found = w.second_holders.pop().unwrap();
        assert_eq!((found.sign, found.highest), (HolderSign::Behind, Sequence(5_000)));
        w.rules(&demand("check = \"observe\""));
        let payload = sealed(w, 1, "pump/a", 7, 0, "seen where nothing is refused");
        publish(w, pump, &payload, Qos::AtLeastOnce, 9);
        assert_eq!((acks(w, pump), w.second_holders.len()), (vec![ReasonCode::Success], 1));
    });
}

#[test]
fn after_a_restart_the_highest_counts_as_made_as_late_as_it_can_have_been() {
    in_every_stored_world(|w| {
        let (_, pump) = begin(w);
        let highest = sealed(w, 1, "pump/a", 5_000, 0, "x");
        publish(w, pump, &highest, Qos::AtLeastOnce, 1);
        w.crash();
        let pump = w.connect(hello5("device:pump", "pump"));
        w.got(pump);
        refused(w, pump, 7, 0, "perhaps before the highest, by a clock that is ahead");
        assert!(w.second_holders.is_empty());
        w.pass(300);
        refused(w, pump, 8, 0, "surely after it");
        assert_eq!(w.second_holders.pop().unwrap().sign, HolderSign::Behind);
    });
}
